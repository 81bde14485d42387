package partition

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinion/engine/model"
	"pinion/engine/shard"
)

// The first segment cannot be made yet, later ones are rolled every few batches, and reservations take their time: appends wait, and
// keep the order they came in, from both homes.
func TestHeldAppendsKeepTheirOrder(t *testing.T) {
	const each = 60
	r := newRig(t)
	p := r.opened(0)
	r.on(owner, func(*shard.Turn) {
		c := p.log.Config()
		c.SegmentBytes = 1000
		p.log.SetConfig(c)
	})
	r.dir.hold(only("create", "orders-0"))
	tr := &trace{}
	var calls [2][]*appendCall
	for i := range calls {
		for k := range each {
			c := r.newAppend(tr, fmt.Sprintf("%d.%d", i, k), 0, batchOf(1+k%3, -1, 0))
			c.ask.Home = model.ShardID(i)
			calls[i] = append(calls[i], c)
		}
	}
	for k := 0; k < each; k += 10 {
		for i := range calls {
			r.on(model.ShardID(i), func(t *shard.Turn) {
				for _, c := range calls[i][k : k+10] {
					t.Ask(owner, &c.ask)
				}
			})
		}
		if k == each/2 {
			r.awaitHeld(1)
			r.on(owner, func(*shard.Turn) {
				if p.held.empty() || !p.preparing {
					t.Error("nothing waits: the gate does not hold what it should")
				}
			})
			r.dir.open()
		}
	}
	end := model.Offset(0)
	for i := range calls {
		last := model.Offset(-1)
		for k, c := range calls[i] {
			r.await(c.done, "append")
			if c.ask.Code != OK || c.ask.Base <= last {
				t.Fatalf("append %d of home %d: code %d, offset %d after %d", k, i, c.ask.Code, c.ask.Base, last)
			}
			last = c.ask.Base
			end += model.Offset(1 + k%3)
		}
	}
	r.on(owner, func(*shard.Turn) {
		if p.marks.End != end || p.marks.High != end || p.log.Segments() < 5 {
			t.Errorf("marks %+v, want the end at %d; %d segments", p.marks, end, p.log.Segments())
		}
	})
}

// Appends that arrive before recovery is done wait for it.
func TestAppendsWaitForRecovery(t *testing.T) {
	r := newRigWith(t, 64, memory)
	r.dir.hold(only("list", "orders-1"))
	tr := &trace{}
	a, b := r.newAppend(tr, "a", 1, batchOf(2, -1, 0)), r.newAppend(tr, "b", 1, batchOf(1, -1, 0))
	r.post(a, b)
	r.awaitHeld(1)
	if got := tr.String(); got != "" {
		t.Fatalf("answered during recovery: %s", got)
	}
	r.dir.open()
	r.await(a.done, "a")
	r.await(b.done, "b")
	if got := tr.String(); got != "a 0@0, b 0@2" {
		t.Error(got)
	}
}

// A high watermark that lags: acknowledgements are parked, their batches go home at once, and each is answered when the mark passes it.
func TestAcknowledgementsWaitForTheHighWatermark(t *testing.T) {
	r := newRigWith(t, 64, memory)
	p := r.opened(0)
	r.fill(0, 2)
	tr := &trace{}
	var calls []*appendCall
	r.on(owner, func(t *shard.Turn) {
		for _, target := range []model.Offset{3, 4, 6} { // as if written and not replicated
			c := r.newAppend(tr, fmt.Sprintf("to %d", target), 0, batchOf(1, -1, 0))
			c.ask.target, c.ask.Base = target, target-1
			calls = append(calls, c)
			p.park(t, &c.ask)
		}
	})
	r.on(home, func(*shard.Turn) {})
	if got := tr.String(); got != "to 3 stored, to 4 stored, to 6 stored" {
		t.Fatal(got)
	}
	r.fill(0, 2)
	r.await(calls[1].done, "the second")
	if got := tr.String(); got != "to 3 stored, to 4 stored, to 6 stored, to 3 0@2, to 4 0@3" {
		t.Fatal(got)
	}
	r.fill(0, 1)
	if strings.Contains(tr.String(), "to 6 0") {
		t.Fatal("acknowledged before the high watermark passed it")
	}
	r.fill(0, 1)
	r.await(calls[2].done, "the third")
}

