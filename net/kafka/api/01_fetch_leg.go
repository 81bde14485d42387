package api

import (
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
)

// fetchLeg is one owner's part of a poll: its ask, and where that is. It outlives its call: a waiter has to be cancelled and spans
// have to be given back before the ask may be used again.
//
//	idle -> asked -> held -> (spans) releasing -> idle
//	           \-> registered -> fired: idle | cancelling -> idle
type fetchLeg struct {
	ask   partition.FetchAsk
	call  *fetchCall // nil once the call is over
	desk  *Desk
	state legState
	next  *fetchLeg
}

type legState uint8

const (
	legIdle       legState = iota
	legAsked               // with the owner
	legHeld                // answered; may hold spans
	legRegistered          // answered; the owner keeps a waiter
	legCancelling          // the waiter is being taken back
	legReleasing           // the spans are on their way
)

func (d *Desk) takeLeg(t *shard.Turn, c *fetchCall, owner model.ShardID, set *partition.Set) *fetchLeg {
	leg := d.legs
	if leg == nil {
		leg = &fetchLeg{desk: d}
	} else {
		d.legs, leg.next = leg.next, nil
	}
	leg.call = c
	a := &leg.ask
	a.Home, a.Owner, a.To, a.Caller, a.Committed = t.Shard(), owner, set, leg, c.isolated
	return leg
}

func (d *Desk) freeLeg(leg *fetchLeg) {
	if cap(leg.ask.Parts) > keepParts {
		return
	}
	clear(leg.ask.Parts)
	leg.ask.Parts = leg.ask.Parts[:0]
	leg.ask.Bytes = 0
	leg.call, leg.state = nil, legIdle
	leg.next, d.legs = d.legs, leg
}

func (l *fetchLeg) post(t *shard.Turn, wait bool, bytesMin int64) {
	l.state = legAsked
	l.ask.Wait, l.ask.BytesMin, l.ask.BytesMax = wait, bytesMin, l.call.bytesMax
	t.Expect(1)
	l.call.request.Conn().Asking(t, l.ask.Owner)
	t.Ask(l.ask.Owner, &l.ask)
}

// failed reports an answer that ends a poll at once.
func (l *fetchLeg) failed() bool {
	for i := range l.ask.Parts {
		if p := &l.ask.Parts[i]; p.Code != partition.OK || p.Diverging || p.Offline {
			return true
		}
	}
	return false
}

// Fetched takes the owner's answer home.
func (l *fetchLeg) Fetched(t *shard.Turn, ask *partition.FetchAsk) {
	t.Expect(-1)
	l.state = legHeld
	if ask.Registered {
		l.state = legRegistered
	}
	if l.call == nil {
		l.abandon(t)
		return
	}
	l.call.home(t)
}

// takeBack brings the leg to idle; it reports whether that takes mail, after which the call is told.
func (l *fetchLeg) takeBack(t *shard.Turn) bool {
	switch l.state {
	case legRegistered:
		l.state = legCancelling
		l.ask.Cancel(t)
		return true
	case legHeld:
		if l.leased() {
			l.state = legReleasing
			t.Ask(l.ask.Owner, (*partition.Release)(&l.ask))
			return true
		}
		l.state = legIdle
	}
	return false
}

func (l *fetchLeg) leased() bool {
	for i := range l.ask.Parts {
		if l.ask.Parts[i].Leased {
			return true
		}
	}
	return false
}

// Fired is told that the waiter's bytes came: ask again, for all there is.
func (l *fetchLeg) Fired(t *shard.Turn, _ *partition.FetchAsk) {
	if l.state == legCancelling {
		return // Cancelled follows
	}
	l.state = legIdle
	c := l.call
	if c == nil {
		l.free()
		return
	}
	if c.over || c.away > 0 {
		return // the end of the call frees it, or the end of the round under way sees that it must be asked again
	}
	c.away = 1
	l.post(t, c.wait && t.Now().Mono < c.deadline, l.need(c))
}

// need is how many bytes this owner may have at most before the whole can be enough without anyone being told: the waiters of
// all owners together must want less than one byte each beyond what the poll wants.
func (l *fetchLeg) need(c *fetchCall) int64 {
	n := c.bytesMin - 1
	for _, leg := range c.legs {
		if leg == nil {
			continue
		}
		n++
		if leg != l {
			n -= leg.ask.BytesMin
		}
	}
	return max(1, n)
}

// Cancelled is told that the waiter is gone.
func (l *fetchLeg) Cancelled(t *shard.Turn, _ *partition.FetchAsk) { l.arrived(t) }

// Released is told that the spans are back with their owner.
func (l *fetchLeg) Released(t *shard.Turn, _ *partition.FetchAsk) { l.arrived(t) }

func (l *fetchLeg) arrived(t *shard.Turn) {
	l.state = legIdle
	if l.call == nil {
		l.free()
		return
	}
	l.call.recalled(t)
}

// abandon sends a leg home whose call is over; it frees itself when it is there.
func (l *fetchLeg) abandon(t *shard.Turn) {
	l.call = nil
	if !l.away() && !l.takeBack(t) {
		l.free()
	}
}

// away reports whether the ask is with its owner, so that nobody here may look at it.
func (l *fetchLeg) away() bool {
	return l.state == legAsked || l.state == legCancelling || l.state == legReleasing
}

func (l *fetchLeg) free() { l.desk.freeLeg(l) }
