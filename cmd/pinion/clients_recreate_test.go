package main_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"pinion/bench/harness"
)

// A topic is deleted and created again under a running consumer, several times. The consumer goes on with the new topic's records,
// all of them, and never sees one of the old topic again. Consumers that know topic ids are told UNKNOWN_TOPIC_ID and look the name up
// anew; those that do not find their offset out of range and start over.
func TestClientsTopicRecreatedUnderAConsumer(t *testing.T) {
	names := kversion.Tip()
	names.SetMaxKeyVersion(0, 12) // Produce, Fetch and Metadata before topic ids
	names.SetMaxKeyVersion(1, 12)
	names.SetMaxKeyVersion(3, 9)
	for _, tc := range []struct {
		name        string
		versions    *kversion.Versions
		generations int
	}{
		{"by id", kversion.Tip(), 3}, // franz-go takes three seconds until it tells its user
		{"by name", names, 6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := harness.Run(t, harness.Config{Shards: 2, Set: []string{"auto.create.topics.enable=false"}})
			recreate(t, b, kgo.MaxVersions(tc.versions), tc.generations)
		})
	}
}

const recreatedPartitions = 3

func recreate(t *testing.T, b *harness.Broker, versions kgo.Opt, generations int) {
	const topic = "phoenix"
	ctx := testContext(t)
	admin := kadm.NewClient(newClient(t, b))
	consumer := newClient(t, b, versions, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(10*time.Millisecond), kgo.MetadataMaxAge(time.Second), kgo.FetchMaxWait(200*time.Millisecond))
	var ids []kadm.TopicID
	for generation := range generations {
		created, err := admin.CreateTopic(ctx, recreatedPartitions, 1, nil, topic)
		if err != nil {
			t.Fatalf("create generation %d: %v", generation, err)
		}
		ids = append(ids, created.ID)
		// Fewer records each time, so that offsets of the older topic are out of range in the newer.
		n := 3000 - 400*generation
		sendGeneration(t, ctx, b, topic, generation, n)
		readGeneration(t, ctx, consumer, topic, generation, n)
		if t.Failed() {
			return
		}
		if err := deleteTopic(ctx, admin, topic); err != nil {
			t.Fatalf("delete generation %d: %v", generation, err)
		}
	}
	for i, id := range ids[1:] {
		if id == ids[i] {
			t.Fatalf("generations %d and %d have the same topic id", i, i+1)
		}
	}
}

func deleteTopic(ctx context.Context, admin *kadm.Client, topic string) error {
	list, err := admin.DeleteTopics(ctx, topic)
	if err != nil {
		return err
	}
	return list.Error()
}

func sendGeneration(t *testing.T, ctx context.Context, b *harness.Broker, topic string, generation, n int) {
	t.Helper()
	p := newClient(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer p.Close()
	var first kgo.FirstErrPromise
	for i := range n {
		p.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i % recreatedPartitions), Value: fmt.Appendf(nil, "%d/%d", generation, i)}, first.Promise())
	}
	if err := first.Err(); err != nil {
		t.Fatalf("produce generation %d: %v", generation, err)
	}
}

// readGeneration reads until all n records of a generation have come, each once and at its offset.
func readGeneration(t *testing.T, ctx context.Context, consumer *kgo.Client, topic string, generation, n int) {
	t.Helper()
	next := [recreatedPartitions]int64{}
	for left := n; left > 0; {
		fetches := consumer.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("generation %d: %d of %d records did not come", generation, left, n)
		}
		lost := false
		fetches.EachError(func(_ string, _ int32, err error) {
			// What is told here is that the topic has been cut; the client starts over by itself.
			var cut *kgo.ErrDataLoss
			if errors.As(err, &cut) {
				return
			}
			// The topic was away, or is another: franz-go leaves it to its user to let go of the old one.
			if !errors.Is(err, kerr.UnknownTopicID) && !errors.Is(err, kerr.UnknownTopicOrPartition) {
				t.Fatalf("generation %d: %v", generation, err)
			}
			lost = true
		})
		fetches.EachRecord(func(r *kgo.Record) {
			want := fmt.Sprintf("%d/%d", generation, int(next[r.Partition])*recreatedPartitions+int(r.Partition))
			if string(r.Value) != want || r.Offset != next[r.Partition] {
				t.Fatalf("partition %d offset %d holds %q, want offset %d and %q", r.Partition, r.Offset, r.Value, next[r.Partition], want)
			}
			next[r.Partition]++
			left--
		})
		if lost {
			consumer.PurgeTopicsFromClient(topic)
			consumer.AddConsumeTopics(topic)
			// What was read before the purge comes again.
			next, left = [recreatedPartitions]int64{}, n
		}
	}
}
