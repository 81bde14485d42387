package sim

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"pinion/engine/model"
)

// value is the payload of one record, never sent twice: a producer's number times valuesEach, and a count.
type value int64

const valuesEach value = 1 << 32

func (v value) producer() int { return int(v / valuesEach) }

// payload is the value as a record carries it, with so many bytes behind.
func (v value) payload(pad int) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(v)), make([]byte, pad)...)
}

// valueOf reads a record's payload; -1 is no value at all.
func valueOf(payload []byte) value {
	if len(payload) < 8 {
		return -1
	}
	return value(binary.BigEndian.Uint64(payload))
}

// book is what the clients of one partition were promised and saw, over all lives of the node. Its methods return the promise that
// was broken.
type book struct {
	name    model.Partition
	topic   string
	durable bool // acknowledged with acks=all, or seen by a consumer, means it survives a power cut

	sent    map[value]bool
	values  map[model.Offset]value // known to be there: acknowledged or seen
	offsets map[value]model.Offset
	firm    map[model.Offset]bool // of those, what a power cut must not take
	acked   model.Offset          // behind the last acknowledged record
	start   model.Offset          // log start as a deletion of records was acknowledged
	seen    model.Offset          // largest log start anybody was told
	lost    int                   // records that were allowed to go in a power cut
	cuts    int                   // power cuts so far: they may take what producers wrote below the start, too
	ended   bool                  // the topic is deleted
}

func newBook(name model.Partition, topic string, durable bool) *book {
	return &book{name: name, topic: topic, durable: durable, sent: map[value]bool{}, values: map[model.Offset]value{},
		offsets: map[value]model.Offset{}, firm: map[model.Offset]bool{}}
}

// violation is a broken promise.
type violation struct {
	check string // C1 lost, C2 duplicate, C3 inconsistent offset, C4 order, C5 poll, I...
	text  string
}

func (v *violation) Error() string { return v.check + ": " + v.text }

func (b *book) broken(check, format string, args ...any) error {
	return &violation{check, fmt.Sprintf("%s-%d (%s): ", b.topic, b.name.Index, b.name.Topic) + fmt.Sprintf(format, args...)}
}

// note records that a value is at an offset.
func (b *book) note(at model.Offset, v value, firm bool) error {
	if !b.sent[v] {
		return b.broken("C3 invented", "offset %d holds %d, which nobody sent", at, v)
	}
	if was, known := b.values[at]; known && was != v {
		return b.broken("C3 inconsistent offset", "offset %d holds %d, and held %d before", at, v, was)
	}
	if was, known := b.offsets[v]; known && was != at {
		return b.broken("C2 duplicate", "%d is at offsets %d and %d", v, was, at)
	}
	b.values[at], b.offsets[v] = v, at
	if firm {
		b.firm[at] = true
	}
	return nil
}

// acknowledged takes the answer to a send that began when everything below floor was acknowledged.
func (b *book) acknowledged(base model.Offset, values []value, all bool, floor model.Offset) error {
	if base < floor {
		return b.broken("C4 order", "%d was sent when offset %d was acknowledged, and got offset %d", values[0], floor-1, base)
	}
	for i, v := range values {
		if err := b.note(base+model.Offset(i), v, all && b.durable); err != nil {
			return err
		}
	}
	b.acked = max(b.acked, base+model.Offset(len(values)))
	return nil
}

// cut tells what a power cut left: everything at and above end is gone.
func (b *book) cut(end model.Offset) error {
	b.cuts++
	for _, at := range slices.Sorted(maps.Keys(b.values)) {
		if at < end || at < b.start {
			continue
		}
		if b.firm[at] {
			return b.broken("C1 lost", "%d at offset %d was promised, and the log ends at %d after a power cut", b.values[at], at, end)
		}
		b.lost++
		v := b.values[at]
		delete(b.values, at)
		delete(b.offsets, v)
		delete(b.sent, v) // whether it comes back is up to an idempotent producer, which sends it anew
	}
	b.acked = min(b.acked, max(end, b.start))
	return nil
}

// compare holds the whole log against the book: what lies in [start, end).
func (b *book) compare(start, end model.Offset, log map[model.Offset]value) error {
	if start < b.start {
		return b.broken("I log start", "records below %d were deleted, and the log starts at %d", b.start, start)
	}
	for _, at := range slices.Sorted(maps.Keys(b.values)) {
		if at < start {
			continue
		}
		if got, ok := log[at]; !ok {
			return b.broken("C1 lost", "%d at offset %d is not in the log, which holds [%d, %d)", b.values[at], at, start, end)
		} else if got != b.values[at] {
			return b.broken("C3 inconsistent offset", "offset %d holds %d, and held %d before", at, got, b.values[at])
		}
	}
	last := map[int]value{}
	for _, at := range slices.Sorted(maps.Keys(log)) {
		v := log[at]
		if err := b.note(at, v, false); err != nil {
			return err
		}
		if before := last[v.producer()]; v <= before {
			return b.broken("C4 order", "%d of producer %d at offset %d comes behind %d", v, v.producer(), at, before)
		}
		last[v.producer()] = v
	}
	return nil
}
