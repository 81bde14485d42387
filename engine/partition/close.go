package partition

import (
	"pinion/engine/model"
	"pinion/engine/shard"
)

// Closed is what a clean stop leaves of one partition.
type Closed struct {
	Dir      string
	Recovery model.Offset // everything below is synced and indexed
	Start    model.Offset // where DeleteRecords moved the log's start; 0: nowhere
}

// Close stops taking appends, writes producers and indexes, syncs every log, and calls done on the shard with what is now
// safe to skip at the next start. It is the shard's last work before it stops.
func (s *Set) Close(t *shard.Turn, done func(t *shard.Turn, closed []Closed)) {
	s.own.Check(t)
	s.closing = true
	t.Disarm(&s.careTimer)
	left := 1
	var closed []Closed
	finish := func(t *shard.Turn) {
		if left--; left == 0 {
			done(t, closed)
		}
	}
	for _, p := range s.byName {
		if p.state != open {
			continue
		}
		if p.leaving {
			left++
			s.awaitLeft(t, p, finish)
			continue
		}
		p.closing = true
		left++
		p.close(t, func(t *shard.Turn, err error) {
			if err == nil {
				closed = append(closed, Closed{Dir: p.dir, Recovery: p.log.RecoveryPoint(), Start: p.log.StoredStart()})
			}
			finish(t)
		})
	}
	finish(t)
}

// awaitLeft waits until a partition that is being handed over has closed its log; where it goes on is with Folders then.
func (s *Set) awaitLeft(t *shard.Turn, p *Partition, done func(t *shard.Turn)) {
	if s.byName[p.name] != p || p.state != open {
		done(t)
		return
	}
	s.later(t, func(t *shard.Turn) { s.awaitLeft(t, p, done) })
}

// close waits for work that is away and for this turn's write, then syncs.
func (p *Partition) close(t *shard.Turn, done func(t *shard.Turn, err error)) {
	if p.caring > 0 || p.staged.first != nil {
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
	p.helpBulk(t, work, done)
}

// RecoveryPoints lists what need not be read again at the next start.
func (s *Set) RecoveryPoints(t *shard.Turn) []Closed {
	s.own.Check(t)
	var points []Closed
	for _, p := range s.byName {
		if p.state == open && p.log.RecoveryPoint() > 0 {
			points = append(points, Closed{Dir: p.dir, Recovery: p.log.RecoveryPoint()})
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
