package log

import (
	"testing"

	"pinion/disk/faulty"
	"pinion/engine/clock"
)

// Records that were never durable end before a start that is, and the journal goes on at that start, in the middle of the segment that is lost. Every start
// makes the same of it, however often it is cut short, and an inspection says what it is.
func TestJournalGoesOnAtTheStart(t *testing.T) {
	d := faulty.New(1)
	cfg := testConfig()
	r := &rig{t: t, disk: d, cfg: cfg, now: clock.Now{Wall: 1_000_000}}
	r.open(OpenFrom{})
	r.append(1, 100)
	r.run(r.l.SyncWork())
	r.append(2, 100)
	r.run(r.l.StoreStart(3))
	var tail []TailBatch
	for range 3 {
		base := r.l.End()
		b := stamped(base, 0, 1_000_000, 2, 100)
		r.stage(b)
		segment, pos := r.l.Place()
		if err := r.l.Write(); err != nil {
			t.Fatal(err)
		}
		tail = append(tail, TailBatch{Base: base, End: base + 2, Segment: segment, Pos: pos, Bytes: b})
	}
	from := OpenFrom{RecoveryPoint: 1, Durable: 1, Tail: tail}
	for n := 0; ; n++ {
		cut := d.Lost(1)
		if n > 0 {
			cut.CutAt(n)
		}
		_, _, err := Open(cut, "orders-0", testID, cfg, from, nil)
		if n > 0 && err == nil {
			break // no step is left to cut it at
		}
		if cut = cut.AfterCut(uint64(n)); n == 0 && err != nil {
			t.Fatal(err)
		}
		for again := range 2 {
			in, err := Inspect(cut, "orders-0", false, from, nil)
			if err != nil {
				t.Fatal(err)
			}
			l, rec, err := Open(cut, "orders-0", testID, cfg, from, nil)
			if err != nil {
				t.Fatalf("cut at step %d, start %d: %v; inspection: %+v", n, again, err, in)
			}
			if l.Start() != 3 || l.End() != 9 || rec.Refilled != in.Tail {
				t.Errorf("cut at step %d, start %d: [%d, %d), %+v; inspection: %d", n, again, l.Start(), l.End(), rec, in.Tail)
			}
			for _, f := range in.Findings {
				if f.Damage() {
					t.Errorf("cut at step %d, start %d: %+v", n, again, f)
				}
			}
		}
	}
}
