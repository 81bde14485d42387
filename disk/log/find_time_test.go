package log

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pinion/disk/batch"
	"pinion/disk/codec"
	"pinion/engine/model"
)

// TestFindTime compares every search with a look at all records, on logs with unordered timestamps: fresh, recovered, and closed.
func TestFindTime(t *testing.T) {
	cfg := testConfig()
	cfg.SegmentBytes = 16 << 10
	cfg.IndexIntervalBytes = 700
	r := newRig(t, cfg)
	random := rand.New(rand.NewPCG(5, 6))
	var times []int64
	for i := range 120 {
		b := batch.NewBuilder()
		b.Codec = codec.Codec(i % 5)
		for range 1 + random.IntN(4) {
			ts := int64(1000 + i*10 + random.IntN(300))
			times = append(times, ts)
			value := make([]byte, 300)
			for j := range value {
				value[j] = byte(random.Uint32())
			}
			b.Add(ts, nil, value)
		}
		raw := b.Bytes()
		batch.Stamp(raw, r.l.End(), model.Epoch(i/50))
		r.stage(raw)
		if err := r.l.Write(); err != nil {
			t.Fatal(err)
		}
	}
	if r.l.Segments() < 4 {
		t.Fatalf("%d segments", r.l.Segments())
	}
	check := func(t *testing.T, r *rig) {
		t.Helper()
		ask := func(w *Work) (model.Offset, int64, model.Epoch, bool) {
			t.Helper()
			r.run(w)
			return w.Time()
		}
		for time := int64(900); time < 2600; time += 7 {
			want := model.Offset(-1)
			for o := r.l.Start(); o < r.l.Written(); o++ {
				if times[o] >= time {
					want = o
					break
				}
			}
			offset, at, epoch, ok := ask(r.l.FindTime(time))
			if ok != (want >= 0) || (ok && (offset != want || at != times[want] || epoch != r.l.EpochAt(want))) {
				t.Fatalf("time %d: offset %d (time %d, epoch %d, %v), want %d", time, offset, at, epoch, ok, want)
			}
		}
		best := r.l.Start()
		for o := best; o < r.l.Written(); o++ {
			if times[o] > times[best] {
				best = o
			}
		}
		if offset, at, _, ok := ask(r.l.MaxTime()); !ok || offset != best || at != times[best] {
			t.Fatalf("largest timestamp %d at %d, want %d at %d", at, offset, times[best], best)
		}
	}
	check(t, r)
	check(t, r.crash(OpenFrom{}))
	r.run(r.l.Truncate(r.l.extents[2].base + 8))
	check(t, r)
	r.l.AdvanceStart(r.l.extents[1].base)
	r.expireAll(r.l.End())
	check(t, r)
	end := r.l.End()
	r.close()
	r.open(OpenFrom{RecoveryPoint: end})
	check(t, r)
	empty := newRig(t, cfg)
	w := empty.l.MaxTime()
	empty.run(w)
	if _, _, _, ok := w.Time(); ok {
		t.Fatal("an empty log has a largest timestamp")
	}
}

// TestFindTimeAfterCompaction: what compaction leaves of a segment that has lost all its records must not hide the records behind it from a search by time.
func TestFindTimeAfterCompaction(t *testing.T) {
	r := newRig(t, compactConfig())
	value := fmt.Sprintf("%03000d", 0)
	for i := range 30 { // two batches a segment, all of one key
		r.keyed("key", value, int64(1000+i))
	}
	last := r.l.End() - 1
	r.compact(r.wholePass())
	for _, time := range []int64{0, 1000, 1010, 1027, 1029} {
		w := r.l.FindTime(time)
		r.run(w)
		if _, _, _, ok := w.Time(); !ok {
			t.Errorf("time %d: no record, though that at %d has time 1029", time, last)
		}
	}
}

// TestMaxTimeAfterCompaction: the record with the largest timestamp of all that are left, where its segment says a larger one.
func TestMaxTimeAfterCompaction(t *testing.T) {
	r := newRig(t, compactConfig())
	value := fmt.Sprintf("%03000d", 0)
	r.keyed("key", value, 1000)
	r.keyed("key", value, 5000) // the last batch of its segment
	for i := range 3 {
		r.keyed("key", value, int64(2000+i))
	}
	r.compact(r.wholePass())
	w := r.l.MaxTime()
	r.run(w)
	if offset, at, _, ok := w.Time(); !ok || at != 2002 {
		t.Errorf("largest timestamp: offset %d at %d, %v; want 4 at 2002", offset, at, ok)
	}
}

// TestMaxTimeBelowStart: what was deleted from the start has no largest timestamp.
func TestMaxTimeBelowStart(t *testing.T) {
	r := newRig(t, testConfig())
	r.keyed("key", "v", 5000)
	r.keyed("key", "v", 2000)
	r.l.AdvanceStart(1)
	w := r.l.MaxTime()
	r.run(w)
	if offset, at, _, ok := w.Time(); !ok || at != 2000 {
		t.Errorf("largest timestamp: offset %d at %d, %v; want 1 at 2000", offset, at, ok)
	}
}
