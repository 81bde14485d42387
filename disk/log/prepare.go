package log

import (
	"errors"
	"fmt"
	"io/fs"

	"pinion/disk/device"
	"pinion/engine/model"
	"pinion/engine/must"
)

// Ahead says what is wise to prepare before it is needed: NeedSpace when less than half of the last reservation is left, NeedIndex when
// many index entries wait for their file, else NeedNone.
func (l *Log) Ahead() Need {
	e := l.last()
	if e == nil || l.err != nil || l.closed || l.busy&(busyActive|busyEvict|busyWhole) != 0 {
		return NeedNone
	}
	s := l.open(e)
	if s == nil || s.reserved == 0 {
		return NeedNone
	}
	size := e.size + l.stagedBytes
	if l.busy&busySpace == 0 && s.reserved < s.limit && s.reserved-size < nextChunk(s.reserved)/2 {
		return NeedSpace
	}
	if index, _ := s.unwritten(); l.busy&busySync == 0 && len(index)/indexEntryBytes >= pendingMax {
		return NeedIndex
	}
	return NeedNone
}

// nextChunk is how much to reserve behind what is reserved: as much again, within bounds.
func nextChunk(reserved int64) int64 { return min(max(reserved, reserveMin), reserveMax) }

// Opens reports whether a need is met by opening a segment, for which Files must have Room.
func (n Need) Opens() bool { return n == NeedActive || n == NeedRoll }

// Prepare returns the Work that meets a need. NeedRoll requires that Write has stored what was staged. It returns nil for NeedNone, NeedWait,
// NeedFailed, and when a Work of the kind is under way.
func (l *Log) Prepare(need Need) *Work {
	if l.err != nil || l.closed || l.busy&(busyEvict|busyWhole|busyActive) != 0 {
		return nil
	}
	switch need {
	case NeedActive:
		if len(l.staged) > 0 {
			must.Failf("log %s: open the active segment with %d bytes staged", l.name, l.stagedBytes)
		}
		l.files.coming++
		return l.begin(busyActive, l.prepareActive())
	case NeedRoll:
		if len(l.staged) > 0 {
			must.Failf("log %s: roll with %d bytes staged", l.name, l.stagedBytes)
		}
		l.files.coming++
		return l.begin(busyActive, l.prepareRoll())
	case NeedSpace:
		return l.prepareSpace()
	case NeedIndex:
		return l.flush(flushIndex)
	}
	return nil
}

// firstChunk is the reservation of a segment that holds size bytes, enough for what Need looked at.
func (l *Log) firstChunk(size, limit int64) int64 {
	return min(max(nextChunk(size), int64(l.want)), max(limit-size, 0))
}

func (l *Log) prepareActive() *activeTask {
	t := &activeTask{
		opening:  opening{dir: l.dir, folder: l.name, base: l.end, limit: l.segmentBytes(), files: l.files},
		fresh:    true,
		metadata: !l.hasMetadata && !l.id.IsZero(),
		point:    l.cfg.Compact && !l.pointed && len(l.extents) == 0,
		id:       l.id,
		folderUp: l.hasFolder,
	}
	if e := l.last(); e != nil {
		t.fresh, t.base, t.size = false, e.base, e.size
		t.limit = max(t.limit, e.size)
		t.stretch = l.past().unproven.of(e.base)
	}
	t.reserve, t.spare = l.firstChunk(t.size, t.limit), l.cfg.Spare
	return t
}

func (l *Log) prepareRoll() *activeTask {
	t := &activeTask{
		opening:  opening{dir: l.dir, folder: l.name, base: l.end, limit: l.segmentBytes(), files: l.files},
		fresh:    true,
		roll:     true,
		folderUp: true,
	}
	t.reserve, t.spare = l.firstChunk(0, t.limit), l.cfg.Spare
	return t
}

// activeTask makes or opens the segment that receives appends. New names are not synced here: the recovery point waits for that.
type activeTask struct {
	opening
	fresh    bool // make it
	roll     bool // the active one so far is sealed
	metadata bool // partition.metadata is to be written
	point    bool // pointFile is
	folderUp bool // the folder exists
	id       model.TopicID
	reserve  int64
	spare    bool
	s        *Segment
}

