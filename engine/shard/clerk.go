package shard

import (
	"pinion/engine/model"
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
	bell chan struct{} // holds one ring: whoever finds one there need not ring again
	end  chan struct{}
	done chan struct{}
}

// NewClerk starts a helper that calls together with what has gathered, at least once for every paper handed in or Ring. What together
// does not return stays with it; what it returns goes home. last is called when the clerk is stopped.
func (set *Set) NewClerk(together func(papers []Paper) (home []Paper), last func()) *Clerk {
	c := &Clerk{set: set, bell: make(chan struct{}, 1), end: make(chan struct{}), done: make(chan struct{})}
	go c.run(together, last)
	return c
}

// Hand gives a paper to the clerk.
func (t *Turn) Hand(c *Clerk, p Paper) {
	c.lane.push(p)
	c.Ring()
}

// Ring has the clerk look again. Any thread may call it.
func (c *Clerk) Ring() {
	select {
	case c.bell <- struct{}{}:
	default:
	}
}

// Stop ends the clerk after what it is at and waits for it. Papers that are still in its inbox stay there.
func (c *Clerk) Stop() {
	close(c.end)
	<-c.done
}

func (c *Clerk) run(together func([]Paper) []Paper, last func()) {
	defer close(c.done)
	var papers []Paper
	for {
		select {
		case <-c.bell:
		case <-c.end:
			last()
			return
		}
		papers = papers[:0]
		for l := c.lane.take(); l != nil; {
			next, body := l.next, l.body
			l.next, l.body = nil, nil
			papers = append(papers, body.(Paper))
			l = next
		}
		for _, p := range together(papers) {
			c.set.shards[p.Home()].Post(p)
		}
	}
}
