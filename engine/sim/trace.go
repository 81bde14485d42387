package sim

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"slices"
	"strings"
)

// trace is a digest of every step of a run, and the last of them in words.
type trace struct {
	sum   hash.Hash64
	steps int
	last  []entry
	words [20]byte
}

// entry is one step.
type entry struct {
	what string
	a, b int64
}

const traceKept = 60

func newTrace() trace { return trace{sum: fnv.New64a()} }

func (t *trace) add(what string, a, b int64) {
	t.steps++
	_, _ = t.sum.Write([]byte(what)) // a hash never fails
	binary.LittleEndian.PutUint64(t.words[0:], uint64(a))
	binary.LittleEndian.PutUint64(t.words[8:], uint64(b))
	_, _ = t.sum.Write(t.words[:])
	if len(t.last) == 2*traceKept {
		t.last = slices.Delete(t.last, 0, traceKept)
	}
	t.last = append(t.last, entry{what, a, b})
}

// tail is the last steps in words, oldest first.
func (t *trace) tail() string {
	last := t.last[max(0, len(t.last)-traceKept):]
	var b strings.Builder
	for i, e := range last {
		fmt.Fprintf(&b, "\n  %d %s %d %d", t.steps-len(last)+1+i, e.what, e.a, e.b)
	}
	return b.String()
}
