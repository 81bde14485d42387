package workload

import (
	"fmt"
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

// phaseMax bounds the growth of a backlog, and its end: producers that a machine cannot keep up with would make it last for ever.
const phaseMax = 30 * time.Minute

// overdue is an error once a phase lasts too long.
func (p *phases) overdue(at int64) error {
	switch {
	case p == nil || p.began == 0 || p.drained:
		return nil
	case p.holding && time.Duration(at-p.began) > phaseMax:
		return fmt.Errorf("there was no backlog of %.3g GB after %v; the producers do not get there", p.r.ConsumerBacklogSizeGB, phaseMax)
	case !p.holding && time.Duration(at-p.released) > phaseMax:
		return fmt.Errorf("the backlog was not gone after %v: %d records are left, and producers add to them", phaseMax, p.r.backlog())
	}
	return nil
}

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
