package clock

import (
	"testing"
	"time"
)

const testEpoch Wall = 1_700_000_000_000

func ms(d time.Duration) Wall { return Wall(d.Milliseconds()) }

// TestGuard steps the wall clock by everything from a second to years, both ways, and looks every five minutes as upkeep does.
func TestGuard(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, step := range []time.Duration{time.Second, 10 * time.Minute, 11 * time.Minute, time.Hour, 25 * time.Hour, year, 50 * year} {
		hold := min(step, guardHold)
		if step <= guardSlack {
			hold = 0
		}
		var g Guard
		now := Now{Mono: 7, Wall: testEpoch}
		g.Judge(now)
		now.Wall += ms(step)
		believed := time.Duration(-1)
		for up := time.Duration(0); up <= hold+time.Hour; up += 5 * time.Minute {
			at, ahead := g.Judge(Now{Mono: now.Mono.Add(up), Wall: now.Wall + ms(up)})
			switch {
			case ahead == 0 && at == now.Wall+ms(up):
				if believed < 0 {
					believed = up
				}
			case believed >= 0:
				t.Fatalf("step %v: doubted again after %v", step, up)
			case at != testEpoch+ms(up) || ahead != step:
				t.Fatalf("step %v after %v: %d, ahead by %v", step, up, at-testEpoch, ahead)
			}
		}
		if believed < hold || believed > hold+5*time.Minute {
			t.Errorf("a step of %v is believed after %v, want %v", step, believed, hold)
		}
		// Mended in time, it was never there; back, it is believed at once.
		g = Guard{}
		g.Judge(Now{Wall: testEpoch})
		g.Judge(Now{Mono: 1, Wall: testEpoch + ms(step)})
		later := time.Duration(float64(hold) * 0.9)
		if at, ahead := g.Judge(Now{Mono: Mono(later), Wall: testEpoch + ms(later)}); at != testEpoch+ms(later) || ahead != 0 {
			t.Errorf("step %v mended: %d, ahead by %v", step, at-testEpoch, ahead)
		}
		if at, ahead := g.Judge(Now{Mono: Mono(later) + 1, Wall: testEpoch - ms(step)}); at != testEpoch-ms(step) || ahead != 0 {
			t.Errorf("step back by %v: %d, ahead by %v", step, at-testEpoch, ahead)
		}
	}
}

// TestGuardResume: a start does not make a wrong clock right.
func TestGuardResume(t *testing.T) {
	var g Guard
	now := Now{Mono: 5, Wall: testEpoch + ms(365*24*time.Hour)}
	g.Resume(testEpoch, now)
	if at, ahead := g.Judge(now); at != testEpoch || ahead != 365*24*time.Hour {
		t.Fatalf("%d, ahead by %v", at-testEpoch, ahead)
	}
	now.Mono, now.Wall = now.Mono.Add(guardHold), now.Wall+ms(guardHold)
	if at, ahead := g.Judge(now); at != now.Wall || ahead != 0 {
		t.Fatalf("%d, ahead by %v", at-testEpoch, ahead)
	}
	for _, seen := range []Wall{0, testEpoch + 1} { // unknown, or from a clock that was ahead
		var g Guard
		g.Resume(seen, Now{Wall: testEpoch})
		if at, ahead := g.Judge(Now{Wall: testEpoch}); at != testEpoch || ahead != 0 {
			t.Fatalf("seen %d: %d, ahead by %v", seen, at, ahead)
		}
	}
}

// TestGuardBeginsAtTheStart: where nobody knows an earlier time, a step between the start and the first look at the clock is one all the same.
func TestGuardBeginsAtTheStart(t *testing.T) {
	var g Guard
	g.Resume(0, Now{Mono: 5, Wall: testEpoch})
	if at, ahead := g.Judge(Now{Mono: 5 + Mono(time.Second), Wall: testEpoch + ms(time.Hour)}); at != testEpoch+ms(time.Second) || ahead != time.Hour-time.Second {
		t.Errorf("%d, ahead by %v", at-testEpoch, ahead)
	}
}

// TestGuardStepsAgain: a step on top of one that has nearly stood for long enough has not.
func TestGuardStepsAgain(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, first := range []time.Duration{time.Hour, 72 * time.Hour} {
		var g Guard
		start := Now{Mono: 5, Wall: testEpoch + ms(first)}
		g.Resume(testEpoch, start) // as after so long a stop
		hold := min(first, guardHold)
		for up := time.Duration(0); up < hold+guardHold; up += 5 * time.Minute {
			now := Now{Mono: start.Mono.Add(up), Wall: start.Wall + ms(up)}
			if up >= hold-time.Hour/2 {
				now.Wall += ms(year)
			}
			if up < hold-time.Hour/2+guardHold {
				if at, ahead := g.Judge(now); ahead == 0 {
					t.Errorf("after %v, %v after a step of a year, the guard says %v", first, up-(hold-time.Hour/2), time.Duration(at-testEpoch)*time.Millisecond)
					break
				}
			} else if at, ahead := g.Judge(now); at != now.Wall || ahead != 0 {
				t.Errorf("after %v the step of a year is not believed after %v", first, up-(hold-time.Hour/2))
				break
			}
		}
	}
}

// TestGuardLookedAtAllTheTime: who writes asks in every turn, of which many go into a millisecond. The time to delete by goes on all the same, and a step that is
// doubted is believed when it has stood for long enough.
func TestGuardLookedAtAllTheTime(t *testing.T) {
	const step, turn = 11 * time.Minute, 900 * time.Microsecond
	var g Guard
	start := Now{Mono: 5, Wall: testEpoch + ms(step)}
	g.Resume(testEpoch, start)
	for up := time.Duration(0); up < step; up += turn {
		if at, ahead := g.Judge(Now{Mono: start.Mono.Add(up), Wall: start.Wall + ms(up)}); at != testEpoch+ms(up) || ahead != step {
			t.Fatalf("after %v: %v, ahead by %v", up, time.Duration(at-testEpoch)*time.Millisecond, ahead)
		}
	}
	now := Now{Mono: start.Mono.Add(step), Wall: start.Wall + ms(step)}
	if at, ahead := g.Judge(now); at != now.Wall || ahead != 0 {
		t.Errorf("a step of %v is not believed after as long: %v, ahead by %v", step, time.Duration(at-testEpoch)*time.Millisecond, ahead)
	}
}
