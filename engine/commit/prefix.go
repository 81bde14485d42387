package commit

import (
	"pinion/engine/model"
	"pinion/engine/must"
)

// Prefix is how far a partition is durable without a gap. What is appended waits for a commit of the journal or for a sync of its
// segment; the two overtake each other, and the end moves only over what has no hole before it.
type Prefix struct {
	end   model.Offset
	spans []span // ascending, each from where the one before ends; the first begins at end
}

// span ends at to and waits for its way of becoming durable.
type span struct {
	to  model.Offset
	way uint64 // a ticket of the journal, or one of these
}

const (
	waySync uint64 = 0
	wayDone uint64 = 1<<64 - 1 // durable, but something before it is not
)

// Restart puts the end where everything is known to be durable; what was pending is forgotten.
func (p *Prefix) Restart(end model.Offset) { p.end, p.spans = end, p.spans[:0] }

// End is the offset below which everything is durable.
func (p *Prefix) End() model.Offset { return p.end }

// Last is the end of what was appended.
func (p *Prefix) Last() model.Offset {
	if n := len(p.spans); n > 0 {
		return p.spans[n-1].to
	}
	return p.end
}

// Journaled notes that the log was appended to up to an offset, and that a ticket's commit will make it durable.
func (p *Prefix) Journaled(to model.Offset, ticket uint64) {
	if ticket == waySync || ticket == wayDone {
		must.Failf("ticket %d stands for something else", ticket)
	}
	p.push(to, ticket)
}

// Unjournaled notes that the log was appended to up to an offset, and that only a sync will make it durable.
func (p *Prefix) Unjournaled(to model.Offset) { p.push(to, waySync) }

func (p *Prefix) push(to model.Offset, way uint64) {
	if to < p.Last() {
		must.Failf("append to %d behind %d", to, p.Last())
	}
	if n := len(p.spans); n > 0 && p.spans[n-1].way == way {
		p.spans[n-1].to = to
		return
	}
	p.spans = append(p.spans, span{to, way})
}

// Committed notes that a ticket's commit is durable.
func (p *Prefix) Committed(ticket uint64) {
	for i := range p.spans {
		if p.spans[i].way == ticket {
			p.spans[i].way = wayDone
		}
	}
	p.settle()
}

// Synced notes that the segments hold everything below an offset.
func (p *Prefix) Synced(to model.Offset) {
	p.end = max(p.end, min(to, p.Last()))
	p.settle()
}

// Truncated notes that the log was cut.
func (p *Prefix) Truncated(to model.Offset) {
	n := len(p.spans)
	for n > 0 && p.spans[n-1].to > to {
		n--
	}
	if n < len(p.spans) && p.start(n) < to {
		p.spans[n].to = to
		n++
	}
	p.spans = p.spans[:n]
	p.end = min(p.end, to)
}

// start is where a span begins.
func (p *Prefix) start(i int) model.Offset {
	if i == 0 {
		return p.end
	}
	return p.spans[i-1].to
}

// settle moves the end over what is done.
func (p *Prefix) settle() {
	n := 0
	for n < len(p.spans) && (p.spans[n].way == wayDone || p.spans[n].to <= p.end) {
		p.end = max(p.end, p.spans[n].to)
		n++
	}
	if n > 0 {
		p.spans = append(p.spans[:0], p.spans[n:]...)
	}
}

// WantsSync reports whether something waits for a sync of the segments.
func (p *Prefix) WantsSync() bool {
	for i := range p.spans {
		if p.spans[i].way == waySync {
			return true
		}
	}
	return false
}
