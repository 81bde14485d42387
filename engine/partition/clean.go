package partition

import (
	"slices"
	"time"

	"pinion/disk/device"
	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/config"
	"pinion/engine/must"
	"pinion/engine/shard"
)

// Compaction of the logs of one shard: every log.cleaner.backoff.ms the filthiest log that is filthy enough gets a pass (disk/log.Compaction),
// one at a time. The steps run on bulk helpers and between two of them nothing is away: whatever ends a log ends its pass.

// cleaning is a pass under way.
type cleaning struct {
	p     *Partition
	pass  *log.Compaction
	begun clock.Mono
	moved int64      // bytes paid for
	until clock.Mono // no step before
	away  bool       // a helper has a step
}

const (
	// cleanStep is how much one step reads: some 10 ms of work, so that nobody waits long for a log that is being compacted.
	cleanStep    = 4 << 20
	cleanReadMin = 16 << 10
	cleanReadMax = 4 << 20
	// cleanRetry is how soon a shard asks again for a place that another one has.
	cleanRetry = time.Second
	// cleanWaitMax is how long a step waits at most before it looks again at what the rate is now.
	cleanWaitMax = time.Second
	// keySlotBytes is what a key costs in memory, before the load factor.
	keySlotBytes = 24
)

// CleanStats are the counters of compaction of one set.
type CleanStats struct {
	Passes, Read, Written, Removed uint64
	Uncleanable                    int     // logs given up after an error
	DirtyMax                       float64 // part of the filthiest log that is not compacted, as of the last look
	Longest                        time.Duration
}

// watchCompaction keeps the list of logs to compact in step with a partition's state and configuration.
func (p *Partition) watchCompaction(t *shard.Turn) {
	s := p.set
	want := p.state == open && p.config.CleanupCompact && !p.closing && !p.leaving && !p.copied()
	at := slices.Index(s.compacted, p)
	switch {
	case want && at < 0:
		s.compacted = append(s.compacted, p)
	case !want && at >= 0:
		s.compacted = slices.Delete(s.compacted, at, at+1)
	}
	if len(s.compacted) > 0 && !s.cleanTimer.Armed() && s.cleaning == nil && !s.closing {
		t.Arm(&s.cleanTimer, s.options.Broker.Now().Cleaner.Backoff, s)
	}
}

// clean begins the next pass, or goes on with the one that waits.
func (s *Set) clean(t *shard.Turn) {
	if c := s.cleaning; c != nil {
		c.pause(t)
		return
	}
	if len(s.compacted) == 0 || s.closing {
		return
	}
	c := s.options.Broker.Now().Cleaner
	wait := c.Backoff
	if p := s.filthiest(t); p != nil && c.Enabled && c.Threads > 0 {
		switch {
		case !s.options.Cleaners.begin(c.Threads):
			wait = cleanRetry
		case s.begin(t, p, &c):
			return
		default:
			s.options.Cleaners.end()
		}
	}
	t.Arm(&s.cleanTimer, wait, s)
}

// filthiest is the log to compact next: one that waits too long before all others, else the one with the largest dirty part.
func (s *Set) filthiest(t *shard.Turn) *Partition {
	var best *Partition
	var most float64
	s.cleaned.DirtyMax = 0
	now := s.wall(t)
	for _, p := range s.compacted {
		if p.halting || p.uncleanable {
			continue
		}
		p.prepareCleaning(t, now)
		d := p.log.Dirt(now, p.marks.Stable)
		ratio := d.Ratio()
		s.cleaned.DirtyMax = max(s.cleaned.DirtyMax, ratio)
		if p.cramped {
			continue
		}
		if d.Overdue > 0 || d.Purge {
			ratio++
		} else if ratio <= p.config.MinCleanableDirtyRatio {
			continue
		}
		if ratio > most {
			best, most = p, ratio
		}
	}
	if best == nil {
		for _, p := range s.compacted {
			p.cramped = false // they are tried again at the next look
		}
	}
	return best
}

// prepareCleaning seals what is old and syncs what is sealed: neither could be compacted otherwise.
func (p *Partition) prepareCleaning(t *shard.Turn, now clock.Wall) {
	if p.preparing || p.staged.first != nil {
		return
	}
	if work := p.log.RollStale(now); work != nil {
		p.helpBulk(t, work, nil)
		return
	}
	if p.log.SealedDirty() {
		if work := p.log.SyncSealed(); work != nil {
			p.helpBulk(t, work, nil)
		}
	}
}

