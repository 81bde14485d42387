package conn

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"pinion/engine/clock"
	"pinion/engine/shard"
	"pinion/engine/slab"
	"pinion/net/kafka/wire"
	"pinion/net/listen"
)

// rest is received bytes that no request has begun with, in a block they borrow.
type rest struct {
	block *slab.Block
	bytes []byte
}

func (r *rest) drop(t *shard.Turn) {
	if r.block != nil {
		r.block.Release(t)
	}
	*r = rest{}
}

// partial is a frame that is still arriving, in a block of its own. Before the length and key are known it is a few bytes.
type partial struct {
	early  [peekBytes]byte
	earlyN int
	block  *slab.Block
	want   int // bytes of the frame, length field included; 0 = not known yet
	room   int // bytes of it the block is for: proofBytes at first, unless more is there already
	got    int
	since  clock.Mono
}

// peekBytes is what must be there before a frame is accepted: length, key and version.
const peekBytes = 8

func (p *partial) drop(t *shard.Turn) {
	if p.block != nil {
		p.block.Release(t)
	}
	*p = partial{}
}

// slow reports a frame that would take forever: a sender of a byte a second must not hold memory. It may take limit however slow it is,
// then rate bytes a second must have come.
func (p *partial) slow(now clock.Mono, limit time.Duration, rate float64) bool {
	got := p.got + p.earlyN
	if got == 0 || p.block != nil && p.got == p.room {
		return false // none is arriving, or all there is room for has, and waits for memory or for those before it
	}
	age := now.Sub(p.since)
	return age > limit && float64(got) < age.Seconds()*rate
}

// advance begins requests and receives bytes as far as the rules allow. It reports whether a request was begun.
func (c *Conn) advance(t *shard.Turn) bool {
	began := c.begin(t)
	if c.closed || c.doomed || c.hub.draining || !c.readable || c.parched || len(c.rest.bytes) > 0 {
		return began
	}
	if !c.receive(t) || c.closed {
		return began
	}
	if c.begin(t) {
		began = true
	}
	if !c.closed && !c.doomed && c.readable && len(c.rest.bytes) == 0 && !c.parched {
		c.nextTurn(t)
	}
	return began
}

// receive takes what the socket has, once, and leaves it in rest. It reports whether there is something new to begin with.
func (c *Conn) receive(t *shard.Turn) bool {
	h := c.hub
	room, own := h.room(t), c.frame.missing()
	if room == nil && len(own) == 0 { // else a frame that has its memory arrives: it is what gives some back
		c.thirst(t, &h.small)
		return false
	}
	n, err := receive(c.fd, own, room) // the frame's remainder first, then whatever follows it: one call for both
	switch {
	case err == unix.EAGAIN:
		c.readable = false
		return false
	case err == unix.EINTR:
		return true
	case err != nil || n <= 0:
		c.readable, c.eof = false, true
		if err != nil {
			c.Close(t)
			return false
		}
		c.closeIfDone(t)
		return false
	}
	c.heard = t.Now().Mono
	h.stats.BytesIn += uint64(n)
	if n < len(own)+len(room) && !c.ended {
		c.readable = false // a short read empties the socket; the next bytes announce themselves, and so does the end unless it has
	}
	if len(own) > 0 {
		took := min(n, len(own))
		c.frame.got += took
		n -= took
	}
	if n > 0 {
		h.arrival.Retain()
		c.rest = rest{block: h.arrival, bytes: room[:n:n]}
		h.arrivalAt += n
	}
	return true
}

// missing is where the rest of a frame under way belongs.
func (p *partial) missing() []byte {
	if p.block == nil {
		return nil
	}
	return p.block.Bytes()[p.got:p.room]
}

// begin starts the requests that are there and may start.
func (c *Conn) begin(t *shard.Turn) bool {
	began := false
	for !c.closed && !c.doomed && !c.hub.draining && c.stalls == 0 && c.inFlight < inFlightMax && c.out.bytes < unsentMax {
		frame, block := c.whole(t)
		if frame == nil {
			break
		}
		key := int16(binary.BigEndian.Uint16(frame))
		generation := c.hub.handler.Generation()
		if c.inFlight > 0 && (key != wire.KeyProduce || c.others > 0 || generation != c.generation) {
			break
		}
		if c.hub.pressed() && !c.light(key, len(frame)) {
			c.thirst(t, &c.hub.response)
			break
		}
		c.generation = generation
		c.consume(t, len(frame)+4)
		c.start(t, frame, block)
		began = true
	}
	return began
}

// whole returns the next complete frame, without its length field, and the block it lies in; nil if there is none yet.
func (c *Conn) whole(t *shard.Turn) ([]byte, *slab.Block) {
	if p := &c.frame; p.block != nil {
		if p.got == p.room && p.room < p.want {
			c.house(t, p.want, p.want)
		}
		if p.got < p.want {
			return nil, nil
		}
		return p.block.Bytes()[4:p.want], p.block
	}
	if c.frame.earlyN > 0 || len(c.rest.bytes) < peekBytes {
		c.collect()
		if c.frame.earlyN < peekBytes {
			if c.possible(t) {
				c.startClock(t)
			}
			return nil, nil
		}
	}
	head := c.rest.bytes
	if c.frame.earlyN > 0 {
		head = c.frame.early[:c.frame.earlyN]
	}
	size := int(int32(binary.BigEndian.Uint32(head)))
	if !c.acceptable(t, head, size) {
		return nil, nil
	}
	if c.frame.earlyN == 0 && len(c.rest.bytes) >= size+4 {
		return c.rest.bytes[4 : size+4], c.rest.block
	}
	if !c.move(t, size+4) {
		return nil, nil
	}
	if c.frame.got < c.frame.want {
		return nil, nil
	}
	return c.frame.block.Bytes()[4:c.frame.want], c.frame.block
}

