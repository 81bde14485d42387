package partition

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pinion/engine/model"
	"pinion/engine/shard"
)

var durableID = model.TopicID{2}

func durableAt(index int32) model.Partition { return model.Partition{Topic: durableID, Index: index} }

// newFsyncRig is a rig with a topic "safe" whose acknowledgements wait for durability. Its partitions are open.
func newFsyncRig(t *testing.T, partitions int32) *rig {
	t.Helper()
	r := newRigWith(t, int(partitions)+8, memory)
	r.createWith("safe", durableID, int(partitions), map[string]string{"pinion.durability": "fsync"})
	var calls []*appendCall
	for i := range partitions {
		calls = append(calls, r.safeAppend(&trace{}, "first", i, 1))
	}
	r.post(calls...)
	for _, c := range calls {
		r.await(c.done, "append")
		if c.ask.Code != OK {
			t.Fatalf("append: code %d", c.ask.Code)
		}
	}
	return r
}

func (r *rig) safeAppend(tr *trace, name string, index int32, records int) *appendCall {
	c := r.newAppend(tr, name, index, batchOf(records, -1, 0))
	c.ask.Partition = durableAt(index)
	return c
}

// marks copies the marks of a partition of "safe".
func (r *rig) marks(index int32) (m Marks) {
	r.on(owner, func(*shard.Turn) { m = r.set.known(durableAt(index)).marks })
	return m
}

func (c *appendCall) answered() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// Nothing is answered and nothing is seen before the journal has it: not the append, not a retry of it. acks=1 does not wait.
func TestAcknowledgementWaitsForTheJournal(t *testing.T) {
	r := newFsyncRig(t, 1)
	r.dir.hold(only("sync", "journal/"))
	tr := &trace{}
	original := r.newAppend(tr, "original", 0, batchOf(2, 7, 0))
	retry := r.newAppend(tr, "retry", 0, batchOf(2, 7, 0))
	leader := r.newAppend(tr, "leader", 0, batchOf(1, 8, 0))
	for _, c := range []*appendCall{original, retry, leader} {
		c.ask.Partition = durableAt(0)
	}
	leader.ask.Acks = AcksLeader
	r.post(original)
	r.awaitHeld(1)
	r.post(retry, leader)
	r.await(leader.done, "acks=1")
	r.on(owner, func(*shard.Turn) {})
	if original.answered() || retry.answered() || leader.ask.Base != 3 {
		t.Fatalf("answered before the journal was synced: %s", tr)
	}
	if m := r.marks(0); m.End != 4 || m.High != 1 || m.Durable != 1 {
		t.Fatalf("marks %+v", m)
	}
	f := r.newFetch(1, 0, 0)
	f.ask.Parts[0].Partition = durableAt(0)
	r.send(&f.ask)
	r.expect(f, "fetched")
	if part := &f.ask.Parts[0]; part.Leased || part.High != 1 {
		t.Fatalf("a reader was given offset %d, high watermark %d", part.From, part.High)
	}
	r.dir.open()
	r.await(original.done, "original")
	r.await(retry.done, "retry")
	if original.ask.Code != OK || retry.ask.Code != OK || retry.ask.Base != original.ask.Base {
		t.Fatalf("%s", tr)
	}
	r.until("everything is visible", func(*shard.Turn) bool { return r.set.known(durableAt(0)).marks.High == 4 })
}

