package log

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/model"
)

const (
	// timeSegmentsMax is how many segments one search holds open. One is enough unless its matching records lie below Start or, of a log that is
	// compacted, are gone: the batches that compaction empties keep their timestamps. The others are opened when it comes to them.
	timeSegmentsMax = 4
	// timeOutputMax bounds what one compressed batch may inflate to while it is searched; it streams, so it takes time, not memory.
	timeOutputMax = 1 << 30
)

// FindTime returns the Work that finds the first record with a timestamp not below time (milliseconds), among what is written: ListOffsets by
// timestamp. It looks into batches, decompressing them. After Finish, Time of the Work tells the answer; the caller holds it against its
// watermark. Several may be under way.
func (l *Log) FindTime(time int64) *Work {
	t := &timeTask{dir: l.dir, folder: l.name, time: time, start: l.start, generation: l.generation}
	for i := range l.extents {
		if e := &l.extents[i]; e.maxTime >= time {
			t.add(l, e)
		}
	}
	return &Work{log: l, task: t}
}

// MaxTime returns the Work that finds the record with the largest timestamp, the first of them (ListOffsets -3, KIP-734).
func (l *Log) MaxTime() *Work {
	t := &timeTask{dir: l.dir, folder: l.name, largest: true, start: l.start, generation: l.generation}
	var at []*extent
	for i := range l.extents {
		if e := &l.extents[i]; e.size > 0 && e.maxTime >= 0 {
			at = append(at, e)
		}
	}
	slices.SortStableFunc(at, func(a, b *extent) int { return cmp.Compare(b.maxTime, a.maxTime) })
	for _, e := range at {
		t.add(l, e)
	}
	return &Work{log: l, task: t}
}

// Time is what a finished FindTime or MaxTime found; ok is false when there is no such record.
func (w *Work) Time() (offset model.Offset, time int64, epoch model.Epoch, ok bool) {
	t, is := w.task.(*timeTask)
	if !is {
		return 0, 0, model.NoEpoch, false
	}
	return t.found.offset, t.found.time, t.found.epoch, t.found.ok
}

// Stale reports whether files changed while a finished FindTime or MaxTime looked into them: its answer is none, ask again.
func (w *Work) Stale() bool {
	t, is := w.task.(*timeTask)
	return is && t.stale
}

// timeTask searches a few segments in order.
type timeTask struct {
	dir        device.Dir
	folder     string
	time       int64
	largest    bool // the record with the largest time there is; parts are in the order of what they may have
	start      model.Offset
	generation uint32
	parts      []timePart
	found      found
	stale      bool
}

type timePart struct {
	base    model.Offset
	size    int64
	maxTime int64
	s       *Segment // held; nil: opened for the search
}

func (t *timeTask) add(l *Log, e *extent) {
	p := timePart{base: e.base, size: e.size, maxTime: e.maxTime}
	if len(t.parts) < timeSegmentsMax {
		if p.s = l.open(e); p.s != nil {
			p.s.hold()
		}
	}
	t.parts = append(t.parts, p)
}

func (t *timeTask) do() error {
	for i := range t.parts {
		p := &t.parts[i]
		if t.largest && t.found.ok && (t.found.time > p.maxTime || t.found.time == p.maxTime && t.found.offset < p.base) {
			return nil
		}
		err := unreadable(t.search(p), fileName(t.folder, p.base, logSuffix), max(p.base, t.start))
		if isNotExist(err) {
			continue // retention was faster
		}
		if err != nil {
			return err
		}
		if t.found.ok && !t.largest {
			return nil
		}
	}
	return nil
}

// search looks into one segment, from where its time index says that nothing before can match.
func (t *timeTask) search(p *timePart) error {
	file := device.File(nil)
	if p.s != nil {
		file = p.s.file
	} else {
		f, err := t.dir.Open(fileName(t.folder, p.base, logSuffix))
		if err != nil {
			return err
		}
		defer f.Close()
		file = f
	}
	index, times, err := readIndexes(t.dir, t.folder, p.base)
	if err != nil {
		return err
	}
	if !t.largest {
		from, _ := timeFloor(index, times, t.time, p.size)
		return t.walk(p, file, from)
	}
	from, before := timeFloor(index, times, p.maxTime, p.size)
	if err := t.walk(p, file, from); err != nil || from == 0 || t.found.ok && t.found.time >= before {
		return err
	}
	return t.walk(p, file, 0) // what had the largest is gone, or below the start
}

// wants reports whether a record is what is looked for, as far as is known.
func (t *timeTask) wants(offset model.Offset, time int64) bool {
	if !t.largest {
		return time >= t.time
	}
	return time >= 0 && (!t.found.ok || time > t.found.time || time == t.found.time && offset < t.found.offset)
}

// walk goes through a segment from a position on.
func (t *timeTask) walk(p *timePart, file device.File, from int64) error {
	var it batch.Iterator
	var buf []byte
	ended := false
	stop, err := walkHeaders(file, from, p.size, func(pos int64, h *batch.Header) error {
		if h.Records == 0 || !t.wants(h.BaseOffset, h.MaxTimestamp) || h.LastOffset() < t.start {
			return nil
		}
		if cap(buf) < h.Size() {
			buf = make([]byte, h.Size())
		}
		buf = buf[:h.Size()]
		damage := func(reason string) error {
			return &Damage{Segment: fileName(t.folder, p.base, logSuffix), Pos: pos, Offset: h.BaseOffset, Reason: reason}
		}
		switch _, err := file.Pread(buf, pos); {
		case err == io.EOF:
			return damage("file is shorter than the log")
		case err != nil:
			return err
		case !batch.CheckCRC(buf):
			return damage(badCRC)
		}
		it.Reset(buf, timeOutputMax)
		for it.Next() {
			r := it.Record()
			if r.Offset >= t.start && t.wants(r.Offset, r.Timestamp) {
				t.found = found{offset: r.Offset, time: r.Timestamp, epoch: h.Epoch, ok: true}
				if ended = !t.largest; ended {
					return errStop
				}
			}
		}
		if err := it.Err(); err != nil {
			return damage(err.Error())
		}
		return nil
	})
	if err == nil && stop < p.size && !ended {
		return &Damage{Segment: fileName(t.folder, p.base, logSuffix), Pos: stop, Offset: p.base, Reason: "batch header is nonsense"}
	}
	return err
}

// timeFloor is the position before which no batch reaches time, and a time that none before it exceeds.
func timeFloor(index, times []byte, time int64, size int64) (pos, before int64) {
	last, ok := uint32(0), false
	for n := range timePrefix(times, segmentBytesMax) {
		m := timeEntry(times, n)
		if m.time > time {
			break
		}
		last, before, ok = m.last, m.time, true
	}
	if !ok {
		return 0, -1
	}
	for n := range indexPrefix(index, size) {
		m := indexEntry(index, n)
		if m.last > last {
			break
		}
		pos = int64(m.pos)
	}
	return pos, before
}

func (t *timeTask) finish(l *Log, err error) error {
	for i := range t.parts {
		if s := t.parts[i].s; s != nil {
			s.release()
		}
	}
	t.stale = l.generation != t.generation || l.busy&busySwap != 0
	if err == nil || t.stale || l.dropped {
		return nil
	}
	return fmt.Errorf("log %s: %w", l.name, err)
}
