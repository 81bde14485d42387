package log

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/model"
)

// Finding is one thing Inspect has against a partition's files.
type Finding struct {
	File   string       `json:"file"`
	Pos    int64        `json:"position"`
	Offset model.Offset `json:"offset"`
	Reason string       `json:"problem"`
	// Mended: the next start puts it right without losing anything that was durable.
	Mended bool `json:"mended_by_start"`
	// Harmless: no damage, but no start changes it either.
	Harmless bool `json:"harmless"`
}

// Damage reports whether something that was durable is lost by it, or may be.
func (f *Finding) Damage() bool { return !f.Mended && !f.Harmless }

// Inspection is what Inspect saw.
type Inspection struct {
	ID        model.TopicID
	Start     model.Offset
	End       model.Offset // of the segments
	Tail      int          // batches that only a journal has, which a start writes behind the end
	Segments  int
	Batches   int64
	Records   int64
	Bytes     int64
	Findings  []Finding
	newest    int64 // largest timestamp of the segment so far
	positions map[uint32]uint32
	newestAt  map[uint32]int64
}

// Inspect reads all of a partition's files and says what is wrong with them. It changes nothing, so that it can be used on a directory nobody
// works in and on a copy of one. compact says that the topic is known to be compacted. from is what the node's checkpoint and journal say: damage below
// the recovery point is never put right by a start, and what the journal holds must go on where the segments end. each may be nil. The error is the disk's.
func Inspect(dir device.Dir, name string, compact bool, from OpenFrom, each func(batch.Header)) (*Inspection, error) {
	in := &inspector{Inspection: &Inspection{}, dir: dir, name: name, compact: compact, from: from, recovery: from.RecoveryPoint, each: each}
	if in.each == nil {
		in.each = func(batch.Header) {}
	}
	if err := in.run(); err != nil {
		return nil, fmt.Errorf("inspect %s: %w", name, err)
	}
	return in.Inspection, nil
}

type inspector struct {
	*Inspection
	dir      device.Dir
	name     string
	compact  bool
	from     OpenFrom
	recovery model.Offset
	oldest   model.Offset // base of the first segment
	told     model.Offset // the start that is stored
	good     compactPart  // the last segment a start keeps: end and size are those of what is good in it
	before   compactPart  // the one before it
	stops    []int        // of Findings, those a start goes no further at; good lies before the first
	each     func(batch.Header)
	gaps     model.Offset // Log.gaps
	thinned  bool         // the segment looked at last is: a compaction has been there, whether the point tells of it or not
	epochs   epochs       // as the file has them
	seen     epochs       // as the batches have them
	noEpochs bool
	swapping bool
	swaps    []model.Offset // bases of the new forms of segments that a start puts in the place of the old ones
	anew     []string       // index files of which there is a new form, so that no start goes by the old one
}

func (in *inspector) find(file string, pos int64, offset model.Offset, mended bool, format string, args ...any) {
	in.Findings = append(in.Findings, Finding{File: file, Pos: pos, Offset: offset, Reason: fmt.Sprintf(format, args...), Mended: mended})
}

// stop is find for what a start does not go past.
func (in *inspector) stop(file string, pos int64, offset model.Offset, mended bool, format string, args ...any) {
	in.stops = append(in.stops, len(in.Findings))
	in.find(file, pos, offset, mended, format, args...)
}

// unread notes a file that the disk does not give back, or that is larger than it can be: the log is offline for it. Any other error ends the inspection.
func (in *inspector) unread(file string, offset model.Offset, err error) error {
	if err == nil || !device.IsUnreadable(err) && !errors.Is(err, device.ErrTooLarge) {
		return err
	}
	in.find(file, 0, offset, false, "%v", err)
	return nil
}

// cut notes how far a start gets, unless it has stopped before.
func (in *inspector) cut(segment, end model.Offset, size int64) {
	if len(in.stops) == 0 {
		if in.good.base != segment {
			in.before = in.good
		}
		in.good = compactPart{base: segment, end: end, size: size}
	}
}

