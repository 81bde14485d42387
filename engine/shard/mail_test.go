package shard

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pinion/engine/model"
)

// numbered is mail that carries its sender's count.
type numbered struct {
	Letter
	log    *receipts
	sender int
	number int
}

// receipts checks, on the receiving shard, that every sender's mail comes in the order it was sent.
type receipts struct {
	next []int
	left int
	bad  string
	done chan struct{}
}

func (n *numbered) Deliver(*Turn) {
	r := n.log
	if r.next[n.sender] != n.number && r.bad == "" {
		r.bad = "mail out of order"
	}
	r.next[n.sender] = n.number + 1
	if r.left--; r.left == 0 {
		close(r.done)
	}
}

// Eight threads and two shards send through both lanes at once.
func TestEachSendersMailKeepsItsOrder(t *testing.T) {
	const outside, each = 8, 5000
	set := startSet(t, 3)
	lanes := 2 * 2 // of shards 1 and 2: asks and replies
	log := &receipts{next: make([]int, outside+lanes), left: (outside + lanes) * each, done: make(chan struct{})}
	mail := make([][]numbered, outside+lanes)
	for i := range mail {
		mail[i] = make([]numbered, each)
		for k := range mail[i] {
			mail[i][k] = numbered{log: log, sender: i, number: k}
		}
	}
	var sent sync.WaitGroup
	for i := range outside {
		sent.Go(func() {
			for k := range mail[i] {
				set.Shard(0).Post(&mail[i][k])
			}
		})
	}
	for s := range 2 {
		asks, replies := mail[outside+2*s], mail[outside+2*s+1]
		var burst func(t *Turn)
		burst = func(t *Turn) {
			for range min(100, len(asks)) {
				t.Ask(0, &asks[0])
				t.Reply(0, &replies[0])
				asks, replies = asks[1:], replies[1:]
			}
			if len(asks) > 0 {
				t.NextTurn(&parcel{do: burst})
			}
		}
		set.Shard(model.ShardID(s + 1)).Visit(burst)
	}
	sent.Wait()
	await(t, log.done)
	on(t, set, 0, func(*Turn) {
		if log.bad != "" {
			t.Error(log.bad)
		}
	})
}

func TestRepliesDoNotWaitBehindBulk(t *testing.T) {
	set := startSet(t, 2)
	busy, free := make(chan struct{}), make(chan struct{})
	on(t, set, 1, func(t *Turn) { t.Ask(0, &parcel{do: func(*Turn) { close(busy); <-free }}) })
	await(t, busy) // with an ask: replies that come meanwhile are for the next turn, before other asks
	var order []string
	on(t, set, 1, func(t *Turn) {
		t.Ask(0, &parcel{do: func(*Turn) { order = append(order, "ask") }})
		t.Reply(0, &parcel{do: func(*Turn) { order = append(order, "reply") }})
	})
	close(free)
	on(t, set, 0, func(*Turn) {})
	on(t, set, 0, func(*Turn) {
		if !slices.Equal(order, []string{"reply", "ask"}) {
			t.Errorf("delivered %v", order)
		}
	})
}

// Mail to ourselves never leaves the turn; mail for the next turn never runs in this one.
func TestOwnMailEndsWithTheTurnAndNextTurnDoesNot(t *testing.T) {
	set := startSet(t, 1)
	var began, asked, chained, later uint64
	done := make(chan struct{})
	turn := turnCount
	set.Shard(0).Visit(func(t *Turn) {
		began = turn(t)
		t.Ask(0, &parcel{do: func(t *Turn) {
			asked = turn(t)
			t.Reply(0, &parcel{do: func(t *Turn) { chained = turn(t) }})
		}})
		t.NextTurn(&parcel{do: func(t *Turn) { later = turn(t); close(done) }})
	})
	await(t, done)
	if asked != began || chained != began || later != began+1 {
		t.Errorf("turn %d: own mail in %d, its own mail in %d, next turn's in %d", began, asked, chained, later)
	}
}

// A wake-up that is lost is made up for only when the shard looks around after a second of sleep. Two shards play ping-pong, with and
// without polling, and threads from outside disturb them; no exchange may take nearly that long.
func TestSleepingShardIsAlwaysWoken(t *testing.T) {
	const lost = 900 * time.Millisecond
	span := 1500 * time.Millisecond
	if testing.Short() {
		span = 300 * time.Millisecond
	}
	set := startSet(t, 2)
	end := time.Now().Add(span)
	var worst atomic.Int64
	note := func(d time.Duration) {
		for old := worst.Load(); int64(d) > old && !worst.CompareAndSwap(old, int64(d)); old = worst.Load() {
		}
	}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for time.Now().Before(end) {
				began := time.Now()
				await(t, set.Shard(model.ShardID(i%2)).Visit(func(*Turn) {}))
				note(time.Since(began))
				if i < 2 {
					time.Sleep(time.Duration(i+1) * 100 * time.Microsecond) // lets the shard fall asleep now and then
				}
			}
		})
	}
	for _, polls := range []bool{false, true} {
		finished := make(chan struct{})
		ball := &pingPong{end: end, polls: polls, note: note, finished: finished}
		set.Shard(0).Visit(func(t *Turn) { ball.serve(t) })
		await(t, finished)
	}
	all.Wait()
	if d := time.Duration(worst.Load()); d >= lost {
		t.Errorf("a shard was woken only after %v", d)
	}
	on(t, set, 0, func(turn *Turn) { t.Logf("worst %v, %+v", time.Duration(worst.Load()), turn.Stats().Sleeps) })
}

