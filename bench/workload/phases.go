package workload

import (
	"math"
	"time"
)

// phases are those of a workload with a backlog: consumers are held back until there is one, let go until it is gone, and then the
// test runs for its time. A nil one has no phases.
type phases struct {
	r               *run
	holding         bool
	drained         bool
	began, released int64
}

// backlogLeft is how many records may be left for a backlog to be gone: the producers go on meanwhile.
const backlogLeft = 1000

func newPhases(r *run) *phases {
	if r.ConsumerBacklogSizeGB == 0 {
		return nil
	}
	return &phases{r: r}
}

// begin holds the consumers back.
func (p *phases) begin(at int64) {
	if p == nil {
		return
	}
	p.r.gate.shut()
	p.holding, p.began = true, at
	p.r.Say("consumers wait until the backlog is %.3g GB", p.r.ConsumerBacklogSizeGB)
}

// turn gives the end of the run once it is known.
func (p *phases) turn(at int64) (end int64, known bool) {
	if p == nil || p.began == 0 {
		return 0, false
	}
	records := p.r.backlog()
	bytes := p.r.ConsumerBacklogSizeGB * (1 << 30)
	switch {
	case p.holding && float64(records)*float64(p.r.MessageSize) >= bytes:
		p.holding, p.released = false, at
		p.r.out.BacklogBuilt = time.Duration(at - p.began)
		p.r.gate.reopen()
		p.r.Say("backlog of %d records after %v; consumers go on", records, p.r.out.BacklogBuilt.Round(time.Millisecond))
	case !p.holding && !p.drained && records <= max(backlogLeft, int64((1-p.r.BacklogDrainRatio)*bytes/float64(p.r.MessageSize))):
		p.drained = true
		p.r.out.BacklogDrain = time.Duration(at - p.released)
		p.r.Say("backlog gone after %v", p.r.out.BacklogDrain.Round(time.Millisecond))
		return at + int64(p.r.Duration), true
	}
	return math.MaxInt64, false
}
