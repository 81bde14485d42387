package load

import (
	"math"
	"testing"
	"time"
)

// swallowing sends nothing.
type swallowing struct{}

func (swallowing) fill(c *conn, _ int64) []byte              { c.owed.pop(); return nil }
func (swallowing) answer(*conn, flight, []byte, int64) error { return nil }

// However much is due, a turn ends: else a rate or an interval that cannot be kept up with would hide the sockets and the end.
func TestATurnIsBounded(t *testing.T) {
	l := &loop{open: true, opened: []*conn{{flow: swallowing{}}}}
	l.schedule = NewSchedule(l.now()-int64(time.Second), math.MaxInt64, 1e6)
	if err := l.deal(); err != nil || l.dealt != sendsMax {
		t.Errorf("%d sends, %v", l.dealt, err)
	}
	const due = 10 * intervalsMax
	done := make(chan Interval, due)
	l = &loop{end: math.MaxInt64, every: 1, rollAt: 1, done: done}
	if l.roll(due); len(done) != intervalsMax {
		t.Errorf("%d intervals", len(done))
	}
}

func TestImpossibleRatesAreRefused(t *testing.T) {
	for _, rate := range []float64{-1, math.NaN(), math.Inf(1), 2 * RateMax} {
		p := Plan{Duration: time.Second, Produce: &Produce{Connections: 1, Shape: Shape{Records: 1, RecordBytes: 1}, Acks: 1, Rate: rate}}
		if p.valid() == nil {
			t.Errorf("a rate of %v is none", rate)
		}
	}
}
