package batch

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"pgregory.net/rapid"

	"pinion/disk/codec"
)

const testNow = 1_700_000_000_000

func testLimits() Limits {
	return Limits{MaxBatchBytes: 16 << 20, OutputMax: 64 << 20, CreateTime: true,
		TimestampBeforeMax: math.MaxInt64, TimestampAfterMax: 3600_000, NowMs: testNow}
}

// three is a sound batch of three records with keys.
func three(change func(*Builder)) []byte {
	b := NewBuilder()
	if change != nil {
		change(b)
	}
	for i := range 3 {
		b.Add(testNow+int64(i), []byte{'k', byte(i)}, []byte("value"), RecordHeader{"h", nil}, RecordHeader{"", []byte("x")})
	}
	return b.Bytes()
}

// patch overwrites bytes of a batch and mends the checksum.
func patch(b []byte, at int, with ...byte) []byte {
	b = append([]byte(nil), b...)
	copy(b[at:], with)
	stampCRC(b)
	return b
}

// raw wraps a payload into a batch that claims count records.
func raw(count int32, c codec.Codec, payload []byte) []byte {
	var e codec.Encoder
	h := Header{Magic: Magic, Attributes: int16(c), LastOffsetDelta: count - 1, BaseTimestamp: testNow, MaxTimestamp: testNow,
		ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1, Records: count}
	b, err := e.Append(h.Append(nil), c, 0, payload)
	if err != nil {
		panic(err)
	}
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-Overhead))
	stampCRC(b)
	return b
}

func TestFaults(t *testing.T) {
	good := three(nil)
	cases := []struct {
		name  string
		bytes []byte
		limit func(*Limits)
		want  Fault
	}{
		{"sound", good, nil, FaultNone},
		{"nothing", nil, nil, FaultTruncated},
		{"header alone", good[:HeaderSize], nil, FaultTruncated},
		{"one byte short", good[:len(good)-1], nil, FaultTruncated},
		{"one byte more", append(good[:len(good):len(good)], 0), nil, FaultExtraBatches},
		{"two batches", append(good[:len(good):len(good)], good...), nil, FaultExtraBatches},
		{"length 13", patch(good, atLength, 0, 0, 0, 13), nil, FaultMalformed},
		{"length negative", patch(good, atLength, 0xff, 0xff, 0xff, 0xff), nil, FaultMalformed},
		{"length below a header", patch(good, atLength, 0, 0, 0, 48)[:60], nil, FaultMalformed},
		{"magic 0", patch(good, atMagic, 0), nil, FaultMagic},
		{"magic 1", patch(good, atMagic, 1), nil, FaultMagic},
		{"magic 3", patch(good, atMagic, 3), nil, FaultMalformed},
		{"magic -1", patch(good, atMagic, 0xff), nil, FaultMalformed},
		{"base offset 1", three(func(b *Builder) { b.BaseOffset = 1 }), nil, FaultBaseOffset},
		{"too large", good, func(l *Limits) { l.MaxBatchBytes = len(good) - 1 }, FaultTooLarge},
		{"just not too large", good, func(l *Limits) { l.MaxBatchBytes = len(good) }, FaultNone},
		{"bit flipped", append(good[:len(good)-1:len(good)-1], good[len(good)-1]^1), nil, FaultCRC},
		{"codec 5", patch(good, atAttributes, 0, 5), nil, FaultCodec},
		{"codec 7", patch(good, atAttributes, 0, 7), nil, FaultCodec},
		{"no records", patch(patch(good, atRecords, 0, 0, 0, 0), atLastOffsetDelta, 0, 0, 0, 0), nil, FaultCount},
		{"empty batch", NewBuilder().Bytes(), nil, FaultCount},
		{"negative count", patch(good, atRecords, 0xff, 0xff, 0xff, 0xff), nil, FaultCount},
		{"count over the range", patch(good, atRecords, 0, 0, 0, 4), nil, FaultCount},
		{"range over the count", patch(good, atLastOffsetDelta, 0, 0, 0, 3), nil, FaultCount},
		{"range of 2^31", patch(patch(good, atLastOffsetDelta, 0x7f, 0xff, 0xff, 0xff), atRecords, 0x80, 0, 0, 0), nil, FaultCount},
		{"negative range", patch(good, atLastOffsetDelta, 0xff, 0xff, 0xff, 0xff), nil, FaultOffsets},
		{"control", three(func(b *Builder) { b.Control = true }), nil, FaultControl},
		{"producer without sequence", three(func(b *Builder) { b.ProducerID = 7 }), nil, FaultSequence},
		{"producer with sequence", three(func(b *Builder) { b.ProducerID, b.ProducerEpoch, b.BaseSequence = 7, 0, 0 }), nil, FaultNone},
		{"four announced", patch(patch(good, atRecords, 0, 0, 0, 4), atLastOffsetDelta, 0, 0, 0, 3), nil, FaultRecord},
		{"two announced", patch(patch(good, atRecords, 0, 0, 0, 2), atLastOffsetDelta, 0, 0, 0, 1), nil, FaultRecord},
		{"late", good, func(l *Limits) { l.NowMs, l.TimestampBeforeMax = testNow+10, 9 }, FaultTimestamp},
		{"just not late", good, func(l *Limits) { l.NowMs, l.TimestampBeforeMax = testNow+10, 10 }, FaultNone},
		{"early", good, func(l *Limits) { l.NowMs, l.TimestampAfterMax = testNow-10, 11 }, FaultTimestamp},
		{"just not early", good, func(l *Limits) { l.NowMs, l.TimestampAfterMax = testNow-10, 12 }, FaultNone},
		{"late, but append time", good, func(l *Limits) { l.CreateTime, l.NowMs, l.TimestampBeforeMax = false, testNow+10, 9 }, FaultNone},
		{"keys there", good, func(l *Limits) { l.KeyRequired = true }, FaultNone},
		{"key missing", keyless(), func(l *Limits) { l.KeyRequired = true }, FaultKeyMissing},
		{"key not needed", keyless(), nil, FaultNone},
		{"key missing and late", keyless(), func(l *Limits) { l.KeyRequired, l.TimestampBeforeMax, l.NowMs = true, 0, testNow+1 }, FaultTimestamp},
		{"append time set by a client", three(func(b *Builder) { b.AppendTime = true }), func(l *Limits) { l.CreateTime = false }, FaultTimestamp},
		{"append time on a create time topic", three(func(b *Builder) { b.AppendTime = true }), nil, FaultNone},
		{"garbage gzip", patch(good, atAttributes, 0, 1), nil, FaultCompressed},
		{"garbage snappy", patch(good, atAttributes, 0, 2), nil, FaultCompressed},
		{"garbage lz4", patch(good, atAttributes, 0, 3), nil, FaultCompressed},
		{"garbage zstd", patch(good, atAttributes, 0, 4), nil, FaultCompressed},
	}
	var v Validator
	for _, c := range cases {
		lim := testLimits()
		if c.limit != nil {
			c.limit(&lim)
		}
		got := Validate(&v, c.bytes, lim)
		if got.Fault != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.Fault, c.want)
		}
		if (got.Record >= 0) != (c.want >= FaultRecord) {
			t.Errorf("%s: record %d", c.name, got.Record)
		}
	}
}

