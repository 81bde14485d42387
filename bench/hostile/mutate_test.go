package hostile

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// Every key and version has valid frames, and what is said of their parts is so.
func TestTemplatesKnowTheirParts(t *testing.T) {
	seen := map[[2]int16]bool{}
	kinds := map[kind]int{}
	for _, variants := range templates() {
		for _, x := range variants {
			seen[[2]int16{x.key, x.version}] = true
			req := kmsg.RequestForKey(x.key)
			req.SetVersion(x.version)
			if err := req.ReadFrom(x.frame[x.body:]); err != nil {
				t.Fatalf("%s v%d: %v", kmsg.NameForKey(x.key), x.version, err)
			}
			for _, s := range x.spots {
				kinds[s.kind]++
				if err := plausible(x, s); err != "" {
					t.Errorf("%s v%d: spot %+v: %s in\n%x", kmsg.NameForKey(x.key), x.version, s, err, x.frame)
				}
			}
			for _, b := range x.batches {
				if size := binary.BigEndian.Uint32(x.frame[b.from+8:]); int(size)+12 != b.to-b.from {
					t.Errorf("a batch of %d bytes lies in %d", size, b.to-b.from)
				}
			}
			list, open := deliver(rand.New(rand.NewPCG(1, 1)), bytes.Clone(x.frame), nil)
			if len(list) != 1 || open || list[0].key != x.key || list[0].fate == refused || (list[0].fate == silent) != x.silent {
				t.Errorf("%s v%d is delivered as %+v, %v", kmsg.NameForKey(x.key), x.version, list, open)
			}
		}
	}
	for i := range wire.Keys {
		for version := wire.Keys[i].Min; version <= wire.Keys[i].Max; version++ {
			if !seen[[2]int16{wire.Keys[i].Key, version}] {
				t.Errorf("%s v%d has no template", wire.Keys[i].Name, version)
			}
		}
	}
	for _, k := range []kind{kindNumber, kindShort, kindLong, kindVarint, kindTags} {
		if kinds[k] < 50 {
			t.Errorf("%d spots of kind %d", kinds[k], k)
		}
	}
}

// plausible says what is wrong with a spot: what a valid frame has there cannot be.
func plausible(x *template, s spot) string {
	left := len(x.frame) - s.at
	fits := func(n, prefix int) string {
		if n < -1 || n > left-prefix {
			return "a length beyond the frame"
		}
		return ""
	}
	switch s.kind {
	case kindShort:
		return fits(int(int16(binary.BigEndian.Uint16(x.frame[s.at:]))), 2)
	case kindLong:
		return fits(int(int32(binary.BigEndian.Uint32(x.frame[s.at:]))), 4)
	case kindVarint:
		v, n := binary.Uvarint(x.frame[s.at:])
		return fits(int(v)-1, n)
	case kindTags:
		if x.frame[s.at] != 0 {
			return "tagged fields where there are none"
		}
	case kindNumber:
		if s.at < x.body || s.width > left {
			return "a number outside the body"
		}
	}
	return ""
}

// The same seed makes the same bytes, and mutants are what they say: untouched or not.
func TestMutantsFollowFromTheSeed(t *testing.T) {
	list := templates()
	stream := func(seed uint64) []byte {
		m := mutator{Rand: rand.New(rand.NewPCG(seed, 9)), templates: list}
		var b []byte
		for i := range uint32(20_000) {
			start := len(b)
			var x *template
			var untouched bool
			b, x, untouched = m.frame(b, i)
			if got := b[start:]; untouched {
				want := bytes.Clone(x.frame)
				binary.BigEndian.PutUint32(want[atCorrelation:], i)
				if !bytes.Equal(got, want) {
					t.Fatalf("mutant %d says that it is untouched", i)
				}
			}
			if len(b) > 1<<20 {
				b = b[:0]
			}
		}
		return b
	}
	if !bytes.Equal(stream(1), stream(1)) {
		t.Error("one seed made two streams")
	}
	if bytes.Equal(stream(1), stream(2)) {
		t.Error("two seeds made one stream")
	}
}

// A checker must be able to fail.
func TestAnswersThatLieAreSeen(t *testing.T) {
	resp := kmsg.NewPtrMetadataResponse()
	resp.SetVersion(9)
	resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{NodeID: 1, Host: "host", Port: 9})
	good := append([]byte{0}, resp.AppendTo(nil)...)
	e := expected{key: wire.KeyMetadata, version: 9}
	if err := wellFormed(e, good); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"cut": good[:len(good)-1], "longer": append(bytes.Clone(good), 0), "without header tags": good[1:],
	} {
		if wellFormed(e, bad) == nil {
			t.Errorf("%s: passed", name)
		}
	}
	a := attacker{expected: []expected{{key: 3, correlation: 5}, {key: 3, correlation: 6}}}
	if _, err := a.match(6); err == nil {
		t.Error("an answer out of order passed")
	}
	a.expected = []expected{{key: -1, fate: refused, correlation: 5}}
	if _, err := a.match(5); err == nil {
		t.Error("an answer to a request that must be refused passed")
	}
}

// replayEnv names a file with a transcript to send instead of those that are kept.
const replayEnv = "HOSTILE_REPLAY"

// TestTranscripts sends what was once answered wrongly.
func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.hex")
	if err != nil {
		t.Fatal(err)
	}
	if path := os.Getenv(replayEnv); path != "" {
		paths = []string{path}
	}
	if len(paths) == 0 {
		t.Fatal("no transcripts")
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b := startBroker(t)
			if err := Replay(b, string(text)); err != nil {
				t.Fatal(err)
			}
			b.MustStop(t)
		})
	}
}
