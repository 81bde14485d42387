package partition

import (
	"errors"

	"pinion/disk/device"
	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/logdir"
	"pinion/engine/shard"
)

// A partition is relocated to another log directory of the node while it is written and read (AlterReplicaLogDirs, KIP-113). Its log is copied there in
// pieces (log.Copy), at the speed that is allowed, one partition of a shard at a time. When little is left the partition is frozen: asks wait, what is away comes home,
// the log is closed as for a hand-over, and the copy made complete and durable. Then it crosses over (log.Crossing): both folders get names that
// say what they are, the catalogue says which of them counts, that one gets its name back and the other is removed. The partition is opened
// again, where it is by now, and those who wait are let in.
//
// The journal of the directory it comes to may hold something of an earlier stay: an entry that is durable before the catalogue is asked says that
// nothing of that counts, and what the segments hold.
//
// The wish is the folder of the copy: it survives a restart and a hand-over, after which copying begins anew. A disk that is full ends the
// relocation, a failed one is fenced, and the partition goes on where it was.
type relocation struct {
	p       *Partition // the one that was opened again, once it has landed
	to      *site
	copy    *log.Copy
	until   clock.Mono // the next piece has to wait, for the rate's sake; or for how long the journal is waited for
	away    bool       // a helper is at it, or the catalogue is asked
	begun   bool       // no compaction, from now on
	closed  bool       // the log is, for the partition to cross over; what becomes of it later is seen to at the end
	waiting bool       // for the journal of the directory it goes to, or for room in it
	told    bool       // that one has the words, which are not durable yet
	empty   bool       // nothing was ever written, so that there is nothing to copy
	landed  bool       // what is left behind is being removed
	stopped bool
	then    []func(t *shard.Turn) // once it is over
}

// relocatePiece is how much is copied and synced at a time, and what may be left to copy while the partition is frozen.
const relocatePiece = 4 << 20

func (s *Set) relocatePiece() int64 {
	if s.options.RelocatePiece > 0 {
		return s.options.RelocatePiece
	}
	return relocatePiece
}

// relocate takes the wish of an ask.
func (p *Partition) relocate(t *shard.Turn, ask *QueryAsk) {
	to := p.set.sites[ask.Place.At]
	switch r := p.relocation; {
	case p.closing:
		ask.reply(t, NotLeader)
	case p.leaving: // whoever comes next goes on with an earlier wish, which this one would leave behind
		ask.reply(t, Moved)
	case r != nil && r.to == to && !r.stopped && !r.landed, r == nil && to == p.site:
		ask.reply(t, OK)
	case r != nil:
		r.then = append(r.then, func(t *shard.Turn) { p.set.query(t, ask) })
		r.stop(t)
	case to.Fenced() != nil:
		ask.reply(t, StorageFailed)
	default:
		r := &relocation{p: p, to: to}
		p.relocation = r
		p.set.options.Folders.wish(p.name, to.Directory)
		r.help(t, func() error { return log.Wish(to.Dir, p.dir, p.name.Topic) }, func(t *shard.Turn, err error) {
			if err != nil {
				ask.reply(t, StorageFailed)
				r.giveUp(t, &log.TargetError{Final: !device.IsFull(err), Err: err})
				return
			}
			ask.reply(t, OK)
			r.queue(t)
		})
	}
}

// resumeRelocation goes on with what an earlier life, or another shard, has begun.
func (p *Partition) resumeRelocation(t *shard.Turn) {
	wished := p.set.options.Folders.wished(p.name)
	if wished == nil || p.state != open || p.leaving || p.relocation != nil {
		return
	}
	r := &relocation{p: p, to: p.set.sites[wished.At]}
	p.relocation = r
	if r.to == p.site || r.to.Fenced() != nil {
		r.stop(t)
		return
	}
	r.queue(t)
}

// copied reports whether the log is being copied: no segment may take the place of others then.
func (p *Partition) copied() bool { return p.relocation != nil && p.relocation.begun }

// Relocating reports whether the partition is on its way to another log directory, or has left something behind that is being removed.
func (p *Partition) Relocating() bool { return p.relocation != nil }

// queue waits for those of this shard that came before, unless there is nothing to wait for any more: the partition may be gone.
func (r *relocation) queue(t *shard.Turn) {
	s := r.p.set
	s.relocating = append(s.relocating, r)
	r.step(t)
}

// help has a helper do the blocking part. The log is neither closed nor removed meanwhile.
func (r *relocation) help(t *shard.Turn, run func() error, then func(t *shard.Turn, err error)) {
	p := r.p
	r.away = true
	p.caring++
	t.HelpBulk(&errand{run: run, then: func(t *shard.Turn, err error) {
		r.away = false
		p.caring--
		then(t, err)
		p.buried(t)
	}})
}

// errand is blocking work of a relocation.
type errand struct {
	shard.Letter
	run  func() error
	then func(t *shard.Turn, err error)
	err  error
}

// Run does it.
func (e *errand) Run() { e.err = e.run() }

// Deliver goes on, back on the owner.
func (e *errand) Deliver(t *shard.Turn) { e.then(t, e.err) }

