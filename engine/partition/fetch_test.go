package partition

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// cool closes every other partition's segment files by using partition 3, so that their next read needs a helper. The rig must allow one
// open file.
func (r *rig) cool() {
	r.t.Helper()
	r.fill(3, 1)
	r.until("one segment open", func(*shard.Turn) bool { return r.set.files.Open() <= 1 && !r.set.sweeping })
}

func TestReadGivesWhatIsVisibleAndTakesItBack(t *testing.T) {
	r := newRig(t)
	r.fill(0, 4)
	f := r.newFetch(1, 0, 0)
	r.send(&f.ask)
	r.expect(f, "fetched")
	part := &f.ask.Parts[0]
	if part.Code != OK || !part.Leased || part.High != 4 || part.Stable != 4 || part.LogStart != 0 || part.Span.Offset != 1 {
		t.Fatalf("%+v", part)
	}
	if f.ask.Bytes != int64(part.Span.Len) || part.Span.First*3 != part.Span.Len {
		t.Errorf("%d bytes in a span of %d, first batch %d", f.ask.Bytes, part.Span.Len, part.Span.First)
	}
	r.send((*Release)(&f.ask))
	r.expect(f, "released")
	if part.Leased {
		t.Error("still on loan")
	}
	for from, want := range map[model.Offset]Code{0: OK, 4: OK, 5: OutOfRange, -1: OutOfRange} {
		f := r.newFetch(from, 0, 0)
		r.send(&f.ask)
		r.expect(f, "fetched")
		if got := f.ask.Parts[0].Code; got != want {
			t.Errorf("fetch from %d: code %d, want %d", from, got, want)
		}
		r.send((*Release)(&f.ask))
		r.expect(f, "released")
	}
}

// A span says whether it was written a moment ago.
func TestReadSaysWhatIsFresh(t *testing.T) {
	r := newRig(t)
	p := r.opened(0)
	r.fill(0, 2)
	if r.on(owner, func(*shard.Turn) {}); p.fresh.since == 0 {
		t.Fatal("a write leaves no mark")
	}
	later := func(t *shard.Turn) clock.Mono { return t.Now().Mono.Add(time.Hour) } // the mark stays as it is for the rest of the test
	r.on(owner, func(t *shard.Turn) { p.fresh = fresh{from: 1, since: later(t)} })
	for from, want := range []bool{false, true} {
		f := r.newFetch(model.Offset(from), 0, 0)
		r.send(&f.ask)
		r.expect(f, "fetched")
		if got := f.ask.Parts[0].Span.Fresh > 0; got != want {
			t.Errorf("records from %d on are fresh: %v, want %v", from, got, want)
		}
		r.send((*Release)(&f.ask))
		r.expect(f, "released")
	}
}

// Epochs a client knows are held against ours (KIP-320), and its last record's against the log (KIP-595).
func TestReadComparesEpochs(t *testing.T) {
	r := newRig(t)
	p := r.opened(0)
	r.fill(0, 2) // epoch 0
	r.on(owner, func(*shard.Turn) { p.epoch = 3 })
	r.fill(0, 2)
	for _, row := range []struct {
		known, last model.Epoch
		from        model.Offset
		code        Code
		diverges    bool
		at          model.Epoch
		end         model.Offset
	}{
		{model.NoEpoch, model.NoEpoch, 0, OK, false, 0, 0},
		{3, model.NoEpoch, 0, OK, false, 0, 0},
		{-7, -7, 0, OK, false, 0, 0}, // as good as none, for Kafka
		{2, model.NoEpoch, 0, FencedEpoch, false, 0, 0},
		{4, model.NoEpoch, 0, UnknownEpoch, false, 0, 0},
		{3, 3, 4, OK, false, 0, 0},
		{3, 0, 2, OK, false, 0, 0},
		{3, 0, 3, OK, true, 0, 2},           // epoch 0 ended at 2
		{3, 1, 3, OK, true, 0, 2},           // we never had epoch 1
		{3, 4, 3, OutOfRange, false, 0, 0},  // nobody can say where an epoch ended that is still to come
		{3, 1, -1, OutOfRange, false, 0, 0}, // no use in telling where epochs part when the offset is no more
	} {
		f := r.newFetch(row.from, 0, 0)
		part := &f.ask.Parts[0]
		part.Epoch, part.LastFetched = row.known, row.last
		r.send(&f.ask)
		r.expect(f, "fetched")
		if part.Code != row.code || part.Diverging != row.diverges || row.diverges && (part.DivergeAt != row.at || part.DivergeEnd != row.end) {
			t.Errorf("%+v: code %d, diverging %v at %d, %d", row, part.Code, part.Diverging, part.DivergeAt, part.DivergeEnd)
		}
		r.send((*Release)(&f.ask))
		r.expect(f, "released")
	}
}

