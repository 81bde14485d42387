package wire

import (
	"fmt"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"pinion/engine/model"
)

// compareFetch walks the view and reports the first difference from what kmsg read.
func compareFetch(p *FetchView, want *kmsg.FetchRequest) error {
	partitions, topics, err := p.Check()
	if err != nil {
		return err
	}
	if topics != len(want.Topics) || p.Forgotten() != len(want.ForgottenTopics) {
		return fmt.Errorf("%d and %d topics, want %+v", topics, p.Forgotten(), want)
	}
	if err := compareFetchHead(p, want); err != nil {
		return err
	}
	seen := 0
	for i := range want.Topics {
		topic := &want.Topics[i]
		if !p.NextTopic() || string(p.TopicName()) != topic.Topic || p.TopicID() != topic.TopicID {
			return fmt.Errorf("topic %d is %q %s, want %+v", i, p.TopicName(), p.TopicID(), topic)
		}
		for j := range topic.Partitions {
			if !p.NextPartition() || p.Partition != oracleFetchPartition(&topic.Partitions[j]) {
				return fmt.Errorf("partition %+v, want %+v", p.Partition, topic.Partitions[j])
			}
			seen++
		}
		if p.NextPartition() {
			return fmt.Errorf("topic %d has one partition too many", i)
		}
	}
	if p.NextTopic() || seen != partitions {
		return fmt.Errorf("saw %d partitions, Check said %d", seen, partitions)
	}
	return compareForgotten(p, want)
}

func compareFetchHead(p *FetchView, want *kmsg.FetchRequest) error {
	replica, epoch := want.ReplicaID, int64(-1)
	if want.Version >= fetchReplicaState {
		replica, epoch = want.ReplicaState.ID, want.ReplicaState.Epoch
	}
	switch {
	case p.MaxWaitMs != want.MaxWaitMillis || p.MinBytes != want.MinBytes || p.MaxBytes != want.MaxBytes,
		p.Isolation != want.IsolationLevel,
		p.SessionID != want.SessionID || p.SessionEpoch != want.SessionEpoch,
		int32(p.ReplicaID) != replica || p.ReplicaEpoch != epoch,
		string(p.Rack) != want.Rack || !sameNullable(p.ClusterID, want.ClusterID):
		return fmt.Errorf("head %+v, want %+v", p, want)
	}
	return nil
}

func oracleFetchPartition(q *kmsg.FetchRequestTopicPartition) FetchPartition {
	return FetchPartition{
		Index: q.Partition, MaxBytes: q.PartitionMaxBytes,
		CurrentEpoch: model.Epoch(q.CurrentLeaderEpoch), LastFetchedEpoch: model.Epoch(q.LastFetchedEpoch),
		Offset: model.Offset(q.FetchOffset), LogStart: model.Offset(q.LogStartOffset),
		HighWatermark: model.Offset(q.HighWatermark), Directory: q.ReplicaDirectoryID,
	}
}

func compareForgotten(p *FetchView, want *kmsg.FetchRequest) error {
	for i := range want.ForgottenTopics {
		topic := &want.ForgottenTopics[i]
		if !p.NextForgotten() || string(p.TopicName()) != topic.Topic || p.TopicID() != topic.TopicID {
			return fmt.Errorf("forgotten topic %d is %q %s, want %+v", i, p.TopicName(), p.TopicID(), topic)
		}
		for _, index := range topic.Partitions {
			if !p.NextForgottenIndex() || p.ForgottenIndex() != index {
				return fmt.Errorf("forgotten partition %d, want %d", p.ForgottenIndex(), index)
			}
		}
		if p.NextForgottenIndex() {
			return fmt.Errorf("forgotten topic %d has one partition too many", i)
		}
	}
	if p.NextForgotten() || p.NextForgotten() {
		return fmt.Errorf("one forgotten topic too many")
	}
	return p.Err()
}

