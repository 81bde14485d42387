package producer

import "pinion/engine/clock"

// admit makes a state for a new producer and returns its place; when the table is full the one idle for longest leaves.
func (t *Table) admit(id int64) int32 {
	if len(t.states) >= t.max {
		t.remove(t.oldest)
	}
	if t.places == nil {
		t.places = make(map[int64]int32)
	}
	place := int32(len(t.states))
	t.states = append(t.states, state{id: id, epoch: noEpoch, coord: -1, txnFirst: -1, newer: nowhere, older: nowhere})
	t.places[id] = place
	t.link(place)
	return place
}

// use marks a producer as the one used last. A wall clock that steps back does not make it look older than it was.
func (t *Table) use(place int32, now clock.Wall) {
	s := &t.states[place]
	s.used = max(s.used, now)
	if t.newest != place {
		t.unlink(place)
		t.link(place)
	}
}

// link puts a state that is in no list at the newest end.
func (t *Table) link(place int32) {
	s := &t.states[place]
	s.newer, s.older = nowhere, t.newest
	if t.newest != nowhere {
		t.states[t.newest].newer = place
	} else {
		t.oldest = place
	}
	t.newest = place
}

func (t *Table) unlink(place int32) {
	s := &t.states[place]
	if s.newer != nowhere {
		t.states[s.newer].older = s.older
	} else {
		t.newest = s.older
	}
	if s.older != nowhere {
		t.states[s.older].newer = s.newer
	} else {
		t.oldest = s.newer
	}
}

// remove forgets the producer at place; the last state moves into the hole.
func (t *Table) remove(place int32) {
	t.unlink(place)
	delete(t.places, t.states[place].id)
	last := int32(len(t.states)) - 1
	if place != last {
		moved := &t.states[place]
		*moved = t.states[last]
		t.places[moved.id] = place
		if moved.newer != nowhere {
			t.states[moved.newer].older = place
		} else {
			t.newest = place
		}
		if moved.older != nowhere {
			t.states[moved.older].newer = place
		} else {
			t.oldest = place
		}
	}
	t.states = t.states[:last]
}

// shrinkMin is the capacity below which memory is not worth giving back.
const shrinkMin = 64

// shrink gives memory back when three quarters of it are unused.
func (t *Table) shrink() {
	if cap(t.states) < shrinkMin || len(t.states) > cap(t.states)/4 {
		return
	}
	t.states = append(make([]state, 0, 2*len(t.states)), t.states...)
	places := make(map[int64]int32, len(t.states))
	for i := range t.states {
		places[t.states[i].id] = int32(i)
	}
	t.places = places
}
