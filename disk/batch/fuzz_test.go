package batch

import (
	"encoding/binary"
	"errors"
	"testing"

	"pinion/disk/codec"
)

// FuzzWalk: every way over the records agrees on any bytes.
func FuzzWalk(f *testing.F) {
	f.Add(three(nil)[HeaderSize:], int32(3), true)
	f.Add([]byte{12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 2, 1, 1, 0}, int32(2), false)
	f.Fuzz(func(t *testing.T, payload []byte, count int32, keyed bool) {
		if count <= 0 {
			return
		}
		lim := testLimits()
		lim.KeyRequired = keyed
		lim.TimestampBeforeMax = 1000
		compareWays(t, payload, count, lim)
	})
}

// FuzzValidate: any bytes, with the checksum mended so that they get further than that. What Validate accepts the iterator must read whole,
// and the other way round for uncompressed batches.
func FuzzValidate(f *testing.F) {
	for c := codec.None; c <= codec.Zstd; c++ {
		f.Add(three(func(b *Builder) { b.Codec = c }))
	}
	var v Validator
	var it Iterator
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= HeaderSize {
			stampCRC(b)
		}
		lim := testLimits()
		lim.OutputMax = 1 << 20
		got := Validate(&v, b, lim)
		it.Reset(b, lim.OutputMax)
		n := int32(0)
		for it.Next() {
			for range it.Record().Headers {
			}
			n++
		}
		err := it.Err()
		if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, codec.ErrCorrupt) && !errors.Is(err, codec.ErrTooLarge) {
			t.Fatalf("unexpected error: %v", err)
		}
		if got.Fault == FaultNone && (err != nil || n != got.Header.Records) {
			t.Fatalf("valid, but the iterator says %v after %d of %d", err, n, got.Header.Records)
		}
		if (got.Fault == FaultRecord || got.Fault == FaultCompressed || got.Fault == FaultInflated) && err == nil {
			t.Fatalf("%s at %d, but the iterator read %d records", got.Fault, got.Record, n)
		}
	})
}

// FuzzVarint: the standard library is the oracle; what is longer than a value can be, or ends early, is refused.
func FuzzVarint(f *testing.F) {
	for _, v := range []int64{0, -1, 1, 63, 64, -65, 1 << 31, -1 << 31, 1<<63 - 1, -1 << 63} {
		f.Add(appendVarlong(nil, v))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		want, n := binary.Varint(b)
		got, end := varlong(b, 0)
		if n > 0 && n <= varlongMax && (got != want || end != n) || n == 0 && end != -1 {
			t.Fatalf("%x: %d up to %d, want %d up to %d", b, got, end, want, n)
		}
		if again := appendVarlong(nil, got); end > 0 && (len(again) > end || len(again) != varlongSize(got)) {
			t.Fatalf("%x: %d is written in %d bytes", b, got, len(again))
		}
		short, end := varint(b, 0)
		if n > 0 && n <= varintMax && want == int64(int32(want)) && (int64(short) != want || end != n) {
			t.Fatalf("%x: %d up to %d, want %d up to %d", b, short, end, want, n)
		}
		if n == 0 && len(b) < varintMax && end != -1 || end > len(b) {
			t.Fatalf("%x: ends at %d", b, end)
		}
	})
}
