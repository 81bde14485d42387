package admin

import (
	"math/bits"
	"time"
)

// bucketCount covers durations up to 2^39 ns, nine minutes; what is longer counts there as well.
const bucketCount = 40

// Buckets counts durations by powers of two: bucket 0 holds zero, bucket i holds [2^(i-1), 2^i) nanoseconds. Plain numbers,
// written by one owner: observing costs two additions and no allocation.
type Buckets struct {
	Count [bucketCount]uint64
	Nanos uint64 // sum of everything observed
}

// Observe counts one duration; a negative one counts as zero.
func (b *Buckets) Observe(d time.Duration) {
	n := uint64(max(d, 0))
	b.Count[min(bits.Len64(n), bucketCount-1)]++
	b.Nanos += n
}

// Total is the number of durations observed.
func (b *Buckets) Total() uint64 {
	total := uint64(0)
	for _, n := range b.Count {
		total += n
	}
	return total
}

// Add counts everything other has counted as well.
func (b *Buckets) Add(other *Buckets) {
	for i, n := range other.Count {
		b.Count[i] += n
	}
	b.Nanos += other.Nanos
}

// Since returns what was counted after earlier, an earlier copy of the same buckets. A bucket that shrank (its owner started over)
// counts from zero.
func (b *Buckets) Since(earlier *Buckets) Buckets {
	out := *b
	for i, n := range earlier.Count {
		if n <= out.Count[i] {
			out.Count[i] -= n
		}
	}
	if earlier.Nanos <= out.Nanos {
		out.Nanos -= earlier.Nanos
	}
	return out
}

// Quantile estimates the duration that a share q of all observations (0 to 1) does not exceed, by a straight line within its bucket:
// the error is below a factor of two. Zero when nothing was observed.
func (b *Buckets) Quantile(q float64) time.Duration {
	total := b.Total()
	if total == 0 {
		return 0
	}
	rank := q * float64(total)
	below := 0.0
	for i, n := range b.Count {
		if n == 0 {
			continue
		}
		if below+float64(n) >= rank {
			lower, upper := bounds(i)
			return lower + time.Duration((rank-below)/float64(n)*float64(upper-lower))
		}
		below += float64(n)
	}
	_, upper := bounds(bucketCount - 1)
	return upper
}

// bounds is the half-open range [lower, upper) of a bucket.
func bounds(i int) (lower, upper time.Duration) {
	if i == 0 {
		return 0, 0
	}
	return 1 << (i - 1), 1 << i
}
