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

// TestSeatThatCameBack: a coordinator that looks while the partition is elsewhere, and whose partition does not, waits for what it appended before it
// reads again.
func TestSeatThatCameBack(t *testing.T) {
	r := newRig(t)
	r.load()
	if code := r.commit("g", "topic", 1); code != group.OK {
		t.Fatalf("commit: code %d", code)
	}
	held, open := r.holdJournal()
	q := r.begin(&group.Commit{Common: group.Common{Group: "g"}, Generation: -1, Retention: -1,
		Topics: []group.CommitTopic{{Topic: "topic", Partitions: []group.CommitPartition{{Offset: 2, Epoch: -1}}}}})
	<-held
	for _, at := range []model.ShardID{only + 1, only} {
		r.publish(at)
		r.on(func(t *shard.Turn) { r.set.Changed(t) })
	}
	if code := q.wait(r); code != group.NotCoordinator {
		t.Errorf("the commit under way: code %d", code)
	}
	loading := 1
	for end := time.Now().Add(50 * time.Millisecond); loading > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		r.on(func(t *shard.Turn) { loading = r.set.Stats(t).Loading })
	}
	close(open)
	got := r.offset("g", "topic")
	r.load()
	if after := r.offset("g", "topic"); got != after || got != 2 {
		t.Errorf("offset %d, and %d after another start", got, after)
	}
}