// A parked acknowledgement whose time is up is told so; those with more patience go on waiting, in order.
func TestParkedAcknowledgementTimesOut(t *testing.T) {
	r := newRigWith(t, 64, memory)
	p := r.opened(0)
	tr := &trace{}
	var calls []*appendCall
	r.on(owner, func(t *shard.Turn) {
		for i, timeout := range []time.Duration{patience, 20 * time.Millisecond, patience} {
			c := r.newAppend(tr, fmt.Sprint(i), 0, batchOf(1, -1, 0))
			c.ask.target, c.ask.Base, c.ask.Timeout = model.Offset(i+1), model.Offset(i), timeout
			calls = append(calls, c)
			p.park(t, &c.ask)
		}
	})
	r.await(calls[1].done, "the impatient one")
	if calls[1].ask.Code != TimedOut {
		t.Fatalf("code %d", calls[1].ask.Code)
	}
	r.fill(0, 3)
	r.await(calls[2].done, "the last")
	if got := tr.String(); got != "0 stored, 1 stored, 2 stored, 1 12@1, 0 0@0, 2 0@2" {
		t.Error(got)
	}
}

// A retry that comes while its original is in the same turn's write is answered with the original's offset, and after it.
func TestDuplicateIsAnsweredAfterItsOriginal(t *testing.T) {
	for _, acks := range []Acks{AcksAll, AcksLeader} {
		r := newRigWith(t, 64, memory)
		r.opened(0)
		r.fill(0, 3)
		tr := &trace{}
		original, retry := r.newAppend(tr, "original", 0, batchOf(2, 7, 0)), r.newAppend(tr, "retry", 0, batchOf(2, 7, 0))
		next := r.newAppend(tr, "next", 0, batchOf(1, 7, 2))
		retry.ask.Acks = acks
		r.post(original, retry, next)
		for _, c := range []*appendCall{original, retry, next} {
			r.await(c.done, c.name)
		}
		got := strings.ReplaceAll(tr.String(), "retry stored, ", "")
		if got != "original 0@3, next 0@5, retry 0@3" && got != "original 0@3, retry 0@3, next 0@5" {
			t.Errorf("acks %d: %s", acks, tr)
		}
		again := r.newAppend(tr, "again", 0, batchOf(2, 7, 0))
		gap := r.newAppend(tr, "gap", 0, batchOf(1, 7, 9))
		r.post(again, gap)
		r.await(again.done, "again")
		r.await(gap.done, "gap")
		if again.ask.Code != OK || again.ask.Base != 3 || gap.ask.Code != OutOfOrderSequence {
			t.Errorf("again: code %d at %d; gap: code %d", again.ask.Code, again.ask.Base, gap.ask.Code)
		}
	}
}

// A retry is told the time its original was stamped with: producers hand it on to whoever sent the record.
func TestDuplicateIsToldTheTimeOfItsOriginal(t *testing.T) {
	r := newRigWith(t, 64, memory)
	r.clock.Step(-time.Hour)
	tr := &trace{}
	original, retry := r.newAppend(tr, "original", 0, batchOf(2, 7, 0)), r.newAppend(tr, "retry", 0, batchOf(2, 7, 0))
	original.ask.AppendTime, retry.ask.AppendTime = 0, 0 // the topic's records have the broker's time
	r.post(original)
	r.await(original.done, "original")
	r.clock.Step(0)
	r.post(retry)
	r.await(retry.done, "retry")
	if got, want := retry.ask.AppendTime, original.ask.AppendTime; got != want || want <= 0 || retry.ask.Base != original.ask.Base {
		t.Errorf("told %d, the original %d: %s", got, want, tr)
	}
}

