package log

import (
	"fmt"
	"hash/crc32"
	"io"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/model"
	"pinion/engine/mutant"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batchCRCFrom is where the bytes begin that the CRC of a batch covers. Fixed by the format; see package batch.
const batchCRCFrom = 21

const badCRC = "CRC does not match"

// trust takes a segment below the recovery point as it is. Its index files must make sense; where they do not, the headers are read.
func (r *recovery) trust(i int) error {
	l := r.l
	e := &l.extents[i]
	r.end = l.extents[i+1].base
	r.scanned = false
	index, times, err := readIndexes(l.dir, l.name, e.base)
	if err != nil {
		return err
	}
	lastRel := uint32(min(max(r.end-1-e.base, 0), segmentBytesMax))
	goodIndex := indexPrefix(index, e.size)*indexEntryBytes == len(index) && (len(index) > 0 || e.size <= 2*int64(l.cfg.IndexIntervalBytes)+batch.HeaderSize)
	goodTimes := timePrefix(times, lastRel)*timeEntryBytes == len(times) && (len(times) > 0 || e.size == 0)
	if n := len(times) / timeEntryBytes; goodTimes && n > 0 {
		m := timeEntry(times, n-1)
		e.maxTime, e.maxTimeAt = m.time, int32(m.last)
	}
	e.synced, e.indexed, e.timed = e.size, int32(len(index)), int32(len(times))
	visiting := r.from.VisitFrom < r.end
	aging := l.cfg.Compact && e.size > 0 // max.compaction.lag.ms counts from the first record
	if goodIndex && goodTimes && !visiting && !r.noEpoch && !aging {
		return nil
	}
	f, err := l.dir.Open(fileName(l.name, e.base, logSuffix))
	if err != nil {
		return err
	}
	defer f.Close()
	if aging {
		first, err := firstTime(f)
		if err != nil {
			return err
		}
		e.setFirstTime(first)
	}
	if goodIndex && goodTimes && !r.noEpoch {
		if !visiting {
			return nil
		}
		return r.visitHeaders(f, e, indexFloor(index, e, r.from.VisitFrom), e.size)
	}
	b := newIndexBuilder(l.cfg.IndexIntervalBytes)
	err = r.headers(f, e, 0, e.size, func(pos int64, h *batch.Header) { b.add(e.base, pos, h) })
	if err != nil {
		return err
	}
	e.maxTime, e.maxTimeAt = b.maxTime, b.maxTimeAt
	if goodIndex && goodTimes {
		return nil
	}
	b.seal()
	if b.maxTime < 0 && len(times) == 0 && goodIndex {
		return nil // batches without timestamps have no time index
	}
	r.report.Rebuilt++
	r.note("index files of segment %d were missing or stale", e.base)
	e.indexSynced = false
	return r.install(e, b, 0, 0)
}

// visitHeaders walks [from, to) of a trusted segment for visit alone.
func (r *recovery) visitHeaders(f device.File, e *extent, from, to int64) error {
	return r.headers(f, e, from, to, func(int64, *batch.Header) {})
}

// headers walks [from, to) without checking CRCs, visits what ends behind VisitFrom and notes epochs. All of it must be batches.
func (r *recovery) headers(f device.File, e *extent, from, to int64, each func(int64, *batch.Header)) error {
	r.walk(e, from)
	stop, err := walkHeaders(f, from, to, func(pos int64, h *batch.Header) error {
		if _, ok := placeOf(h, e.base, pos, to); !ok || h.Magic != batch.Magic {
			return r.damage(e, pos, "batch header is nonsense")
		}
		each(pos, h)
		r.meet(h)
		return nil
	})
	if err != nil {
		return err
	}
	if stop != to {
		return r.damage(e, stop, "batch header is nonsense")
	}
	r.walked = walked{e.base, to}
	return nil
}

// meet is called for every good batch once, in order.
func (r *recovery) meet(h *batch.Header) {
	if h.LastOffset() >= r.from.VisitFrom {
		r.visit(*h)
	}
	r.seen.assign(h.Epoch, h.BaseOffset)
}

func (r *recovery) damage(e *extent, pos int64, reason string) error {
	return &Damage{Segment: fileName(r.l.name, e.base, logSuffix), Pos: pos, Offset: r.end, Reason: reason}
}

// indexFloor is where to start walking an extent for offset.
func indexFloor(index []byte, e *extent, offset model.Offset) int64 {
	pos := int64(0)
	for n := range indexPrefix(index, e.size) {
		m := indexEntry(index, n)
		if e.base+model.Offset(m.last) > offset {
			break
		}
		pos = int64(m.pos)
	}
	return pos
}

// scan reads a segment from the last index entry that was durable on, and cuts it behind the last good batch.
func (r *recovery) scan(i int) error {
	l := r.l
	e := &l.extents[i]
	if reason := r.follows(e, i); reason != "" {
		if e.base < r.from.RecoveryPoint {
			return r.damage(e, 0, reason)
		}
		r.note("segment %d: %s", e.base, reason)
		return r.drop(i)
	}
	f, err := l.dir.Open(fileName(l.name, e.base, logSuffix))
	if err != nil {
		return err
	}
	defer f.Close()
	index, times, err := readIndexes(l.dir, l.name, e.base)
	if err != nil {
		return err
	}
	in := newWindow(f, e.size)
	defer in.free()
	s := &scanner{r: r, e: e, in: in, last: i == len(l.extents)-1}
	if err := s.begin(index, times); err != nil {
		return err
	}
	if err := s.run(); err != nil {
		return err
	}
	r.end, r.scanned = s.expect, true
	if err := s.close(index, times); err != nil {
		return err
	}
	if s.reason != "" {
		return r.drop(i + 1)
	}
	return nil
}

// follows says why a segment cannot come behind what is good so far, or nothing.
func (r *recovery) follows(e *extent, i int) string {
	if i == 0 || e.base == r.end || (!r.scanned && e.base >= r.end) {
		return ""
	}
	if e.base > r.end && r.gapBetween(e.base) {
		return ""
	}
	return fmt.Sprintf("begins at %d, but the log before it ends at %d", e.base, r.end)
}

// scanner is the scan of one segment.
type scanner struct {
	r       *recovery
	e       *extent
	in      *window
	last    bool // the segment is the active one
	build   *indexBuilder
	first   int64        // position of the first batch that is read
	stretch int64        // where what is to be proven begins
	vouched int64        // the recovery point vouches for what lies below
	pos     int64        // of the next batch
	expect  model.Offset // its base offset
	epoch   model.Epoch
	kept    int // index entries that were taken over
	keptT   int
	reason  string // why it stopped before the end of the file
}

// stretchMax bounds what is read again when a segment is first used: a few batches before the recovery point, where lost writes show.
const stretchMax = 1 << 20

// begin chooses where to start: at the last index entry below the recovery point, if a batch lies there and the time index
// makes sense too, else at the first byte.
func (s *scanner) begin(index, times []byte) error {
	e, from := s.e, s.r.from
	s.build = newIndexBuilder(s.r.l.cfg.IndexIntervalBytes)
	s.expect, s.epoch = e.base, s.r.seen.latest()
	n := indexPrefix(index, e.size)
	for n > 0 && e.base+model.Offset(indexEntry(index, n-1).last) >= from.RecoveryPoint {
		n--
	}
	if n > 0 && !s.r.noEpoch {
		m := indexEntry(index, n-1)
		h, reason, err := s.header(int64(m.pos))
		if err != nil {
			return err
		}
		goodTimes := timePrefix(times, segmentBytesMax)*timeEntryBytes == len(times) && (len(times) > 0 || h.MaxTimestamp < 0)
		if reason == "" && goodTimes && h.LastOffset() == e.base+model.Offset(m.last) && h.BaseOffset >= e.base {
			s.resume(index, times, n, &h)
		}
	}
	if s.pos == 0 {
		return nil
	}
	if from.VisitFrom < s.expect {
		return s.r.visitHeaders(s.in.f, e, indexFloor(index[:n*indexEntryBytes], e, from.VisitFrom), s.pos)
	}
	return nil
}

// resume takes over n index entries, the last of which stands for h, and the time entries that go with them.
func (s *scanner) resume(index, times []byte, n int, h *batch.Header) {
	m := indexEntry(index, n-1)
	s.kept, s.keptT = n, timePrefix(times, m.last)
	s.build.index = append(s.build.index, index[:n*indexEntryBytes]...)
	s.build.times = append(s.build.times, times[:s.keptT*timeEntryBytes]...)
	if s.keptT > 0 {
		t := timeEntry(times, s.keptT-1)
		s.build.maxTime, s.build.maxTimeAt, s.build.timedTime = t.time, int32(t.last), t.time
	}
	s.pos, s.expect = int64(m.pos), h.BaseOffset
	s.epoch = max(s.epoch, s.r.l.epochs.at(h.BaseOffset-1))
}

// run goes from batch to batch to the end of the file or the first bad one. Below the recovery point it reads headers alone: they must
// follow each other up to it.
func (s *scanner) run() error {
	s.first, s.stretch, s.vouched = s.pos, s.pos, s.pos
	s.r.walk(s.e, s.pos)
	for s.pos < s.e.size {
		h, reason, err := s.header(s.pos)
		if err != nil {
			return err
		}
		trusted := reason == "" && h.LastOffset() < s.r.from.RecoveryPoint && !mutant.On(mutant.CRCIsTheEnd)
		if reason == "" && !trusted {
			reason, err = s.sum(&h)
			if err != nil {
				return err
			}
		}
		if reason == "" {
			reason = s.follows(&h)
		}
		if reason != "" {
			s.reason = reason
			if s.expect < s.r.from.RecoveryPoint && !(mutant.On(mutant.CRCIsTheEnd) && reason == badCRC) {
				s.r.end = s.expect
				return s.r.damage(s.e, s.pos, reason)
			}
			break
		}
		if s.pos > 0 && s.pos == s.first && s.kept > 0 {
			s.build.skip(&h) // its index entry is there already
		} else {
			s.build.add(s.e.base, s.pos, &h)
		}
		s.r.meet(&h)
		if trusted {
			s.trusted(&h)
		} else {
			s.r.report.Scanned += int64(h.Size())
		}
		s.pos += int64(h.Size())
		s.expect = h.LastOffset() + 1
		s.epoch = max(s.epoch, h.Epoch)
	}
	s.r.walked = walked{s.e.base, s.pos}
	return nil
}

// trusted steps over a batch whose bytes are taken to be what was written.
func (s *scanner) trusted(h *batch.Header) {
	s.vouched = s.pos + int64(h.Size())
	if s.vouched-s.stretch > stretchMax {
		s.stretch = s.pos
	}
}

// follows says why a sound batch cannot come here, or nothing: what the CRC does not cover.
func (s *scanner) follows(h *batch.Header) string {
	switch {
	case h.BaseOffset < s.expect, h.BaseOffset > s.expect && !s.r.gap(h.BaseOffset):
		return fmt.Sprintf("base offset %d, expected %d", h.BaseOffset, s.expect)
	case h.LastOffset()-s.e.base > segmentBytesMax:
		return fmt.Sprintf("last offset %d is out of reach of the segment's base", h.LastOffset())
	case h.Epoch < s.epoch:
		return fmt.Sprintf("leader epoch %d after %d", h.Epoch, s.epoch)
	}
	return ""
}

// header reads a batch's header and says what is wrong with it. The error is the disk's.
func (s *scanner) header(pos int64) (batch.Header, string, error) {
	return readHeader(s.in, pos, s.e.size)
}

// sum says what is wrong with the bytes of the batch whose header was read last.
func (s *scanner) sum(h *batch.Header) (string, error) { return checkSum(s.in, s.pos, h) }

// readHeader reads the header of the batch at pos and says what is wrong with it, in a file that is to have size bytes.
func readHeader(in *window, pos, size int64) (batch.Header, string, error) {
	b, err := in.at(pos, min(batch.HeaderSize, size-pos))
	if err != nil {
		return batch.Header{}, "", err
	}
	h, ok := batch.ReadHeader(b)
	switch {
	case !ok:
		return h, "file ends inside a batch header", nil
	case h.Length < batch.HeaderSize-batch.Overhead:
		return h, fmt.Sprintf("batch length %d", h.Length), nil
	case pos+int64(h.Size()) > size:
		return h, "file ends inside a batch", nil
	case h.Magic != batch.Magic:
		return h, fmt.Sprintf("record format %d", h.Magic), nil
	case h.LastOffsetDelta < 0 || h.Records < 0 || h.BaseOffset < 0:
		return h, "batch header is nonsense", nil
	}
	return h, "", nil
}

// checkSum reads the batch at pos, in pieces: it may be larger than memory we want to spend.
func checkSum(in *window, pos int64, h *batch.Header) (string, error) {
	sum := uint32(0)
	end := pos + int64(h.Size())
	for at := pos + batchCRCFrom; at < end; {
		b, err := in.at(at, 1)
		if err != nil {
			return "", err
		}
		if len(b) == 0 {
			return "", fmt.Errorf("read batch: %w", io.ErrUnexpectedEOF)
		}
		b = b[:min(int64(len(b)), end-at)]
		sum = crc32.Update(sum, castagnoli, b)
		at += int64(len(b))
	}
	if sum != h.CRC {
		return badCRC, nil
	}
	return "", nil
}

// close cuts the file and brings the index files up to date.
func (s *scanner) close(index, times []byte) error {
	r, l, e := s.r, s.r.l, s.e
	if s.reason != "" {
		r.report.Truncated += e.size - s.pos
		r.note("segment %d cut at byte %d, offset %d: %s", e.base, s.pos, s.expect, s.reason)
		// Durable before anything is appended: old batches that came back behind new ones could be taken for what follows them.
		if err := s.in.f.Cut(s.pos); err != nil {
			return err
		}
		if err := s.in.f.Sync(); err != nil {
			return err
		}
		e.size = s.pos
		s.last = true
	}
	b := s.build
	if !s.last {
		b.seal()
	} else {
		l.tail = tail{firstTime: -1, timedTime: b.timedTime, sinceIndex: b.since}
		// A clean close wrote the largest timestamp too; it may stay.
		if n := b.timed(); len(times) == (n+1)*timeEntryBytes && s.reason == "" {
			if m := timeEntry(times, n); m.time == b.maxTime && int32(m.last) == b.maxTimeAt && b.maxTime > b.timedTime {
				b.seal()
				l.tail.timedTime = b.timedTime
			}
		}
	}
	e.maxTime, e.maxTimeAt = b.maxTime, b.maxTimeAt
	if e.size > 0 {
		first, err := firstTime(s.in.f)
		if err != nil {
			return err
		}
		e.setFirstTime(first)
		if s.last {
			l.tail.firstTime = first
		}
	}
	e.synced = s.vouched
	if s.vouched > s.stretch {
		l.amend(func(p *past) { p.unproven = unproven{base: e.base, from: s.stretch, to: s.vouched} })
	}
	if s.expect <= r.from.RecoveryPoint && s.reason == "" {
		e.synced = e.size
	}
	if string(b.index) == string(index) && string(b.times) == string(times) {
		e.indexed, e.timed, e.indexSynced = int32(len(index)), int32(len(times)), e.synced == e.size
		return nil
	}
	if s.expect <= r.from.RecoveryPoint {
		r.report.Rebuilt++
		r.note("index files of segment %d were missing or stale", e.base)
	}
	e.indexSynced = false
	return r.install(e, b, s.kept*indexEntryBytes, s.keptT*timeEntryBytes)
}

// install writes the index files a builder made.
func (r *recovery) install(e *extent, b *indexBuilder, keep, keepTimes int) error {
	l := r.l
	l.namesDirty = true // they may have been missing
	if err := rewriteIndex(l.dir, fileName(l.name, e.base, indexSuffix), b.index, keep); err != nil {
		return err
	}
	e.indexed, e.timed = int32(len(b.index)), int32(len(b.times))
	return rewriteIndex(l.dir, fileName(l.name, e.base, timeSuffix), b.times, keepTimes)
}

// indexBuilder makes index entries in the order of Stage.
type indexBuilder struct {
	interval  int
	since     int
	index     []byte
	times     []byte
	maxTime   int64
	maxTimeAt int32
	timedTime int64
}

func newIndexBuilder(interval int) *indexBuilder {
	return &indexBuilder{interval: interval, maxTime: -1, timedTime: -1}
}

func (b *indexBuilder) add(base model.Offset, pos int64, h *batch.Header) {
	last := uint32(h.LastOffset() - base)
	if h.MaxTimestamp > b.maxTime {
		b.maxTime, b.maxTimeAt = h.MaxTimestamp, int32(last)
	}
	if b.since > b.interval {
		b.index = appendIndexEntry(b.index, mark{last, uint32(pos)})
		b.seal()
		b.since = 0
	}
	b.since += h.Size()
}

// skip is add for a batch whose entries are there already.
func (b *indexBuilder) skip(h *batch.Header) { b.since = h.Size() }

// seal writes the largest timestamp so far, unless it stands there.
func (b *indexBuilder) seal() {
	if b.maxTime > b.timedTime {
		b.times = appendTimeEntry(b.times, timeMark{b.maxTime, uint32(b.maxTimeAt)})
		b.timedTime = b.maxTime
	}
}

func (b *indexBuilder) timed() int { return len(b.times) / timeEntryBytes }
