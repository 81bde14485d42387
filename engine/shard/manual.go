package shard

import (
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/must"
)

// Manual is a set of shards without threads, for simulations: whoever holds it runs their turns, carries their mail and does
// their helpers' jobs, one step at a time and in an order of his choosing. What the shards see is what production may show them:
// mail between two shards keeps its order within a lane, everything else may pass everything else. They watch no descriptors.
// One goroutine at a time.
type Manual struct {
	set  *Set
	ways []queue // mail on its way, by Way.index
	jobs []errand
}

// Way is mail under way from one shard to another in one lane.
type Way struct {
	From model.ShardID // Outside for mail that no shard sent
	To   model.ShardID
	Bulk bool
}

// Outside is where Post's mail comes from.
const Outside model.ShardID = -1

// NewManual makes n shards that share the clock.
func NewManual(n int, clk clock.Clock) *Manual {
	m := &Manual{set: &Set{}, ways: make([]queue, (n+1)*n*int(laneCount))}
	for i := range n {
		s := &Shard{id: model.ShardID(i), clock: clk, manual: m, mailed: make([]bool, n)}
		s.turn.shard = s
		m.set.shards = append(m.set.shards, s)
	}
	for _, s := range m.set.shards {
		s.peers = m.set.shards
	}
	return m
}

// Shards are the shards, for those who post to them. They are never started nor stopped.
func (m *Manual) Shards() *Set { return m.set }

func (m *Manual) index(w Way) int {
	lane := reply
	if w.Bulk {
		lane = bulk
	}
	return (int(w.From+1)*m.set.Len()+int(w.To))*int(laneCount) + int(lane)
}

func (m *Manual) post(w Way, mail Mail) { m.ways[m.index(w)].push(mail) }

// Ways appends those on which mail waits, in a fixed order.
func (m *Manual) Ways(dst []Way) []Way {
	for from := Outside; int(from) < m.set.Len(); from++ {
		for to := range m.set.shards {
			for _, isBulk := range []bool{false, true} {
				if w := (Way{from, model.ShardID(to), isBulk}); m.ways[m.index(w)].first != nil {
					dst = append(dst, w)
				}
			}
		}
	}
	return dst
}

// Carry takes the oldest mail of a way to its shard, which finds it in its next turn.
func (m *Manual) Carry(w Way) {
	l := m.ways[m.index(w)].pop()
	if l == nil {
		must.Failf("no mail from shard %d to shard %d", w.From, w.To)
	}
	lane := reply
	if w.Bulk {
		lane = bulk
	}
	m.set.shards[w.To].lanes[lane].push(l.body)
}

// Turn runs one turn of a shard: the mail that was carried to it, the timers that are due, the end of the turn.
func (m *Manual) Turn(id model.ShardID) {
	s := m.set.shards[id]
	s.pass(0)
	m.jobs = append(append(m.jobs, s.errands...), s.bulkErrands...)
	clear(s.errands)
	clear(s.bulkErrands)
	s.errands, s.bulkErrands = s.errands[:0], s.bulkErrands[:0]
}

// Look runs f as if in a turn of the shard, between turns: to set up and to look. What f posts is mail like any other.
func (m *Manual) Look(id model.ShardID, f func(t *Turn)) {
	t := &m.set.shards[id].turn
	t.now, t.shard.stirred = t.shard.clock.Now(), false
	f(t)
}

// Busy reports whether a turn of the shard would do anything now: mail, a due timer, or work it has left itself.
func (m *Manual) Busy(id model.ShardID) bool {
	s := m.set.shards[id]
	when, armed := s.timers.next()
	return !s.lanes[reply].empty() || !s.lanes[bulk].empty() || s.again || armed && when <= s.clock.Now().Mono
}

// Next is when the shard's first timer is due.
func (m *Manual) Next(id model.ShardID) (clock.Mono, bool) { return m.set.shards[id].timers.next() }

// Jobs is how many jobs wait for a helper.
func (m *Manual) Jobs() int { return len(m.jobs) }

// Take gives job number i of those that wait to the caller, who runs it and then calls home: the job's way back to its shard.
func (m *Manual) Take(i int) (job Job, home func()) {
	e := m.jobs[i]
	m.jobs = append(m.jobs[:i], m.jobs[i+1:]...)
	if r, ok := e.job.(*round); ok {
		return e.job, r.end
	}
	return e.job, func() { e.home.Post(e.job) }
}
