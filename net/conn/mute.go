package conn

import (
	"time"

	"pinion/engine/clock"
	"pinion/engine/shard"
)

// mute keeps a connection from beginning requests for a time: its client has used more than it may, and has been told (KIP-219). What was begun
// before is answered.
type mute struct {
	timer shard.Timer
	conn  *Conn
	until clock.Mono
}

// Mute begins no other request of the connection for a while, from now on. Of several the longest counts.
func (r *Request) Mute(t *shard.Turn, d time.Duration) {
	c := r.conn
	r.held = max(r.held, d)
	if d <= 0 || c.closed {
		return
	}
	until := t.Now().Mono.Add(d)
	if c.mute == nil {
		c.mute = &mute{conn: c}
		c.stalls++
		c.hub.stats.Muted++
	}
	if m := c.mute; until > m.until {
		c.hub.stats.MutedFor += until.Sub(max(m.until, t.Now().Mono))
		m.until = until
		t.Arm(&m.timer, d, m)
	}
}

// Held is for how long the request has muted its connection.
func (r *Request) Held() time.Duration { return r.held }

// Fire lets the connection go on.
func (m *mute) Fire(t *shard.Turn, _ *shard.Timer) {
	c := m.conn
	c.mute = nil
	c.stalls--
	if c.closed {
		return
	}
	if c.frame.since != 0 {
		c.frame.since = t.Now().Mono // nothing was read of it meanwhile, and that was not its sender's doing
	}
	c.heard = t.Now().Mono
	if c.stalls == 0 {
		c.nextTurn(t)
	}
}

// unmute forgets a mute of a connection that closes.
func (c *Conn) unmute(t *shard.Turn) {
	if c.mute != nil {
		t.Disarm(&c.mute.timer)
		c.mute = nil
		c.stalls--
	}
}
