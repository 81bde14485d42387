package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The runtime collects when the heap has grown by a part of itself, and gives back what is beyond the next such point only. After a burst, such as
// the making of ten thousand partitions, a broker that is left alone therefore keeps what the burst dropped, up to half of what lives, for minutes or
// for good. Thrift collects once such a burst is over and gives everything free back.
const (
	thriftEvery = time.Second / 2

	// A broker is at rest where it allocates no more than this in thriftEvery. Serving allocates next to nothing, so that one that serves is at rest as well.
	restBytesMax = 32 << 10

	// Collecting costs in proportion to what lives, about a millisecond of a core for a megabyte. It is done for at least this part of that, and so, at
	// restBytesMax, takes a thousandth of a core at most, however large the heap.
	thriftPart     = 16
	thriftBytesMin = 512 << 10
)

// heapUse is what the runtime says of its heap.
type heapUse struct {
	allocated uint64 // ever
	live      uint64 // found alive by the last collection
	objects   uint64 // alive, or not collected yet
	free      uint64 // in use by nothing, and not given back
}

// spare is what a collection may give back: what was allocated since the last one, some of which lives, and what is free.
func (u heapUse) spare() uint64 { return max(u.objects, u.live) - u.live + u.free }

// thrift decides when to collect, from one look at the heap after another.
type thrift struct {
	allocated uint64 // at the last look
	kept      uint64 // spare right after the last collection: no other will get that either
}

// due reports whether a collection now is worth its while.
func (t *thrift) due(u heapUse) bool {
	grown := u.allocated - t.allocated
	t.allocated = u.allocated
	return grown <= restBytesMax && u.spare() >= t.kept+max(thriftBytesMin, u.live/thriftPart)
}

// collected is told what the heap was right after a collection.
func (t *thrift) collected(u heapUse) { t.kept = u.spare() }

// beThrifty looks at the heap until ctx ends.
func beThrifty(ctx context.Context) {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	look := func() heapUse {
		metrics.Read(samples)
		return heapUse{samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64(), samples[3].Value.Uint64()}
	}
	var t thrift
	every := time.NewTicker(thriftEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			if t.due(look()) {
				debug.FreeOSMemory()
				t.collected(look())
			}
		}
	}
}