func keyless() []byte {
	b := NewBuilder()
	b.Add(testNow, []byte("k"), nil)
	b.Add(testNow+1, nil, []byte("v"))
	return b.Bytes()
}

// TestBrokenRecords holds single records against Kafka's rules, uncompressed and under every codec.
func TestBrokenRecords(t *testing.T) {
	long := func(v ...byte) []byte { return v }
	cases := []struct {
		name    string
		payload []byte
		ok      bool
	}{
		{"least", long(12, 0, 0, 0, 1, 1, 0), true},
		{"empty key and value", long(12, 0, 0, 0, 0, 0, 0), true},
		{"null as -2", long(12, 0, 0, 0, 3, 3, 0), true},
		{"length in two bytes", long(0x8c, 0, 0, 0, 0, 1, 1, 0), true},
		{"length in five bytes", long(0x8c, 0x80, 0x80, 0x80, 0, 0, 0, 0, 1, 1, 0), true},
		{"length in six bytes", long(0x8c, 0x80, 0x80, 0x80, 0x80, 0, 0, 0, 0, 1, 1, 0), false},
		{"five bytes with bits to spare", long(0x8c, 0x80, 0x80, 0x80, 0x70, 0, 0, 0, 1, 1, 0), true},
		{"timestamp delta in ten bytes", long(30, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 1, 1, 0), true},
		{"timestamp delta in eleven bytes", long(32, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 1, 1, 0), false},
		{"length 0", long(0, 0, 0, 0, 1, 1, 0), false},
		{"length negative", long(1, 0, 0, 0, 1, 1, 0), false},
		{"length too short", long(10, 0, 0, 0, 1, 1, 0), false},
		{"length too long", long(14, 0, 0, 0, 1, 1, 0), false},
		{"length too long, byte there", long(14, 0, 0, 0, 1, 1, 0, 0), false},
		{"byte behind", long(12, 0, 0, 0, 1, 1, 0, 0), false},
		{"key beyond", long(12, 0, 0, 0, 6, 1, 0), false},
		{"key over the value", long(14, 0, 0, 0, 4, 1, 1, 0), false},
		{"value beyond", long(12, 0, 0, 0, 1, 4, 0), false},
		{"value eats the header count", long(12, 0, 0, 0, 1, 2, 0), false},
		{"no header count", long(10, 0, 0, 0, 1, 1), false},
		{"negative header count", long(12, 0, 0, 0, 1, 1, 1), false},
		{"header missing", long(12, 0, 0, 0, 1, 1, 2), false},
		{"2^30 headers", long(20, 0, 0, 0, 1, 1, 0x80, 0x80, 0x80, 0x80, 8), false},
		{"header", long(16, 0, 0, 0, 1, 1, 2, 0, 0), true},
		{"header with null value", long(16, 0, 0, 0, 1, 1, 2, 0, 1), true},
		{"header with null key", long(16, 0, 0, 0, 1, 1, 2, 1, 0), false},
		{"header key beyond", long(16, 0, 0, 0, 1, 1, 2, 4, 0), false},
		{"header value beyond", long(16, 0, 0, 0, 1, 1, 2, 0, 2), false},
		{"attributes ignored", long(12, 0xff, 0, 0, 1, 1, 0), true},
		{"nothing", nil, false},
	}
	var v Validator
	var it Iterator
	for _, c := range cases {
		for k := codec.None; k <= codec.Zstd; k++ {
			b := raw(1, k, c.payload)
			got := Validate(&v, b, testLimits())
			if got.Fault == FaultNone != c.ok || !c.ok && got.Fault != FaultRecord {
				t.Errorf("%s, %s: %s", c.name, k, got.Fault)
			}
			it.Reset(b, 1<<20)
			n := 0
			for it.Next() {
				n++
			}
			if it.Err() == nil != c.ok || c.ok && n != 1 {
				t.Errorf("%s, %s: the iterator says %v after %d", c.name, k, it.Err(), n)
			}
		}
	}
}

