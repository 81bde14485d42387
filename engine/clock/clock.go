// Package clock hands out time as values: monotonic time for deadlines, wall time for what records and files carry. Machines
// never read a clock; whoever runs them reads one here, once per turn, and passes the value on.
package clock

import (
	"sync/atomic"
	"time"
)

// Mono is monotonic nanoseconds since an arbitrary start. Deadlines and durations use it; it never steps.
type Mono int64

// Add returns the moment d later.
func (m Mono) Add(d time.Duration) Mono { return m + Mono(d) }

// Sub returns the duration from other to m.
func (m Mono) Sub(other Mono) time.Duration { return time.Duration(m - other) }

// Wall is milliseconds since the Unix epoch, the unit of Kafka timestamps. It may step either way.
type Wall int64

// Now is both readings taken together.
type Now struct {
	Mono Mono
	Wall Wall
}

// Clock is a source of time. Real is the machine's; Hand is cranked by tests and the simulator, Stepped is the machine's set wrong by a test.
type Clock interface {
	Now() Now
}

// Real reads the machine's clocks through the vDSO.
type Real struct{}

var start = time.Now()

// Now reads the monotonic and the wall clock once.
func (Real) Now() Now {
	now := time.Now()
	return Now{Mono: Mono(now.Sub(start)), Wall: Wall(now.UnixMilli())}
}

// Hand is a clock that moves only when told. It is not safe for use by several goroutines.
type Hand struct{ now Now }

// Now returns the reading last set.
func (h *Hand) Now() Now { return h.now }

// Advance moves both clocks forward.
func (h *Hand) Advance(d time.Duration) {
	h.now.Mono = h.now.Mono.Add(d)
	h.now.Wall += Wall(d.Milliseconds())
}

// SetWall steps the wall clock alone, as an administrator or NTP would.
func (h *Hand) SetWall(w Wall) { h.now.Wall = w }

// Stepped is the machine's clock with a wall time that was set to another. Any goroutine may set it.
type Stepped struct {
	real Real
	by   atomic.Int64 // ms
}

// Now reads both clocks.
func (s *Stepped) Now() Now {
	now := s.real.Now()
	now.Wall += Wall(s.by.Load())
	return now
}

// Step sets the wall clock so far from the machine's.
func (s *Stepped) Step(by time.Duration) { s.by.Store(by.Milliseconds()) }
