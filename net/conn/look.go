package conn

import (
	"time"

	"pinion/engine/shard"
)

// Connections are looked at now and then: idle too long, not reading, or sending too slowly. One timer of the hub goes through all of them: with
// one each, ten thousand that do nothing woke their shard two thousand times a second.

// lookStep is how many connections are looked at in one turn, about 50 us; lookPace lies between two such turns.
const (
	lookStep = 512
	lookPace = time.Millisecond
)

// looks is the hub's round.
type looks struct {
	hub   *Hub
	timer shard.Timer
	next  int // of hub.conns: those before it are still to be looked at; 0 between two rounds
}

// begin arms the timer, if it is not.
func (l *looks) begin(t *shard.Turn) {
	if !l.timer.Armed() {
		t.Arm(&l.timer, l.hub.lookEvery(), l)
	}
}

// Fire looks at some, from the last to the first: what closes meanwhile gives its place to one that was looked at already.
func (l *looks) Fire(t *shard.Turn, _ *shard.Timer) {
	h := l.hub
	if l.next == 0 {
		l.next = len(h.conns)
	}
	for steps := lookStep; steps > 0 && l.next > 0; steps-- {
		l.next = min(l.next, len(h.conns)) - 1
		if l.next >= 0 {
			h.conns[l.next].lookAt(t)
		}
	}
	l.next = max(l.next, 0)
	switch {
	case l.next > 0:
		t.Arm(&l.timer, lookPace, l)
	case len(h.conns) > 0:
		l.begin(t)
	}
}

// lookEvery is the time between two rounds.
func (h *Hub) lookEvery() time.Duration {
	d := min(lookEvery, h.options.StallMax/4)
	if idle := h.options.IdleMax; idle >= 0 {
		d = min(d, max(idle/2, idleLookMinimum))
	}
	return d
}

// lookAt closes the connection where it is to be closed.
func (c *Conn) lookAt(t *shard.Turn) {
	now := t.Now().Mono
	switch {
	case !c.writable && c.out.stuck(now, c.hub.options.StallMax):
		c.hub.options.Log.Info("connection closed: the peer does not read", "peer", c.peer, "unsent", c.out.bytes)
		c.Close(t)
	case c.mute == nil && !(c.parched && c.frame.block == nil) && c.frame.slow(now, c.hub.options.StallMax, frameRateMin):
		c.hub.options.Log.Info("connection closed: a request arrives too slowly", "peer", c.peer, "received", c.frame.got, "of", c.frame.want)
		c.Close(t)
	case c.hub.options.IdleMax >= 0 && c.mute == nil && c.inFlight == 0 && c.out.empty() && now.Sub(c.heard) >= c.hub.options.IdleMax:
		c.Close(t)
	}
}
