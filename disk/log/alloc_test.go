package log

import (
	"testing"

	"pinion/disk/batch"
	"pinion/engine/model"
)

// TestHotPathAllocates counts what a shard does all day: need, stage, write, read at the tail and further back, release.
func TestHotPathAllocates(t *testing.T) {
	cfg := testConfig()
	cfg.SegmentBytes = 1 << 30
	r := newRig(t, cfg)
	raw := stamped(0, 0, 1, 1, 500)
	step := func() {
		for range 20 {
			batch.Stamp(raw, r.l.End(), 0)
			h, _ := batch.ReadHeader(raw)
			for r.l.Need(len(raw), r.now, h.MaxTimestamp) != NeedNone {
				r.run(r.l.Prepare(r.l.Need(len(raw), r.now, h.MaxTimestamp)))
			}
			r.l.Stage(raw, h, r.now)
			if err := r.l.Write(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2000 {
		step() // 20 MB: the chunks to reserve have grown
	}
	for r.l.Ahead() != NeedNone {
		r.run(r.l.Prepare(r.l.Ahead()))
	}
	best := 1.0
	for range 5 {
		best = min(best, testing.AllocsPerRun(20, step))
	}
	if best != 0 {
		t.Errorf("20 appends allocate %v times", best)
	}
	reads := func() {
		for back := model.Offset(1); back < 20_000; back += 999 {
			s, state := r.l.Read(r.l.Written()-back, r.l.Written(), 1<<20, true)
			if state != ReadOK {
				t.Fatalf("state %d", state)
			}
			if !s.Resident(0) || s.Fd() < 0 || len(s.Bytes()) == 0 {
				t.Fatal("span")
			}
			r.l.Retain(s)
			r.l.Release(s)
			r.l.Release(s)
		}
	}
	best = 1
	for range 5 {
		best = min(best, testing.AllocsPerRun(20, reads))
	}
	if best != 0 {
		t.Errorf("reads allocate %v times", best)
	}
}
