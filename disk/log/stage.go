package log

import (
	"pinion/disk/batch"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/must"
)

// Need says what must happen before a batch of n bytes with this largest timestamp can be staged at the end. It changes nothing
// but a note of n for Prepare. The batch must fit (Fits), and hold fewer than 2^30 offsets.
func (l *Log) Need(n int, now clock.Now, maxTimestamp int64) Need {
	return l.need(l.end, n, now, maxTimestamp)
}

// NeedFor is Need for a batch whose offsets are given, as a follower gets them: a gap may lead far from the segment's base.
func (l *Log) NeedFor(h batch.Header, now clock.Now) Need {
	return l.need(h.LastOffset(), h.Size(), now, h.MaxTimestamp)
}

func (l *Log) need(last model.Offset, n int, now clock.Now, maxTimestamp int64) Need {
	if l.err != nil || l.closed {
		return NeedFailed
	}
	if l.busy&(busyActive|busyEvict|busyWhole) != 0 {
		return NeedWait
	}
	l.want = int32(n)
	e := l.last()
	if e == nil {
		return NeedActive
	}
	size := e.size + l.stagedBytes
	if size > 0 && l.rollDue(e, size, last, n, now, maxTimestamp) {
		return l.roll()
	}
	s := l.open(e)
	if s == nil || size+int64(n) > s.limit {
		if s != nil && size > 0 {
			return l.roll() // opened under a smaller segment.bytes
		}
		return NeedActive
	}
	if size+int64(n) > s.reserved {
		if l.busy&busySpace != 0 {
			return NeedWait
		}
		return NeedSpace
	}
	return NeedNone
}

// roll is NeedRoll, once no reservation behind the segment's end is under way.
func (l *Log) roll() Need {
	if l.busy&busySpace != 0 {
		return NeedWait
	}
	return NeedRoll
}

// rollDue is Kafka's LogSegment.shouldRoll for a segment that is not empty.
func (l *Log) rollDue(e *extent, size int64, last model.Offset, n int, now clock.Now, maxTimestamp int64) bool {
	if size+int64(n) > l.segmentBytes() || last-e.base > offsetRoom {
		return true
	}
	var waited int64
	if l.tail.firstTime >= 0 {
		waited = maxTimestamp - l.tail.firstTime
	} else {
		if l.tail.created == 0 {
			l.tail.created = now.Wall // found at Open: its age counts from here
		}
		waited = int64(now.Wall - l.tail.created)
	}
	if waited > l.cfg.SegmentMs-l.jitter(e.base) {
		return true
	}
	index, times := int(e.indexed), int(e.timed)
	if s := l.open(e); s != nil {
		moreIndex, moreTimes := s.unwritten()
		index, times = index+len(moreIndex), times+len(moreTimes)
	}
	// The last time entry is kept free for the roll itself.
	return index+indexEntryBytes > l.cfg.IndexBytesMax || times+2*timeEntryBytes > l.cfg.IndexBytesMax
}

// jitter spreads the rolls of partitions that were made together. It is a hash, so that the same segment always gets the same.
func (l *Log) jitter(base model.Offset) int64 {
	span := min(l.cfg.SegmentJitterMs, l.cfg.SegmentMs)
	if span <= 0 {
		return 0
	}
	h := uint64(14695981039346656037) // FNV-1a
	for i := 0; i < len(l.name); i++ {
		h = (h ^ uint64(l.name[i])) * 1099511628211
	}
	for i := 0; i < 64; i += 8 {
		h = (h ^ uint64(base)>>i&0xff) * 1099511628211
	}
	return int64(h % uint64(span))
}

// Stage puts one batch at the end of the log, to be stored by the next Write. It requires NeedNone for this batch and returns the
// new end. b is the whole batch with base offset and epoch stamped, h its header; b stays as it is until Write.
func (l *Log) Stage(b []byte, h batch.Header, now clock.Now) model.Offset {
	e := l.last()
	if e == nil || l.open(e) == nil || l.err != nil || l.closed || l.busy&(busyActive|busyWhole) != 0 {
		must.Failf("log %s: stage without an active segment", l.name)
	}
	s := l.open(e)
	pos := e.size + l.stagedBytes
	if h.BaseOffset != l.end && (!l.cfg.Compact || h.BaseOffset < l.end) {
		must.Failf("log %s: stage offset %d at end %d", l.name, h.BaseOffset, l.end)
	}
	if h.Size() != len(b) || pos+int64(len(b)) > min(s.reserved, s.limit) || h.LastOffset()-e.base > segmentBytesMax {
		must.Failf("log %s: stage %d bytes (header says %d) at %d of segment %d, %d reserved", l.name, len(b), h.Size(), pos, e.base, s.reserved)
	}
	if h.Epoch < l.epochs.latest() {
		must.Failf("log %s: stage epoch %d after %d", l.name, h.Epoch, l.epochs.latest())
	}
	l.epochs.assign(h.Epoch, h.BaseOffset)
	at := place{first: uint32(h.BaseOffset - e.base), last: uint32(h.LastOffset() - e.base), pos: uint32(pos), size: uint32(len(b))}
	l.note(e, s, at, h.MaxTimestamp)
	if pos == 0 {
		l.tail.firstTime, l.tail.created = h.MaxTimestamp, now.Wall
	}
	e.touched = now.Wall
	l.staged = append(l.staged, b)
	l.stagedAt = pos
	l.stagedBytes += int64(len(b))
	l.end = h.LastOffset() + 1
	return l.end
}

// note enters a batch in the indexes, in the order of Kafka's LogSegment.append.
func (l *Log) note(e *extent, s *Segment, at place, maxTimestamp int64) {
	if maxTimestamp > e.maxTime {
		e.maxTime, e.maxTimeAt = maxTimestamp, int32(at.last)
	}
	if l.tail.sinceIndex > l.cfg.IndexIntervalBytes {
		g := s.guided()
		g.index = appendIndexEntry(g.index, mark{at.last, at.pos})
		g.marks.add(at.last, at.pos)
		l.noteTime(e, s)
		l.tail.sinceIndex = 0
	}
	l.tail.sinceIndex += int(at.size)
	s.recent.push(at)
}

// noteTime enters the largest timestamp so far in the time index, unless it stands there.
func (l *Log) noteTime(e *extent, s *Segment) {
	if e.maxTime > l.tail.timedTime {
		g := s.guided()
		g.times = appendTimeEntry(g.times, timeMark{e.maxTime, uint32(e.maxTimeAt)})
		l.tail.timedTime = e.maxTime
	}
}

// Write stores what is staged, in one system call per 64 batches. An error is final for the log and for its directory.
func (l *Log) Write() error {
	if len(l.staged) == 0 {
		return nil
	}
	if l.err != nil {
		return l.err
	}
	e := l.last()
	_, err := l.open(e).file.Pwritev(l.staged, e.size)
	clear(l.staged)
	l.staged = l.staged[:0]
	if err != nil {
		return l.fail(err)
	}
	e.size += l.stagedBytes
	e.indexSynced = false
	l.stagedBytes = 0
	l.written = l.end
	return nil
}