// What comes while a commit is being synced is not durable with it, though the journal takes it in at once: it is written by the next.
func TestWhatJoinsACommitWaitsForTheNext(t *testing.T) {
	r := newFsyncRig(t, 2)
	r.dir.hold(only("sync", "journal/"))
	tr := &trace{}
	first := r.safeAppend(tr, "first", 0, 1)
	r.post(first)
	r.awaitHeld(1)
	// One hand-in may wait behind the one that is written; a third gathers meanwhile.
	second, third, other := r.safeAppend(tr, "second", 0, 1), r.safeAppend(tr, "third", 0, 1), r.safeAppend(tr, "other", 1, 1)
	for _, c := range []*appendCall{second, third, other} {
		r.post(c)
		r.on(owner, func(*shard.Turn) {})
	}
	r.until("all are written", func(*shard.Turn) bool {
		return r.set.known(durableAt(0)).marks.End == 4 && r.set.known(durableAt(1)).marks.End == 2
	})
	writes := r.journal.Stats().Writes
	r.dir.pass()
	r.await(first.done, "first")
	r.awaitHeld(1)
	r.on(owner, func(*shard.Turn) {})
	if second.answered() || third.answered() || other.answered() || r.marks(0).High != 2 || r.marks(1).High != 1 {
		t.Fatalf("answered with the commit before: %s, %+v, %+v", tr, r.marks(0), r.marks(1))
	}
	if n := r.journal.Stats().Writes; n != writes+1 {
		t.Fatalf("%d durable writes, want one", n-writes)
	}
	r.dir.open()
	for _, c := range []*appendCall{second, third, other} {
		r.await(c.done, c.name)
		if c.ask.Code != OK {
			t.Errorf("%s: code %d", c.name, c.ask.Code)
		}
	}
}

// What many partitions take in while the journal is at work is its next write: one for all of them, and no segment is synced.
func TestManyPartitionsAreOneWrite(t *testing.T) {
	const partitions = 512
	r := newFsyncRig(t, partitions)
	var segments atomic.Int32
	r.dir.fail(func(op, path string) error {
		if op == "sync" && strings.HasSuffix(path, ".log") {
			segments.Add(1)
		}
		return nil
	})
	r.dir.hold(only("sync", "journal/"))
	plug := r.safeAppend(&trace{}, "plug", 0, 1)
	r.post(plug)
	r.awaitHeld(1)
	before := r.journal.Stats()
	var calls []*appendCall
	for i := range int32(partitions) {
		calls = append(calls, r.safeAppend(&trace{}, "small", i, 1))
	}
	r.post(calls...)
	r.until("all are written", func(*shard.Turn) bool {
		for i := range int32(partitions) {
			if m := r.set.known(durableAt(i)).marks; m.End < 2 || m.High > 1 {
				return false
			}
		}
		return true
	})
	r.dir.open()
	for _, c := range calls {
		r.await(c.done, "append")
	}
	// The plug, and what gathered behind it: in as many hand-ins as the shard had turns, at most two before it waits.
	if after := r.journal.Stats(); after.Writes-before.Writes > 3 || segments.Load() != 0 {
		t.Fatalf("%d appends took %d writes of the journal and %d syncs of segments", partitions, after.Writes-before.Writes, segments.Load())
	}
}

// The journal reads a large batch where it lies, so its sender must not have it back before: not with an answer either, when the time for that
// has passed, or the partition has failed meanwhile.
func TestLentBatchesComeHomeWithTheCommit(t *testing.T) {
	for what, harm := range map[string]func(r *rig, c *appendCall){
		"timeout": func(r *rig, c *appendCall) {},
		"failure": func(r *rig, c *appendCall) {
			r.on(owner, func(t *shard.Turn) { r.set.known(durableAt(0)).fail(t, errBroken) })
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := newFsyncRig(t, 1)
			r.dir.hold(only("sync", "journal/"))
			c := r.safeAppend(&trace{}, "lent", 0, 1000)
			if n := len(c.ask.Batch); n < r.journal.Options().LendMin || n > r.journal.Options().BatchMax {
				t.Fatalf("a batch of %d bytes is not lent", n)
			}
			c.ask.Timeout = time.Millisecond
			r.post(c)
			r.awaitHeld(1)
			harm(r, c)
			r.until("the answer is due", func(*shard.Turn) bool { return c.ask.due })
			if c.answered() {
				t.Fatal("the batch is home, and the journal is not through with it")
			}
			r.dir.open()
			r.await(c.done, "append")
			if c.ask.Code != TimedOut && c.ask.Code != StorageFailed {
				t.Fatalf("code %d", c.ask.Code)
			}
			r.until("the journal is idle", func(*shard.Turn) bool { return r.set.sites[0].scribe.away == 0 })
		})
	}
}