// A waiter is answered once, when enough has come in over all its partitions, and then never again.
func TestWaiterIsAnsweredOnce(t *testing.T) {
	r := newRig(t)
	for i := range int32(3) {
		r.opened(i)
	}
	size := int64(len(batchOf(1, -1, 0)))
	f := r.newFetch(0, 2*size, 0, 1, 2)
	r.send(&f.ask)
	r.expect(f, "waiting")
	r.fill(1, 1)
	r.quiet(f)
	r.fill(2, 1)
	r.expect(f, "fetched")
	if f.ask.Bytes != 2*size {
		t.Errorf("%d bytes, want %d", f.ask.Bytes, 2*size)
	}
	r.fill(0, 3)
	r.fill(1, 3)
	r.quiet(f)
	r.send((*Release)(&f.ask))
	r.expect(f, "released")
	r.send(&f.ask) // the same ask again, as a poll does
	r.expect(f, "fetched")
	if f.ask.Bytes != 8*size {
		t.Errorf("%d bytes, want %d", f.ask.Bytes, 8*size)
	}
	r.send((*Release)(&f.ask))
	r.expect(f, "released")
}

// A partition named twice in one request is a client's mistake, not ours to stumble over.
func TestWaiterOnOnePartitionTwice(t *testing.T) {
	r := newRig(t)
	r.opened(0)
	size := int64(len(batchOf(1, -1, 0)))
	other, f := r.newFetch(0, 1, 0), r.newFetch(0, 8*size, 0, 0)
	r.send(&f.ask)
	r.expect(f, "waiting")
	r.send(&other.ask)
	r.expect(other, "waiting")
	r.fill(0, 1)
	r.expect(other, "fetched")
	r.fill(0, 8)
	r.expect(f, "fetched")
	r.quiet(f)
	r.quiet(other)
}

// Cancel and the answer may cross: the caller hears of the answer at most once, then that it is cancelled, then nothing, and what was on loan
// is back.
func TestCancelCrossesTheAnswer(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t)
	r.opened(0)
	answered, missed := 0, 0
	f := r.newFetch(0, 1, 0)
	for round := range 300 {
		f.ask.Parts[0].From = model.Offset(round)
		f.ask.BytesMin = 1
		r.send(&f.ask)
		r.expect(f, "waiting")
		c := r.newAppend(&trace{}, "append", 0, batchOf(1, -1, 0))
		post := func(*shard.Turn) { r.shards.Shard(owner).Post(&c.ask) } // from outside: it may overtake the home's cancel
		cancel := func(t *shard.Turn) { f.ask.Cancel(t) }
		steps := []func(*shard.Turn){post, cancel}
		if rnd.IntN(2) == 0 {
			slices.Reverse(steps)
		}
		together := rnd.IntN(2) == 0
		if together {
			r.on(home, func(t *shard.Turn) { steps[0](t); steps[1](t) })
		} else {
			r.on(home, steps[0])
			r.on(home, steps[1])
		}
		r.await(c.done, "append")
		word := <-f.told
		if word == "fetched" {
			answered++
			word = <-f.told
		} else {
			missed++
		}
		if word != "cancelled" {
			t.Fatalf("seed %d: round %d told %s", seed, round, f.trace)
		}
		if f.ask.Parts[0].Leased || f.ask.Parts[0].Span.Len > 0 {
			t.Fatalf("seed %d: round %d: the span is still on loan", seed, round)
		}
		if round%50 == 0 {
			r.quiet(f)
		}
		if len(f.told) > 0 {
			t.Fatalf("seed %d: round %d told %s after it was cancelled", seed, round, f.trace)
		}
	}
	r.quiet(f)
	t.Logf("%d answered before they were cancelled, %d not", answered, missed)
}

