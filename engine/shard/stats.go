package shard

import (
	"math/bits"
	"time"
)

// Times counts durations by powers of two: bucket 0 those of nothing, bucket i those of [2^(i-1), 2^i) nanoseconds, the last all
// longer ones.
type Times struct {
	Count [40]uint64
	Sum   time.Duration
}

// Observe counts one duration.
func (x *Times) Observe(d time.Duration) {
	x.Sum += d
	x.Count[min(bits.Len64(uint64(max(d, 0))), len(x.Count)-1)]++
}

// Total is the number of durations counted.
func (x *Times) Total() uint64 {
	n := uint64(0)
	for _, c := range x.Count {
		n += c
	}
	return n
}

// Stats are a shard's own counters, plain integers that only its thread writes. Others get a copy by mail (Visit).
type Stats struct {
	Sleeps    uint64
	Mail      uint64
	Doorbells uint64 // sleeping shards woken
	Jobs      uint64 // given to helpers
	Waiting   int    // of those, not taken over by a helper's queue yet
	Turns     Times
	Pinned    bool
}

// Stats copies the counters of the shard that runs the turn.
func (t *Turn) Stats() Stats {
	st := t.shard.stats
	st.Waiting = len(t.shard.errands) + len(t.shard.bulkErrands)
	return st
}

// Visit is mail from outside the shards: it runs a function on the shard and then tells the sender.
type Visit struct {
	Letter
	run  func(t *Turn)
	done chan struct{}
}

// Deliver runs the visitor's function.
func (v *Visit) Deliver(t *Turn) {
	v.run(t)
	close(v.done)
}

// Visit runs f on the shard and returns a channel that is closed afterwards. It allocates; it is for administration and tests.
func (s *Shard) Visit(f func(t *Turn)) <-chan struct{} {
	v := &Visit{run: f, done: make(chan struct{})}
	s.Post(v)
	return v.done
}
