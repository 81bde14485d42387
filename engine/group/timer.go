package group

import (
	"container/heap"

	"pinion/engine/clock"
)

// deadline is a moment at which something happens to a group or to one of its members. The zero value is not set.
type deadline struct {
	when  clock.Mono
	order uint64 // in which they were set, so that equal moments have an order
	slot  int    // 1-based place in the heap; 0: not set
	fire  func()
}

// deadlines is a heap of them.
type deadlines struct {
	heap  deadlineHeap
	order uint64
}

func (d *deadlines) set(at *deadline, when clock.Mono, fire func()) {
	d.order++
	at.when, at.order, at.fire = when, d.order, fire
	if at.slot == 0 {
		heap.Push(&d.heap, at)
		return
	}
	heap.Fix(&d.heap, at.slot-1)
}

func (d *deadlines) cancel(at *deadline) {
	if at.slot != 0 {
		heap.Remove(&d.heap, at.slot-1)
	}
}

// due takes the first one that is due, nil if none is.
func (d *deadlines) due(now clock.Mono) *deadline {
	if len(d.heap) == 0 || d.heap[0].when > now {
		return nil
	}
	return heap.Pop(&d.heap).(*deadline)
}

// deadlineHeap is for container/heap.
type deadlineHeap []*deadline

func (h deadlineHeap) Len() int { return len(h) }

func (h deadlineHeap) Less(i, j int) bool {
	if h[i].when != h[j].when {
		return h[i].when < h[j].when
	}
	return h[i].order < h[j].order
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
