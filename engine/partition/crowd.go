package partition

import (
	"time"

	"pinion/engine/shard"
)

// crowd is who waits for a segment to be closed, so that theirs can be opened: the bound of open files holds whatever happens, and nobody is
// told that it exists. Appends wait until it is their turn. Reads wait a little and are then answered without bytes: what they wait
// for may be lent to polls that wait for them on another shard.
type crowd struct {
	appends []*Partition // in order of arrival; each once
	reads   []crowdedRead
	timer   shard.Timer
	letting bool // those at the front are being let in
}

type crowdedRead struct {
	p    *Partition
	part *FetchPart
}

// crowdedMax is how long a read waits for its segment to be opened. It is what helpers need to close and open a few hundred.
const crowdedMax = 100 * time.Millisecond

func (c *crowd) empty() bool { return len(c.appends) == 0 && len(c.reads) == 0 }

// room reports whether the partition may open a segment now, and has it wait where it may not.
func (p *Partition) room() bool {
	s := p.set
	if (s.crowd.letting || len(s.crowd.appends) == 0) && s.files.Room() {
		return true
	}
	p.crowded = true
	s.crowd.appends = append(s.crowd.appends, p)
	return false
}

// roomToRead is room for a read.
func (p *Partition) roomToRead(t *shard.Turn, part *FetchPart) bool {
	s := p.set
	if (s.crowd.letting || s.crowd.empty()) && s.files.Room() {
		return true
	}
	p.queueRead(t, part)
	return false
}

func (p *Partition) queueRead(t *shard.Turn, part *FetchPart) {
	c := &p.set.crowd
	part.ask.pending++
	c.reads = append(c.reads, crowdedRead{p, part})
	if !c.timer.Armed() {
		t.Arm(&c.timer, crowdedMax, p.set)
	}
}

// letIn opens for those who wait, as far as there is room: appends first, as they hold memory of their clients.
func (s *Set) letIn(t *shard.Turn) {
	c := &s.crowd
	c.letting = true
	appends := 0
	for ; appends < len(c.appends) && s.files.Room(); appends++ {
		p := c.appends[appends]
		p.crowded = false
		p.drain(t)
	}
	c.appends = cutFront(c.appends, appends)
	reads := 0
	for ; reads < len(c.reads) && len(c.appends) == 0 && s.files.Room(); reads++ {
		r := c.reads[reads]
		ask := r.part.ask
		if ask.loans == 0 {
			if ask.loans = s.files.Loans(); ask.loans == 0 {
				break
			}
		}
		r.p.read(t, r.part)
		s.settle(t, ask)
	}
	c.reads = cutFront(c.reads, reads)
	c.letting = false
}

// cutFront takes n off the front of a queue and gives its memory up once it is empty.
func cutFront[T any](queue []T, n int) []T {
	if n == 0 {
		return queue
	}
	if n == len(queue) {
		return nil
	}
	left := copy(queue, queue[n:])
	clear(queue[left:])
	return queue[:left]
}

// giveUpReads answers the reads that waited in vain: without bytes, the marks tell the client that there are some.
func (s *Set) giveUpReads(t *shard.Turn) {
	reads := s.crowd.reads
	s.crowd.reads = nil
	for _, r := range reads {
		s.settle(t, r.part.ask)
	}
}
