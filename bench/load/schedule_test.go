package load

import (
	"math"
	"testing"
)

func TestScheduleNeverWaits(t *testing.T) {
	s := NewSchedule(1000, 1000+1e9, 1000)
	if _, ok := s.Due(999); ok {
		t.Fatal("due before the start")
	}
	// A stall of 100 ms: what was meant to happen in it is due at once, each with its own time.
	var times []int64
	for {
		at, ok := s.Due(1000 + 100e6)
		if !ok {
			break
		}
		times = append(times, at)
	}
	if len(times) != 101 {
		t.Fatalf("%d sends became due in 100 ms at 1,000 a second, want 101", len(times))
	}
	for i, at := range times {
		if at != 1000+int64(i)*1e6 {
			t.Fatalf("send %d is meant for %d", i, at)
		}
	}
	if s.Next() != 1000+101e6 {
		t.Fatalf("next at %d", s.Next())
	}
}

func TestScheduleEnds(t *testing.T) {
	s := NewSchedule(0, 1e9, 3)
	count := 0
	for {
		if _, ok := s.Due(math.MaxInt64); !ok {
			break
		}
		count++
	}
	if count != 3 || s.Next() != math.MaxInt64 {
		t.Fatalf("%d sends in a second at 3 a second, next %d", count, s.Next())
	}
}

func TestScheduleDoesNotDrift(t *testing.T) {
	s := NewSchedule(0, math.MaxInt64, 30_000)
	for range 30_000 * 100 {
		s.Due(math.MaxInt64 - 1)
	}
	if got := s.Next(); got < 100e9-1 || got > 100e9+1 {
		t.Fatalf("after 100 s of sends the next is due at %d", got)
	}
}

func TestScheduleKnowsWhatIsLeft(t *testing.T) {
	for _, rate := range []float64{0.3, 3, 7, 1000, 333_333.3, 1e6} {
		const end = 1000 + 1e9
		s, all := NewSchedule(1000, end, rate), NewSchedule(1000, end, rate)
		count := int64(0)
		for _, ok := all.Due(math.MaxInt64); ok; _, ok = all.Due(math.MaxInt64) {
			count++
		}
		if got := s.Left(math.MaxInt64); got != count {
			t.Errorf("%v a second: %d of %d are left before any was taken", rate, got, count)
		}
		if before := s.Left(1000); before != 0 || all.Left(math.MaxInt64) != 0 {
			t.Errorf("%v a second: %d are left before the start, %d when all were taken", rate, before, all.Left(math.MaxInt64))
		}
		s.Due(end)
		if got := s.Left(end); got != count-1 {
			t.Errorf("%v a second: %d of %d are left when one was taken", rate, got, count)
		}
	}
	if none := (Schedule{}); none.Left(math.MaxInt64) != 0 {
		t.Error("something is left of no schedule")
	}
}
