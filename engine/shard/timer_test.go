package shard

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pinion/engine/clock"
)

// The heap against a map of deadlines: after any number of arms, moves, stops and fires both agree on what is due first.
func TestTimersAgainstMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		timers := make([]Timer, 40)
		model := map[*Timer]clock.Mono{}
		var h heap
		pick := func() *Timer { return &timers[rapid.IntRange(0, len(timers)-1).Draw(rt, "timer")] }
		set := func(rt *rapid.T) {
			tm, when := pick(), clock.Mono(rapid.IntRange(0, 30).Draw(rt, "when"))
			h.set(tm, when)
			model[tm] = when
		}
		rt.Repeat(map[string]func(*rapid.T){
			"arm":  set,
			"move": set, // twice as likely: a heap of one finds nothing
			"stop": func(rt *rapid.T) {
				tm := pick()
				h.remove(tm)
				delete(model, tm)
			},
			"fire": func(rt *rapid.T) {
				when, ok := h.next()
				if ok != (len(model) > 0) {
					rt.Fatalf("next says %v with %d armed", ok, len(model))
				}
				if !ok {
					return
				}
				tm := h.timers[0]
				if model[tm] != when {
					rt.Fatalf("first is due at %d, model says %d", when, model[tm])
				}
				h.remove(tm)
				delete(model, tm)
			},
			"": func(rt *rapid.T) {
				if len(h.timers) != len(model) {
					rt.Fatalf("%d in the heap, %d armed", len(h.timers), len(model))
				}
				for i := range timers {
					tm := &timers[i]
					when, armed := model[tm]
					if tm.Armed() != armed {
						rt.Fatalf("timer %d armed %v, model %v", i, tm.Armed(), armed)
					}
					if armed && (tm.when != when || h.timers[tm.slot-1] != tm) {
						rt.Fatalf("timer %d at %d in slot %d, model %d", i, tm.when, tm.slot, when)
					}
				}
				if first, ok := h.next(); ok {
					for tm, when := range model {
						if when < first {
							rt.Fatalf("%d is first, but %v is due at %d", first, tm, when)
						}
					}
				}
			},
		})
	})
}

type alarm func(t *Turn, tm *Timer)

func (a alarm) Fire(t *Turn, tm *Timer) { a(t, tm) }

// An alarm that sets itself for "at once" must not keep the turn from ending: the turn's time stands still.
func TestTimerArmedForNowFiresInTheNextTurn(t *testing.T) {
	set := startSet(t, 1)
	var turns []uint64
	var tm Timer
	done := make(chan struct{})
	var again alarm
	again = func(t *Turn, timer *Timer) {
		turns = append(turns, turnCount(t))
		if len(turns) == 5 {
			close(done)
			return
		}
		t.Arm(timer, 0, again)
	}
	on(t, set, 0, func(t *Turn) { t.Arm(&tm, 0, again) })
	await(t, done)
	for i := 1; i < len(turns); i++ {
		if turns[i] != turns[i-1]+1 {
			t.Fatalf("fired in turns %v", turns)
		}
	}
}

// A timer that is set for the longest there is, as by a setting that says never, is not due at once for ever.
func TestTimerThatNeverFires(t *testing.T) {
	hand := &clock.Hand{}
	hand.Advance(time.Hour)
	m := NewManual(1, hand)
	var tm Timer
	m.Look(0, func(turn *Turn) { turn.Arm(&tm, math.MaxInt64, alarm(func(*Turn, *Timer) { t.Error("fired") })) })
	if m.Busy(0) {
		t.Error("due at once")
	}
	m.Turn(0)
}

// Due timers fire in order of their deadlines and never early.
func TestTimersFireInOrderAndNotEarly(t *testing.T) {
	set := startSet(t, 1)
	timers := make([]Timer, 20)
	want := make([]clock.Mono, len(timers))
	var fired []int
	done := make(chan struct{})
	on(t, set, 0, func(turn *Turn) {
		for i := range timers {
			d := time.Duration((i*7)%len(timers)) * time.Millisecond / 2
			want[i] = turn.Now().Mono.Add(d)
			turn.Arm(&timers[i], d, alarm(func(turn *Turn, tm *Timer) {
				if tm != &timers[i] {
					t.Errorf("alarm of timer %d told of another", i)
				}
				if turn.Now().Mono < want[i] {
					t.Errorf("timer %d fired %v early", i, want[i].Sub(turn.Now().Mono))
				}
				if fired = append(fired, i); len(fired) == len(timers) {
					close(done)
				}
			}))
		}
	})
	await(t, done)
	for i := 1; i < len(fired); i++ {
		if want[fired[i]] < want[fired[i-1]] {
			t.Fatalf("timer %d fired after %d", fired[i], fired[i-1])
		}
	}
}
