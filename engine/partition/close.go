package partition

import (
	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// Closed is what a clean stop leaves of one partition.
type Closed struct {
	Name     model.Partition
	Dir      string
	Recovery model.Offset // everything below is synced and indexed
	Start    model.Offset // where DeleteRecords moved the log's start; 0: nowhere
}

// Points are the recovery points of what was closed.
func Points(closed []Closed) map[model.Partition]model.Offset {
	points := make(map[model.Partition]model.Offset, len(closed))
	for _, c := range closed {
		points[c.Name] = c.Recovery
	}
	return points
}

// Close stops taking appends, writes producers and indexes, syncs every log, and calls done on the shard with what is now
// safe to skip at the next start. It is the shard's last work before it stops.
func (s *Set) Close(t *shard.Turn, done func(t *shard.Turn, closed []Closed)) {
	s.own.Check(t)
	s.closing = true
	t.Disarm(&s.careTimer)
	s.closeAll(t, done)
}

// closeAll closes every log once none is being recovered or handed over: their helpers work in folders that the next process will.
func (s *Set) closeAll(t *shard.Turn, done func(t *shard.Turn, closed []Closed)) {
	for _, p := range s.all {
		if p.state == opening || p.leaving {
			s.later(t, func(t *shard.Turn) { s.closeAll(t, done) })
			return
		}
	}
	left := 1
	var closed []Closed
	finish := func(t *shard.Turn) {
		if left--; left == 0 {
			done(t, closed)
		}
	}
	for _, p := range s.all {
		if p.state == failed {
			closed = append(closed, p.asLeft())
		}
		if p.state != open {
			continue
		}
		p.closing = true
		left++
		p.close(t, func(t *shard.Turn, err error) {
			if err == nil {
				closed = append(closed, p.asLeft())
			}
			finish(t)
		})
	}
	finish(t)
}

// asLeft is what the next start may go by. A log that could not be opened, or has failed, keeps the point it had: without one, damage below would
// look like the end of the log.
func (p *Partition) asLeft() Closed {
	c := Closed{Name: p.name, Dir: p.dir, Recovery: p.found}
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
	p.watchCompaction(t)
	p.endCleaning(t)
	if p.caring > 0 || p.staged.first != nil || p.awaitsJournal() {
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
			p.set.scribe.forget(t, p)
		}
		done(t, err)
	})
}

// awaitsJournal reports whether acknowledgements are about to be sent: who closes waits for them, so that no producer has to ask again.
func (p *Partition) awaitsJournal() bool {
	return p.fsync() && p.state == open && p.acks.count > 0 && p.set.options.Fence.Err() == nil
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
