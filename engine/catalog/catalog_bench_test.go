package catalog

import (
	"fmt"
	"testing"

	"pinion/engine/model"
)

// BenchmarkMoves applies 10,000 changes of one partition each over 100,000 partitions, freezing an image after each command
// or after each thousand.
func BenchmarkMoves(b *testing.B) {
	r := cluster(b, 4)
	for i := range 1000 {
		r.must(CreateTopic(TopicSpec{Name: fmt.Sprint("topic-", i), ID: topicID(i + 1), Partitions: 100, ReplicationFactor: 1}))
	}
	for _, batch := range []int{1, 1000} {
		b.Run(fmt.Sprintf("changes=10000/freeze=%d", batch), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				for i := range 10_000 {
					p := model.Partition{Topic: topicID(i*7919%1000 + 1), Index: int32(i / 1000)}
					next := (r.draft.View().Partition(p).ShardOn(1) + 1) % 4
					r.must(MoveReplica(p, 1, next, false))
					if i%batch == batch-1 {
						r.Image()
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/change")
		})
	}
}

// BenchmarkSnapshot writes and restores 100,000 partitions.
func BenchmarkSnapshot(b *testing.B) {
	r := cluster(b, 4)
	for i := range 1000 {
		r.must(CreateTopic(TopicSpec{Name: fmt.Sprint("topic-", i), ID: topicID(i + 1), Partitions: 100, ReplicationFactor: 1}))
	}
	data := r.AppendSnapshot(nil)
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for range b.N {
			data = r.AppendSnapshot(data[:0])
		}
	})
	b.Run("restore", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for range b.N {
			if _, err := Restore(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("restart", func(b *testing.B) { // a new incarnation bumps every leader epoch
		for n := range b.N {
			r.must(registration(1, 4, byte(n%250+2)))
			r.Image()
		}
	})
}
