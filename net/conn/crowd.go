package conn

import (
	"sync/atomic"
	"time"

	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// Crowd is the hubs of a node. Connections are dealt to them evenly, and move between them later: one that asks another shard for everything goes there,
// where its requests need no mail and wake nobody; from a shard that is busy to one that is not any may go. A connection moves between two requests,
// with nothing read, asked or unsent, so that whoever talks to it sees nothing of it.
type Crowd struct {
	shards *shard.Set
	places []place
}

// place is one shard's hub, for the others.
type place struct {
	hub   atomic.Pointer[Hub] // nil until it is there
	count atomic.Int32        // of its connections; a gauge
	_     [48]byte            // a cache line each
}

// NewCrowd makes room for a hub on each shard.
func NewCrowd(shards *shard.Set) *Crowd {
	return &Crowd{shards: shards, places: make([]place, shards.Len())}
}

const (
	// leanAfter is how long a connection has asked one other shard alone before it goes there: then that shard's share of work is one that these
	// requests are part of.
	leanAfter = 200 * time.Millisecond
	// leanAsks is how many asks that are, at least.
	leanAsks = 4
	// A shard takes connections while it works less than roomShare of its time, and gives some away, one each fleeEvery, above fullShare.
	roomShare = 0.4
	fullShare = 0.75
	// evenShare is what measured shares of two shards that work alike differ by.
	evenShare = 0.2
	fleeEvery = 100 * time.Millisecond
	// fleeStay is for how long one that was given away does not come back.
	fleeStay = 5 * time.Second
)

// lean is where a connection's asks go.
type lean struct {
	to    model.ShardID
	asks  int
	since clock.Mono // of the first of them
	stay  clock.Mono // it moves nowhere before
}

// Asking notes which shard a request of the connection is sent on to.
func (c *Conn) Asking(t *shard.Turn, to model.ShardID) {
	l := &c.lean
	if l.asks == 0 || to != l.to {
		l.to, l.asks, l.since = to, 0, t.Now().Mono
	}
	l.asks++
}

// still reports whether the connection owes nothing and nothing of it is under way.
func (c *Conn) still() bool {
	return c.inFlight == 0 && c.stalls == 0 && c.out.empty() && !c.out.cold && len(c.rest.bytes) == 0 && c.frame.block == nil && c.frame.earlyN == 0 &&
		!c.queued && !c.looking && !c.parched && !c.closed && !c.doomed && !c.eof && !c.hub.draining && c.attachment.Still()
}

// roam moves the connection where it is better off, if there is such a place and it is still.
func (c *Conn) roam(t *shard.Turn) {
	l, h := &c.lean, c.hub
	crowd := h.options.Crowd
	if l.asks < leanAsks || crowd == nil || c.endpoint.Core {
		return
	}
	now := t.Now().Mono
	if now < l.stay || now.Sub(l.since) < leanAfter || !c.still() {
		return
	}
	home, to := t.Shard(), l.to
	l.asks = 0 // looked at again later; behind leave it is another shard's
	if to != home {
		if crowd.room(home, to) {
			c.leave(t, crowd.places[to].hub.Load())
		}
		return
	}
	if now.Sub(h.fled) < fleeEvery || crowd.shards.Shard(home).Busy() < fullShare {
		return
	}
	for i := range crowd.places {
		if to := model.ShardID(i); to != home && crowd.shards.Shard(to).Busy() < roomShare && crowd.places[to].hub.Load() != nil {
			h.fled, l.stay = now, now.Add(fleeStay)
			c.leave(t, crowd.places[to].hub.Load())
			return
		}
	}
}

// room reports whether a shard takes one more connection of another: not where it works too much, unless the other works no less, nor where far more are
// than there.
func (w *Crowd) room(from, to model.ShardID) bool {
	own, there := w.places[from].count.Load(), w.places[to].count.Load()
	if w.places[to].hub.Load() == nil || there >= own+max(3, (own+there)/16) {
		return false
	}
	return w.shards.Shard(to).Busy() <= max(roomShare, w.shards.Shard(from).Busy()+evenShare)
}

// moving is mail: a connection on its way to another hub.
type moving struct {
	shard.Letter
	conn *Conn
	to   *Hub
}

func (c *Conn) leave(t *shard.Turn, to *Hub) {
	h := c.hub
	t.Unwatch(c.fd, c.handle)
	h.forget(c)
	c.watched = false
	h.stats.Moved++
	h.handler.Release(t, c.attachment)
	t.Ask(to.shard, &moving{conn: c, to: to})
}

// Deliver takes the connection in. What it has sent meanwhile is told when it is watched.
func (m *moving) Deliver(t *shard.Turn) {
	c, h := m.conn, m.to
	c.own, c.hub, c.out.hub = shard.Own(t), h, h
	c.readable, c.writable = false, true
	h.handler.Adopt(t, c.attachment)
	h.enroll(t, c)
	handle, err := t.Watch(c.fd, c)
	if err != nil {
		h.options.Log.Error("watch connection", "peer", c.peer, "err", err)
		c.Close(t)
		return
	}
	c.handle, c.watched = handle, true
	if c.pace.slow {
		t.Slow(c.fd, handle, true)
	}
	c.closeIfDone(t) // where the hub was drained meanwhile
}
