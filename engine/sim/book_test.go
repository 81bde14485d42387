package sim

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pinion/disk/batch"
	"pinion/disk/faulty"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/partition"
)

// aBook is a partition that survives power cuts, in which producers 1 and 2 have sent five values each.
func aBook(durable bool) *book {
	b := newBook(model.Partition{Topic: model.TopicID{1}, Index: 0}, "orders", rules{durable: durable})
	for p := value(1); p <= 2; p++ {
		for i := value(1); i <= 5; i++ {
			b.send(p*valuesEach+i, 0)
		}
	}
	return b
}

// aKey is the book of a compacted topic with two values of one key, the last of which is a tombstone where that is asked for; both were
// sent when time began.
func aKey(tombstone bool) (b *book, last, before value) {
	b = newBook(model.Partition{Topic: model.TopicID{1}}, "orders", rules{keys: 3, tombstones: time.Minute})
	for last = of(1, 2); b.tombstone(last) != tombstone; last++ {
	}
	for before = of(1, 1); before == last || b.tombstone(before) || b.key(before) != b.key(last); before++ {
	}
	b.send(last, 0)
	b.send(before, 0)
	return b, last, before
}

// without is a batch as compaction leaves it that keeps only so many of its first records.
func without(raw []byte, keep int) []byte {
	var s batch.Sifter
	out, err := s.Append(nil, raw, func(r *batch.Record) bool { return int(r.Offset) < keep }, batch.NoTimestamp, outputMax)
	if err != nil {
		panic(err)
	}
	return out
}

// files is a directory with one partition, each of whose segments holds one batch.
func files(batches ...[]byte) *faulty.Dir {
	d := faulty.New(1)
	err := d.Mkdir("orders-0")
	for i, raw := range batches {
		err = errors.Join(err, d.Replace(fmt.Sprintf("orders-0/%020d.log", i), raw))
	}
	if err != nil {
		panic(err)
	}
	return d
}

func of(producer, count value) value { return producer*valuesEach + count }

// batchOf is one stored batch of values from a base offset on.
func batchOf(base model.Offset, values ...value) []byte {
	b := batch.NewBuilder()
	b.BaseOffset = base
	for _, v := range values {
		b.Add(began, nil, v.payload(0))
	}
	return b.Bytes()
}

