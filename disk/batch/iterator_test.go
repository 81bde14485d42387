package batch

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"pinion/disk/codec"
	"pinion/engine/model"
)

type plainRecord struct {
	Offset    model.Offset
	Timestamp int64
	Key       []byte
	Value     []byte
	Headers   []RecordHeader
}

func collect(t fataler, it *Iterator, b []byte) []plainRecord {
	t.Helper()
	var out []plainRecord
	it.Reset(b, 64<<20)
	for it.Next() {
		r := it.Record()
		p := plainRecord{Offset: r.Offset, Timestamp: r.Timestamp, Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)}
		for key, value := range r.Headers {
			p.Headers = append(p.Headers, RecordHeader{string(key), bytes.Clone(value)})
		}
		if len(p.Headers) != r.HeaderCount() {
			t.Fatalf("%d headers of %d", len(p.Headers), r.HeaderCount())
		}
		out = append(out, p)
	}
	if it.Err() != nil {
		t.Fatalf("iterate: %v", it.Err())
	}
	return out
}

// diff is empty when both are equal; cmp alone walks payloads byte by byte.
func diff(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

func drawRecords(t *rapid.T) []plainRecord {
	blob := rapid.SampledFrom([]int{-1, 0, 1, 40, 300, 70_000})
	n := rapid.IntRange(1, 20).Draw(t, "records")
	out := make([]plainRecord, n)
	for i := range out {
		out[i] = plainRecord{Offset: model.Offset(i), Timestamp: rapid.Int64Range(0, math.MaxInt64/2).Draw(t, "stamp"),
			Key: drawBlob(t, blob), Value: drawBlob(t, blob)}
		for range rapid.SampledFrom([]int{0, 0, 1, 5}).Draw(t, "headers") {
			out[i].Headers = append(out[i].Headers, RecordHeader{rapid.StringN(0, 9, -1).Draw(t, "name"), drawBlob(t, blob)})
		}
	}
	return out
}

// TestRoundTrip: what the builder writes validates, and comes back from the iterator under every codec.
func TestRoundTrip(t *testing.T) {
	var v Validator
	var it Iterator
	b := NewBuilder()
	rapid.Check(t, func(t *rapid.T) {
		records := drawRecords(t)
		b.Reset()
		b.Codec = codec.Codec(rapid.IntRange(0, 4).Draw(t, "codec"))
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = 5, 1, rapid.Int32Range(0, math.MaxInt32).Draw(t, "sequence")
		most := NoTimestamp
		for _, r := range records {
			b.Add(r.Timestamp, r.Key, r.Value, r.Headers...)
			most = max(most, r.Timestamp)
		}
		out := b.Bytes()
		lim := testLimits()
		lim.TimestampAfterMax = math.MaxInt64
		got := Validate(&v, out, lim)
		if got.Fault != FaultNone || got.MaxTimestamp != most || got.Restamp || got.Rewrite {
			t.Fatalf("%+v, want maximum %d", got, most)
		}
		if d := diff(records, collect(t, &it, out)); d != "" {
			t.Fatal(d)
		}
	})
}

// TestAgainstKmsg decodes our batches with the generated decoder of franz-go.
func TestAgainstKmsg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawRecords(t)
		b := NewBuilder()
		b.BaseOffset, b.Epoch, b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.Transactional = 77, 3, 9, 8, 7, true
		for _, r := range records {
			b.Add(r.Timestamp, r.Key, r.Value, r.Headers...)
		}
		out := b.Bytes()
		var k kmsg.RecordBatch
		if err := k.ReadFrom(out); err != nil {
			t.Fatal(err)
		}
		h, _ := ReadHeader(out)
		if k.FirstOffset != 77 || k.PartitionLeaderEpoch != 3 || k.ProducerID != 9 || k.ProducerEpoch != 8 || k.FirstSequence != 7 ||
			k.Length != h.Length || k.CRC != int32(h.CRC) || k.Attributes != 0x10 || k.NumRecords != int32(len(records)) ||
			k.LastOffsetDelta != h.LastOffsetDelta || k.FirstTimestamp != h.BaseTimestamp || k.MaxTimestamp != h.MaxTimestamp {
			t.Fatalf("kmsg %+v\nours %+v", k, h)
		}
		rest := k.Records
		for i, want := range records {
			size, at := varint(rest, 0)
			var r kmsg.Record
			if err := r.ReadFrom(rest[:at+int(size)]); err != nil {
				t.Fatal(err)
			}
			rest = rest[at+int(size):]
			got := plainRecord{Offset: model.Offset(r.OffsetDelta), Timestamp: k.FirstTimestamp + r.TimestampDelta64, Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				got.Headers = append(got.Headers, RecordHeader{h.Key, h.Value})
			}
			if d := diff(want, got); d != "" {
				t.Fatalf("record %d: %s", i, d)
			}
		}
	})
}

