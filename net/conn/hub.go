package conn

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/must"
	"pinion/engine/shard"
	"pinion/engine/slab"
	"pinion/net/kafka/wire"
	"pinion/net/listen"
)

// Handler serves requests. It runs on the home shard and must end every request with Done, DoneSilent or Close.
type Handler interface {
	// Admit gives a new connection what the handler keeps for it.
	Admit(t *shard.Turn, c *Conn) Attachment
	// Release takes what belongs to this shard out of the attachment of a connection that leaves it, and Adopt, of another shard's handler, takes
	// it in where the connection arrives.
	Release(t *shard.Turn, a Attachment)
	Adopt(t *shard.Turn, a Attachment)
	Handle(t *shard.Turn, r *Request)
	// Generation changes when requests begun from now on must not overlap those begun before.
	Generation() uint64
}

// Attachment is what a handler keeps for one connection.
type Attachment interface {
	Closed(t *shard.Turn)
	// Still reports whether nothing is under way for the connection.
	Still() bool
}

// Endpoint is one listener as the hub knows it.
type Endpoint struct {
	Name       string // listener name, such as PLAINTEXT
	Advertised string // NAME://host:port, for messages
	FD         int    // this shard's listening socket
	Core       bool   // the port of this shard alone, which clients see as a broker
}

// Options are what every hub of a node shares.
type Options struct {
	RequestBytesMax int           // socket.request.max.bytes
	RequestBudget   int64         // bytes of requests per shard, frames up to 1 MiB
	ResponseBudget  int64         // bytes of response memory per shard; spans of the log do not count
	IdleMax         time.Duration // connections.max.idle.ms; negative = never
	StallMax        time.Duration // how long a peer may take nothing of what is sent, or send next to nothing of a frame; 0 = 30 s
	Limits          *listen.Limits
	Crowd           *Crowd // nil: connections stay where they were accepted
	ConnectionsRoom int    // connections the node has descriptors for, those of its files left aside; 0 = not known
	AdminURL        string
	Log             *slog.Logger
}

// Hub is the connections of one shard.
type Hub struct {
	own shard.Owner

	// Immutable after NewHub.
	options Options
	handler Handler
	shard   model.ShardID

	// Owned by the shard.
	pool      *slab.Pool
	small     slab.Budget
	large     slab.Budget
	last      slab.Budget // what one connection may have beyond small
	favoured  *Conn       // that one, for comparison alone: it may be gone
	response  slab.Budget
	step      slab.Budget // what one cold read may have beyond response
	arrival   *slab.Block // where bytes are received first
	arrivalAt int
	conns     []*Conn // each knows its place
	looks     looks
	flushing  []*Conn
	spare     *listen.Spare
	hush      listen.Hush
	doors     []*door
	freeReqs  *Request
	pieces    [][]piece // lists of pieces that no connection uses
	vectors   [][]byte  // of the gathering write under way
	writer    Writer    // of the response being queued; kept here because a reply takes it by an interface, which would allocate it
	rejects   [listen.KindCount]uint64
	fled      clock.Mono // when a connection was last given away
	draining  bool
	relief    shard.Timer // armed while connections wait for memory
	stats     Stats
}

// Stats are a hub's counters. Requests are counted by the place of their key in wire.Keys.
type Stats struct {
	Connections int
	Accepted    uint64
	// Refused by max.connections, by max.connections.per.ip, and for want of a descriptor.
	RefusedTotal, RefusedPerIP, RefusedExhausted uint64
	Closed                                       uint64
	Moved                                        uint64 // to another shard
	BytesIn                                      uint64
	BytesOut                                     uint64
	Sendfile                                     uint64 // of BytesOut, by sendfile
	Mapped                                       uint64 // of BytesOut, straight from a mapped segment
	Copied                                       uint64 // of BytesOut, record bytes through a buffer (cold)
	ColdReads                                    uint64
	// Time of a request from its last byte read to its answer queued; that of a fetch includes its waiting.
	ProduceTimes, FetchTimes shard.Times
	Requests                 [len(wire.Keys)]uint64
	Malformed                uint64
	Muted                    uint64        // connections whose clients had used more than they may
	MutedFor                 time.Duration // in all
	Rejects                  [listen.KindCount]uint64
	Budgets                  [BudgetCount]BudgetStats
}