// stop ends a relocation before the partition is frozen; later it takes its course.
func (r *relocation) stop(t *shard.Turn) {
	r.stopped = true
	r.step(t)
}

// step takes the next step while the partition serves.
func (r *relocation) step(t *shard.Turn) {
	p, s := r.p, r.p.set
	switch {
	case r.waiting:
		r.await(t)
	case r.away || r.closed || p.state == opening:
	case p.state == dropped || p.leaving || s.closing:
		r.over(t, true) // whoever buries it, comes next or starts next, sees to the rest
	case r.stopped || p.state == failed:
		r.takeBack(t)
	case r.to.Fenced() != nil:
		r.over(t, true)
	case len(s.relocating) == 0 || s.relocating[0] != r:
	case r.copy == nil || r.copy.Stale(p.log):
		r.begin(t)
	case r.until > t.Now().Mono:
		t.Arm(&s.relocateTimer, r.until.Sub(t.Now().Mono), s)
	default:
		r.goOn(t)
	}
}

// begin begins the copy, anew where what was there of it is not right any more. No compaction comes between.
func (r *relocation) begin(t *shard.Turn) {
	p, s := r.p, r.p.set
	r.begun = true
	p.watchCompaction(t)
	p.endCleaning(t)
	if s.cleaning != nil && s.cleaning.p == p || p.halting {
		t.Arm(&s.relocateTimer, relocateRetry, s)
		return
	}
	r.help(t, func() error { return log.Wish(r.to.Dir, p.dir, p.name.Topic) }, func(t *shard.Turn, err error) {
		if err != nil {
			r.giveUp(t, &log.TargetError{Final: !device.IsFull(err), Err: err})
			return
		}
		if p.state == open {
			r.copy = p.log.NewCopy(r.to.Dir)
		}
		r.step(t)
	})
}

// goOn copies the next piece, or freezes the partition where little is left.
func (r *relocation) goOn(t *shard.Turn) {
	p, s := r.p, r.p.set
	piece := r.copy.Next(p.log, s.relocatePiece())
	if piece == nil || r.copy.Left(p.log) <= s.relocatePiece() {
		if scribe := &r.to.scribe; scribe.journal != nil && !scribe.settled {
			t.Arm(&s.relocateTimer, relocateRetry, s) // what its journal held at the start is not in the segments yet
			return
		}
		p.frozen = true
		r.close(t)
		return
	}
	r.help(t, func() error { piece.Do(); return nil }, func(t *shard.Turn, _ error) {
		bytes, err := r.copy.Finish(piece)
		if err != nil {
			r.giveUp(t, err)
			return
		}
		r.until = t.Now().Mono.Add(s.options.Folders.pace.pay(bytes, s.options.Broker.Now().RelocateBytesPerSecond, t.Now().Mono))
		r.step(t)
	})
}

// giveUp ends a relocation after an error: of the directory it was going to, which has failed where that is final; or of the log.
func (r *relocation) giveUp(t *shard.Turn, err error) {
	p := r.p
	p.set.options.Log.Warn("partition not moved to another log directory", "partition", p.dir, "from", p.site.Name, "to", r.to.Name, "err", err)
	var target *log.TargetError
	switch {
	case errors.As(err, &target):
		if target.Final {
			r.to.fence(t, err)
		}
	case log.IsDamage(err):
		p.fail(t, err)
	}
	r.stop(t)
}

// takeBack removes the copy and the wish.
func (r *relocation) takeBack(t *shard.Turn) {
	p := r.p
	if r.to.Fenced() != nil {
		r.over(t, true)
		return
	}
	r.help(t, func() error { return log.Unwish(r.to.Dir, p.dir, p.name.Topic) }, func(t *shard.Turn, err error) {
		if err != nil {
			p.set.options.Log.Warn("copy of a partition not removed", "partition", p.dir, "in", r.to.Name, "err", err)
		}
		r.over(t, err != nil)
	})
}

// over ends it. The wish stays where somebody else will see to it.
func (r *relocation) over(t *shard.Turn, keep bool) {
	p, s := r.p, r.p.set
	if p.relocation != r {
		return
	}
	p.relocation = nil
	if !keep {
		s.options.Folders.unwish(p.name)
	}
	p.watchCompaction(t)
	for i, other := range s.relocating {
		if other == r {
			s.relocating = append(s.relocating[:i], s.relocating[i+1:]...)
			break
		}
	}
	for _, f := range r.then {
		f(t)
	}
	if len(s.relocating) > 0 {
		s.relocating[0].step(t)
	}
	p.buried(t)
}

// relocatingTo is where a partition goes to, nil if it stays where it is; what the copy has, and how many offsets it lacks.
func (p *Partition) relocatingTo() (to *logdir.Directory, bytes int64, lag int64) {
	r := p.relocation
	if r == nil || r.landed || r.stopped {
		return nil, 0, 0
	}
	if p.log == nil {
		return r.to.Directory, 0, 0
	}
	if r.copy == nil || r.copy.Stale(p.log) {
		return r.to.Directory, 0, int64(p.log.End() - p.log.Start())
	}
	return r.to.Directory, r.copy.Bytes(p.log), int64(p.log.End() - r.copy.End(p.log))
}
