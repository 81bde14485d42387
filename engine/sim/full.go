package sim

import (
	"time"

	"pinion/disk/faulty"
)

// reserve is pinion.disk.reserve: what a full disk has left for all that is not reserved. It is enough for the indexes, snapshots and
// checkpoints of a run.
const reserve = 1 << 20

// fill lets the disk be full for a while: nothing can be reserved any more. Without the reserve any write may find no place, which is
// final for the directory.
func (w *World) fill() {
	if w.limit > 0 {
		return
	}
	r := w.chance.faults
	w.reserved = !oneIn(r, 4)
	w.limit = w.node.disk.Used() + int64(r.IntN(64<<10))
	if w.reserved {
		w.limit += reserve
		w.marks.hit("disk.full.reserve")
	} else {
		w.marks.hit("disk.full")
	}
	w.trace.add("fill", w.limit, 0)
	w.emptied = w.clock.Now().Mono.Add(time.Duration(between(r, 500, 20_000)) * time.Millisecond)
	w.limitDisk(w.node.disk)
}

// limitDisk bounds the space of a disk as long as it is full.
func (w *World) limitDisk(d *faulty.Dir) {
	d.Limit(w.limit)
	if w.limit > 0 && w.reserved {
		d.KeepFree(reserve)
		return
	}
	d.KeepFree(0)
	w.node.harmed = w.node.harmed || w.limit > 0
}

// empty ends it: from now on there is space, and nobody has to start anew.
func (w *World) empty() {
	if w.limit == 0 {
		return
	}
	w.trace.add("empty", 0, 0)
	w.limit = 0
	w.relieved = w.reserved && w.node.noSpace
	w.limitDisk(w.node.disk)
}
