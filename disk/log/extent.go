package log

import (
	"sort"

	"pinion/engine/clock"
	"pinion/engine/model"
)

// noSlot stands in an extent whose files are closed.
const noSlot int32 = -1

// extent is what is always known of a segment, open or not. It holds no pointers: a node has hundreds of thousands.
type extent struct {
	base        model.Offset
	size        int64      // bytes stored; the length of the file
	synced      int64      // bytes of it known to be durable, with all its index entries
	maxTime     int64      // largest timestamp, or -1
	touched     clock.Wall // when it was last written, for retention of what has no timestamps; 0 unknown
	maxTimeAt   int32      // offset - base of the last offset of the batch with maxTime
	slot        int32      // of its open Segment in Files, or noSlot
	indexed     int32      // bytes of its .index that are in the file
	timed       int32      // bytes of its .timeindex that are in the file
	span        uint32     // seconds from firstTime to maxTime, rounded up; spanUnknown
	indexSynced bool       // the index files hold nothing unsynced
}

// spanUnknown stands for a first timestamp that was not looked at.
const spanUnknown = 1<<32 - 1

// firstTime is the largest timestamp of the segment's first batch, to the second below, or what is certainly not later where it was
// not looked at, or -1.
func (e *extent) firstTime() int64 {
	if e.span == spanUnknown || e.maxTime < 0 {
		return e.maxTime
	}
	return e.maxTime - int64(e.span)*1000
}

func (e *extent) setFirstTime(first int64) {
	e.span = spanUnknown
	if first >= 0 && e.maxTime >= first {
		e.span = uint32(min((e.maxTime-first+999)/1000, spanUnknown-1))
	}
}

// dirty reports whether a power cut could take something from the segment's files.
func (e *extent) dirty() bool { return e.synced < e.size || !e.indexSynced }

// inherited is the part of extent i that was there at Open and must be written again before a sync of it means anything.
func (l *Log) inherited(i int) (from, to int64) {
	e := &l.extents[i]
	left := l.past().heritage
	if e.base >= left.end {
		return 0, 0
	}
	to = e.size
	if l.extentEnd(i) > left.end { // what came to it since is ours
		to = left.size
	}
	return min(e.synced, to), to
}

// extentFor is the index of the extent that holds offset, or -1 when offset lies before the first.
func (l *Log) extentFor(offset model.Offset) int {
	return sort.Search(len(l.extents), func(i int) bool { return l.extents[i].base > offset }) - 1
}

// extentAt is the index of the extent with this base, or -1.
func (l *Log) extentAt(base model.Offset) int {
	if i := l.extentFor(base); i >= 0 && l.extents[i].base == base {
		return i
	}
	return -1
}

// extentEnd is the offset behind the last one extent i can hold.
func (l *Log) extentEnd(i int) model.Offset {
	if i+1 < len(l.extents) {
		return l.extents[i+1].base
	}
	return l.written
}

// last is the active extent, or nil while the log has no files.
func (l *Log) last() *extent {
	if len(l.extents) == 0 {
		return nil
	}
	return &l.extents[len(l.extents)-1]
}

// open is the Segment of an extent, or nil while its files are closed.
func (l *Log) open(e *extent) *Segment {
	if e.slot == noSlot {
		return nil
	}
	return l.files.slots[e.slot]
}
