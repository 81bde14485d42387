package main_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// workGroup has two members share a topic: the first reads all of it and commits, the second joins and takes its part, both hear of that by
// heartbeats, the first leaves and the second goes on alone. Every request of the classic protocol is in it.
func workGroup(t *testing.T, ctx context.Context, r *versionRow) {
	const n, partitions = 40, 2
	r.create(t, partitions)
	produceTest(t, r.b, r.topic, 0, n, partitions)
	var owned [2]atomic.Int32 // partitions of each member
	member := func(i int) *kgo.Client {
		add := func(sign int32) func(context.Context, *kgo.Client, map[string][]int32) {
			return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
				owned[i].Add(sign * int32(len(topics[r.topic])))
			}
		}
		return r.pinned(kgo.ConsumerGroup(r.topic), kgo.ConsumeTopics(r.topic), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.HeartbeatInterval(100*time.Millisecond), kgo.Balancers(kgo.RangeBalancer()), kgo.OnPartitionsAssigned(add(1)), kgo.OnPartitionsRevoked(add(-1)),
			kgo.OnPartitionsLost(add(-1)))
	}
	first := member(0)
	if err := first.CommitRecords(ctx, pollRecords(t, ctx, first, n)...); err != nil {
		t.Fatalf("commit: %v", err)
	}
	second := member(1)
	go second.PollFetches(ctx) // a poll that is under way takes part in rebalances
	shared := func(of, other int32) func() bool {
		return func() bool { return owned[0].Load() == of && owned[1].Load() == other }
	}
	until(t, "the members share", func() bool {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		first.PollFetches(short)
		return shared(1, 1)()
	})
	first.Close()
	until(t, "the second has it all", shared(0, partitions))
	offsets, err := kadm.NewClient(r.free).FetchOffsets(ctx, r.topic)
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(partitions) {
		if o, ok := offsets.Lookup(r.topic, p); !ok || o.At != n/partitions {
			t.Errorf("partition %d is committed at %+v", p, o)
		}
	}
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// commitAlone stores offsets of a group without members.
func (r *versionRow) commitAlone(t *testing.T, ctx context.Context, group string) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(r.topic, 0, 7, -1)
	offsets.AddOffset(r.topic, 1, 8, -1)
	if err := kadm.NewClient(r.free).CommitAllOffsets(ctx, group, offsets); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// workFindCoordinator finds who coordinates a group, and that nobody coordinates transactions.
func workFindCoordinator(t *testing.T, ctx context.Context, r *versionRow) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorKeys = r.topic, []string{r.topic}
	resp, err := req.RequestWith(ctx, r.pinned())
	if err != nil {
		t.Fatal(err)
	}
	found := kmsg.FindCoordinatorResponseCoordinator{NodeID: resp.NodeID, Host: resp.Host, Port: resp.Port, ErrorCode: resp.ErrorCode}
	if r.version >= 4 {
		if len(resp.Coordinators) != 1 || resp.Coordinators[0].Key != r.topic {
			t.Fatalf("answered %+v", resp)
		}
		found = resp.Coordinators[0]
	}
	if found.ErrorCode != 0 || found.NodeID != 1 || found.Port == 0 {
		t.Errorf("coordinator %+v", found)
	}
}

func workDescribeGroups(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 2)
	r.commitAlone(t, ctx, r.topic)
	admin := kadm.NewClient(r.pinned())
	groups, err := admin.DescribeGroups(ctx, r.topic, r.topic+"-missing")
	if err != nil || groups[r.topic].State != "Empty" || groups[r.topic].Err != nil {
		t.Fatalf("described as %+v, %v", groups, err)
	}
	missing := groups[r.topic+"-missing"]
	if missing.State != "Dead" || (r.version >= 6) != errors.Is(missing.Err, kerr.GroupIDNotFound) {
		t.Errorf("a group that is not there: %+v", missing)
	}
}

func workListGroups(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 2)
	r.commitAlone(t, ctx, r.topic)
	admin := kadm.NewClient(r.pinned())
	groups, err := admin.ListGroups(ctx)
	if _, ok := groups[r.topic]; err != nil || !ok {
		t.Fatalf("%+v, %v", groups, err)
	}
	if r.version >= 4 {
		if groups, err = admin.ListGroups(ctx, "Stable"); err != nil || len(groups) != 0 {
			t.Errorf("stable groups: %+v, %v", groups, err)
		}
	}
}

func workDeleteGroups(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 2)
	r.commitAlone(t, ctx, r.topic)
	admin := kadm.NewClient(r.pinned())
	if deleted, err := admin.DeleteGroup(ctx, r.topic); err != nil || deleted.Err != nil {
		t.Fatalf("%+v, %v", deleted, err)
	}
	if _, err := admin.DeleteGroup(ctx, r.topic); !errors.Is(err, kerr.GroupIDNotFound) {
		t.Errorf("deleted again: %v", err)
	}
}

func workOffsetDelete(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 2)
	r.commitAlone(t, ctx, r.topic)
	admin := kadm.NewClient(r.pinned())
	gone := kadm.TopicsSet{}
	gone.Add(r.topic, 0)
	if deleted, err := admin.DeleteOffsets(ctx, r.topic, gone); err != nil || deleted.Error() != nil {
		t.Fatalf("%+v, %v", deleted, err)
	}
	offsets, err := admin.FetchOffsets(ctx, r.topic)
	if err != nil || len(offsets[r.topic]) != 1 || offsets[r.topic][1].At != 8 {
		t.Errorf("left: %+v, %v", offsets, err)
	}
}
