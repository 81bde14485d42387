package log

import (
	"errors"
	"fmt"
	"io"
	"path"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/model"
	"pinion/engine/must"
	"pinion/engine/mutant"
)

// Truncate returns the Work that takes everything from to on off the log; a batch that holds to goes as a whole, so that the new end may
// lie below. Nothing changes in a file that may have been sent: the segment that is cut goes on in a new inode with a copy of what stays, and readers
// keep the old one. A to below Start empties the log (see Reset), and one below CutLimit is refused: the Work does nothing and ends in ErrCompacted. The
// caller has persisted a recovery point not above to. It returns nil while other Work is under way. What is staged must have been written.
func (l *Log) Truncate(to model.Offset) *Work {
	if l.closed || l.err != nil || l.Busy() {
		return nil
	}
	if len(l.staged) > 0 {
		must.Failf("log %s: truncate with %d bytes staged", l.name, l.stagedBytes)
	}
	if to >= l.end {
		return l.begin(busyWhole, idle{})
	}
	if to < l.CutLimit() {
		return l.begin(busyWhole, refusal{fmt.Errorf("cut at %d: %w %d", to, ErrCompacted, l.CutLimit())})
	}
	if to < l.start || to <= l.extents[0].base {
		return l.Reset(max(to, 0))
	}
	i := l.extentFor(to)
	if l.extents[i].base == to {
		i--
	}
	e := &l.extents[i]
	t := &truncateTask{
		opening: opening{dir: l.dir, folder: l.name, base: e.base, size: e.size, limit: max(l.segmentBytes(), e.size), files: l.files},
		to:      to,
		index:   int64(e.indexed),
		times:   int64(e.timed),
		stored:  l.stored,
		point:   l.point,
	}
	for n := len(l.extents) - 1; n > i; n-- {
		t.remove = append(t.remove, l.extents[n].base)
	}
	if s := l.open(e); s != nil {
		t.moreIndex, t.moreTimes = s.unwritten()
	}
	t.epochs = l.epochsUpTo(to)
	l.files.coming++
	return l.begin(busyWhole, t)
}

// ErrCompacted says that a log cannot be cut where it was asked to be: of some keys only a record behind that place is left. Whoever must go
// back so far empties the log (Reset) and takes it from a replica anew.
var ErrCompacted = errors.New("compaction has removed records for the sake of others below")

// CutLimit is the lowest offset Truncate takes: records below may have outlived others that are gone, so that cutting them off would leave
// nothing of their keys. Compaction stays below the high watermark, and so does this.
func (l *Log) CutLimit() model.Offset { return l.point.gaps }

// refusal does nothing and says why.
type refusal struct{ err error }

func (refusal) do() error                      { return nil }
func (r refusal) finish(l *Log, _ error) error { return fmt.Errorf("log %s: %w", l.name, r.err) }

// Reset returns the Work that empties the log and lets it start at offset at, as a follower does whose leader has nothing before. nil while
// other Work is under way.
func (l *Log) Reset(at model.Offset) *Work {
	if l.closed || l.err != nil || l.Busy() {
		return nil
	}
	if len(l.staged) > 0 {
		must.Failf("log %s: reset with %d bytes staged", l.name, l.stagedBytes)
	}
	t := &resetTask{dir: l.dir, folder: l.name, at: at, stored: l.stored, point: l.point, epochs: (&epochs{}).appendFile(nil)}
	for n := len(l.extents) - 1; n >= 0; n-- {
		t.remove = append(t.remove, l.extents[n].base)
	}
	return l.begin(busyWhole, t)
}

// epochsUpTo is the checkpoint file as it will be when the log ends at to.
func (l *Log) epochsUpTo(to model.Offset) []byte {
	kept := epochs{entries: append([]epochEntry(nil), l.epochs.entries...)}
	kept.truncateEnd(to)
	return kept.appendFile(nil)
}

// truncateTask removes the segments behind, newest first, so that a crash leaves a log without holes; then cuts one.
type truncateTask struct {
	opening                           // of the segment that stays in part
	to                   model.Offset // wanted end
	index, times         int64        // bytes in its index files
	moreIndex, moreTimes []byte       // entries that wait for the files
	remove               []model.Offset
	epochs               []byte
	stored               model.Offset
	point                cleanPoint

	s        *Segment // what goes on
	copied   bool     // in a new inode
	keep     int64    // bytes that stay
	newEnd   model.Offset
	tail     tail
	maxTime  int64
	maxAt    int32
	newIndex []byte // the index files' whole contents
	newTimes []byte
}

