package log

import (
	"errors"
	"fmt"
	"io"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/must"
)

// ReadState says what Read found.
type ReadState uint8

const (
	ReadOK         ReadState = iota
	ReadEmpty                // nothing between from and limit, or no byte allowed
	ReadBelowStart           // from < Start: OFFSET_OUT_OF_RANGE
	ReadBeyondEnd            // from > Written: OFFSET_OUT_OF_RANGE
	ReadNeedsWork            // the segment is closed, or a header is not in memory: PrepareRead, then again
)

// Span is a run of batches inside one segment, on loan: the bytes do not change, and stay readable, until the lease goes home. Read gives
// one lease; Retain and Release count on the owner, the other methods may be called anywhere while a lease is held.
type Span struct {
	seg    *Segment
	Pos    int64        // byte position in the segment file
	Len    int          // bytes; the last batch may be cut
	First  int          // bytes of the first batch
	Offset model.Offset // base offset of the first batch
	Fresh  clock.Mono   // until then it is in memory, because it was written a moment before: for the owner to say, who knows when; 0: nobody knows
}

// IsZero reports whether the span names nothing.
func (s Span) IsZero() bool { return s.seg == nil }

// Fd is the descriptor to send from.
func (s Span) Fd() int { return s.seg.file.Fd() }

// Bytes is the span in the mapping: for system calls, or behind device.Guarded. Touching it may wait for the disk unless Resident. It is nil
// where the kernel refused a mapping; use Fd or ReadCold then.
func (s Span) Bytes() []byte {
	if s.Pos+int64(s.Len) > int64(len(s.seg.data)) {
		return nil
	}
	return s.seg.data[s.Pos : s.Pos+int64(s.Len) : s.Pos+int64(s.Len)]
}

// Mapping is what device.Guarded has to know.
func (s Span) Mapping() []byte { return s.seg.data }

// Resident reports whether the span can be sent from its byte at on without waiting for the disk. Some 5 us for 1 MiB.
func (s Span) Resident(at int) bool { return s.seg.file.Resident(s.Pos+int64(at), int64(s.Len-at)) }

// Again reports whether n bytes from at on were read from the disk within the last minute, and counts this as such a read: they are worth keeping.
func (s Span) Again(at, n int, now clock.Mono) bool {
	return s.seg.recall.again(s.Pos+int64(at), n, now)
}

// ReadCold fills b with the span's bytes from at on, without leaving them in the page cache. It blocks: helpers only. A shorter
// count than asked comes with io.EOF, at the end of the span.
func (s Span) ReadCold(b []byte, at int) (int, error) { return s.read(b, at, device.File.ReadCold) }

// ReadKeep is ReadCold that leaves them there.
func (s Span) ReadKeep(b []byte, at int) (int, error) { return s.read(b, at, device.File.Pread) }

func (s Span) read(b []byte, at int, read func(f device.File, b []byte, pos int64) (int, error)) (int, error) {
	if at < 0 || at > s.Len {
		must.Failf("read at %d of a span of %d bytes", at, s.Len)
	}
	cut := min(len(b), s.Len-at)
	n, err := read(s.seg.file, b[:cut], s.Pos+int64(at))
	if err == io.EOF {
		// The log says there are bytes; the file has lost them.
		return n, &Damage{Segment: fileName("", s.seg.base, logSuffix), Pos: s.Pos + int64(at+n), Offset: s.Offset, Reason: "file is shorter than the log"}
	}
	if err == nil && cut < len(b) {
		err = io.EOF
	}
	return n, err
}

// Begins reports whether two spans begin at the same byte of the same file.
func (s Span) Begins(o Span) bool { return s.seg == o.seg && s.Pos == o.Pos }

// Slice is the first n bytes of the span, under the same lease.
func (s Span) Slice(n int) Span {
	if n < 0 || n > s.Len {
		must.Failf("slice of %d bytes from a span of %d", n, s.Len)
	}
	s.Len = n
	return s
}

// Retain adds a lease.
func (l *Log) Retain(s Span) { s.seg.hold() }

// Doubt notes that the bytes of a leased span could not be read from some of them on. A Read that comes to the batch there needs Work, which
// reads it as a whole: it is given when that succeeds.
func (l *Log) Doubt(s Span, at int) {
	doubts := l.oddities().doubts
	for base := range doubts {
		if l.extentAt(base) < 0 {
			delete(doubts, base)
		}
	}
	if s.seg.log != l {
		return // deleted or replaced meanwhile
	}
	pos := s.Pos + int64(at)
	if known, ok := doubts[s.seg.base]; ok && known <= pos {
		return
	}
	if doubts == nil {
		doubts = make(map[model.Offset]int64)
		l.oddly().doubts = doubts
	}
	doubts[s.seg.base] = pos
}

