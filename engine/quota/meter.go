package quota

import (
	"sync/atomic"
	"time"

	"pinion/engine/clock"
)

// A Meter counts what was used in each of some windows of time, as Kafka's Rate does. Every shard of the node adds to the same meters, so that a quota
// holds for the node whatever shards its clients' connections belong to. That is the one thing shards share: it is touched only where a
// quota is set, and a word of it is one window, the number of the window and what was used in it:
//
//	63        40 39          0
//	+-----------+------------+
//	|  number   |    used    |
//	+-----------+------------+
//
// so that a window is begun and added to by compare-and-swap. Numbers repeat after 2^24 windows; that a place was not touched for exactly that long
// would count its old use once more.
type Meter struct{ windows []atomic.Uint64 }

const (
	usedBits = 40
	usedMax  = 1<<usedBits - 1
	// windowsMax bounds the memory of a meter, whatever quota.window.num is: an hour of seconds. A window is at most an hour.
	windowsMax = 3600
)

// Pace is how meters look at time.
type Pace struct {
	Windows int           // quota.window.num
	Window  time.Duration // quota.window.size.seconds
}

// bounded is p within what a meter can be.
func (p Pace) bounded() Pace {
	return Pace{Windows: min(max(p.Windows, 1), windowsMax), Window: min(max(p.Window, time.Second), time.Hour)}
}

func newMeter(p Pace) *Meter { return &Meter{windows: make([]atomic.Uint64, p.Windows)} }

// add counts n in the window of now.
func (m *Meter) add(p Pace, now clock.Mono, n int64) {
	number := uint64(now) / uint64(p.Window)
	place := &m.windows[number%uint64(len(m.windows))]
	mark := number << usedBits
	for {
		// The load orders nothing: the swap fails where somebody came between.
		old := place.Load()
		used := uint64(max(n, 0))
		if old&^usedMax == mark {
			used += old & usedMax
		}
		if place.CompareAndSwap(old, mark|min(used, usedMax)) {
			return
		}
	}
}

// used is what was counted in the last windows.
func (m *Meter) used(p Pace, now clock.Mono) (sum int64) {
	number := uint64(now) / uint64(p.Window)
	for i := range min(uint64(len(m.windows)), number+1) {
		// What others add meanwhile is seen by their own look.
		word := m.windows[(number-i)%uint64(len(m.windows))].Load()
		if word&^usedMax == (number-i)<<usedBits {
			sum += int64(word & usedMax)
		}
	}
	return sum
}

// span is the time that what is used counts for: all whole windows before this one, and what has passed of it, as in Kafka.
func (p Pace) span(now clock.Mono) time.Duration {
	return max(time.Duration(p.Windows-1)*p.Window+time.Duration(uint64(now)%uint64(p.Window)), p.Window)
}

// excess is how long to wait until what was used in a span is no more than limit a second allows.
func excess(used int64, limit float64, span time.Duration) time.Duration {
	over := float64(used)/limit - span.Seconds()
	if over <= 0 {
		return 0
	}
	return time.Duration(min(over*float64(time.Second), float64(waitMax)))
}

// waitMax is the longest wait that a response can tell: milliseconds in 32 bits.
const waitMax = (1<<31 - 1) * time.Millisecond
