package placement

import (
	"fmt"
	"testing"

	"pinion/engine/model"
)

// large is an image of 100,000 partitions in 1,000 topics.
func large() *Image {
	d := Empty("c").Edit()
	for i := range 1000 {
		parts := make([]*Partition, 0, 100)
		for range 100 {
			parts = append(parts, part(1))
		}
		d.AddTopic(fmt.Sprintf("topic-number.%d", i), model.TopicID{1, byte(i >> 8), byte(i)}, false, nil, parts)
	}
	return d.Freeze(1)
}

// BenchmarkChange makes one change of one partition and publishes it, or 1,000 changes before each publication.
func BenchmarkChange(b *testing.B) {
	for _, batch := range []int{1, 1000} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			im := large()
			d := im.Edit()
			names := make([]string, 0, 1000)
			for tp := range im.Topics {
				names = append(names, tp.Name)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				tp := d.View().TopicCalled(names[i*7919%1000])
				d.SetPartition(tp, int32(i%100), part(i))
				if i%batch == batch-1 {
					im = d.Freeze(model.Revision(i))
				}
			}
		})
	}
}

func BenchmarkTopicNamed(b *testing.B) {
	im := large()
	name := []byte("topic-number.777")
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if im.TopicNamed(name) == nil {
			b.Fatal("lost")
		}
	}
}

func BenchmarkTopicByID(b *testing.B) {
	im := large()
	id := im.TopicCalled("topic-number.777").ID
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if im.TopicByID(id) == nil {
			b.Fatal("lost")
		}
	}
}
