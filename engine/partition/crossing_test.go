package partition

import (
	"errors"
	"maps"
	"testing"

	"pinion/disk/faulty"
	"pinion/disk/log"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// What ends a partition may come while something else is ending it already. The simulation found each of these waiting for ever.

// leaving fills a partition, has it handed over, and holds the hand-over's sync at the gate.
func (r *rig) leaving(index int32) {
	r.t.Helper()
	r.fill(index, 3)
	r.dir.hold(only("sync", "orders-"))
	r.move(index, home)
	r.awaitHeld(1)
}

// A clean stop waits for the hand-over instead of closing the log a second time.
func TestStopDuringAHandOver(t *testing.T) {
	r := newRig(t)
	r.leaving(0)
	closed := make(chan struct{})
	r.on(owner, func(t *shard.Turn) {
		r.set.Close(t, func(*shard.Turn, []Closed) { close(closed) })
	})
	r.dir.open()
	r.await(closed, "the stop")
	points := maps.Collect(r.folders.Points(r.directory))
	if point, ok := points[at(0)]; !ok || point != 3 {
		t.Errorf("the hand-over left the recovery points %v", points)
	}
}

// A partition that is handed over takes no wish to another directory: whoever comes next may go on with an earlier one, and the copy of this one would stay.
func TestWishDuringAHandOver(t *testing.T) {
	r := newRig(t)
	r.dir.hold(only("list", "orders-0"))
	a := &asked{done: make(chan struct{})}
	a.ask = QueryAsk{Home: home, To: r.set, Caller: a, Partition: at(0), Query: QueryRelocate, Epoch: model.NoEpoch, Place: r.directory}
	r.send(&a.ask)
	r.awaitHeld(1) // while it is opened
	r.move(0, home)
	r.on(owner, func(*shard.Turn) {})
	r.dir.open()
	r.await(a.done, "answer")
	if a.ask.Code != Moved {
		t.Errorf("code %d, want %d", a.ask.Code, Moved)
	}
}

// A clean stop waits for recoveries under way, whose helpers work in the folders.
func TestStopDuringARecovery(t *testing.T) {
	r := newRig(t)
	r.dir.hold(only("list", "orders-0"))
	a := r.newAppend(&trace{}, "a", 0, batchOf(1, -1, 0))
	r.post(a)
	r.awaitHeld(1)
	closed := make(chan struct{})
	r.on(owner, func(t *shard.Turn) {
		r.set.Close(t, func(*shard.Turn, []Closed) { close(closed) })
	})
	r.on(owner, func(*shard.Turn) {})
	select {
	case <-closed:
		t.Error("stopped while a helper recovers a partition")
	default:
	}
	r.dir.open()
	r.await(closed, "the stop")
	r.await(a.done, "the append")
}

// A topic deleted while its partition is handed over gives its folder up all the same.
func TestDropDuringAHandOver(t *testing.T) {
	r := newRig(t)
	r.leaving(0)
	r.remove(topicID)
	r.dir.open()
	r.gone("orders")
}

// A topic deleted when the old owner has given its partition up and the new one has not come for it: nobody has it open, its files go all the same,
// and until then no topic of the same name gets the folder.
func TestDropBetweenOwners(t *testing.T) {
	r := newRig(t)
	r.leaving(0)
	r.dir.open()
	r.until("the partition is given up", func(*shard.Turn) bool { return r.set.known(at(0)) == nil })
	if r.folders.claim(log.FolderName("orders", 0), claimant{model.TopicID{0xff}, owner}) {
		t.Error("another topic got the folder")
	}
	r.remove(topicID)
	r.gone("orders")
}

// A replica that goes back before its old owner has given it up is forgotten where it never opened.
func TestMovedThereAndBack(t *testing.T) {
	r := newRig(t)
	r.fill(0, 1)
	name := log.FolderName("orders", 0)
	r.folders.free(name)
	if !r.folders.claim(name, claimant{topicID, home}) { // as if the other shard still had it
		t.Fatal("claim")
	}
	r.on(owner, func(t *shard.Turn) { r.set.leave(r.set.known(at(0))) })
	a := r.newAppend(&trace{}, "a", 0, batchOf(1, -1, 0))
	r.post(a)
	r.until("the folder is waited for", func(t *shard.Turn) bool {
		p := r.set.known(at(0))
		return p != nil && p.state == opening
	})
	r.move(0, home)
	r.await(a.done, "the append")
	if a.ask.Code != Moved {
		t.Errorf("append: code %d", a.ask.Code)
	}
	r.until("the partition is forgotten", func(t *shard.Turn) bool { return r.set.known(at(0)) == nil && r.set.opening == 0 })
}

// A partition that leaves its shard when nobody can say any more in which of two directories it lies is given up by this shard, opens on none before
// the next start has looked, and holds up no stop.
func TestLeavingUndecided(t *testing.T) {
	r := newRig(t)
	r.fill(0, 1)
	lost := errors.New("nobody can say")
	r.on(owner, func(t *shard.Turn) {
		p := r.set.known(at(0))
		p.relocation = &relocation{p: p, to: p.site, closed: true}
		p.state, p.leaving = opening, true // its log is closed, and the other shard waits for it
		p.relocation.undecided(t, lost)
		if r.set.known(at(0)) != nil || r.set.failures != 0 {
			r.t.Errorf("not given up: %d partitions failed", r.set.failures)
		}
	})
	a := r.newAppend(&trace{}, "a", 0, batchOf(1, -1, 0))
	r.post(a)
	r.await(a.done, "the append")
	if a.ask.Code != StorageFailed {
		t.Errorf("append: code %d", a.ask.Code)
	}
	r.on(owner, func(*shard.Turn) {
		if p := r.set.known(at(0)); p == nil || !errors.Is(p.failure, lost) || p.log != nil {
			r.t.Error("opened all the same")
		}
	})
	closed := make(chan struct{})
	r.on(owner, func(t *shard.Turn) { r.set.Close(t, func(*shard.Turn, []Closed) { close(closed) }) })
	r.await(closed, "the stop")
}

// A topic that is deleted while one of its partitions stores the wish to lie in another directory waits for no other partition's way there: the folder is the next
// topic's of this name.
func TestDropOfAWishBehindOthers(t *testing.T) {
	r := newRig(t)
	r.fill(0, 1)
	slow := model.Partition{Topic: model.TopicID{2}}
	r.create("slow", slow.Topic, 1)
	disk := faulty.New(1)
	second := logdir.New(disk)
	second.ID = model.DirectoryID{2}
	stored, storing := make(chan struct{}), make(chan struct{})
	disk.Fail(func(op faulty.Op, _ string) error {
		if op == faulty.Mkdir {
			close(storing)
			<-stored
		}
		return nil
	})
	r.on(owner, func(t *shard.Turn) {
		r.set.options.Directories = logdir.Assemble(1, r.options.Log, r.directory, second)
		to := newSite(t, r.set, second)
		r.set.sites = append(r.set.sites, to)
		p, _ := r.set.find(t, slow)
		r.set.relocating = append(r.set.relocating, &relocation{p: p, to: to, away: true}) // with much to copy
	})
	a := &asked{done: make(chan struct{})}
	a.ask = QueryAsk{Home: home, To: r.set, Caller: a, Partition: at(0), Query: QueryRelocate, Epoch: model.NoEpoch, Place: second}
	r.send(&a.ask)
	r.await(storing, "the wish")
	r.remove(topicID)
	close(stored)
	r.await(a.done, "answer")
	r.gone("orders")
	if left, err := disk.List("."); err != nil || len(left) > 0 {
		t.Errorf("in the other directory there are %v, %v", left, err)
	}
}
