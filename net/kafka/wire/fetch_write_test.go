package wire

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"pinion/engine/model"
)

type fetchTopic struct {
	name  string
	id    model.TopicID
	parts []FetchResult
	spans [][]byte // records, one per partition
}

// writeFetch builds the response and puts the pieces together as a socket would see them.
func writeFetch(dst []byte, version int16, correlation int32, head FetchHead, topics []fetchTopic, nodes []Endpoint) []byte {
	var w FetchWriter
	var cuts []int
	var spans [][]byte
	start := len(dst)
	w.Start(dst, version, correlation, head, len(topics))
	for i := range topics {
		if i%2 == 0 {
			w.Topic([]byte(topics[i].name), topics[i].id, len(topics[i].parts))
		} else {
			w.TopicNamed(topics[i].name, topics[i].id, len(topics[i].parts))
		}
		for j := range topics[i].parts {
			cuts = append(cuts, w.Partition(&topics[i].parts[j], len(topics[i].spans[j])))
			spans = append(spans, topics[i].spans[j])
		}
	}
	buf := w.Finish(nodes)
	var sent []byte
	at := start
	for i, cut := range cuts {
		sent = append(append(sent, buf[at:cut]...), spans[i]...)
		at = cut
	}
	return append(sent, buf[at:]...)
}

func oracleFetch(version int16, head FetchHead, topics []fetchTopic, nodes []Endpoint) *kmsg.FetchResponse {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version, resp.ThrottleMillis, resp.ErrorCode, resp.SessionID = version, head.ThrottleMs, int16(head.Code), head.SessionID
	for _, topic := range topics {
		t := kmsg.NewFetchResponseTopic()
		t.Topic, t.TopicID = topic.name, topic.id
		for i := range topic.parts {
			t.Partitions = append(t.Partitions, oracleFetchResult(version, &topic.parts[i], topic.spans[i]))
		}
		resp.Topics = append(resp.Topics, t)
	}
	for _, n := range nodes {
		if version >= fetchLeaderHints {
			b := kmsg.NewFetchResponseBroker()
			b.NodeID, b.Host, b.Port, b.Rack = int32(n.Node), n.Host, n.Port, optional(n.Rack)
			resp.Brokers = append(resp.Brokers, b)
		}
	}
	return resp
}

func oracleFetchResult(version int16, p *FetchResult, records []byte) kmsg.FetchResponseTopicPartition {
	q := kmsg.NewFetchResponseTopicPartition()
	q.Partition, q.ErrorCode, q.HighWatermark, q.LastStableOffset = p.Index, int16(p.Code), int64(p.HighWatermark), int64(p.LastStable)
	q.LogStartOffset, q.RecordBatches = int64(p.LogStart), records
	if p.Aborted != nil {
		q.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	}
	for _, a := range p.Aborted {
		b := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
		b.ProducerID, b.FirstOffset = a.ProducerID, int64(a.FirstOffset)
		q.AbortedTransactions = append(q.AbortedTransactions, b)
	}
	if p.Preferred.Known {
		q.PreferredReadReplica = int32(p.Preferred.Node)
	}
	if version >= fetchFlexible && p.Diverging.Known {
		q.DivergingEpoch.Epoch, q.DivergingEpoch.EndOffset = int32(p.Diverging.Epoch), int64(p.Diverging.End)
	}
	if version >= fetchFlexible && p.Leader.Known {
		q.CurrentLeader.LeaderID, q.CurrentLeader.LeaderEpoch = int32(p.Leader.Node), int32(p.Leader.Epoch)
	}
	return q
}

func TestFetchWriterMatchesKmsg(t *testing.T) {
	for version := int16(fetchVersionMin); version <= fetchVersionMax; version++ {
		t.Run(fmt.Sprint(version), rapid.MakeCheck(func(t *rapid.T) {
			topics := rapid.SliceOfN(drawFetchTopic(), 0, 3).Draw(t, "topics")
			nodes := rapid.SliceOfN(drawEndpoint(), 0, 3).Draw(t, "nodes")
			correlation := rapid.Int32().Draw(t, "correlation")
			before := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "before")
			head := FetchHead{
				ThrottleMs: rapid.Int32().Draw(t, "throttle"),
				Code:       ErrorCode(rapid.Int16().Draw(t, "code")),
				SessionID:  rapid.Int32().Draw(t, "session"),
			}
			frame := writeFetch(before, version, correlation, head, topics, nodes)
			body, err := openFrame(frame, correlation, version >= fetchFlexible)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(oracleFetch(version, head, topics, nodes).AppendTo(nil), body); diff != "" {
				t.Fatalf("bytes (-kmsg +ours):\n%s", diff)
			}
			read := kmsg.NewPtrFetchResponse()
			read.Version = version
			if err := read.ReadFrom(body); err != nil {
				t.Fatal(err)
			}
		}))
	}
}

func drawFetchTopic() *rapid.Generator[fetchTopic] {
	return rapid.Custom(func(t *rapid.T) fetchTopic {
		topic := fetchTopic{
			name:  rapid.StringN(0, 30, 249).Draw(t, "name"),
			id:    drawTopicID(t),
			parts: rapid.SliceOfN(drawFetchResult(), 0, 3).Draw(t, "partitions"),
		}
		for range topic.parts {
			topic.spans = append(topic.spans, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "records"))
		}
		return topic
	})
}

func drawFetchResult() *rapid.Generator[FetchResult] {
	return rapid.Custom(func(t *rapid.T) FetchResult {
		p := FetchResult{
			Index:         rapid.Int32().Draw(t, "index"),
			Code:          ErrorCode(rapid.Int16().Draw(t, "code")),
			HighWatermark: model.Offset(rapid.Int64().Draw(t, "high")),
			LastStable:    model.Offset(rapid.Int64().Draw(t, "stable")),
			LogStart:      model.Offset(rapid.Int64().Draw(t, "log start")),
			Preferred:     ReplicaHint{Known: rapid.Bool().Draw(t, "preferred"), Node: model.BrokerID(rapid.Int32().Draw(t, "replica"))},
			Diverging: DivergingEpoch{
				Known: rapid.Bool().Draw(t, "diverging"),
				Epoch: model.Epoch(rapid.Int32Range(0, 1<<30).Draw(t, "epoch")),
				End:   model.Offset(rapid.Int64Range(0, 1<<60).Draw(t, "end")),
			},
			Leader: drawLeader(t),
		}
		if rapid.Bool().Draw(t, "aborted") {
			p.Aborted = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) AbortedTxn {
				return AbortedTxn{ProducerID: rapid.Int64().Draw(t, "producer"), FirstOffset: model.Offset(rapid.Int64().Draw(t, "first"))}
			}), 0, 3).Draw(t, "aborted")
			slices.SortFunc(p.Aborted, compareAborted)
		}
		return p
	})
}

// FetchRoom must hold for the fullest partition of every version, or a shard's reservation would be too small.
func TestFetchRoomIsEnough(t *testing.T) {
	full := FetchResult{Preferred: ReplicaHint{Known: true}, Diverging: DivergingEpoch{Known: true}, Leader: LeaderHint{Known: true}}
	name := string(make([]byte, 249))
	for version := int16(fetchVersionMin); version <= fetchVersionMax; version++ {
		for _, count := range []int{0, 1, 300} {
			var w FetchWriter
			w.Start(nil, version, 1, FetchHead{}, count)
			for range count {
				w.TopicNamed(name, model.TopicID{}, 3)
				for range 3 {
					w.Partition(&full, 1<<20)
				}
			}
			if n, room := len(w.Finish(nil)), FetchRoom(count, count*len(name), count*3); n > room {
				t.Errorf("version %d, %d topics: %d bytes, room for %d", version, count, n, room)
			}
		}
	}
}

func TestFetchWriterAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 64<<10)
	for version := int16(fetchVersionMin); version <= fetchVersionMax; version++ {
		if n := testing.AllocsPerRun(100, func() { buf = fillFetch(buf[:0], version) }); n != 0 {
			t.Errorf("version %d: %v allocations", version, n)
		}
	}
}

var someAborted = []AbortedTxn{{ProducerID: 1, FirstOffset: 2}}

// fillFetch answers eight partitions, one of them with a leader elsewhere.
func fillFetch(buf []byte, version int16) []byte {
	var w FetchWriter
	w.Start(buf, version, 77, FetchHead{SessionID: 9}, 2)
	for range 2 {
		w.Topic(someName, model.TopicID{1}, 4)
		for i := range int32(4) {
			p := FetchResult{Index: i, HighWatermark: 1000, LastStable: 1000, Aborted: someAborted}
			if i == 3 {
				p = FetchResult{Index: i, Code: CodeFencedLeaderEpoch, HighWatermark: -1, LastStable: -1, LogStart: -1,
					Leader: LeaderHint{Known: true, Node: 2, Epoch: 5}}
			}
			w.Partition(&p, 100)
		}
	}
	return w.Finish(someNodes)
}