// A poll is cancelled while its answer is being made: a helper opens one of its partitions. It is home when the helper is.
func TestCancelWaitsForTheAnswerUnderWay(t *testing.T) {
	r := newRigFiles(t, 1)
	r.opened(0)
	r.fill(1, 1)
	size := int64(len(batchOf(1, -1, 0)))
	f := r.newFetch(0, 2*size, 0, 1)
	r.send(&f.ask)
	r.expect(f, "waiting")
	r.cool()
	r.dir.hold(only("open", "orders-1"))
	r.fill(0, 1)
	r.awaitHeld(1)
	r.on(home, func(t *shard.Turn) { f.ask.Cancel(t) })
	r.quiet(f)
	r.dir.open()
	r.expect(f, "cancelled")
	r.quiet(f)
	for i := range f.ask.Parts {
		if f.ask.Parts[i].Leased {
			t.Errorf("part %d is still on loan", i)
		}
	}
	r.send(&f.ask) // and it may be sent again
	r.expect(f, "fetched")
	r.send((*Release)(&f.ask))
	r.expect(f, "released")
}

// A poll of two partitions: one has to be opened by a helper first, and while the helper is away records arrive in the other. The waiter
// must not sleep on them.
func TestWhatArrivesWhileAHelperIsAwayWakesThePoll(t *testing.T) {
	t.Run("cold", func(t *testing.T) {
		r := newRigFiles(t, 1)
		r.opened(0)
		r.fill(1, 1)
		r.cool()
		size := int64(len(batchOf(1, -1, 0)))
		r.dir.hold(only("open", "orders-1"))
		f := r.newFetch(0, 2*size, 0, 1)
		r.send(&f.ask)
		r.awaitHeld(1)
		r.fill(0, 1)
		r.dir.open()
		r.expectData(f, 2*size)
	})
	t.Run("opening", func(t *testing.T) {
		r := newRig(t)
		r.opened(0)
		r.dir.hold(only("list", "orders-1"))
		f := r.newFetch(0, 1, 0, 1)
		r.send(&f.ask)
		r.awaitHeld(1)
		r.fill(0, 1)
		r.dir.open()
		r.expectData(f, int64(len(batchOf(1, -1, 0))))
	})
}

// expectData waits for an answer with so many bytes.
func (r *rig) expectData(f *fetchCall, bytes int64) {
	r.t.Helper()
	for {
		select {
		case word := <-f.told:
			switch {
			case word == "fetched" && f.ask.Bytes == bytes:
				r.send((*Release)(&f.ask))
				r.expect(f, "released")
				return
			case word == "waiting":
				continue
			}
			r.t.Fatalf("told %s with %d bytes, want %d", f.trace, f.ask.Bytes, bytes)
		case <-time.After(2 * time.Second):
			r.t.Fatalf("the bytes are there and the poll sleeps: %s", f.trace)
		}
	}
}

