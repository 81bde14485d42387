package shard

import "sync/atomic"

// Mail is a value given away to another shard: the sender must not touch it, or anything it points to, until it comes back as
// mail. Deliver runs on the destination. A Mail embeds a Letter, so posting allocates nothing and an inbox cannot fill: it
// holds at most the asks outstanding, which their senders count.
type Mail interface {
	Deliver(t *Turn)
	letter() *Letter
}

// Letter links a Mail into an inbox. The zero value is ready; it may be posted again once delivered.
type Letter struct {
	next *Letter
	body Mail
}

func (l *Letter) letter() *Letter { return l }

// lane is one direction into a shard: a stack any thread pushes to and the owner takes whole, once a turn. Taking everything
// at once costs one atomic exchange per turn however much arrived, keeps each sender's order, and needs no capacity; a grid
// of bounded rings between N shards would need N*N of them and a plan for when one is full.
type lane struct {
	head atomic.Pointer[Letter]
	_    [56]byte // each lane on a cache line of its own: senders hammer it while the owner reads its neighbours
}

func (q *lane) push(m Mail) {
	l := m.letter()
	l.body = m
	for {
		old := q.head.Load()
		l.next = old
		// The exchange publishes everything the sender wrote into the mail before it.
		if q.head.CompareAndSwap(old, l) {
			return
		}
	}
}

func (q *lane) empty() bool { return q.head.Load() == nil }

// take empties the lane and returns its mail oldest first.
func (q *lane) take() *Letter {
	if q.head.Load() == nil {
		return nil
	}
	l := q.head.Swap(nil)
	var first *Letter
	for l != nil {
		next := l.next
		l.next = first
		first = l
		l = next
	}
	return first
}

// queue is the mail a shard posts to itself; it is emptied before the turn ends.
type queue struct{ first, last *Letter }

func (q *queue) push(m Mail) {
	l := m.letter()
	l.body, l.next = m, nil
	if q.last == nil {
		q.first = l
	} else {
		q.last.next = l
	}
	q.last = l
}

func (q *queue) pop() *Letter {
	l := q.first
	if l == nil {
		return nil
	}
	q.first = l.next
	if q.first == nil {
		q.last = nil
	}
	l.next = nil
	return l
}