// pingPong is mail that shard 0 sends to shard 1 and gets back.
type pingPong struct {
	Letter
	end      time.Time
	began    time.Time
	polls    bool
	note     func(time.Duration)
	finished chan struct{}
}

func (b *pingPong) serve(t *Turn) {
	b.began = time.Now()
	if b.polls {
		t.Expect(1)
	}
	t.Ask(1, b)
}

func (b *pingPong) Deliver(t *Turn) {
	if t.Shard() == 1 {
		t.Reply(0, b)
		return
	}
	b.note(time.Since(b.began))
	if b.polls {
		t.Expect(-1)
	}
	if time.Now().After(b.end) {
		b.end = time.Now().Add(200 * time.Millisecond)
		close(b.finished)
		return
	}
	b.serve(t)
}

// chore is a job that notes where it ran and came home.
type chore struct {
	Letter
	ran  bool
	home func(t *Turn, c *chore)
}

func (c *chore) Run()            { c.ran = true }
func (c *chore) Deliver(t *Turn) { c.home(t, c) }

// More jobs than the helpers' queue holds: the shard neither blocks nor loses one, and takes them home itself.
func TestEveryJobComesHomeToItsShard(t *testing.T) {
	const n = 3 * helperBacklog
	set := startSet(t, 2)
	done := make(chan struct{})
	left := n
	for i := range 2 {
		set.Shard(model.ShardID(i)).Visit(func(turn *Turn) {
			if turn.Shard() != 1 {
				return
			}
			for k := range n {
				c := &chore{home: func(turn *Turn, c *chore) {
					if !c.ran || turn.Shard() != 1 {
						t.Errorf("job ran %v, home on shard %d", c.ran, turn.Shard())
					}
					if left--; left == 0 {
						close(done)
					}
				}}
				if k%2 == 0 {
					turn.Help(c)
				} else {
					turn.HelpBulk(c)
				}
			}
		})
	}
	await(t, done)
}

// room counts its ends of turn and asks for more work a given number of times.
type room struct {
	name  string
	more  int
	trace *[]string
}

func (r *room) EndTurn(*Turn) bool {
	if r.more == 0 {
		return false
	}
	r.more--
	*r.trace = append(*r.trace, r.name)
	return true
}

// The turn ends when no room has anything left, and rooms end it in the order they were added.
func TestRoomsEndTheTurnTogether(t *testing.T) {
	set := startSet(t, 1)
	var trace []string
	first, second := &room{name: "first", trace: &trace}, &room{name: "second", trace: &trace}
	on(t, set, 0, func(*Turn) {
		set.Shard(0).AtEnd(first)
		set.Shard(0).AtEnd(second)
	})
	var turns uint64
	on(t, set, 0, func(t *Turn) {
		first.more, second.more = 1, 2
		turns = turnCount(t)
		t.NextTurn(&parcel{do: func(t *Turn) { turns = turnCount(t) - turns }})
	})
	on(t, set, 0, func(*Turn) {})
	on(t, set, 0, func(*Turn) {
		if want := []string{"first", "second", "second"}; !slices.Equal(trace, want) || turns != 1 {
			t.Errorf("trace %v over %d turns", trace, turns)
		}
	})
}

func TestMailAllocatesNothing(t *testing.T) {
	set := startSet(t, 1)
	on(t, set, 0, func(turn *Turn) {
		s := turn.shard
		p := &parcel{do: func(*Turn) {}}
		var timer Timer
		if n := testing.AllocsPerRun(1000, func() {
			turn.Ask(0, p)
			s.local.pop().body.Deliver(turn)
			s.lanes[bulk].push(p)
			s.deliver(turn, s.lanes[bulk].take())
			turn.Arm(&timer, time.Hour, nil)
			turn.Disarm(&timer)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// turnCount is how many turns the shard has ended.
func turnCount(t *Turn) uint64 {
	st := t.Stats()
	return st.Turns.Total()
}

// What is left for a shard that sleeps is there with whatever wakes it, in its order among the sender's other replies; Wake is enough for that.
func TestLeftMailComesWithTheNext(t *testing.T) {
	set := startSet(t, 2)
	var order []string
	note := func(word string) *parcel { return &parcel{do: func(*Turn) { order = append(order, word) }} }
	all := make(chan struct{})
	on(t, set, 0, func(t *Turn) {
		t.Leave(1, note("left"))
		t.Reply(1, note("sent"))
		t.Leave(1, note("left after it"))
		t.Leave(1, &parcel{do: func(*Turn) { close(all) }})
		t.Wake(1)
	})
	await(t, all)
	if want := []string{"left", "sent", "left after it"}; !slices.Equal(order, want) {
		t.Errorf("%q, want %q", order, want)
	}
}
