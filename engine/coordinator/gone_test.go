package coordinator

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/group"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// TestForgetsWhatCouldNotBeStored: of two topics that were deleted while the disk was full, one after the other, the offsets go when there is room.
func TestForgetsWhatCouldNotBeStored(t *testing.T) {
	r := newRig(t)
	ids := map[string]model.TopicID{"first": {1}, "second": {2}}
	edit := r.image.Load().Edit()
	for topic, id := range ids {
		edit.AddTopic(topic, id, false, nil, []*placement.Partition{{Leader: 1, Replicas: []placement.Replica{{Node: 1, Shard: only}}, ISR: []model.NodeID{1}}})
	}
	r.image.Store(edit.Freeze(2))
	r.load()
	r.offset("g", "first") // everything is read
	for topic := range ids {
		if code := r.commit("g", topic, 5); code != group.OK {
			t.Fatalf("commit: code %d", code)
		}
	}
	// The removals wait for space that there is none of.
	asked, open := make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	r.disk.Fail(func(op faulty.Op, path string) error {
		if op != faulty.Reserve || !strings.HasSuffix(path, segment) {
			return nil
		}
		if held.CompareAndSwap(false, true) {
			close(asked)
		}
		<-open
		return device.ErrNoSpace
	})
	for more := 20; more > 0; {
		r.begin(&group.Commit{Common: group.Common{Group: "other"}, Generation: -1, Retention: -1, Topics: []group.CommitTopic{{Topic: "other",
			Partitions: []group.CommitPartition{{Offset: 6, Epoch: -1, Metadata: strings.Repeat("m", 4000)}}}}})
		select {
		case <-asked: // what was reserved before is used up first
			more--
		default:
		}
	}
	revision := model.Revision(2)
	drop := func(topics ...string) {
		for _, topic := range topics {
			edit := r.image.Load().Edit()
			edit.RemoveTopic(r.image.Load().TopicByID(ids[topic]))
			revision++
			r.image.Store(edit.Freeze(revision))
		}
		r.on(func(turn *shard.Turn) { r.set.seats[0].forget(turn) })
	}
	drop("first")
	drop("second")
	close(open)
	settled := func() {
		for home := false; !home; {
			r.on(func(*shard.Turn) { home = r.set.seats[0].sent.first == nil })
		}
	}
	settled()
	r.disk.Fail(nil)
	drop()
	settled()
	for topic := range ids {
		if got := r.offset("g", topic); got != -1 {
			t.Errorf("offset %d of %s, which is gone", got, topic)
		}
	}
}

// TestForgetsOffsetsOfATopicThatWasMadeAgain: whose offset it is was not written by every broker. It goes with the topic that had the name, though
// another has it by the time somebody looks.
func TestForgetsOffsetsOfATopicThatWasMadeAgain(t *testing.T) {
	r := newRig(t)
	put := func(edit *placement.Draft, id model.TopicID) {
		edit.AddTopic("topic", id, false, nil, []*placement.Partition{{Leader: 1, Replicas: []placement.Replica{{Node: 1, Shard: only}}, ISR: []model.NodeID{1}}})
	}
	edit := r.image.Load().Edit()
	put(edit, model.TopicID{1})
	r.image.Store(edit.Freeze(2))
	r.write(plain(offsetOf("g", "topic", 5), offsetOf("g", "other", 6)))
	r.load()
	if got := r.offset("g", "topic"); got != 5 {
		t.Fatalf("offset %d", got)
	}
	edit = r.image.Load().Edit()
	edit.RemoveTopic(r.image.Load().TopicCalled("topic"))
	put(edit, model.TopicID{2})
	r.image.Store(edit.Freeze(3))
	r.on(func(t *shard.Turn) { r.set.seats[0].forget(t) })
	for end := time.Now().Add(patience); r.offset("g", "topic") != -1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the offset is there still")
		}
	}
	if got := r.offset("g", "other"); got != 6 {
		t.Errorf("offset %d of a topic the catalogue has never known", got)
	}
}
