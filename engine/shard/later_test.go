package shard

import (
	"testing"
	"time"

	"pinion/engine/clock"
)

// awaitSleep waits until the shard sleeps.
func awaitSleep(t *testing.T, s *Shard) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !s.sleeping.Load(); {
		if time.Now().After(end) {
			t.Fatalf("%s does not fall asleep", s.name)
		}
		time.Sleep(100 * time.Microsecond) // between two looks
	}
}

// Mail that can wait rings no bell, and comes nevertheless: with mail that does, in the order of sending, or when the shard looks by itself.
func TestMailThatCanWaitWakesNobody(t *testing.T) {
	set := startSet(t, 2)
	receiver := set.Shard(1)
	bells := func() (n uint64) {
		on(t, set, 0, func(t *Turn) { n = t.Stats().Doorbells })
		return n
	}
	awaitSleep(t, receiver)
	before := bells()
	alone := make(chan struct{})
	on(t, set, 0, func(t *Turn) { t.Later(1, &parcel{do: func(*Turn) { close(alone) }}) })
	if after := bells(); after != before {
		t.Errorf("%d bells for mail that can wait", after-before)
	}
	await(t, alone)

	awaitSleep(t, receiver)
	before = bells()
	var order []string
	both := make(chan struct{})
	on(t, set, 0, func(t *Turn) {
		t.Later(1, &parcel{do: func(*Turn) { order = append(order, "later") }})
		t.Ask(1, &parcel{do: func(*Turn) { order = append(order, "ask"); close(both) }})
	})
	await(t, both)
	if order[0] != "later" {
		t.Errorf("delivered %v", order)
	}
	// The shard may have woken by itself just then; it is never woken twice.
	if after := bells(); after > before+1 {
		t.Errorf("%d bells", after-before)
	}
}

// A shard that is owed mail sleeps shortly, and longer each time that nothing came, up to what others sleep.
func TestOwedMailIsLookedForMoreAndMoreRarely(t *testing.T) {
	clk := &stepClock{now: clock.Now{Mono: clock.Mono(time.Second)}, step: time.Microsecond}
	s, err := newShard(0, clk)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if d := s.timeout(clk.now.Mono); d != sleepMax {
		t.Errorf("sleeps %v and is owed nothing", d)
	}
	s.turn.Owed(1)
	for _, want := range []time.Duration{dozeMin, 2 * dozeMin, 4 * dozeMin} {
		if d := s.timeout(clk.now.Mono); d != want {
			t.Errorf("sleeps %v where %v was due", d, want)
		}
		s.collect(clk.now.Mono)
	}
	var mail parcel
	s.turn.Owed(1)
	for s.doze < sleepMax {
		s.doze *= 2
	}
	s.doze = min(s.doze, sleepMax)
	s.lanes[bulk].push(&mail)
	s.collect(clk.now.Mono)
	s.lanes[bulk].take()
	if d := s.timeout(clk.now.Mono); d != dozeMin {
		t.Errorf("sleeps %v after mail has come", d)
	}
	s.turn.Owed(-2)
	if d := s.timeout(clk.now.Mono); d != sleepMax {
		t.Errorf("sleeps %v and is owed nothing any more", d)
	}
}