func (in *inspector) run() error {
	entries, err := in.dir.List(in.name)
	lost := isNotExist(err) && (len(in.from.Tail) > 0 || max(in.recovery, in.from.Durable) > 0)
	if err != nil && !lost {
		return in.unread(in.name, 0, err)
	}
	var parts []compactPart
	for _, e := range entries {
		base, suffix, ok := parseName(e.Name)
		switch {
		case ok && suffix == logSuffix && e.Size > segmentBytesMax:
			in.find(path.Join(in.name, e.Name), segmentBytesMax, base, false, "larger than a segment can be")
		case ok && suffix == logSuffix:
			parts = append(parts, compactPart{base: base, end: segmentEndMax, size: e.Size})
		case strings.HasSuffix(e.Name, swapSuffix):
			in.swapping = true
			switch suffix {
			case logSuffix + swapSuffix:
				in.swaps = append(in.swaps, base)
			case indexSuffix + swapSuffix, timeSuffix + swapSuffix:
				in.anew = append(in.anew, fileName(in.name, base, strings.TrimSuffix(suffix, swapSuffix)))
			}
			in.find(path.Join(in.name, e.Name), 0, base, true, "a compaction was interrupted while it replaced segments")
		}
	}
	for _, base := range in.swaps {
		if err := in.newForm(base); err != nil {
			return err
		}
	}
	if err := in.small(); err != nil {
		return err
	}
	parts = slices.DeleteFunc(slices.Clone(parts), func(p compactPart) bool {
		return refusedRoll(p.base, p.size, parts[0].base, parts[len(parts)-1].base, in.recovery)
	})
	for i := range parts {
		if i+1 < len(parts) {
			parts[i].end = parts[i+1].base
		}
	}
	in.Segments = len(parts)
	if len(parts) > 0 {
		in.End, in.oldest = parts[0].base, parts[0].base
		in.Start = max(in.Start, parts[0].base)
	} else {
		in.End, in.good.end = in.Start, in.Start
	}
	for i := range parts {
		if err := in.segment(parts[i], i == len(parts)-1); err != nil {
			return err
		}
	}
	in.compareEpochs()
	end := in.journal()
	for _, i := range in.stops {
		// Everything behind it is dropped by a start, and comes back where the journal has it.
		f := &in.Findings[i]
		f.Mended = f.Mended || f.Offset >= in.recovery && end >= in.End
	}
	if durable := max(in.recovery, in.from.Durable); max(end, in.Start) < durable {
		in.find(in.name, 0, end, false, "the log ends at %d, and %d was durable", end, durable)
	}
	return nil
}

// journal holds what a journal says against where a start finds the segments' end, and returns the end that a start makes of both.
func (in *inspector) journal() model.Offset {
	end, at, epoch := in.good.end, in.good, in.seen.at(in.good.end-1)
	there, oldest, tail := in.Segments > 0, in.oldest, in.from.Tail
	for i := 0; i < len(tail); i++ {
		b := &tail[i]
		if b.Base > end && (b.Segment != at.base || b.Pos != at.size) && end < in.Start && in.Start >= in.from.Durable {
			end, there = in.Start, false // a start drops what ends before the log's
		}
		if !there {
			at, oldest = compactPart{base: end}, end
		}
		if b.orphan(end, oldest, in.told) {
			tail = append(slices.Clone(tail[:i]), adopt(tail[i:], at.base, at.size)...)
			b = &tail[i]
		}
		if in.Tail == 0 && there && at.size == 0 && b.Base == end && b.Segment == in.before.base && b.Pos == in.before.size {
			at = in.before // the last is of a roll that was refused, and a start drops it
		}
		name := fileName(in.name, b.Segment, logSuffix)
		behind := b.Segment == at.base && b.Pos == at.size && there
		switch {
		case b.End <= end:
			continue
		case b.Base > end && !behind:
			in.find(name, b.Pos, b.Base, true, "the journal goes on behind a gap from %d on: what follows was never acknowledged", end)
			return end
		case b.Base < end || !behind && (b.Pos != 0 || b.Segment != b.Base || there && b.Segment <= at.base):
			in.find(name, b.Pos, b.Base, false, "the journal goes on here with offsets [%d, %d), and the log ends at offset %d, byte %d of segment %d", b.Base, b.End, end, at.size, at.base)
			return end
		}
		h, ok := batch.ReadHeader(b.Bytes)
		if !ok || h.Size() != len(b.Bytes) || h.Magic != batch.Magic || h.BaseOffset != b.Base || h.LastOffset()+1 != b.End || h.Epoch < epoch || !batch.CheckCRC(b.Bytes) {
			in.find(name, b.Pos, b.Base, false, "what the journal has for offsets [%d, %d) is not that batch", b.Base, b.End)
			return end
		}
		end, epoch, at = b.End, h.Epoch, compactPart{base: b.Segment, size: b.Pos + int64(len(b.Bytes))}
		in.Tail, there = in.Tail+1, true
	}
	return end
}

