package log

import (
	"errors"
	"io"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/model"
	"pinion/engine/must"
)

// Segment is an open segment: descriptor, mapping, and what finds offsets in it without the disk. It lives in Files.
type Segment struct {
	// Immutable while open.
	files *Files
	file  device.File
	data  []byte // mapping of [0, limit); nil where the kernel refused one
	base  model.Offset
	limit int64 // the segment never grows beyond

	recall recall // any thread

	// Owned by the shard.
	log      *Log // nil once the segment belongs to no log: it closes with the last lease
	reserved int64
	pushed   int64 // up to where the kernel was told to store it
	recent   ring
	guide    *guide // nil as long as there is nothing in it
	leases   int32  // spans and Works that hold it
	slot     int32
	older    *Segment // in the LRU
	newer    *Segment
}

// guide is what a segment has from its first index entry or its first search on. Those of partitions that idle have neither.
type guide struct {
	marks marks
	hints hints
	index []byte // entries the .index file lacks, encoded
	times []byte // entries the .timeindex file lacks
}

// guided is the guide, to put something in.
func (s *Segment) guided() *guide {
	if s.guide == nil {
		s.guide = &guide{}
	}
	return s.guide
}

// unwritten are the entries the index files lack.
func (s *Segment) unwritten() (index, times []byte) {
	if s.guide == nil {
		return nil, nil
	}
	return s.guide.index, s.guide.times
}

// hasUnwritten reports whether there are any.
func (s *Segment) hasUnwritten() bool {
	index, times := s.unwritten()
	return len(index)+len(times) > 0
}

// takeUnwritten hands them to a write.
func (s *Segment) takeUnwritten() (index, times []byte) {
	if index, times = s.unwritten(); s.guide != nil {
		s.guide.index, s.guide.times = nil, nil
	}
	return index, times
}

// hint is where a lookup before ended whose batch holds rel, or else where a walk begins and, if it is known, a batch further on that does not
// end before rel.
func (s *Segment) hint(rel uint32) (exact place, ok bool, floor uint32, above int64) {
	if s.guide == nil {
		return place{}, false, 0, -1
	}
	if exact, ok, floor = s.guide.hints.find(rel); ok {
		return exact, true, 0, -1
	}
	mark, above := s.guide.marks.around(rel)
	return place{}, false, max(floor, mark), above
}

// place is where a batch lies.
type place struct {
	first uint32 // offset - base of its first record
	last  uint32
	pos   uint32
	size  uint32
}

// ringSize is how many batches at the tail are known exactly. Consumers at the tail read one or a few batches behind the end.
const ringSize = 32

// ring remembers the batches appended last. Invariant: they are consecutive, in position and in offset.
// Most partitions get few batches while their segment is open, so the room for them grows.
type ring struct {
	at    []place // as long as the most that were in it; ringSize at the end
	count uint32  // ever pushed since the last reset
}

func (r *ring) push(p place) {
	if n := r.count; n > 0 {
		before := r.at[(n-1)%ringSize]
		if before.pos+before.size != p.pos {
			must.Failf("batch at %d does not follow %d+%d", p.pos, before.pos, before.size)
		}
	}
	if place := int(r.count % ringSize); place < len(r.at) {
		r.at[place] = p
	} else {
		r.at = append(r.at, p)
	}
	r.count++
	if r.count == 1<<31 {
		r.count = ringSize + r.count%ringSize // keeps the phase, and stays "full"
	}
}

// find is the first batch whose last offset is not below rel, where the ring is sure of it.
func (r *ring) find(rel uint32) (place, bool) {
	n := min(r.count, ringSize)
	if n == 0 || rel < r.at[(r.count-n)%ringSize].first {
		return place{}, false
	}
	lower, upper := r.count-n, r.count // first i in [lower, upper) with last >= rel
	for lower < upper {
		middle := lower + (upper-lower)/2
		if r.at[middle%ringSize].last < rel {
			lower = middle + 1
		} else {
			upper = middle
		}
	}
	if lower == r.count {
		return place{}, false
	}
	return r.at[lower%ringSize], true
}

