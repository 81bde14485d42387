package partition

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// close ends the set and says what it leaves.
func (r *rig) close() []Closed {
	r.t.Helper()
	closed, list := make(chan struct{}), []Closed(nil)
	r.on(owner, func(t *shard.Turn) {
		r.set.Close(t, func(_ *shard.Turn, left []Closed) {
			list = left
			close(closed)
		})
	})
	r.await(closed, "the stop")
	return list
}

// reopen starts a second set over the directory, from what the first one left.
func (r *rig) reopen(points map[model.Partition]model.Offset) {
	r.t.Helper()
	r.directory.Points, r.options.Folders = points, &Folders{}
	r.on(owner, func(t *shard.Turn) {
		r.set = NewSet(t, r.options)
		r.shards.Shard(owner).AtEnd(r.set)
		r.set.Open(t, r.image.Load())
		r.set.OpenRest(t)
	})
}

// segment is the file of a partition's first segment.
func (r *rig) segment(name string) string {
	return filepath.Join(r.dir.Path(), name, "00000000000000000000.log")
}

func (r *rig) change(file string, change func(raw []byte)) {
	r.t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	change(raw)
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// A log that is damaged below its recovery point keeps that point while it is offline: without one, the second start after the damage would
// take it for the end of the log and cut everything behind.
func TestDamagedLogKeepsItsRecoveryPoint(t *testing.T) {
	r := newRig(t)
	r.fill(0, 6)
	points := Points(r.close(), r.directory)
	r.change(r.segment("orders-0"), func(raw []byte) { clear(raw[len(raw)/2:]) })
	for _, stop := range []string{"checkpoint", "clean stop"} {
		r.reopen(points)
		r.until("the damage is found", func(*shard.Turn) bool {
			p := r.set.known(at(0))
			var damage *log.Damage
			return p != nil && p.state == failed && errors.As(p.failure, &damage)
		})
		var left []Closed
		r.on(owner, func(t *shard.Turn) { left = r.set.RecoveryPoints(t) })
		if stop == "clean stop" {
			left = r.close()
		}
		if i := slices.IndexFunc(left, func(c Closed) bool { return c.Name == at(0) }); i < 0 || left[i].Recovery != 6 {
			t.Fatalf("a %s leaves %+v", stop, left)
		}
	}
}

// What a start took for sound is read before it is used: the damage takes the partition offline, and the file stays as it is.
func TestDamageIsFoundBeforeItIsUsed(t *testing.T) {
	for _, use := range []string{"append", "read"} {
		t.Run(use, func(t *testing.T) {
			r := newRig(t)
			r.fill(0, 6)
			points := Points(r.close(), r.directory)
			r.change(r.segment("orders-0"), func(raw []byte) { raw[len(raw)-1]++ })
			r.reopen(points)
			r.opened(0)
			switch use {
			case "append":
				a := r.newAppend(&trace{}, "a", 0, batchOf(1, -1, 0))
				r.post(a)
				r.await(a.done, "the append")
				if a.ask.Code != StorageFailed {
					t.Errorf("append: code %d", a.ask.Code)
				}
			case "read":
				f := r.newFetch(5, 0, 0)
				r.send(&f.ask)
				r.expect(f, "fetched")
				if f.ask.Parts[0].Code != StorageFailed || f.ask.Parts[0].Leased {
					t.Errorf("read: code %d", f.ask.Parts[0].Code)
				}
			}
			r.until("the partition is offline, its neighbours are not", func(t *shard.Turn) bool {
				return r.set.known(at(0)).state == failed && r.directory.Fenced() == nil
			})
			if left := Points(r.close(), r.directory); left[at(0)] != 6 {
				t.Errorf("recovery point %d", left[at(0)])
			}
		})
	}
}

// A segment that is gone from the middle of a log takes the partition offline once somebody reads there. What lies behind can still be read.
func TestLostSegmentTakesThePartitionOffline(t *testing.T) {
	r := newRigWith(t, 64, map[string]string{"segment.bytes": "1048576"})
	for range 4 {
		c := r.newAppend(&trace{}, "fill", 0, batchOf(30_000, -1, 0)) // two of them are more than a segment
		r.post(c)
		r.await(c.done, "append")
	}
	points := Points(r.close(), r.directory)
	files, err := filepath.Glob(filepath.Join(r.dir.Path(), "orders-0", "*.log"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%v, %v", files, err)
	}
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	base := func(file string) (offset model.Offset) {
		if _, err := fmt.Sscanf(filepath.Base(file), "%d.log", &offset); err != nil {
			t.Fatal(err)
		}
		return offset
	}
	r.reopen(points)
	r.opened(0)
	for _, c := range []struct {
		from model.Offset
		code Code
	}{{base(files[1]), StorageFailed}, {base(files[1]), StorageFailed}, {base(files[2]), OK}, {0, OK}} {
		f := r.newFetch(c.from, 0, 0)
		r.send(&f.ask)
		r.expect(f, "fetched")
		if got := f.ask.Parts[0]; got.Code != c.code || got.Leased != (c.code == OK) {
			t.Errorf("read at %d: code %d, want %d", c.from, got.Code, c.code)
		}
		r.on(owner, func(t *shard.Turn) { r.set.release(t, &f.ask) })
	}
	r.on(owner, func(*shard.Turn) {
		if p := r.set.known(at(0)); p.state != failed || !log.IsDamage(p.failure) {
			t.Errorf("state %d: %v", p.state, p.failure)
		}
	})
}
