package log

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"pinion/disk/device"
	"pinion/engine/model"
	"pinion/engine/must"
	"pinion/engine/mutant"
)

// flushScope is how far a flush goes.
type flushScope uint8

const (
	flushIndex  flushScope = iota // entries of the active segment to their files, nothing synced
	flushData                     // records and names alone: what an acknowledgement waits for
	flushSealed                   // everything before the active segment
	flushAll
	flushClose // all, and the active segment is made like a sealed one
)

// SyncWork returns the Work that makes everything written so far durable: segments, indexes, epochs, names. Its Finish moves the recovery
// point. nil when nothing is dirty or a Work that excludes it is under way.
func (l *Log) SyncWork() *Work { return l.flush(flushAll) }

// SyncData is SyncWork without indexes and epochs, which recovery makes again: its Finish moves Durable, not the recovery point. One sync
// where only the active segment has grown.
func (l *Log) SyncData() *Work { return l.flush(flushData) }

// SyncSealed is SyncWork for the segments before the active one, as Kafka flushes after a roll.
func (l *Log) SyncSealed() *Work {
	if !l.SealedDirty() {
		return nil
	}
	return l.flush(flushSealed)
}

// Dirty reports whether a power cut could take something that is written.
func (l *Log) Dirty() bool {
	return l.recovery < l.written || l.epochs.dirty || l.namesDirty || l.SealedDirty()
}

// Unsynced is about how many bytes of records a power cut could take.
func (l *Log) Unsynced() (bytes int64) {
	for i := len(l.extents) - 1; i >= 0 && i >= len(l.extents)-4; i-- {
		bytes += l.extents[i].size - l.extents[i].synced
	}
	return bytes
}

// SealedDirty reports whether a sealed segment is not synced yet: right after a roll, and after recovery.
func (l *Log) SealedDirty() bool {
	for i := len(l.extents) - 2; i >= 0 && i >= len(l.extents)-4; i-- {
		if l.extents[i].dirty() {
			return true
		}
	}
	return len(l.extents) > 1 && l.recovery < l.last().base
}

// flush prepares a Work that writes and syncs.
func (l *Log) flush(scope flushScope) *Work {
	if l.err != nil || l.closed || l.busy&(busySync|busyEvict|busyActive|busyExpire|busyWhole) != 0 {
		return nil
	}
	t := l.prepareFlush(scope)
	if t == nil {
		return nil
	}
	return l.begin(busySync, t)
}

// prepareFlush captures what is dirty; nil when nothing is.
func (l *Log) prepareFlush(scope flushScope) *flushTask {
	t := &flushTask{dir: l.dir, folder: l.name, id: l.id, scope: scope, upTo: l.written, generation: l.generation}
	active := len(l.extents) - 1
	if scope == flushSealed {
		t.upTo = l.last().base
	}
	for i := range l.extents {
		e := &l.extents[i]
		if (scope == flushIndex && i != active) || (scope == flushSealed && i == active) {
			continue
		}
		if scope == flushData {
			if l.extentEnd(i) > l.durable && e.synced < e.size {
				t.parts = append(t.parts, l.dataPart(i))
			}
			continue
		}
		sealed := i != active || scope == flushClose
		if !e.dirty() && !(scope == flushClose && i == active && l.untidy(e)) {
			continue
		}
		t.parts = append(t.parts, l.flushPart(i, sealed))
		t.made = t.made || e.synced == 0 // later ones found both files there
	}
	if scope != flushIndex {
		if l.epochs.dirty && scope != flushData {
			t.epochs, t.fresh = l.epochs.appendFile(nil), !l.epochs.stored
			l.epochs.dirty, l.epochs.stored = false, true
		}
		t.names = l.namesDirty
		l.namesDirty = false
	}
	synced := l.recovery
	if scope == flushData {
		synced = l.durable
	}
	if len(t.parts) == 0 && t.epochs == nil && !t.names && synced >= t.upTo {
		return nil
	}
	return t
}

