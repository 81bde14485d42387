package hostile

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

const (
	// allocFree and allocPerByte bound what decoding one mutant may allocate.
	allocFree    = 64 << 10
	allocPerByte = 8
	// walkBudget is as generous as the broker is.
	walkBudget = 64 << 20
	// decoded is how many mutants are measured.
	decoded = 60_000
)

// decodeAsBroker decodes a frame without its length as a shard does: a view for what is hot, the walk and kmsg for what is cold.
func decodeAsBroker(frame []byte) (ok bool) {
	h, err := wire.ParseHeader(frame)
	if err != nil || !h.Served() {
		return false
	}
	switch h.Key {
	case wire.KeyProduce:
		var v wire.ProduceView
		if v.Reset(h.Version, h.Body) != nil {
			return false
		}
		_, _, err := v.Check()
		return err == nil
	case wire.KeyFetch:
		var v wire.FetchView
		if v.Reset(h.Version, h.Body) != nil {
			return false
		}
		_, _, err := v.Check()
		return err == nil
	}
	if wire.Walk(h.Key, h.Version, h.Body, walkBudget) != nil {
		return false
	}
	req := kmsg.RequestForKey(h.Key)
	req.SetVersion(h.Version)
	return req.ReadFrom(h.Body) == nil
}

// Decoding a mutant costs memory in proportion to what was sent, whatever its counts say.
func TestDecodingMutantsAllocatesInProportion(t *testing.T) {
	m := mutator{Rand: rand.New(rand.NewPCG(3, 3)), templates: templates()}
	var before, after runtime.MemStats
	good, worst := map[int16]int{}, map[int16]int{}
	var b []byte
	for i := range uint32(decoded) {
		var x *template
		b, x, _ = m.frame(b[:0], i)
		runtime.ReadMemStats(&before)
		ok := decodeAsBroker(b[4:])
		runtime.ReadMemStats(&after)
		if ok {
			good[x.key]++
		}
		got := int(after.TotalAlloc - before.TotalAlloc)
		worst[x.key] = max(worst[x.key], got)
		if got > allocFree+allocPerByte*len(b) {
			t.Errorf("%s v%d: %d bytes are allocated for %d: %x", kmsg.NameForKey(x.key), x.version, got, len(b), b)
		}
	}
	for i := range wire.Keys {
		key := wire.Keys[i].Key
		t.Logf("%-24s %6d decoded, %6d bytes at most", wire.Keys[i].Name, good[key], worst[key])
		if good[key] == 0 {
			t.Errorf("%s: no mutant was decoded", wire.Keys[i].Name)
		}
	}
}
