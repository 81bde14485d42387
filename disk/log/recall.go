package log

import (
	"sync/atomic"
	"time"

	"pinion/engine/clock"
)

// recall is which stretch of a segment was read from the disk lately without being kept in memory. Who comes to the same place soon after another
// has it kept, where the third finds it: what one consumer passes takes no memory, and pages that the kernel gave up too early come back. Any
// thread may use it; where two do at once one of their reads is forgotten.
//
// In the word: the stretch's first page and the one behind its last, and the second it grew in, all modulo what their bits hold.
type recall struct{ word atomic.Uint64 }

const (
	recallPage = 12 // bits of 4 KiB
	recallBits = 20 // of a page's number: segments are smaller than 4 GiB
	recallMax  = time.Minute
)

// again reports whether a read begins where another has been within recallMax. One that goes on behind the stretch, or begins elsewhere, counts as the
// other for those that follow.
func (r *recall) again(pos int64, n int, now clock.Mono) bool {
	const mask = 1<<recallBits - 1
	from, end := uint64(pos)>>recallPage, uint64(pos+int64(n))>>recallPage
	second := uint64(now) / uint64(time.Second) & (1<<(64-2*recallBits) - 1)
	was := r.word.Load()
	first, last, since := was>>recallBits&mask, was&mask, was>>(2*recallBits)
	fresh := second >= since && second-since <= uint64(recallMax/time.Second)
	switch {
	case fresh && from >= first && from < last:
		return true
	case fresh && from == last:
		from = first
	}
	r.word.Store(second<<(2*recallBits) | from&mask<<recallBits | end&mask)
	return false
}