// BudgetStats is one memory budget in bytes.
type BudgetStats struct{ Limit, Used, Peak int64 }

// The budgets of a hub, in the order of Stats.Budgets.
const (
	BudgetRequest = iota
	BudgetLargeRequest
	BudgetResponse
	BudgetCount
)

// BudgetNames are the label values of the budgets.
var BudgetNames = [BudgetCount]string{"request", "large-request", "response"}

const (
	arrivalBytes = 256 << 10 // one receive takes at most this much, which also bounds a connection's share of a turn
	arrivalLeast = 32 << 10  // less room than this and a fresh block is taken
	smallFrame   = 1 << 20
	poolKeep     = 32 << 20
)

// NewHub makes the hub of the shard that runs the turn.
func NewHub(t *shard.Turn, options Options, handler Handler) *Hub {
	if options.StallMax == 0 {
		options.StallMax = stallMax
	}
	h := &Hub{own: shard.Own(t), options: options, handler: handler, shard: t.Shard()}
	h.looks.hub = h
	h.pool = slab.NewPool(t, poolKeep)
	h.small.Limit = max(options.RequestBudget, 4*smallFrame)
	h.large.Limit = int64(options.RequestBytesMax)
	h.last.Limit = 2 * smallFrame // a frame, and what has come of it until it moves there
	h.response.Limit = max(options.ResponseBudget, smallFrame)
	h.step.Limit = coldStep
	if spare, err := listen.OpenSpare(); err == nil {
		h.spare = spare
	}
	if options.Crowd != nil {
		options.Crowd.places[h.shard].hub.Store(h)
	}
	return h
}

// Listen starts accepting on one of the shard's sockets.
func (h *Hub) Listen(t *shard.Turn, e Endpoint) error {
	h.own.Check(t)
	d := &door{hub: h, endpoint: e}
	handle, err := t.Watch(e.FD, d)
	if err != nil {
		return err
	}
	d.handle = handle
	h.doors = append(h.doors, d)
	return nil
}

// Stats copies the counters.
func (h *Hub) Stats(t *shard.Turn) Stats {
	h.own.Check(t)
	st := h.stats
	st.Connections = len(h.conns)
	st.Rejects = h.rejects
	for i, b := range []*slab.Budget{&h.small, &h.large, &h.response} {
		st.Budgets[i] = BudgetStats{Limit: b.Limit, Used: b.Used(), Peak: b.Peak()}
	}
	return st
}

// Drain stops accepting and reading; requests already begun are answered. done runs on the shard when the last connection is
// closed.
func (h *Hub) Drain(t *shard.Turn) {
	h.own.Check(t)
	h.draining = true
	for _, d := range h.doors {
		d.close(t)
	}
	h.doors = nil
	h.each(func(c *Conn) { c.closeIfDone(t) })
}

// Drained reports whether no connection is left.
func (h *Hub) Drained(t *shard.Turn) bool {
	h.own.Check(t)
	return len(h.conns) == 0
}

// CloseAll closes every connection at once, answered or not.
func (h *Hub) CloseAll(t *shard.Turn) {
	h.each(func(c *Conn) { c.Close(t) })
}

// each calls f, which may close its connection, with every one.
func (h *Hub) each(f func(c *Conn)) {
	for i := len(h.conns) - 1; i >= 0; i-- {
		f(h.conns[i])
	}
}

// forget takes a closed connection off the list.
func (h *Hub) forget(c *Conn) {
	last := len(h.conns) - 1
	moved := h.conns[last]
	h.conns[c.at], moved.at = moved, c.at
	h.conns[last] = nil
	h.conns = h.conns[:last]
	h.counted()
}

// counted tells the other hubs how many connections are here.
func (h *Hub) counted() {
	if crowd := h.options.Crowd; crowd != nil {
		crowd.places[h.shard].count.Store(int32(len(h.conns)))
	}
}

// EndTurn sends what the turn produced, one gathering write or sendfile run per connection.
func (h *Hub) EndTurn(t *shard.Turn) bool {
	if len(h.flushing) == 0 {
		return false
	}
	more := false
	for i := 0; i < len(h.flushing); i++ {
		c := h.flushing[i]
		h.flushing[i] = nil
		c.queued = false
		if c.endTurn(t) {
			more = true
		}
	}
	h.flushing = h.flushing[:0]
	return more
}

