package shard

import (
	"runtime"
	"sync/atomic"
	"time"

	"pinion/engine/blocking"
	"pinion/engine/model"
	"pinion/engine/must"
)

// Paper is mail that goes to a Clerk first and comes home when the clerk is done with it. While it is away the shard must not touch it.
type Paper interface {
	Mail
	// Home is the shard that handed it in.
	Home() model.ShardID
}

// Clerk is one helper of its own, for work that many shards have and that is cheaper done together: while it is at it more gathers,
// which is the next batch. Handing in never waits.
type Clerk struct {
	set  *Set
	lane lane
	rest func(took time.Duration) time.Duration
	// bell is quiet, rung, or asleep when the clerk sleeps until it rings. A channel would do the same by way of the runtime, whose
	// scheduler has to find the clerk a thread and wakes others to look for work: this wakes one thread. Its exchanges order with lane
	// and ended.
	bell  atomic.Uint32
	ended atomic.Bool
	done  chan struct{}

	// In a Manual set, in place of the goroutine.
	manual   *Manual
	together func(papers []Paper) (home []Paper)
	papers   []Paper
	away     bool // a round is under way or waits to be taken
	again    bool // the bell rang meanwhile
}

// NewClerk starts a helper that calls together with what has gathered, at least once for every paper handed in or Ring. What together
// does not return stays with it; what it returns goes home. rest says how long the clerk lets things gather after that, which took so long.
func (set *Set) NewClerk(together func(papers []Paper) (home []Paper), rest func(took time.Duration) time.Duration) *Clerk {
	c := &Clerk{set: set, done: make(chan struct{}), together: together, rest: rest}
	if c.manual = set.shards[0].manual; c.manual == nil {
		go c.run()
	}
	return c
}

// Hand gives a paper to the clerk.
func (t *Turn) Hand(c *Clerk, p Paper) {
	c.lane.push(p)
	c.Ring()
}

// Ring has the clerk look again. Any thread may call it.
func (c *Clerk) Ring() {
	if c.manual != nil {
		if c.again = c.away; !c.away {
			c.away = true
			c.manual.jobs = append(c.manual.jobs, errand{job: &round{clerk: c}})
		}
		return
	}
	if c.bell.Swap(rung) == asleep {
		futexWake(&c.bell)
	}
}

const (
	quiet uint32 = iota
	rung
	asleep
)

// listen sleeps until the bell has rung since it was last called.
func (c *Clerk) listen() {
	for c.bell.Swap(quiet) != rung {
		if c.bell.CompareAndSwap(quiet, asleep) {
			futexWait(&c.bell, asleep)
		}
	}
}

// Stop ends the clerk after what it is at and waits for it. Papers that are still in its inbox stay there.
func (c *Clerk) Stop() {
	if c.manual != nil {
		return
	}
	c.ended.Store(true)
	c.Ring()
	<-c.done
}

func (c *Clerk) run() {
	defer close(c.done)
	now := c.set.shards[0].clock.Now
	for c.listen(); !c.ended.Load(); c.listen() {
		began := now().Mono
		c.goHome(c.together(c.gather()))
		if d := c.rest(now().Mono.Sub(began)); d > 0 {
			blocking.Sleep(d)
		}
		// Who is never scheduled loses its processor in the first system call after 10 ms, and the monitor then looks every 20 us for a while.
		runtime.Gosched()
	}
}

// gather empties the inbox.
func (c *Clerk) gather() []Paper {
	c.papers = c.papers[:0]
	for l := c.lane.take(); l != nil; {
		next, body := l.next, l.body
		l.next, l.body = nil, nil
		c.papers = append(c.papers, body.(Paper))
		l = next
	}
	return c.papers
}

func (c *Clerk) goHome(papers []Paper) {
	for _, p := range papers {
		c.set.shards[p.Home()].Post(p)
	}
}

// round is a clerk's turn in a Manual set: a job like any other, one at a time.
type round struct {
	Letter
	clerk *Clerk
	home  []Paper
}

// Run does what has gathered.
func (r *round) Run() { r.home = r.clerk.together(r.clerk.gather()) }

// Deliver is never called: a round has no home, its papers do.
func (r *round) Deliver(*Turn) { must.Failf("a clerk's round was delivered") }

// end brings the papers on their way and begins the next round if the bell has rung.
func (r *round) end() {
	c := r.clerk
	c.goHome(r.home)
	c.away = false
	if c.again {
		c.again = false
		c.Ring()
	}
}
