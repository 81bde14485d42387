package api

import (
	"testing"

	"pgregory.net/rapid"

	"pinion/disk/log"
	"pinion/engine/partition"
)

// held is what one partition has for a fetch: bytes from the offset on, and the size of the first batch.
type held struct {
	available, first, max int
}

// kafkaCut is what Kafka does with the same (ReplicaManager.readFromLog, UnifiedLog.read, LogSegment.read): the partitions in order, each read
// with what is left of the request's limit; until one has given anything, a first batch comes whole; after that one that does not fit is left out.
func kafkaCut(bytesMax int, parts []held) []int {
	limit, minOne := bytesMax, true
	sizes := make([]int, len(parts))
	for i, p := range parts {
		if p.available == 0 {
			continue
		}
		most := min(p.max, limit)
		if minOne {
			most = max(most, p.first)
		}
		if most < p.first {
			continue
		}
		sizes[i] = min(p.available, most)
		minOne = false
		limit = max(0, limit-sizes[i])
	}
	return sizes
}

// lent is the span an owner answers with: it knows its own limits, not what the others have.
func (p held) lent(bytesMax int) partition.FetchPart {
	part := partition.FetchPart{FetchWant: partition.FetchWant{BytesMax: int32(p.max)}}
	if p.available > 0 {
		part.Leased = true
		part.Span = log.Span{Len: min(p.available, max(min(p.max, bytesMax), p.first)), First: p.first}
	}
	return part
}

// call is a fetch with all its answers in, partitions dealt to owners in turn.
func call(bytesMax int, parts []held) *fetchCall {
	c := &fetchCall{bytesMax: int64(bytesMax), legs: make([]*fetchLeg, 4)}
	for i := range 3 { // the fourth owner is not asked
		c.legs[i] = &fetchLeg{state: legHeld}
	}
	for i, p := range parts {
		leg := c.legs[i%3]
		c.parts = append(c.parts, fetchPart{index: int32(i), leg: int32(i % 3), at: int32(len(leg.ask.Parts))})
		leg.ask.Parts = append(leg.ask.Parts, p.lent(bytesMax))
	}
	return c
}

func TestCutIsKafkas(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bytesMax := rapid.IntRange(0, 400).Draw(rt, "bytesMax")
		parts := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) held {
			p := held{max: rapid.IntRange(0, 200).Draw(rt, "max")}
			if rapid.IntRange(0, 3).Draw(rt, "empty") > 0 {
				p.first = rapid.IntRange(1, 150).Draw(rt, "first")
				p.available = p.first + rapid.IntRange(0, 300).Draw(rt, "more")
			}
			return p
		}), 0, 12).Draw(rt, "parts")
		c := call(bytesMax, parts)
		c.cut()
		for i, want := range kafkaCut(bytesMax, parts) {
			if got := c.parts[i].bytes; got != want {
				rt.Fatalf("partition %d gives %d, Kafka %d", i, got, want)
			}
		}
	})
}

// The cases KIP-74 is about, by hand.
func TestCutByHand(t *testing.T) {
	for name, row := range map[string]struct {
		bytesMax int
		parts    []held
		want     []int
	}{
		"a first batch beyond every limit":               {10, []held{{50, 50, 20}, {30, 5, 20}}, []int{50, 0}},
		"only the first that has anything may exceed":    {100, []held{{0, 0, 10}, {60, 60, 10}, {60, 60, 10}}, []int{0, 60, 0}},
		"its partition limit binds where it can":         {100, []held{{80, 10, 30}, {80, 10, 30}}, []int{30, 30}},
		"the rest of the request goes to the next":       {50, []held{{80, 10, 30}, {80, 10, 30}, {80, 10, 30}}, []int{30, 20, 0}},
		"one that does not fit lets a later one through": {50, []held{{40, 10, 40}, {90, 20, 40}, {90, 10, 40}}, []int{40, 0, 10}},
		"no limit at all still makes progress":           {0, []held{{7, 7, 0}, {7, 7, 0}}, []int{7, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			c := call(row.bytesMax, row.parts)
			c.cut()
			for i, want := range row.want {
				if got := c.parts[i].bytes; got != want {
					t.Errorf("partition %d gives %d, want %d", i, got, want)
				}
			}
		})
	}
}

// A part nobody answered for, and one that was refused, take nothing from the others.
func TestCutPassesOverWhatIsNotThere(t *testing.T) {
	c := call(100, []held{{50, 10, 50}, {50, 10, 50}, {50, 10, 50}})
	c.parts[0].leg = -1
	c.legs[1] = nil
	c.cut()
	if c.parts[0].bytes != 0 || c.parts[1].bytes != 0 || c.parts[2].bytes != 50 {
		t.Errorf("%d, %d, %d", c.parts[0].bytes, c.parts[1].bytes, c.parts[2].bytes)
	}
}
