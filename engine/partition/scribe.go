package partition

import (
	"time"

	"pinion/disk/journal"
	"pinion/engine/clock"
	"pinion/engine/commit"
	"pinion/engine/mutant"
	"pinion/engine/shard"
)

// quiresMax is how many commits a shard has: one is filled while one is written and one waits for that. With all of them away appends
// wait, which is how a slow disk slows producers.
const quiresMax = 3

// gatherMax is how long a shard that has other things to do gathers at least since it last handed something in: it is the processors then that are short, and
// each write of the journal takes of them. A shard that would sleep hands in what it has.
const gatherMax = 500 * time.Microsecond

// scribe is a shard's side of the journal of one log directory: it copies small appends of fsync partitions into what is handed in at the end of a turn.
type scribe struct {
	site    *site
	journal *commit.Journal // nil: every append waits for a sync of its segment
	settled bool            // the journal may be written to
	filling *quire          // nil while all are away
	spare   []*quire
	made    int
	away    int
	ticket  uint64 // of the last quire that was begun
	urgent  bool   // somebody waits for what is in filling
	syncing int    // partitions whose segments are being synced for those who wait
	chosen  int    // and those for which this turn has chosen that
	needed  commit.Needed[*Partition]
	told    uint64 // what the journal was last told to keep
	sent    clock.Mono
}

// quire is one commit and who waits for it.
type quire struct {
	commit *commit.Commit
	scribe *scribe
	parts  []*Partition
	lent   []*AppendAsk // their batches are not copied
	after  []func(t *shard.Turn)
}

// room reports whether an entry can be added now.
func (s *scribe) room(t *shard.Turn) bool {
	if s.filling == nil {
		s.begin(t)
	}
	return s.filling != nil && s.filling.commit.Buffer.Bytes() < s.journal.Options().BufferBytes
}

// takes reports whether a batch may go by the journal: not while that holds what the start has found, which a record would take the place of.
func (s *scribe) takes(bytes int) bool {
	return s.journal != nil && bytes <= s.journal.Options().BatchMax && s.settled
}

// syncsMax is how many partitions of a shard are synced at a time that could go by the journal: so many helpers there are for it.
const syncsMax = 2

// spares reports whether a batch that the journal takes is better off without: it would be stored twice, and a sync of its segment is away for others
// anyway, or may be.
func (s *scribe) spares(d *durability, bytes int) bool {
	if bytes < s.journal.Options().SyncMin {
		return false
	}
	if d.syncing || d.prefix.WantsSync() {
		return true
	}
	if s.syncing+s.chosen >= syncsMax {
		return false
	}
	s.chosen++
	return true
}

// begin takes an empty quire, if there is one.
func (s *scribe) begin(t *shard.Turn) {
	if s.filling != nil {
		return
	}
	if n := len(s.spare); n > 0 {
		s.filling = s.spare[n-1]
		s.spare = s.spare[:n-1]
	} else if s.made < quiresMax {
		s.made++
		s.filling = &quire{scribe: s}
		s.filling.commit = commit.NewCommit(t, s.filling)
	} else {
		return
	}
	s.ticket++
	s.filling.commit.Ticket = s.ticket
}

// add puts an entry of a partition into what goes next; it requires room. The partition is told when it is durable.
func (s *scribe) add(p *Partition, e *journal.Entry) {
	s.filling.commit.Buffer.Add(e)
	s.await(p)
}

// append is add of a batch. A large one whose sender waits for it to be durable anyway is not copied.
func (s *scribe) append(p *Partition, ask *AppendAsk, e *journal.Entry) {
	if ask.Acks != AcksAll || len(e.Bytes) < s.journal.Options().LendMin {
		s.add(p, e)
		return
	}
	q := s.filling
	q.commit.Buffer.Lend(e)
	ask.lent, ask.due = true, false
	q.lent = append(q.lent, ask)
	s.await(p)
}

// await has a partition told when what is filled now is durable.
func (s *scribe) await(p *Partition) {
	q := s.filling
	s.urgent = true
	s.needed.Touch(&p.durable.item, s.journal.Generation())
	if p.durable.ticket != q.commit.Ticket {
		p.durable.ticket = q.commit.Ticket
		q.parts = append(q.parts, p)
	}
}

// announce adds entries that belong to no partition of the set yet, and goes on when they are durable. It is false when there is no room now.
func (s *scribe) announce(t *shard.Turn, then func(t *shard.Turn), entries ...*journal.Entry) bool {
	if !s.room(t) {
		return false
	}
	for _, e := range entries {
		s.filling.commit.Buffer.Add(e)
	}
	s.urgent = true
	s.filling.after = append(s.filling.after, then)
	return true
}

// mention adds an entry that nobody waits for: it goes with the next that somebody does.
func (s *scribe) mention(t *shard.Turn, e *journal.Entry) {
	if s.journal != nil && s.room(t) {
		s.filling.commit.Buffer.Add(e)
	}
}

