package group

import (
	"container/heap"
	"time"

	"pinion/engine/clock"
)

// deadline is a moment at which something happens to a group or to one of its members. The zero value is not set.
type deadline struct {
	when  clock.Mono
	order uint64 // in which they were set, so that equal moments have an order
	slot  int    // 1-based place in the heap; 0: not set
	fire  func()

	// Its place is by these, which stay behind where it was put off. Invariant: by <= when.
	by   clock.Mono
	rank uint64
}

// deadlines is a heap of them.
type deadlines struct {
	heap  deadlineHeap
	order uint64
}

func (d *deadlines) set(at *deadline, when clock.Mono, fire func()) {
	d.order++
	at.when, at.order, at.fire = when, d.order, fire
	at.by, at.rank = when, d.order
	if at.slot == 0 {
		heap.Push(&d.heap, at)
		return
	}
	heap.Fix(&d.heap, at.slot-1)
}

// putOff is set for a deadline that is put off again and again and seldom met: it moves in the heap only when half of the time has gone by until the
// place it has there. A heartbeat every few seconds, of each of ten thousand members, would otherwise move each time among all of its kind.
func (d *deadlines) putOff(at *deadline, now clock.Mono, patience time.Duration, fire func()) {
	when := now.Add(patience)
	if at.slot == 0 || when < at.by || at.by.Sub(now) < patience/2 {
		d.set(at, when, fire)
		return
	}
	d.order++
	at.when, at.order, at.fire = when, d.order, fire
}

// next is a moment before which none is due.
func (d *deadlines) next() (clock.Mono, bool) {
	if len(d.heap) == 0 {
		return 0, false
	}
	return d.heap[0].by, true
}

func (d *deadlines) cancel(at *deadline) {
	if at.slot != 0 {
		heap.Remove(&d.heap, at.slot-1)
	}
}

// due takes the first one that is due, nil if none is.
func (d *deadlines) due(now clock.Mono) *deadline {
	for len(d.heap) > 0 && d.heap[0].by <= now {
		at := d.heap[0]
		if at.order == at.rank {
			return heap.Pop(&d.heap).(*deadline)
		}
		at.by, at.rank = at.when, at.order
		heap.Fix(&d.heap, 0)
	}
	return nil
}

// deadlineHeap is for container/heap.
type deadlineHeap []*deadline

func (h deadlineHeap) Len() int { return len(h) }

func (h deadlineHeap) Less(i, j int) bool {
	if h[i].by != h[j].by {
		return h[i].by < h[j].by
	}
	return h[i].rank < h[j].rank
}

func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i+1, j+1
}

// Push is container/heap's.
func (h *deadlineHeap) Push(x any) {
	at := x.(*deadline)
	*h = append(*h, at)
	at.slot = len(*h)
}

// Pop is container/heap's.
func (h *deadlineHeap) Pop() any {
	last := len(*h) - 1
	at := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	at.slot = 0
	return at
}