// dataPart takes a segment whose records alone are to be synced.
func (l *Log) dataPart(i int) flushPart {
	e := &l.extents[i]
	p := flushPart{size: e.size}
	p.again, p.upTo = l.inherited(i)
	p.write = indexWrite{folder: l.name, base: e.base}
	if p.s = l.open(e); p.s != nil {
		p.s.hold()
		p.s.pushed = e.size
	}
	return p
}

// flushPart takes what one segment has to write. The entries are lent to the Work; new ones go to another slice meanwhile.
func (l *Log) flushPart(i int, sealed bool) flushPart {
	e := &l.extents[i]
	p := flushPart{size: e.size, trim: sealed}
	p.again, p.upTo = l.inherited(i)
	p.write = indexWrite{folder: l.name, base: e.base, indexAt: int64(e.indexed), timesAt: int64(e.timed)}
	s := l.open(e)
	if s == nil {
		p.write.times = l.takeUnsealed(e)
		return p
	}
	if sealed && e == l.last() {
		l.noteTime(e, s)
	}
	s.hold()
	s.pushed = e.size
	p.s = s
	p.write.index, p.write.times = s.takeUnwritten()
	p.write.times = append(p.write.times, l.takeUnsealed(e)...) // it may have been opened again since it was sealed
	return p
}

// takeUnsealed is the last time index entry of a segment that was closed when it was sealed.
func (l *Log) takeUnsealed(e *extent) []byte {
	i := slices.Index(l.oddities().unsealed, e.base)
	if i < 0 {
		return nil
	}
	l.odd.unsealed = slices.Delete(l.odd.unsealed, i, i+1)
	return appendTimeEntry(nil, timeMark{e.maxTime, uint32(e.maxTimeAt)})
}

// forgetSegments is for a log whose segments are others by now.
func (l *Log) forgetSegments() {
	if l.odd != nil {
		l.odd.unsealed = nil
		l.odd.thinned = min(l.odd.thinned, l.written)
	}
}

// flushTask writes index entries and, unless the scope is flushIndex, syncs.
type flushTask struct {
	dir        device.Dir
	folder     string
	scope      flushScope
	parts      []flushPart
	epochs     []byte // of the checkpoint file; nil when it is up to date
	fresh      bool   // there is no such file yet
	names      bool
	made       bool // index files may be, whose names are to be synced
	id         model.TopicID
	upTo       model.Offset
	generation uint32
}

type flushPart struct {
	write indexWrite
	s     *Segment // held; nil: opened for the sync alone
	size  int64
	again int64 // [again, upTo) is written again before the sync
	upTo  int64
	trim  bool
	gone  bool // the file does not exist
}

// do goes by segment: data, then what points to it, then names. A power cut in between leaves a recovery point below.
func (t *flushTask) do() error {
	for i := range t.parts {
		p := &t.parts[i]
		if t.scope == flushIndex {
			if err := p.write.do(t.dir, false); err != nil {
				return err
			}
			continue
		}
		if err := t.syncPart(p, t.scope != flushData); err != nil {
			return err
		}
	}
	if t.epochs != nil {
		if err := t.dir.Replace(path.Join(t.folder, epochFile), t.epochs); err != nil {
			return err
		}
	}
	if t.scope == flushIndex {
		return nil
	}
	if t.names {
		if err := syncMetadata(t.dir, t.folder, t.id); err != nil {
			return err
		}
	}
	if mutant.On(mutant.NamesNotSynced) {
		return nil
	}
	if t.names || t.made {
		if err := t.dir.SyncDir(t.folder); err != nil {
			return err
		}
	}
	if t.names {
		return t.dir.SyncDir(".")
	}
	return nil
}

// write does everything but syncs, for a SyncAll that follows. Until then a power cut may tear each of the files, which a start makes good: what
// lies behind the recovery point is read, index files are made again from the records. The epoch checkpoint alone is replaced as ever where
// there is one; where there is none, a torn one is made again from the records as well.
func (t *flushTask) write() error {
	for i := range t.parts {
		if err := t.writePart(&t.parts[i]); err != nil {
			return err
		}
	}
	if t.names && !t.id.IsZero() {
		if err := writeMetadata(t.dir, t.folder, t.id); err != nil {
			return err
		}
	}
	if t.epochs == nil {
		return nil
	}
	name := path.Join(t.folder, epochFile)
	if !t.fresh {
		return t.dir.Replace(name, t.epochs)
	}
	return rewriteIndex(t.dir, name, t.epochs, 0)
}

