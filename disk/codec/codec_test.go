package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"pgregory.net/rapid"
)

const cap64 = 64 << 20

func decode(t testing.TB, r *Reader, c Codec, src []byte, most int) ([]byte, error) {
	t.Helper()
	r.Reset(c, src, most)
	out, err := io.ReadAll(r)
	if err == nil {
		if n, again := r.Read(make([]byte, 1)); n != 0 || again != io.EOF {
			t.Fatalf("%s: read after the end: %d bytes, %v", c, n, again)
		}
	}
	return out, err
}

// payloads differ in size around every block boundary and in how well they compress.
func payloads() map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300<<10)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	text := []byte(strings.Repeat("the quick brown fox jumps over the lazy dog; ", 6000))
	return map[string][]byte{
		"empty": {}, "one": {7}, "noise": noise, "text": text,
		"block": noise[:64<<10], "block+1": noise[:64<<10+1], "xerial block": text[:32<<10], "xerial block+1": text[:32<<10+1],
		"zeros": make([]byte, 5<<20),
	}
}

func TestRoundTrip(t *testing.T) {
	var e Encoder
	var r Reader
	for name, want := range payloads() {
		for c := None; c <= Zstd; c++ {
			for _, level := range []int{0, 1, 9} {
				packed, err := e.Append([]byte("head"), c, level, want)
				if err != nil {
					t.Fatalf("%s %s level %d: %v", name, c, level, err)
				}
				got, err := decode(t, &r, c, packed[4:], len(want))
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s %s level %d: %d bytes back of %d, %v", name, c, level, len(got), len(want), err)
				}
			}
		}
	}
}

// TestForeignStreams reads what other encoders write: multi-member gzip, raw snappy, joined xerial streams, lz4 with every option
// Kafka allows, zstd with and without content size.
func TestForeignStreams(t *testing.T) {
	for name, want := range payloads() {
		for what, stream := range foreign(t, want) {
			var r Reader
			got, err := decode(t, &r, stream.codec, stream.bytes, cap64)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s of %s: %d bytes back of %d, %v", what, name, len(got), len(want), err)
			}
		}
	}
}

type stream struct {
	codec Codec
	bytes []byte
}

func foreign(t testing.TB, src []byte) map[string]stream {
	half := len(src) / 2
	var members bytes.Buffer
	for _, part := range [][]byte{src[:half], src[half:]} {
		w := gzip.NewWriter(&members)
		w.Name = "named"
		w.Write(part)
		w.Close()
	}
	out := map[string]stream{
		"gzip members":  {Gzip, members.Bytes()},
		"raw snappy":    {Snappy, s2.EncodeSnappy(nil, src)},
		"joined xerial": {Snappy, appendXerial(appendXerial(nil, src[:half]), src[half:])},
	}
	for what, options := range map[string][]lz4.Option{
		"lz4 4M sums": {lz4.BlockSizeOption(lz4.Block4Mb), lz4.BlockChecksumOption(true), lz4.ChecksumOption(true)},
		"lz4 256K":    {lz4.BlockSizeOption(lz4.Block256Kb), lz4.ChecksumOption(false)},
		"lz4 sized":   {lz4.BlockSizeOption(lz4.Block1Mb), lz4.SizeOption(uint64(len(src))), lz4.CompressionLevelOption(lz4.Level9)},
	} {
		var b bytes.Buffer
		w := lz4.NewWriter(&b)
		if err := w.Apply(options...); err != nil {
			t.Fatal(err)
		}
		w.Write(src)
		w.Close()
		if len(src) > 0 { // that writer leaves an empty frame out
			out[what] = stream{LZ4, b.Bytes()}
		}
	}
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
	if err != nil {
		t.Fatal(err)
	}
	w.Write(src)
	w.Close()
	out["zstd streamed"] = stream{Zstd, b.Bytes()}
	return out
}

