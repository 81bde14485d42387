package api

import (
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
)

// fetchLeg is one owner's part of a poll: its ask, and where that is. It outlives its call: a waiter has to be cancelled and spans
// have to be given back before the ask may be used again, if it does not stay with the connection for its next poll.
//
//	idle -> asked -> held -> (spans) spent | releasing -> idle
//	           \-> waiting -> held | late | cancelling -> idle
type fetchLeg struct {
	ask    partition.FetchAsk
	call   *fetchCall // nil once the call is over
	desk   *Desk
	state  legState
	bytes  int64       // that the owner has, as it said last
	spins  bool        // the shard may poll for the answer
	failed bool        // it said something that ends a poll at once
	until  clock.Mono  // end of the poll that asked
	back   *fetchLeg   // its spans go home with the ask
	client *client     // that keeps it between two polls
	timer  shard.Timer // while it is kept
	next   *fetchLeg   // of those that are free, or kept by the client
}

type legState uint8

const (
	legIdle       legState = iota
	legAsked               // with the owner
	legHeld                // answered; may hold spans
	legWaiting             // with the owner until there is more, or it is taken back
	legLate                // answered after it waited, when the call had its answer or was over; may hold spans
	legSpent               // kept with spans that were sent
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
	leg.bytes, leg.failed = 0, false
	leg.call, leg.state = nil, legIdle
	leg.next, d.legs = d.legs, leg
}

func (l *fetchLeg) post(t *shard.Turn, wait bool, bytesMin int64) {
	l.state, l.until = legAsked, l.call.deadline
	l.ask.Wait, l.ask.BytesMin, l.ask.BytesMax = wait, bytesMin, l.call.bytesMax
	// Who wants one byte and has none has nothing to do for hearing that there is none here either.
	hurry := !wait || l.call.bytesMin != 1
	l.ask.Hurry.Store(hurry)
	if l.spins = hurry; hurry {
		t.Expect(1)
	}
	l.call.request.Conn().Asking(t, l.ask.Owner)
	t.Ask(l.ask.Owner, &l.ask)
}

// Fetched takes the owner's answer home, at once or after it waited.
func (l *fetchLeg) Fetched(t *shard.Turn, ask *partition.FetchAsk) {
	waited := l.state != legAsked
	switch {
	case !waited:
		l.answered(t)
	case l.state == legCancelling:
		return // Cancelled follows
	}
	l.state, l.bytes, l.failed = legHeld, ask.Bytes, ask.Refused()
	switch {
	case waited && l.client != nil:
		l.state = legLate
		t.Arm(&l.timer, spentFor, l)
	case waited && l.call.over:
		l.state = legLate
	default:
		l.told(t, waited)
	}
}

// Waiting is told that the owner has too little and keeps the ask until there is more.
func (l *fetchLeg) Waiting(t *shard.Turn, ask *partition.FetchAsk) {
	l.answered(t)
	l.state, l.bytes, l.failed = legWaiting, ask.Had, false
	l.told(t, false)
}

func (l *fetchLeg) answered(t *shard.Turn) {
	if l.spins {
		t.Expect(-1)
	}
}

// told goes on with what the owner says, which the call waits for unless it has waited.
func (l *fetchLeg) told(t *shard.Turn, waited bool) {
	if l.back != nil {
		l.back.state = legIdle
		l.back.free()
		l.back, l.ask.Back = nil, nil
	}
	c := l.call
	switch {
	case c == nil:
		l.abandon(t)
	case !waited:
		c.home(t)
	case c.away == 0:
		c.away = 1
		c.home(t)
	default:
		c.hurry() // the end of the round under way sees it
	}
}

// said is what the owner said of one of its partitions. Nobody here may look at the parts of an ask that waits with its owner, nor does an answer
// change that is on its way to the client.
func (l *fetchLeg) said(at int32) *partition.FetchFound {
	if l.state == legWaiting || l.state == legLate {
		return &l.ask.Short[at]
	}
	return &l.ask.Parts[at].FetchFound
}

// takeBack brings the leg to idle; it reports whether that takes mail, after which the call is told.
func (l *fetchLeg) takeBack(t *shard.Turn) bool {
	switch l.state {
	case legWaiting:
		l.state = legCancelling
		l.ask.Cancel(t)
		return true
	case legHeld, legLate, legSpent:
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
