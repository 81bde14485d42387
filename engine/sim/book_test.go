package sim

import (
	"errors"
	"strings"
	"testing"

	"pinion/disk/batch"
	"pinion/engine/model"
)

// aBook is a partition that survives power cuts, in which producers 1 and 2 have sent five values each.
func aBook(durable bool) *book {
	b := newBook(model.Partition{Topic: model.TopicID{1}, Index: 0}, "orders", durable)
	for p := value(1); p <= 2; p++ {
		for i := value(1); i <= 5; i++ {
			b.sent[p*valuesEach+i] = true
		}
	}
	return b
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
				b.compare(0, 3, map[model.Offset]value{0: of(1, 1), 1: of(1, 2), 2: of(2, 1)}))
		}},
		"what was not promised may go": {"", func() error {
			b := aBook(true)
			return errors.Join(b.acknowledged(0, []value{of(1, 1)}, false, 0), b.cut(0), b.compare(0, 0, nil))
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
			return errors.Join(b.acknowledged(0, []value{of(1, 1), of(1, 2)}, true, 0), b.compare(0, 1, map[model.Offset]value{0: of(1, 1)}))
		}},
		"one value at two offsets": {"C2 duplicate", func() error {
			b := aBook(false)
			return b.compare(0, 2, map[model.Offset]value{0: of(1, 1), 1: of(1, 1)})
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
			return errors.Join(b.acknowledged(0, []value{of(1, 1)}, true, 0), b.compare(0, 1, map[model.Offset]value{0: of(2, 1)}))
		}},
		"a value nobody sent": {"C3 invented", func() error {
			return read(aBook(false), 0, 1, batchOf(0, of(3, 1)))
		}},
		"a producer's values out of order": {"C4 order", func() error {
			return aBook(false).compare(0, 2, map[model.Offset]value{0: of(1, 2), 1: of(1, 1)})
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
		"deleted records come back": {"I log start", func() error {
			b := aBook(false)
			b.start = 2
			return b.compare(1, 2, nil)
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
