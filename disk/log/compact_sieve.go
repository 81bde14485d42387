package log

import (
	"errors"
	"fmt"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/clock"
	"pinion/engine/model"
)

// cleanedSuffix ends the names of what a pass writes, until it is whole; swapSuffix until it has taken the place of what it replaces.
// Both are Kafka's, with Kafka's meaning.
const (
	cleanedSuffix = ".cleaned"
	swapSuffix    = ".swap"
)

// siftOutputMax bounds what one batch may inflate to while it is sifted. Validation held it to far less.
const siftOutputMax = 1 << 30

// sieve is what a pass holds: with the helper while a step is away, else with the owner of the log.
type sieve struct {
	// Immutable.
	dir      device.Dir
	folder   string
	from     CompactFrom
	interval int           // of index entries
	horizon  int64         // for tombstones met for the first time
	parts    []compactPart // everything that may be rewritten, in order
	dirty    int           // index in parts of the first one with keys to collect
	first    model.Offset  // where collecting begins
	gaps     model.Offset  // Log.gaps

	// Of collecting.
	keys   *keyMap
	mapEnd model.Offset // every key below is in keys
	reach  model.Offset // behind the last record any key was taken of: a batch may have filled the map halfway; invariant: mapEnd <= reach
	mapped bool

	// Of the group being written.
	part      int // index in the group of the one being read
	grouped   bool
	unchanged bool
	out       *siftedSegment

	in     segmentReader
	sifter batch.Sifter
	it     batch.Iterator
	buf    []byte // sifted, on its way to the file
	purge  clock.Wall
	stats  CompactStats
}

func newSieve(l *Log, from CompactFrom, parts []compactPart, d Dirt) *sieve {
	s := &sieve{
		dir: l.dir, folder: l.name, from: from, interval: l.cfg.IndexIntervalBytes, parts: parts, first: d.From, mapEnd: d.From, reach: d.From, purge: never,
		gaps:    l.gaps(),
		horizon: int64(from.Now) + min(l.cfg.DeleteRetentionMs, 1<<53),
	}
	for s.dirty < len(parts) && parts[s.dirty].end <= d.From {
		s.dirty++
	}
	// No more keys than offsets: a small log does not take the memory of a large one.
	s.keys = newKeyMap(int(min(int64(from.Keys), int64(max(d.To-d.From, 1)))), from.Load)
	s.stats.From, s.stats.To = d.From, d.From
	return s
}

// open reports whether there is anything to discard.
func (s *sieve) open() bool { return s.out != nil || s.in.file != nil }

// discard closes and removes what is half done.
func (s *sieve) discard() error {
	err := s.in.close()
	if s.out != nil {
		err = errors.Join(err, s.out.discard(s.dir, s.folder))
		s.out = nil
	}
	return err
}

// mapStep collects keys.
func (s *sieve) mapStep() error {
	for budget := s.from.StepMax; budget > 0; {
		if s.in.file == nil {
			if s.dirty == len(s.parts) {
				s.mapped = true
				return nil
			}
			if err := s.in.begin(s.dir, s.folder, s.parts[s.dirty], s.from.Read); err != nil {
				return err
			}
		}
		h, raw, err := s.in.next()
		if err != nil {
			return err
		}
		if raw == nil {
			if end := s.in.part.end; s.in.expect < end && end > s.gaps && !s.in.thinned {
				return s.in.damage(fmt.Sprintf(lostBefore, end)) // the point of this pass would make it one of its gaps
			}
			s.mapEnd = s.parts[s.dirty].end
			s.reach = s.mapEnd
			s.stats.To = s.mapEnd
			s.dirty++
			if err := s.in.close(); err != nil {
				return err
			}
			continue
		}
		budget -= int64(len(raw))
		s.stats.Read += int64(len(raw))
		s.stats.Mapped += int64(len(raw))
		if h.LastOffset() < s.first {
			continue
		}
		s.reach = max(s.reach, h.LastOffset()+1)
		whole, err := s.mapBatch(&h, raw)
		if err != nil {
			return err
		}
		if !whole {
			s.stats.MapFull, s.mapped = true, true
			return s.in.close()
		}
		s.mapEnd = h.LastOffset() + 1
		s.stats.To = s.mapEnd
	}
	return nil
}

// transactional batches are kept as they are, and their records outlast no others: without the outcome of a transaction nobody can say
// whether a record of it counts. TODO when transactions land: sift by the transaction index, and markers by what is left of theirs.
func untouchable(h *batch.Header) bool { return h.IsControl() || h.IsTransactional() }

