// Package verdict says what rounds of a measurement allow to be said: a median with an interval, and whether two sets of rounds
// differ by more than their noise. It is pure: the same numbers give the same words, resampling included, which draws from a
// generator with a fixed seed.
package verdict

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Spread is the middle of rounds and how sure it is.
type Spread struct {
	Rounds   int     `json:"rounds"`
	Median   float64 `json:"median"`
	Low      float64 `json:"low"` // of the interval that holds the median of 95 in 100 such sets of rounds
	High     float64 `json:"high"`
	Min, Max float64
}

// Of gives the spread of rounds; zero without any. The interval is that of resampling; below five rounds it is the range from
// the least to the largest, because so few cannot give 95 in 100.
func Of(rounds []float64) Spread {
	if len(rounds) == 0 {
		return Spread{}
	}
	s := Spread{Rounds: len(rounds), Median: median(slices.Clone(rounds)), Min: slices.Min(rounds), Max: slices.Max(rounds)}
	if len(rounds) < RoundsMin {
		s.Low, s.High = s.Min, s.Max
		return s
	}
	random := source()
	s.Low, s.High = interval(func() float64 { return median(resample(random, rounds)) })
	return s
}

// RoundsMin is how many rounds of each side a comparison needs. With four on each side the most extreme order of eight numbers
// still comes by chance in 1 of 35 cases; with five in 1 of 126.
const RoundsMin = 5

// draws is how often rounds are resampled.
const draws = 4000

func source() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// interval gives the middle 95 in 100 of a statistic's draws.
func interval(draw func() float64) (low, high float64) {
	all := make([]float64, draws)
	for i := range all {
		all[i] = draw()
	}
	slices.Sort(all)
	return all[draws*25/1000], all[draws*975/1000-1]
}

func resample(random *rand.Rand, rounds []float64) []float64 {
	drawn := make([]float64, len(rounds))
	for i := range drawn {
		drawn[i] = rounds[random.IntN(len(rounds))]
	}
	return drawn
}

// median sorts its argument.
func median(values []float64) float64 {
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// Call is what a comparison says.
type Call string

// The calls. Unknown is for too few rounds: then nothing is said however far apart they are.
const (
	Same    Call = "same"
	Better  Call = "better"
	Worse   Call = "worse"
	Unknown Call = "unknown"
)

// Comparison is B beside A.
type Comparison struct {
	A, B        Spread
	Ratio       float64 // median of B over median of A
	Low, High   float64 // interval of the ratio
	Call        Call
	LowerBetter bool
}

// Compare says whether B differs from A by more than the noise of both: whether the interval of the ratio of their medians leaves 1
// out. A metric without a direction is never better or worse.
func Compare(a, b []float64, lowerBetter bool) Comparison {
	c := Comparison{A: Of(a), B: Of(b), Call: Unknown, LowerBetter: lowerBetter}
	if len(a) == 0 || len(b) == 0 || slices.Contains(a, 0) {
		c.Ratio = math.NaN()
		return c
	}
	c.Ratio = c.B.Median / c.A.Median
	random := source()
	c.Low, c.High = interval(func() float64 {
		return median(resample(random, b)) / median(resample(random, a))
	})
	switch {
	case len(a) < RoundsMin || len(b) < RoundsMin:
	case c.Low <= 1 && c.High >= 1:
		c.Call = Same
	case c.Ratio < 1 == lowerBetter:
		c.Call = Better
	default:
		c.Call = Worse
	}
	return c
}

// Change is the ratio as people say it: +3.1%.
func (c Comparison) Change() string {
	if math.IsNaN(c.Ratio) {
		return "-"
	}
	return fmt.Sprintf("%+.1f%%", (c.Ratio-1)*100)
}

// Noise is the interval around the ratio as people say it: ±2.0%, the larger side.
func (c Comparison) Noise() string {
	if c.Call == Unknown {
		return fmt.Sprintf("unknown (%d and %d rounds)", c.A.Rounds, c.B.Rounds)
	}
	return fmt.Sprintf("±%.1f%%", 100*max(c.High-c.Ratio, c.Ratio-c.Low))
}
