package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
	"pinion/engine/coordinator"
)

// soon has the first members of a group not wait for others: the tests begin many groups.
const soon = "group.initial.rebalance.delay.ms=0"

// groupConsumer is a franz-go consumer that commits what it was handed, by hand.
func groupConsumer(t *testing.T, b *harness.Broker, group, topic string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	return newClient(t, b, append([]kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(200 * time.Millisecond), kgo.SessionTimeout(6 * time.Second),
		kgo.RebalanceTimeout(10 * time.Second), kgo.FetchMaxWait(100 * time.Millisecond)}, opts...)...)
}

// pollRecords polls until it has so many records.
func pollRecords(t *testing.T, ctx context.Context, cl *kgo.Client, n int) (got []*kgo.Record) {
	t.Helper()
	for len(got) < n {
		fetches := cl.PollRecords(ctx, n-len(got))
		if err := fetches.Err0(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(got), n, err)
		}
		fetches.EachError(func(topic string, p int32, err error) { t.Fatalf("%s-%d: %v", topic, p, err) })
		got = append(got, fetches.Records()...)
	}
	return got
}

// A group reads everything once, goes on after its last commit when another consumer of it comes, also through a kill of the broker, and shows in the
// tools for what it is.
func TestClientsGroupGoesOnWhereItCommitted(t *testing.T) {
	for _, mode := range []struct {
		name  string
		cores bool
	}{{"node", false}, {"core", true}} {
		t.Run(mode.name, func(t *testing.T) { groupGoesOn(t, mode.cores) })
	}
}

func groupGoesOn(t *testing.T, cores bool) {
	const records, partitions, group = 1000, 4, "readers"
	port, err := harness.ReserveRun(3) // the listener's and those of two cores
	if err != nil {
		t.Fatal(err)
	}
	defer port.Release()
	config := harness.Config{Dir: t.TempDir(), Port: port.Number, Shards: 2, Cores: cores, Set: []string{soon}}
	b := harness.Run(t, config)
	ctx := testContext(t)
	createTopic(t, b, "numbers", partitions, nil)
	produceTest(t, b, "numbers", 0, records, partitions)
	seen := map[string]int{}
	take := func(cl *kgo.Client, n int) {
		t.Helper()
		got := pollRecords(t, ctx, cl, n)
		for _, r := range got {
			seen[fmt.Sprintf("%d@%d", r.Partition, r.Offset)]++
		}
		if err := cl.CommitRecords(ctx, got...); err != nil {
			t.Fatalf("commit: %v", err)
		}
	}
	first := groupConsumer(t, b, group, "numbers")
	take(first, records/4)
	admin := kadm.NewClient(newClient(t, b))
	described, err := admin.DescribeGroups(ctx, group)
	if err != nil || described[group].State != "Stable" || len(described[group].Members) != 1 || described[group].ProtocolType != "consumer" {
		t.Fatalf("described as %+v, %v", described, err)
	}
	listed, err := admin.ListGroups(ctx)
	if err != nil || !slices.Equal(listed.Groups(), []string{group}) {
		t.Fatalf("listed as %+v, %v", listed, err)
	}
	behind := int64(0) // of the partitions it has committed something for
	committed, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		t.Fatal(err)
	}
	committed.Each(func(o kadm.OffsetResponse) { behind += records/partitions - o.At })
	checkMetrics(t, b, "/metrics", "kafka_consumergroup_members{consumergroup=\"readers\"} 1\n",
		fmt.Sprintf("kafka_consumergroup_current_offset_sum{consumergroup=\"readers\",topic=\"numbers\"} %d\n", records/4),
		fmt.Sprintf("kafka_consumergroup_lag_sum{consumergroup=\"readers\",topic=\"numbers\"} %d\n", behind), "pinion_groups 1\n")
	checkMetrics(t, b, "/metrics/partitions", "kafka_consumergroup_lag{consumergroup=\"readers\",topic=\"numbers\",partition=\"")
	first.Close() // which leaves
	second := groupConsumer(t, b, group, "numbers")
	take(second, records/4)
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	b = harness.Run(t, config)
	take(second, records/4)
	second.Close()
	third := groupConsumer(t, b, group, "numbers")
	take(third, records/4)
	third.Close()
	if len(seen) != records {
		t.Errorf("%d different records of %d", len(seen), records)
	}
	for at, n := range seen {
		if n > 1 {
			t.Errorf("%s was handed out %d times", at, n)
		}
	}
	admin = kadm.NewClient(newClient(t, b))
	lag, err := admin.Lag(ctx, group)
	if err != nil || lag[group].State != "Empty" || lag[group].Lag.Total() != 0 {
		t.Errorf("lag %+v, %v", lag, err)
	}
	if deleted, err := admin.DeleteGroups(ctx, group); err != nil || deleted.Error() != nil {
		t.Errorf("delete: %v, %v", deleted.Error(), err)
	}
	if offsets, err := admin.FetchOffsets(ctx, group); err != nil || len(offsets) != 0 {
		t.Errorf("offsets of a group that was deleted: %+v, %v", offsets, err)
	}
}

// checkMetrics wants lines on a page of the admin server.
func checkMetrics(t *testing.T, b *harness.Broker, page string, lines ...string) {
	t.Helper()
	resp, err := http.Get(b.Admin + page)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if !strings.Contains(string(text), line) {
			t.Errorf("%s does not say %q", page, line)
		}
	}
}

// The partition that keeps a group moves from shard to shard while the group reads and commits. Nothing is read twice, nothing is lost, and with cores
// as brokers the members find who coordinates them by then.
func TestClientsGroupFollowsItsCoordinator(t *testing.T) {
	for _, cores := range []bool{false, true} {
		t.Run(fmt.Sprintf("cores %v", cores), func(t *testing.T) {
			const records, steps, partitions, group = 600, 12, 2, "movers"
			b := harness.Run(t, harness.Config{Shards: 2, Cores: cores, Set: []string{soon}})
			ctx := testContext(t)
			createTopic(t, b, "numbers", partitions, nil)
			produceTest(t, b, "numbers", 0, records, partitions)
			cl := groupConsumer(t, b, group, "numbers", kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
			seen := map[string]int{}
			kept := int(coordinator.Place(group, 50))
			for step := range steps {
				got := pollRecords(t, ctx, cl, records/steps)
				for _, r := range got {
					seen[fmt.Sprintf("%d@%d", r.Partition, r.Offset)]++
				}
				move(t, b, coordinator.Topic, kept, step%2)
				until(t, "committed", func() bool { return cl.CommitRecords(ctx, got...) == nil })
			}
			offsets, err := kadm.NewClient(newClient(t, b)).FetchOffsets(ctx, group)
			if err != nil || len(seen) != records {
				t.Fatalf("%d different records of %d, %v", len(seen), records, err)
			}
			for p := range int32(partitions) {
				if o, ok := offsets.Lookup("numbers", p); !ok || o.At != records/partitions {
					t.Errorf("partition %d is committed at %+v", p, o)
				}
			}
			for at, n := range seen {
				if n > 1 {
					t.Errorf("%s was handed out %d times", at, n)
				}
			}
		})
	}
}
