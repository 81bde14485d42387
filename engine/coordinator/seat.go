package coordinator

import (
	"time"

	"pinion/disk/batch"
	"pinion/engine/clock"
	"pinion/engine/group"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

type state uint8

const (
	reading state = iota // its records are being read
	serving
	broken // they make no sense, or could not be read; they are read again after a while
	left   // another shard owns the partition by now
)

// seat is the groups of one partition.
type seat struct {
	own shard.Owner

	// Immutable after newSeat.
	set  *Set
	name model.Partition

	// Owned by the shard.
	state   state
	machine *group.Coordinator
	since   uint64                 // the time of the partition on this shard whose records were read
	asks    map[group.Request]*Ask // that wait for something
	held    *placement.Image       // which the offsets were last held against: of no topic it has and the newest has not are any kept
	wake    shard.Timer            // the machine's next deadline
	due     clock.Mono             // when that is, while wake is armed
	loader  loader
	sent    stores // whose outcome the machine has not been told, in the order of the log
	stores  *store // to be used again
	kept    int    // of them
}

func newSeat(t *shard.Turn, s *Set, name model.Partition) *seat {
	seat := &seat{own: shard.Own(t), set: s, name: name, machine: group.New(s.configuration(), s.options.Random), asks: map[group.Request]*Ask{},
		held: s.options.Image()}
	seat.loader.begin(t, seat)
	return seat
}

// take runs an ask, once the records are read.
func (s *seat) take(t *shard.Turn, ask *Ask) {
	s.own.Check(t)
	switch s.state {
	case reading:
		code := group.Loading
		if s.loader.offline { // nobody knows for how long; Kafka would not be its leader either
			code = group.NotCoordinator
		}
		ask.reply(t, code)
	case serving:
		s.machine.Do(t.Now(), ask.Request)
		if !s.carry(t, ask) {
			s.asks[ask.Request] = ask
		}
	default:
		ask.reply(t, group.NotCoordinator)
	}
}

// outlived reports whether the partition was elsewhere since its records were read. The newest image does not tell: it may have come back.
func (s *seat) outlived(t *shard.Turn) bool {
	since, here := s.set.partitions.Since(t, s.name)
	return s.state == serving && (!here || since != s.since)
}

// carry takes what the machine has decided to where it belongs, and reports whether that answers the ask that was just run, if one was.
func (s *seat) carry(t *shard.Turn, asked *Ask) (answered bool) {
	for _, a := range s.machine.Appends() {
		s.append(t, a)
	}
	for _, r := range s.machine.Answers() {
		if asked != nil && r == asked.Request {
			answered = true
			asked.reply(t, group.OK)
			continue
		}
		ask := s.asks[r]
		delete(s.asks, r)
		ask.reply(t, group.OK)
	}
	when, ok := s.machine.Next()
	if !ok || s.state != serving {
		t.Disarm(&s.wake)
		return answered
	}
	if !s.wake.Armed() || s.due != when {
		s.due = when
		t.Arm(&s.wake, when.Sub(t.Now().Mono), s)
	}
	return answered
}

// Fire does what is due.
func (s *seat) Fire(t *shard.Turn, _ *shard.Timer) {
	s.own.Check(t)
	if s.state == serving {
		s.machine.Tick(t.Now())
		s.carry(t, nil)
	}
}

// serve begins the work after the last record.
func (s *seat) serve(t *shard.Turn) {
	s.state = serving
	s.machine.Loaded(t.Now())
	s.forget(t)
	s.carry(t, nil)
}

// leave gives the groups up: the next owner reads what is durable.
func (s *seat) leave(t *shard.Turn) {
	was := s.state
	s.state = left
	if was == serving {
		s.machine.Abandon(group.NotCoordinator)
	}
	if s.sent.first != nil {
		s.set.owing[s.name] = s
	}
	s.carry(t, nil)
}

// drain answers who waits for other clients.
func (s *seat) drain(t *shard.Turn) {
	if s.state != serving {
		return
	}
	s.machine.Dismiss(group.NotCoordinator)
	s.carry(t, nil)
	t.Disarm(&s.wake)
}

// storePatience is how long records may wait to be durable; whoever waits for an answer has given up long before.
const storePatience = time.Hour

// store is records on their way into the partition.
type store struct {
	ask  partition.AppendAsk
	seat *seat
	what *group.Append
	raw  []byte // memory of batches
	home bool   // the outcome is known
	next *store // the one sent after it; of those to be used again, another
}

// stores are some of them, first in first out.
type stores struct{ first, last *store }

func (q *stores) push(st *store) {
	if q.last == nil {
		q.first = st
	} else {
		q.last.next = st
	}
	q.last = st
}

// pop takes the first one if it is home, else nil.
func (q *stores) pop() *store {
	st := q.first
	if st == nil || !st.home {
		return nil
	}
	if q.first = st.next; q.first == nil {
		q.last = nil
	}
	st.next = nil
	return st
}

const (
	// storesMax is how many stores a seat keeps: as many as are under way in one turn of a busy one.
	storesMax = 64
	// storeBytesMax is how much memory of batches each may keep: that of an ordinary commit.
	storeBytesMax = 1 << 10
)

// newStore takes a store that was used before, or makes one.
func (s *seat) newStore(what *group.Append) *store {
	st := s.stores
	if st == nil {
		return &store{seat: s, what: what}
	}
	s.stores, s.kept = st.next, s.kept-1
	st.what, st.next = what, nil
	return st
}

// keep puts a store away that is done with.
func (s *seat) keep(st *store) {
	if cap(st.raw) > storeBytesMax {
		st.raw = nil
	}
	if s.kept < storesMax && s.state == serving {
		st.ask, st.what, st.home = partition.AppendAsk{}, nil, false
		st.next, s.stores, s.kept = s.stores, st, s.kept+1
	}
}

// append sends records to the partition, as one batch. It is on this shard, so what is appended in this order is stored in this order.
func (s *seat) append(t *shard.Turn, what *group.Append) {
	// The guard hears of every time that records carry: a clock that is set back while it does not look, and right again before it does, would else
	// make them look as old as the step.
	s.set.guard.Judge(t.Now())
	b := s.set.builder
	b.Reset()
	for i := range what.Records {
		b.Add(int64(t.Now().Wall), what.Records[i].Key, what.Records[i].Value)
	}
	st := s.newStore(what)
	s.sent.push(st)
	st.raw = b.AppendTo(st.raw[:0])
	header, _ := batch.ReadHeader(st.raw)
	st.ask = partition.AppendAsk{
		Home: s.set.id, To: s.set.partitions, Caller: st, Partition: s.name, Moves: s.since,
		Batch: st.raw, Header: header, Acks: partition.AcksAll, Timeout: storePatience, AppendTime: -1,
	}
	if len(st.raw) > s.set.batchBytesMax {
		// As a producer's would be; whoever reads the topic relies on it.
		st.ask.Code = partition.TooLarge
		t.Reply(s.set.id, (*partition.AppendReply)(&st.ask))
		return
	}
	t.Ask(s.set.id, &st.ask)
}

// Stored takes the batch back, which nobody else wants.
func (st *store) Stored(_ *shard.Turn, ask *partition.AppendAsk) { ask.Batch = nil }

// Appended tells the machine what became of its records, in the order of the log: a batch that the journal still reads comes home after later ones
// where a sync of the segment has made both durable.
func (st *store) Appended(t *shard.Turn, _ *partition.AppendAsk) {
	s := st.seat
	s.own.Check(t)
	st.home = true
	for st := s.sent.pop(); st != nil; st = s.sent.pop() {
		what, code := st.what, appendErrors[st.ask.Code]
		s.keep(st)
		if s.state == serving {
			s.machine.Stored(t.Now(), what, code)
			s.carry(t, nil)
		}
	}
	if s.sent.first == nil && s.set.owing[s.name] == s {
		delete(s.set.owing, s.name)
	}
}

// appendErrors is what an append's outcome means to a group (Kafka's CoordinatorOperationExceptionHelper).
var appendErrors = [...]group.Code{
	partition.OK:                 group.OK,
	partition.UnknownPartition:   group.NotCoordinator,
	partition.NotLeader:          group.NotCoordinator,
	partition.Moved:              group.NotCoordinator,
	partition.FencedEpoch:        group.NotCoordinator,
	partition.UnknownEpoch:       group.NotCoordinator,
	partition.OutOfRange:         group.Failed,
	partition.StorageFailed:      group.NotCoordinator,
	partition.NoSpace:            group.NotAvailable,
	partition.OutOfOrderSequence: group.Failed,
	partition.StaleProducer:      group.Failed,
	partition.DuplicateUnknown:   group.Failed,
	partition.TimedOut:           group.NotAvailable,
	partition.TooLarge:           group.Failed,
	partition.NoTimestamp:        group.Failed,
	partition.Undeletable:        group.Failed,
}