func (t *activeTask) do() error {
	if !t.fresh {
		return t.reopen()
	}
	if !t.folderUp {
		if err := t.dir.Mkdir(t.folder); err != nil {
			return err
		}
	}
	if t.metadata {
		if err := writeMetadata(t.dir, t.folder, t.id); err != nil {
			return err
		}
	}
	if t.point {
		if err := writePoint(t.dir, t.folder, notCleaned); err != nil {
			return err
		}
	}
	file, err := createEmpty(t.dir, fileName(t.folder, t.base, logSuffix))
	if err != nil {
		return err
	}
	t.s = newSegment(t.files, file, t.base, t.limit)
	return t.reserveFirst()
}

func (t *activeTask) reopen() error {
	if t.metadata {
		if err := writeMetadata(t.dir, t.folder, t.id); err != nil {
			return err
		}
	}
	s, err := t.opening.do()
	if err != nil {
		return err
	}
	t.s = s
	return t.reserveFirst()
}

func (t *activeTask) reserveFirst() error {
	if err := reserve(t.s.file, t.size, t.reserve, t.spare); err != nil {
		err = errors.Join(err, t.s.close())
		if t.fresh {
			// The log may go on in the segment before, beyond where this one would begin.
			err = errors.Join(err, t.dir.Remove(fileName(t.folder, t.base, logSuffix)))
		}
		return err
	}
	t.s.reserved = t.size + t.reserve
	return nil
}

// createEmpty makes a file, or takes one that an earlier attempt left empty.
func createEmpty(dir device.Dir, name string) (device.File, error) {
	f, err := dir.Create(name)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	f, err = dir.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err == nil && size > 0 {
		err = fmt.Errorf("create %s: %w with %d bytes", name, fs.ErrExist, size)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (t *activeTask) finish(l *Log, err error) error {
	l.files.coming--
	l.proved(&t.opening)
	if err != nil {
		return fmt.Errorf("log %s: %w", l.name, err) // nothing was accepted yet, so nothing is lost
	}
	if t.roll {
		l.seal()
	}
	l.namesDirty = l.namesDirty || t.fresh || t.metadata
	l.hasMetadata = l.hasMetadata || t.metadata
	if t.fresh {
		l.hasFolder = true
		l.pointed = l.pointed || t.point
		l.extents = append(l.extents, extent{base: t.base, maxTime: -1, slot: noSlot, span: spanUnknown})
		l.tail = tail{firstTime: -1, timedTime: -1}
	}
	e := l.last()
	if old := l.open(e); old != nil {
		l.files.remove(old) // a reader opened it first, or it was mapped too short; nothing is staged, no entry waits
		if old.hasUnwritten() {
			g := t.s.guided()
			g.index, g.times = old.unwritten()
		}
	}
	t.s.log = l
	e.slot = l.files.insert(t.s)
	return nil
}

// seal gives the active segment its last time index entry, as Kafka's LogSegment.onBecomeInactiveSegment does. Its space is given
// back, and it is synced, by the next SyncWork.
func (l *Log) seal() {
	e := l.last()
	e.setFirstTime(l.tail.firstTime)
	if e.maxTime <= l.tail.timedTime {
		return
	}
	e.indexSynced = false
	if s := l.open(e); s != nil {
		l.noteTime(e, s)
		return
	}
	// Closed meanwhile: the next flush writes the entry from what the extent knows.
	o := l.oddly()
	o.unsealed = append(o.unsealed, e.base)
}

func (l *Log) prepareSpace() *Work {
	e := l.last()
	if e == nil || l.open(e) == nil || l.busy&busySpace != 0 {
		return nil
	}
	s := l.open(e)
	size := e.size + l.stagedBytes
	from := max(s.reserved, e.size)
	length := max(nextChunk(from), size+int64(l.want)-from)
	length = min(length, s.limit-from)
	if length <= 0 {
		return nil
	}
	s.hold()
	return l.begin(busySpace, &spaceTask{s: s, from: from, length: length, spare: l.cfg.Spare})
}

// spaceTask reserves space behind what the active segment has.
type spaceTask struct {
	s      *Segment
	from   int64
	length int64
	spare  bool
}

func (t *spaceTask) do() error { return reserve(t.s.file, t.from, t.length, t.spare) }

// reserve finds space for a file, of what is kept free too where it is spare.
func reserve(f device.File, from, length int64, spare bool) error {
	if spare {
		return f.ReserveSpare(from, length)
	}
	return f.Reserve(from, length)
}

func (t *spaceTask) finish(l *Log, err error) error {
	defer t.s.release()
	if err != nil {
		return fmt.Errorf("log %s: %w", l.name, err)
	}
	t.s.reserved = max(t.s.reserved, t.from+t.length)
	return nil
}