// room returns at least one byte of the shared block to receive into, or nil when the budget is spent.
func (h *Hub) room(t *shard.Turn) []byte {
	if h.arrival != nil && h.arrivalAt+arrivalLeast > len(h.arrival.Bytes()) {
		h.arrival.Release(t)
		h.arrival = nil
	}
	if h.arrival == nil {
		if h.arrival = h.pool.Take(t, arrivalBytes, &h.small); h.arrival == nil {
			return nil
		}
		h.arrivalAt = 0
	}
	return h.arrival.Bytes()[h.arrivalAt:]
}

// door is one listening socket.
type door struct {
	hub      *Hub
	endpoint Endpoint
	handle   shard.Handle
	pause    shard.Timer
	closed   bool
}

// acceptsPerTurn keeps a storm of connects from holding up a turn: accept costs about 20 us.
const acceptsPerTurn = 16

// Ready accepts what waits.
func (d *door) Ready(t *shard.Turn, _ uint32) { d.accept(t) }

// Fire ends a pause.
func (d *door) Fire(t *shard.Turn, _ *shard.Timer) { d.accept(t) }

func (d *door) accept(t *shard.Turn) {
	h := d.hub
	if d.closed || d.pause.Armed() {
		return
	}
	for range acceptsPerTurn {
		if hold := h.options.Limits.Hold(t.Now().Mono); hold > 0 {
			t.Arm(&d.pause, hold, d)
			return
		}
		fd, peer, err := listen.Accept(d.endpoint.FD)
		if err == nil {
			h.options.Limits.Rate.Add(t.Now().Mono)
		}
		switch {
		case err == nil && h.crowded():
			_ = unix.Close(fd)
			d.turnAway(t, peer)
		case err == nil:
			h.adopt(t, d, fd, peer)
		case errors.Is(err, listen.ErrNone):
			return
		case errors.Is(err, listen.ErrExhausted):
			d.shed(t)
			return
		default:
			h.options.Log.Error("accept", "listener", d.endpoint.Name, "err", err)
			t.Arm(&d.pause, listen.Pause, d)
			return
		}
	}
	if d.pause.Armed() {
		return // clients are being turned away
	}
	// More may wait; the descriptor is edge triggered and will not say so again.
	t.Arm(&d.pause, 0, d)
}

// crowded reports that the descriptors left are for files: clients must not be able to take a partition's log from it.
func (h *Hub) crowded() bool {
	room := h.options.ConnectionsRoom
	return room > 0 && h.options.Limits.Open() >= room
}

// shed turns one client away when descriptors have run out, and leaves the others in the kernel's queue for a while.
func (d *door) shed(t *shard.Turn) {
	var peer netip.AddrPort
	if d.hub.spare != nil {
		peer, _ = d.hub.spare.Shed(d.endpoint.FD)
	}
	d.turnAway(t, peer)
}

// turnAway counts and tells of a client without a descriptor; peer is invalid if none left the queue.
func (d *door) turnAway(t *shard.Turn, peer netip.AddrPort) {
	h := d.hub
	h.stats.RefusedExhausted++
	if peer.IsValid() && h.hush.Say(peer.Addr(), listen.Unknown, t.Now().Mono) {
		h.options.Log.Warn("out of file descriptors: connection turned away; raise LimitNOFILE or lower max.connections", "peer", peer,
			"connections", h.options.Limits.Open())
	}
	t.Arm(&d.pause, listen.Pause, d)
}

func (d *door) close(t *shard.Turn) {
	if d.closed {
		return
	}
	d.closed = true
	t.Disarm(&d.pause)
	t.Unwatch(d.endpoint.FD, d.handle)
	// Shutting the socket down, not closing it: the descriptor belongs to the Listener.
	_ = unix.Shutdown(d.endpoint.FD, unix.SHUT_RD)
}

func (h *Hub) takeRequest() *Request {
	r := h.freeReqs
	if r == nil {
		return &Request{}
	}
	h.freeReqs = r.next
	*r = Request{}
	return r
}

func (h *Hub) freeRequest(r *Request) {
	if must.Deep && r.block != nil {
		must.Failf("request freed with its body still borrowed")
	}
	*r = Request{next: h.freeReqs}
	h.freeReqs = r
}