func (t *flushTask) writePart(p *flushPart) error {
	if p.s != nil && p.again >= p.upTo {
		return t.tidyPart(p, p.s.file)
	}
	if p.s == nil && p.again >= p.upTo && !p.trim {
		return p.write.make(t.dir)
	}
	file, err := t.dir.Open(fileName(t.folder, p.write.base, logSuffix))
	if isNotExist(err) {
		p.gone = true // retention was faster: finish checks that
		return nil
	}
	if err != nil {
		return err
	}
	err = copyRange(file, file, p.again, p.upTo)
	if err == nil {
		err = t.tidyPart(p, file)
	}
	return errors.Join(err, file.Close())
}

// tidyPart gives reserved space back and brings the index files up to date.
func (t *flushTask) tidyPart(p *flushPart, file device.File) error {
	if p.trim {
		if err := file.Trim(p.size); err != nil {
			return err
		}
	}
	return p.write.make(t.dir)
}

func (t *flushTask) syncPart(p *flushPart, indexes bool) error {
	var file device.File
	if p.s != nil {
		file = p.s.file
	} else {
		f, err := t.dir.Open(fileName(t.folder, p.write.base, logSuffix))
		if isNotExist(err) {
			p.gone = true // retention was faster: finish checks that
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		file = f
	}
	if p.trim {
		if err := file.Trim(p.size); err != nil {
			return err
		}
	}
	if err := copyRange(file, file, p.again, p.upTo); err != nil {
		return err
	}
	err := file.Sync()
	if mutant.On(mutant.SyncRetried) && err != nil {
		err = file.Sync()
	}
	if err != nil {
		return err
	}
	if !indexes {
		return nil
	}
	return p.write.do(t.dir, true)
}

func (t *flushTask) finish(l *Log, err error) error {
	for i := range t.parts {
		t.parts[i].finish(l, err, t.scope, &err)
	}
	if err != nil {
		if t.scope != flushIndex && l.dropped && isNotExist(err) {
			return nil
		}
		return l.fail(err)
	}
	if t.scope != flushIndex {
		l.durable = max(l.durable, min(t.upTo, l.written))
		if end := l.past().heritage.end; end > 0 && t.upTo >= end {
			l.amend(func(p *past) { p.heritage = heritage{} })
		}
	}
	if t.scope != flushIndex && t.scope != flushData {
		l.recovery = max(l.recovery, min(t.upTo, l.written))
	}
	return nil
}

func (p *flushPart) finish(l *Log, err error, scope flushScope, out *error) {
	if p.s != nil {
		p.takeBack()
	}
	i := l.extentAt(p.write.base)
	if i < 0 || err != nil {
		return
	}
	if p.gone {
		*out = fmt.Errorf("sync segment %d: the file is gone", p.write.base)
		return
	}
	if scope == flushData {
		return // what the extent knows as synced includes its indexes
	}
	e := &l.extents[i]
	e.indexed += int32(len(p.write.index))
	e.timed += int32(len(p.write.times))
	if scope != flushIndex {
		e.synced = p.size
		s := l.open(e)
		e.indexSynced = e.size == p.size && (s == nil || !s.hasUnwritten()) && !slices.Contains(l.oddities().unsealed, e.base)
		if e.synced > e.size {
			must.Failf("log %s: %d bytes of segment %d are synced, it has %d", l.name, e.synced, e.base, e.size)
		}
		if p.trim && s != nil {
			s.reserved = min(s.reserved, e.size)
		}
	}
}

// takeBack ends the hold on a segment; the memory of entries that were lent serves again.
func (p *flushPart) takeBack() {
	if g := p.s.guide; g != nil {
		if g.index == nil && p.write.index != nil {
			g.index = p.write.index[:0]
		}
		if g.times == nil && p.write.times != nil {
			g.times = p.write.times[:0]
		}
	}
	p.s.release()
}
