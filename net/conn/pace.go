package conn

import "pinion/engine/shard"

// pace tells connections on which somebody waits for answers from those of clients that only say, now and then, that they are alive. News of
// those is looked at together with the news of others like them, a little later (shard.Turn.Slow), until they say something else.
type pace struct {
	calm uint8 // requests in a row that nobody waits for, up to calmMin
	this bool  // the one being begun is such
	slow bool
}

// calmMin is how many such requests make a connection slow. Whatever a client says next may come a little late; nobody who asks for
// something every few seconds shall meet that.
const calmMin = 4

// Calm says that nobody waits for the answer to the request. The handler calls it before it returns.
func (r *Request) Calm() { r.conn.pace.this = true }

func (p *pace) begin() { p.this = false }

// settlePace follows the request that was just begun.
func (c *Conn) settlePace(t *shard.Turn) {
	p := &c.pace
	switch {
	case !p.this:
		p.calm = 0
	case p.calm < calmMin:
		p.calm++
	}
	if slow := p.calm == calmMin; slow != p.slow && !c.closed {
		p.slow = slow
		t.Slow(c.fd, c.handle, slow)
	}
}