func TestFetchViewReadsWhatKmsgWrites(t *testing.T) {
	for version := int16(fetchVersionMin); version <= fetchVersionMax; version++ {
		t.Run(fmt.Sprint(version), rapid.MakeCheck(func(t *rapid.T) {
			body, read := drawRequest(t, KeyFetch, version)
			want := read.(*kmsg.FetchRequest)
			var p FetchView
			if err := p.Reset(version, body); err != nil {
				t.Fatal(err)
			}
			if err := compareFetch(&p, want); err != nil {
				t.Fatal(err)
			}
			p.Rewind()
			for range rapid.IntRange(0, 2).Draw(t, "topics entered") {
				p.NextTopic()
				p.NextPartition()
			}
			if err := compareForgotten(&p, want); err != nil {
				t.Fatalf("from the middle of the topics: %v", err)
			}
			if p.NextTopic() || p.NextPartition() {
				t.Fatal("topics go on after the forgotten ones")
			}
			if err := compareFetch(&p, want); err != nil {
				t.Fatalf("second reading: %v", err)
			}
		}))
	}
}

func TestFetchViewRefusesPrefixes(t *testing.T) {
	for version := int16(fetchVersionMin); version <= fetchVersionMax; version++ {
		body := fetchBody(version, 2, 2)
		for n := range body {
			var p FetchView
			err := p.Reset(version, body[:n:n])
			if err == nil {
				_, _, err = p.Check()
			}
			if err == nil {
				t.Fatalf("version %d: %d of %d bytes pass", version, n, len(body))
			}
			if p.NextTopic() || p.NextPartition() || p.NextForgotten() || p.NextForgottenIndex() {
				t.Fatalf("version %d: a refused view goes on", version)
			}
		}
	}
}

func TestFetchViewTags(t *testing.T) {
	// No replica field, a wait of 0, least and most bytes 0, no session, no topics, none forgotten, no rack.
	head := join(make([]byte, 4+4+4+1), []byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, []byte{1, 1, 1})
	old := join([]byte{0xff, 0xff, 0xff, 0xff}, head)
	state := []byte{0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0}
	for _, c := range []struct {
		name    string
		version int16
		body    []byte
		want    Fault
		replica model.NodeID
	}{
		{"none", 15, join(head, []byte{0}), FaultNone, -1},
		{"replica state", 15, join(head, []byte{1, 1, 13}, state), FaultNone, 5},
		{"replica state before it existed", 14, join(old, []byte{1, 1, 13}, state), FaultTag, 0},
		{"replica state too long", 15, join(head, []byte{1, 1, 14}, state, []byte{0}), FaultTag, 0},
		{"replica state too short", 15, join(head, []byte{1, 1, 12}, state), FaultShort, 0},
		{"replica state twice", 15, join(head, []byte{2, 1, 13}, make([]byte, 13), []byte{1, 13}, state), FaultNone, 5},
		{"cluster id", 12, join(old, []byte{1, 0, 2, 2, 'c'}), FaultNone, -1},
		{"cluster id longer than its tag", 12, join(old, []byte{1, 0, 2, 3, 'c', 'd'}), FaultLength, 0},
		{"unknown tag", 18, join(head, []byte{1, 42, 3, 1, 2, 3}), FaultNone, -1},
		{"unknown tag past the end", 18, join(head, []byte{1, 42, 4, 1, 2, 3}), FaultLength, 0},
		{"lying tag count", 18, join(head, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 42, 1, 1}), FaultCount, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p FetchView
			if err := p.Reset(c.version, c.body); err != nil {
				t.Fatal(err)
			}
			_, _, err := p.Check()
			if err != c.want.err() {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && p.ReplicaID != c.replica {
				t.Fatalf("replica %d, want %d", p.ReplicaID, c.replica)
			}
		})
	}
}

