package sim

import "math/rand/v2"

// streams are separate sources of chance, so that what one part of a run draws does not change what another does.
type streams struct {
	steps   *rand.Rand // which step comes next
	load    *rand.Rand // what clients do
	changes *rand.Rand // what the catalogue does
	faults  *rand.Rand
	late    *rand.Rand // which journals find no space at a start, and until when
	disk    uint64     // seeds of the disks
}

func newStreams(seed uint64) streams {
	source := func(salt uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, salt)) }
	return streams{steps: source(1), load: source(2), changes: source(3), faults: source(4), late: source(6), disk: source(5).Uint64()}
}

// oneIn is true once in n draws.
func oneIn(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }

// between draws from [lower, upper].
func between(r *rand.Rand, lower, upper int) int { return lower + r.IntN(upper-lower+1) }

// pick draws one of a list that is not empty.
func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }
