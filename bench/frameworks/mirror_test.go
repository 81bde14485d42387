package frameworks

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// mirrorSettings are MirrorMaker's: both ways between two clusters, groups too, and as soon as it can.
const mirrorSettings = `clusters=kafka,pinion
kafka.bootstrap.servers=%s
pinion.bootstrap.servers=%s
kafka->pinion.enabled=true
pinion->kafka.enabled=true
topics=from-.*
groups=readers-.*
tasks.max=2
replication.factor=1
checkpoints.topic.replication.factor=1
heartbeats.topic.replication.factor=1
offset-syncs.topic.replication.factor=1
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
sync.group.offsets.enabled=true
offset.lag.max=0
emit.checkpoints.interval.seconds=1
sync.group.offsets.interval.seconds=1
refresh.topics.interval.seconds=1
refresh.groups.interval.seconds=1
dedicated.mode.enable.internal.rest=false
`

const (
	mirrorRecords    = 300
	mirrorPartitions = 2
)

// MirrorMaker carries topics from Apache Kafka to Pinion and back: every record is there, in its order, with key, headers and time, and the
// offsets of groups, translated.
func TestMirrorMakerCarriesTopicsAndGroups(t *testing.T) {
	if !long {
		t.Skip("it takes a minute; `make frameworks` runs it")
	}
	jars := wantJars(t)
	kafka, pinion := startKafka(t), startPinion(t)
	written := map[string][]*kgo.Record{}
	for _, s := range []side{kafka, pinion} {
		written[s.name] = s.writeMirrored(t)
	}
	settings := filepath.Join(t.TempDir(), "mirror.properties")
	if err := os.WriteFile(settings, fmt.Appendf(nil, mirrorSettings, kafka.addr, pinion.addr), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := Java(filepath.Join(jars, "*"), []string{warnings}, "org.apache.kafka.connect.mirror.MirrorMaker", settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	for _, way := range []struct{ from, to side }{{kafka, pinion}, {pinion, kafka}} {
		way.to.wantMirrored(t, way.from, written[way.from.name])
	}
	t.Logf("mirror: %d records each way, and the offsets of a group", mirrorRecords)
}

// mirroredFrom is the topic of a side that the other one gets, and the group that reads it.
func (s side) mirroredFrom() (topic, group string) {
	return "from-" + s.lower(), "readers-" + s.lower()
}

func (s side) lower() string { return string(bytes.ToLower([]byte(s.name))) }

// writeMirrored writes a topic and commits: everything of partition 0, a third of partition 1.
func (s side) writeMirrored(t *testing.T) (records []*kgo.Record) {
	t.Helper()
	ctx := testContext(t)
	topic, group := s.mirroredFrom()
	cl := newClient(t, s, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	admin := kadm.NewClient(cl)
	if _, err := admin.CreateTopic(ctx, mirrorPartitions, 1, map[string]*string{"retention.ms": kadm.StringPtr("-1")}, topic); err != nil {
		t.Fatal(err)
	}
	for i := range mirrorRecords {
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(i % mirrorPartitions), Key: fmt.Appendf(nil, "key %d", i),
			Value: fmt.Appendf(nil, "%s %d", s.name, i), Headers: []kgo.RecordHeader{{Key: "number", Value: fmt.Append(nil, i)}},
			Timestamp: time.UnixMilli(orderTime + int64(i))})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, mirrorRecords/mirrorPartitions, -1)
	offsets.AddOffset(topic, 1, mirrorRecords/mirrorPartitions/3, -1)
	if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	return records
}

// mirrorMax bounds what MirrorMaker takes to begin and to carry: it looks once a second.
const mirrorMax = 3 * time.Minute

// wantMirrored waits until a side has the other's topic under its mirrored name, and compares.
func (s side) wantMirrored(t *testing.T, from side, written []*kgo.Record) {
	t.Helper()
	source, group := from.mirroredFrom()
	topic := from.lower() + "." + source
	ctx, cancel := context.WithTimeout(t.Context(), mirrorMax)
	defer cancel()
	admin := kadm.NewClient(newClient(t, s))
	for { // whoever subscribes creates the topic, which is MirrorMaker's to do
		topics, err := admin.ListTopics(ctx, topic)
		if err == nil && len(topics[topic].Partitions) == mirrorPartitions {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s has no topic %s: %v", s.name, topic, err)
		case <-time.After(lookPause):
		}
	}
	reader := newClient(t, s, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	got := map[int32][]*kgo.Record{}
	for n := 0; n < len(written); {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%s: %d of %d records of %s: %v", s.name, n, len(written), topic, err)
		}
		for _, r := range fetches.Records() {
			got[r.Partition] = append(got[r.Partition], r)
			n++
		}
	}
	for i, w := range written {
		r := got[w.Partition][i/mirrorPartitions]
		if !bytes.Equal(r.Key, w.Key) || !bytes.Equal(r.Value, w.Value) || !r.Timestamp.Equal(w.Timestamp) ||
			len(r.Headers) != 1 || r.Headers[0].Key != "number" || !bytes.Equal(r.Headers[0].Value, w.Headers[0].Value) {
			t.Fatalf("%s: record %d of %s is %q: %q at %v, headers %v", s.name, i, topic, r.Key, r.Value, r.Timestamp, r.Headers)
		}
	}
	// A translated offset is never beyond what was read, and for what was read to the end it is the end.
	end, third := int64(mirrorRecords/mirrorPartitions), int64(mirrorRecords/mirrorPartitions/3)
	for {
		held, err := admin.FetchOffsets(ctx, group)
		if err == nil {
			at, ok := held[topic]
			if ok && at[0].At == end && at[1].At > 0 && at[1].At <= third {
				return
			}
			if ok && (at[0].At > end || at[1].At > third) {
				t.Fatalf("%s: group %s is at %d and %d of %s, having read %d and %d", s.name, group, at[0].At, at[1].At, topic, end, third)
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: the offsets of group %s are %v, %v", s.name, group, held, err)
		case <-time.After(lookPause):
		}
	}
}
