package log

import (
	"errors"

	"pinion/engine/must"
	"pinion/engine/mutant"
)

// scratchBytes is how much a lookup reads at once.
const scratchBytes = 8 << 10

// Files holds the open segments of all logs of one shard, most recently used first, and decides which to close. What is leased, staged or
// under work stays open, so the owner asks Room before it prepares what opens a segment, and calls Sweep whenever Over says so: Sweep aims
// at max, and however much is under way no more than MostOpen(max) are ever open.
type Files struct {
	max      int
	open     int
	coming   int // segments that Works under way open
	leased   int // segments that have leases
	slots    []*Segment
	free     []int32
	newest   *Segment
	oldest   *Segment
	dead     []*Segment // belong to no log and are not leased: Sweep closes them
	held     int        // belong to no log but are leased still
	closing  int        // in the Sweep under way
	sweeping bool
	scratch  []byte
}

// MostOpen is how many segments may be open in Files that aim at max: some more, for what opens while a Sweep is away. It is never so
// few that who waits for room would wait for ever.
func MostOpen(max int) int { return max + max/8 + 8 }

// NewFiles returns an empty set that aims at no more than max open segments: a descriptor and a mapping each.
func NewFiles(max int) *Files {
	return &Files{max: max, scratch: make([]byte, scratchBytes)}
}

// Open is how many segments are open, those that only wait for a lease or for Sweep, or are being closed, included.
func (f *Files) Open() int { return f.open + f.held + len(f.dead) + f.closing }

// Room reports whether one more segment may be opened now. Where there is none, Over has become true.
func (f *Files) Room() bool { return f.Open()+f.coming < MostOpen(f.max) }

// Loans is how many segments one more reader may take leases on: half of what readers have left. They get three quarters of all, so
// that appends always find something that can be closed for them.
func (f *Files) Loans() int {
	most := MostOpen(f.max)
	return max(0, most-most/4-f.leased+1) / 2
}

// Over reports whether Sweep has something to close, or would if leases came home.
func (f *Files) Over() bool {
	return !f.sweeping && (len(f.dead) > 0 || f.open > 0 && f.open+f.held+f.coming > f.max)
}

// insert gives s a slot, as the most recently used.
func (f *Files) insert(s *Segment) int32 {
	if n := len(f.free); n > 0 {
		s.slot = f.free[n-1]
		f.free = f.free[:n-1]
		f.slots[s.slot] = s
	} else {
		s.slot = int32(len(f.slots))
		f.slots = append(f.slots, s)
	}
	f.open++
	f.pushNewest(s)
	return s.slot
}

func (f *Files) pushNewest(s *Segment) {
	s.older, s.newer = f.newest, nil
	if f.newest != nil {
		f.newest.newer = s
	}
	f.newest = s
	if f.oldest == nil {
		f.oldest = s
	}
}

func (f *Files) unlink(s *Segment) {
	if s.newer != nil {
		s.newer.older = s.older
	} else {
		f.newest = s.older
	}
	if s.older != nil {
		s.older.newer = s.newer
	} else {
		f.oldest = s.newer
	}
	s.older, s.newer = nil, nil
}

// touch makes s the most recently used.
func (f *Files) touch(s *Segment) {
	if f.newest != s {
		f.unlink(s)
		f.pushNewest(s)
	}
}

// remove takes s out of the set and away from its log; it is closed by Sweep after the last lease.
func (f *Files) remove(s *Segment) {
	f.detach(s)
	if s.leases == 0 || mutant.On(mutant.LeasesIgnored) {
		f.dead = append(f.dead, s)
	} else {
		f.held++
	}
}

func (f *Files) detach(s *Segment) {
	f.unlink(s)
	f.slots[s.slot] = nil
	f.free = append(f.free, s.slot)
	f.open--
	s.slot, s.log = noSlot, nil
}

// discard lets Sweep close a segment that never got into the set.
func (f *Files) discard(s *Segment) {
	if s != nil {
		f.dead = append(f.dead, s)
	}
}

// hold takes one lease, release gives one back.
func (s *Segment) hold() {
	if s.leases == 0 {
		s.files.leased++
	}
	s.leases++
}