// mapBatch puts the keys of one batch into the map; false when it has no room. The first batch of a pass always has: every pass moves on.
func (s *sieve) mapBatch(h *batch.Header, raw []byte) (bool, error) {
	if untouchable(h) {
		return true, nil
	}
	s.it.Reset(raw, siftOutputMax)
	for s.it.Next() {
		r := s.it.Record()
		if r.Key == nil {
			continue
		}
		for !s.keys.put(r.Key, r.Offset) {
			if s.mapEnd > s.first {
				return false, nil
			}
			s.keys.grow()
		}
		s.stats.Keys = s.keys.used
	}
	if err := s.it.Err(); err != nil {
		return false, s.in.damage(err.Error())
	}
	return true, nil
}

// toSift is the segments that may hold a record that is outlived: all up to the one the map ends in.
func (s *sieve) toSift() []compactPart {
	n := 0
	for n < len(s.parts) && s.parts[n].base < s.mapEnd {
		n++
	}
	return s.parts[:n]
}

// siftStep writes on at the new form of a group of segments.
func (s *sieve) siftStep(group []compactPart) error {
	if s.grouped {
		s.grouped, s.unchanged, s.part = false, false, 0
	}
	if s.out == nil {
		var err error
		if s.out, err = newSifted(s.dir, s.folder, group, s.interval); err != nil {
			return err
		}
		s.part, s.unchanged = 0, true
	}
	for budget := s.from.StepMax; budget > 0; {
		if s.in.file == nil {
			if s.part == len(group) {
				return s.endGroup(group)
			}
			if err := s.in.begin(s.dir, s.folder, group[s.part], s.from.Read); err != nil {
				return err
			}
		}
		h, raw, err := s.in.next()
		if err != nil {
			return err
		}
		if raw == nil {
			s.part++
			if err := s.in.close(); err != nil {
				return err
			}
			continue
		}
		budget -= int64(len(raw))
		s.stats.Read += int64(len(raw))
		if err := s.sift(&h, raw, s.in.pos == s.in.part.size && empty(group[s.part+1:])); err != nil {
			return err
		}
	}
	return nil
}

// empty reports whether no segment holds anything.
func empty(parts []compactPart) bool {
	for _, p := range parts {
		if p.size > 0 {
			return false
		}
	}
	return true
}

// sift writes what stays of one batch. The last one of a group stays, as a header if need be: the file then says by itself which
// segments it stands for, and an interrupted swap can be completed.
func (s *sieve) sift(h *batch.Header, raw []byte, last bool) error {
	s.buf = s.buf[:0]
	switch {
	case untouchable(h) || h.BaseOffset >= s.mapEnd:
		s.buf = append(s.buf, raw...)
	case h.Records > 0:
		if err := s.siftRecords(h, raw); err != nil {
			return err
		}
	}
	if len(s.buf) == 0 {
		// Nothing stays of it but, perhaps, its numbers.
		if !last && !s.remembered(h) {
			s.unchanged = false
			return nil
		}
		if h.Records == 0 {
			s.buf = append(s.buf, raw...)
		} else {
			s.buf = batch.AppendEmpty(s.buf, h)
		}
	}
	s.unchanged = s.unchanged && len(s.buf) == len(raw) && string(s.buf) == string(raw)
	s.stats.Written += int64(len(s.buf))
	return s.out.add(s.buf)
}

// remembered reports whether the idempotent window of the batch's producer holds the batch: were it gone from the log, a start without
// a snapshot would not know the producer, and take a batch of its twice.
func (s *sieve) remembered(h *batch.Header) bool {
	from, ok := s.from.Kept[h.ProducerID]
	return ok && h.HasProducer() && h.LastOffset() >= from
}

