package sim

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"pinion/disk/batch"
	"pinion/engine/clock"
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

// mixed spreads values, so that keys and tombstones follow from them and still have no pattern.
func (v value) mixed() uint64 {
	x := uint64(v) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// valueOf reads a payload; -1 is no value at all.
func valueOf(payload []byte) value {
	if len(payload) < 8 {
		return -1
	}
	return value(binary.BigEndian.Uint64(payload))
}

// rules are what a topic was made with that decides what its records are and which of them may go.
type rules struct {
	durable    bool          // acknowledged with acks=all, or seen by a consumer, means it survives a power cut
	keys       uint64        // of a compacted topic: how many there are; 0: it is not compacted
	tombstones time.Duration // how long they outlive everything else of their key
	segment    int           // bytes; 0: as many as anybody sends
}

// key is the key of a value in a compacted topic.
func (r *rules) key(v value) uint64 { return v.mixed() % r.keys }

// tombstone reports whether a value is the end of its key.
func (r *rules) tombstone(v value) bool { return r.keys > 0 && v.mixed()>>40%5 == 0 }

// padMax bounds what a record carries besides, so that a batch of them fits into a segment.
func (r *rules) padMax() int {
	const most = 40_000
	if r.segment > 0 {
		return min(r.segment/6, most)
	}
	return most
}

// record adds a value to a batch. In a compacted topic a header says which it is: a tombstone has no other place for it.
func (r *rules) record(b *batch.Builder, now int64, v value, pad int) {
	payload := v.payload(pad)
	switch {
	case r.keys == 0:
		b.Add(now, payload[4:8], payload)
	case r.tombstone(v):
		b.Add(now, strconv.AppendUint(nil, r.key(v), 10), nil, batch.RecordHeader{Key: "v", Value: payload[:8]})
	default:
		b.Add(now, strconv.AppendUint(nil, r.key(v), 10), payload, batch.RecordHeader{Key: "v", Value: payload[:8]})
	}
}

// read is the value of a record; -1 where it is not what was made of that value.
func (r *rules) read(record *batch.Record) value {
	if r.keys == 0 {
		return valueOf(record.Value)
	}
	v := value(-1)
	record.Headers(func(_, of []byte) bool {
		v = valueOf(of)
		return false
	})
	whole := r.tombstone(v) && record.Value == nil || !r.tombstone(v) && valueOf(record.Value) == v
	if v < 0 || !whole || string(record.Key) != strconv.FormatUint(r.key(v), 10) {
		return -1
	}
	return v
}

// book is what the clients of one partition were promised and saw, over all lives of the node. Its methods return the promise that
// was broken.
type book struct {
	rules
	name  model.Partition
	topic string

	sent    map[value]clock.Mono   // when first; not those that a power cut is known to have taken
	values  map[model.Offset]value // known to be there: acknowledged or seen
	offsets map[value]model.Offset
	firm    map[model.Offset]bool // of those, what a power cut must not take
	acked   model.Offset          // behind the last acknowledged record
	start   model.Offset          // log start as a deletion of records was acknowledged
	seen    model.Offset          // largest log start anybody was told
	lost    int                   // records that were allowed to go in a power cut
	cuts    int                   // power cuts so far: they may take what producers wrote below the start, too
	ended   bool                  // the topic is deleted
	sight   sight
	rule    durabilityRule
	outrun  int // values that compaction took because of later ones
	expired int // tombstones that it took
}

func newBook(name model.Partition, topic string, rules rules) *book {
	return &book{rules: rules, name: name, topic: topic, sent: map[value]clock.Mono{}, values: map[model.Offset]value{},
		offsets: map[value]model.Offset{}, firm: map[model.Offset]bool{}}
}

// send notes that a value is about to be sent.
func (b *book) send(v value, now clock.Mono) {
	if _, again := b.sent[v]; !again {
		b.sent[v] = now
	}
}

// durabilityRule is how the durability of a partition has changed so far. What is sent under one rule and answered under another is promised nothing.
type durabilityRule struct {
	changes  int          // that were asked for, or came into force where more is promised by them
	becoming bool         // fsync was asked for, and the partition was not seen to follow yet
	from     model.Offset // what is seen at or above it was taken in as durable; below it readers see what is not durable yet
}

// ask notes that the topic is given another durability: what it promises less, it promises less at once.
func (b *book) ask(durable bool) {
	b.rule.changes++
	b.rule.becoming = durable && (b.rule.becoming || !b.durable)
	b.durable = b.durable && durable
}

// became notes that a partition whose log ends there is durable by now.
func (b *book) became(end model.Offset) {
	b.rule.changes++
	b.rule.becoming, b.rule.from, b.durable = false, end, true
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
	if _, sent := b.sent[v]; !sent {
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
	b.rule.from = min(b.rule.from, end)
	return nil
}

// compare holds the whole log against the book: what lies in [start, end).
func (b *book) compare(start, end model.Offset, log map[model.Offset]value, now clock.Mono) error {
	if start < b.start {
		return b.broken("I log start", "records below %d were deleted, and the log starts at %d", b.start, start)
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
	for at, v := range b.values {
		if at >= max(start, end) {
			return b.broken("C1 lost", "%d at offset %d is not in the log, which holds [%d, %d)", v, at, start, end)
		}
	}
	return b.whole(start, end, log, now)
}

// whole holds what was read of [start, end), from one end to the other, against what is known to be there. Of a compacted log a value may be
// missing when its key has a later one below end, and a tombstone when it is older than delete.retention.ms.
func (b *book) whole(start, end model.Offset, log map[model.Offset]value, now clock.Mono) error {
	outrun := map[uint64]bool{}
	for _, at := range slices.Backward(slices.Sorted(maps.Keys(b.values))) {
		if at < start || at >= end {
			continue
		}
		v := b.values[at]
		_, there := log[at]
		if b.keys == 0 {
			if !there {
				return b.broken("C1 lost", "%d at offset %d is not in the log, which holds [%d, %d)", v, at, start, end)
			}
			continue
		}
		key := b.key(v)
		switch {
		case there:
		case outrun[key]:
			b.outrun++
		case b.outlived(v, now):
			b.expired++
		case !b.buried(key, now):
			return b.broken("C1 lost", "%d at offset %d, the last of key %d, is not in the log, which holds [%d, %d)", v, at, key, start, end)
		}
		outrun[key] = true
	}
	return nil
}

// outlived reports whether a value is a tombstone that may be gone by now: it stays for delete.retention.ms from the pass that finds it.
func (b *book) outlived(v value, now clock.Mono) bool {
	return b.tombstone(v) && now.Sub(b.sent[v]) >= b.tombstones
}

// buried reports whether a key may be gone because of a tombstone that nobody was told about, neither its producer nor a consumer.
func (b *book) buried(key uint64, now clock.Mono) bool {
	for v := range b.sent {
		if _, known := b.offsets[v]; !known && b.key(v) == key && b.outlived(v, now) {
			return true
		}
	}
	return false
}
