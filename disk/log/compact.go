package log

import (
	"errors"
	"fmt"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/must"
)

// Dirt is what a pass of compaction would find.
type Dirt struct {
	From, To model.Offset // [From, To) is not compacted and may be; To lies at the end of a segment
	Clean    int64        // bytes before From
	Dirty    int64        // bytes from there to To
	Overdue  int64        // milliseconds by which the oldest record has waited longer than max.compaction.lag.ms, 0 or less: it has not
	Purge    bool         // tombstones have outlived delete.retention.ms
}

// Ratio is what min.cleanable.dirty.ratio is compared with.
func (d Dirt) Ratio() float64 {
	if d.Dirty == 0 {
		return 0
	}
	return float64(d.Dirty) / float64(d.Clean+d.Dirty)
}

// Dirt measures the log, for the choice of what to compact next. Nothing at or above stable counts, nor the active segment, nor one with a
// record younger than min.compaction.lag.ms.
func (l *Log) Dirt(now clock.Wall, stable model.Offset) Dirt {
	d := Dirt{From: l.firstDirty(), To: l.firstDirty()}
	d.Purge = l.point.purge != never && now >= l.point.purge && len(l.extents) > 0 && l.cleanable(0, now, stable)
	oldest := int64(-1)
	for i := range l.extents {
		e := &l.extents[i]
		end := l.extentEnd(i)
		if !l.cleanable(i, now, stable) {
			break // no pass goes beyond
		}
		if end <= d.From {
			d.Clean += e.size
			continue
		}
		d.Dirty, d.To = d.Dirty+e.size, end
		if first := e.firstTime(); first > 0 && (oldest < 0 || first < oldest) {
			oldest = first
		}
	}
	if oldest > 0 && d.Dirty > 0 {
		d.Overdue = max(int64(now)-oldest, 0) - l.cfg.MaxCompactionLagMs // the largest there is leaves no room below
	}
	return d
}

// firstDirty is where compaction has to go on.
func (l *Log) firstDirty() model.Offset {
	if len(l.extents) == 0 {
		return l.start
	}
	return max(l.point.clean, l.extents[0].base)
}

// cleanable reports whether segment i may be rewritten now.
func (l *Log) cleanable(i int, now clock.Wall, stable model.Offset) bool {
	e := &l.extents[i]
	newest := e.maxTime
	if newest < 0 {
		newest = int64(e.touched) // as Kafka
	}
	dirty := l.extentEnd(i) > l.firstDirty() // else it was let by once
	young := l.cfg.MinCompactionLagMs > 0 && dirty && newest > int64(now)-l.cfg.MinCompactionLagMs
	return i < len(l.extents)-1 && l.extentEnd(i) <= min(stable, l.recovery) && !e.dirty() && !young
}

// RollStale returns the Work that seals an active segment whose first record has waited for longer than max.compaction.lag.ms, so that it can be
// compacted although nothing is written any more. nil when it has not, or other Work is in the way.
func (l *Log) RollStale(now clock.Wall) *Work {
	e := l.last()
	if e == nil || e.size == 0 || l.err != nil || l.closed || len(l.staged) > 0 || !l.cfg.Compact || l.tail.firstTime <= 0 {
		return nil
	}
	if int64(now)-l.tail.firstTime <= l.cfg.MaxCompactionLagMs || l.busy&(busyActive|busySpace|busySync|busyEvict|busyWhole) != 0 {
		return nil
	}
	if !l.files.Room() {
		return nil
	}
	l.want = 0
	l.files.coming++
	return l.begin(busyActive, l.prepareRoll())
}

// CompactFrom is what a pass needs to know that the log does not.
type CompactFrom struct {
	Now     clock.Wall
	Stable  model.Offset           // nothing at or above is touched, nor outlives anything; at most the high watermark: no log is cut below
	Kept    map[int64]model.Offset // by producer id: from this last offset on its batches stay, emptied if need be
	Keys    int                    // keys of one pass in memory, 24 bytes each before Load
	Load    float64                // how full the table gets, in (0, 1]
	Read    int                    // bytes read at once
	StepMax int64                  // bytes read by one step
}

// compactPart is one segment of a pass.
type compactPart struct {
	base, end model.Offset
	size      int64
	touched   clock.Wall
}

type compactPhase uint8

const (
	phaseMap  compactPhase = iota // the last offset of each dirty key is collected
	phaseSift                     // a group of segments is written anew
	phaseSwap                     // the new segment takes the place of the old ones
	phaseNote                     // the point is stored
	phaseDone
)

