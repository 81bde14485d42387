package conn

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"pinion/engine/clock"
	"pinion/engine/shard"
	"pinion/engine/slab"
	"pinion/net/listen"
)

// Conn is one client connection, owned by its home shard.
type Conn struct {
	own shard.Owner

	// Immutable after adopt.
	hub      *Hub
	id       listen.ConnID
	fd       int
	handle   shard.Handle
	peer     netip.AddrPort
	endpoint *Endpoint

	// Owned by the shard: reading.
	rest     rest // received and not yet begun
	frame    partial
	readable bool
	parched  bool // waits for the request budget
	ended    bool // the peer said that it is through; the socket may still hold bytes
	eof      bool // and they are read
	doomed   bool // it sent what ends a connection: nothing more is begun, and what came before is answered

	// Requests begun, in order.
	first    *Request // the oldest; each leads to the next
	last     *Request
	inFlight int
	others   int // of those, requests that are not produces: at most one, alone
	stalls   int // reasons not to begin another request
	mute     *mute
	pace     pace
	lean     lean
	// generation is the handler's when the requests in flight were begun.
	generation uint64
	attachment Attachment

	// Writing.
	out      output
	writable bool
	queued   bool // on the hub's list for the end of this turn
	looking  bool // next turn mail is under way

	closed  bool
	watched bool
	at      int32      // place in the hub's list
	heard   clock.Mono // last byte received or reply begun
	look    lookAgain
}

const (
	inFlightMax     = 32               // requests begun on one connection
	unsentMax       = 1 << 20          // bytes waiting in a connection's output beyond which it begins nothing
	stallMax        = 30 * time.Second // without progress: of a peer that does not read, or of a frame that does not arrive
	frameRateMin    = 1 << 10          // bytes a second a frame must arrive at, once it took longer than stallMax
	lookEvery       = 5 * time.Second  // how often a connection is looked at for stalls
	idleLookMinimum = 20 * time.Millisecond
)

// adopt makes a connection of an accepted socket, or closes it if a limit says so.
func (h *Hub) adopt(t *shard.Turn, d *door, fd int, peer netip.AddrPort) {
	id, verdict := h.options.Limits.Admit(peer.Addr())
	if verdict != listen.Admitted {
		unix.Close(fd)
		if verdict == listen.OverTotal {
			h.stats.RefusedTotal++
		} else {
			h.stats.RefusedPerIP++
		}
		return
	}
	c := &Conn{own: shard.Own(t), hub: h, id: id, fd: fd, peer: peer, endpoint: &d.endpoint, writable: true, heard: t.Now().Mono}
	c.look.conn, c.out.hub = c, h
	c.attachment = h.handler.Admit(t, c)
	handle, err := t.Watch(fd, c)
	if err != nil {
		h.options.Log.Error("watch connection", "peer", peer, "err", err)
		h.options.Limits.Leave(peer.Addr())
		unix.Close(fd)
		return
	}
	c.handle, c.watched = handle, true
	h.enroll(t, c)
	h.stats.Accepted++
}

// enroll puts a connection on the hub's list.
func (h *Hub) enroll(t *shard.Turn, c *Conn) {
	c.at = int32(len(h.conns))
	h.conns = append(h.conns, c)
	h.counted()
	h.looks.begin(t)
}

// Hub is the hub of the connection's shard.
func (c *Conn) Hub() *Hub { return c.hub }

// Attachment is what the handler keeps for the connection.
func (c *Conn) Attachment() Attachment { return c.attachment }

// Peer is the client's address.
func (c *Conn) Peer() netip.AddrPort { return c.peer }

// Complain reports whether a complaint about the peer is worth a line of the log: a client that does the same wrong thing over and over
// must not fill it.
func (c *Conn) Complain(t *shard.Turn, kind listen.Kind) bool {
	c.own.Check(t)
	return c.hub.hush.Say(c.peer.Addr(), kind, t.Now().Mono)
}

