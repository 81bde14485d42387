package conn

import (
	"time"

	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/must"
	"pinion/engine/shard"
	"pinion/engine/slab"
	"pinion/net/kafka/wire"
	"pinion/net/listen"
)

// Request is one request being served. Its body is on loan from the block it arrived in until FreeBody.
type Request struct {
	wire.Header

	conn  *Conn
	block *slab.Block
	reply Reply
	done  bool
	ends  bool // it is not answered, and nothing behind it
	began clock.Mono
	size  int           // bytes of the frame, without its length
	held  time.Duration // for how long its client was told to wait
	owed  int64         // charged to the response budget for a reply on the heap
	next  *Request      // begun after it on its connection; or in the hub's free list
}

// Reply is a response that is ready. Exactly one of Emit and Drop is called, in request order; after Emit, Sent or Drop follows
// when the last byte has left or never will.
type Reply interface {
	Emit(t *shard.Turn, w *Writer)
	Sent(t *shard.Turn)
	Drop(t *shard.Turn)
}

// Spoiled is a Reply that wants to know which of its spans could not be read, and from which of its bytes on. Drop follows: a frame that was
// begun cannot be completed.
type Spoiled interface {
	Spoil(span log.Span, at int)
}

// start begins a request with a frame.
func (c *Conn) start(t *shard.Turn, frame []byte, block *slab.Block) {
	h := c.hub
	r := h.takeRequest()
	r.conn, r.block, r.began, r.size = c, block, t.Now().Mono, len(frame)
	if c.last == nil {
		c.first = r
	} else {
		c.last.next = r
	}
	c.last = r
	c.inFlight++
	header, err := wire.ParseHeader(frame)
	if err != nil {
		h.stats.Malformed++
		// Kafka, too, closes the connection on a key or version it does not know (SocketServer).
		if c.Complain(t, listen.Unserved) {
			h.options.Log.Info("connection closed: request header", "peer", c.peer, "key", header.Key, "version", header.Version, "err", err)
		}
		r.Close(t)
		return
	}
	r.Header = header
	if header.Key != wire.KeyProduce {
		c.others++
	}
	h.stats.Requests[placeOf[header.Key]]++
	c.pace.begin()
	h.handler.Handle(t, r)
	c.settlePace(t)
}

// placeOf finds a key's place in wire.Keys.
var placeOf = func() (places [256]uint8) {
	for i := range wire.Keys {
		places[wire.Keys[i].Key] = uint8(i)
	}
	return places
}()

// Conn is the connection the request came by.
func (r *Request) Conn() *Conn { return r.conn }

// Size is how many bytes the request came in, without its length.
func (r *Request) Size() int { return r.size }

// Listener is the endpoint the client connected to.
func (r *Request) Listener() Endpoint { return *r.conn.endpoint }

// AtCore reports whether the client connected to the port of this shard alone.
func (r *Request) AtCore() bool { return r.conn.endpoint.Core }

// Principal is who asks. Without authentication everyone is Kafka's anonymous user.
func (r *Request) Principal() string { return "User:ANONYMOUS" }

// FreeBody ends the loan of the frame early; the request's views into it are void from here on.
func (r *Request) FreeBody(t *shard.Turn) {
	if r.block != nil {
		r.block.Release(t)
		r.block = nil
		r.Body, r.ClientID = nil, nil
	}
}

// Done hands over the response. It leaves when every earlier request of the connection is answered.
func (r *Request) Done(t *shard.Turn, reply Reply) {
	if r.done {
		must.Failf("request %d answered twice", r.Correlation)
	}
	r.FreeBody(t)
	r.reply, r.done = reply, true
	c := r.conn
	if c.closed {
		r.drop(t)
		return
	}
	c.enqueue()
}

// Owe charges the shard's response memory for what a request keeps on the heap: until its answer is written or, if that is lent, has
// left. It never refuses: the memory is in use already. Call it before Done.
func (r *Request) Owe(bytes int) {
	r.conn.hub.response.Force(int64(bytes))
	r.owed += int64(bytes)
}

// settle takes back what a request owed and did not lend.
func (h *Hub) settle(t *shard.Turn, owed int64) {
	if owed > 0 {
		h.response.Return(t, owed)
	}
}

// DoneSilent ends a request that gets no response (Produce with acks=0).
func (r *Request) DoneSilent(t *shard.Turn) { r.Done(t, nil) }

// Close ends the request without an answer, and the connection behind what was begun before it.
func (r *Request) Close(t *shard.Turn) {
	r.FreeBody(t)
	r.reply, r.done = nil, true
	c := r.conn
	if c.closed {
		r.drop(t)
		return
	}
	if c.first == r && c.out.empty() {
		c.Close(t)
		return
	}
	r.ends = true
	c.doom(t)
}

// Stall keeps the connection from beginning another request until Resume: order would be lost otherwise.
func (r *Request) Stall() { r.conn.stalls++ }

// Resume ends a Stall.
func (r *Request) Resume(t *shard.Turn) {
	c := r.conn
	c.stalls--
	if c.stalls == 0 && !c.closed {
		c.nextTurn(t)
	}
}

// Overlaps counts the requests of the connection begun before r and not yet answered.
func (r *Request) Overlaps() int { return r.conn.inFlight - 1 }

// drop ends a request of a closed connection.
func (r *Request) drop(t *shard.Turn) {
	if r.reply != nil {
		r.reply.Drop(t)
	}
	r.conn.hub.settle(t, r.owed)
	r.conn.hub.freeRequest(r)
}

func (st *Stats) answered(key int16, took time.Duration) {
	switch key {
	case wire.KeyProduce:
		st.ProduceTimes.Observe(took)
	case wire.KeyFetch:
		st.FetchTimes.Observe(took)
	}
}

// timed reports whether the time of requests of a key is counted.
func timed(key int16) bool { return key == wire.KeyProduce || key == wire.KeyFetch }

// emit moves finished replies, in order, into the output.
func (c *Conn) emit(t *shard.Turn) {
	if c.first == nil || !c.first.done || c.first.ends {
		return
	}
	now := t.Now().Mono
	if timed(c.first.Key) { // the clock is read for them alone; a produce is followed by none but produces
		now = t.Read().Mono
	}
	for c.first != nil && c.first.done && !c.first.ends {
		r := c.first
		c.first, r.next = r.next, nil
		if c.first == nil {
			c.last = nil
		}
		c.inFlight--
		if r.Key != wire.KeyProduce {
			c.others--
		}
		c.heard = now
		c.hub.stats.answered(r.Key, now.Sub(r.began))
		w := &c.hub.writer
		*w = Writer{conn: c, owed: r.owed}
		if r.reply != nil {
			r.reply.Emit(t, w)
			c.out.end(r.reply)
		}
		c.hub.settle(t, w.owed)
		c.hub.freeRequest(r)
	}
}
