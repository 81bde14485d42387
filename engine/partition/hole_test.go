package partition

import (
	"log/slog"
	"testing"
	"time"

	"pinion/disk/batch"
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
	next.on(owner, next.set.OpenRest) // the rig's journal is settled
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
	r.on(owner, r.set.OpenRest)
	r.until("it is handed on", func(*shard.Turn) bool { return r.set.known(at(0)) == nil })
}

// beginUnsettled is begin with what the journal holds, which is not declared unneeded yet.
func (r *rig) beginUnsettled(points map[model.Partition]model.Offset) {
	r.t.Helper()
	if err := r.directory.ReadJournal(journal.DefaultOptions(), slog.New(slog.DiscardHandler)); err != nil {
		r.t.Fatal(err)
	}
	r.directory.Points, r.options.Folders = points, &Folders{}
	r.on(owner, func(t *shard.Turn) {
		r.set = NewSet(t, r.options)
		r.set.sites[0].scribe.settled = false
		r.shards.Shard(owner).AtEnd(r.set)
		r.set.Open(t, r.image.Load())
	})
}
