package shard

import (
	"sync/atomic"
	"time"

	"pinion/engine/clock"
)

// vigil has the runtime's monitor awake, and calm, at the moments at which shards look at their slow descriptors. With all processors idle the monitor
// sleeps until the next timer of the runtime. A shard that wakes from its sleep wakes it too, and it then goes on every 20 us, taking processors from
// shards for having had them for too long: a third of what idle clients cost. If it wakes by a timer a little earlier, it
// goes on every 10 ms, and finds the shards asleep again. So this sets such timers, from one goroutine for all shards, and does nothing else.
type vigil struct {
	clock clock.Clock
	call  chan struct{} // room for one; closed at the end
	// lookers are the shards that look at every such moment. Whoever makes it one calls; orders with nothing else.
	lookers atomic.Int32
	kept    atomic.Uint64 // moments waited for
}

// vigilLead is how long before the shards the monitor wakes: more than a timer is late, and so little that its next look, 10 ms on, finds them done.
const vigilLead = time.Millisecond

func newVigil(clk clock.Clock) *vigil { return &vigil{clock: clk, call: make(chan struct{}, 1)} }

// join is called by a shard that begins to look at every moment.
func (v *vigil) join() {
	if v.lookers.Add(1) > 1 {
		return
	}
	select {
	case v.call <- struct{}{}:
	default: // it has been called and is not there yet
	}
}

// leave is called by a shard that ends it.
func (v *vigil) leave() { v.lookers.Add(-1) }

func (v *vigil) run() {
	for range v.call {
		for v.lookers.Load() > 0 {
			time.Sleep(slowSpan - time.Duration(v.clock.Now().Mono.Add(vigilLead))%slowSpan)
			v.kept.Add(1)
		}
	}
}
