package partition

import (
	"errors"
	"time"

	"pinion/disk/log"
	"pinion/engine/logdir"
	"pinion/engine/shard"
)

// closing is the end of a set. Every log is brought to the form it is to have, by helpers, and synced: each by itself where few are dirty,
// otherwise all by one sync of the file system when the last is written. A log in which nothing is dirty and no space reserved costs nothing.
type closing struct {
	set    *Set
	done   func(t *shard.Turn, closed []Closed)
	left   int // logs under way and directories being synced, and one for closing itself
	closed []Closed
}

// Close stops taking appends, writes producers and indexes, makes every log durable, and calls done on the shard with what is now
// safe to skip at the next start. It is the shard's last work before it stops. What a start had not come to yet is left as it was found.
func (s *Set) Close(t *shard.Turn, done func(t *shard.Turn, closed []Closed)) {
	s.own.Check(t)
	s.closing = true
	t.Disarm(&s.careTimer)
	for _, p := range s.all {
		if p.relocation != nil {
			p.relocation.step(t)
		}
	}
	c := &closing{set: s, done: done, left: 1, closed: s.leaveWaiting(t)}
	c.begin(t)
}

// begin closes every log once none is being recovered or handed over: their helpers work in folders that the next process will.
func (c *closing) begin(t *shard.Turn) {
	s := c.set
	dirty, bytes := make([]int, len(s.sites)), make([]int64, len(s.sites))
	for _, p := range s.all {
		if p.state == opening || p.leaving {
			s.later(t, c.begin)
			return
		}
		if p.state == open && p.log.Dirty() {
			dirty[p.site.At]++
			bytes[p.site.At] += p.log.Unsynced()
		}
	}
	for i, at := range s.sites {
		at.closingTogether = s.together(dirty[i], bytes[i])
	}
	for _, p := range s.all {
		switch p.state {
		case failed:
			c.closed = append(c.closed, p.asLeft())
		case open:
			p.closing = true
			c.left++
			c.close(t, p)
		}
	}
	c.arrived(t)
}

// close waits for work that is away and for this turn's write, then has a helper write what is missing.
func (c *closing) close(t *shard.Turn, p *Partition) {
	if p.state == dropped {
		c.arrived(t)
		return
	}
	if !p.still(t) {
		c.set.later(t, func(t *shard.Turn) { c.close(t, p) })
		return
	}
	p.refuse(t, NotLeader)
	job := &closeJob{closing: c, p: p, dirty: p.log.Dirty(), work: p.log.Close()}
	if job.work == nil {
		c.set.later(t, func(t *shard.Turn) { c.close(t, p) })
		return
	}
	job.snapshot = p.newSnapshot()
	if job.snapshot == nil && job.work.Trivial() {
		job.work.Do()
		job.finish(t, nil)
		c.arrived(t)
		return
	}
	p.caring++
	t.HelpBulk(job)
}

// arrived counts a log that is as far as it gets alone, or a directory in which all of them are.
func (c *closing) arrived(t *shard.Turn) {
	if c.left--; c.left > 0 {
		return
	}
	for _, at := range c.set.sites {
		if jobs := at.written; len(jobs) > 0 {
			at.written = nil
			c.left++
			t.HelpBulk(&syncAllJob{in: at.Directory, then: func(t *shard.Turn, err error) { c.synced(t, jobs, err) }})
		}
	}
	if c.left == 0 {
		c.done(t, c.closed)
	}
}

// synced ends those that were written together.
func (c *closing) synced(t *shard.Turn, jobs []*closeJob, err error) {
	for _, j := range jobs {
		j.work.Synced(err)
		j.finish(t, err)
	}
	c.arrived(t)
}

// closeJob is the end of one log, on a helper.
type closeJob struct {
	shard.Letter
	closing  *closing
	p        *Partition
	dirty    bool         // a power cut could take something of it
	snapshot *snapshotJob // nil: the newest is of the end
	work     *log.Work
}

// Run writes what is missing, and syncs it unless all are synced together. Space that is given back, and an index entry that recovery makes as well, need
// no sync.
func (j *closeJob) Run() {
	if j.snapshot != nil {
		j.snapshot.together = j.p.site.closingTogether
		j.snapshot.Run()
	}
	switch {
	case !j.dirty:
		j.work.Write()
		j.work.Synced(nil)
	case j.p.site.closingTogether:
		j.work.Write()
	default:
		j.work.Do()
	}
}

// Deliver counts it, back on the owner.
func (j *closeJob) Deliver(t *shard.Turn) {
	j.p.caring--
	if j.snapshot != nil {
		j.snapshot.Deliver(t)
	}
	if j.dirty && j.p.site.closingTogether {
		j.p.site.written = append(j.p.site.written, j)
	} else {
		j.finish(t, nil)
	}
	j.closing.arrived(t)
}

// finish ends the log. What could not be written, or synced, keeps the recovery point it had.
func (j *closeJob) finish(t *shard.Turn, err error) {
	p := j.p
	err = errors.Join(err, p.log.Finish(j.work))
	if err == nil {
		p.site.scribe.forget(t, p)
	} else {
		p.set.options.Log.Error("log closed with an error", "partition", p.dir, "err", err)
		if p.log.Err() != nil && p.state == open {
			p.failDirectory(t, err)
		}
	}
	j.closing.closed = append(j.closing.closed, p.asLeft())
	p.buried(t) // its topic may have been deleted meanwhile
}

// syncAllJob makes everything in the log directory durable.
type syncAllJob struct {
	shard.Letter
	in   *logdir.Directory
	then func(t *shard.Turn, err error)
	busy bool // another shard is at it
	err  error
	wait shard.Timer
}

const syncAllRetry = time.Millisecond

// Run waits for the disk.
func (j *syncAllJob) Run() { j.busy, j.err = j.in.SyncAll() }

// Fire tries again.
func (j *syncAllJob) Fire(t *shard.Turn, _ *shard.Timer) { t.HelpBulk(j) }

// Deliver tells whoever waits.
func (j *syncAllJob) Deliver(t *shard.Turn) {
	if j.busy {
		t.Arm(&j.wait, syncAllRetry, j)
		return
	}
	j.then(t, j.err)
}
