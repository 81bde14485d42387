package partition

import (
	"time"

	"pinion/disk/batch"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// Acks is when a producer wants its answer (Produce request, field acks).
type Acks int8

const (
	AcksAll    Acks = -1 // when the high watermark, and what is durable, has passed the batch
	AcksNone   Acks = 0  // never; the ask still comes home, to end the loan
	AcksLeader Acks = 1  // when the leader has written it
)

// AppendAsk is mail: sent by a connection's home shard, run by the shard that owns the partition, answered by AppendReply. It
// lends Batch to the owner and grants it the batch header (base offset, leader epoch, append time), which the owner stamps.
type AppendAsk struct {
	shard.Letter
	stored Stored

	// Set by the home shard.
	Home      model.ShardID
	To        *Set // the set of the owning shard, opaque to everyone else
	Caller    AppendCaller
	Partition model.Partition
	Moves     uint64 // of the image that named the owner (placement.Image.Moves)
	Batch     []byte
	Header    batch.Header // of Batch, validated
	Acks      Acks
	Timeout   time.Duration

	// Set by the owner.
	Code       Code
	Base       model.Offset
	LogStart   model.Offset
	AppendTime int64 // broker time if the topic stamps it, else -1
	Epoch      model.Epoch

	// Owned by the owner while the ask is parked.
	target   model.Offset
	deadline clock.Mono
	next     *AppendAsk
	lent     bool // the journal reads Batch: the answer waits for that
	due      bool // Code is the answer
}

// AppendCaller is told, on the home shard, how its ask fared.
type AppendCaller interface {
	// Stored says that Batch is no longer needed; the answer follows. Where it is needed until then, only that comes.
	Stored(t *shard.Turn, ask *AppendAsk)
	// Appended says that the ask is home: Code and the rest are set, Batch is no longer needed.
	Appended(t *shard.Turn, ask *AppendAsk)
}

// Deliver hands the ask to the owner.
func (a *AppendAsk) Deliver(t *shard.Turn) { a.To.append(t, a) }

// AppendReply is the ask on its way home.
type AppendReply AppendAsk

// Deliver tells the caller.
func (r *AppendReply) Deliver(t *shard.Turn) {
	a := (*AppendAsk)(r)
	a.Caller.Appended(t, a)
}

// Stored is mail from the owner: the batch is written, the acknowledgement waits.
type Stored struct {
	shard.Letter
	ask *AppendAsk
}

// Deliver tells the caller to take its batch back.
func (s *Stored) Deliver(t *shard.Turn) { s.ask.Caller.Stored(t, s.ask) }

func (a *AppendAsk) reply(t *shard.Turn, code Code) {
	if a.Code = code; a.lent {
		a.due = true
		return
	}
	t.Reply(a.Home, (*AppendReply)(a))
}

// takeBack ends the loan of the batch to the journal.
func (a *AppendAsk) takeBack(t *shard.Turn) {
	a.lent = false
	if a.due {
		a.due = false
		a.reply(t, a.Code)
	}
}

// asks is a first-in first-out list of asks, linked through them.
type asks struct {
	first, last *AppendAsk
}

func (q *asks) empty() bool { return q.first == nil }

func (q *asks) push(a *AppendAsk) {
	a.next = nil
	if q.last == nil {
		q.first = a
	} else {
		q.last.next = a
	}
	q.last = a
}

func (q *asks) pop() *AppendAsk {
	a := q.first
	if a == nil {
		return nil
	}
	q.first = a.next
	if q.first == nil {
		q.last = nil
	}
	a.next = nil
	return a
}
