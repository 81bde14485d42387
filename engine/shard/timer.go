package shard

import "pinion/engine/clock"

// Timer is one deadline of one shard. Embed it by value; it holds its place in the shard's heap, so arming, moving and
// stopping allocate nothing. The zero value is stopped.
type Timer struct {
	when clock.Mono
	slot int32 // 1-based place in the heap; 0 = not armed
	on   Alarm
}

// Alarm is told when a timer is due. Timers of one owner are told apart by their address.
type Alarm interface {
	Fire(t *Turn, timer *Timer)
}

// Armed reports whether the timer waits.
func (tm *Timer) Armed() bool { return tm.slot != 0 }

// heap is a 4-ary min-heap by deadline.
type heap struct{ timers []*Timer }

func (h *heap) next() (clock.Mono, bool) {
	if len(h.timers) == 0 {
		return 0, false
	}
	return h.timers[0].when, true
}

func (h *heap) set(tm *Timer, when clock.Mono) {
	if tm.slot == 0 {
		h.timers = append(h.timers, tm)
		tm.when = when
		tm.slot = int32(len(h.timers))
		h.up(int(tm.slot) - 1)
		return
	}
	tm.when = when
	h.down(h.up(int(tm.slot) - 1))
}

func (h *heap) remove(tm *Timer) {
	if tm.slot == 0 {
		return
	}
	i, last := int(tm.slot)-1, len(h.timers)-1
	tm.slot = 0
	moved := h.timers[last]
	h.timers[last] = nil
	h.timers = h.timers[:last]
	if i == last {
		return
	}
	h.place(i, moved)
	h.down(h.up(i))
}

func (h *heap) place(i int, tm *Timer) {
	h.timers[i] = tm
	tm.slot = int32(i) + 1
}

func (h *heap) up(i int) int {
	tm := h.timers[i]
	for i > 0 {
		parent := (i - 1) / 4
		if h.timers[parent].when <= tm.when {
			break
		}
		h.place(i, h.timers[parent])
		i = parent
	}
	h.place(i, tm)
	return i
}

func (h *heap) down(i int) {
	tm := h.timers[i]
	for {
		best := i
		bestWhen := tm.when
		for c := 4*i + 1; c <= 4*i+4 && c < len(h.timers); c++ {
			if h.timers[c].when < bestWhen {
				best, bestWhen = c, h.timers[c].when
			}
		}
		if best == i {
			break
		}
		h.place(i, h.timers[best])
		i = best
	}
	h.place(i, tm)
}