func TestVerdict(t *testing.T) {
	var v Validator
	b := three(nil)
	got := Validate(&v, b, testLimits())
	if got.MaxTimestamp != testNow+2 || got.Restamp || got.Rewrite || got.Header.Records != 3 || got.Record != -1 {
		t.Errorf("sound: %+v", got)
	}
	// The header's maximum lies: Kafka writes the right one over it.
	lying := patch(b, atMaxTimestamp, 0, 0, 0, 0, 0, 0, 0, 9)
	if got = Validate(&v, lying, testLimits()); !got.Restamp || got.MaxTimestamp != testNow+2 || got.Fault != FaultNone {
		t.Errorf("lying maximum: %+v", got)
	}
	StampMaxTimestamp(lying, got.MaxTimestamp)
	if !bytes.Equal(lying, b) {
		t.Error("stamping the true maximum does not give the sound batch")
	}
	// A client's append time on a create time topic becomes create time again.
	append := three(func(b *Builder) { b.AppendTime = true })
	if got = Validate(&v, append, testLimits()); !got.Restamp || got.MaxTimestamp != testNow+2 {
		t.Errorf("append time: %+v", got)
	}
	StampMaxTimestamp(append, got.MaxTimestamp)
	if !bytes.Equal(append, b) {
		t.Error("append time is still there")
	}
	lim := testLimits()
	lim.CreateTime, lim.NowMs = false, testNow+99
	if got = Validate(&v, b, lim); !got.Restamp || got.MaxTimestamp != testNow+99 {
		t.Errorf("topic with append time: %+v", got)
	}
	StampAppendTime(b, got.MaxTimestamp)
	if h, _ := ReadHeader(b); !CheckCRC(b) || !h.IsAppendTime() || h.MaxTimestamp != testNow+99 || h.BaseTimestamp != testNow {
		t.Errorf("stamped: %+v", h)
	}
}