// What no journal takes any more, because the directory is fenced, goes home.
func TestLentBatchesComeHomeFromAFencedDirectory(t *testing.T) {
	r := newFsyncRig(t, 1)
	r.dir.fail(failing("sync", errBroken)) // once it has waited
	r.dir.hold(only("sync", "journal/"))
	tr := &trace{}
	var calls []*appendCall
	for i := range 4 { // two are handed in, one gathers
		c := r.safeAppend(tr, fmt.Sprint("lent ", i), 0, 1000)
		calls = append(calls, c)
		r.post(c)
		r.on(owner, func(*shard.Turn) {})
	}
	r.awaitHeld(1)
	r.dir.open()
	for _, c := range calls {
		if r.await(c.done, c.name); c.ask.Code != StorageFailed {
			t.Errorf("%s: code %d", c.name, c.ask.Code)
		}
	}
}

// What a journal without a free file holds goes home when the directory is fenced: nobody makes a file free any more.
func TestLentBatchesComeHomeFromAFullJournal(t *testing.T) {
	r := newFsyncRig(t, 1)
	r.dir.fail(func(op, path string) error {
		switch {
		case op == "create" && strings.HasPrefix(path, "journal/"):
			return fmt.Errorf("%s: %w", path, errNoSpace)
		case op == "sync" && strings.HasPrefix(path, "safe-0/"):
			return errBroken // once it has waited
		}
		return nil
	})
	r.dir.hold(only("sync", "safe-0/"))
	tr := &trace{}
	var calls []*appendCall
	for waits := false; !waits; waits = r.journal.Stats().Waits > 0 {
		if len(calls) > 2000 {
			t.Fatalf("the journal is never full: %+v", r.journal.Stats())
		}
		c := r.safeAppend(tr, fmt.Sprint("lent ", len(calls)), 0, 1600)
		if n := len(c.ask.Batch); n < r.journal.Options().LendMin || n >= r.journal.Options().SyncMin {
			t.Fatalf("a batch of %d bytes is not lent", n)
		}
		calls = append(calls, c)
		r.post(c)
		r.on(owner, func(*shard.Turn) {})
	}
	r.awaitHeld(1)
	r.dir.open()
	for _, c := range calls {
		if r.await(c.done, c.name); c.ask.Code != OK && c.ask.Code != StorageFailed {
			t.Errorf("%s: code %d", c.name, c.ask.Code)
		}
	}
}

// A large append waits for its segment, and a small one behind it for both: the durable end has no gaps.
func TestDurableEndHasNoGaps(t *testing.T) {
	r := newFsyncRig(t, 1)
	r.dir.hold(only("sync", "safe-0/"))
	tr := &trace{}
	large, small := r.safeAppend(tr, "large", 0, 8000), r.safeAppend(tr, "small", 0, 1)
	if len(large.ask.Batch) <= r.journal.Options().BatchMax {
		t.Fatalf("a batch of %d bytes is not large", len(large.ask.Batch))
	}
	r.post(large)
	r.awaitHeld(1)
	writes := r.journal.Stats().Writes
	r.post(small)
	r.until("the journal has the small one", func(*shard.Turn) bool { return r.journal.Stats().Writes > writes && r.set.sites[0].scribe.away == 0 })
	if large.answered() || small.answered() || r.marks(0).High != 1 {
		t.Fatalf("answered across a gap: %s, %+v", tr, r.marks(0))
	}
	r.dir.open()
	r.await(large.done, "large")
	r.await(small.done, "small")
	if large.ask.Code != OK || small.ask.Code != OK || r.marks(0).High != 8002 {
		t.Fatalf("%s, %+v", tr, r.marks(0))
	}
}

