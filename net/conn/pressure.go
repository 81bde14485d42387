package conn

import (
	"time"

	"pinion/engine/clock"
	"pinion/engine/shard"
	"pinion/engine/slab"
	"pinion/net/kafka/wire"
)

// Memory that peers hold by doing nothing: a frame of which no more arrives, a response that is not read. Both are bounded by the
// budgets, and both end after a while anyway. When somebody waits for that memory the while becomes short, or those who do nothing
// would decide when others are served.
//
// What cannot leave is charged to the response budget whether it lies in a block or on the heap. While that is spent, requests whose
// answers may be large wait.

const (
	// lightFrame is the size up to which a Produce or Fetch request has a small answer: records of a fetch are sent from the log and are
	// not response memory.
	lightFrame = 8 << 10

	reliefEvery   = 100 * time.Millisecond
	reliefAfter   = time.Second // of doing nothing, when others wait
	reliefRateMin = 64 << 10    // bytes a second a frame must arrive at by then
)

// pressed reports that response memory is spent.
func (h *Hub) pressed() bool { return h.response.Used() >= h.response.Limit }

// light reports that a request may begin although response memory is spent: its answer is small and nothing is before it.
func (c *Conn) light(key int16, bytes int) bool {
	return (key == wire.KeyProduce || key == wire.KeyFetch) && bytes <= lightFrame && c.inFlight == 0 && c.out.empty()
}

// relieve sees to it that those who wait for memory will get some.
func (h *Hub) relieve(t *shard.Turn) {
	if !h.relief.Armed() {
		t.Arm(&h.relief, reliefEvery, h)
	}
}

// Fire closes connections that hold what others wait for and do nothing with it.
func (h *Hub) Fire(t *shard.Turn, _ *shard.Timer) {
	w := wanted{h.small.Waiting()+h.last.Waiting() > 0, h.large.Waiting() > 0, h.response.Waiting()+h.step.Waiting() > 0}
	if w == (wanted{}) {
		return
	}
	closed, now := 0, t.Now().Mono
	h.each(func(c *Conn) {
		switch {
		case c.dawdles(now, w):
			c.Close(t)
			closed++
		case c.parched:
			c.nextTurn(t) // who waits for what is beyond a budget is not told of what comes back to that
		}
	})
	if closed > 0 {
		h.options.Log.Warn("connections closed: others wait for memory that they hold and do not use", "connections", closed)
	}
	for _, b := range h.budgets() {
		b.Return(t, 0) // it may have been the kernel that refused, which tells nobody when it has some
	}
	h.relieve(t)
}

// favours reports whether the connection may have of the last memory. All that frames up to smallFrame may take can be held by connections that wait
// for more of it, in what they have received and in frames of which little has come: nobody but them would give any back. So one at a time
// goes on whatever the others hold.
func (h *Hub) favours(c *Conn) bool {
	if h.last.Used() == 0 {
		h.favoured = c
	}
	return h.favoured == c
}

// budgets are all that connections wait for.
func (h *Hub) budgets() [5]*slab.Budget {
	return [...]*slab.Budget{&h.small, &h.last, &h.large, &h.response, &h.step}
}

// wanted says which budgets somebody waits for.
type wanted struct{ small, large, response bool }

// dawdles reports that the connection holds memory that is wanted and does nothing with it: its peer reads nothing, or sends no more of
// a frame. A peer that does not read may also keep request memory, in what it has sent already.
func (c *Conn) dawdles(now clock.Mono, w wanted) bool {
	if (w.response || w.small && c.rest.block != nil) && !c.writable && c.out.stuck(now, reliefAfter) {
		return true
	}
	large := c.frame.room > smallFrame
	return (w.large && large || w.small && !large) && c.frame.block != nil && !c.parched && c.frame.slow(now, reliefAfter, reliefRateMin)
}
