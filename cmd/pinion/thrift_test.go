package main

import "testing"

// TestThriftCollectsAtRest: only where nothing much is allocated, only for what is worth it, and not again for what a collection did not get.
func TestThriftCollectsAtRest(t *testing.T) {
	const mb = 1 << 20
	steps := []struct {
		what string
		use  heapUse
		due  bool
		left heapUse // after the collection, where it is due
	}{
		{what: "a start allocates", use: heapUse{allocated: 8 * mb, live: 3 * mb, objects: 4 * mb}},
		{what: "and is over", use: heapUse{allocated: 8 * mb, live: 3 * mb, objects: 4 * mb}, due: true, left: heapUse{live: 4 * mb, objects: 4 * mb, free: mb / 4}},
		{what: "nothing happens", use: heapUse{allocated: 8 * mb, live: 4 * mb, objects: 4 * mb, free: mb / 4}},
		{what: "a burst", use: heapUse{allocated: 60 * mb, live: 20 * mb, objects: 25 * mb, free: 2 * mb}},
		{what: "that goes on", use: heapUse{allocated: 60*mb + 2*restBytesMax, live: 20 * mb, objects: 25 * mb, free: 2 * mb}},
		{what: "at rest", use: heapUse{allocated: 60*mb + 3*restBytesMax, live: 20 * mb, objects: 25 * mb, free: 2 * mb}, due: true,
			left: heapUse{live: 24 * mb, objects: 24 * mb, free: 3 * mb}},
		{what: "what is free stays", use: heapUse{allocated: 60*mb + 3*restBytesMax, live: 24 * mb, objects: 24 * mb, free: 3 * mb}},
		{what: "a little more is not worth it", use: heapUse{allocated: 60*mb + 4*restBytesMax, live: 24 * mb, objects: 25 * mb, free: 3 * mb}},
		{what: "a sixteenth is", use: heapUse{allocated: 60*mb + 5*restBytesMax, live: 24 * mb, objects: 25*mb + mb/2, free: 3 * mb}, due: true},
	}
	var th thrift
	for _, s := range steps {
		if due := th.due(s.use); due != s.due {
			t.Errorf("%s: due %v, want %v", s.what, due, s.due)
		}
		if s.due {
			th.collected(s.left)
		}
	}
}
