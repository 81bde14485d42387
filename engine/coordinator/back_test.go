package coordinator

import (
	"testing"
	"time"

	"pinion/engine/group"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// publish has the newest image say that a shard has the partition. Nobody hears of it.
func (r *rig) publish(to model.ShardID) {
	edit := r.image.Load().Edit()
	topic := r.image.Load().TopicByID(name.Topic)
	place := *topic.Partition(name.Index)
	place.Replicas = []placement.Replica{{Node: 1, Shard: to}}
	edit.SetPartition(topic, name.Index, &place)
	r.image.Store(edit.Freeze(r.image.Load().Revision() + 1))
}

// move is publish that the partitions hear of, and the coordinator not yet.
func (r *rig) move(to model.ShardID) {
	r.t.Helper()
	r.publish(to)
	r.on(func(t *shard.Turn) { r.parts.Changed(t, r.image.Load(), []model.TopicID{name.Topic}) })
}

// TestPartitionThatCameBack: a coordinator that does not look before the partition is back reads again what was committed elsewhere meanwhile.
func TestPartitionThatCameBack(t *testing.T) {
	r := newRig(t)
	r.load()
	if code := r.commit("g", "topic", 1); code != group.OK {
		t.Fatalf("commit: code %d", code)
	}
	r.move(only + 1)
	for end, here := time.Now().Add(patience), true; here; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the partition does not leave")
		}
		r.on(func(t *shard.Turn) { _, here = r.parts.Since(t, name) })
	}
	r.move(only)
	r.write(plain(offsetOf("g", "topic", 2))) // by the owner in between, as far as the coordinator can know
	if got := r.offset("g", "topic"); got != 2 {
		t.Errorf("offset %d, and 2 was committed last", got)
	}
	if code := r.commit("g", "topic", 3); code != group.OK {
		t.Errorf("commit after it: code %d", code)
	}
}