// The write fails: neither the original nor the retry that waits on it may be told that it is stored.
func TestDuplicateFailsWithItsOriginal(t *testing.T) {
	r := newRig(t)
	p := r.opened(0)
	r.fill(0, 1)
	r.dir.fail(failing("write", errBroken))
	tr := &trace{}
	original, retry := r.newAppend(tr, "original", 0, batchOf(1, 7, 0)), r.newAppend(tr, "retry", 0, batchOf(1, 7, 0))
	r.post(original, retry)
	r.await(original.done, "original")
	r.await(retry.done, "retry")
	later := r.newAppend(tr, "later", 0, batchOf(1, -1, 0))
	r.dir.fail(nil)
	r.post(later)
	r.await(later.done, "later")
	for _, c := range []*appendCall{original, retry, later} {
		if c.ask.Code != StorageFailed {
			t.Errorf("%s: code %d after a failed write", c.name, c.ask.Code)
		}
	}
	f := r.newFetch(0, 0, 0)
	r.send(&f.ask)
	r.expect(f, "fetched")
	if code := f.ask.Parts[0].Code; code != StorageFailed {
		t.Errorf("fetch: code %d", code)
	}
	r.on(owner, func(turn *shard.Turn) {
		if p.state != failed || r.set.Stats(turn).Failed != 1 {
			t.Errorf("state %d, %+v", p.state, r.set.Stats(turn))
		}
	})
}

// No room on the disk: what cannot be reserved is refused whole, nothing is stored, and it works again as soon as there is room.
func TestFullDiskRefusesAndRecovers(t *testing.T) {
	r := newRig(t)
	p := r.opened(0)
	r.dir.fail(failing("reserve", errNoSpace))
	tr := &trace{}
	var calls []*appendCall
	for i := range 3 {
		calls = append(calls, r.newAppend(tr, fmt.Sprint(i), 0, batchOf(1, -1, 0)))
	}
	r.post(calls...)
	for _, c := range calls {
		r.await(c.done, c.name)
		if c.ask.Code != NoSpace {
			t.Fatalf("append %s: code %d", c.name, c.ask.Code)
		}
	}
	r.on(owner, func(*shard.Turn) {
		if p.state != open || p.marks.End != 0 {
			t.Errorf("state %d, marks %+v", p.state, p.marks)
		}
	})
	r.dir.fail(nil)
	r.fill(0, 2)
}

// Descriptors have run out, or a file could not be made for another reason: nothing was accepted, so the partition stays, and goes on
// as soon as it can.
func TestRefusedOpenIsNotTheEndOfAPartition(t *testing.T) {
	r := newRig(t)
	p := r.opened(0)
	r.dir.fail(failing("create", syscall.EMFILE))
	c := r.newAppend(&trace{}, "refused", 0, batchOf(1, -1, 0))
	r.post(c)
	r.await(c.done, "append")
	if c.ask.Code != StorageFailed {
		t.Errorf("code %d", c.ask.Code)
	}
	r.on(owner, func(*shard.Turn) {
		if p.state != open {
			t.Errorf("state %d: the partition is lost until the next start", p.state)
		}
	})
	r.dir.fail(nil)
	c = r.newAppend(&trace{}, "taken", 0, batchOf(1, -1, 0))
	r.post(c)
	r.await(c.done, "append")
	if c.ask.Code != OK {
		t.Errorf("code %d after the shortage", c.ask.Code)
	}
}

// Steady appends allocate nothing on the owner.
func TestAppendAllocatesNothing(t *testing.T) {
	r := newRig(t)
	r.opened(0)
	r.fill(0, 1)
	const rounds, runs = 5, 500
	c := r.newAppend(&trace{}, "", 0, batchOf(3, -1, 0))
	c.ask.Home, c.ask.Caller = owner, silent{}
	asks := make([]AppendAsk, rounds*(runs+1)) // none is home before the turn ends
	for i := range asks {
		asks[i] = c.ask
	}
	best := 1e9
	r.on(owner, func(t *shard.Turn) {
		for range rounds {
			best = min(best, testing.AllocsPerRun(runs, func() {
				r.set.append(t, &asks[0])
				asks = asks[1:]
				for r.set.EndTurn(t) {
				}
			}))
		}
	})
	if best >= 0.5 {
		t.Errorf("%v allocations an append", best)
	}
}

type silent struct{}

func (silent) Stored(*shard.Turn, *AppendAsk)   {}
func (silent) Appended(*shard.Turn, *AppendAsk) {}