// small reads the small files of the folder.
func (in *inspector) small() error {
	name := path.Join(in.name, metadataFile)
	text, err := in.dir.ReadFile(name, metadataBytesMax)
	if err == nil {
		var ok bool
		if in.ID, ok, err = parseMetadata(text); err != nil || !ok {
			why := fmt.Sprintf("says no topic id: %v", err)
			torn := err == nil || tornMetadata(text)
			if torn {
				why = "says no topic id, as after a power cut: a start writes it anew, or sets the folder aside where no record in it was durable"
			}
			in.find(name, 0, 0, torn, "%s", why)
		}
	} else if !isNotExist(err) {
		if err := in.unread(name, 0, err); err != nil {
			return err
		}
	}
	start, err := readStart(in.dir, in.name)
	var damage *Damage
	if errors.As(err, &damage) {
		in.find(damage.Segment, 0, 0, false, "%s", damage.Reason)
	} else if err := in.unread(path.Join(in.name, startFile), 0, err); err != nil {
		return err
	}
	in.Start = max(start, in.from.Start)
	in.told = in.Start
	point, there, ok, err := readPoint(in.dir, in.name, segmentEndMax)
	if err != nil {
		if err := in.unread(path.Join(in.name, pointFile), 0, err); err != nil {
			return err
		}
	} else if !ok {
		in.find(path.Join(in.name, pointFile), 0, 0, true, "not a version and three numbers: the log is compacted again from its start")
	}
	if in.gaps = point.gaps; in.compact && !there {
		in.gaps = segmentEndMax
	}
	name = path.Join(in.name, epochFile)
	text, err = in.dir.ReadFile(name, epochFileMax)
	if err == nil {
		in.epochs.entries, err = parseEpochs(text)
	}
	if in.noEpochs = err != nil; err != nil && !isNotExist(err) {
		in.find(name, 0, 0, true, "%v", err)
	}
	return nil
}

// completed reports whether a start finds what is missing in [from, to) in the new form of segments that a compaction was about to replace.
func (in *inspector) completed(from, to model.Offset) bool {
	return slices.ContainsFunc(in.swaps, func(base model.Offset) bool {
		end, err := swapEnd(in.dir, in.name, base)
		return err == nil && base <= from && end >= to
	})
}

// newForm reads what a start puts in the place of segments.
func (in *inspector) newForm(base model.Offset) error {
	name := fileName(in.name, base, logSuffix) + swapSuffix
	_, err := swapEnd(in.dir, in.name, base)
	var damage *Damage
	if errors.As(err, &damage) {
		in.find(name, damage.Pos, damage.Offset, false, "%s", damage.Reason)
		return nil
	}
	return in.unread(name, base, err)
}

// segment reads one segment, record by record, and then its indexes.
func (in *inspector) segment(part compactPart, last bool) error {
	var r segmentReader
	if err := r.begin(in.dir, in.name, part, walkBytes); err != nil {
		return in.unread(fileName(in.name, part.base, logSuffix), part.base, err)
	}
	defer r.close()
	switch {
	case part.base < in.End:
		in.stop(r.name, 0, in.End, in.swapping, "begins at %d, but the segment before it ends at %d", part.base, in.End)
	case part.base > in.End && part.base > in.gaps && !(in.thinned && part.base < in.recovery) && !in.completed(in.End, part.base):
		in.stop(r.name, 0, in.End, false, "begins at %d, but the segment before it ends at %d, and nothing was compacted there", part.base, in.End)
	}
	in.positions, in.newestAt, in.newest = map[uint32]uint32{}, map[uint32]int64{}, -1
	in.End = max(in.End, part.base)
	var it batch.Iterator
	told := false
	for {
		pos, expect := r.pos, max(r.expect, in.End)
		h, raw, err := r.next()
		var damage *Damage
		if errors.As(err, &damage) {
			// Only what was never durable, at the very end, may be cut off by a start.
			in.cut(part.base, expect, pos)
			in.stop(r.name, pos, expect, last && expect >= in.recovery, "%s", damage.Reason)
			break
		}
		if err != nil {
			return err
		}
		if raw == nil {
			break
		}
		switch gap := h.BaseOffset > expect && h.BaseOffset > in.gaps && !in.compact; {
		case gap && (last || part.end >= in.recovery): // where a start reads
			in.cut(part.base, expect, pos)
			in.stop(r.name, pos, expect, false, "base offset %d, expected %d, and nothing was compacted there", h.BaseOffset, expect)
		case gap && !told:
			in.find(r.name, pos, expect, false, "base offset %d, expected %d, as where a broker has compacted that tells nothing of it", h.BaseOffset, expect)
			in.Findings[len(in.Findings)-1].Harmless, told = true, true
		}
		if h.Epoch < in.seen.latest() {
			in.cut(part.base, expect, pos)
			in.stop(r.name, pos, h.BaseOffset, false, "leader epoch %d after %d", h.Epoch, in.seen.latest())
		}
		if err := records(&it, &h, raw); err != nil {
			in.find(r.name, pos, h.BaseOffset, false, "%v", err)
		}
		in.note(&h, part.base, pos)
	}
	in.cut(part.base, in.End, r.pos)
	in.thinned = r.thinned
	return in.indexes(part, r.pos, last)
}

