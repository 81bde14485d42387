package control

import (
	"errors"

	"pinion/engine/catalog"
	"pinion/engine/model"
	"pinion/engine/quorum"
)

// take drains the queue, beginning with first, into one proposal.
func (c *Control) take(first ask) error {
	batch := make([]quorum.Proposal, 0, 16)
	size := 0
	for a, ok := first, true; ok; {
		size += len(a.command.Bytes())
		batch = c.admit(a, batch)
		if len(batch) >= batchMax || size >= batchBytesMax {
			break
		}
		select {
		case a = <-c.queue:
		default:
			ok = false
		}
	}
	if cmd, ok := c.ids.need(c.opts.Node); ok {
		batch = append(batch, quorum.Proposal{Command: cmd, Done: c.refill})
	}
	if len(batch) == 0 {
		return nil
	}
	return c.member.Propose(batch)
}

// admit turns one ask into a proposal, or answers it on the spot.
func (c *Control) admit(a ask, batch []quorum.Proposal) []quorum.Proposal {
	if a.producer != nil {
		c.ids.ask(a.producer)
		return batch
	}
	if a.standing != nil {
		a.standing(c.standing())
		return batch
	}
	if len(a.command.Bytes()) > catalog.CommandBytesMax {
		a.done(catalog.Result{Err: &catalog.Error{Code: catalog.TooLarge, Message: "command too large"}})
		return batch
	}
	return append(batch, quorum.Proposal{Command: a.command, Done: a.done})
}

// producerIDs hands out ids from a block that the catalogue gave to this node alone.
type producerIDs struct {
	next, limit int64 // [next, limit) are ours to give
	asked       bool  // a block is on its way
	parked      []func(id int64, err error)
}

// parkedMax bounds who may wait for a block: as many as may wait in the queue.
const parkedMax = queueMax

var errBusy = errors.New("too many requests for producer ids")

func (p *producerIDs) ask(done func(id int64, err error)) {
	switch {
	case p.next < p.limit:
		p.next++
		done(p.next-1, nil)
	case len(p.parked) >= parkedMax:
		done(0, errBusy)
	default:
		p.parked = append(p.parked, done)
	}
}

// need returns the command that fetches a block when somebody waits for one.
func (p *producerIDs) need(n model.NodeID) (catalog.Command, bool) {
	if len(p.parked) == 0 || p.asked {
		return catalog.Command{}, false
	}
	p.asked = true
	return catalog.AllocateProducerIDs(n), true
}

func (p *producerIDs) abandon() {
	p.asked = false
	parked := p.parked
	p.parked = nil
	for _, done := range parked {
		done(0, ErrStopped)
	}
}

// refill takes a new block and serves who waited.
func (c *Control) refill(r catalog.Result) {
	p := &c.ids
	p.asked = false
	parked := p.parked
	p.parked = nil
	if r.Err != nil {
		for _, done := range parked {
			done(0, r.Err)
		}
		return
	}
	p.next, p.limit = r.FirstProducerID, r.FirstProducerID+r.ProducerIDs
	for _, done := range parked {
		p.ask(done)
	}
	if cmd, ok := p.need(c.opts.Node); ok { // more waited than a block holds
		if err := c.member.Propose([]quorum.Proposal{{Command: cmd, Done: c.refill}}); err != nil {
			c.ids.abandon() // the disk has failed, and Run is about to end with it
		}
	}
}