// doubt is the first byte of a segment that could not be read, if there is one.
func (l *Log) doubt(base model.Offset) (at int64, ok bool) {
	if l.odd == nil {
		return 0, false
	}
	at, ok = l.odd.doubts[base]
	return at, ok
}

// Release gives a lease back. It may come after the log was truncated, closed or dropped.
func (l *Log) Release(s Span) { s.seg.release() }

// Read finds the batches from the one that holds from up to limit (a high watermark or last stable offset), at most maxBytes of them. With minOne the
// first batch comes whole, however large. It ends with the segment. On ReadOK the caller holds one lease.
func (l *Log) Read(from, limit model.Offset, maxBytes int, minOne bool) (Span, ReadState) {
	switch {
	case from < l.start:
		return Span{}, ReadBelowStart
	case from > l.written:
		return Span{}, ReadBeyondEnd
	}
	limit = min(limit, l.written)
	if from >= limit || (maxBytes <= 0 && !minOne) {
		return Span{}, ReadEmpty
	}
	i := l.extentFor(from)
	e := &l.extents[i]
	s := l.open(e)
	if s == nil {
		l.coldLimit = limit
		return Span{}, ReadNeedsWork
	}
	l.files.touch(s)
	at, err := s.locate(from, e.size)
	if err == io.EOF && i+1 < len(l.extents) && l.gapBefore(i+1) {
		return l.readNext(i+1, limit, maxBytes, minOne)
	}
	if err != nil {
		l.coldLimit = limit
		return Span{}, ReadNeedsWork
	}
	return l.span(i, s, at, limit, maxBytes, minOne)
}

// readNext goes on at the next segment when compaction left nothing behind from in this one.
func (l *Log) readNext(i int, limit model.Offset, maxBytes int, minOne bool) (Span, ReadState) {
	return l.Read(l.extents[i].base, limit, maxBytes, minOne)
}

// span cuts what lies between a place and limit.
func (l *Log) span(i int, s *Segment, at place, limit model.Offset, maxBytes int, minOne bool) (Span, ReadState) {
	end := l.extents[i].size
	if limit < l.extentEnd(i) {
		stop, err := s.locate(limit, end)
		switch {
		case err == nil:
			end = int64(stop.pos)
		case err != io.EOF: // EOF: compaction left nothing from limit on
			l.coldLimit = limit
			return Span{}, ReadNeedsWork
		}
	}
	available := end - int64(at.pos)
	if available < int64(at.size) {
		return Span{}, ReadEmpty // limit lies inside the first batch
	}
	length := min(int64(max(maxBytes, 0)), available)
	if minOne {
		length = max(length, int64(at.size))
	}
	if doubt, ok := l.doubt(s.base); ok && doubt >= int64(at.pos) && doubt < int64(at.pos)+length {
		if length = doubt - int64(at.pos); length < int64(at.size) {
			l.coldLimit = limit
			return Span{}, ReadNeedsWork
		}
	}
	s.hold()
	return Span{seg: s, Pos: int64(at.pos), Len: int(length), First: int(at.size), Offset: s.base + model.Offset(at.first)}, ReadOK
}

// Opens reports whether reading from an offset opens a segment, for which Files must have Room.
func (l *Log) Opens(from model.Offset) bool {
	if from < l.start || from >= l.written {
		return false
	}
	i, _ := l.passGaps(from)
	return l.extents[i].slot == noSlot
}

// passGaps is the segment that Read goes to for an offset, and the offset it looks for there: the next one's base where compaction has left
// nothing behind it in the open one it belongs to.
func (l *Log) passGaps(from model.Offset) (int, model.Offset) {
	i := l.extentFor(from)
	for ; i+1 < len(l.extents) && l.gapBefore(i+1); i++ {
		e := &l.extents[i]
		s := l.open(e)
		if s == nil {
			break
		}
		if _, err := s.locate(from, e.size); err != io.EOF {
			break
		}
		from = l.extents[i+1].base
	}
	return i, from
}

