package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
	"pinion/engine/coordinator"
)

// Groups whose partition is damaged are refused as Kafka refuses them, NOT_COORDINATOR, and not put off for ever as being loaded; others are served.
func TestDamageOfGroups(t *testing.T) {
	const partitions = 4
	config := harness.Config{Dir: t.TempDir(), Shards: 2, Set: []string{fmt.Sprintf("offsets.topic.num.partitions=%d", partitions)}}
	b := harness.Run(t, config)
	createTopic(t, b, "numbers", 1, nil)
	admin := kadm.NewClient(newClient(t, b))
	groups := map[int32]string{} // one in each partition
	for i := 0; len(groups) < partitions; i++ {
		name := fmt.Sprintf("group-%d", i)
		groups[coordinator.Place(name, partitions)] = name
	}
	for _, name := range groups {
		for at := range int64(3) {
			var offsets kadm.Offsets
			offsets.AddOffset("numbers", 0, at, -1)
			if err := admin.CommitAllOffsets(testContext(t), name, offsets); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.MustStop(t)
	// A header that leads nowhere is met when the log is opened, a changed record when it is read.
	const header, record = 0, 1
	for partition, at := range map[int32]int64{header: 8, record: 100} {
		name := filepath.Join(config.Dir, fmt.Sprintf("%s-%d", coordinator.Topic, partition), fmt.Sprintf("%020d.log", 0))
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0x7f, 0x55, 0x55, 0x55}, at); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b = harness.Run(t, config)
	cl := newClient(t, b)
	ask := func(name string) error { // of the broker itself: the client's own routing would try again
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID = name, "nobody"
		raw, err := cl.Broker(1).Request(testContext(t), req)
		if err != nil {
			t.Fatal(err)
		}
		return kerr.ErrorForCode(raw.(*kmsg.HeartbeatResponse).ErrorCode)
	}
	for partition, name := range groups {
		want := error(kerr.UnknownMemberID)
		if partition == header || partition == record {
			want = kerr.NotCoordinator
		}
		begun := time.Now()
		for err := ask(name); err != want; err = ask(name) {
			if time.Since(begun) > clientsMax {
				t.Fatalf("partition %d, %s: answered with %v, want %v", partition, name, err, want)
			}
			time.Sleep(5 * time.Millisecond) // it is being read
		}
	}
}
