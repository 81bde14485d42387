package sim

import (
	"time"
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
	w.full = r.IntN(len(w.node.disks))
	w.limit = w.node.disks[w.full].Used() + int64(r.IntN(64<<10))
	if w.reserved {
		w.limit += reserve
		w.marks.hit("disk.full.reserve")
	} else {
		w.marks.hit("disk.full")
	}
	w.trace.add("fill", w.limit, 0)
	w.emptied = w.clock.Now().Mono.Add(time.Duration(between(r, 500, 20_000)) * time.Millisecond)
	w.limitDisk(w.full)
}

// limitDisk bounds the space of a disk as long as it is full. Sooner or later the catalogue hears of it.
func (w *World) limitDisk(i int) {
	d, limit := w.node.disks[i], w.limit
	if i != w.full {
		limit = 0
	}
	d.Limit(limit)
	w.untold = w.untold || limit > 0
	if limit > 0 && w.reserved {
		d.KeepFree(reserve)
		return
	}
	d.KeepFree(0)
	w.node.harmed[i] = w.node.harmed[i] || limit > 0
}

// empty ends it: from now on there is space, and nobody has to start anew.
func (w *World) empty() {
	if w.limit == 0 {
		return
	}
	w.trace.add("empty", 0, 0)
	w.limit = 0
	w.relieved = w.reserved && w.node.noSpace
	w.limitDisk(w.full)
}
