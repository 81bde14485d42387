package partition

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pinion/disk/faulty"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// newDoubtful is a rig with a topic to delete and another, "other-0", that has a folder whose name is not durable, on a disk that loses names whose sync fails.
func newDoubtful(t *testing.T) (*rig, *faulty.Dir, model.Partition) {
	t.Helper()
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
	return r, disk, c.ask.Partition
}

// syncOther syncs a partition in a turn of its shard, unless its directory is fenced, and reports whether its records count as durable then.
func (r *rig) syncOther(name model.Partition) bool {
	p := r.set.known(name)
	w := p.log.SyncWork()
	if w == nil || r.directory.Fenced() != nil {
		return false
	}
	w.Do()
	return p.log.Finish(w) == nil
}

// A deleted topic is removed, and the sync of the log directory's names fails: a folder that another topic has got meanwhile may have lost its name by it, and
// no later sync says so. Nothing that is acknowledged afterwards may lie there.
func TestAFailedSyncOfNamesIsEverybodys(t *testing.T) {
	r, disk, other := newDoubtful(t)
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
	r.on(owner, func(*shard.Turn) { synced = r.syncOther(other) })
	if _, err := disk.Lost(1).List("other-0"); synced && err != nil {
		t.Errorf("synced, and lost: %v", err)
	}
	if r.directory.Fenced() == nil {
		t.Error("the directory is in service")
	}
}

// The same before the shard that owns the deleted topic has heard of it: another sync of the names is as worthless then.
func TestNoSyncOfNamesCountsBehindAFailedOne(t *testing.T) {
	r, disk, other := newDoubtful(t)
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
				held, synced = true, r.syncOther(other)
			case <-time.After(5 * time.Millisecond): // what leads to it may need another turn
			}
		})
	}
	if _, err := disk.Lost(1).List("other-0"); synced && err != nil {
		t.Errorf("synced, and lost: %v", err)
	}
}
