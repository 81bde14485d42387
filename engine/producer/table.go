// Package producer is the idempotent-producer window of one partition: a pure machine that tells a retried batch from a new one and a
// new one from one out of order (KIP-98, KIP-185, KAFKA-5494). It is owned by the partition that asks it; it reads no clock, touches
// no file, and refuses to know about transactions beyond carrying through what Kafka's snapshot says of them.
//
// Of each producer the last five batches are kept, since a client may have five requests in flight and any of them may be a retry. Kafka's
// own snapshot file keeps only the last one; snapshot.go has that and ours beside it.
package producer

import (
	"cmp"
	"slices"
	"time"

	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/must"
	"pinion/engine/mutant"
)

// BatchesKept is how many batches of a producer are remembered. Fixed by clients: idempotence allows max.in.flight of at most 5.
const BatchesKept = 5

// ProducersMax is how many producers one partition remembers, at some 200 bytes each. Beyond it the one idle for longest is forgotten, which
// does to it what Kafka's expiry does: its next batch is taken with any sequence.
const ProducersMax = 10_000

// noEpoch is what an unknown producer has (RecordBatch.NO_PRODUCER_EPOCH).
const noEpoch int16 = -1

// Outcome is what Check says of a batch.
type Outcome uint8

const (
	// OK: append it.
	OK Outcome = iota
	// Duplicate: it is stored already; answer as its original was or will be, with the original's offset.
	Duplicate
	// OutOfOrder: OUT_OF_ORDER_SEQUENCE_NUMBER (45).
	OutOfOrder
	// StaleEpoch: INVALID_PRODUCER_EPOCH (47), a newer incarnation of the producer has written.
	StaleEpoch
)

func (o Outcome) String() string {
	switch o {
	case OK:
		return "ok"
	case Duplicate:
		return "duplicate"
	case OutOfOrder:
		return "out of order"
	case StaleEpoch:
		return "stale epoch"
	}
	return "unknown outcome"
}

// Batch is one stored batch of a producer. Sequences wrap from 2^31-1 to 0.
type Batch struct {
	ProducerID int64
	Epoch      int16
	First      int32 // sequence of the first record
	Last       int32 // sequence of the last record
	Base       model.Offset
	LastOffset model.Offset
	Timestamp  int64 // largest of the records, milliseconds since the Unix epoch
}

// kept is a Batch without what its producer knows.
type kept struct {
	last       int32 // sequence
	delta      int32 // records less one; sequences and offsets span the same
	lastOffset model.Offset
	timestamp  int64
}

func (k *kept) first() int32 { return (k.last - k.delta) & 0x7fffffff }

// state is one producer. No pointers: a partition with many producers costs the garbage collector nothing.
type state struct {
	id       int64
	used     clock.Wall // last append, or the batch timestamp when only Kafka's snapshot told us
	txnFirst int64      // carried for Kafka's snapshot; -1: no open transaction
	coord    int32      // carried for Kafka's snapshot: epoch of the transaction coordinator, -1 for none
	newer    int32      // towards the most recently used; -1 ends
	older    int32
	epoch    int16
	count    uint8 // used part of batches, oldest first; invariant: count <= BatchesKept
	batches  [BatchesKept]kept
}

// Table is all producers of one partition. One owner at a time. It grows with the producers seen. A nil one is empty and stays so: many partitions have
// never had a producer, and make their table with the first.
//
// The states are a dense slice, threaded into a list by last use, and found through a map from producer id to place.
type Table struct {
	states []state
	places map[int64]int32
	newest int32
	oldest int32
	max    int
}

const nowhere int32 = -1

// NewTable returns an empty table that remembers ProducersMax producers.
func NewTable() *Table { return NewTableMax(ProducersMax) }

// NewTableMax returns an empty table that remembers at most n producers, n > 0.
func NewTableMax(n int) *Table {
	if n <= 0 {
		must.Failf("producer table for %d producers", n)
	}
	return &Table{newest: nowhere, oldest: nowhere, max: n}
}

// Len is the number of producers remembered.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return len(t.states)
}

