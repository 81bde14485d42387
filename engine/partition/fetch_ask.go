package partition

import (
	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// FetchPart is one partition of a fetch ask.
type FetchPart struct {
	// Set by the home shard.
	Partition   model.Partition
	Slot        int32 // place in the client's request
	From        model.Offset
	BytesMax    int32
	Epoch       model.Epoch // current leader epoch the client knows, or NoEpoch (KIP-320)
	LastFetched model.Epoch // epoch of the client's last record, or NoEpoch (KIP-595)

	// Set by the owner.
	Code        Code
	High        model.Offset
	Stable      model.Offset
	LogStart    model.Offset
	LeaderEpoch model.Epoch
	Diverging   bool // the client's log left ours: DivergeEpoch and DivergeEnd say where
	DivergeAt   model.Epoch
	DivergeEnd  model.Offset
	Offline     bool // the partition takes no appends any more: what is there is all that will be, and a poll must not wait for more
	Leased      bool // Span is on loan
	Span        log.Span

	// Set by the home shard before the span is given back.
	Spoiled   bool // it could not be read,
	SpoiledAt int  // from this of its bytes on

	// Owned by the owner while the ask waits there.
	ask        *FetchAsk
	log        *log.Log // that lent the span
	prev, next *FetchPart
	queue      *waiters // that it waits in
}

// FetchAsk is mail: sent by the home shard of a poll, run by the shard that owns the partitions, answered by FetchReply. The
// answer carries spans on loan (given back by Release) or, if nothing is there and Wait was set, leaves a one-shot waiter with
// the owner, which ends in Fired or, after Cancel, in Cancelled.
type FetchAsk struct {
	shard.Letter
	fire   fetchFire
	cancel fetchCancel

	// Set by the home shard.
	Home      model.ShardID
	Owner     model.ShardID
	To        *Set
	Caller    FetchCaller
	Parts     []FetchPart
	BytesMax  int64
	BytesMin  int64 // a waiter fires when this many bytes came in
	Committed bool  // read_committed: stop at the last stable offset (KIP-98)
	Wait      bool

	// Set by the owner.
	Bytes      int64 // in all spans
	Registered bool  // a waiter stays with the owner

	// Owned by the owner.
	got     int64
	pending int  // preparations under way
	loans   int  // segments it may take leases on besides
	broke   bool // there were none when it came
}

// FetchCaller is told, on the home shard, what became of its ask.
type FetchCaller interface {
	Fetched(t *shard.Turn, ask *FetchAsk)
	Fired(t *shard.Turn, ask *FetchAsk)
	Cancelled(t *shard.Turn, ask *FetchAsk)
	Released(t *shard.Turn, ask *FetchAsk)
}

// Deliver hands the ask to the owner.
func (a *FetchAsk) Deliver(t *shard.Turn) { a.To.fetch(t, a) }

// FetchReply is the ask on its way home.
type FetchReply FetchAsk

// Deliver tells the caller.
func (r *FetchReply) Deliver(t *shard.Turn) {
	a := (*FetchAsk)(r)
	a.Caller.Fetched(t, a)
}

// Release is the ask on its way to the owner to give its spans back; it comes home as Released.
type Release FetchAsk

// Deliver returns the leases and sends the ask home.
func (r *Release) Deliver(t *shard.Turn) {
	a := (*FetchAsk)(r)
	a.To.release(t, a)
	t.Reply(a.Home, (*released)(a))
}

type released FetchAsk

// Deliver tells the caller that the ask is free.
func (r *released) Deliver(t *shard.Turn) {
	a := (*FetchAsk)(r)
	a.Caller.Released(t, a)
}

// fetchFire is mail from the owner: what was waited for came.
type fetchFire struct {
	shard.Letter
	ask *FetchAsk
}

// Deliver tells the caller.
func (f *fetchFire) Deliver(t *shard.Turn) { f.ask.Caller.Fired(t, f.ask) }

// Cancel asks the owner to forget the waiter. Cancelled always follows, after a Fired that may have crossed it.
func (a *FetchAsk) Cancel(t *shard.Turn) {
	a.cancel.ask = a
	t.Ask(a.Owner, &a.cancel)
}

// fetchCancel is mail to the owner and back.
type fetchCancel struct {
	shard.Letter
	ask  *FetchAsk
	home bool
}

// Deliver removes the waiter at the owner, then tells the caller at home.
func (c *fetchCancel) Deliver(t *shard.Turn) {
	if c.home {
		c.home = false
		c.ask.Caller.Cancelled(t, c.ask)
		return
	}
	c.ask.To.forget(c.ask)
	c.home = true
	t.Reply(c.ask.Home, c)
}
