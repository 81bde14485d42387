package partition

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pinion/disk/faulty"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// A deleted topic is removed, and the sync of the log directory's names fails: a folder that another topic has got meanwhile may have lost its name by it, and
// no later sync says so. Nothing that is acknowledged afterwards may lie there.
func TestAFailedSyncOfNamesIsEverybodys(t *testing.T) {
	disk := faulty.New(1)
	disk.LoseNames()
	r := newRigOn(t, disk, 64, memory)
	r.fill(0, 1)
	other := model.TopicID{2}
	r.createWith("other", other, 1, memory)
	c := r.newAppend(&trace{}, "other", 0, batchOf(1, -1, 0))
	c.ask.Partition = model.Partition{Topic: other}
	r.post(c)
	r.await(c.done, "the append")
	disk.Fail(func(op faulty.Op, path string) error {
		if op == faulty.SyncDir && path == "." {
			return unix.EIO
		}
		return nil
	})
	r.remove(topicID)
	r.until("the folder is given up", func(*shard.Turn) bool { _, claimed := r.folders.claims.Load("orders-0"); return !claimed })
	disk.Fail(nil)
	var synced bool
	r.on(owner, func(*shard.Turn) {
		p := r.set.known(model.Partition{Topic: other})
		if w := p.log.SyncWork(); w != nil && r.directory.Fenced() == nil {
			w.Do()
			synced = p.log.Finish(w) == nil
		}
	})
	if _, err := disk.Lost(1).List("other-0"); synced && err != nil {
		t.Errorf("synced, and lost: %v", err)
	}
	if r.directory.Fenced() == nil {
		t.Error("the directory is in service")
	}
}

// The same before the shard that owns the deleted topic has heard of it: another sync of the names is as worthless then.
func TestNoSyncOfNamesCountsBehindAFailedOne(t *testing.T) {
	disk := faulty.New(1)
	disk.LoseNames()
	r := newRigOn(t, disk, 64, memory)
	r.fill(0, 1)
	other := model.TopicID{2}
	r.createWith("other", other, 1, memory)
	c := r.newAppend(&trace{}, "other", 0, batchOf(1, -1, 0))
	c.ask.Partition = model.Partition{Topic: other}
	r.post(c)
	r.await(c.done, "the append")
	failed := make(chan struct{})
	disk.Fail(func(op faulty.Op, path string) error {
		if op == faulty.SyncDir && path == "." {
			disk.Fail(nil)
			defer close(failed)
			return unix.EIO
		}
		return nil
	})
	r.remove(topicID)
	held, synced := false, false
	for !held {
		r.on(owner, func(*shard.Turn) { // nothing is delivered meanwhile
			select {
			case <-failed:
				held = true
			case <-time.After(5 * time.Millisecond): // what leads to it may need another turn
				return
			}
			p := r.set.known(model.Partition{Topic: other})
			if w := p.log.SyncWork(); w != nil && r.directory.Fenced() == nil {
				w.Do()
				synced = p.log.Finish(w) == nil
			}
		})
	}
	if _, err := disk.Lost(1).List("other-0"); synced && err != nil {
		t.Errorf("synced, and lost: %v", err)
	}
}
