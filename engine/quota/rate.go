package quota

import (
	"math"
	"sync/atomic"
	"time"

	"pinion/engine/clock"
)

// Rate is how much of something a node may do in a second, whoever asks for it. Callable anywhere; a nil one allows everything.
type Rate struct {
	pace  Pace
	meter *Meter
	limit atomic.Int64 // math.MaxInt32 and more: none
}

// NewRate makes one that allows everything.
func NewRate(p Pace) *Rate {
	p = p.bounded()
	r := &Rate{pace: p, meter: newMeter(p)}
	r.limit.Store(math.MaxInt32)
	return r
}

// Set replaces the limit; 0 allows nothing, math.MaxInt32 everything. What was counted before counts.
func (r *Rate) Set(limit int32) { r.limit.Store(int64(limit)) }

// Add counts one.
func (r *Rate) Add(now clock.Mono) {
	if r != nil && r.limit.Load() < math.MaxInt32 {
		r.meter.add(r.pace, now, 1)
	}
}

// Wait is how long nothing may be done from now on, so that the rate over the windows is no more than the limit; 0 if something may.
func (r *Rate) Wait(now clock.Mono) time.Duration {
	if r == nil {
		return 0
	}
	limit := r.limit.Load() // orders nothing: an answer by the old limit is one that came a little earlier
	switch {
	case limit >= math.MaxInt32:
		return 0
	case limit == 0:
		return waitMax
	}
	return excess(r.meter.used(r.pace, now), float64(limit), r.pace.span(now))
}
