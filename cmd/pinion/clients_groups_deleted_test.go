package main_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"pinion/bench/harness"
)

// What a group has committed of a topic goes with the topic: it is not there for another of the same name, in no life of the broker, and what
// the group has committed of other topics stays.
func TestClientsOffsetsGoWithTheirTopic(t *testing.T) {
	const group = "readers"
	port, err := harness.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer port.Release()
	config := harness.Config{Dir: t.TempDir(), Port: port.Number, Shards: 2, Set: []string{soon}}
	b := harness.Run(t, config)
	ctx := testContext(t)
	admin := kadm.NewClient(newClient(t, b))
	createTopic(t, b, "deleted", 2, nil)
	createTopic(t, b, "kept", 1, nil)
	var offsets kadm.Offsets
	offsets.AddOffset("deleted", 0, 5, -1)
	offsets.AddOffset("deleted", 1, 6, -1)
	offsets.AddOffset("kept", 0, 7, -1)
	if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.DeleteTopic(ctx, "deleted"); err != nil {
		t.Fatal(err)
	}
	waitOffsets(t, ctx, admin, group)
	createTopic(t, b, "deleted", 2, nil)
	admin = kadm.NewClient(newClient(t, b)) // one that knows the id of the new topic
	if got := offsetsHeld(t, ctx, admin, group); got != 1 {
		t.Errorf("%d offsets are kept with the new topic, want 1", got)
	}
	// As after a power cut between the deletion and its records: a second deletion, and the end at once.
	var again kadm.Offsets
	again.AddOffset("deleted", 1, 8, -1)
	if err := admin.CommitAllOffsets(ctx, group, again); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.DeleteTopic(ctx, "deleted"); err != nil {
		t.Fatal(err)
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	b = harness.Run(t, config)
	admin = kadm.NewClient(newClient(t, b))
	createTopic(t, b, "deleted", 2, nil)
	fetched, err := admin.FetchOffsetsForTopics(ctx, group, "deleted", "kept")
	if err != nil || fetched.Error() != nil {
		t.Fatal(err, fetched.Error())
	}
	for _, p := range []int32{0, 1} {
		if at := fetched["deleted"][p].At; at != -1 {
			t.Errorf("deleted-%d begins at %d", p, at)
		}
	}
	if at := fetched["kept"][0].At; at != 7 {
		t.Errorf("kept-0 begins at %d", at)
	}
}

// offsetsHeld is how many offsets a group has.
func offsetsHeld(t *testing.T, ctx context.Context, admin *kadm.Client, group string) (n int) {
	t.Helper()
	held, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		t.Fatal(err)
	}
	held.Each(func(kadm.OffsetResponse) { n++ })
	return n
}

// waitOffsets waits until a group has one offset left: the deletion of a topic is answered before what groups have of it is gone.
func waitOffsets(t *testing.T, ctx context.Context, admin *kadm.Client, group string) {
	t.Helper()
	for offsetsHeld(t, ctx, admin, group) != 1 {
		select {
		case <-ctx.Done():
			t.Fatalf("the group still has %d offsets", offsetsHeld(t, context.Background(), admin, group))
		case <-time.After(5 * time.Millisecond):
		}
	}
}