// Compaction is one pass over a log: of each key only the last record stays (KIP-58, KIP-280's offset strategy), tombstones stay until their
// horizon (KIP-534), in segments that are written anew and take the place of the old ones, which readers keep. It goes in steps, each a
// Work that reads no more than StepMax bytes, so that its owner decides about speed and can end it at any time.
//
// A pass that runs out of memory for keys ends where the keys did; the next one goes on there.
type Compaction struct {
	log        *Log
	from       CompactFrom
	sieve      *sieve
	groups     [][]compactPart // what is left to write anew
	phase      compactPhase
	generation uint32
	foreign    model.Offset // of a log without a point: who compacted it before may have left gaps up to here
	err        error
	stats      CompactStats
}

// CompactStats is what a pass did.
type CompactStats struct {
	Read, Written int64 // bytes
	Mapped        int64 // bytes read for their keys alone; part of Read
	Keys          int
	Dropped       int64 // records
	Keyless       int64 // records without a key, which a compacted log cannot keep; part of Dropped
	Segments      int   // that went
	From, To      model.Offset
	MapFull       bool
}

// Compact begins a pass, or is nil when there is nothing to do or other Work is in the way. The caller calls Step until it is nil.
func (l *Log) Compact(from CompactFrom) *Compaction {
	if l.err != nil || l.closed || len(l.extents) < 2 || l.oddities().compacting || l.busy&(busyWhole|busySwap|busyCompact) != 0 {
		return nil
	}
	d := l.Dirt(from.Now, from.Stable)
	if d.Dirty == 0 && !d.Purge {
		return nil
	}
	if from.Load <= 0 || from.Load > 1 || from.Read < batch.HeaderSize || from.StepMax <= 0 {
		must.Failf("log %s: compact with %+v", l.name, from)
	}
	c := &Compaction{log: l, from: from, generation: l.generation}
	if !l.pointed {
		c.foreign = min(l.last().base, from.Stable)
	}
	var parts []compactPart
	for i := range l.extents {
		if !l.cleanable(i, from.Now, from.Stable) {
			break
		}
		e := &l.extents[i]
		parts = append(parts, compactPart{base: e.base, end: l.extentEnd(i), size: e.size, touched: e.touched})
	}
	if len(parts) == 0 {
		return nil
	}
	c.stats.From = d.From
	c.sieve = newSieve(l, from, parts, d)
	l.oddly().compacting = true
	return c
}

// Stats is what the pass has done so far.
func (c *Compaction) Stats() CompactStats { return c.stats }

// Err is why a pass ended early, or nil. It is a *Damage where a batch is broken.
func (c *Compaction) Err() error { return c.err }

// Step returns the next Work of the pass; nil when it is over, or, with Done false, when other Work is in the way: ask again after
// the next Finish.
func (c *Compaction) Step() *Work {
	l := c.log
	if c.phase == phaseDone || l.busy&(busyWhole|busySwap|busyCompact) != 0 {
		return nil
	}
	if l.err != nil || l.closed || l.generation != c.generation {
		return c.Abandon()
	}
	switch c.phase {
	case phaseMap:
		return l.begin(busyCompact, &compactTask{c: c, sieve: c.sieve})
	case phaseSift:
		for len(c.groups) > 0 && !l.holds(c.groups[0]) {
			c.passed() // retention was faster
			if c.sieve.open() {
				return l.begin(busyCompact, &abandonTask{c.sieve})
			}
		}
		if len(c.groups) == 0 {
			c.phase = phaseNote
			return c.Step()
		}
		return l.begin(busyCompact, &compactTask{c: c, sieve: c.sieve, group: c.groups[0]})
	case phaseSwap:
		return c.swap()
	case phaseNote:
		return l.begin(busyCompact, &noteTask{c: c, dir: l.dir, folder: l.name, point: c.newPoint()})
	}
	return nil
}

// Done reports whether the pass is over.
func (c *Compaction) Done() bool { return c.phase == phaseDone }

// Abandon ends the pass. The Work it returns, if any, closes and removes what is half written.
func (c *Compaction) Abandon() *Work {
	if c.phase == phaseDone {
		return nil
	}
	if c.log.busy&(busySwap|busyCompact) != 0 {
		must.Failf("log %s: abandon a compaction that a helper works on", c.log.name)
	}
	c.end()
	if !c.sieve.open() {
		return nil
	}
	return c.log.begin(busyCompact, &abandonTask{c.sieve})
}

