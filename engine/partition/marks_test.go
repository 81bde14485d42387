package partition

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"pinion/engine/clock"
	"pinion/engine/model"
)

// Whatever is said to be fresh was written within the last 200 ms, and what is written this moment is said to be.
func TestFreshIsWhatWasWrittenJustNow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var f fresh
		now := clock.Mono(1)
		var writes []clock.Mono // of each offset
		pause := rapid.Int64Range(0, int64(3*freshFor))
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(*rapid.T) {
				f.wrote(now, model.Offset(len(writes)))
				writes = append(writes, now)
			},
			"wait": func(rt *rapid.T) { now = now.Add(time.Duration(pause.Draw(rt, "pause"))) },
			"": func(rt *rapid.T) {
				for from, at := range writes {
					if age := now.Sub(at); now < f.until(model.Offset(from)) && age > 2*freshFor {
						rt.Fatalf("%d was written %v ago", from, age)
					}
				}
				if n := len(writes); n > 0 && writes[n-1] == now && now >= f.until(model.Offset(n-1)) {
					rt.Fatalf("%d was written this moment", n-1)
				}
			},
		})
	})
}

// Whatever is written and truncated, stable <= high <= end and durable <= end, and nobody sees beyond the end.
func TestMarksKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var m Marks
		offset := rapid.Custom(func(t *rapid.T) model.Offset { return model.Offset(rapid.Int64Range(0, 100).Draw(t, "offset")) })
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(rt *rapid.T) {
				end := m.End + offset.Draw(rt, "more")
				m.Written(end)
				if m.End != end || m.Visible(false) != end || m.Visible(true) != end {
					rt.Fatalf("after a write up to %d: %+v", end, m)
				}
			},
			"lag": func(rt *rapid.T) { // as replication and transactions will
				m.High = rapid.Map(offset, func(o model.Offset) model.Offset { return min(o, m.End) }).Draw(rt, "high")
				m.Stable = min(m.Stable, m.High)
			},
			"truncate": func(rt *rapid.T) {
				before, end := m, offset.Draw(rt, "end")
				m.Truncated(end)
				if m.End != min(before.End, end) || m.High > before.High || m.Stable > before.Stable {
					rt.Fatalf("%+v truncated to %d: %+v", before, end, m)
				}
			},
			"": func(rt *rapid.T) {
				if m.Stable > m.High || m.High > m.End || m.Durable > m.End || m.Visible(true) > m.Visible(false) {
					rt.Fatalf("%+v", m)
				}
			},
		})
	})
}

func TestImpossibleMarksAreCaught(t *testing.T) {
	for name, do := range map[string]func(){
		"end moves back":      func() { m := Marks{End: 5}; m.Written(4) },
		"high beyond end":     func() { (&Marks{End: 5, High: 6}).check() },
		"stable beyond high":  func() { (&Marks{End: 5, High: 3, Stable: 4}).check() },
		"durable beyond end":  func() { (&Marks{End: 5, Durable: 6}).check() },
		"truncation hides it": func() { m := Marks{End: 5, High: 3, Stable: 4}; m.Truncated(4) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("went unnoticed")
				}
			}()
			do()
		})
	}
}