// send hands in what has been gathered, at the end of a turn. While two are away the third goes on gathering.
func (s *scribe) send(t *shard.Turn) {
	s.chosen = 0
	switch {
	case !s.urgent:
		return
	case s.site.Fenced() != nil:
		s.filling.takeBack(t) // nobody writes it any more
		return
	case s.away == quiresMax-1:
		return
	case !t.Calm() && t.Now().Mono < s.sent.Add(gatherMax):
		t.Again()
		return
	}
	s.sent = t.Now().Mono
	s.tell(t)
	q := s.filling
	s.filling, s.urgent = nil, false
	s.away++
	s.journal.Hand(t, q.commit)
	if set := s.site.set; !set.ackTimer.Armed() {
		t.Arm(&set.ackTimer, ackCheckInterval, set) // the journal may find no space: see nudge
	}
	s.begin(t)
}

// tell lets the journal know what this shard needs of it.
func (s *scribe) tell(t *shard.Turn) {
	if oldest := s.needed.Oldest(); s.journal != nil && oldest != s.told {
		s.told = oldest
		s.journal.Need(t, oldest)
	}
}

// Committed takes a commit home: what it holds is durable.
func (q *quire) Committed(t *shard.Turn, c *commit.Commit) {
	s := q.scribe
	s.away--
	q.takeBack(t)
	if c.Err != nil {
		s.site.fence(t, c.Err)
		return
	}
	for i, p := range q.parts {
		q.parts[i] = nil
		p.committed(t, c.Ticket)
	}
	q.parts = q.parts[:0]
	if mutant.On(mutant.CommitJoined) && s.filling != nil {
		for _, p := range s.filling.parts {
			p.committed(t, s.filling.commit.Ticket)
		}
	}
	for i, f := range q.after {
		q.after[i] = nil
		f(t)
	}
	q.after = q.after[:0]
	c.Buffer.Reset()
	s.spare = append(s.spare, q)
	s.begin(t)
	s.checkpoint(t)
	s.site.set.resume(t)
}

// takeBack ends the loans of batches. Answers that waited for it go.
func (q *quire) takeBack(t *shard.Turn) {
	for i, ask := range q.lent {
		q.lent[i] = nil
		ask.takeBack(t)
	}
	q.lent = q.lent[:0]
}

// checkpointsMax is how many logs a shard syncs at a time for the journal's sake; producers' own syncs have the other helper.
const checkpointsMax = 2

// checkpoint syncs the segments of those whose entries are the oldest, so that journal files can be used again.
func (s *scribe) checkpoint(t *shard.Turn) {
	for s.needed.Saving() < checkpointsMax {
		item, since := s.needed.First()
		if item == nil || s.journal.Generation() < since+s.journal.CheckpointAfter() {
			break
		}
		if !s.save(t, item) {
			break // some work of this log is under way; when it is home we come by again
		}
	}
	s.tell(t)
}

// resume goes on with checkpoints that had to wait for some work to come home.
func (s *scribe) resume(t *shard.Turn) {
	if s.journal != nil && s.needed.Saving() < checkpointsMax {
		s.checkpoint(t)
	}
}

// nudge has the journal look again: it may have waited for a disk that was full.
func (s *scribe) nudge() {
	if s.journal != nil && s.away > 0 {
		s.journal.Ring()
	}
}

// save starts the sync of one log. It is false when that has to wait.
func (s *scribe) save(t *shard.Turn, item *commit.Item[*Partition]) bool {
	p := item.Owner
	if p.state == failed {
		return s.salvage(t, item)
	}
	if p.state != open || item.Busy() || p.closing {
		return false
	}
	work := p.log.SyncWork()
	if work == nil {
		if p.log.Dirty() || p.log.Busy() || p.staged.first != nil {
			return false
		}
		s.needed.Drop(item) // something else has synced it
		return true
	}
	s.needed.Begin(item)
	if p.staged.first != nil {
		s.needed.Touch(item, s.journal.Generation()) // not in the file yet, so not in this sync
	}
	p.helpBulk(t, work, func(t *shard.Turn, err error) {
		s.needed.Done(item, err == nil)
		if err == nil && p.state == open {
			s.mention(t, &journal.Entry{Kind: journal.Synced, Partition: p.name, End: p.log.RecoveryPoint()})
		}
		s.checkpoint(t)
	})
	return true
}

// salvage is save for a log that is offline because something in it cannot be read: what was written to it is synced all the same, so that
// the journal, which all others need, does not keep it for ever. Indexes are left: a start makes them again.
func (s *scribe) salvage(t *shard.Turn, item *commit.Item[*Partition]) bool {
	p := item.Owner
	if p.log == nil || p.log.Err() != nil || item.Busy() || p.closing {
		return false
	}
	work := p.log.SyncData()
	if work == nil {
		if p.log.Busy() {
			return false
		}
		s.needed.Drop(item)
		return true
	}
	s.needed.Begin(item)
	p.helpBulk(t, work, func(t *shard.Turn, err error) {
		s.needed.Done(item, err == nil)
		s.checkpoint(t)
	})
	return true
}

// forget drops a partition from what the journal has to keep.
func (s *scribe) forget(t *shard.Turn, p *Partition) {
	if p.durable != nil {
		s.needed.Drop(&p.durable.item)
		s.tell(t)
	}
}