func (c *Compaction) end() {
	c.phase = phaseDone
	c.log.odd.compacting = false
	c.sieve.keys = nil // the largest part of what a pass holds
}

// newPoint is what the log is once the pass is over.
func (c *Compaction) newPoint() cleanPoint {
	p := c.log.point
	p.clean = max(p.clean, c.sieve.mapEnd)
	p.gaps = max(p.gaps, p.clean, c.foreign)
	p.purge = c.sieve.purge
	return p
}

// passed takes from the first group what retention has removed. What it has left is sifted as ever: the map has its keys, and what they have outlived
// must not outlive their tombstones.
func (c *Compaction) passed() {
	group, extents := c.groups[0], c.log.extents
	for len(group) > 0 && (len(extents) == 0 || group[0].base < extents[0].base) {
		group = group[1:]
	}
	if len(group) == len(c.groups[0]) || len(group) == 0 {
		c.groups = c.groups[1:]
		return
	}
	c.groups[0] = group
}

// holds reports whether the segments are what they were when the pass began.
func (l *Log) holds(group []compactPart) bool {
	i := l.extentAt(group[0].base)
	for n, p := range group {
		if i < 0 || i+n >= len(l.extents)-1 || l.extents[i+n].base != p.base || l.extents[i+n].size != p.size {
			return false
		}
	}
	return true
}

// group puts segments together that fit into one, as Kafka's Cleaner.groupSegmentsBySize.
func (l *Log) group(parts []compactPart) [][]compactPart {
	var groups [][]compactPart
	for n := 0; n < len(parts); {
		first := parts[n]
		size, from := first.size, n
		for n++; n < len(parts); n++ {
			p := parts[n]
			entries := (size+p.size)/int64(max(l.cfg.IndexIntervalBytes, 1)) + 1
			if size+p.size > l.segmentBytes() || p.end-1-first.base > offsetRoom || entries*timeEntryBytes > int64(l.cfg.IndexBytesMax) {
				break
			}
			size += p.size
		}
		groups = append(groups, parts[from:n])
	}
	return groups
}

// compactTask is a step that writes at most files nobody knows yet. While it is away the sieve is the helper's.
type compactTask struct {
	c     *Compaction
	sieve *sieve
	group []compactPart // to write anew; nil: keys are collected
}

func (t *compactTask) do() error {
	var err error
	if t.group == nil {
		err = t.sieve.mapStep()
	} else {
		err = t.sieve.siftStep(t.group)
	}
	if err != nil {
		err = errors.Join(err, t.sieve.discard())
	}
	return err
}

func (t *compactTask) finish(l *Log, err error) error {
	c, s := t.c, t.sieve
	c.stats = s.stats
	if err != nil {
		switch gone := isNotExist(err); {
		case gone && c.phase == phaseSift && !l.holds(c.groups[0]):
			return nil // retention was faster: the next Step goes on behind
		case gone && (l.dropped || c.phase == phaseMap && l.firstDirty() > c.stats.From):
		default:
			c.err = fmt.Errorf("compact %s: %w", l.name, err)
		}
		c.end()
		return c.err
	}
	switch c.phase {
	case phaseMap:
		if s.mapped {
			c.groups = l.group(s.toSift())
			c.phase = phaseSift
		}
	case phaseSift:
		switch {
		case !s.grouped:
		case s.unchanged:
			c.groups = c.groups[1:]
		default:
			c.phase = phaseSwap
		}
	}
	return nil
}

// noteTask stores the point.
type noteTask struct {
	c      *Compaction
	dir    device.Dir
	folder string
	point  cleanPoint
}

func (t *noteTask) do() error { return writePoint(t.dir, t.folder, t.point) }

func (t *noteTask) finish(l *Log, err error) error {
	c := t.c
	c.end()
	if err != nil {
		c.err = fmt.Errorf("compact %s: %w", l.name, err) // the file is what it was: the next pass begins where this one did
		return c.err
	}
	l.pointed = true
	if l.generation == c.generation {
		l.point = t.point
	}
	return nil
}

// abandonTask gives back what an unfinished pass holds.
type abandonTask struct{ s *sieve }

func (t *abandonTask) do() error { return t.s.discard() }

func (t *abandonTask) finish(l *Log, err error) error {
	if err == nil || l.dropped {
		return nil
	}
	return fmt.Errorf("log %s: %w", l.name, err)
}
