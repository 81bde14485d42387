package partition

import (
	"testing"

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