// siftRecords leaves in buf what stays of a batch with records: as it is, without some, or nothing.
func (s *sieve) siftRecords(h *batch.Header, raw []byte) error {
	expired := h.HasDeleteHorizon() && h.BaseTimestamp <= int64(s.from.Now)
	keep := func(r *batch.Record) bool {
		if r.Key == nil {
			return false
		}
		if last, ok := s.keys.last(r.Key); ok && last > r.Offset {
			return false
		}
		return r.Value != nil || !expired
	}
	kept, keyless, tombstones := 0, 0, 0
	s.it.Reset(raw, siftOutputMax)
	for s.it.Next() {
		r := s.it.Record()
		switch {
		case keep(r):
			kept++
			if r.Value == nil {
				tombstones++
			}
		case r.Key == nil:
			keyless++
		}
	}
	if err := s.it.Err(); err != nil {
		return s.in.damage(err.Error())
	}
	s.stats.Dropped += int64(h.Records) - int64(kept)
	s.stats.Keyless += int64(keyless)
	horizon := batch.NoTimestamp
	if tombstones > 0 {
		until := s.horizon
		if h.HasDeleteHorizon() {
			until = h.BaseTimestamp
		} else {
			horizon = s.horizon
		}
		s.purge = max(s.purge, clock.Wall(until))
	}
	if kept == 0 {
		return nil
	}
	if kept == int(h.Records) && horizon == batch.NoTimestamp {
		s.buf = append(s.buf, raw...)
		return nil
	}
	var err error
	if s.buf, err = s.sifter.Append(s.buf, raw, keep, horizon, siftOutputMax); err != nil {
		return s.in.damage(err.Error())
	}
	return nil
}

// endGroup makes what was written durable, unless it is what was there before.
func (s *sieve) endGroup(group []compactPart) error {
	s.grouped = true
	s.unchanged = s.unchanged && len(group) == 1 || s.out.size == 0
	if s.unchanged {
		return s.discard()
	}
	return s.out.seal(s.dir, s.folder)
}

// segmentReader goes through one segment from batch to batch and checks each: what is written anew gets a new CRC, which must not make
// damage look whole.
type segmentReader struct {
	file    device.File
	name    string
	part    compactPart
	pos     int64 // of the next batch
	buf     []byte
	at, end int // of buf: read and not yet used
	expect  model.Offset
	thinned bool // by an earlier compaction
}

func (r *segmentReader) begin(dir device.Dir, folder string, part compactPart, bytes int) error {
	name := fileName(folder, part.base, logSuffix)
	file, err := dir.Open(name)
	if err != nil {
		return unreadable(err, name, part.base)
	}
	if len(r.buf) < bytes {
		r.buf = make([]byte, bytes)
	}
	*r = segmentReader{file: file, name: name, part: part, buf: r.buf, expect: part.base}
	return nil
}

func (r *segmentReader) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

func (r *segmentReader) damage(reason string) error {
	return &Damage{Segment: r.name, Pos: r.pos, Offset: r.expect, Reason: reason}
}

// next is the next batch, valid until the following call; raw is nil behind the last.
func (r *segmentReader) next() (h batch.Header, raw []byte, err error) {
	if r.pos == r.part.size {
		return h, nil, nil
	}
	if err := r.fill(batch.HeaderSize); err != nil {
		return h, nil, err
	}
	h, _ = batch.ReadHeader(r.buf[r.at:r.end])
	if _, ok := placeOf(&h, r.part.base, r.pos, r.part.size); !ok || h.Magic != batch.Magic || h.Records < 0 || h.BaseOffset < r.expect {
		return h, nil, r.damage("batch header is nonsense")
	}
	if h.LastOffset() >= r.part.end {
		return h, nil, r.damage(fmt.Sprintf("ends at offset %d, and the next segment begins at %d", h.LastOffset(), r.part.end))
	}
	if err := r.fill(h.Size()); err != nil {
		return h, nil, err
	}
	raw = r.buf[r.at : r.at+h.Size()]
	if !batch.CheckCRC(raw) {
		return h, nil, r.damage(badCRC)
	}
	r.thinned = r.thinned || thinned(&h, r.expect)
	r.at += len(raw)
	r.pos += int64(len(raw))
	r.expect = h.LastOffset() + 1
	return h, raw, nil
}

// fill brings n bytes of the next batch into buf. They stay out of the page cache: a pass must not evict what consumers read.
func (r *segmentReader) fill(n int) error {
	if r.end-r.at >= n {
		return nil
	}
	if int64(n) > r.part.size-r.pos {
		return r.damage("file ends inside a batch")
	}
	kept := copy(r.buf, r.buf[r.at:r.end])
	if n > len(r.buf) {
		bigger := make([]byte, n)
		copy(bigger, r.buf[:kept])
		r.buf = bigger
	}
	r.at, r.end = 0, kept
	want := min(int64(len(r.buf)-kept), r.part.size-r.pos-int64(kept))
	got, err := r.file.ReadCold(r.buf[kept:kept+int(want)], r.pos+int64(kept))
	r.end += got
	if r.end < n {
		if err == nil || isEOF(err) {
			return r.damage("file is shorter than the log")
		}
		return unreadable(fmt.Errorf("read %s at %d: %w", r.name, r.pos, err), r.name, r.expect)
	}
	return nil
}
