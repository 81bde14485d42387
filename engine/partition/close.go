package partition

import (
	"pinion/disk/log"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// Closed is what a clean stop leaves of one partition.
type Closed struct {
	Name     model.Partition
	In       *logdir.Directory
	Dir      string
	Recovery model.Offset // everything below is synced and indexed
	Start    model.Offset // where DeleteRecords moved the log's start; 0: nowhere
}

// Points are the recovery points of what was closed in a directory.
func Points(closed []Closed, in *logdir.Directory) map[model.Partition]model.Offset {
	points := make(map[model.Partition]model.Offset, len(closed))
	for _, c := range closed {
		if c.In == in {
			points[c.Name] = c.Recovery
		}
	}
	return points
}

// asLeft is what the next start may go by. A log that could not be opened, or has failed, keeps the point it had: without one, damage below would
// look like the end of the log.
func (p *Partition) asLeft() Closed {
	c := Closed{Name: p.name, In: p.site.Directory, Dir: p.dir, Recovery: p.found}
	if p.log != nil {
		c.Recovery, c.Start = p.log.RecoveryPoint(), p.log.StoredStart()
	}
	return c
}

// close waits for work that is away and for this turn's write, then syncs.
func (p *Partition) close(t *shard.Turn, done func(t *shard.Turn, err error)) {
	if p.state == dropped {
		done(t, log.ErrClosed)
		return
	}
	if !p.still(t) {
		p.set.later(t, func(t *shard.Turn) { p.close(t, done) })
		return
	}
	p.refuse(t, NotLeader)
	if job := p.newSnapshot(); job != nil {
		t.Help(job)
		p.set.later(t, func(t *shard.Turn) { p.close(t, done) })
		return
	}
	work := p.log.Close()
	if work == nil {
		p.set.later(t, func(t *shard.Turn) { p.close(t, done) })
		return
	}
	p.helpBulk(t, work, func(t *shard.Turn, err error) {
		if err == nil {
			p.site.scribe.forget(t, p)
		}
		done(t, err)
	})
}

// still reports whether nothing of the log is away. Compaction is told to come home.
func (p *Partition) still(t *shard.Turn) bool {
	p.watchCompaction(t)
	p.endCleaning(t)
	return p.caring == 0 && p.staged.first == nil && !p.awaitsJournal()
}

// awaitsJournal reports whether acknowledgements are about to be sent: who closes waits for them, so that no producer has to ask again.
func (p *Partition) awaitsJournal() bool {
	return p.fsync() && p.state == open && !p.acks.empty() && p.site.Fenced() == nil
}

// RecoveryPoints lists what need not be read again at the next start.
func (s *Set) RecoveryPoints(t *shard.Turn) []Closed {
	s.own.Check(t)
	var points []Closed
	for _, p := range s.all {
		if c := p.asLeft(); c.Recovery > 0 && p.state != dropped {
			points = append(points, c)
		}
	}
	return points
}

// retry is local mail that runs a step of closing again in the next turn.
type retry struct {
	shard.Letter
	step func(t *shard.Turn)
}

// Run gives helpers time to come home.
func (*retry) Run() {}

// Deliver takes the step.
func (r *retry) Deliver(t *shard.Turn) { r.step(t) }

func (s *Set) later(t *shard.Turn, step func(t *shard.Turn)) { t.Help(&retry{step: step}) }