func (t *truncateTask) do() error {
	for _, base := range t.remove {
		if err := removeSegment(t.dir, t.folder, base); err != nil {
			return err
		}
	}
	old, err := t.opening.do()
	if err != nil {
		return err
	}
	if err := t.measure(old); err != nil {
		return errors.Join(err, old.close())
	}
	if mutant.On(mutant.CutInPlace) {
		if err := old.file.Cut(t.keep); err != nil {
			return errors.Join(err, old.close())
		}
		t.size = t.keep
	}
	if t.keep == t.size {
		t.s = old // nothing of it goes: its next byte is one nobody has seen
	} else {
		fresh, err := t.copyKept(old)
		if err = errors.Join(err, old.close()); err != nil {
			return err
		}
		t.s, t.copied = newSegment(t.files, fresh, t.base, t.limit), true
		for n := range len(t.newIndex) / indexEntryBytes {
			m := indexEntry(t.newIndex, n)
			t.s.guided().marks.add(m.last, m.pos)
		}
	}
	if err := t.finishFiles(); err != nil {
		return errors.Join(err, t.s.close())
	}
	return nil
}

// measure finds out what stays, and the state of appending after it.
func (t *truncateTask) measure(old *Segment) error {
	raw, rawTimes, err := readIndexes(t.dir, t.folder, t.base)
	if err != nil {
		return err
	}
	raw = append(raw[:min(int64(len(raw)), t.index)], t.moreIndex...)
	rawTimes = append(rawTimes[:min(int64(len(rawTimes)), t.times)], t.moreTimes...)
	n := indexPrefix(raw, t.size)
	for n > 0 && t.base+model.Offset(indexEntry(raw, n-1).last) >= t.to {
		n--
	}
	t.newIndex = raw[:n*indexEntryBytes]
	floor, floorLast := int64(0), uint32(0)
	if n > 0 {
		m := indexEntry(raw, n-1)
		floor, floorLast = int64(m.pos), m.last
	}
	times := timePrefix(rawTimes, floorLast)
	if n == 0 {
		times = 0
	}
	t.newTimes = rawTimes[:times*timeEntryBytes]
	t.tail = tail{firstTime: -1, timedTime: -1}
	t.maxTime = -1
	if times > 0 {
		m := timeEntry(rawTimes, times-1)
		t.tail.timedTime, t.maxTime, t.maxAt = m.time, m.time, int32(m.last)
	}
	t.newEnd = t.base
	cut := false
	stop, err := walkHeaders(old.file, floor, t.size, func(_ int64, h *batch.Header) error {
		if h.LastOffset() >= t.to {
			cut = true
			t.newEnd = max(t.newEnd, min(h.BaseOffset, t.to))
			return errStop
		}
		t.newEnd = h.LastOffset() + 1
		if h.MaxTimestamp > t.maxTime {
			t.maxTime, t.maxAt = h.MaxTimestamp, int32(h.LastOffset()-t.base)
		}
		t.tail.sinceIndex += h.Size()
		return nil
	})
	t.keep = stop
	if err != nil {
		return err
	}
	if !cut && stop != t.size {
		return &Damage{Segment: fileName(t.folder, t.base, logSuffix), Pos: stop, Offset: t.newEnd, Reason: "batch header is nonsense"}
	}
	if t.keep > 0 {
		t.tail.firstTime, err = firstTime(old.file)
	}
	return err
}

// firstTime is the largest timestamp of a segment's first batch.
func firstTime(f device.File) (int64, error) {
	var b [batch.HeaderSize]byte
	if _, err := f.Pread(b[:], 0); err != nil {
		return -1, err
	}
	h, _ := batch.ReadHeader(b[:])
	return h.MaxTimestamp, nil
}

// copyKept writes what stays into a new inode, makes it durable, and gives it the old one's name.
func (t *truncateTask) copyKept(old *Segment) (device.File, error) {
	name := fileName(t.folder, t.base, logSuffix)
	temp := name + keptSuffix
	if err := t.dir.Remove(temp); err != nil && !isNotExist(err) {
		return nil, err
	}
	fresh, err := t.dir.Create(temp)
	if err != nil {
		return nil, err
	}
	err = copyRange(fresh, old.file, 0, t.keep)
	if err == nil {
		err = fresh.Sync()
	}
	if err == nil {
		err = t.dir.Rename(temp, name)
	}
	if err != nil {
		return nil, errors.Join(err, fresh.Close())
	}
	return fresh, nil
}

// copyRange writes [at, end) of one file to the same place of another, or of itself.
func copyRange(to, from device.File, at, end int64) error {
	buf := walkBuffers.Get().(*[walkBytes]byte)
	defer walkBuffers.Put(buf)
	for pos := at; pos < end; {
		n, err := from.Pread(buf[:min(walkBytes, end-pos)], pos)
		if err != nil && (err != io.EOF || n == 0) {
			return err
		}
		if _, err := to.Pwritev([][]byte{buf[:n]}, pos); err != nil {
			return err
		}
		pos += int64(n)
	}
	return nil
}

// finishFiles replaces the index files and the epochs. The indexes come after the segment: an entry that points behind the end is
// recognised at Open, a missing one too.
func (t *truncateTask) finishFiles() error {
	for _, f := range []struct {
		suffix string
		data   []byte
	}{{indexSuffix, t.newIndex}, {timeSuffix, t.newTimes}} {
		if err := t.dir.Replace(fileName(t.folder, t.base, f.suffix), f.data); err != nil {
			return err
		}
	}
	if t.stored > t.newEnd {
		if err := writeStart(t.dir, t.folder, t.newEnd); err != nil {
			return err
		}
	}
	if point := t.point.cutTo(t.newEnd); point != t.point {
		if err := writePoint(t.dir, t.folder, point); err != nil {
			return err
		}
	}
	return t.dir.Replace(path.Join(t.folder, epochFile), t.epochs) // syncs the folder as well
}

