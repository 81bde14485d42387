package commit

import (
	"testing"
	"time"
)

// TestRest: the more small entries a write carried, the longer the journal lets the next gather, up to as long as the write was.
func TestRest(t *testing.T) {
	const us = time.Microsecond
	for _, c := range []struct {
		carried    int
		took, want time.Duration
	}{
		{1, 200 * us, 0},
		{2, 200 * us, 50 * us},
		{4, 200 * us, 150 * us},
		{5, 200 * us, 200 * us},
		{60, 200 * us, 200 * us},
		{60, 20 * us, 20 * us},   // a fast disk is not made a slow one
		{60, 500 * us, 250 * us}, // a slow one is not made much slower
	} {
		if got := (&Journal{carried: c.carried}).rest(c.took); got != c.want {
			t.Errorf("%d entries in %v: a rest of %v, want %v", c.carried, c.took, got, c.want)
		}
	}
	for _, c := range []struct {
		carried int
		took    time.Duration
	}{{0, 200 * us}, {60, time.Millisecond}} { // nothing written, or more waits; a disk that is busy
		if got := (&Journal{carried: c.carried}).rest(c.took); got > 0 {
			t.Errorf("%d entries in %v: a rest of %v, want none", c.carried, c.took, got)
		}
	}
}