// PrepareRead returns the Work after which Read(from, …) with the limit it was last asked with finds what it needs in memory; several
// may be under way. nil when there is nothing to do: Read again.
func (l *Log) PrepareRead(from model.Offset) *Work {
	if from < l.start || from >= l.written {
		return nil
	}
	i, from := l.passGaps(from)
	e := &l.extents[i]
	t := &readTask{
		opening:    opening{dir: l.dir, folder: l.name, base: e.base, size: e.size, limit: e.size, files: l.files},
		from:       from,
		stop:       -1,
		generation: l.generation,
	}
	t.stretch = l.past().unproven.of(e.base)
	if i == len(l.extents)-1 {
		t.limit = max(e.size, l.segmentBytes())
	}
	if l.coldLimit > from && l.coldLimit < l.extentEnd(i) {
		t.stop = l.coldLimit
	}
	if i+1 < len(l.extents) && !l.gapBefore(i+1) {
		t.next = l.extents[i+1].base
	}
	t.doubt = -1
	if doubt, ok := l.doubt(e.base); ok {
		t.doubt = doubt
	}
	if s := l.open(e); s != nil {
		s.hold()
		t.s, t.held = s, true
		t.floorFrom, t.floorStop = s.floorFor(from), s.floorFor(t.stop)
	} else {
		l.files.coming++
	}
	return &Work{log: l, task: t}
}

// floorFor is where a walk for offset begins.
func (s *Segment) floorFor(offset model.Offset) int64 {
	if offset < s.base {
		return 0
	}
	rel := uint32(min(offset-s.base, segmentBytesMax))
	exact, ok, floor, _ := s.hint(rel)
	if ok {
		floor = exact.pos
	}
	return int64(floor)
}

// readTask opens a segment and finds one or two places in it.
type readTask struct {
	opening
	from, stop           model.Offset // stop -1: not wanted
	floorFrom, floorStop int64
	generation           uint32
	s                    *Segment
	held                 bool // s was open before, and is leased for the Work
	places               []place
	next                 model.Offset // base of the segment behind, where nothing may be missing right before it; else 0
	lost                 *Damage      // something is
	thinned              bool         // it is, and was compacted away
	doubt                int64        // a byte that could not be read, -1 for none
	sound                bool         // it can be read
	doubted              bool         // it still cannot: that batch is not served, the others are
}

func (t *readTask) do() error {
	if !t.held {
		s, err := t.opening.do()
		if err != nil {
			return err
		}
		t.s = s
		t.floorFrom, t.floorStop = s.floorFor(t.from), s.floorFor(t.stop)
	}
	if err := t.find(t.from, t.floorFrom); err != nil {
		return err
	}
	if t.next > 0 && len(t.places) == 0 {
		return t.missing()
	}
	if err := t.reread(); err != nil {
		t.doubted = true
		return err
	}
	if t.stop >= 0 {
		return t.find(t.stop, t.floorStop)
	}
	return nil
}

func (t *readTask) find(offset model.Offset, floor int64) error {
	rel := uint32(min(offset-t.base, segmentBytesMax))
	damage := func(pos int64) error {
		return &Damage{Segment: fileName(t.folder, t.base, logSuffix), Pos: pos, Offset: offset, Reason: "batch header is nonsense"}
	}
	found := len(t.places)
	stop, err := walkHeaders(t.s.file, floor, t.size, func(pos int64, h *batch.Header) error {
		p, ok := placeOf(h, t.base, pos, t.size)
		if !ok {
			return damage(pos)
		}
		if p.last < rel {
			return nil
		}
		t.places = append(t.places, p)
		return errStop
	})
	if err == nil && stop < t.size && len(t.places) == found {
		return damage(stop) // else the next Read would ask for the same again, for ever
	}
	return err
}

// missing reads all headers of a segment that ends before the next one begins, though no compaction is known to have been there: they show one of
// another broker, or what followed is lost.
func (t *readTask) missing() error {
	end := t.base
	_, err := walkHeaders(t.s.file, 0, t.size, func(_ int64, h *batch.Header) error {
		t.thinned = t.thinned || thinned(h, end)
		end = h.LastOffset() + 1
		return nil
	})
	if err == nil && !t.thinned {
		t.lost = &Damage{Segment: fileName(t.folder, t.base, logSuffix), Pos: t.size, Offset: end, Reason: fmt.Sprintf(lostBefore, t.next)}
	}
	return err
}

