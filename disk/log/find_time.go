package log

import (
	"fmt"
	"io"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/model"
)

const (
	// timeSegmentsMax is how many segments one search looks at. One is enough unless its matching records lie below Start.
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
		if e := &l.extents[i]; e.maxTime >= time && len(t.parts) < timeSegmentsMax {
			t.add(l, e)
		}
	}
	return &Work{log: l, task: t}
}

// MaxTime returns the Work that finds the record with the largest timestamp, the first of them (ListOffsets -3, KIP-734).
func (l *Log) MaxTime() *Work {
	t := &timeTask{dir: l.dir, folder: l.name, largest: true, start: l.start, generation: l.generation}
	var best *extent
	for i := range l.extents {
		if e := &l.extents[i]; e.size > 0 && e.maxTime >= 0 && (best == nil || e.maxTime > best.maxTime) {
			best = e
		}
	}
	if best != nil {
		t.time = best.maxTime
		t.add(l, best)
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
	largest    bool // the record with exactly time, from the start of the segment that has it
	start      model.Offset
	generation uint32
	parts      []timePart
	found      found
	stale      bool
}

type timePart struct {
	base model.Offset
	size int64
	s    *Segment // held; nil: opened for the search
}

func (t *timeTask) add(l *Log, e *extent) {
	p := timePart{base: e.base, size: e.size, s: l.open(e)}
	if p.s != nil {
		p.s.hold()
	}
	t.parts = append(t.parts, p)
}

func (t *timeTask) do() error {
	for i := range t.parts {
		p := &t.parts[i]
		err := unreadable(t.search(p), fileName(t.folder, p.base, logSuffix), max(p.base, t.start))
		if isNotExist(err) {
			continue // retention was faster
		}
		if err != nil {
			return err
		}
		if t.found.ok {
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
	from := timeFloor(index, times, t.time, p.size)
	var it batch.Iterator
	var buf []byte
	stop, err := walkHeaders(file, from, p.size, func(pos int64, h *batch.Header) error {
		if h.MaxTimestamp < t.time || h.LastOffset() < t.start {
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
			if r.Timestamp >= t.time && r.Offset >= t.start {
				t.found = found{offset: r.Offset, time: r.Timestamp, epoch: h.Epoch, ok: true}
				return errStop
			}
		}
		if err := it.Err(); err != nil {
			return damage(err.Error())
		}
		return nil
	})
	if err == nil && stop < p.size && !t.found.ok {
		return &Damage{Segment: fileName(t.folder, p.base, logSuffix), Pos: stop, Offset: p.base, Reason: "batch header is nonsense"}
	}
	return err
}

// timeFloor is the position before which no batch reaches time.
func timeFloor(index, times []byte, time int64, size int64) int64 {
	last, ok := uint32(0), false
	for n := range timePrefix(times, segmentBytesMax) {
		m := timeEntry(times, n)
		if m.time > time {
			break
		}
		last, ok = m.last, true
	}
	if !ok {
		return 0
	}
	pos := int64(0)
	for n := range indexPrefix(index, size) {
		m := indexEntry(index, n)
		if m.last > last {
			break
		}
		pos = int64(m.pos)
	}
	return pos
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
