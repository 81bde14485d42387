package admin

import (
	"io"
	"testing"
	"time"
)

func BenchmarkObserve(b *testing.B) {
	var buckets Buckets
	for i := range b.N {
		buckets.Observe(time.Duration(i))
	}
}

// A scrape of 32 shards, without the process's own series.
func BenchmarkScrape(b *testing.B) {
	m := NewMeter(MeterOptions{Shards: 32, Stats: func(s int) ShardStats { return busyShard(s % 2) }})
	b.ReportAllocs()
	for range b.N {
		m.WriteShardMetrics(io.Discard)
	}
}
