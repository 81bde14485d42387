package load

import "math"

// Schedule says when the sends of an open loop are meant to happen: the k-th at start + k/rate, whatever became of the others. It is
// a pure machine; all times are nanoseconds of one clock.
type Schedule struct {
	start int64
	gap   float64 // between two sends
	sent  int64
	end   int64
}

// NewSchedule starts a schedule of rate sends a second that are due in [start, end).
func NewSchedule(start, end int64, rate float64) Schedule {
	return Schedule{start: start, gap: 1e9 / rate, end: end}
}

// at is when the k-th send is meant to happen. Multiplying, not adding, keeps a rounding error from growing.
func (s *Schedule) at(k int64) int64 { return s.start + int64(float64(k)*s.gap) }

// Due takes the next send if its time has come; intended is that time, not now.
func (s *Schedule) Due(now int64) (intended int64, ok bool) {
	at := s.at(s.sent)
	if at > now || at >= s.end {
		return 0, false
	}
	s.sent++
	return at, true
}

// Next is when Due has something again; far away once the schedule has ended.
func (s *Schedule) Next() int64 {
	if at := s.at(s.sent); at < s.end {
		return at
	}
	return math.MaxInt64
}

// Left is how many sends were due before a time and have not been taken.
func (s *Schedule) Left(now int64) int64 {
	until := min(now, s.end)
	if s.at(s.sent) >= until {
		return 0
	}
	// From one less than the quotient, which is rounded and may be one too many: what counts is whether Due would give it.
	k := max(s.sent, int64(float64(until-s.start)/s.gap)-1)
	for s.at(k) < until {
		k++
	}
	return k - s.sent
}
