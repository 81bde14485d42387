package entries

import (
	"fmt"

	"pinion/disk/device"
)

// segmentBytesMax bounds what Open reads into memory of one segment: far above SegmentBytes and the largest batch.
const segmentBytesMax = 1 << 30

// Open reads the newest snapshot's head and replays the segments above it. A torn tail is cut; ErrDamaged otherwise, and then
// nothing on disk was changed.
func Open(dir device.Dir, folder string, c Config) (*Log, error) {
	if c.SegmentBytes == 0 {
		c.SegmentBytes = segmentBytesDefault
	}
	names, err := survey(dir, folder)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", folder, err)
	}
	if len(names.snapshots) == 0 {
		return nil, fmt.Errorf("open %s: %w", folder, ErrNotFounded)
	}
	newest := names.snapshots[len(names.snapshots)-1]
	s, err := readSnapshot(dir, folder, newest)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", folder, err)
	}
	s.Data = nil
	r := replay{snapshot: s, state: State{Term: s.Term, Commit: s.Index}}
	first, err := begins(dir, folder, names.segments, s)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", folder, err)
	}
	for i, seg := range names.segments {
		if i < first {
			r.stale = append(r.stale, segment{number: seg.number})
			continue
		}
		if err := r.segment(dir, folder, seg.number, i == len(names.segments)-1); err != nil {
			return nil, fmt.Errorf("open %s: segment %d: %w", folder, seg.number, err)
		}
	}
	l, err := r.log()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", folder, err)
	}
	l.dir, l.folder, l.config = dir, folder, c
	if err := l.resume(r.cut); err != nil {
		return nil, fmt.Errorf("open %s: %w", folder, err)
	}
	if !r.joined { // the power went between the snapshot and its segment
		if err := l.follow(0); err != nil {
			return nil, fmt.Errorf("open %s: %w", folder, l.abort(err))
		}
		r.stale, l.sealed = append(r.stale, l.sealed...), nil
	}
	if err := l.tidy(r.stale, len(names.snapshots)); err != nil {
		return nil, fmt.Errorf("open %s: %w", folder, l.abort(err))
	}
	return l, nil
}

// tidy removes what an interrupted SaveSnapshot left. It must be gone before the next one begins: should that be interrupted as well, no
// segment tells any more where the log starts, and the leftovers would be taken for a part of it.
func (l *Log) tidy(stale []segment, snapshots int) error {
	if len(stale) == 0 && snapshots == 1 {
		return nil
	}
	chain := l.sealed
	l.sealed = stale
	err := l.discard()
	l.sealed = chain
	return err
}

// replay rebuilds the log from its segments, oldest first.
type replay struct {
	snapshot Snapshot
	state    State

	started   bool
	baseIndex uint64 // list starts above; what is below is the snapshot's
	baseTerm  uint64
	list      []Entry
	sequence  uint64 // of the next batch
	segments  []segment
	stale     []segment // older than what counts
	cut       bool      // the last segment has a torn tail behind its end
	joined    bool      // it holds the snapshot's own entry; otherwise another member sent the snapshot and nothing here counts
}

func (r *replay) last() uint64 { return r.baseIndex + uint64(len(r.list)) }

func (r *replay) term(index uint64) (uint64, bool) {
	switch {
	case index == r.baseIndex:
		return r.baseTerm, true
	case index < r.baseIndex || index > r.last():
		return 0, false
	}
	return r.list[index-r.baseIndex-1].Term, true
}

// segment replays one file. Only the last one may have a torn tail: each is synced before the next appears.
func (r *replay) segment(dir device.Dir, folder string, number uint64, last bool) error {
	b, err := dir.ReadFile(segmentPath(folder, number), segmentBytesMax)
	if err != nil {
		return err
	}
	h, _, ok := decodeHead(b) // begins has refused versions that we do not know
	if !ok {
		return fmt.Errorf("head: %w", ErrDamaged)
	}
	if err := r.begin(h, number); err != nil {
		return err
	}
	at := headBytes
	for at < len(b) {
		rest := b[at:]
		batch, ok := decodeBatchHeader(rest, h.salt)
		if !ok || !batch.whole(rest) || batch.sequence != r.sequence {
			// The first batch came with the file, whole.
			if !last || at == headBytes || !torn(rest, int64(at), h.salt, r.sequence) {
				return fmt.Errorf("batch at byte %d: %w", at, ErrDamaged)
			}
			r.cut = true
			break
		}
		if !records(rest[batchHeaderBytes:batchHeaderBytes+batch.body], batch.records, r.entry, func(s State) { r.state = s }) {
			return fmt.Errorf("records of the batch at byte %d: %w", at, ErrDamaged)
		}
		r.sequence++
		at += batch.end()
	}
	if at == headBytes {
		return fmt.Errorf("first batch: %w", ErrDamaged)
	}
	r.segments = append(r.segments, segment{number: number, salt: h.salt, end: int64(at)})
	return nil
}