// TestRewrite: gaps and repetitions are told apart from faults, whatever the codec, and the Recoder mends them.
func TestRewrite(t *testing.T) {
	var v Validator
	var r Recoder
	for c := codec.None; c <= codec.Zstd; c++ {
		for _, deltas := range [][]int32{{0, 0, 2}, {0, 2, 2}, {0, -1, 2}, {0, 3, 2}, {1, 2, 3}} {
			b := NewBuilder()
			b.Codec = c
			for _, delta := range deltas {
				b.AddAt(delta, testNow, nil, nil)
			}
			out := b.Bytes()
			out = patch(out, atLastOffsetDelta, 0, 0, 0, 2)
			if got := Validate(&v, out, testLimits()); got.Fault != FaultNone || !got.Rewrite {
				t.Errorf("%s, %v: %+v", c, deltas, got)
			}
			out, err := r.Append(nil, out, c, 0, 1000)
			if got := Validate(&v, out, testLimits()); err != nil || got.Fault != FaultNone || got.Rewrite {
				t.Errorf("%s, %v mended: %+v, %v", c, deltas, got, err)
			}
		}
	}
}

func TestRecordFaults(t *testing.T) {
	b := NewBuilder()
	for i := range int32(100) {
		var key []byte
		if i%3 != 1 {
			key = []byte("k")
		}
		b.Add(testNow+int64(i%2)*int64(1e9), key, nil)
	}
	lim := testLimits()
	lim.KeyRequired = true
	var v Validator
	got := Validate(&v, b.Bytes(), lim)
	faults := v.RecordFaults()
	if got.Fault != FaultTimestamp || got.Record != 1 || len(faults) != recordFaultsMax {
		t.Fatalf("%s at %d, %d faults", got.Fault, got.Record, len(faults))
	}
	if want := []RecordFault{{1, FaultKeyMissing}, {3, FaultTimestamp}, {4, FaultKeyMissing}, {5, FaultTimestamp}}; !equal(faults[:4], want) {
		t.Errorf("faults %v, want %v", faults[:4], want)
	}
	if got = Validate(&v, []byte("short"), lim); got.Fault != FaultTruncated || len(v.RecordFaults()) != 0 {
		t.Errorf("stale record faults: %s, %v", got.Fault, v.RecordFaults())
	}
	if got = Validate(&v, three(nil), lim); got.Fault != FaultNone || len(v.RecordFaults()) != 0 {
		t.Errorf("afterwards: %s, %v", got.Fault, v.RecordFaults())
	}
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// TestTimestampEdges compares run's prepared window with Kafka's arithmetic, wrap-around included.
func TestTimestampEdges(t *testing.T) {
	edges := []int64{math.MinInt64, math.MinInt64 + 1, -1 << 62, -2, -1, 0, 1, testNow - 1, testNow, testNow + 1, 1 << 62, math.MaxInt64 - 1, math.MaxInt64}
	for _, now := range edges {
		for _, before := range edges {
			for _, after := range edges {
				for _, stamp := range edges {
					w := walk{createTime: true, now: now, beforeMax: before, afterMax: after}
					w.prepare()
					age := now - stamp
					bad := age > before || -1*age > after
					if w.quickFrom == quickBytes && uint64(stamp-w.lower) <= w.span && bad {
						t.Fatalf("now %d before %d after %d: run lets %d pass", now, before, after, stamp)
					}
					if now == testNow && before == math.MaxInt64 && after == 1 && stamp == testNow && uint64(stamp-w.lower) > w.span {
						t.Fatal("an ordinary timestamp is not quick")
					}
				}
			}
		}
	}
}

func TestOutputLimit(t *testing.T) {
	for c := codec.Gzip; c <= codec.Zstd; c++ {
		b := NewBuilder()
		b.Codec = c
		b.Add(testNow, nil, make([]byte, 3<<20))
		size := b.RawSize() - HeaderSize
		lim := testLimits()
		var v Validator
		lim.OutputMax = size
		if got := Validate(&v, b.Bytes(), lim); got.Fault != FaultNone {
			t.Errorf("%s at its size: %s", c, got.Fault)
		}
		lim.OutputMax = size - 1
		if got := Validate(&v, b.Bytes(), lim); got.Fault != FaultInflated {
			t.Errorf("%s over the limit: %s", c, got.Fault)
		}
	}
}

func TestSlow(t *testing.T) {
	big := make([]byte, SlowBytes+1)
	if Slow(big) || Slow(three(func(b *Builder) { b.Codec = codec.Zstd })) {
		t.Error("uncompressed or small is slow")
	}
	big[atAttributes+1] = byte(codec.LZ4)
	if !Slow(big) || Slow(nil) {
		t.Error("large and compressed is not slow")
	}
}

// TestWalkWays: the quick way, the general way, a window that ends anywhere and the way for large records agree on any payload.
func TestWalkWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload, count := drawPayload(t)
		lim := testLimits()
		lim.KeyRequired = rapid.Bool().Draw(t, "keyed")
		lim.CreateTime = rapid.Bool().Draw(t, "create")
		lim.TimestampBeforeMax = rapid.SampledFrom([]int64{5, 100, math.MaxInt64}).Draw(t, "before")
		compareWays(t, payload, count, lim)
	})
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