// hintSize is how many looked-up places a segment remembers: one for each of a few consumers that read through it.
const hintSize = 8

// hints are the places lookups ended at, replaced in turn.
type hints struct {
	at   []place // at most hintSize
	next uint32
}

func (h *hints) add(p place) {
	for i := range h.at {
		if h.at[i].pos == p.pos {
			return
		}
	}
	if len(h.at) < hintSize {
		h.at = append(h.at, p)
		return
	}
	h.at[h.next%hintSize] = p
	h.next++
}

func (h *hints) find(rel uint32) (exact place, ok bool, floor uint32) {
	for _, p := range h.at {
		if p.first > rel {
			continue
		}
		if rel <= p.last {
			return p, true, 0
		}
		floor = max(floor, p.pos)
	}
	return place{}, false, floor
}

// locate finds the first batch whose last offset is not below offset, among the first size bytes, without waiting for the disk.
// ErrCold when it would have to; io.EOF when there is no such batch.
func (s *Segment) locate(offset model.Offset, size int64) (place, error) {
	if offset-s.base > segmentBytesMax {
		return place{}, io.EOF
	}
	rel := uint32(max(offset-s.base, 0))
	if p, ok := s.recent.find(rel); ok {
		return p, nil
	}
	exact, ok, floor, above := s.hint(rel)
	if ok {
		return exact, nil
	}
	p, ok := s.adjacent(rel, int64(floor), above, size)
	if !ok {
		var err error
		if p, err = s.walk(rel, int64(floor), size); err != nil {
			return p, err
		}
	}
	s.guided().hints.add(p)
	return p, nil
}

// adjacent tries the known batch above where those around are so far apart that it probably is the next one: batches as large each have a
// mark. A reader that goes through them then has its place with one read.
func (s *Segment) adjacent(rel uint32, floor, above, size int64) (place, bool) {
	if above-floor < scratchBytes || above >= size {
		return place{}, false
	}
	p, err := s.walk(rel, above, size)
	return p, err == nil && p.first <= rel
}

// headerGlance is read first: most lookups end within a few headers. Later reads fill the whole scratch.
const headerGlance = 1 << 10

// walk goes from header to header, from pos on.
func (s *Segment) walk(rel uint32, pos, size int64) (place, error) {
	buf := s.files.scratch[:headerGlance]
	for pos < size {
		n, err := s.file.PreadNowait(buf[:min(int64(len(buf)), size-pos)], pos)
		if err != nil {
			return place{}, err
		}
		if n < batch.HeaderSize {
			return place{}, device.ErrCold // the rest of the header is on a page that is not here, or the file is damaged
		}
		used := 0
		for n-used >= batch.HeaderSize {
			h, _ := batch.ReadHeader(buf[used:n])
			p, ok := placeOf(&h, s.base, pos+int64(used), size)
			if !ok {
				return place{}, errHeader
			}
			if p.last >= rel {
				return p, nil
			}
			used += h.Size()
		}
		pos += int64(used)
		buf = s.files.scratch
	}
	return place{}, io.EOF
}

// errHeader says that a header inside the log is nonsense; the Work that follows finds out more and reports it.
var errHeader = errors.New("batch header is nonsense")

// placeOf turns a header at pos into a place, and refuses what cannot be a batch of this segment.
func placeOf(h *batch.Header, base model.Offset, pos, size int64) (place, bool) {
	if h.Length < batch.HeaderSize-batch.Overhead || pos+int64(h.Size()) > size || h.BaseOffset < base || h.LastOffsetDelta < 0 {
		return place{}, false
	}
	first, last := h.BaseOffset-base, h.LastOffset()-base
	if first > segmentBytesMax || last > segmentBytesMax || pos > segmentBytesMax {
		return place{}, false
	}
	return place{first: uint32(first), last: uint32(last), pos: uint32(pos), size: uint32(h.Size())}, true
}

// close ends mapping and descriptor. It blocks.
func (s *Segment) close() error {
	err := s.file.Unmap(s.data)
	s.data = nil
	return errors.Join(err, s.file.Close())
}
