package shard

import (
	"sync/atomic"
	"time"

	"pinion/engine/clock"
)

// busy is how much of its time a shard works.
type busy struct {
	share atomic.Uint32 // thousandths, in the last window; any thread reads it, and it orders nothing

	// Owned by the shard.
	since clock.Mono
	spent time.Duration
}

// busyWindow is over how long the share is taken, at least: a shard that sleeps longer has one when it wakes.
const busyWindow = 50 * time.Millisecond

// worked counts a turn.
func (b *busy) worked(began, ended clock.Mono) {
	b.spent += ended.Sub(began)
	if d := ended.Sub(b.since); d >= busyWindow {
		b.share.Store(uint32(1000 * b.spent / d))
		b.spent, b.since = 0, ended
	}
}

// Busy is the share of its time that the shard worked lately, from 0 to 1: some 50 ms, or since before its last sleep. Any thread may ask.
func (s *Shard) Busy() float64 { return float64(s.busy.share.Load()) / 1000 }
