package admin

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBucketsEdges(t *testing.T) {
	for _, tt := range []struct {
		d      time.Duration
		bucket int
	}{
		{-5, 0}, {0, 0}, {1, 1}, {2, 2}, {3, 2}, {4, 3}, {1023, 10}, {1024, 11}, {1<<62 - 1, bucketCount - 1},
	} {
		var b Buckets
		b.Observe(tt.d)
		if b.Count[tt.bucket] != 1 {
			t.Errorf("%d ns is not in bucket %d", tt.d, tt.bucket)
		}
		if lower, upper := bounds(tt.bucket); tt.bucket > 0 && tt.bucket < bucketCount-1 && (tt.d < lower || tt.d >= upper) {
			t.Errorf("%d ns is not in [%d, %d)", tt.d, lower, upper)
		}
	}
	var empty Buckets
	if empty.Quantile(0.99) != 0 {
		t.Error("a quantile of nothing")
	}
}

// A quantile must lie within the bucket that holds the exact one: within a factor of two.
func TestQuantile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(1, int64(time.Minute)), 1, 200).Draw(t, "durations")
		q := rapid.SampledFrom([]float64{0, 0.5, 0.75, 0.99, 0.999, 1}).Draw(t, "q")
		var b Buckets
		for _, n := range all {
			b.Observe(time.Duration(n))
		}
		slices.Sort(all)
		rank := 0
		for rank+1 < len(all) && float64(rank+1) < q*float64(len(all)) {
			rank++
		}
		exact, got := time.Duration(all[rank]), b.Quantile(q)
		if got < exact/2 || got > 2*exact {
			t.Fatalf("q %v: %v, exactly %v", q, got, exact)
		}
	})
}

func TestBucketsSince(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		durations := rapid.SliceOf(rapid.Int64Range(0, int64(time.Second)))
		var early, late, sum Buckets
		for _, n := range durations.Draw(t, "early") {
			early.Observe(time.Duration(n))
		}
		for _, n := range durations.Draw(t, "late") {
			late.Observe(time.Duration(n))
		}
		sum.Add(&early)
		sum.Add(&late)
		if got := sum.Since(&early); got != late {
			t.Fatalf("got %v, want %v", got, late)
		}
	})
}

func TestObserveAllocates(t *testing.T) {
	var b Buckets
	if got := testing.AllocsPerRun(100, func() { b.Observe(time.Microsecond) }); got != 0 {
		t.Errorf("allocates %v times", got)
	}
}
