package slab

import (
	"math/rand/v2"
	"testing"
	"time"

	"pinion/engine/clock"
	"pinion/engine/must"
	"pinion/engine/shard"
)

// onShard runs f in a turn of a running shard.
func onShard(t testing.TB, f func(t *shard.Turn)) {
	t.Helper()
	set, err := shard.NewSet(1, clock.Real{})
	if err != nil {
		t.Fatal(err)
	}
	cpus, err := shard.CPUs()
	if err != nil {
		t.Fatal(err)
	}
	set.Start(cpus)
	defer func() {
		set.Stop()
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	}()
	ended := make(chan struct{})
	set.Shard(0).Visit(func(t *shard.Turn) {
		defer close(ended) // also when the test fails in there, which ends the shard's goroutine
		f(t)
	})
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the shard did not get there in time")
	}
}

func TestSizeIsTheLeastClassThatHolds(t *testing.T) {
	for _, row := range []struct {
		n    int
		want int64
	}{
		{0, 4 << 10}, {1, 4 << 10}, {4 << 10, 4 << 10}, {4<<10 + 1, 8 << 10}, {8 << 10, 8 << 10}, {256 << 10, 256 << 10},
		{512<<10 + 1, 1 << 20}, {1 << 20, 1 << 20}, {1<<20 + 1, 1<<20 + 4<<10}, {100 << 20, 100 << 20},
	} {
		if got := Size(row.n); got != row.want {
			t.Errorf("%d bytes take %d, want %d", row.n, got, row.want)
		}
	}
	for n := range cachedMax + 2*BlockMin {
		size := Size(n)
		if size < int64(n) || n > BlockMin && n <= cachedMax && size >= 2*int64(n) || size%BlockMin != 0 {
			t.Fatalf("%d bytes take %d", n, size)
		}
	}
}

// loan is a block the test holds, filled with a byte of its own.
type loan struct {
	block *Block
	mark  byte
	refs  int
}

// Random takes, retains and releases: no two loans share a byte, the budget counts exactly what is out and never exceeds its limit, and the
// pool keeps no more than it may.
func TestPoolLendsEveryByteOnce(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	onShard(t, func(turn *shard.Turn) {
		const keep, limit = 2 << 20, 8 << 20
		p := NewPool(turn, keep)
		b := &Budget{Limit: limit}
		var loans []loan
		var out int64
		for range 20_000 {
			if rnd.IntN(2) == 0 {
				n := 1 + rnd.IntN(1<<(4+rnd.IntN(18)))
				block := p.Take(turn, n, b)
				if fits := out == 0 || out+Size(n) <= limit; fits != (block != nil) {
					t.Fatalf("seed %d: %d bytes with %d out: lent %v", seed, n, out, block != nil)
				}
				if block == nil {
					continue
				}
				if int64(len(block.Bytes())) != Size(n) {
					t.Fatalf("seed %d: block of %d for %d bytes", seed, len(block.Bytes()), n)
				}
				out += Size(n)
				l := loan{block, byte(rnd.Uint32()), 1}
				mark(block.Bytes(), l.mark)
				loans = append(loans, l)
				continue
			}
			if len(loans) == 0 {
				continue
			}
			i := rnd.IntN(len(loans))
			l := &loans[i]
			if rnd.IntN(4) == 0 {
				l.block.Retain()
				l.refs++
				continue
			}
			if !marked(l.block.Bytes(), l.mark) {
				t.Fatalf("seed %d: a block on loan changed", seed)
			}
			size := int64(len(l.block.Bytes()))
			l.block.Release(turn)
			if l.refs--; l.refs == 0 {
				out -= size
				loans[i] = loans[len(loans)-1]
				loans = loans[:len(loans)-1]
			}
			if b.Used() != out || p.kept > keep {
				t.Fatalf("seed %d: %d used, %d out, %d kept of %d", seed, b.Used(), out, p.kept, keep)
			}
		}
		for _, l := range loans {
			for range l.refs {
				l.block.Release(turn)
			}
		}
		if b.Used() != 0 {
			t.Errorf("seed %d: %d used with nothing out", seed, b.Used())
		}
	})
}

// mark writes to a block's ends and to every page between.
func mark(b []byte, m byte) {
	for i := 0; i < len(b); i += 1024 {
		b[i] = m
	}
	b[len(b)-1] = m
}

func marked(b []byte, m byte) bool {
	for i := 0; i < len(b); i += 1024 {
		if b[i] != m {
			return false
		}
	}
	return b[len(b)-1] == m
}

// In the checks build a block that was given back does not look like what it held.
func TestReturnedBlockIsPoisoned(t *testing.T) {
	if !must.Deep {
		t.Skip("poison is part of the checks build: go test -tags checks")
	}
	onShard(t, func(turn *shard.Turn) {
		p := NewPool(turn, 1<<20)
		b := &Budget{Limit: 1 << 20}
		block := p.Take(turn, 8<<10, b)
		late := block.Bytes()
		copy(late, "a request")
		block.Release(turn)
		for i, c := range late {
			if c != 0xdb {
				t.Fatalf("byte %d is still %#x", i, c)
			}
		}
	})
}

func TestReleasingTooOftenIsCaught(t *testing.T) {
	onShard(t, func(turn *shard.Turn) {
		p := NewPool(turn, 1<<20)
		block := p.Take(turn, 1, &Budget{Limit: 1 << 20})
		block.Release(turn)
		defer func() {
			if recover() == nil {
				t.Error("released twice and nobody noticed")
			}
		}()
		block.Release(turn)
	})
}

func TestSteadyLendingAllocatesNothing(t *testing.T) {
	onShard(t, func(turn *shard.Turn) {
		p := NewPool(turn, 4<<20)
		b := &Budget{Limit: 8 << 20}
		if n := testing.AllocsPerRun(200, func() {
			small, large := p.Take(turn, 5000, b), p.Take(turn, 3<<20, b)
			small.Release(turn)
			large.Release(turn)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func BenchmarkTake(b *testing.B) {
	onShard(b, func(turn *shard.Turn) {
		p := NewPool(turn, 4<<20)
		budget := &Budget{Limit: 8 << 20}
		for b.Loop() {
			p.Take(turn, 64<<10, budget).Release(turn)
		}
	})
}