// begins finds where replay starts: at the last segment whose base is the snapshot, which brought along whatever is above it;
// older ones only wait for their removal. There is none when the power went between the snapshot and its segment; then all
// segments count.
func begins(dir device.Dir, folder string, segments []numbered, s Snapshot) (int, error) {
	for i := len(segments) - 1; i >= 0; i-- {
		h, err := readHead(dir, folder, segments[i].number)
		if err != nil {
			return 0, fmt.Errorf("segment %d: %w", segments[i].number, err)
		}
		if h.baseIndex == s.Index && h.baseTerm == s.Term {
			return i, nil
		}
	}
	return 0, nil
}

func readHead(dir device.Dir, folder string, number uint64) (head, error) {
	f, err := dir.Open(segmentPath(folder, number))
	if err != nil {
		return head{}, err
	}
	defer f.Close()
	var b [headBytes]byte
	if n, err := f.Pread(b[:], 0); err != nil && n < headBytes {
		return head{}, fmt.Errorf("head of %d bytes (%w): %w", n, err, ErrDamaged)
	}
	h, version, ok := decodeHead(b[:])
	if !ok {
		return head{}, fmt.Errorf("head: %w", ErrDamaged)
	}
	if version != formatVersion {
		return head{}, fmt.Errorf("format version %d, this build reads %d", version, formatVersion)
	}
	return h, nil
}

// begin puts a segment on top of what was replayed so far. Entries above its base are its own to bring.
func (r *replay) begin(h head, number uint64) error {
	if !r.started {
		if h.baseIndex > r.snapshot.Index {
			return fmt.Errorf("begins above entry %d, the snapshot ends at %d: %w", h.baseIndex, r.snapshot.Index, ErrDamaged)
		}
		r.started = true
		r.baseIndex, r.baseTerm, r.sequence = h.baseIndex, h.baseTerm, h.sequence
		return nil
	}
	term, ok := r.term(h.baseIndex)
	if !ok || term != h.baseTerm || h.sequence != r.sequence || r.segments[len(r.segments)-1].number+1 != number {
		return fmt.Errorf("does not continue the segment before: %w", ErrDamaged)
	}
	r.list = r.list[:h.baseIndex-r.baseIndex]
	return nil
}

func (r *replay) entry(e Entry) bool {
	if e.Index <= r.baseIndex || e.Index > r.last()+1 {
		return false
	}
	if before, _ := r.term(e.Index - 1); e.Term < before {
		return false
	}
	r.list = append(r.list[:e.Index-r.baseIndex-1], e)
	return true
}

// log lays the replayed entries over the snapshot and checks what must hold between them.
func (r *replay) log() (*Log, error) {
	if len(r.segments) == 0 {
		return nil, fmt.Errorf("no segment: %w", ErrDamaged)
	}
	n := len(r.segments) - 1
	l := &Log{snapshot: r.snapshot, state: r.state, sealed: r.segments[:n:n], active: r.segments[n], sequence: r.sequence}
	term, ok := r.term(r.snapshot.Index)
	if r.joined = ok && term == r.snapshot.Term; r.joined {
		l.list = append(l.list, r.list[r.snapshot.Index-r.baseIndex:]...)
	}
	if l.state.Commit < l.snapshot.Index {
		l.state.Commit, l.unsaved = l.snapshot.Index, true
	}
	if l.state.Term < l.snapshot.Term {
		l.state.Term, l.unsaved = l.snapshot.Term, true
	}
	if l.state.Commit > l.Last() {
		return nil, fmt.Errorf("entries up to %d were agreed, the log ends at %d: %w", l.state.Commit, l.Last(), ErrDamaged)
	}
	if lastTerm, _ := l.Term(l.Last()); l.state.Term < lastTerm {
		return nil, fmt.Errorf("entry of term %d, the state says %d: %w", lastTerm, l.state.Term, ErrDamaged)
	}
	return l, nil
}

// resume opens the active segment for appending. What replay saw may still be in memory only, after a kill without a power
// cut: it is made durable before anyone builds on it. A sync alone does not do that: where the former process ended with a failed one,
// the kernel has marked the pages clean and would store nothing (fsyncgate). So the bytes are written again, over themselves.
func (l *Log) resume(cut bool) error {
	f, err := l.dir.Open(segmentPath(l.folder, l.active.number))
	if err != nil {
		return err
	}
	l.active.file = f
	if cut {
		if err := f.Cut(l.active.end); err != nil {
			return l.abort(err)
		}
	}
	b := make([]byte, l.active.end)
	if _, err := f.Pread(b, 0); err != nil {
		return l.abort(err)
	}
	if _, err := f.Pwritev([][]byte{b}, 0); err != nil {
		return l.abort(err)
	}
	if err := f.Sync(); err != nil {
		return l.abort(err)
	}
	if err := l.dir.SyncDir(l.folder); err != nil {
		return l.abort(err)
	}
	l.active.spare()
	return nil
}

func (l *Log) abort(err error) error {
	l.active.close()
	return err
}
