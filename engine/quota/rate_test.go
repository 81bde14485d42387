package quota

import (
	"math"
	"testing"
	"time"

	"pinion/engine/clock"
)

// TestRate: as much as the limit allows over the windows goes at once, then only as fast as it says; limits act at once.
func TestRate(t *testing.T) {
	r := NewRate(Pace{Windows: 11, Window: time.Second})
	now := clock.Mono(100 * time.Second)
	for range 1000 {
		r.Add(now)
	}
	if wait := r.Wait(now); wait != 0 {
		t.Fatalf("without a limit: %v", wait)
	}
	r.Set(5)
	done, begin := 0, now
	for end := begin.Add(60 * time.Second); now < end; {
		if wait := r.Wait(now); wait > 0 {
			now = now.Add(wait)
			continue
		}
		r.Add(now)
		done++
	}
	// 60 s at 5 a second, and what the windows before the first may have used.
	if done < 5*50 || done > 5*(60+11) {
		t.Fatalf("%d in %v", done, now.Sub(begin))
	}
	r.Set(0)
	if r.Wait(now) <= 0 {
		t.Fatal("something is allowed by a limit of 0")
	}
	r.Set(math.MaxInt32)
	if wait := r.Wait(now); wait != 0 {
		t.Fatalf("without a limit again: %v", wait)
	}
	var none *Rate
	none.Add(now)
	if none.Wait(now) != 0 {
		t.Fatal("nil holds up")
	}
}