func (in *inspector) note(h *batch.Header, base model.Offset, pos int64) {
	in.seen.assign(h.Epoch, h.BaseOffset)
	in.newest = max(in.newest, h.MaxTimestamp)
	last := uint32(h.LastOffset() - base)
	in.positions[uint32(pos)] = last
	in.newestAt[last] = in.newest
	in.Batches++
	in.Records += int64(h.Records)
	in.Bytes += int64(h.Size())
	in.End = h.LastOffset() + 1
	in.each(*h)
}

// records decodes a batch to its end: its offsets ascend within the range of the header.
func records(it *batch.Iterator, h *batch.Header, raw []byte) error {
	next := h.BaseOffset
	for it.Reset(raw, siftOutputMax); it.Next(); {
		r := it.Record()
		if r.Offset < next || r.Offset > h.LastOffset() {
			return fmt.Errorf("record at offset %d in a batch of [%d, %d], behind %d", r.Offset, h.BaseOffset, h.LastOffset(), next-1)
		}
		next = r.Offset + 1
	}
	return it.Err()
}

// indexes holds both index files against the batches. A start takes over what looks right by itself below the recovery point, and makes the rest anew:
// a wrong entry among the former would stay.
func (in *inspector) indexes(part compactPart, good int64, last bool) error {
	index, times, err := readIndexes(in.dir, in.name, part.base)
	if err != nil {
		return in.unread(fileName(in.name, part.base, logSuffix), part.base, err) // the error says which
	}
	kept, keptTimes := in.kept(part, index, times, last)
	name := fileName(in.name, part.base, indexSuffix)
	entries := indexPrefix(index, part.size)
	if entries*indexEntryBytes != len(index) {
		in.find(name, int64(entries*indexEntryBytes), part.base, true, "makes no sense from here on")
	}
	for n := range entries {
		m := indexEntry(index, n)
		if behind := int64(m.pos) >= good; behind {
			break
		}
		if !in.endsThere(m) {
			mended := n >= kept || slices.Contains(in.anew, name)
			in.find(name, int64(n*indexEntryBytes), part.base+model.Offset(m.last), mended, "entry %d names byte %d, where no batch ends at that offset", n, m.pos)
			break
		}
	}
	name = fileName(in.name, part.base, timeSuffix)
	prefix := timePrefix(times, segmentBytesMax)
	if prefix*timeEntryBytes != len(times) {
		in.find(name, int64(prefix*timeEntryBytes), part.base, true, "makes no sense from here on")
	}
	for n := range prefix {
		m := timeEntry(times, n)
		if part.base+model.Offset(m.last) >= in.End {
			break
		}
		if newest, ok := in.newestAt[m.last]; !ok || newest != m.time {
			mended := n >= keptTimes || slices.Contains(in.anew, name)
			in.find(name, int64(n*timeEntryBytes), part.base+model.Offset(m.last), mended, "entry %d says %d, the largest timestamp up to that offset is %d", n, m.time, newest)
			break
		}
	}
	return nil
}

// endsThere reports whether a batch lies where an index entry says.
func (in *inspector) endsThere(m mark) bool {
	last, ok := in.positions[m.pos]
	return ok && last == m.last
}

// kept is how many entries of both index files a start takes over as they are (recovery.trust, scanner.begin).
func (in *inspector) kept(part compactPart, index, times []byte, last bool) (entries, timed int) {
	entries, timed = indexPrefix(index, part.size), timePrefix(times, segmentBytesMax)
	timesGood := timed*timeEntryBytes == len(times) && (timed > 0 || in.newest < 0)
	if !last && part.end < in.recovery {
		if entries*indexEntryBytes != len(index) || !timesGood {
			return 0, 0
		}
		return entries, timed
	}
	for entries > 0 && part.base+model.Offset(indexEntry(index, entries-1).last) >= in.recovery {
		entries--
	}
	if entries == 0 || in.noEpochs || !timesGood || !in.endsThere(indexEntry(index, entries-1)) {
		return 0, 0
	}
	return entries, timePrefix(times, indexEntry(index, entries-1).last)
}

// compareEpochs holds the checkpoint against the batches: each epoch that wrote must be there, at or before its first batch.
func (in *inspector) compareEpochs() {
	if in.noEpochs {
		return
	}
	name := path.Join(in.name, epochFile)
	for i, e := range in.seen.entries {
		if got := in.epochs.at(max(e.start, in.Start)); got != e.epoch && (i+1 == len(in.seen.entries) || in.seen.entries[i+1].start > in.Start) {
			in.find(name, 0, e.start, e.start >= in.recovery, "epoch %d wrote from %d on, the file says %d", e.epoch, e.start, got)
			return
		}
	}
}
