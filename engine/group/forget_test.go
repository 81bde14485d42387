package group

import (
	"testing"

	"pinion/engine/model"
)

// The offsets of a topic that is gone go, those under way too, and stay away after a restart; those of another of the same name stay.
func TestOffsetsOfTopicsThatAreGone(t *testing.T) {
	old, young := model.TopicID{1}, model.TopicID{2}
	gone := func(topic string, id model.TopicID) bool {
		return id == old || id.IsZero() && topic == "nameless"
	}
	commit := func(r *rig, group, topic string, id model.TopicID, partition int32) *Commit {
		c := commitOf(nil, 7)
		c.Group = group
		c.Topics[0].Topic, c.Topics[0].ID, c.Topics[0].Partitions[0].Partition = topic, id, partition
		r.do(c)
		return c
	}
	left := func(r *rig, group string) (keys []offsetKey) {
		f := &Fetch{Common: Common{Group: group}, All: true}
		r.do(f)
		for _, topic := range f.Topics {
			for _, p := range topic.Partitions {
				keys = append(keys, offsetKey{topic.Topic, p.Partition})
			}
		}
		return keys
	}
	r := newRig(t)
	commit(r, "g", "topic", old, 0)
	commit(r, "g", "topic", young, 1) // the partition was committed to again since
	commit(r, "g", "nameless", model.TopicID{}, 0)
	commit(r, "other", "another", young, 0)
	failures := 0
	r.refuse = NotAvailable
	r.c.Forget(r.clock.Now(), gone, func() { failures++ })
	r.settle()
	if got := left(r, "g"); failures != 1 || len(got) != 3 {
		t.Fatalf("not stored: %d failures, left %v", failures, got)
	}
	r.refuse, r.hold = OK, true
	late := commit(r, "g", "nameless", model.TopicID{}, 1)
	r.c.Forget(r.clock.Now(), gone, func() { failures++ })
	r.release()
	r.expect("a commit that was under way", late, OK)
	for _, when := range []string{"at once", "after a restart"} {
		if got := left(r, "g"); failures != 1 || len(got) != 1 || got[0] != (offsetKey{"topic", 1}) {
			t.Errorf("%s: %d failures, left %v", when, failures, got)
		}
		if got := left(r, "other"); len(got) != 1 {
			t.Errorf("%s: the other group has %v", when, got)
		}
		r.restart()
	}
	if stored := len(r.log); stored != 8 {
		t.Errorf("%d records are stored, want 5 commits and 3 removals", stored)
	}
}

// What is being committed for a topic stays, though it takes the place of an offset of one that is gone; what is being committed for that one goes.
func TestCommitsUnderWayOfAnotherTopicOfTheName(t *testing.T) {
	old, young := model.TopicID{1}, model.TopicID{2}
	gone := func(_ string, id model.TopicID) bool { return id == old }
	commit := func(r *rig, id model.TopicID, offset int64) *Commit {
		c := commitOf(nil, offset)
		c.Topics[0].ID = id
		r.do(c)
		return c
	}
	for name, ids := range map[string][2]model.TopicID{"the old one before": {old, young}, "none before": {{}, old}} {
		r := newRig(t)
		if !ids[0].IsZero() {
			r.expect("a commit", commit(r, ids[0], 7), OK)
		}
		r.hold = true
		c := commit(r, ids[1], 9)
		r.c.Forget(r.clock.Now(), gone, func() { t.Errorf("%s: not stored", name) })
		r.release()
		r.expect("a commit under way", c, OK)
		want := int64(9)
		if ids[1] == old {
			want = -1
		}
		for _, when := range []string{"at once", "after a restart"} {
			f := &Fetch{Common: Common{Group: c.Group}, All: true}
			r.do(f)
			got := int64(-1)
			if len(f.Topics) > 0 {
				got = f.Topics[0].Partitions[0].Offset
			}
			if got != want {
				t.Errorf("%s, %s: offset %d, want %d", name, when, got, want)
			}
			r.restart()
		}
	}
}