// Every kind of broken promise, in the smallest history that has it. What a checker lets pass here it would let pass in a run.
func TestBrokenPromisesAreSeen(t *testing.T) {
	read := func(b *book, at model.Offset, high model.Offset, batches ...[]byte) error {
		w := &World{marks: Marks{}}
		var all []byte
		for _, raw := range batches {
			all = append(all, raw...)
		}
		return (&consumer{world: w, book: b, at: at}).take(all, high)
	}
	for name, c := range map[string]struct {
		check   string // that must object; empty: nobody may
		history func() error
	}{
		"a healthy history": {"", func() error {
			b := aBook(true)
			return errors.Join(
				b.acknowledged(0, []value{of(1, 1), of(1, 2)}, true, 0),
				b.acknowledged(2, []value{of(2, 1)}, true, 0),
				b.acknowledged(0, []value{of(1, 1), of(1, 2)}, true, 0), // a retry is told the same
				read(b, 0, 3, batchOf(0, of(1, 1), of(1, 2)), batchOf(2, of(2, 1))),
				b.cut(3),
				b.compare(0, 3, map[model.Offset]value{0: of(1, 1), 1: of(1, 2), 2: of(2, 1)}, 0))
		}},
		"what was not promised may go": {"", func() error {
			b := aBook(true)
			return errors.Join(b.acknowledged(0, []value{of(1, 1)}, false, 0), b.cut(0), b.compare(0, 0, nil, 0))
		}},
		"acknowledged by all, then cut off": {"C1 lost", func() error {
			b := aBook(true)
			return errors.Join(b.acknowledged(0, []value{of(1, 1)}, true, 0), b.cut(0))
		}},
		"seen by a consumer, then cut off": {"C1 lost", func() error {
			b := aBook(true)
			return errors.Join(read(b, 0, 1, batchOf(0, of(1, 1))), b.cut(0))
		}},
		"acknowledged, and not in the log": {"C1 lost", func() error {
			b := aBook(false)
			return errors.Join(b.acknowledged(0, []value{of(1, 1), of(1, 2)}, true, 0), b.compare(0, 1, map[model.Offset]value{0: of(1, 1)}, 0))
		}},
		"one value at two offsets": {"C2 duplicate", func() error {
			b := aBook(false)
			return b.compare(0, 2, map[model.Offset]value{0: of(1, 1), 1: of(1, 1)}, 0)
		}},
		"a retry that is told another offset": {"C2 duplicate", func() error {
			b := aBook(false)
			return errors.Join(b.acknowledged(0, []value{of(1, 1)}, true, 0), b.acknowledged(1, []value{of(1, 1)}, true, 0))
		}},
		"one offset with two values": {"C3 inconsistent offset", func() error {
			b := aBook(false)
			return errors.Join(b.acknowledged(0, []value{of(1, 1)}, true, 0), read(b, 0, 1, batchOf(0, of(2, 1))))
		}},
		"another value in the log": {"C3 inconsistent offset", func() error {
			b := aBook(false)
			return errors.Join(b.acknowledged(0, []value{of(1, 1)}, true, 0), b.compare(0, 1, map[model.Offset]value{0: of(2, 1)}, 0))
		}},
		"a value nobody sent": {"C3 invented", func() error {
			return read(aBook(false), 0, 1, batchOf(0, of(3, 1)))
		}},
		"a producer's values out of order": {"C4 order", func() error {
			return aBook(false).compare(0, 2, map[model.Offset]value{0: of(1, 2), 1: of(1, 1)}, 0)
		}},
		"sent after another's answer, placed before it": {"C4 order", func() error {
			b := aBook(false)
			return errors.Join(b.acknowledged(5, []value{of(1, 1)}, true, 0), b.acknowledged(3, []value{of(2, 1)}, true, b.acked))
		}},
		"a consumer skips": {"C5 poll", func() error {
			return read(aBook(false), 0, 9, batchOf(1, of(1, 1)))
		}},
		"a consumer is sent back": {"I17 bytes", func() error {
			return read(aBook(false), 4, 9, batchOf(1, of(1, 1)))
		}},
		"a batch with a bit flipped": {"I17 bytes", func() error {
			raw := batchOf(0, of(1, 1))
			raw[len(raw)-3] ^= 1
			return read(aBook(false), 0, 9, raw)
		}},
		"a first batch that is cut": {"I17 bytes", func() error {
			raw := batchOf(0, of(1, 1))
			return read(aBook(false), 0, 9, raw[:len(raw)-1])
		}},
		"more than is visible": {"R14 visibility", func() error {
			return read(aBook(false), 0, 1, batchOf(0, of(1, 1), of(1, 2)))
		}},
		"of each key the last": {"", func() error {
			b, keep, gone := aKey(false)
			return errors.Join(b.acknowledged(0, []value{gone, keep}, true, 0), b.compare(0, 2, map[model.Offset]value{1: keep}, 0))
		}},
		"the last of a key is gone": {"C1 lost", func() error {
			b, last, before := aKey(false)
			return errors.Join(b.acknowledged(0, []value{before, last}, true, 0), b.compare(0, 2, map[model.Offset]value{0: before}, 0))
		}},
		"a consumer has met no value of a key": {"C1 lost", func() error {
			b, last, before := aKey(false)
			return errors.Join(b.acknowledged(0, []value{before, last}, true, 0), b.whole(0, 2, map[model.Offset]value{}, 0))
		}},
		"a later one below the end is enough": {"", func() error {
			b, last, before := aKey(false)
			return errors.Join(b.acknowledged(0, []value{before, last}, true, 0), b.whole(1, 2, map[model.Offset]value{1: last}, 0))
		}},
		"the later one is not below the end": {"C1 lost", func() error {
			b, last, before := aKey(false)
			return errors.Join(b.acknowledged(0, []value{before, last}, true, 0), b.whole(0, 1, map[model.Offset]value{}, 0))
		}},
		"a tombstone that is old enough": {"", func() error {
			b, last, before := aKey(true)
			return errors.Join(b.acknowledged(0, []value{before, last}, true, 0), b.compare(0, 2, nil, clock.Mono(time.Minute)))
		}},
		"a tombstone goes too early": {"C1 lost", func() error {
			b, last, before := aKey(true)
			return errors.Join(b.acknowledged(0, []value{before, last}, true, 0), b.compare(0, 2, nil, clock.Mono(time.Minute)-1))
		}},
		"a tombstone nobody was told of": {"", func() error {
			b, _, before := aKey(true)
			return errors.Join(b.acknowledged(0, []value{before}, true, 0), b.compare(0, 2, nil, clock.Mono(time.Minute)))
		}},
		"a compacted batch at other offsets": {"C2 duplicate", func() error {
			b, last, before := aKey(false)
			return errors.Join(b.acknowledged(0, []value{before, last}, true, 0), b.compare(0, 3, map[model.Offset]value{1: last, 2: last}, 0))
		}},
		"a record under another key": {"C3 invented", func() error {
			b, last, _ := aKey(false)
			raw := batch.NewBuilder()
			raw.Add(began, []byte("other"), last.payload(0), batch.RecordHeader{Key: "v", Value: last.payload(0)})
			return read(b, 0, 1, raw.Bytes())
		}},
		"a batch whose end is missing": {"C5 poll", func() error {
			raw := batch.NewBuilder()
			raw.Add(began, nil, of(1, 1).payload(0))
			raw.Add(began, nil, of(1, 2).payload(0))
			return read(aBook(false), 0, 9, without(raw.Bytes(), 1))
		}},
		"a whole batch is compacted away but for its numbers": {"", func() error {
			b, last, _ := aKey(false)
			raw := batch.NewBuilder()
			b.record(raw, began, last, 0)
			return read(b, 0, 9, without(raw.Bytes(), 0))
		}},
		"retention by size": {"", func() error {
			_, err := aBook(false).removed(0, 1, removal{bytes: 10, delete: true, retentionBytes: 10, retentionMs: -1}, 0)
			return err
		}},
		"retention leaves too little": {"retention", func() error {
			b := aBook(false)
			err := b.acknowledged(0, []value{of(1, 1)}, true, 0)
			_, gone := b.removed(0, 1, removal{bytes: 9, delete: true, retentionBytes: 10, retentionMs: -1}, clock.Mono(time.Hour))
			return errors.Join(err, gone)
		}},
		"retention by time": {"", func() error {
			b := aBook(false)
			err := b.acknowledged(0, []value{of(1, 1)}, true, 0)
			_, gone := b.removed(0, 1, removal{delete: true, retentionBytes: -1, retentionMs: 1000}, clock.Mono(time.Second))
			return errors.Join(err, gone)
		}},
		"retention is early": {"retention", func() error {
			b := aBook(false)
			err := b.acknowledged(0, []value{of(1, 1)}, true, 0)
			_, gone := b.removed(0, 1, removal{delete: true, retentionBytes: -1, retentionMs: 1000}, clock.Mono(time.Second)-1)
			return errors.Join(err, gone)
		}},
		"retention of a log that keeps everything": {"retention", func() error {
			b := aBook(false)
			err := b.acknowledged(0, []value{of(1, 1)}, true, 0)
			_, gone := b.removed(0, 1, removal{bytes: 100, retentionBytes: 10, retentionMs: 1}, clock.Mono(time.Hour))
			return errors.Join(err, gone)
		}},
		"a partition with two owners": {"I18 owner", func() error {
			o := owners{}
			return errors.Join(o.claim(model.Partition{Index: 1}, 0), o.claim(model.Partition{Index: 2}, 1), o.claim(model.Partition{Index: 1}, 1))
		}},
		"visible, and not written": {"I10 marks", func() error { return inOrder("orders-0", 0, partition.Marks{End: 5, High: 6}) }},
		"a start nobody may see":   {"I10 marks", func() error { return inOrder("orders-0", 6, partition.Marks{End: 9, High: 5}) }},
		"files that are whole":     {"", func() error { return sound(files(batchOf(0, of(1, 1)), batchOf(1, of(1, 2))), "orders-0") }},
		"files with a hole":        {"C13 files", func() error { return sound(files(batchOf(0, of(1, 1)), batchOf(2, of(1, 2))), "orders-0") }},
		"files with an overlap":    {"C13 files", func() error { return sound(files(batchOf(0, of(1, 1), of(1, 2)), batchOf(1, of(1, 3))), "orders-0") }},
		"files with a flipped bit": {"C13 files", func() error {
			d := files(batchOf(0, of(1, 1)), batchOf(1, of(1, 2)))
			d.Damage("orders-0/00000000000000000000.log", func(b []byte) []byte {
				b[len(b)-3] ^= 1
				return b
			})
			return sound(d, "orders-0")
		}},
		"deleted records come back": {"I log start", func() error {
			b := aBook(false)
			b.start = 2
			return b.compare(1, 2, nil, 0)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.history()
			switch {
			case c.check == "" && err != nil:
				t.Errorf("objected to: %v", err)
			case c.check != "" && err == nil:
				t.Error("nobody objected")
			case c.check != "" && !strings.HasPrefix(err.Error(), c.check+": "):
				t.Errorf("%v, want %s", err, c.check)
			}
		})
	}
}
