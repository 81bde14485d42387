package partition

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pinion/disk/batch"
	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// TestALogWithNothingToCompactHoldsUpNoOther: where retention has taken the tombstones and every sealed segment, that they were to go is no reason
// to choose the log before all others, again and again.
func TestALogWithNothingToCompactHoldsUpNoOther(t *testing.T) {
	r := newRigWith(t, 64, map[string]string{
		"cleanup.policy": "compact,delete", "segment.ms": "1", "delete.retention.ms": "1500", "min.cleanable.dirty.ratio": "0.5",
	})
	p, other := r.opened(0), r.opened(1)
	put := func(index int32, key string, value []byte) {
		b := batch.NewBuilder()
		b.Add(time.Now().UnixMilli(), []byte(key), value)
		c := r.newAppend(&trace{}, "put", index, b.Bytes())
		r.post(c)
		r.await(c.done, "append")
		if c.ask.Code != OK {
			t.Fatalf("append: code %d", c.ask.Code)
		}
		time.Sleep(3 * time.Millisecond) // longer than segment.ms
	}
	look := func(p *Partition) (d log.Dirt) {
		r.on(owner, func(t *shard.Turn) {
			p.prepareCleaning(t, r.set.wall(t))
			d = p.log.Dirt(r.set.wall(t), p.marks.Stable)
		})
		return d
	}
	pass := func(p *Partition) {
		r.until("a pass is over", func(t *shard.Turn) bool {
			if r.set.cleaning == nil && p.log.CutLimit() == 0 {
				r.set.clean(t)
			}
			return r.set.cleaning == nil && p.log.CutLimit() > 0
		})
	}
	for i := range 8 {
		put(1, fmt.Sprint("key", i), make([]byte, 100))
	}
	pass(other)
	for i := range 4 {
		put(0, fmt.Sprint("key", i), nil)
	}
	pass(p)
	// Everything but the active segment goes, here by DeleteRecords, elsewhere by retention.
	a := &asked{done: make(chan struct{})}
	a.ask = QueryAsk{Home: home, To: r.set, Caller: a, Partition: at(0), Query: QueryTrim, Epoch: model.NoEpoch, Before: TrimToHigh}
	r.send(&a.ask)
	r.await(a.done, "answer")
	r.until("one segment", func(turn *shard.Turn) bool { p.care(turn); return p.log.Segments() == 1 })
	time.Sleep(1600 * time.Millisecond) // longer than delete.retention.ms
	limit := other.log.CutLimit()
	for i := range 40 {
		put(1, fmt.Sprint("key", i%8), make([]byte, 100))
	}
	for end := time.Now().Add(patience); look(other).Ratio() <= 0.5; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the other log is never dirty")
		}
	}
	for range 100 {
		r.on(owner, func(t *shard.Turn) {
			if r.set.cleaning == nil {
				r.set.clean(t)
			}
		})
		time.Sleep(5 * time.Millisecond) // for a step of a pass
	}
	r.on(owner, func(*shard.Turn) {
		if other.log.CutLimit() == limit {
			t.Error("the other log is never compacted")
		}
	})
}

// TestCompactionGoesOnWhenTheDiskHasSpace: a log whose pass met a full disk is compacted when there is space again, whatever met it.
func TestCompactionGoesOnWhenTheDiskHasSpace(t *testing.T) {
	r := newRigWith(t, 64, map[string]string{"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0"})
	p := r.opened(0)
	for range 6 {
		b := batch.NewBuilder()
		b.Add(time.Now().UnixMilli(), []byte("key"), make([]byte, 100))
		c := r.newAppend(&trace{}, "put", 0, b.Bytes())
		r.post(c)
		r.await(c.done, "append")
		if c.ask.Code != OK {
			t.Fatalf("append: code %d", c.ask.Code)
		}
		time.Sleep(3 * time.Millisecond) // longer than segment.ms
	}
	var met atomic.Int32
	r.dir.fail(func(op, path string) error {
		if op == "write" && strings.HasSuffix(path, "index.cleaned") {
			met.Add(1)
			return syscall.ENOSPC
		}
		return nil
	})
	pass := func(over func() bool) {
		r.until("a pass is over", func(t *shard.Turn) bool {
			if r.set.cleaning == nil && !over() {
				r.set.clean(t)
			}
			return r.set.cleaning == nil && over()
		})
	}
	pass(func() bool { return met.Load() > 0 })
	r.on(owner, func(*shard.Turn) {
		if p.uncleanable || p.state != open {
			t.Errorf("given up %v, state %d", p.uncleanable, p.state)
		}
	})
	if t.Failed() {
		return
	}
	r.dir.fail(nil)
	pass(func() bool { return p.log.CutLimit() > 0 })
}

// TestALogWithoutRoomHoldsUpNoOther: where the disk has no space for the new form of one log, others may fit.
func TestALogWithoutRoomHoldsUpNoOther(t *testing.T) {
	r := newRigWith(t, 64, map[string]string{"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0"})
	logs := []*Partition{r.opened(0), r.opened(1), r.opened(2)}
	put := func(index int32) {
		for i := range 6 {
			b := batch.NewBuilder()
			b.Add(time.Now().UnixMilli(), []byte(fmt.Sprint("key", i)), make([]byte, 100))
			c := r.newAppend(&trace{}, "put", index, b.Bytes())
			r.post(c)
			r.await(c.done, "append")
			if c.ask.Code != OK {
				t.Fatalf("append: code %d", c.ask.Code)
			}
			time.Sleep(3 * time.Millisecond) // longer than segment.ms
		}
	}
	passed := func(p *Partition, above model.Offset) (limit model.Offset, yes bool) {
		r.on(owner, func(t *shard.Turn) {
			for _, p := range logs {
				p.prepareCleaning(t, r.set.wall(t))
			}
			if r.set.cleaning == nil {
				r.set.clean(t)
			}
			limit = p.log.CutLimit()
		})
		time.Sleep(5 * time.Millisecond) // for a step of a pass
		return limit, limit > above
	}
	await := func(p *Partition, above model.Offset) (limit model.Offset) {
		for end := time.Now().Add(patience); ; {
			limit, yes := passed(p, above)
			if yes {
				return limit
			}
			if time.Now().After(end) {
				t.Fatalf("%s is never compacted beyond %d", p.dir, above)
			}
		}
	}
	put(2)
	clean := await(logs[2], 0) // so that it is the least filthy from now on
	r.dir.fail(func(op, path string) error {
		if op == "reserve" && strings.HasSuffix(path, ".log.cleaned") && !strings.HasPrefix(path, logs[2].dir) {
			return fmt.Errorf("%s: %w", path, errNoSpace)
		}
		return nil
	})
	for i := range int32(3) {
		put(i)
	}
	await(logs[2], clean)
	r.dir.fail(nil)
	await(logs[0], 0)
	await(logs[1], 0)
}
