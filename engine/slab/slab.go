// Package slab lends out byte blocks that live outside the Go heap. A Pool belongs to one shard; a block may be read by another
// shard while its owner keeps it, but only the owner retains and releases. The package refuses to grow past its limits: a
// refused reservation is back-pressure, and whoever was refused waits and is told when bytes come back.
package slab

import (
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/sys/unix"

	"pinion/engine/must"
	"pinion/engine/shard"
)

// Block sizes are powers of two from BlockMin to cachedMax; larger blocks are mapped for one use and unmapped after it.
const (
	BlockMin    = 4 << 10
	cachedMax   = 1 << 20
	classes     = 9 // 4 KiB << 8 = 1 MiB
	blockMinLog = 12
)

func init() {
	if BlockMin<<(classes-1) != cachedMax || 1<<blockMinLog != BlockMin {
		must.Failf("slab classes do not span %d..%d", BlockMin, cachedMax)
	}
}

// Block is one loan of memory. Its bytes are valid until the last reference is released.
type Block struct {
	mem  []byte
	pool *Pool
	next *Block // free list
	refs int32
	// Charged is what the block counts against its budget.
	charged int64
	budget  *Budget
}

// Bytes is the whole block.
func (b *Block) Bytes() []byte { return b.mem }

// Retain adds a reference. Only the shard that owns the pool may call it.
func (b *Block) Retain() { b.refs++ }

// Release gives a reference back; the last one returns the block to its pool and its bytes to the budget.
func (b *Block) Release(t *shard.Turn) {
	b.pool.own.Check(t)
	b.refs--
	if b.refs > 0 {
		return
	}
	if b.refs < 0 {
		must.Failf("block released more often than retained")
	}
	b.pool.put(t, b)
}

// Budget bounds the bytes of one purpose. One reservation larger than the whole limit may take all units when none is used.
type Budget struct {
	Limit   int64
	used    int64
	peak    int64
	waiting []place // those before first are told
	first   int
	ticket  uint64 // of the last who began to wait
}

// place is one waiter in line.
type place struct {
	who    Waiter
	ticket uint64
}

// Waiter is told once that bytes came back after a reservation was refused.
type Waiter interface {
	Refill(t *shard.Turn)
}

// Reserve takes n bytes or refuses.
func (b *Budget) Reserve(n int64) bool {
	if b.used > 0 && b.used+n > b.Limit {
		return false
	}
	b.used += n
	b.peak = max(b.peak, b.used)
	return true
}

// Force takes n bytes that are in use already, even beyond the limit. What it overdraws keeps others from reserving.
func (b *Budget) Force(n int64) {
	b.used += n
	b.peak = max(b.peak, b.used)
}

// Return gives reserved bytes back and tells those who wait, oldest first.
func (b *Budget) Return(t *shard.Turn, n int64) {
	b.used -= n
	if b.used < 0 {
		must.Failf("budget returned more than was reserved")
	}
	// A refused waiter registers again, behind the others; it must not be asked twice in this round. Being told may also take others
	// off the list, or return bytes in turn.
	for last := b.ticket; b.first < len(b.waiting) && b.waiting[b.first].ticket <= last && b.used < b.Limit; {
		w := b.waiting[b.first].who
		b.waiting[b.first] = place{}
		b.first++
		w.Refill(t)
	}
}

// Wait registers the waiter for the next return.
func (b *Budget) Wait(w Waiter) {
	if len(b.waiting) == cap(b.waiting) && b.first > len(b.waiting)/2 {
		n := copy(b.waiting, b.waiting[b.first:])
		clear(b.waiting[n:])
		b.waiting, b.first = b.waiting[:n], 0
	}
	b.ticket++
	b.waiting = append(b.waiting, place{w, b.ticket})
}

// Waiting is how many wait.
func (b *Budget) Waiting() int { return len(b.waiting) - b.first }

// Forget removes a waiter that no longer wants to be told.
func (b *Budget) Forget(w Waiter) {
	for i := b.first; i < len(b.waiting); i++ {
		if b.waiting[i].who == w {
			b.waiting = slices.Delete(b.waiting, i, i+1)
			return
		}
	}
}

// Used is what is reserved now, Peak the most there ever was.
func (b *Budget) Used() int64 { return b.used }

// Peak is the most that was ever reserved at once.
func (b *Budget) Peak() int64 { return b.peak }

// Pool keeps free blocks by size. Memory of freed blocks stays mapped up to keepMax bytes, so steady traffic maps nothing.
type Pool struct {
	own     shard.Owner
	free    [classes]*Block
	kept    int64
	keepMax int64
	husks   *Block // Block structs without memory
}

// NewPool makes a pool that keeps at most keepMax bytes of free blocks mapped.
func NewPool(t *shard.Turn, keepMax int64) *Pool {
	return &Pool{own: shard.Own(t), keepMax: keepMax}
}

// class is the smallest class that holds n bytes.
func class(n int) int {
	if n <= BlockMin {
		return 0
	}
	return bits.Len(uint(n-1)) - blockMinLog
}

// Size is how many bytes a block for n bytes takes.
func Size(n int) int64 {
	if n > cachedMax {
		return int64(n+BlockMin-1) &^ (BlockMin - 1)
	}
	return BlockMin << class(n)
}

// Take lends a block of at least n bytes, charged to the budget; nil when the budget refuses or the kernel has no memory.
func (p *Pool) Take(t *shard.Turn, n int, budget *Budget) *Block {
	p.own.Check(t)
	size := Size(n)
	if !budget.Reserve(size) {
		return nil
	}
	b := p.get(n, size)
	if b == nil {
		budget.Return(t, size)
		return nil
	}
	b.refs, b.budget, b.charged = 1, budget, size
	return b
}

func (p *Pool) get(n int, size int64) *Block {
	if n <= cachedMax {
		c := class(n)
		if b := p.free[c]; b != nil {
			p.free[c], b.next = b.next, nil
			p.kept -= size
			return b
		}
	}
	mem, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	b := p.husks
	if b != nil {
		p.husks, b.next = b.next, nil
	} else {
		b = &Block{pool: p}
	}
	b.mem = mem
	return b
}

func (p *Pool) put(t *shard.Turn, b *Block) {
	if must.Deep {
		poison(b.mem)
	}
	size, budget := b.charged, b.budget
	b.budget = nil
	if len(b.mem) <= cachedMax && p.kept+size <= p.keepMax {
		c := class(len(b.mem))
		b.next, p.free[c] = p.free[c], b
		p.kept += size
	} else {
		if err := unix.Munmap(b.mem); err != nil {
			must.Failf("unmap block: %v", err)
		}
		b.mem = nil
		b.next, p.husks = p.husks, b
	}
	budget.Return(t, size)
}

// poison makes a use after release show itself in the checks build.
func poison(mem []byte) {
	for i := range mem[:min(len(mem), 64<<10)] {
		mem[i] = 0xdb
	}
}

// String describes the pool for logs.
func (p *Pool) String() string {
	return fmt.Sprintf("slab pool, %d bytes kept of %d", p.kept, p.keepMax)
}
