package batch

import (
	"bytes"
	"fmt"
	"testing"

	"pinion/disk/codec"
)

// sifted builds a batch of six records, two of them tombstones, in the middle of a log.
func siftee(c codec.Codec) *Builder {
	b := NewBuilder()
	b.Codec, b.BaseOffset, b.Epoch = c, 100, 7
	b.ProducerID, b.ProducerEpoch, b.BaseSequence = 42, 3, 0x7ffffffd // wraps inside the batch
	for i := range 6 {
		value := bytes.Repeat([]byte{byte('a' + i)}, 40)
		if i%3 == 2 {
			value = nil
		}
		b.Add(1000-int64(i), fmt.Appendf(nil, "k%d", i), value, RecordHeader{Key: "h", Value: []byte{byte(i)}})
	}
	return b
}

// TestSift: what is kept is what was there, and the batch still stands for all it stood for.
func TestSift(t *testing.T) {
	for c := codec.None; c <= codec.Zstd; c++ {
		var s Sifter
		var it Iterator
		raw := siftee(c).Bytes()
		whole := collect(t, &it, raw)
		before, _ := ReadHeader(raw)
		for mask := range 1 << 6 {
			var want []plainRecord
			largest := int64(NoTimestamp)
			for i, r := range whole {
				if mask>>i&1 == 1 {
					want = append(want, r)
					largest = max(largest, r.Timestamp)
				}
			}
			for _, horizon := range []int64{NoTimestamp, 5_000_000} {
				out, err := s.Append([]byte("front"), raw, func(r *Record) bool { return mask>>(r.Offset-100)&1 == 1 }, horizon, 1<<20)
				if err != nil || !bytes.HasPrefix(out, []byte("front")) {
					t.Fatalf("%v", err)
				}
				out = out[len("front"):]
				h, ok := ReadHeader(out)
				if !ok || h.Size() != len(out) || !CheckCRC(out) {
					t.Fatalf("%s %b: not a batch", c, mask)
				}
				if got := collect(t, &it, out); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("%s %b: %v, want %v", c, mask, got, want)
				}
				if h.BaseOffset != 100 || h.LastOffset() != 105 || h.Epoch != 7 || h.ProducerID != 42 || h.ProducerEpoch != 3 ||
					h.BaseSequence != before.BaseSequence || h.LastSequence() != before.LastSequence() || int(h.Records) != len(want) {
					t.Fatalf("%s %b: header %+v", c, mask, h)
				}
				if mask == 0 {
					largest = before.MaxTimestamp
				} else if h.HasDeleteHorizon() != (horizon > 0) || horizon > 0 && h.BaseTimestamp != horizon || h.Codec() != c {
					t.Fatalf("%s %b: header %+v", c, mask, h)
				}
				if h.MaxTimestamp != largest {
					t.Fatalf("%s %b: largest timestamp %d, want %d", c, mask, h.MaxTimestamp, largest)
				}
				if mask == 0 || horizon < 0 {
					continue
				}
				// A horizon stays through the next sifting.
				again, err := s.Append(nil, out, func(*Record) bool { return true }, NoTimestamp, 1<<20)
				if err != nil || fmt.Sprint(collect(t, &it, again)) != fmt.Sprint(want) {
					t.Fatalf("%s %b: again: %v", c, mask, err)
				}
				if h, _ := ReadHeader(again); !h.HasDeleteHorizon() || h.BaseTimestamp != horizon {
					t.Fatalf("%s %b: horizon %+v", c, mask, h)
				}
			}
		}
	}
}

// TestSiftAppendTime: the broker's timestamps stay, with records and without.
func TestSiftAppendTime(t *testing.T) {
	var s Sifter
	var it Iterator
	raw := siftee(codec.Zstd).Bytes()
	StampAppendTime(raw, 777_000)
	out, err := s.Append(nil, raw, func(r *Record) bool { return r.Offset == 103 }, 888_000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if got := collect(t, &it, out); len(got) != 1 || got[0].Timestamp != 777_000 {
		t.Fatalf("%v", got)
	}
	if out, err = s.Append(nil, out, func(*Record) bool { return false }, NoTimestamp, 1<<20); err != nil {
		t.Fatal(err)
	}
	if h, _ := ReadHeader(out); len(out) != HeaderSize || h.MaxTimestamp != 777_000 || !h.IsAppendTime() || h.HasDeleteHorizon() || h.Codec() != codec.None {
		t.Fatalf("%+v", h)
	}
	// A broken payload is an error, not an empty batch.
	raw[len(raw)-3] ^= 0xff
	if _, err := s.Append(nil, raw, func(*Record) bool { return false }, NoTimestamp, 1<<20); err == nil {
		t.Fatal("a broken payload passes")
	}
}