// begin starts a pass over the partition's log, if it can be.
func (s *Set) begin(t *shard.Turn, p *Partition, c *config.Cleaner) bool {
	share := int64(c.Threads)
	pass := p.log.Compact(log.CompactFrom{
		Now:     s.wall(t),
		Stable:  p.marks.Stable,
		Kept:    p.producers.Kept(),
		Keys:    int(min(float64(c.KeyBytes/share)*c.Load/keySlotBytes, 1<<30)),
		Load:    c.Load,
		Read:    int(min(max(c.IOBytes/share/2, cleanReadMin), cleanReadMax)),
		StepMax: max(min(cleanStep, int64(c.BytesPerSecond)), cleanReadMin),
	})
	if pass == nil {
		return false
	}
	s.cleaning = &cleaning{p: p, pass: pass, begun: t.Now().Mono}
	s.cleaning.step(t)
	return true
}

// step sends the next step to a helper.
func (c *cleaning) step(t *shard.Turn) {
	p := c.p
	p.own.Check(t)
	if c.away {
		return
	}
	if c.ended() {
		p.endCleaning(t)
		return
	}
	work := c.pass.Step()
	switch {
	case work != nil:
		c.away = true
		p.caring++
		t.HelpBulk(&logWork{work: work, p: p, kind: workClean, then: func(t *shard.Turn, _ error) {
			c.away = false
			c.stepped(t)
		}})
	case c.pass.Done():
		c.over(t)
	default:
		t.Arm(&p.set.cleanTimer, time.Millisecond, p.set) // other work is away, for as long as a sync takes
	}
}

// stepped goes on after a step, at the speed that is allowed.
func (c *cleaning) stepped(t *shard.Turn) {
	s := c.p.set
	if c.pass.Done() {
		c.over(t)
		return
	}
	stats := c.pass.Stats()
	bytes := stats.Read + stats.Written - c.moved
	c.moved += bytes
	wait := s.options.Cleaners.pay(bytes, s.options.Broker.Now().Cleaner.BytesPerSecond, t.Now().Mono)
	c.until = t.Now().Mono.Add(wait)
	c.pause(t)
}

// pause waits until the next step may be taken, and then takes it.
func (c *cleaning) pause(t *shard.Turn) {
	s := c.p.set
	if wait := c.until.Sub(t.Now().Mono); wait > 0 && !c.ended() {
		t.Arm(&s.cleanTimer, min(wait, cleanWaitMax), s)
		return
	}
	c.step(t)
}

// ended reports whether the pass must not go on.
func (c *cleaning) ended() bool {
	p := c.p
	return p.state != open || p.closing || p.leaving || p.halting || p.copied() || !p.config.CleanupCompact
}

// over takes stock of a pass and looks for the next.
func (c *cleaning) over(t *shard.Turn) {
	p, s, stats := c.p, c.p.set, c.pass.Stats()
	s.cleaning = nil
	s.options.Cleaners.end()
	took := t.Now().Mono.Sub(c.begun)
	if c.pass.Err() == nil && stats.To >= stats.From && !c.ended() {
		s.cleaned.Passes++
	}
	s.cleaned.Read += uint64(stats.Read)
	s.cleaned.Written += uint64(stats.Written)
	s.cleaned.Removed += uint64(stats.Dropped)
	s.cleaned.Longest = max(s.cleaned.Longest, took)
	wait := time.Millisecond // more may be dirty, here or in another log; another shard gets its turn first
	switch err := c.pass.Err(); {
	case err == nil:
		s.options.Log.Debug("log compacted", "partition", p.dir, "from", stats.From, "to", stats.To, "read", stats.Read, "written", stats.Written,
			"records removed", stats.Dropped, "of them without key", stats.Keyless, "keys", stats.Keys, "map full", stats.MapFull, "took", took)
	case device.IsFull(err): // also what is written without a reservation: indexes
		s.options.Log.Warn("no space to compact in", "partition", p.dir, "err", err)
		p.cramped = true // others may need less
	case log.IsDamage(err):
		p.fail(t, err) // what is broken is not served, and not passed over
	case p.state == open && p.log.Err() == nil:
		// What is served is as it was; compaction ends here until the next start.
		p.uncleanable = true
		s.cleaned.Uncleanable++
		s.options.Log.Error("log is not compacted any more", "partition", p.dir, "err", err)
	}
	p.watchCompaction(t)
	if len(s.compacted) > 0 && !s.closing {
		t.Arm(&s.cleanTimer, wait, s)
	}
}

// endCleaning ends a pass over this log, so that the log can be closed, cut or dropped: at once, or once the step that is away is home. What
// waits for it sees the log busy, or work away.
func (p *Partition) endCleaning(t *shard.Turn) {
	c := p.set.cleaning
	if c == nil || c.p != p || c.away {
		return
	}
	work := c.pass.Abandon()
	if !c.pass.Done() {
		must.Failf("a pass over %s goes on though it was ended", p.dir)
	}
	if work != nil {
		p.helpBulk(t, work, nil)
	}
	c.over(t)
}