func (t *truncateTask) finish(l *Log, err error) error {
	l.files.coming--
	if err != nil {
		// Part of it may have happened, and what the files hold is not what we think.
		return l.fail(err)
	}
	l.generation++
	i := l.extentAt(t.base)
	for n := i; n < len(l.extents); n++ {
		if s := l.open(&l.extents[n]); s != nil {
			l.files.remove(s)
		}
	}
	l.extents = l.extents[:i+1]
	e := &l.extents[i]
	*e = extent{
		base: t.base, size: t.keep, synced: min(e.synced, t.keep), touched: e.touched,
		maxTime: t.maxTime, maxTimeAt: t.maxAt, indexed: int32(len(t.newIndex)), timed: int32(len(t.newTimes)), indexSynced: true,
		span: spanUnknown,
	}
	if t.copied {
		e.synced = t.keep
	}
	t.s.log = l
	e.slot = l.files.insert(t.s)
	t.tail.created = l.tail.created
	l.tail = t.tail
	l.written, l.end = t.newEnd, t.newEnd
	l.forgetSegments()
	l.recovery, l.durable = min(l.recovery, t.newEnd), min(l.durable, t.newEnd)
	l.start = min(l.start, t.newEnd)
	l.amend(func(p *past) {
		if p.heritage.end > t.newEnd {
			p.heritage = heritage{end: t.newEnd, size: t.keep}
		}
		if p.unproven = p.unproven.of(t.base); p.unproven.to > t.keep {
			p.unproven.to = t.keep
		}
	})
	l.stored = min(l.stored, t.newEnd)
	l.point = l.point.cutTo(t.newEnd)
	l.epochs.truncateEnd(t.to)
	l.epochs.dirty, l.epochs.stored = false, true // so the file says
	l.epochs.truncateEnd(t.newEnd)
	return nil
}

// resetTask removes all segments and makes an empty one, so that the new start survives.
type resetTask struct {
	dir    device.Dir
	folder string
	at     model.Offset
	remove []model.Offset
	epochs []byte
	stored model.Offset
	point  cleanPoint
}

func (t *resetTask) do() error {
	if err := t.dir.Mkdir(t.folder); err != nil {
		return err
	}
	for _, base := range t.remove {
		if err := removeSegment(t.dir, t.folder, base); err != nil {
			return err
		}
	}
	f, err := t.dir.Create(fileName(t.folder, t.at, logSuffix))
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if t.stored > t.at {
		if err := writeStart(t.dir, t.folder, t.at); err != nil {
			return err
		}
	}
	if point := t.point.cutTo(t.at); point != t.point {
		if err := writePoint(t.dir, t.folder, point); err != nil {
			return err
		}
	}
	return t.dir.Replace(path.Join(t.folder, epochFile), t.epochs)
}

func (t *resetTask) finish(l *Log, err error) error {
	if err != nil {
		return l.fail(err)
	}
	l.generation++
	for n := range l.extents {
		if s := l.open(&l.extents[n]); s != nil {
			l.files.remove(s)
		}
	}
	l.extents = append(l.extents[:0], extent{base: t.at, maxTime: -1, slot: noSlot, span: spanUnknown, indexSynced: true})
	l.tail = tail{firstTime: -1, timedTime: -1}
	l.start, l.written, l.end, l.recovery, l.durable = t.at, t.at, t.at, t.at, t.at
	l.forgetSegments()
	l.stored = min(l.stored, t.at)
	l.point = l.point.cutTo(t.at)
	l.epochs = epochs{stored: true}
	l.amend(func(p *past) { *p = past{damage: p.damage} })
	l.hasFolder, l.namesDirty = true, true
	return nil
}

// removeSegment deletes a segment's files, the records first: index files without records are recognised at Open.
func removeSegment(dir device.Dir, folder string, base model.Offset) error {
	for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix, ".txnindex", ".snapshot"} {
		if err := dir.Remove(fileName(folder, base, suffix)); err != nil && !isNotExist(err) {
			return fmt.Errorf("delete segment: %w", err)
		}
	}
	return nil
}

// readIndexes reads both index files; a missing one is empty.
func readIndexes(dir device.Dir, folder string, base model.Offset) (index, times []byte, err error) {
	index, err = dir.ReadFile(fileName(folder, base, indexSuffix), segmentBytesMax)
	if err != nil && !isNotExist(err) {
		return nil, nil, err
	}
	times, err = dir.ReadFile(fileName(folder, base, timeSuffix), segmentBytesMax)
	if err != nil && !isNotExist(err) {
		return nil, nil, err
	}
	return index, times, nil
}
