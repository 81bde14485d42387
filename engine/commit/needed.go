package commit

// Nothing is the generation of a shard that needs nothing of the journal.
const Nothing uint64 = 1<<64 - 1

// Item is a partition's place among those whose segments lack a sync. The zero value is in no list.
type Item[O any] struct {
	prev, next *Item[O]
	since      uint64 // generation of the first entry that a sync would make unneeded; 0: none
	saving     uint64 // what since was when the sync under way began; 0: none is
	Owner      O      // whose it is
}

// Needed is what one shard needs of the journal: its partitions in the order in which their oldest entries were written, and those
// that are being synced.
type Needed[O any] struct {
	head, tail *Item[O]
	saving     []*Item[O]
}

// Touch notes that a partition gets an entry in this generation or a later one.
func (n *Needed[O]) Touch(it *Item[O], generation uint64) {
	if it.since != 0 {
		return
	}
	n.insert(it, generation, nil)
}

// insert puts an item before another, or at the end.
func (n *Needed[O]) insert(it *Item[O], since uint64, before *Item[O]) {
	it.since, it.next = since, before
	if before == nil {
		it.prev, n.tail = n.tail, it
	} else {
		it.prev, before.prev = before.prev, it
	}
	if it.prev == nil {
		n.head = it
	} else {
		it.prev.next = it
	}
}

func (n *Needed[O]) unlink(it *Item[O]) {
	if it.prev != nil {
		it.prev.next = it.next
	} else {
		n.head = it.next
	}
	if it.next != nil {
		it.next.prev = it.prev
	} else {
		n.tail = it.prev
	}
	it.prev, it.next, it.since = nil, nil, 0
}

// First is the partition with the oldest entries that is not being synced, and their generation; nil when there is none.
func (n *Needed[O]) First() (*Item[O], uint64) {
	if n.head == nil {
		return nil, Nothing
	}
	return n.head, n.head.since
}

// Saving is how many are being synced.
func (n *Needed[O]) Saving() int { return len(n.saving) }

// Needs reports whether the journal holds something of a partition that its segments may lack.
func (it *Item[O]) Needs() bool { return it.since != 0 || it.saving != 0 }

// Busy reports whether a sync that Begin announced is under way.
func (it *Item[O]) Busy() bool { return it.saving != 0 }

// Begin notes that a sync of everything written so far begins. What is appended meanwhile counts anew.
func (n *Needed[O]) Begin(it *Item[O]) {
	it.saving = it.since
	n.unlink(it)
	n.saving = append(n.saving, it)
}

// Done ends what Begin announced. A sync that did not come about leaves the partition the oldest it was.
func (n *Needed[O]) Done(it *Item[O], synced bool) {
	for i, other := range n.saving {
		if other == it {
			n.saving = append(n.saving[:i], n.saving[i+1:]...)
			break
		}
	}
	was := it.saving
	it.saving = 0
	if synced || was == 0 {
		return
	}
	if it.since != 0 {
		n.unlink(it)
	}
	before := n.head
	for before != nil && before.since < was {
		before = before.next
	}
	n.insert(it, was, before)
}

// Drop forgets a partition: it is closed with everything synced, or deleted.
func (n *Needed[O]) Drop(it *Item[O]) {
	if it.since != 0 {
		n.unlink(it)
	}
	if it.saving != 0 {
		n.Done(it, true)
	}
}

// Oldest is the first generation of which anything is needed, or Nothing.
func (n *Needed[O]) Oldest() uint64 {
	_, oldest := n.First()
	for _, it := range n.saving {
		oldest = min(oldest, it.saving)
	}
	return oldest
}
