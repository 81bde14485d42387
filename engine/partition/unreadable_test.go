package partition

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pinion/disk/faulty"
	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// What the broker itself reads and cannot, or finds changed, takes that partition offline, with the place: never the process, never another
// partition, and never the journal, which goes on without it.
func TestWhatCannotBeReadIsOffline(t *testing.T) {
	const victim = "orders-0/00000000000000000000.log"
	eio := func(disk *faulty.Dir) {
		disk.Fail(func(op faulty.Op, path string) error {
			if op == faulty.Read && path == victim {
				return faulty.EIO
			}
			return nil
		})
	}
	bad := func(disk *faulty.Dir) {
		disk.Damage(victim, func(b []byte) []byte { b[len(b)-2] ^= 1; return b })
	}
	length := func(disk *faulty.Dir) {
		disk.Damage(victim, func(b []byte) []byte { b[8], b[11] = 0x7f, 0xff; return b })
	}
	search := func(r *rig, _ *Partition) {
		a := &asked{done: make(chan struct{})}
		a.ask = QueryAsk{Home: home, To: r.set, Caller: a, Partition: at(0), Query: QueryTime, Epoch: model.NoEpoch, Time: 1}
		r.send(&a.ask)
		r.await(a.done, "answer")
		if a.ask.Code != StorageFailed {
			t.Errorf("a search is answered with %d", a.ask.Code)
		}
	}
	fetch := func(r *rig, _ *Partition) { // with one file open, the first segment is not: nothing is known of it without reading
		f := r.newFetch(0, 0, 0)
		r.send(&f.ask)
		r.expect(f, "fetched")
		if code := f.ask.Parts[0].Code; code != StorageFailed {
			t.Errorf("a fetch is answered with %d", code)
		}
	}
	compact := func(r *rig, p *Partition) {
		r.until("a pass has met it", func(t *shard.Turn) bool {
			if r.set.cleaning == nil && p.state == open {
				r.set.clean(t)
			}
			return p.state == failed
		})
	}
	for _, c := range []struct {
		name  string
		harm  func(*faulty.Dir)
		meet  func(*rig, *Partition)
		where string
	}{
		{"a search that gets EIO", eio, search, victim + " cannot be read at offset 0"},
		{"a search in a batch that was changed", bad, search, victim + " is damaged at byte 0, offset 0: CRC does not match"},
		{"a search at a length that lies", length, search, victim + " is damaged at byte 0, offset 0"},
		{"a lookup that gets EIO", eio, fetch, victim + " cannot be read at offset 0"},
		{"a lookup at a length that lies", length, fetch, victim + " is damaged at byte 0, offset 0"},
		{"a compaction that gets EIO", eio, compact, victim + " cannot be read at offset 0"},
		{"a compaction of a batch that was changed", bad, compact, victim + " is damaged at byte 0, offset 0: CRC does not match"},
		{"a compaction at a length that lies", length, compact, victim + " is damaged at byte 0, offset 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := faulty.New(1)
			r := newRigOn(t, disk, 1, map[string]string{"cleanup.policy": "compact", "segment.ms": "1", "pinion.durability": "fsync"})
			p, other := r.opened(0), r.opened(1)
			r.fill(0, 40) // the clock moves on between them: more than one segment
			var journaled bool
			r.on(owner, func(*shard.Turn) {
				if p.log.Segments() < 2 {
					t.Error("a single segment")
				}
				journaled = p.durable.item.Needs()
			})
			c.harm(disk)
			c.meet(r, p)
			r.until("the partition is offline", func(*shard.Turn) bool { return p.state == failed })
			if !journaled || !log.IsDamage(p.failure) || !strings.Contains(fmt.Sprint(p.failure), c.where) {
				t.Errorf("journaled %v, offline because of: %v", journaled, p.failure)
			}
			if errors.Is(p.failure, faulty.EIO) != strings.Contains(c.name, "EIO") || r.directory.Fenced() != nil {
				t.Errorf("%v, directory fenced: %v", p.failure, r.directory.Fenced())
			}
			r.fill(1, 3)
			again := r.newAppend(&trace{}, "again", 0, batchOf(1, -1, 0))
			r.post(again)
			r.await(again.done, "append")
			if again.ask.Code != StorageFailed || other.failure != nil {
				t.Errorf("an append is answered with %d; the other partition: %v", again.ask.Code, other.failure)
			}
			// The journal keeps nothing for it once its turn comes.
			r.until("the journal is free of it", func(t *shard.Turn) bool {
				if !p.durable.item.Needs() {
					return true
				}
				r.set.sites[0].scribe.save(t, &p.durable.item)
				return false
			})
		})
	}
}
