package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
)

// The partitions of groups are read as soon as there are any, and not when they are asked for the first time: that ended in "load in progress", which
// clients that list groups do not ask again after.
func TestClientsListGroupsOnceThereAreAny(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 2})
	ctx, cl := testContext(t), newClient(t, b, kgo.RequestRetries(0))
	admin := kadm.NewClient(cl)
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "read"); err != nil {
		t.Fatal(err)
	}
	var offsets kadm.Offsets
	offsets.AddOffset("read", 0, 0, -1)
	if err := kadm.NewClient(newClient(t, b)).CommitAllOffsets(ctx, "readers", offsets); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(asked(t, b, "/metrics"), "\npinion_group_partitions_loading 0\n"); time.Sleep(10 * time.Millisecond) { // nobody tells when they are read
		if time.Now().After(deadline) {
			t.Fatal("the partitions of groups are still being read")
		}
	}
	answer, err := cl.Broker(1).Request(ctx, kmsg.NewPtrListGroupsRequest())
	if err != nil {
		t.Fatal(err)
	}
	list := answer.(*kmsg.ListGroupsResponse)
	if list.ErrorCode != 0 || len(list.Groups) != 1 || list.Groups[0].Group != "readers" {
		t.Errorf("listed: error %d, %v", list.ErrorCode, list.Groups)
	}
}
