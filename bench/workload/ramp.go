package workload

import "time"

// ramp looks for the largest rate that producers and consumers keep up with, by upstream's rule: grow while there is no backlog, by a
// factor that doubles; on a backlog fall back to what was achieved and halve the factor. A pure machine.
type ramp struct {
	factor             float64
	published, arrived int64
}

// Of the search; upstream's.
const (
	rampStart      = 10_000 // records a second
	rampEvery      = 3 * time.Second
	rampFactorMin  = 0.01
	rampFactorMax  = 1
	rampBacklogMax = 1000 // records
)

func newRamp() ramp { return ramp{factor: rampFactorMax} }

// next gives the rate after a period at a rate; the totals are those since the start, arrivals divided by the number of copies.
func (r *ramp) next(rate float64, period time.Duration, published, arrived int64) float64 {
	expected := rate * period.Seconds()
	sent, read := float64(published-r.published), float64(arrived-r.arrived)
	r.published, r.arrived = published, arrived
	backOff := func(actual, backlog float64) float64 {
		r.factor = max(rampFactorMin, r.factor/2)
		return max(1, min(actual, max(0, expected-backlog))/period.Seconds())
	}
	if backlog := float64(published - arrived); backlog > rampBacklogMax {
		return backOff(read, backlog)
	}
	if backlog := expected - sent; backlog > rampBacklogMax {
		return backOff(sent, backlog)
	}
	r.factor = min(rampFactorMax, r.factor*2)
	return rate * (1 + r.factor)
}