func TestOurStreamsReadElsewhere(t *testing.T) {
	var e Encoder
	for name, want := range payloads() {
		packed, err := e.Append(nil, LZ4, 0, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(lz4.NewReader(bytes.NewReader(packed)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("lz4 of %s: %d bytes back of %d, %v", name, len(got), len(want), err)
		}
	}
}

// TestOutputCap allows exactly the output, then one byte less.
func TestOutputCap(t *testing.T) {
	var e Encoder
	var r Reader
	for name, src := range payloads() {
		if len(src) == 0 {
			continue
		}
		all := foreign(t, src)
		for c := None; c <= Zstd; c++ {
			packed, _ := e.Append(nil, c, 0, src)
			all["our "+c.String()] = stream{c, packed}
		}
		for what, s := range all {
			if got, err := decode(t, &r, s.codec, s.bytes, len(src)); err != nil || len(got) != len(src) {
				t.Errorf("%s of %s at its exact size: %d bytes, %v", what, name, len(got), err)
			}
			if got, err := decode(t, &r, s.codec, s.bytes, len(src)-1); !errors.Is(err, ErrTooLarge) || len(got) >= len(src) {
				t.Errorf("%s of %s one byte short: %d bytes, %v; want ErrTooLarge", what, name, len(got), err)
			}
		}
	}
}

// TestTruncated cuts every stream everywhere: never a clean end with all bytes, never a panic.
func TestTruncated(t *testing.T) {
	src := []byte(strings.Repeat("abcdefghij0123456789", 40))
	var e Encoder
	var r Reader
	for c := Gzip; c <= Zstd; c++ {
		packed, _ := e.Append(nil, c, 0, src)
		for n := range packed {
			got, err := decode(t, &r, c, packed[:n], cap64)
			if err == nil && len(got) == len(src) {
				t.Errorf("%s cut at %d of %d was read whole", c, n, len(packed))
			}
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s cut at %d: %v does not wrap ErrCorrupt", c, n, err)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	dependent := frame(lz4Version, lz4WriteBlockBD)
	cases := map[string]stream{
		"codec 5":                   {5, []byte("x")},
		"codec 7":                   {7, []byte("x")},
		"lz4 dependent blocks":      {LZ4, append(dependent, 0, 0, 0, 0)},
		"lz4 dictionary":            {LZ4, append(frame(lz4Version|lz4Independent|lz4Dictionary, lz4WriteBlockBD), 0, 0, 0, 0)},
		"lz4 version 2":             {LZ4, append(frame(0x80|lz4Independent, lz4WriteBlockBD), 0, 0, 0, 0)},
		"lz4 block of 1 KiB":        {LZ4, append(frame(lz4Version|lz4Independent, 1<<4), 0, 0, 0, 0)},
		"lz4 wrong header checksum": {LZ4, []byte{4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0, 0, 0, 0, 0}},
		"lz4 legacy frame":          {LZ4, []byte{2, 0x21, 0x4c, 0x18, 0, 0, 0, 0, 0, 0, 0}},
		"lz4 block over its max":    {LZ4, append(frame(lz4Version|lz4Independent, lz4WriteBlockBD), 1, 0, 1, 0x80)},
		"snappy claims 4 GiB":       {Snappy, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61}},
		"snappy S2 repeat":          {Snappy, []byte{8, 0x0c, 'a', 'b', 'c', 'd', 0x01, 0x00}},
		"snappy xerial negative":    {Snappy, append(appendXerial(nil, nil), 0xff, 0xff, 0xff, 0xff)},
		"zstd noise":                {Zstd, []byte("not a frame at all")},
		"gzip noise":                {Gzip, []byte("not a member at all")},
	}
	var r Reader
	for name, c := range cases {
		if got, err := decode(t, &r, c.codec, c.bytes, cap64); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %d bytes, %v; want ErrCorrupt", name, len(got), err)
		}
	}
}

// frame is a sound lz4 frame header with the flags given.
func frame(flags, bd byte) []byte {
	b := []byte{4, 0x22, 0x4d, 0x18, flags, bd}
	return append(b, byte(xxh32(b[4:])>>8))
}

// TestBombMemory feeds bombs of every codec: the memory a Reader takes follows the limit, not the claim.
func TestBombMemory(t *testing.T) {
	var e Encoder
	bomb := make([]byte, 32<<20)
	for c := Gzip; c <= Zstd; c++ {
		packed, _ := e.Append(nil, c, 0, bomb)
		var r Reader
		if got, err := decode(t, &r, c, packed, 1<<20); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %d bytes of %d, %v; want ErrTooLarge", c, len(got), len(bomb), err)
		}
		if cap(r.scratch) > 1<<20+zstdSlack {
			t.Errorf("%s: %d bytes of scratch for a limit of 1 MiB", c, cap(r.scratch))
		}
	}
	var r Reader
	packed, _ := e.Append(nil, Zstd, 0, bomb)
	if _, err := decode(t, &r, Zstd, packed, len(bomb)); err != nil {
		t.Fatal(err)
	}
	if r.Reset(None, nil, 0); cap(r.scratch) > scratchKeep {
		t.Errorf("%d bytes of scratch are kept, want at most %d", cap(r.scratch), scratchKeep)
	}
}

func TestXXH32(t *testing.T) {
	// From xxhash_spec.md and the reference implementation, seed 0.
	for in, want := range map[string]uint32{"": 0x02cc5d05, "a": 0x550d7456, "abc": 0x32d153ff,
		"Nobody inspects the spammish repetition": 0xe2293b2f} {
		if got := xxh32([]byte(in)); got != want {
			t.Errorf("xxh32(%q) = %08x, want %08x", in, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for c := None; c <= Zstd; c++ {
		if got, ok := Parse(c.String()); !ok || got != c || !c.Valid() {
			t.Errorf("%s parses to %s, %v", c, got, ok)
		}
	}
	if c, ok := Parse("uncompressed"); !ok || c != None {
		t.Errorf("uncompressed parses to %s, %v", c, ok)
	}
	if _, ok := Parse("brotli"); ok || Codec(5).Valid() {
		t.Error("brotli or codec 5 is known")
	}
}

func TestRoundTripProperty(t *testing.T) {
	var e Encoder
	var r Reader
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "piece")
		src := bytes.Repeat(piece, rapid.IntRange(0, 4000).Draw(t, "times"))
		c := Codec(rapid.IntRange(0, 4).Draw(t, "codec"))
		packed, err := e.Append(nil, c, rapid.IntRange(0, 9).Draw(t, "level"), src)
		if err != nil {
			t.Fatal(err)
		}
		r.Reset(c, packed, len(src))
		got, err := io.ReadAll(&r)
		if err != nil || !bytes.Equal(got, src) {
			t.Fatalf("%s: %d bytes back of %d, %v", c, len(got), len(src), err)
		}
	})
}

// TestReaderAllocs: reading small batches again and again allocates nothing.
func TestReaderAllocs(t *testing.T) {
	src := []byte(strings.Repeat("the quick brown fox; ", 2000))
	var e Encoder
	var r Reader
	buf := make([]byte, 8<<10)
	for c := None; c <= Zstd; c++ {
		packed, _ := e.Append(nil, c, 0, src)
		got := testing.AllocsPerRun(50, func() {
			r.Reset(c, packed, len(src))
			for {
				if _, err := r.Read(buf); err != nil {
					return
				}
			}
		})
		if got > 0 {
			t.Errorf("%s: %.1f allocations per payload", c, got)
		}
	}
}

// FuzzReader: any bytes under any codec end in io.EOF or one of our two errors within the limit.
func FuzzReader(f *testing.F) {
	var e Encoder
	for c := None; c <= Zstd; c++ {
		packed, _ := e.Append(nil, c, 0, []byte(strings.Repeat("seed ", 50)))
		f.Add(byte(c), packed)
	}
	f.Add(byte(Snappy), s2.EncodeSnappy(nil, []byte("raw snappy raw snappy")))
	var r Reader
	f.Fuzz(func(t *testing.T, c byte, src []byte) {
		const most = 1 << 20
		watch := time.AfterFunc(10*time.Second, func() { panic(fmt.Sprintf("%s hangs on %x", Codec(c&7), src)) })
		defer watch.Stop()
		got, err := decode(t, &r, Codec(c&7), src, most)
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) {
			t.Fatalf("unexpected error: %v", err)
		}
		if len(got) > most || cap(r.scratch) > scratchKeep {
			t.Fatalf("%d bytes out, %d scratch", len(got), cap(r.scratch))
		}
	})
}
