package shard

import (
	"math/rand/v2"
	"testing"
	"time"

	"pinion/engine/clock"
)

// stepClock moves a little with each reading, so that polling ends.
type stepClock struct {
	now  clock.Now
	step time.Duration
}

func (c *stepClock) Now() clock.Now {
	c.now.Mono = c.now.Mono.Add(c.step)
	return c.now
}

// Polling takes at most 5 % of any second, whatever was saved up before, and is charged whether it found something or not.
func TestPollingStaysWithinFivePercentOfAnySecond(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	clk := &stepClock{step: time.Microsecond}
	s, err := newShard(0, clk)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	type spell struct{ at, until clock.Mono }
	var spells []spell
	var mail parcel
	for clk.now.Mono < clock.Mono(6*time.Second) {
		if rnd.IntN(4) == 0 {
			s.lanes[reply].push(&mail) // found at once
		}
		before := clk.now.Mono
		_, found := s.spin(before)
		if after := clk.now.Mono; after > before {
			spells = append(spells, spell{before, after})
		}
		if got := s.lanes[reply].take() != nil; got != found && found {
			t.Fatalf("seed %d: polling found what was not there", seed)
		}
		pause := time.Duration(rnd.IntN(20)) * time.Microsecond // a busy exchange between shards
		if rnd.IntN(100_000) == 0 {
			pause = 800 * time.Millisecond // then nothing for a while
		}
		clk.now.Mono = clk.now.Mono.Add(pause)
	}
	first, sum, worst := 0, time.Duration(0), time.Duration(0)
	for _, sp := range spells {
		sum += sp.until.Sub(sp.at)
		for sp.until.Sub(spells[first].at) > time.Second {
			sum -= spells[first].until.Sub(spells[first].at)
			first++
		}
		worst = max(worst, sum)
	}
	if worst > time.Second/20 {
		t.Errorf("seed %d: polled %v of one second", seed, worst)
	}
	if worst < 30*time.Millisecond {
		t.Errorf("seed %d: polled at most %v of a second, the budget is hardly used", seed, worst)
	}
}

// An idle set sleeps: the loop turns once a second and whenever it is disturbed, no more.
func TestIdleShardsSleep(t *testing.T) {
	set := startSet(t, 2)
	var before, after [2]Stats
	look := func(into *[2]Stats) {
		for i := range into {
			on(t, set, set.shards[i].ID(), func(t *Turn) { into[i] = t.Stats() })
		}
	}
	look(&before)
	time.Sleep(300 * time.Millisecond)
	look(&after)
	for i := range before {
		if n := after[i].Turns.Total() - before[i].Turns.Total(); n > 10 {
			t.Errorf("shard %d turned %d times while idle", i, n)
		}
	}
}

// lateClock posts mail while the shard reads the time for the last time before it means to sleep.
type lateClock struct {
	now  clock.Now
	post func()
}

func (c *lateClock) Now() clock.Now {
	if c.post != nil {
		c.post()
		c.post = nil
	}
	c.now.Mono = c.now.Mono.Add(2 * pollSpan)
	return c.now
}

// Mail that comes after the last look and before the sleeping flag is up rings no bell: the shard has to look once more.
func TestMailBeforeTheSleepingFlagIsSeen(t *testing.T) {
	clk := &lateClock{now: clock.Now{Mono: clock.Mono(time.Second)}}
	s, err := newShard(0, clk)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.expected = 1
	var mail parcel
	clk.post = func() { s.Post(&mail) }
	began := time.Now()
	s.collect(clk.now.Mono)
	if took := time.Since(began); took > 500*time.Millisecond || clk.post != nil {
		t.Errorf("slept %v with mail in the inbox (posted %v)", took, clk.post == nil)
	}
	if s.lanes[reply].take() == nil || s.sleeping.Load() {
		t.Error("awake without the mail, or still marked as sleeping")
	}
}