// collect keeps a frame's first bytes when too few came to know what it is.
func (c *Conn) collect() {
	p := &c.frame
	n := copy(p.early[p.earlyN:], c.rest.bytes)
	p.earlyN += n
	c.rest.bytes = c.rest.bytes[n:]
}

func (c *Conn) startClock(t *shard.Turn) {
	if len(c.rest.bytes) == 0 {
		c.rest.drop(t)
	}
	if c.frame.earlyN > 0 && c.frame.since == 0 {
		c.frame.since = t.Now().Mono
	}
}

// proofBytes is how much of a frame must have come before all of it is reserved: claiming a large one costs nothing, sending does.
const proofBytes = 32 << 10

// move gives a frame that is not whole a block of its own, if the budget allows.
func (c *Conn) move(t *shard.Turn, want int) bool {
	room := want
	if c.frame.earlyN+len(c.rest.bytes) < proofBytes {
		room = min(want, proofBytes)
	}
	return c.house(t, want, room)
}

// house takes a block for the first room bytes of a frame and moves there what has come of it.
func (c *Conn) house(t *shard.Turn, want, room int) bool {
	h, p := c.hub, &c.frame
	budget := &h.small
	if room > smallFrame {
		budget = &h.large
	}
	block := h.pool.Take(t, room, budget)
	if block == nil && budget == &h.small {
		if budget = &h.last; h.favours(c) {
			block = h.pool.Take(t, room, budget)
		}
	}
	if block == nil {
		c.thirst(t, budget)
		return false
	}
	c.slake(t)
	n := 0
	if p.block != nil {
		n = copy(block.Bytes(), p.block.Bytes()[:p.got])
		p.block.Release(t)
	} else {
		n = copy(block.Bytes(), p.early[:p.earlyN])
	}
	taken := copy(block.Bytes()[n:room], c.rest.bytes)
	*p = partial{block: block, want: want, room: room, got: n + taken, since: t.Now().Mono} // the wait for memory does not count
	c.rest.bytes = c.rest.bytes[taken:]
	if len(c.rest.bytes) == 0 {
		c.rest.drop(t)
	}
	return true
}

// consume takes the frame that whole returned out of the input; its block stays with the request.
func (c *Conn) consume(t *shard.Turn, n int) {
	if c.frame.block != nil {
		c.frame = partial{} // the request takes over the reference
		return
	}
	block := c.rest.block
	c.rest.bytes = c.rest.bytes[n:]
	if len(c.rest.bytes) == 0 {
		c.rest = rest{} // the request takes over the reference
		return
	}
	block.Retain()
}

// possible checks a frame's length as soon as it is known, when the key is not: a peer that is no Kafka client may send nothing else.
func (c *Conn) possible(t *shard.Turn) bool {
	if c.frame.earlyN < 4 {
		return true
	}
	head := c.frame.early[:4]
	size := int(int32(binary.BigEndian.Uint32(head)))
	if size >= peekBytes-4 && size <= c.hub.options.RequestBytesMax {
		return true
	}
	c.reject(t, head, size)
	return false
}

// acceptable checks a frame's length before anything is reserved for it, and closes the connection if it cannot be Kafka's.
func (c *Conn) acceptable(t *shard.Turn, head []byte, size int) bool {
	key := int16(binary.BigEndian.Uint16(head[4:]))
	if size >= peekBytes-4 && size <= wire.FrameBytesMax(key, c.hub.options.RequestBytesMax) {
		return true
	}
	c.reject(t, head, size)
	return false
}

// reject tells whoever can be told and ends the connection.
func (c *Conn) reject(t *shard.Turn, head []byte, size int) {
	h := c.hub
	kind := listen.Sniff(head[:4])
	if kind == listen.Kafka && size <= h.options.RequestBytesMax {
		h.stats.Malformed++
	}
	h.rejects[kind]++
	if c.Complain(t, kind) {
		h.options.Log.Warn(listen.Explain(kind, head[:4], c.peer.String(), c.endpoint.Advertised, "", h.options.RequestBytesMax))
	}
	if c.inFlight > 0 || !c.out.empty() {
		c.doom(t)
		return
	}
	if kind == listen.HTTP {
		// Best effort: a fresh socket takes these few bytes at once or never.
		_, _ = unix.Write(c.fd, listen.HTTP400(h.options.AdminURL))
		c.swallow()
	}
	c.Close(t)
}

// swallow reads what the peer has sent so far: closing with unread bytes would reset the connection and take our answer with it.
func (c *Conn) swallow() {
	var junk [4096]byte
	for range 16 {
		if n, err := unix.Read(c.fd, junk[:]); err != nil || n < len(junk) {
			return
		}
	}
}
