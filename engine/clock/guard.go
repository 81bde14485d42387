package clock

import "time"

// Guard is the wall time by which things are deleted: retention, tombstones, forgotten producers. A wall clock that was wrong for a while must not
// cost records, and nothing here can tell a wrong clock from one that was set right; so a step forward is believed only after it has stood
// for as long as it is wide, a day at most. One on top of another is doubted anew. Until then the guard goes on at the pace of the monotonic
// clock. A step back is believed at once: it deletes nothing. One owner; the zero value believes the first reading.
//
//	wall       ────────┐            ┌─────────        a step of an hour forward, mended after half of one: never believed
//	                   └── (ahead) ─┘
//	guard      ─────────────────────────────
type Guard struct {
	last    Now  // mono and the time believed then
	stepped Mono // since when the wall clock is so far ahead; meaningful while ahead, as is
	width   Wall // how far it was at the last reading
	ahead   bool
	begun   bool
}

const (
	// guardSlack is how far the wall clock may run ahead of the monotonic one between two readings. Clocks that are slewed stay far below.
	guardSlack = 10 * time.Minute
	// guardHold is the longest a step is doubted: whoever runs the machine has had a day to see the warning.
	guardHold = 24 * time.Hour
)

// Resume tells a guard that begins what time it was when the last life ended: what lies between counts as a step. 0: nobody knows, and the
// reading is believed. It comes before the first Judge, and a step between the two is one.
func (g *Guard) Resume(seen Wall, now Now) {
	if g.begun {
		return
	}
	g.last, g.begun = now, true
	if seen > 0 && seen < now.Wall {
		g.last.Wall = seen
	}
}

// Judge returns the time to delete by, and how far the wall clock is ahead of it; 0 is the usual answer.
func (g *Guard) Judge(now Now) (Wall, time.Duration) {
	if !g.begun {
		g.last, g.begun = now, true
		return now.Wall, 0
	}
	passed := now.Mono.Sub(g.last.Mono).Truncate(time.Millisecond) // many readings may come in one
	expected := g.last.Wall + Wall(passed.Milliseconds())
	width, slack := now.Wall-expected, Wall(guardSlack.Milliseconds())
	if width <= slack {
		g.ahead = false
		g.last = now
		return now.Wall, 0
	}
	if !g.ahead || width > g.width+slack { // a step on top of one that is doubted has stood no longer than itself
		g.ahead, g.stepped = true, now.Mono
	}
	g.width = width
	if now.Mono.Sub(g.stepped).Milliseconds() >= min(int64(width), guardHold.Milliseconds()) {
		g.ahead = false
		g.last = now
		return now.Wall, 0
	}
	g.last = Now{Mono: g.last.Mono.Add(passed), Wall: expected}
	return expected, time.Duration(width) * time.Millisecond
}