// reread reads the batch that was found, if the doubtful byte lies in it.
func (t *readTask) reread() error {
	if len(t.places) == 0 || t.doubt < int64(t.places[0].pos) || t.doubt >= int64(t.places[0].pos+t.places[0].size) {
		return nil
	}
	at, end := int64(t.places[0].pos), int64(t.places[0].pos+t.places[0].size)
	buf := walkBuffers.Get().(*[walkBytes]byte)
	defer walkBuffers.Put(buf)
	for at < end {
		n, err := t.s.file.ReadCold(buf[:min(walkBytes, end-at)], at)
		if n == 0 && err != nil {
			return fmt.Errorf("the batch with offset %d, at byte %d of %s: %w", t.from, t.places[0].pos, fileName(t.folder, t.base, logSuffix), err)
		}
		at += int64(n)
	}
	t.sound = true
	return nil
}

func (t *readTask) finish(l *Log, err error) error {
	s := t.s
	if !l.changed(t.base, t.generation) { // else it may have looked for the old form's bytes in the new one
		l.proved(&t.opening)
		if l.extentAt(t.base) >= 0 && t.next > l.gaps() { // retention may have been here, or compaction
			if t.lost != nil {
				err = t.lost
			} else if t.thinned {
				l.oddly().thinned = t.next
			}
		}
	}
	if !t.held {
		l.files.coming--
	}
	if t.held {
		defer s.release()
	} else if s != nil {
		i := l.extentAt(t.base)
		if err != nil || l.changed(t.base, t.generation) || i < 0 || l.extents[i].slot != noSlot || l.closed {
			l.files.discard(s)
			if err == nil && i >= 0 && l.extents[i].slot != noSlot && !l.changed(t.base, t.generation) {
				s = l.open(&l.extents[i])
			} else {
				s = nil
			}
		} else {
			s.log = l
			l.extents[i].slot = l.files.insert(s)
		}
	}
	if err != nil && !t.doubted {
		err = unreadable(err, fileName(l.name, t.base, logSuffix), t.from)
	}
	if err != nil {
		return l.ownDeletion(err, t.base, t.generation)
	}
	if t.sound {
		delete(l.oddities().doubts, t.base)
	}
	if s != nil {
		for _, p := range t.places {
			s.guided().hints.add(p)
		}
	}
	return nil
}

// changed reports whether the segment's name may have come to mean another inode since generation.
func (l *Log) changed(base model.Offset, generation uint32) bool {
	return l.generation != generation || l.busy&busySwap != 0 && base >= l.odd.swapFrom && base < l.odd.swapTo
}

// ownDeletion drops an error that only says that the file went away while we looked, because we deleted or replaced it.
func (l *Log) ownDeletion(err error, base model.Offset, generation uint32) error {
	if l.changed(base, generation) || isNotExist(err) && (l.dropped || l.extentAt(base) < 0) {
		return nil
	}
	return fmt.Errorf("log %s: %w", l.name, err)
}

// opening is what opening a segment's file takes.
type opening struct {
	dir     device.Dir
	folder  string
	base    model.Offset
	size    int64 // bytes the log has there
	limit   int64 // bytes to map
	files   *Files
	stretch unproven // to be proved first
	damage  error    // what that found
	proven  bool     // it found nothing
}

// do opens and maps an existing segment, and loads its index. It blocks.
func (o *opening) do() (*Segment, error) {
	name := fileName(o.folder, o.base, logSuffix)
	file, err := o.dir.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := file.Size()
	if err == nil && size < o.size {
		err = &Damage{Segment: name, Pos: size, Offset: o.base, Reason: fmt.Sprintf("file has %d bytes, the log %d", size, o.size)}
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	if err = o.stretch.prove(file, name); err != nil {
		var damage *Damage
		if errors.As(err, &damage) {
			o.damage = err
		}
		_ = file.Close()
		return nil, err
	}
	o.proven = true
	s := newSegment(o.files, file, o.base, o.limit)
	raw, err := o.dir.ReadFile(fileName(o.folder, o.base, indexSuffix), segmentBytesMax)
	if err != nil && !isNotExist(err) {
		_ = s.close()
		return nil, err
	}
	for n := range indexPrefix(raw, o.size) {
		m := indexEntry(raw, n)
		s.guided().marks.add(m.last, m.pos)
	}
	return s, nil
}

// newSegment wraps an open file. A refused mapping is not an error: readers then use the descriptor.
func newSegment(files *Files, file device.File, base model.Offset, limit int64) *Segment {
	s := &Segment{files: files, file: file, base: base, limit: limit, slot: noSlot}
	if limit > 0 {
		if data, err := file.Map(limit); err == nil {
			s.data = data
		}
	}
	return s
}
