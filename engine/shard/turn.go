package shard

import (
	"math"
	"time"

	"pinion/engine/clock"
	"pinion/engine/model"
)

// Turn is permission to touch what one shard owns, for one pass of its loop. It is the first parameter of every function that
// touches shard state and is never stored.
type Turn struct {
	_     noCopy
	shard *Shard
	now   clock.Now
}

// noCopy makes go vet reject a Turn passed by value.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// Shard is the shard this turn belongs to.
func (t *Turn) Shard() model.ShardID { return t.shard.id }

// Now is the time read when the turn began.
func (t *Turn) Now() clock.Now { return t.now }

// Ask posts mail to another shard's bulk lane, or to this shard's own queue, which is emptied before the turn ends.
func (t *Turn) Ask(to model.ShardID, m Mail) { t.post(to, m, bulk) }

// Reply posts mail that ends somebody's waiting. It never queues behind bulk.
func (t *Turn) Reply(to model.ShardID, m Mail) { t.post(to, m, reply) }

// Leave is Reply for what the other shard need not wake for: it finds it when something else wakes it.
func (t *Turn) Leave(to model.ShardID, m Mail) {
	s := t.shard
	if to == s.id || s.manual != nil {
		t.Reply(to, m)
		return
	}
	s.peers[to].lanes[reply].push(m)
}

// Wake has another shard look at its mail, after Leave.
func (t *Turn) Wake(to model.ShardID) {
	if s := t.shard; to != s.id && s.manual == nil {
		s.mailed[to] = true
	}
}

func (t *Turn) post(to model.ShardID, m Mail, l laneKind) {
	s := t.shard
	if to == s.id {
		s.local.push(m)
		return
	}
	if s.manual != nil {
		s.manual.post(Way{From: s.id, To: to, Bulk: l == bulk}, m)
		return
	}
	s.peers[to].lanes[l].push(m)
	s.mailed[to] = true
}

// Read reads the clock again, for what has to be timed within a turn.
func (t *Turn) Read() clock.Now { return t.shard.clock.Now() }

// Help runs the job on a helper that opens, reserves, rolls or syncs files; these are short and others wait for them.
func (t *Turn) Help(job Job) {
	t.shard.stats.Jobs++
	t.shard.errands = append(t.shard.errands, errand{job, t.shard})
}

// HelpBulk runs the job on a helper for long work: cold reads, large validations, deletions.
func (t *Turn) HelpBulk(job Job) {
	t.shard.stats.Jobs++
	t.shard.bulkErrands = append(t.shard.bulkErrands, errand{job, t.shard})
}

// Arm sets or moves the timer to fire after d. The alarm is told with this timer, in a later turn even if d is 0: an alarm that arms
// itself again must not keep its turn from ending. A d that reaches behind the end of the clock is never.
func (t *Turn) Arm(tm *Timer, d time.Duration, on Alarm) {
	tm.on = on
	t.shard.timers.set(tm, t.now.Mono.Add(min(max(d, 1), math.MaxInt64-time.Duration(t.now.Mono))))
}

// Disarm stops the timer; stopping a stopped timer does nothing.
func (t *Turn) Disarm(tm *Timer) { t.shard.timers.remove(tm) }

// Again keeps the shard from sleeping: there is work left that no readiness or mail will announce.
func (t *Turn) Again() { t.shard.again = true }

// Calm reports whether nothing came for this turn, no readiness and no mail: without Again the shard would sleep now.
func (t *Turn) Calm() bool { return !t.shard.stirred }

// Expect counts asks whose replies this shard waits for; while any is outstanding it may poll a little before it sleeps.
func (t *Turn) Expect(delta int) { t.shard.expected += delta }

// Source is told of the readiness of a descriptor it watches (epoll event bits, edge triggered).
type Source interface {
	Ready(t *Turn, events uint32)
}

// Handle names a watched descriptor.
type Handle uint64

// NextTurn posts mail to this shard's own next turn, and keeps it from sleeping until then.
func (t *Turn) NextTurn(m Mail) { t.shard.lanes[reply].push(m) }