// Check judges a batch of count records with sequences [first, last] before it is appended. For a Duplicate it returns the original. The
// sequences must not be negative and must span count records, which batch.Validate has seen to.
func (t *Table) Check(id int64, epoch int16, first, last, count int32) (Outcome, Batch) {
	if must.Deep && (first < 0 || last < 0 || (last-first)&0x7fffffff != count-1) {
		must.Failf("check sequences %d to %d of %d records", first, last, count)
	}
	if t == nil {
		return OK, Batch{}
	}
	place, known := t.places[id]
	if !known || t.states[place].epoch == noEpoch {
		return OK, Batch{} // any sequence: the log may have forgotten it by retention
	}
	s := &t.states[place]
	switch {
	case epoch < s.epoch:
		return StaleEpoch, Batch{}
	case epoch > s.epoch:
		if first != 0 {
			return OutOfOrder, Batch{}
		}
		return OK, Batch{}
	}
	for i := range s.count {
		if mutant.On(mutant.WindowOfOne) && i+1 < s.count {
			continue
		}
		if k := &s.batches[i]; k.last == last && k.first() == first {
			return Duplicate, s.batch(k)
		}
	}
	next := int32(0)
	if s.count > 0 {
		next = (s.batches[s.count-1].last + 1) & 0x7fffffff
	}
	if first != next {
		return OutOfOrder, Batch{}
	}
	return OK, Batch{}
}

func (s *state) batch(k *kept) Batch {
	return Batch{ProducerID: s.id, Epoch: s.epoch, First: k.first(), Last: k.last,
		Base: k.lastOffset - model.Offset(k.delta), LastOffset: k.lastOffset, Timestamp: k.timestamp}
}

// Add remembers a batch that was appended, or that is read again from the log after a start: it judges nothing. What the producer has
// at or above that offset already is not added twice. Batches without sequence (transaction markers, offset commits) are left out.
func (t *Table) Add(b Batch, now clock.Wall) {
	if b.First < 0 || b.ProducerID < 0 {
		return
	}
	place, known := t.places[b.ProducerID]
	if !known {
		place = t.admit(b.ProducerID)
	}
	s := &t.states[place]
	if s.count > 0 && s.batches[s.count-1].lastOffset >= b.LastOffset {
		return
	}
	if s.epoch != b.Epoch {
		s.epoch, s.count = b.Epoch, 0
	}
	if s.count == BatchesKept {
		copy(s.batches[:], s.batches[1:])
		s.count--
	}
	s.batches[s.count] = kept{last: b.Last, delta: int32(b.LastOffset - b.Base), lastOffset: b.LastOffset, timestamp: b.Timestamp}
	s.count++
	t.use(place, now)
}

// Kept is the last offset of the oldest batch remembered, by producer: as long as the log has the batches from there on, if only their
// headers, the table can be made again from it.
func (t *Table) Kept() map[int64]model.Offset {
	if t == nil {
		return nil
	}
	kept := make(map[int64]model.Offset, len(t.states))
	for i := range t.states {
		if s := &t.states[i]; s.count > 0 {
			kept[s.id] = s.batches[0].lastOffset
		}
	}
	return kept
}

// Active is one producer as DescribeProducers (API key 61, KIP-664) shows it.
type Active struct {
	ID               int64
	Epoch            int16
	LastSequence     int32 // -1 where none is known
	LastTimestamp    int64 // of the last batch, milliseconds since the Unix epoch; -1 where none is known
	CoordinatorEpoch int32
	TxnFirst         int64 // where the open transaction began; -1: there is none
}

// Active lists the producers in order of id.
func (t *Table) Active() []Active {
	if t == nil {
		return nil
	}
	list := make([]Active, 0, len(t.states))
	for i := range t.states {
		s := &t.states[i]
		a := Active{ID: s.id, Epoch: s.epoch, LastSequence: -1, LastTimestamp: -1, CoordinatorEpoch: s.coord, TxnFirst: s.txnFirst}
		if s.count > 0 {
			last := &s.batches[s.count-1]
			a.LastSequence, a.LastTimestamp = last.last, last.timestamp
		}
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b Active) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Expire forgets the producers not used for a duration of after or more and returns how many those were. It costs as much as it forgets.
func (t *Table) Expire(now clock.Wall, after time.Duration) int {
	if t == nil {
		return 0
	}
	n := 0
	for t.oldest != nowhere {
		s := &t.states[t.oldest]
		if s.used > now {
			// From a clock or a record timestamp ahead of ours; left alone it would shield all behind it for as long.
			s.used = now
		}
		if int64(now-s.used) < after.Milliseconds() {
			break
		}
		t.remove(t.oldest)
		n++
	}
	t.shrink()
	return n
}

// TruncateTo forgets every batch that reaches end or beyond, for a log cut to end, and returns the number of producers forgotten
// with all their batches. Those may have written before, under an older epoch or more than five batches ago: to be exact for them
// load an older snapshot and replay the log; without, their next batch is taken with any sequence.
func (t *Table) TruncateTo(end model.Offset) int {
	if t == nil {
		return 0
	}
	n := 0
	for place := int32(len(t.states)) - 1; place >= 0; place-- {
		s := &t.states[place]
		had := s.count
		for s.count > 0 && s.batches[s.count-1].lastOffset >= end {
			s.count--
		}
		if had > 0 && s.count == 0 {
			t.remove(place)
			n++
		}
	}
	t.shrink()
	return n
}