// A batch that is large, and that the journal would take, waits for its segment where few are synced; of many partitions' most go by one write of the
// journal. What follows a batch that waits for its segment does so as well: it could not be told of before.
func TestFewAreSyncedManyGoByTheJournal(t *testing.T) {
	const partitions = 6
	r := newFsyncRig(t, partitions)
	tr, size := &trace{}, 0
	var journaled uint64
	for range 2 { // the first time around files have to be made ready, and batches wait for that
		var calls []*appendCall
		for i := range int32(partitions + 1) { // the last for the partition that comes first
			c := r.safeAppend(tr, fmt.Sprint("large ", i), i%partitions, 2500)
			if size = len(c.ask.Batch); size < r.journal.Options().SyncMin || size > r.journal.Options().BatchMax {
				t.Fatalf("a batch of %d bytes", size)
			}
			calls = append(calls, c)
		}
		journaled = r.journal.Stats().Bytes
		r.on(owner, func(t *shard.Turn) { // all in one turn
			for _, c := range calls {
				t.Ask(owner, &c.ask)
			}
		})
		for _, c := range calls {
			if r.await(c.done, c.name); c.ask.Code != OK {
				t.Errorf("%s: code %d", c.name, c.ask.Code)
			}
		}
		journaled = r.journal.Stats().Bytes - journaled
		r.until("nothing is away", func(*shard.Turn) bool { s := &r.set.sites[0].scribe; return s.syncing == 0 && s.away == 0 })
	}
	if got := float64(journaled) / float64(size); got < partitions-syncsMax || got > partitions-syncsMax+0.5 {
		t.Errorf("the journal got %.1f batches of %d, want %d", got, partitions+1, partitions-syncsMax)
	}
}

// A shard hands in what it has when it would sleep. While more comes it gathers, but not for ever.
func TestABusyShardGathers(t *testing.T) {
	r := newFsyncRig(t, 1)
	r.opened(0)
	tr := &trace{}
	for name, since := range map[string]time.Duration{"lately": -time.Hour, "long ago": time.Hour} { // since something was handed in
		c := r.safeAppend(tr, name, 0, 1)
		var away int
		next := make(chan struct{})
		r.on(owner, func(t *shard.Turn) {
			s := &r.set.sites[0].scribe
			s.sent = t.Now().Mono.Add(-since)
			t.Ask(owner, &c.ask)
			r.shards.Shard(owner).Visit(func(t *shard.Turn) { // keeps the shard from sleeping
				away = s.away
				close(next)
			})
		})
		r.await(next, "the next turn")
		if want := map[bool]int{true: 0, false: 1}[since < gatherMax]; away != want {
			t.Errorf("handed in %s: %d commits away after a turn for which something came, want %d", name, away, want)
		}
		if r.await(c.done, name); c.ask.Code != OK {
			t.Errorf("%s: code %d", name, c.ask.Code)
		}
		r.until("nothing is away", func(*shard.Turn) bool { return r.set.sites[0].scribe.away == 0 })
	}
}

