package api

import (
	"time"

	"pinion/engine/model"
	"pinion/engine/shard"
)

// What a poll leaves with its connection: the next one mostly asks the same again, with what it was given this time behind it. An owner that had
// nothing goes on waiting, so that the next poll finds its waiter, or what it answered meanwhile, and need not have the one taken back and another
// left. Spans that were sent stay lent until they can go home with the next ask. Each of these ways between two shards that is not gone may have
// woken a thread.
//
// What is left is given up if it does not fit the next poll, or none comes in time.

// spentFor is how long spans that were sent stay lent, waiting for the next poll. They hold their segments open.
const spentFor = 20 * time.Millisecond

// keep leaves a leg whose call is over with the connection, or sends it home.
func (l *fetchLeg) keep(t *shard.Turn, c *client) {
	if last := c.unkeep(t, l.ask.Owner); last != nil {
		last.abandon(t)
	}
	until := l.until // a waiter waits no longer than the poll would have that left it
	switch {
	case l.state == legWaiting || l.state == legLate:
	case l.state == legHeld && l.ask.Owner != t.Shard() && l.leased():
		l.state, until = legSpent, t.Now().Mono.Add(spentFor)
	default:
		until = t.Now().Mono
	}
	if until <= t.Now().Mono || !l.desk.parked.Reserve(l.size()) {
		l.abandon(t)
		return
	}
	l.call, l.client = nil, c
	l.next, c.kept = c.kept, l
	t.Arm(&l.timer, until.Sub(t.Now().Mono), l)
}

// size is about how many bytes of memory the leg takes.
func (l *fetchLeg) size() int64 { return int64(len(l.ask.Parts)) * fetchPartBytes }

// unkeep takes the leg of an owner from the connection, or nil.
func (c *client) unkeep(t *shard.Turn, owner model.ShardID) *fetchLeg {
	for at := &c.kept; *at != nil; at = &(*at).next {
		if l := *at; l.ask.Owner == owner {
			*at, l.next, l.client = l.next, nil, nil
			t.Disarm(&l.timer)
			l.desk.parked.Return(t, l.size())
			return l
		}
	}
	return nil
}

// giveUp sends home all that the last poll left.
func (c *client) giveUp(t *shard.Turn) {
	for c.kept != nil {
		c.unkeep(t, c.kept.ask.Owner).abandon(t)
	}
}

// Fire ends the keeping: no poll came.
func (l *fetchLeg) Fire(t *shard.Turn, _ *shard.Timer) { l.client.unkeep(t, l.ask.Owner).abandon(t) }

// takeUp goes on from what the connection's last poll left.
func (c *fetchCall) takeUp(t *shard.Turn) {
	client := c.client
	for client.kept != nil {
		owner := client.kept.ask.Owner
		kept, leg := client.unkeep(t, owner), c.legs[owner]
		switch {
		case leg == nil:
			kept.abandon(t)
		case kept.serves(leg):
			if kept.state == legLate {
				kept.state = legHeld
			}
			kept.call, c.legs[owner] = c, kept
			c.desk.freeLeg(leg)
		case kept.state == legWaiting:
			kept.abandon(t)
		default:
			leg.back, leg.ask.Back = kept, &kept.ask
		}
	}
}

// serves reports whether what a kept leg asked for is what the leg of a new call would ask for.
func (l *fetchLeg) serves(leg *fetchLeg) bool {
	c := leg.call
	if l.state == legSpent || l.failed || !c.wait || c.bytesMin != 1 {
		return false
	}
	a, b := &l.ask, &leg.ask
	if a.BytesMin != 1 || a.BytesMax != c.bytesMax || a.To != b.To || a.Committed != b.Committed || len(a.Parts) != len(b.Parts) {
		return false
	}
	for i := range a.Parts {
		if a.Parts[i].FetchWant != b.Parts[i].FetchWant {
			return false
		}
	}
	return true
}
