package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pinion/engine/clock"
)

// Deadlines that are put off again and again come at the same moments and in the same order as in a list that is sorted each time, and nobody is sent to look
// after a moment at which one is due.
func TestDeadlinesComeInTheOrderOfTheirMoments(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	const count = 40
	type entry struct {
		when  clock.Mono
		order int
	}
	for range 200 {
		var d deadlines
		var all [count]deadline
		want := map[int]entry{}
		now, order := clock.Mono(0), 0
		var got, wanted []string
		for range 300 {
			i := rnd.IntN(count)
			switch rnd.IntN(8) {
			case 0:
				d.cancel(&all[i])
				delete(want, i)
			case 1:
				when := now.Add(time.Duration(rnd.IntN(30)))
				order++
				d.set(&all[i], when, nil)
				want[i] = entry{when, order}
			case 2:
				now = now.Add(time.Duration(rnd.IntN(10)))
				for {
					first := -1
					for j, e := range want {
						if f := want[first]; e.when <= now && (first < 0 || e.when < f.when || e.when == f.when && e.order < f.order) {
							first = j
						}
					}
					if first < 0 {
						break
					}
					wanted = append(wanted, fmt.Sprintf("%d at %d", first, now))
					delete(want, first)
				}
				for at := d.due(now); at != nil; at = d.due(now) {
					i := slices.IndexFunc(all[:], func(x deadline) bool { return x.order == at.order })
					got = append(got, fmt.Sprintf("%d at %d", i, now))
				}
			default:
				patience := time.Duration(1 + rnd.IntN(30))
				order++
				d.putOff(&all[i], now, patience, nil)
				want[i] = entry{now.Add(patience), order}
			}
			next, ok := d.next()
			if ok != (len(want) > 0) {
				t.Fatalf("seed %d: next %v with %d set", seed, ok, len(want))
			}
			for j, e := range want {
				if e.when < next {
					t.Fatalf("seed %d: the next look is at %d, deadline %d at %d", seed, next, j, e.when)
				}
			}
		}
		if !slices.Equal(got, wanted) {
			t.Fatalf("seed %d: came %v, want %v", seed, got, wanted)
		}
	}
}

// A heartbeat moves nothing in the heap as long as there is time, and the session counts from the last.
func TestHeartbeatsMoveNothing(t *testing.T) {
	var d deadlines
	var at deadline
	const session, every = 45 * time.Second, 3 * time.Second
	now, moved := clock.Mono(0), 0
	d.putOff(&at, now, session, nil)
	for range 100 {
		now = now.Add(every)
		before := at.by
		d.putOff(&at, now, session, nil)
		if at.by != before {
			moved++
		}
		if next, _ := d.next(); next <= now.Add(every) {
			t.Fatalf("a look at %v, before the heartbeat that comes %v after %v", next, every, now)
		}
	}
	if moved > 100/7+1 {
		t.Errorf("100 heartbeats moved the deadline %d times", moved)
	}
	if d.due(now.Add(session)-1) != nil {
		t.Error("the session ended too early")
	}
	if d.due(now.Add(session)) != &at {
		t.Error("the session did not end")
	}
}
