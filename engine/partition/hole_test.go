package partition

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/disk/journal"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// holed is what a power cut leaves of a log of one record. A large batch was on its way into its segment, and a small one behind it in the journal: the log ends
// before the large one, and the small one was never acknowledged.
func holed(t *testing.T, configs map[string]string) *faulty.Dir {
	disk := faulty.New(1)
	r := newRigOn(t, disk, 64, configs)
	r.fill(0, 1)
	r.on(owner, func(*shard.Turn) { // so that the folder has a durable name
		w := r.set.known(at(0)).log.SyncWork()
		w.Do()
		if err := r.set.known(at(0)).log.Finish(w); err != nil {
			t.Error(err)
		}
	})
	b := batch.NewBuilder()
	b.Add(time.Now().UnixMilli(), nil, make([]byte, 2*r.journal.Options().BatchMax))
	large, small := r.newAppend(&trace{}, "large", 0, b.Bytes()), r.newAppend(&trace{}, "small", 0, batchOf(1, -1, 0))
	r.dir.hold(only("sync", "orders-0"))
	r.post(large)
	r.awaitHeld(1)
	commits := r.journal.Stats().Commits
	r.post(small)
	r.until("the journal has the small one", func(*shard.Turn) bool { return r.journal.Stats().Commits > commits })
	lost := disk.Lost(2)
	r.dir.open()
	return lost
}

// Until the journal is declared unneeded another start would take what it holds behind a hole for what goes on behind what is appended now.
func TestNothingIsAppendedBeforeWhatAJournalHoldsBehindAHole(t *testing.T) {
	configs := map[string]string{"pinion.durability": "fsync"}
	lost := holed(t, configs)
	next := newRigOn(t, lost, 64, configs)
	next.beginUnsettled(map[model.Partition]model.Offset{at(0): 1})
	if p := next.opened(0); p.Marks().End != 1 {
		t.Fatalf("the log ends at %d", p.Marks().End)
	}
	retry := next.newAppend(&trace{}, "retry", 0, batchOf(1, -1, 0))
	next.post(retry)
	select {
	case <-retry.done:
	case <-time.After(200 * time.Millisecond):
	}
	acknowledged := retry.answered()

	last := newRigOn(t, lost.Killed(3), 64, configs)
	last.beginUnsettled(map[model.Partition]model.Offset{at(0): 1})
	last.until("it is open, or offline", func(t *shard.Turn) bool {
		p, _ := last.set.find(t, at(0))
		return p != nil && p.state != opening
	})
	last.on(owner, func(*shard.Turn) {
		switch p := last.set.known(at(0)); {
		case p.state != open:
			t.Errorf("offline: %v", p.failure)
		case acknowledged && p.log.End() != 2:
			t.Errorf("the log ends at %d", p.log.End())
		}
	})
	next.settleJournal()
	next.await(retry.done, "the append")
	if retry.ask.Code != OK || retry.ask.Base != 1 {
		t.Errorf("append: code %d at %d", retry.ask.Code, retry.ask.Base)
	}
}

// The shard that such a partition moves to would know nothing of the hole: it leaves when the journal is settled.
func TestAHoleIsNotHandedOver(t *testing.T) {
	configs := map[string]string{"pinion.durability": "fsync"}
	r := newRigOn(t, holed(t, configs), 64, configs)
	r.beginUnsettled(map[model.Partition]model.Offset{at(0): 1})
	r.opened(0)
	r.move(0, home)
	time.Sleep(200 * time.Millisecond)
	r.on(owner, func(*shard.Turn) {
		if r.set.known(at(0)) == nil {
			t.Error("handed on")
		}
	})
	r.settleJournal()
	r.until("it is handed on", func(*shard.Turn) bool { return r.set.known(at(0)) == nil })
}

// Where the disk has no space for what settles a journal a node serves: small batches are synced in their segments, what is appended before a hole is refused,
// and another start makes of the journal what the first has made of it. Once there is space all goes on.
func TestANodeServesWithoutSpaceToSettleTheJournal(t *testing.T) {
	configs := map[string]string{"pinion.durability": "fsync"}
	lost := holed(t, configs)
	r := newRigOn(t, lost, 64, configs)
	r.beginUnsettled(map[model.Partition]model.Offset{at(0): 1})
	r.noMoreJournals()
	for range 2 {
		if err := r.journal.Settle(); !device.IsFull(err) || r.journal.Settled() || !r.journal.Homeless() {
			t.Fatalf("settled without space: %v", err)
		}
	}
	r.on(owner, r.set.OpenRest)
	r.opened(0)
	r.fill(1, 3)
	c := r.newAppend(&trace{}, "behind the end", 0, batchOf(1, -1, 0))
	r.post(c)
	r.await(c.done, "the refusal")
	if c.ask.Code != NoSpace {
		t.Errorf("append before a hole: code %d", c.ask.Code)
	}

	next := newRigOn(t, lost.Lost(3), 64, configs)
	next.beginUnsettled(map[model.Partition]model.Offset{at(0): 1})
	for index, end := range map[int32]model.Offset{0: 1, 1: 3} {
		if p := next.opened(index); p.Marks().End != end {
			t.Errorf("after a power cut partition %d ends at %d, want %d", index, p.Marks().End, end)
		}
	}

	r.dir.fail(nil)
	r.settleJournal()
	if r.journal.Homeless() {
		t.Error("still without space")
	}
	r.fill(0, 1)
	commits := r.journal.Stats().Commits
	r.fill(1, 1)
	if r.journal.Stats().Commits == commits {
		t.Error("the journal is not written to")
	}
}

// beginUnsettled is begin with what the journal holds, which is not declared unneeded yet.
func (r *rig) beginUnsettled(points map[model.Partition]model.Offset) {
	r.t.Helper()
	if err := errors.Join(r.journal.Stop(), r.directory.ReadJournal(journal.DefaultOptions(), slog.New(slog.DiscardHandler))); err != nil {
		r.t.Fatal(err)
	}
	r.directory.Begin(journal.DefaultOptions(), r.shards)
	r.journal = r.directory.Journal
	r.begin(points)
}

// settleJournal declares it unneeded.
func (r *rig) settleJournal() {
	r.t.Helper()
	if err := r.journal.Settle(); err != nil {
		r.t.Fatal(err)
	}
	r.on(owner, r.set.OpenRest)
}
