package shard

import (
	"math/bits"
	"time"
)

// TurnBuckets is the number of turn-time buckets: bucket 0 counts turns without duration, bucket i those of [2^(i-1), 2^i)
// nanoseconds, the last all longer ones.
const TurnBuckets = 40

// Stats are a shard's own counters, plain integers that only its thread writes. Others get a copy by mail (Inspect).
type Stats struct {
	Turns  uint64
	Sleeps uint64
	Mail   uint64
	Busy   time.Duration // time spent in turns
	Times  [TurnBuckets]uint64
	Pinned bool
}

func (st *Stats) turned(d time.Duration) {
	st.Turns++
	st.Busy += d
	st.Times[min(bits.Len64(uint64(d)), TurnBuckets-1)]++
}

// Stats copies the counters of the shard that runs the turn.
func (t *Turn) Stats() Stats { return t.shard.stats }

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