// TestGolden pins the bytes of one batch, header field by header field.
func TestGolden(t *testing.T) {
	b := NewBuilder()
	b.BaseOffset, b.Epoch = 5, 2
	b.Add(1000, []byte("k"), nil)
	b.Add(1001, nil, []byte("v"), RecordHeader{"h", nil})
	want := "0000000000000005" + "00000044" + "00000002" + "02" + "1c0e86ce" + "0000" + "00000001" + "00000000000003e8" + "00000000000003e9" +
		"ffffffffffffffff" + "ffff" + "ffffffff" + "00000002" +
		"0e" + "00" + "00" + "00" + "026b" + "01" + "00" +
		"14" + "00" + "02" + "02" + "01" + "0276" + "02" + "0268" + "01"
	if got := hex.EncodeToString(b.Bytes()); got != want {
		t.Errorf("batch is\n%s, want\n%s", got, want)
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), HeaderSize, HeaderSize+4).Draw(t, "bytes")
		h, ok := ReadHeader(raw)
		if !ok || !bytes.Equal(h.Append(nil), raw[:HeaderSize]) {
			t.Fatalf("%x comes back as %x", raw, h.Append(nil))
		}
	})
	if _, ok := ReadHeader(make([]byte, HeaderSize-1)); ok {
		t.Error("60 bytes are a header")
	}
}

func TestSequences(t *testing.T) {
	for _, c := range []struct{ base, delta, want int32 }{
		{0, 0, 0}, {5, 3, 8}, {math.MaxInt32, 0, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 5, 3},
		{math.MaxInt32, math.MaxInt32, math.MaxInt32 - 1}, {NoSequence, 4, NoSequence},
	} {
		h := Header{BaseSequence: c.base, LastOffsetDelta: c.delta}
		if got := h.LastSequence(); got != c.want {
			t.Errorf("%d plus %d: %d, want %d", c.base, c.delta, got, c.want)
		}
	}
}

func TestStampKeepsCRC(t *testing.T) {
	b := three(nil)
	Stamp(b, 1<<40, 17)
	h, _ := ReadHeader(b)
	if !CheckCRC(b) || h.BaseOffset != 1<<40 || h.Epoch != 17 || h.LastOffset() != 1<<40+2 {
		t.Errorf("stamped: %+v", h)
	}
	large := make([]byte, 3*crcPieceMax+5)
	large[len(large)-1] = 1
	stampCRC(large)
	if !CheckCRC(large) {
		t.Error("CRC in pieces differs from itself")
	}
	large[2*crcPieceMax] ^= 1
	if CheckCRC(large) {
		t.Error("CRC does not cover the later pieces")
	}
}

// TestEmptyBatch: compaction leaves headers without records, also of compressed batches.
func TestEmptyBatch(t *testing.T) {
	b := NewBuilder().Bytes()
	for c := codec.None; c <= codec.Zstd; c++ {
		var it Iterator
		it.Reset(patch(b, atAttributes, 0, byte(c)), 1<<20)
		if it.Next() || it.Err() != nil {
			t.Errorf("%s: record %+v, %v", c, it.Record(), it.Err())
		}
	}
}

func TestIteratorRefuses(t *testing.T) {
	good := three(nil)
	for name, b := range map[string][]byte{
		"nothing": nil, "short": good[:len(good)-1], "long": append(good[:len(good):len(good)], 0), "magic": patch(good, atMagic, 1),
		"count": patch(good, atRecords, 0xff, 0, 0, 0), "fewer": patch(good, atRecords, 0, 0, 0, 2), "more": patch(good, atRecords, 0, 0, 0, 4),
	} {
		var it Iterator
		it.Reset(b, 1<<20)
		for it.Next() {
		}
		if !errors.Is(it.Err(), ErrMalformed) {
			t.Errorf("%s: %v", name, it.Err())
		}
	}
	var it Iterator
	big := NewBuilder()
	big.Codec = codec.Zstd
	big.Add(0, nil, make([]byte, 1<<20))
	it.Reset(big.Bytes(), 1000)
	if it.Next() || !errors.Is(it.Err(), codec.ErrTooLarge) {
		t.Errorf("over the limit: %v", it.Err())
	}
}

func TestRecode(t *testing.T) {
	var r Recoder
	b := NewBuilder()
	var v Validator
	var it Iterator
	rapid.Check(t, func(t *rapid.T) {
		records := drawRecords(t)
		b.Reset()
		b.BaseOffset, b.Codec = 0, codec.Codec(rapid.IntRange(0, 4).Draw(t, "from"))
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = 5, 1, 9
		b.Transactional = rapid.Bool().Draw(t, "transactional")
		for i, rec := range records {
			b.AddAt(int32(i*3%len(records)), rec.Timestamp, rec.Key, rec.Value, rec.Headers...)
		}
		to := codec.Codec(rapid.IntRange(0, 4).Draw(t, "to"))
		out, err := r.Append([]byte("front"), b.Bytes(), to, 0, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		out = out[len("front"):]
		lim := testLimits()
		lim.TimestampAfterMax = math.MaxInt64
		got := Validate(&v, out, lim)
		h := got.Header
		if got.Fault != FaultNone || got.Restamp || got.Rewrite || h.Codec() != to || h.ProducerID != 5 || h.BaseSequence != 9 ||
			h.IsTransactional() != b.Transactional || int(h.Records) != len(records) {
			t.Fatalf("%+v", got)
		}
		if d := diff(records, collect(t, &it, out)); d != "" {
			t.Fatal(d)
		}
	})
}