func (s *Segment) release() {
	s.leases--
	if s.leases < 0 {
		must.Failf("segment %d is released once too often", s.base)
	}
	if s.leases == 0 {
		s.files.leased--
	}
	if s.leases == 0 && s.log == nil {
		s.files.held--
		s.files.dead = append(s.files.dead, s)
	}
}

// sweepLooks bounds how many segments one Sweep looks at: those that stay open move to the other end of the list, so the next one sees others.
const sweepLooks = 512

// Sweep returns the Work that closes what is not needed, or nil when there is nothing or a Sweep is under way. Its Finish is that of Files.
func (f *Files) Sweep() *Work {
	if f.sweeping {
		return nil
	}
	t := &sweepTask{files: f}
	for _, s := range f.dead {
		t.parts = append(t.parts, sweepPart{s: s})
	}
	clear(f.dead)
	f.dead = f.dead[:0]
	for looks := min(f.open, sweepLooks); looks > 0 && f.open+f.held+f.coming > f.max; looks-- {
		s := f.oldest
		if part, ok := f.evict(s); ok {
			t.parts = append(t.parts, part)
		} else {
			f.touch(s)
		}
	}
	if len(t.parts) == 0 {
		return nil
	}
	f.sweeping, f.closing = true, len(t.parts)
	return &Work{task: t}
}

// evict takes a segment out of use, unless something holds it.
func (f *Files) evict(s *Segment) (sweepPart, bool) {
	l := s.log
	if s.leases > 0 && !mutant.On(mutant.LeasesIgnored) {
		return sweepPart{}, false
	}
	i := l.extentAt(s.base)
	e := &l.extents[i]
	active := i == len(l.extents)-1
	part := sweepPart{s: s}
	if active || s.hasUnwritten() {
		if l.busy&busyFiles&^(busyCompact|busySwap) != 0 || (active && len(l.staged) > 0) {
			return sweepPart{}, false
		}
		l.busy |= busyEvict
		part.log = l
		index, times := s.unwritten()
		part.write = indexWrite{folder: l.name, base: s.base, index: index, times: times, indexAt: int64(e.indexed), timesAt: int64(e.timed)}
		part.trim = active
		part.size = e.size
	}
	e.slot = noSlot
	f.detach(s)
	return part, true
}

// Finish installs what a Sweep did. An error is final for the log it befell, and joined here.
func (f *Files) Finish(w *Work) error {
	t, ok := w.task.(*sweepTask)
	if !ok || t.files != f || !w.done {
		must.Failf("finish of work that is not done or not a sweep")
	}
	w.done = false
	f.sweeping, f.closing = false, 0
	var all error
	for i := range t.parts {
		p := &t.parts[i]
		err := p.err
		if p.log == nil {
			all = errors.Join(all, err)
			continue
		}
		p.log.busy &^= busyEvict
		if at := p.log.extentAt(p.write.base); at >= 0 && err == nil {
			e := &p.log.extents[at]
			e.indexed += int32(len(p.write.index))
			e.timed += int32(len(p.write.times))
			e.indexSynced = e.indexSynced && len(p.write.index)+len(p.write.times) == 0
		}
		if err != nil {
			all = errors.Join(all, p.log.fail(err))
		}
	}
	return all
}

// sweepTask closes segments, and writes what their indexes lack.
type sweepTask struct {
	files *Files
	parts []sweepPart
}

type sweepPart struct {
	s     *Segment
	log   *Log // set when there is something to write; Do does not touch it
	write indexWrite
	trim  bool
	size  int64
	err   error
}

func (t *sweepTask) do() error {
	for i := range t.parts {
		p := &t.parts[i]
		if p.log != nil {
			p.err = p.write.do(p.log.dir, false)
			if p.trim && p.err == nil {
				p.err = p.s.file.Trim(p.size)
			}
		}
		p.err = errors.Join(p.err, p.s.close())
	}
	return nil
}

func (t *sweepTask) finish(*Log, error) error {
	must.Failf("a sweep is finished by its Files")
	return nil
}
