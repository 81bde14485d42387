package verdict

import (
	"math/rand/v2"
	"testing"
)

func rounds(seed uint64, n int, middle, noise float64) []float64 {
	random := rand.New(rand.NewPCG(seed, 7))
	list := make([]float64, n)
	for i := range list {
		list[i] = middle * (1 + noise*random.NormFloat64())
	}
	return list
}

func TestNoiseIsNotCalledADifference(t *testing.T) {
	wrong := 0
	const tries = 300
	for seed := range uint64(tries) {
		c := Compare(rounds(seed, 8, 100, 0.1), rounds(seed+10_000, 8, 100, 0.1), true)
		if c.Call == Unknown {
			t.Fatal("eight rounds are too few?")
		}
		if c.Call != Same {
			wrong++
		}
	}
	// One in twenty is what the interval allows; medians of eight are lumpy, so twice that is.
	if wrong > tries/10 {
		t.Fatalf("%d of %d equal pairs were called different", wrong, tries)
	}
}

func TestADifferenceIsCalled(t *testing.T) {
	a, b := rounds(1, 6, 100, 0.02), rounds(2, 6, 80, 0.02)
	if c := Compare(a, b, true); c.Call != Better || c.Change()[0] != '-' {
		t.Fatalf("a fifth less: %+v", c)
	}
	if c := Compare(a, b, false); c.Call != Worse {
		t.Fatalf("a fifth less of what should be more: %+v", c)
	}
}

func TestFewRoundsSayNothing(t *testing.T) {
	if c := Compare([]float64{100}, []float64{10}, true); c.Call != Unknown {
		t.Fatalf("%+v", c)
	}
	if c := Compare(nil, []float64{10}, true); c.Call != Unknown || c.Change() != "-" {
		t.Fatalf("%+v", c)
	}
}

func TestSpread(t *testing.T) {
	s := Of([]float64{5, 1, 3, 2, 4})
	if s.Median != 3 || s.Low > 3 || s.High < 3 || s.Min != 1 || s.Max != 5 {
		t.Fatalf("%+v", s)
	}
	if s := Of([]float64{2, 4}); s.Median != 3 || s.Low != 2 || s.High != 4 {
		t.Fatalf("%+v", s)
	}
}

// Of a figure that is zero in some round there is no ratio, and nothing that cannot be written as a number.
func TestNothingIsComparedWithZero(t *testing.T) {
	c := Compare([]float64{0, 1, 1, 1, 1, 1}, rounds(1, 6, 1, 0.1), true)
	if c.Call != Unknown || c.Change() != "-" || c.Low != 0 || c.High != 0 {
		t.Fatalf("%+v", c)
	}
}