// After a failed sync, of the journal or of a segment, nothing in the directory is acknowledged any more, by either kind of topic; trying
// again would succeed and mean nothing.
func TestFailedSyncFencesTheDirectory(t *testing.T) {
	for path, records := range map[string]int{"journal/": 1, "safe-0/": 8000} {
		t.Run(path, func(t *testing.T) {
			r := newFsyncRig(t, 2)
			cached := r.opened(0)
			failures := atomic.Int32{}
			r.dir.fail(func(op, name string) error {
				if op == "sync" && strings.HasPrefix(name, path) && failures.Add(1) == 1 {
					return errBroken
				}
				return nil
			})
			tr := &trace{}
			a := r.safeAppend(tr, "a", 0, records)
			r.post(a)
			r.await(a.done, "append")
			if a.ask.Code != StorageFailed {
				t.Fatalf("%s", tr)
			}
			r.until("everything is offline", func(*shard.Turn) bool { return cached.state == failed && r.set.known(durableAt(1)).state == failed })
			for _, c := range []*appendCall{r.safeAppend(tr, "b", 1, 1), r.newAppend(tr, "memory", 0, batchOf(1, -1, 0)), r.newAppend(tr, "fresh", 3, batchOf(1, -1, 0))} {
				r.post(c)
				r.await(c.done, c.name)
				if c.ask.Code != StorageFailed {
					t.Errorf("%s after the failure: code %d", c.name, c.ask.Code)
				}
			}
			if r.directory.Fenced() == nil || failures.Load() != 1 {
				t.Errorf("fence %v, %d syncs", r.directory.Fenced(), failures.Load())
			}
		})
	}
}

// A topic changes its durability both ways: what was visible stays visible, and the first acknowledgement under fsync covers what was
// there before.
func TestDurabilityChanges(t *testing.T) {
	r := newRigWith(t, 64, memory)
	p := r.opened(0)
	r.fill(0, 3)
	r.dir.hold(only("sync", "orders-0/"))
	r.configure(map[string]string{"pinion.durability": "fsync"})
	r.awaitHeld(1)
	r.on(owner, func(*shard.Turn) {
		if p.marks.High != 3 || p.marks.Durable != 0 {
			t.Errorf("marks %+v after the change to fsync", p.marks)
		}
	})
	tr := &trace{}
	a := r.newAppend(tr, "a", 0, batchOf(1, -1, 0))
	r.post(a)
	r.until("the journal has it", func(*shard.Turn) bool { return r.journal.Stats().Commits > 0 && r.set.sites[0].scribe.away == 0 })
	if a.answered() {
		t.Fatal("acknowledged before what lies below is durable")
	}
	r.dir.open()
	r.await(a.done, "append")
	r.on(owner, func(*shard.Turn) {
		if p.marks.High != 4 || p.marks.Durable != 4 {
			t.Errorf("marks %+v", p.marks)
		}
	})
	r.dir.hold(only("sync", "journal/"))
	b := r.newAppend(tr, "b", 0, batchOf(1, -1, 0))
	r.post(b)
	r.awaitHeld(1)
	if b.answered() {
		t.Fatal("acknowledged before the journal was synced")
	}
	r.configure(memory)
	r.await(b.done, "append")
	r.on(owner, func(*shard.Turn) {
		if p.marks.High != 5 || b.ask.Code != OK {
			t.Errorf("marks %+v, code %d after the change to memory", p.marks, b.ask.Code)
		}
	})
	r.dir.open()
}

// A batch that was taken in before its topic became durable, and is sent again after, is acknowledged by the new rule: when a power cut cannot take it any more,
// though readers have seen it all along.
func TestRetryAfterATopicBecameDurable(t *testing.T) {
	r := newRigWith(t, 64, memory)
	r.opened(0)
	tr := &trace{}
	first := r.newAppend(tr, "first", 0, batchOf(1, 7, 0))
	r.post(first)
	r.await(first.done, "append")
	r.dir.hold(only("sync", "orders-0/"))
	r.configure(map[string]string{"pinion.durability": "fsync"})
	r.awaitHeld(1)
	again := r.newAppend(tr, "again", 0, batchOf(1, 7, 0))
	r.post(again)
	r.on(owner, func(*shard.Turn) {})
	r.on(home, func(*shard.Turn) {})
	if again.answered() {
		t.Errorf("acknowledged before it is durable: code %d", again.ask.Code)
	}
	r.dir.open()
	r.await(again.done, "retry")
	if again.ask.Code != OK || again.ask.Base != first.ask.Base {
		t.Errorf("code %d, offset %d", again.ask.Code, again.ask.Base)
	}
}