// Fields that a version lacks have Kafka's defaults.
func TestFetchViewDefaults(t *testing.T) {
	var p FetchView
	if err := p.Reset(4, fetchBody(4, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Check(); err != nil {
		t.Fatal(err)
	}
	p.NextTopic()
	p.NextPartition()
	want := FetchPartition{Offset: 1000, MaxBytes: 1 << 20, CurrentEpoch: -1, LastFetchedEpoch: -1, LogStart: -1, HighWatermark: math.MaxInt64}
	if p.Partition != want {
		t.Fatalf("got %+v, want %+v", p.Partition, want)
	}
	if p.SessionID != 0 || p.SessionEpoch != -1 || p.ReplicaEpoch != -1 || len(p.Rack) != 0 || p.ClusterID != nil {
		t.Fatalf("got %+v", p)
	}
}

func TestFetchViewAllocatesNothing(t *testing.T) {
	for _, version := range []int16{4, 7, 11, 12, 13, 18} {
		body := fetchBody(version, 4, 8)
		var p FetchView
		if n := testing.AllocsPerRun(100, func() { readFetch(&p, version, body) }); n != 0 {
			t.Errorf("version %d: %v allocations", version, n)
		}
		if n := testing.AllocsPerRun(100, func() { readFetch(&p, version, body[:len(body)-3]) }); n != 0 {
			t.Errorf("version %d: %v allocations for a faulty request", version, n)
		}
	}
}

func readFetch(p *FetchView, version int16, body []byte) (offsets model.Offset) {
	if p.Reset(version, body) != nil {
		return 0
	}
	if _, _, err := p.Check(); err != nil {
		return 0
	}
	for p.NextTopic() {
		for p.NextPartition() {
			offsets += p.Partition.Offset
		}
	}
	for p.NextForgotten() {
		for p.NextForgottenIndex() {
			offsets += model.Offset(p.ForgottenIndex())
		}
	}
	return offsets
}

// fetchBody is a plain consumer's request of the given shape.
func fetchBody(version int16, topics, partitions int) []byte {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.Rack = version, 500, 1, 50<<20, "rack-1"
	for i := range topics {
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic = fmt.Sprintf("topic-%d", i)
		topic.TopicID = [16]byte{1, byte(i)}
		forgotten := kmsg.NewFetchRequestForgottenTopic()
		forgotten.Topic, forgotten.TopicID = topic.Topic, topic.TopicID
		for j := range partitions {
			part := kmsg.NewFetchRequestTopicPartition()
			part.Partition, part.FetchOffset, part.PartitionMaxBytes = int32(j), 1000, 1<<20
			topic.Partitions = append(topic.Partitions, part)
			forgotten.Partitions = append(forgotten.Partitions, int32(j))
		}
		req.Topics = append(req.Topics, topic)
		req.ForgottenTopics = append(req.ForgottenTopics, forgotten)
	}
	return req.AppendTo(nil)
}

func FuzzFetchRequest(f *testing.F) {
	for version := int16(fetchVersionMin); version <= fetchVersionMax; version++ {
		f.Add(version, fetchBody(version, 2, 2))
		f.Add(version, fetchBody(version, 0, 0))
		f.Add(version, rapidExample(KeyFetch, version, 1))
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < fetchVersionMin || version > fetchVersionMax || len(body) > stringBytesMax {
			return
		}
		var p FetchView
		err := p.Reset(version, body)
		if err == nil {
			_, _, err = p.Check()
		}
		want := kmsg.NewPtrFetchRequest()
		want.Version = version
		if err != nil {
			if mustRefuse(err.(Fault), version >= fetchFlexible) && want.ReadFrom(body) == nil {
				t.Fatalf("refused with %v, kmsg accepts", err)
			}
			return
		}
		if err := want.ReadFrom(body); err != nil {
			t.Fatalf("accepted, kmsg refuses: %v", err)
		}
		if err := compareFetch(&p, want); err != nil {
			t.Fatal(err)
		}
	})
}

// rapidExample is a drawn request, the same one for the same seed: a corpus with tags in it.
func rapidExample(key, version int16, seed int) []byte {
	return rapid.Custom(func(t *rapid.T) []byte {
		body, _ := drawRequest(t, key, version)
		return body
	}).Example(seed)
}