// Named twice while it is being opened, and cold besides: every span that is lent comes back.
func TestEveryLeaseOfARepeatedPartitionComesBack(t *testing.T) {
	r := newRigFiles(t, 1)
	p := r.opened(0)
	r.fill(0, 3)
	r.cool()
	r.dir.hold(only("open", "orders-0"))
	f := r.newFetch(0, 0, 0, 0)
	r.on(owner, func(t *shard.Turn) { // as if recovery were under way, with the files closed
		p.state = opening
		r.set.fetch(t, &f.ask)
		p.state = open
		p.resumeFetches(t)
	})
	r.dir.open()
	r.expect(f, "fetched")
	r.quiet(f)
	if got, want := f.ask.Bytes, int64(f.ask.Parts[0].Span.Len+f.ask.Parts[1].Span.Len); got != want {
		t.Errorf("%d bytes counted in spans of %d", got, want)
	}
	r.send((*Release)(&f.ask))
	r.expect(f, "released")
	r.cool()
	r.on(owner, func(*shard.Turn) {
		if span, state := p.log.Read(0, 3, 1, true); state != log.ReadNeedsWork {
			t.Errorf("read state %d: a lease keeps the segment open", state)
			p.log.Release(span)
		}
	})
}

// Reads run while a helper brings another's cold segment; each comes home with its own answer.
func TestColdReadsComeHomeEachWithItsOwn(t *testing.T) {
	r := newRigFiles(t, 1)
	for i := range int32(3) {
		r.fill(i, int(i)+1)
	}
	r.cool()
	var calls []*fetchCall
	r.dir.hold(func(op, _ string) bool { return op == "open" })
	for i := range 9 {
		f := r.newFetch(0, 0, int32(i%3))
		calls = append(calls, f)
		r.send(&f.ask)
	}
	r.awaitHeld(1)
	r.dir.open()
	for i, f := range calls {
		r.expect(f, "fetched")
		if high := f.ask.Parts[0].High; high != model.Offset(i%3+1) || !f.ask.Parts[0].Leased {
			t.Errorf("fetch %d: high %d, leased %v", i, high, f.ask.Parts[0].Leased)
		}
		r.send((*Release)(&f.ask))
		r.expect(f, "released")
	}
}

// Steady reads of what is hot allocate nothing on the owner.
func TestReadAllocatesNothing(t *testing.T) {
	r := newRig(t)
	r.opened(0)
	r.fill(0, 20)
	f := r.newFetch(3, 0, 0)
	best := 1e9
	r.on(owner, func(t *shard.Turn) {
		for range 5 {
			best = min(best, testing.AllocsPerRun(500, func() {
				f.ask.pending = 1 // keeps the answer from being sent
				r.set.fetchForTest(t, &f.ask)
				r.set.release(t, &f.ask)
			}))
		}
	})
	if best >= 0.5 {
		t.Errorf("%v allocations a read", best)
	}
}

// fetchForTest reads every part and sends nothing home.
func (s *Set) fetchForTest(t *shard.Turn, ask *FetchAsk) {
	ask.loans = s.files.Loans()
	for i := range ask.Parts {
		part := &ask.Parts[i]
		part.ask = ask
		p, _ := s.find(t, part.Partition)
		p.read(t, part)
		if !part.Leased {
			panic(fmt.Sprint("nothing lent: ", part.Code))
		}
	}
}

// TestFreshIsOfWhenTheAnswerLeaves: a span that was fresh when it was read is not any more once the ask had to wait for the disk.
func TestFreshIsOfWhenTheAnswerLeaves(t *testing.T) {
	r := newRigFiles(t, 1)
	r.opened(0)
	r.fill(1, 2)
	r.cool() // partition 1 is cold now
	r.fill(0, 1)
	r.until("one segment open", func(*shard.Turn) bool { return r.set.files.Open() <= 1 && !r.set.sweeping })
	r.dir.hold(only("open", "orders-1/"))
	r.fill(0, 1)
	f := r.newFetch(0, 0, 0, 1)
	f.ask.Parts[0].From = 1
	r.send(&f.ask)
	r.awaitHeld(1)
	time.Sleep(2*freshFor + 300*time.Millisecond) // until it is not fresh any more
	r.dir.open()
	r.expect(f, "fetched")
	r.on(owner, func(turn *shard.Turn) {
		if until := f.ask.Parts[0].Span.Fresh; until > turn.Now().Mono {
			t.Errorf("a span that was written half a second ago leaves as fresh")
		}
	})
	r.send((*Release)(&f.ask))
	r.expect(f, "released")
}
