package shard

import (
	"testing"
	"time"
)

// Where several slow descriptors are ready in one look the shard looks at every moment, and the vigil is kept; a single one that is ready keeps it so.
// When none is any more both end, and the next one is told of as before.
func TestShardsLookAtEveryMomentWhileThereIsSomething(t *testing.T) {
	set := startSet(t, 2)
	const count = slowMany
	var reads, writes [count]int
	told := make(chan int, 4*count)
	on(t, set, 1, func(turn *Turn) {
		for i := range count {
			reads[i], writes[i] = pipe(t)
			h, err := turn.Watch(reads[i], source(func(_ *Turn, events uint32) { told <- i }))
			if err != nil {
				t.Error(err)
			}
			turn.Slow(reads[i], h, true)
		}
	})
	hear := func(what string, want int) {
		t.Helper()
		for range want {
			select {
			case <-told:
			case <-time.After(patience):
				t.Fatalf("%s: nobody was told", what)
			}
		}
	}
	state := func() (every bool, lookers int32) {
		on(t, set, 1, func(turn *Turn) { every, lookers = turn.shard.slow.every, set.vigil.lookers.Load() })
		return every, lookers
	}
	becomes := func(what string, want bool) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			every, lookers := state()
			if every != (lookers == 1) {
				t.Fatalf("%s: every moment %v, with %d at the vigil", what, every, lookers)
			}
			if every == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: every moment is %v", what, every)
			}
		}
	}
	for range 2 {
		kept := set.vigil.kept.Load()
		on(t, set, 1, func(*Turn) {
			for i := range count {
				poke(t, writes[i])
			}
			if set.shards[1].slow.every {
				t.Error("it looks at every moment although nothing was ready")
			}
		})
		hear("several", count)
		poke(t, writes[0])
		hear("one more", 1)
		for end := time.Now().Add(patience); set.vigil.kept.Load() == kept; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("no vigil was kept")
			}
		}
		becomes("nothing is ready", false)
		poke(t, writes[1])
		hear("one, after a time without", 1)
	}
	// The set is stopped while a shard looks at every moment.
	on(t, set, 1, func(*Turn) {
		for i := range count {
			poke(t, writes[i])
		}
	})
	hear("at the end", count)
}

// A shard that looks at many slow descriptors finds all of them, however many are ready, and looks again.
func TestOneLookFindsMoreThanOneCallTells(t *testing.T) {
	set := startSet(t, 1)
	const count = eventsPerTurn + 10
	told := make(chan struct{}, 3*count)
	var writes [count]int
	on(t, set, 0, func(turn *Turn) {
		for i := range count {
			r, w := pipe(t)
			writes[i] = w
			h, err := turn.Watch(r, source(func(_ *Turn, _ uint32) { told <- struct{}{} }))
			if err != nil {
				t.Error(err)
				return
			}
			turn.Slow(r, h, true)
		}
	})
	for round := range 2 {
		on(t, set, 0, func(*Turn) {
			for _, w := range writes {
				poke(t, w)
			}
		})
		for i := range count {
			select {
			case <-told:
			case <-time.After(patience):
				t.Fatalf("round %d: %d were told, want %d", round, i, count)
			}
		}
	}
}

// A shard sleeps as one that only looks at slow descriptors until another one is ready, and again from the next look on.
func TestOtherDescriptorsEndTheQuiet(t *testing.T) {
	set := startSet(t, 1)
	slowRead, slowWrite := pipe(t)
	read, write := pipe(t)
	looked, told := make(chan bool, 4), make(chan bool, 4)
	on(t, set, 0, func(turn *Turn) {
		h, err := turn.Watch(slowRead, source(func(turn *Turn, _ uint32) { looked <- turn.shard.slow.other }))
		if err != nil {
			t.Error(err)
		}
		turn.Slow(slowRead, h, true)
		if _, err := turn.Watch(read, source(func(turn *Turn, _ uint32) { told <- turn.shard.slow.other })); err != nil {
			t.Error(err)
		}
	})
	hear := func(from chan bool, want bool) {
		t.Helper()
		select {
		case other := <-from:
			if other != want {
				t.Errorf("another descriptor was ready: %v, want %v", other, want)
			}
		case <-time.After(patience):
			t.Fatal("nobody was told")
		}
	}
	for range 2 {
		poke(t, write)
		hear(told, true)
		poke(t, slowWrite)
		hear(looked, false)
	}
}
