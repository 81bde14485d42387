package partition

import (
	"testing"
	"time"

	"pinion/engine/clock"
	"pinion/engine/shard"
)

// TestTheGuardHearsOfEveryWrite: a clock that is set back, and far ahead before any timer has looked, is known to have been behind when records were
// written. The time to delete by goes on from there, not from before the step back, by which the records would look older than they are.
func TestTheGuardHearsOfEveryWrite(t *testing.T) {
	r := newRigWith(t, 64, memory)
	r.opened(0)
	r.clock.Step(-time.Hour)
	r.fill(0, 1)
	r.clock.Step(365 * 24 * time.Hour)
	r.on(owner, func(turn *shard.Turn) {
		back := time.Now().Add(-time.Hour).UnixMilli()
		if at := r.set.wall(turn); at > clock.Wall(back+time.Minute.Milliseconds()) {
			t.Errorf("deletes by a time %d s ahead of when the record was written", (int64(at)-back)/1000)
		}
	})
}
