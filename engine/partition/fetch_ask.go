package partition

import (
	"sync/atomic"

	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// FetchPart is one partition of a fetch ask.
type FetchPart struct {
	FetchWant  // set by the home shard
	FetchFound // set by the owner

	// Set by the home shard before the span is given back.
	Spoiled   bool // it could not be read,
	SpoiledAt int  // from this of its bytes on

	// Owned by the owner while the ask waits there.
	ask        *FetchAsk
	log        *log.Log // that lent the span
	prev, next *FetchPart
	queue      *waiters // that it waits in
}

// FetchWant is what a poll wants of one partition.
type FetchWant struct {
	Partition   model.Partition
	From        model.Offset
	BytesMax    int32
	Epoch       model.Epoch // current leader epoch the client knows, or NoEpoch (KIP-320)
	LastFetched model.Epoch // epoch of the client's last record, or NoEpoch (KIP-595)
}

// FetchFound is what an owner says of one partition.
type FetchFound struct {
	Code        Code
	High        model.Offset
	Stable      model.Offset
	LogStart    model.Offset
	LeaderEpoch model.Epoch
	Since       uint64 // which time of this owner it is (see Set.Since)
	Diverging   bool   // the client's log left ours: DivergeEpoch and DivergeEnd say where
	DivergeAt   model.Epoch
	DivergeEnd  model.Offset
	Offline     bool // the partition takes no appends any more: what is there is all that will be, and a poll must not wait for more
	Nothing     bool // from there on there is nothing to be read, though the offset is below the mark: compaction has left a gap at the end
	Leased      bool // Span is on loan
	Span        log.Span
}

// FetchAsk is mail: sent by the home shard of a poll, run by the shard that owns the partitions, answered by FetchReply, which carries spans on
// loan (given back by Release). If too little is there and Wait was set, the ask stays with the owner as a waiter: home hears of it, and, once
// enough has come, of what there is; it may Cancel it in between.
type FetchAsk struct {
	shard.Letter
	waiting fetchWaiting
	again   fetchAgain
	cancel  fetchCancel

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
	Hurry     atomic.Bool // home needs to know at once whether it has to wait; it may come to that while the ask is with the owner
	Back      *FetchAsk   // one that was answered by the same owner, or nil: its spans go back along with this ask, and it is free when this is answered

	// Set by the owner.
	Bytes int64 // in all spans

	// Set by the owner before home hears that it waits, and left alone from then on.
	Short []FetchFound // what it says of each part
	Had   int64        // bytes there are, too few

	// Owned by the owner.
	got       int64 // bytes that a waiter has
	pending   int   // preparations under way
	loans     int   // segments it may take leases on besides
	broke     bool  // there were none when it came
	enlisted  bool  // home has heard that it waits
	reading   bool  // an answer is being made
	cancelled bool  // meanwhile: nobody waits for it
}

// FetchCaller is told, on the home shard, what became of its ask.
type FetchCaller interface {
	Fetched(t *shard.Turn, ask *FetchAsk)
	Waiting(t *shard.Turn, ask *FetchAsk)
	Cancelled(t *shard.Turn, ask *FetchAsk)
	Released(t *shard.Turn, ask *FetchAsk)
}

// Deliver hands the ask to the owner.
func (a *FetchAsk) Deliver(t *shard.Turn) {
	if a.Back != nil {
		a.Back.To.release(t, a.Back)
	}
	a.enlisted = false
	a.To.fetch(t, a)
}

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

// fetchWaiting is mail from the owner: the ask waits there.
type fetchWaiting struct {
	shard.Letter
	ask *FetchAsk
}

// Deliver tells the caller.
func (w *fetchWaiting) Deliver(t *shard.Turn) { w.ask.Caller.Waiting(t, w.ask) }

// fetchAgain is mail of the owner to itself: what was waited for came, and all that comes in the same turn goes with it.
type fetchAgain struct {
	shard.Letter
	ask *FetchAsk
}

// Deliver answers the ask.
func (f *fetchAgain) Deliver(t *shard.Turn) { f.ask.To.fetch(t, f.ask) }

// Cancel takes a waiter back. Cancelled always follows, after a Fetched that may have crossed it, whose spans nobody may use.
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
	c.ask.To.cancel(t, c.ask)
}
