package partition

import (
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"pinion/disk/faulty"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// Retention removes every batch of a producer, and the process is killed: its last batches are known again all the same.
func TestRetentionForgetsNoProducer(t *testing.T) {
	for _, durability := range []string{"memory", "fsync"} {
		t.Run(durability, func(t *testing.T) {
			disk := faulty.New(1)
			configs := map[string]string{"retention.ms": "1", "pinion.durability": durability}
			r := newRigOn(t, disk, 64, configs)
			p := r.opened(0)
			for i := range int32(7) {
				c := r.newAppend(&trace{}, "", 0, batchOf(2, 7, 2*i))
				r.post(c)
				r.await(c.done, "append")
			}
			fails := int32(1)
			disk.Fail(func(op faulty.Op, name string) error {
				if op == faulty.Sync && strings.Contains(name, windowSuffix) && atomic.AddInt32(&fails, -1) == 0 {
					return unix.EIO
				}
				return nil
			})
			r.until("they are old enough", func(t *shard.Turn) bool { return p.expiring(t) > 0 && p.caring == 0 })
			r.on(owner, func(t *shard.Turn) { p.expire(t) })
			r.until("the producers are not stored", func(*shard.Turn) bool { return atomic.LoadInt32(&fails) == 0 && p.caring == 0 })
			r.on(owner, func(*shard.Turn) {
				if p.log.Start() > 0 {
					r.t.Errorf("records are gone up to %d", p.log.Start())
				}
			})
			r.until("everything is removed", func(t *shard.Turn) bool {
				p.expire(t)
				return p.log.Start() == p.log.End() && p.caring == 0
			})

			next := newRigOn(t, disk.Killed(2), 64, configs)
			next.opened(0)
			for i, want := range []model.Offset{10, 12, 14} {
				c := next.newAppend(&trace{}, "", 0, batchOf(2, 7, int32(10+2*i)))
				next.post(c)
				next.await(c.done, "append")
				if c.ask.Code != OK || c.ask.Base != want {
					t.Errorf("sequence %d: code %d at %d, want it at %d", 10+2*i, c.ask.Code, c.ask.Base, want)
				}
			}
		})
	}
}

// A snapshot from beyond the end that a power cut has left is not found when other batches have its offsets: an older one that fits is.
func TestSnapshotFromBeyondTheEnd(t *testing.T) {
	disk := faulty.New(1)
	configs := map[string]string{"retention.ms": "1"}
	r := newRigOn(t, disk, 64, configs)
	p := r.opened(0)
	send := func(r *rig, pid int64, sequence int32) (Code, model.Offset) {
		c := r.newAppend(&trace{}, "", 0, batchOf(1, pid, sequence))
		r.post(c)
		r.await(c.done, "append")
		return c.ask.Code, c.ask.Base
	}
	store := func() {
		r.until("the producers are stored", func(t *shard.Turn) bool {
			p.snapshotProducers(t)
			return p.caring == 0 && len(p.snapshots) > 0 && p.snapshots[len(p.snapshots)-1] == p.log.End()
		})
	}
	send(r, 7, 0)
	store()
	r.until("it is removed", func(t *shard.Turn) bool {
		p.expire(t)
		return p.log.Start() == 1 && p.caring == 0
	})
	r.on(owner, func(*shard.Turn) { // names, so that there is a log to find
		if w := p.log.SyncWork(); w != nil {
			w.Do()
			if err := p.log.Finish(w); err != nil {
				t.Error(err)
			}
		}
	})
	send(r, 8, 0)
	send(r, 8, 1)
	store() // as of 3, while 1 and 2 are in memory alone
	next := newRigOn(t, disk.Lost(5), 64, configs)
	q := next.opened(0)
	var end model.Offset
	next.on(owner, func(*shard.Turn) { end = q.log.End() })
	if end != 1 {
		t.Fatalf("the log ends at %d: the cut is to take what was never synced", end)
	}
	if code, _ := send(next, 7, 1); code != OK {
		t.Errorf("the producer whose batches are gone: code %d", code)
	}
	for sequence := range int32(3) {
		if code, _ := send(next, 9, sequence); code != OK {
			t.Fatalf("another producer: code %d", code)
		}
	}
	last := newRigOn(t, next.dir.Dir.(*faulty.Dir).Killed(6), 64, configs)
	last.opened(0)
	if code, _ := send(last, 9, 3); code != OK {
		t.Errorf("after another start: code %d", code)
	}
	if code, base := send(last, 8, 1); code != OK || base < 5 { // what was its sequence 1 lay at 2
		t.Errorf("code %d at %d: a batch that a power cut has taken is taken for a duplicate's original", code, base)
	}
}

// A failed sync of the folder, on the way to store producers, may have taken the names of segments with it, and no later sync would say so.
func TestFailedSyncOfAFolderFencesTheDirectory(t *testing.T) {
	disk := faulty.New(1)
	r := newRigOn(t, disk, 64, nil)
	p := r.opened(0)
	c := r.newAppend(&trace{}, "", 0, batchOf(1, 7, 0))
	r.post(c)
	r.await(c.done, "append")
	disk.Fail(func(op faulty.Op, _ string) error {
		if op == faulty.SyncDir {
			return errBroken
		}
		return nil
	})
	r.on(owner, func(t *shard.Turn) { p.snapshotProducers(t) })
	r.until("the directory is fenced", func(*shard.Turn) bool { return p.state == failed && r.directory.Fenced() != nil })
	r.until("the directory says so", func(*shard.Turn) bool { return strings.Contains(logdir.Testament(disk), errBroken.Error()) })
}
