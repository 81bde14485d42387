package partition

import (
	"errors"
	"time"

	"pinion/disk/device"
	"pinion/disk/journal"
	"pinion/disk/log"
	"pinion/engine/catalog"
	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// relocateRetry is how long a relocation waits for what has no end that it is told of.
const relocateRetry = 5 * time.Millisecond

// close closes the log of a frozen partition once nothing of it is away.
func (r *relocation) close(t *shard.Turn) {
	p := r.p
	if r.stopped || p.state != open || p.leaving || p.closing || r.copy.Stale(p.log) || r.to.Fenced() != nil {
		p.thaw(t)
		r.step(t)
		return
	}
	again := func(t *shard.Turn) { r.close(t) }
	if !p.still(t) {
		p.set.later(t, again)
		return
	}
	if job := p.newSnapshot(); job != nil {
		t.Help(job)
		p.set.later(t, again)
		return
	}
	work := p.log.Close()
	if work == nil {
		p.set.later(t, again)
		return
	}
	p.state, p.frozen = opening, false
	p.helpBulk(t, work, r.settle)
}

// thaw goes on with a partition that was frozen.
func (p *Partition) thaw(t *shard.Turn) {
	p.frozen = false
	p.resumeFetches(t)
	for _, a := range p.takeAsked() {
		p.set.query(t, a)
	}
	p.drain(t)
}

// settle makes the copy complete.
func (r *relocation) settle(t *shard.Turn, err error) {
	p := r.p
	if err == nil {
		p.site.scribe.forget(t, p)
	}
	switch {
	case p.state == dropped:
		r.over(t, true)
		return
	case err != nil:
		p.fail(t, err)
		r.stop(t)
		if p.leaving { // which has waited for this
			p.left(t, err)
		}
		return
	case p.leaving:
		r.over(t, true)
		p.left(t, nil)
		return
	}
	r.closed = true
	r.help(t, func() (err error) {
		r.empty, err = r.copy.Settle()
		return err
	}, func(t *shard.Turn, err error) {
		if err == nil {
			err = p.site.Fenced()
		}
		switch {
		case err != nil:
			r.refused(t, err)
		case r.empty:
			r.ask(t)
		default:
			r.announce(t)
		}
	})
}

// announce has the journal say what counts of the partition from now on.
func (r *relocation) announce(t *shard.Turn) {
	p, scribe := r.p, &r.to.scribe
	if scribe.journal == nil {
		r.cross(t)
		return
	}
	if err := r.to.Fenced(); err != nil {
		r.waiting = false
		r.refused(t, err)
		return
	}
	if !r.waiting {
		r.waiting, r.until = true, t.Now().Mono.Add(announceMax)
	}
	then := func(t *shard.Turn) {
		if r.waiting {
			r.waiting = false
			r.cross(t)
		}
	}
	r.told = scribe.announce(t, then, &journal.Entry{Kind: journal.Truncate, Partition: p.name}, &journal.Entry{Kind: journal.Synced, Partition: p.name, End: p.log.RecoveryPoint()})
	t.Arm(&p.set.relocateTimer, relocateRetry, p.set)
}

const (
	// announceMax is how long the journal may take to accept what it is told, and to make it durable when the node ends.
	announceMax = time.Second
	// nudgeEvery is how often it is asked to look again whether its disk, which was full, has room.
	nudgeEvery = 100 * time.Millisecond
)

var errAnnounceLate = errors.New("its journal takes nothing: is the disk full?")

// await goes on waiting for the journal. What it was told may be durable any time later, behind what others tell it of the partition by then: so nobody
// may go on as if it had not been told, unless the node ends. The next start goes by the catalogue, and by nothing that this journal says.
func (r *relocation) await(t *shard.Turn) {
	late := t.Now().Mono >= r.until
	switch {
	case late && (!r.told || r.p.set.closing):
		r.waiting = false
		r.refused(t, errAnnounceLate)
	case !r.told:
		r.announce(t)
	default:
		r.to.scribe.nudge()
		t.Arm(&r.p.set.relocateTimer, nudgeEvery, r.p.set)
	}
}

// fenced is told that the directory it was going to is out of service, whose journal may never answer.
func (r *relocation) fenced(t *shard.Turn, err error) {
	if r.waiting {
		r.waiting = false
		r.refused(t, err)
		return
	}
	r.step(t)
}

// cross gives both folders the names of a crossing, and asks the catalogue.
func (r *relocation) cross(t *shard.Turn) {
	p := r.p
	if p.state == dropped {
		r.refused(t, log.ErrClosed)
		return
	}
	r.help(t, func() error { return log.Arrive(r.to.Dir, p.dir, p.name.Topic) }, func(t *shard.Turn, err error) {
		if err != nil {
			r.refused(t, &log.TargetError{Final: !device.IsFull(err) && !errors.Is(err, log.ErrTaken), Err: err})
			return
		}
		r.help(t, func() error { return log.Leave(p.site.Dir, p.dir, p.name.Topic) }, func(t *shard.Turn, err error) {
			if err != nil {
				r.undecided(t, err)
				p.site.fence(t, err)
				return
			}
			if err := r.to.Fenced(); err != nil {
				r.refused(t, err)
				return
			}
			r.ask(t)
		})
	})
}

// ask asks the catalogue to say that the copy counts.
func (r *relocation) ask(t *shard.Turn) {
	r.away = true
	r.p.caring++
	r.p.set.options.Assign(&Assignment{home: t.Shard(), relocation: r, Partition: r.p.name, To: r.to.ID})
}

// Assignment is mail to the set whose partition waits for the catalogue's word on where it lies.
type Assignment struct {
	shard.Letter
	home       model.ShardID
	relocation *relocation
	Partition  model.Partition
	To         model.DirectoryID
	Refusal    *catalog.Error // set by whoever posts it
}

// Home is the shard it is posted to.
func (a *Assignment) Home() model.ShardID { return a.home }

// Deliver goes on with the copy that counts.
func (a *Assignment) Deliver(t *shard.Turn) {
	r := a.relocation
	r.away = false
	r.p.caring--
	switch {
	case a.Refusal == nil:
		r.land(t)
	case a.Refusal.Code == catalog.Stopped:
		r.undecided(t, a.Refusal)
	default:
		r.refused(t, a.Refusal)
	}
	r.p.buried(t)
}

// undecided leaves both folders to the next start: nobody can say which of them counts, or a name may be lost. Until then no shard opens either.
func (r *relocation) undecided(t *shard.Turn, err error) {
	p := r.p
	r.closed = false
	p.set.options.Folders.lose(p.name, err)
	if a := (*catalog.Error)(nil); errors.As(err, &a) {
		p.refuse(t, NotLeader) // the node ends
	}
	r.over(t, true)
	p.fail(t, err)
	if p.leaving { // which has waited for this
		p.left(t, err)
	}
}

// refused goes back to where the partition was.
func (r *relocation) refused(t *shard.Turn, err error) {
	p := r.p
	var target *log.TargetError
	if errors.As(err, &target) && target.Final {
		r.to.fence(t, err)
	}
	p.set.options.Log.Warn("partition not moved to another log directory", "partition", p.dir, "from", p.site.Name, "to", r.to.Name, "err", err)
	r.help(t, func() error { return log.Stay(p.site.Dir, p.dir, p.name.Topic) }, func(t *shard.Turn, err error) {
		if err != nil {
			r.undecided(t, err)
			p.site.fence(t, err)
			return
		}
		if r.to.Fenced() != nil {
			r.back(t, true)
			return
		}
		r.help(t, func() error {
			return errors.Join(log.Left(r.to.Dir, p.dir, p.name.Topic, log.Arrived), log.Unwish(r.to.Dir, p.dir, p.name.Topic))
		}, func(t *shard.Turn, err error) {
			r.to.doubt(t, err)
			r.back(t, err != nil)
		})
	})
}

// back opens the partition where it was.
func (r *relocation) back(t *shard.Turn, keep bool) {
	p := r.p
	r.closed = false
	if p.state == opening && !p.leaving {
		p.set.reopen(t, p, p.site)
	}
	r.over(t, keep)
	if p.leaving {
		p.left(t, nil)
	}
}

// land gives the copy its name, and opens it.
func (r *relocation) land(t *shard.Turn) {
	p := r.p
	r.help(t, func() error {
		if r.empty {
			return nil
		}
		return log.Land(r.to.Dir, p.dir, p.name.Topic)
	}, func(t *shard.Turn, err error) {
		from := p.site
		p.site = r.to
		if err != nil {
			r.undecided(t, err)
			r.to.fence(t, err)
			return
		}
		r.landed = true
		p.set.options.Folders.unwish(p.name)
		p.set.options.Log.Info("partition moved to another log directory", "partition", p.dir, "from", from.Name, "to", r.to.Name)
		if p.state == opening && !p.leaving {
			p.relocation = nil
			r.p = p.set.reopen(t, p, r.to)
			r.p.relocation = r
		}
		r.clear(t, from)
	})
}

// clear removes what was left behind.
func (r *relocation) clear(t *shard.Turn, from *site) {
	p := r.p
	r.help(t, func() error {
		if r.empty || from.Fenced() != nil {
			return nil
		}
		return log.Left(from.Dir, p.dir, p.name.Topic, log.Leaving)
	}, func(t *shard.Turn, err error) {
		if err != nil {
			p.set.options.Log.Warn("what was left of a partition is removed by the next start", "partition", p.dir, "in", from.Name, "err", err)
			from.doubt(t, err)
		}
		r.over(t, true)
		if p.leaving && p.state == opening && p.log != nil && p.log.Closed() {
			p.left(t, nil)
		}
	})
}

// reopen opens a partition again whose log was closed, in the directory where it lies by now. Those who wait go on waiting for it, in their order.
func (s *Set) reopen(t *shard.Turn, p *Partition, at *site) *Partition {
	s.options.Folders.handOn(p.dir, p.name, at.Directory, p.log.RecoveryPoint())
	s.leave(p)
	q := &Partition{own: shard.Own(t), set: s, site: at, name: p.name, dir: p.dir, epoch: p.epoch, since: p.since, config: p.config}
	q.held, p.held = p.held, asks{}
	if stalled, asked := p.takeStalled(), p.takeAsked(); len(stalled)+len(asked) > 0 {
		q.lobby = &lobby{stalled: stalled, asked: asked}
	}
	s.enter(q)
	t.Help(&openJob{p: q, dir: at.Dir, folders: s.options.Folders, name: q.dir, topic: q.name.Topic, config: q.config.log, now: t.Now().Wall,
		sync: q.config.Durability == config.DurabilityFsync})
	p.wake(t, 1<<62)
	return q
}
