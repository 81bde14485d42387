package commit

import (
	"math/rand/v2"
	"testing"

	"pinion/engine/model"
)

// TestPrefixAgainstModel appends, commits, syncs and truncates at random, and compares with a list of what is durable offset by offset.
func TestPrefixAgainstModel(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var p Prefix
		var ways []uint64 // by offset; wayDone: durable
		ticket := uint64(1)
		end := 0 // the contiguous durable end
		settle := func() {
			for end < len(ways) && ways[end] == wayDone {
				end++
			}
		}
		for step := range 400 {
			switch r.IntN(8) {
			case 0, 1, 2:
				way := ticket
				if r.IntN(3) == 0 {
					way = waySync
				}
				for range 1 + r.IntN(4) {
					ways = append(ways, way)
				}
				if way == waySync {
					p.Unjournaled(model.Offset(len(ways)))
				} else {
					p.Journaled(model.Offset(len(ways)), way)
				}
			case 3:
				ticket++
			case 4, 5: // a commit, not always the oldest
				done := 1 + r.Uint64N(ticket)
				if done == ticket {
					ticket++
				}
				for i := range ways {
					if ways[i] == done {
						ways[i] = wayDone
					}
				}
				p.Committed(done)
			case 6:
				to := r.IntN(len(ways) + 1)
				for i := range to {
					ways[i] = wayDone
				}
				p.Synced(model.Offset(to))
			case 7:
				if r.IntN(4) == 0 {
					to := r.IntN(len(ways) + 1)
					ways = ways[:to]
					end = min(end, to)
					p.Truncated(model.Offset(to))
				}
			}
			settle()
			if int(p.End()) != end || int(p.Last()) != len(ways) {
				t.Fatalf("seed %d, step %d: durable to %d of %d, want %d of %d", seed, step, p.End(), p.Last(), end, len(ways))
			}
			wants := false
			for _, way := range ways[end:] {
				wants = wants || way == waySync
			}
			if p.WantsSync() != wants {
				t.Fatalf("seed %d, step %d: wants a sync: %v", seed, step, p.WantsSync())
			}
		}
	}
}

// TestPrefixAllocatesNothing in the rhythm of one commit under way while the next gathers.
func TestPrefixAllocatesNothing(t *testing.T) {
	var p Prefix
	end, ticket := model.Offset(0), uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		ticket++
		end++
		p.Journaled(end, ticket)
		p.Committed(ticket - 1)
	}); n > 0 {
		t.Fatalf("%v allocations", n)
	}
}

// TestNeededAgainstModel: the oldest generation is that of the partition which has waited longest, whatever fails meanwhile.
func TestNeededAgainstModel(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		var n Needed[int]
		items := make([]Item[int], 6)
		since, saving := make([]uint64, len(items)), make([]uint64, len(items))
		generation := uint64(1)
		for step := range 300 {
			i := r.IntN(len(items))
			it := &items[i]
			switch r.IntN(6) {
			case 0:
				generation++
			case 1, 2:
				n.Touch(it, generation)
				if since[i] == 0 {
					since[i] = generation
				}
			case 3:
				if since[i] != 0 && saving[i] == 0 {
					n.Begin(it)
					saving[i], since[i] = since[i], 0
				}
			case 4:
				if saving[i] != 0 {
					synced := r.IntN(2) == 0
					n.Done(it, synced)
					if !synced {
						since[i] = saving[i]
					}
					saving[i] = 0
				}
			case 5:
				if r.IntN(5) == 0 {
					n.Drop(it)
					since[i], saving[i] = 0, 0
				}
			}
			oldest, first := Nothing, Nothing
			for k := range items {
				if since[k] != 0 {
					oldest, first = min(oldest, since[k]), min(first, since[k])
				}
				if saving[k] != 0 {
					oldest = min(oldest, saving[k])
				}
				if items[k].Needs() != (since[k] != 0 || saving[k] != 0) {
					t.Fatalf("seed %d, step %d: item %d", seed, step, k)
				}
			}
			if _, got := n.First(); got != first || n.Oldest() != oldest {
				t.Fatalf("seed %d, step %d: first %d, oldest %d; want %d, %d", seed, step, got, n.Oldest(), first, oldest)
			}
		}
	}
}
