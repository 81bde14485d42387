package log

import (
	"errors"
	"fmt"
	"slices"

	"pinion/engine/model"
)

// refill writes what Tail has behind the end of the segments, and scans it as if it had been there. Nothing durable is changed: what lay
// there was cut off as torn, and a run that is cut short is done again by the next one.
func (r *recovery) refill() error {
	for {
		n, err := r.refillSegment()
		if err != nil {
			return err
		}
		r.report.Refilled += n
		if n > 0 {
			continue
		}
		if len(r.l.extents) == 0 || r.from.Start <= r.end || r.from.Start < r.from.Durable {
			break
		}
		// The start was durable and the records before it were not. Offsets below a start that was told are never given again.
		r.note("the log ends at %d, before its start %d", r.end, r.from.Start)
		if err := r.drop(0); err != nil {
			return err
		}
		r.end = r.from.Start // where the journal may go on
	}
	r.report.Hole = len(r.from.Tail) > 0
	if max(r.end, r.from.Start) < r.from.Durable { // what is below the start may be gone
		return &Damage{Segment: r.l.name, Offset: r.end, Reason: fmt.Sprintf("it held everything below %d and ends here", r.from.Durable)}
	}
	return nil
}

// refillSegment writes the batches that come next, as far as they are one segment's, and says how many.
func (r *recovery) refillSegment() (int, error) {
	run := r.next()
	if len(run) == 0 {
		return 0, nil
	}
	l := r.l
	first := run[0]
	i := len(l.extents) - 1
	if i > 0 && l.extents[i].size == 0 && l.extents[i-1].base == first.Segment && l.extents[i-1].size == first.Pos {
		// Of a roll that was refused, and brought back by a power cut: the log went on in the segment before it.
		if err := r.drop(i); err != nil {
			return 0, err
		}
		i--
	}
	switch {
	case i >= 0 && l.extents[i].base == first.Segment && l.extents[i].size == first.Pos:
	case first.Pos == 0 && first.Segment == first.Base && (i < 0 || l.extents[i].base < first.Segment):
		if err := r.addSegment(first.Segment); err != nil {
			return 0, err
		}
		i++
	default:
		return 0, &Damage{Segment: fileName(l.name, first.Segment, logSuffix), Pos: first.Pos, Offset: first.Base,
			Reason: fmt.Sprintf("the journal goes on here, but the log ends with %d segments at offset %d", len(l.extents), r.end)}
	}
	e := &l.extents[i]
	if err := r.writeRun(e, run); err != nil {
		return 0, err
	}
	before := r.end
	r.from.VisitFrom = max(r.from.VisitFrom, before)
	r.end = e.base
	if err := r.rescan(i); err != nil {
		return 0, err
	}
	if want := run[len(run)-1].End; r.end != want {
		return 0, &Damage{Segment: fileName(l.name, e.base, logSuffix), Pos: e.size, Offset: r.end,
			Reason: fmt.Sprintf("the journal's batches from %d to %d do not follow: %s", before, want, r.report.Reason)}
	}
	return len(run), nil
}

// rescan scans a segment that has grown. The scan may begin behind batches that the first one has met, so what those have shown of the epochs
// stays; only its own batches must not be held against epochs that it meets again.
func (r *recovery) rescan(i int) error {
	met := epochs{entries: slices.Clone(r.seen.entries)}
	r.seen.truncateEnd(r.l.extents[i].base)
	err := r.scan(i)
	for _, s := range r.seen.entries {
		met.assign(s.epoch, s.start)
	}
	r.seen = met
	return err
}

// next is the run of batches of one segment that continues the log. What ends below is there already; what begins behind a hole was
// never acknowledged, because the hole was not.
func (r *recovery) next() []TailBatch {
	tail := r.from.Tail
	for len(tail) > 0 && tail[0].End <= r.end {
		tail = tail[1:]
	}
	if len(tail) > 0 && tail[0].orphan(r.end, r.oldest(), r.from.Start) {
		base, pos := r.end, int64(0)
		if e := r.l.last(); e != nil {
			base, pos = e.base, e.size
		}
		tail = adopt(tail, base, pos)
	}
	r.from.Tail = tail
	if len(tail) == 0 || (tail[0].Base != r.end && !r.gapAllowed(&tail[0])) {
		return nil
	}
	n := 1
	pos := tail[0].Pos + int64(len(tail[0].Bytes))
	for n < len(tail) && tail[n].Segment == tail[0].Segment && tail[n].Base >= tail[n-1].End && tail[n].Pos == pos {
		pos += int64(len(tail[n].Bytes))
		n++
	}
	return tail[:n]
}

// oldest is the base of the first segment, or of the one that comes next where there is none.
func (r *recovery) oldest() model.Offset {
	if len(r.l.extents) > 0 {
		return r.l.extents[0].base
	}
	return r.end
}

// orphan reports whether a batch goes on at the end of a log, in a segment from before all there are, which has gone with what was below the start
// that the log was told. Where that does not reach up to the oldest there is, others have gone as well.
func (b *TailBatch) orphan(end, oldest, start model.Offset) bool {
	return b.Base == end && b.Segment < oldest && oldest <= start
}

// adopt is the tail with its first batch, and what followed it in its segment, at a place in another.
func adopt(tail []TailBatch, base model.Offset, pos int64) []TailBatch {
	tail = slices.Clone(tail)
	was := tail[0]
	for i := 0; i < len(tail) && tail[i].Segment == was.Segment; i++ {
		tail[i].Segment = base
		tail[i].Pos += pos - was.Pos
	}
	return tail
}

// gapAllowed reports whether a batch comes right behind the last byte although offsets are missing between: compaction removed them.
func (r *recovery) gapAllowed(b *TailBatch) bool {
	e := r.l.last()
	return r.l.cfg.Compact && e != nil && e.base == b.Segment && e.size == b.Pos
}

// addSegment makes an empty segment at the end, and the folder's metadata if it got lost with the last one.
func (r *recovery) addSegment(base model.Offset) error {
	l := r.l
	if len(l.extents) > 0 {
		l.seal()
	}
	if !l.hasMetadata && !l.id.IsZero() {
		if err := writeMetadata(l.dir, l.name, l.id); err != nil {
			return err
		}
		l.hasMetadata = true
	}
	if l.cfg.Compact && !l.pointed && len(l.extents) == 0 {
		if err := writePoint(l.dir, l.name, notCleaned); err != nil {
			return err
		}
		l.pointed = true
	}
	f, err := createEmpty(l.dir, fileName(l.name, base, logSuffix))
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	l.extents = append(l.extents, extent{base: base, maxTime: -1, slot: noSlot, indexSynced: true})
	l.namesDirty = true
	return nil
}

func (r *recovery) writeRun(e *extent, run []TailBatch) error {
	f, err := r.l.dir.Open(fileName(r.l.name, e.base, logSuffix))
	if err != nil {
		return err
	}
	for i := range run {
		if _, err = f.Pwritev([][]byte{run[i].Bytes}, run[i].Pos); err != nil {
			break
		}
		e.size = run[i].Pos + int64(len(run[i].Bytes))
	}
	return errors.Join(err, f.Close())
}
