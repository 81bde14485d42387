package partition

import (
	"sync/atomic"
	"time"

	"pinion/engine/clock"
)

// Cleaners bounds the compactions of a node: how many at a time (log.cleaner.threads), and how many bytes they read and write together
// (log.cleaner.io.max.bytes.per.second). All sets of a node share one. The zero value is ready.
type Cleaners struct {
	running atomic.Int32
	turnstile
}

// turnstile holds what many move together to a rate. The zero value is ready.
type turnstile struct {
	paid atomic.Int64 // clock.Mono at which what was moved so far is within the rate; it orders nothing else
}

// begin takes one of limit places, if one is free.
func (c *Cleaners) begin(limit int32) bool {
	for {
		n := c.running.Load()
		if n >= limit {
			return false
		}
		if c.running.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (c *Cleaners) end() { c.running.Add(-1) }

// pay counts bytes that were moved and returns how long to wait before the next ones.
func (c *turnstile) pay(bytes int64, perSecond float64, now clock.Mono) time.Duration {
	cost := min(float64(bytes)/max(perSecond, 1), 3600) * float64(time.Second)
	for {
		old := c.paid.Load()
		next := max(old, int64(now)) + int64(cost)
		if c.paid.CompareAndSwap(old, next) {
			return time.Duration(next - int64(now))
		}
	}
}
