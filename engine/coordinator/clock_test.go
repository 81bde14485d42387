package coordinator

import (
	"testing"
	"time"

	"pinion/engine/group"
	"pinion/engine/shard"
)

// TestTheGuardHearsOfEveryCommit: a clock that is set back, and right again before anybody has looked what is to be forgotten, is known to have been
// behind when offsets were committed. They are not as old as they look.
func TestTheGuardHearsOfEveryCommit(t *testing.T) {
	r := newRig(t)
	r.load()
	r.clock.Step(-365 * 24 * time.Hour)
	if code := r.commit("g", "topic", 5); code != group.OK {
		t.Fatalf("commit: code %d", code)
	}
	r.clock.Step(0)
	r.on(func(turn *shard.Turn) { r.set.Fire(turn, &r.set.expiry) })
	if got := r.offset("g", "topic"); got != 5 {
		t.Errorf("offset %d of a commit a moment ago", got)
	}
}