func compareWays(t fataler, payload []byte, count int32, lim Limits) {
	t.Helper()
	h := Header{Records: count, BaseTimestamp: testNow}
	var quick, general walk
	quick.begin(&h, &lim)
	general.begin(&h, &lim)
	general.quickFrom = math.MaxInt
	quickUsed, quickOK := quick.run(payload)
	generalUsed, generalOK := general.run(payload)
	general.quickFrom = quick.quickFrom
	if quickUsed != generalUsed || quickOK != generalOK || quick != general {
		t.Fatalf("quick: %d %v %+v\ngeneral: %d %v %+v", quickUsed, quickOK, quick, generalUsed, generalOK, general)
	}
	whole := quickOK && quickUsed == len(payload) && quick.next == count
	for _, size := range []int{7, 16, 61} {
		v := Validator{window: make([]byte, max(size, varlongMax))}
		v.walk.begin(&h, &lim)
		fault := v.stream(codec.None, payload, len(payload))
		if (fault == FaultNone) != whole || whole && v.walk != quick {
			t.Fatalf("window of %d: %s %+v\nwant %v %+v", size, fault, v.walk, whole, quick)
		}
	}
}

// drawPayload makes records, then perhaps damages a few bytes.
func drawPayload(t *rapid.T) ([]byte, int32) {
	b := NewBuilder()
	blob := rapid.SampledFrom([]int{-1, 0, 1, 5, 62, 63, 64, 65, 100, 8190, 8192, 9000})
	for range rapid.IntRange(1, 12).Draw(t, "records") {
		var headers []RecordHeader
		for range rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(t, "headers") {
			headers = append(headers, RecordHeader{"head", drawBlob(t, blob)})
		}
		stamp := testNow + rapid.SampledFrom([]int64{0, 1, -1, 63, 64, -64, -65, 4095, 4096, 8191, -8192, 1e6, 1e12, -testNow - 1}).Draw(t, "stamp")
		if rapid.IntRange(0, 9).Draw(t, "gap") == 0 {
			b.AddAt(rapid.Int32().Draw(t, "delta"), stamp, drawBlob(t, blob), drawBlob(t, blob), headers...)
		} else {
			b.Add(stamp, drawBlob(t, blob), drawBlob(t, blob), headers...)
		}
	}
	payload := append([]byte(nil), b.records...)
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "damage") {
		payload[rapid.IntRange(0, len(payload)-1).Draw(t, "at")] = rapid.SampledFrom([]byte{0, 1, 2, 3, 12, 0x7f, 0x80, 0x81, 0xff}).Draw(t, "byte")
	}
	payload = payload[:len(payload)-rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "cut")]
	return payload, b.count + rapid.SampledFrom([]int32{0, 0, 0, 1}).Draw(t, "extra")
}

func drawBlob(t *rapid.T, sizes *rapid.Generator[int]) []byte {
	n := sizes.Draw(t, "size")
	if n < 0 {
		return nil
	}
	return bytes.Repeat([]byte{byte(n)}, n)
}

// TestValidateAllocs: an uncompressed batch costs no allocation, a compressed one none after the first.
func TestValidateAllocs(t *testing.T) {
	for c := codec.None; c <= codec.Zstd; c++ {
		b := benchBatch(c, 200, 100)
		var v Validator
		lim := testLimits()
		validate := func() {
			if verdict := Validate(&v, b, lim); verdict.Fault != FaultNone {
				t.Fatal(verdict.Fault)
			}
		}
		got := testing.AllocsPerRun(50, validate)
		for try := 0; got > 0 && try < 3; try++ { // a collection empties the pool of decoders
			got = testing.AllocsPerRun(50, validate)
		}
		if got > 0 {
			t.Errorf("%s: %.1f allocations", c, got)
		}
	}
}