// Ready is told of the socket's readiness.
func (c *Conn) Ready(t *shard.Turn, events uint32) {
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.readable = true
		c.ended = c.ended || events&unix.EPOLLRDHUP != 0
	}
	if events&(unix.EPOLLOUT|unix.EPOLLERR) != 0 {
		if !c.out.empty() {
			if !c.writable {
				c.out.chill()
			}
			c.enqueue()
		}
		c.writable = true
	}
	c.advance(t)
	if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 && !c.closed && (!c.readable || len(c.rest.bytes) > 0 || c.parched || c.doomed) {
		// The peer is gone. Nothing would tell us again: a short read does not meet the error, and what keeps us from reading may be a
		// poll that lasts for minutes.
		c.Close(t)
	}
}

// enqueue puts the connection on the list for the end of this turn.
func (c *Conn) enqueue() {
	if !c.queued && !c.closed {
		c.queued = true
		c.hub.flushing = append(c.hub.flushing, c)
	}
}

// lookAgain is mail to the next turn: this connection has bytes left that no readiness will announce.
type lookAgain struct {
	shard.Letter
	conn *Conn
}

// Deliver goes on where the last turn stopped.
func (l *lookAgain) Deliver(t *shard.Turn) {
	c := l.conn
	c.looking = false
	if c.closed {
		return
	}
	if !c.out.empty() && c.writable {
		c.enqueue()
	}
	c.advance(t)
}

func (c *Conn) nextTurn(t *shard.Turn) {
	if !c.looking {
		c.looking = true
		t.NextTurn(&c.look)
	}
}

// Refill is told that request memory came back.
func (c *Conn) Refill(t *shard.Turn) {
	if c.parched && !c.closed {
		c.parched = false
		// Not now: whoever returned the memory is in the middle of something.
		c.nextTurn(t)
	}
}

// thirst makes the connection wait for memory.
func (c *Conn) thirst(t *shard.Turn, b *slab.Budget) {
	if !c.parched {
		c.parched = true
		b.Wait(c)
		c.hub.relieve(t)
	}
}

// slake ends the waiting for memory of a connection that has got some, or needs none any more.
func (c *Conn) slake(t *shard.Turn) {
	if !c.parched {
		return
	}
	c.parched = false
	for _, b := range c.hub.budgets() {
		b.Forget(c)
	}
	if !c.closed {
		c.nextTurn(t) // it may have waited for more than this
	}
}

// endTurn emits replies in order and writes. It reports whether that let new requests begin.
func (c *Conn) endTurn(t *shard.Turn) bool {
	if c.closed {
		return false
	}
	c.emit(t)
	c.write(t)
	if c.closed {
		return false
	}
	began := c.advance(t)
	c.closeIfDone(t)
	if !began && !c.closed {
		c.roam(t)
	}
	return began
}

// closeIfDone closes a connection that owes nothing.
func (c *Conn) closeIfDone(t *shard.Turn) {
	if c.closed || !c.out.empty() {
		return
	}
	if c.inFlight == 0 && (c.hub.draining || c.eof || c.doomed) || c.first != nil && c.first.ends {
		if c.doomed {
			c.swallow()
		}
		c.Close(t)
	}
}

// doom ends what the connection may say, and itself once it has heard what it was owed.
func (c *Conn) doom(t *shard.Turn) {
	c.doomed = true
	c.rest.drop(t)
	c.frame.drop(t)
	c.enqueue()
}

// Close ends the connection. Requests that are still being served end without an answer.
func (c *Conn) Close(t *shard.Turn) {
	c.own.Check(t)
	if c.closed {
		return
	}
	h := c.hub
	c.closed = true
	c.unmute(t)
	if c.watched {
		t.Unwatch(c.fd, c.handle)
	}
	unix.Close(c.fd)
	c.fd = -1
	c.slake(t)
	c.rest.drop(t)
	c.frame.drop(t)
	if !c.out.cold {
		c.out.drop(t) // else the helper that reads for it brings it home first
	}
	for r := c.first; r != nil; {
		next := r.next // which drop frees
		if r.done {
			r.drop(t)
		}
		r = next
	}
	c.first, c.last = nil, nil
	c.attachment.Closed(t)
	h.forget(c)
	h.options.Limits.Leave(c.peer.Addr())
	h.stats.Closed++
}
