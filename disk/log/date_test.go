package log

import (
	"strings"
	"testing"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/clock"
	"pinion/engine/model"
)

// datesOf are when the segments of a folder were modified last.
func datesOf(t *testing.T, dir device.Dir, folder string) map[model.Offset]int64 {
	t.Helper()
	entries, err := dir.List(folder)
	if err != nil {
		t.Fatal(err)
	}
	dates := map[model.Offset]int64{}
	for _, e := range entries {
		if base, suffix, ok := parseName(e.Name); ok && suffix == logSuffix && !strings.HasSuffix(e.Name, keptSuffix) {
			dates[base] = e.Modified
		}
	}
	return dates
}

// Records without timestamps are as old as the file they are in. One that takes the place of another is no younger, or they would live longer after a start.
func TestWhatTakesAPlaceIsNoYounger(t *testing.T) {
	cfg := compactConfig()
	cfg.Delete = true
	disk, now := faulty.New(1), int64(1_000_000)
	disk.Clock(func() int64 { return now })
	r := &rig{t: t, disk: disk, cfg: cfg, now: clock.Now{Mono: 1, Wall: clock.Wall(now)}}
	r.open(OpenFrom{})
	for r.l.Segments() < 4 {
		b := batch.NewBuilder()
		b.Add(-1, []byte("key"), make([]byte, 500))
		r.putBatch(b)
	}
	r.run(r.l.SyncWork())
	now += 1_000_000

	to := faulty.New(2)
	to.Clock(func() int64 { return now })
	if err := Wish(to, "orders-0", testID); err != nil {
		t.Fatal(err)
	}
	if err := copyAll(r, r.l.NewCopy(to)); err != nil {
		t.Fatal(err)
	}
	for base, at := range datesOf(t, to, Future.Name("orders-0", testID)) {
		if at != 1_000_000 {
			t.Errorf("the copy of segment %d is of %d", base, at)
		}
	}

	if _, ok := r.compact(r.wholePass()); !ok {
		t.Fatal("nothing to compact")
	}
	for base, at := range datesOf(t, disk, "orders-0") {
		if at != 1_000_000 {
			t.Errorf("segment %d is of %d", base, at)
		}
	}
}
