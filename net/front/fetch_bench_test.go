package front

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/shard"
)

// busy is how long the shards have been at work, in nanoseconds.
func (n *node) busy() (sum int64) {
	for i := range n.front.desks {
		n.visit(i, func(t *shard.Turn) {
			st := t.Stats()
			sum += int64(st.Turns.Sum)
		})
	}
	return sum
}

// BenchmarkIdlePoll is a poll of a session in which nothing is new, answered at once: what each round of waiting costs two shards.
func BenchmarkIdlePoll(b *testing.B) {
	for _, partitions := range []int32{1, 100, 2000} {
		b.Run(fmt.Sprint(partitions), func(b *testing.B) {
			n := startNode(b, 2)
			topic := n.create("wide", partitions, nil)
			c := n.dial()
			parts := make([]at, partitions)
			for i := range parts {
				parts[i] = at{topic: topic, index: int32(i)}
			}
			req := fetchRequest(0, 0, 1<<20, parts...)
			req.SessionEpoch = 0
			resp := c.call(req, 13).(*kmsg.FetchResponse)
			if resp.SessionID == 0 {
				b.Fatal("no session")
			}
			next := fetchRequest(0, 0, 1<<20)
			next.SessionID, next.SessionEpoch = resp.SessionID, 0
			began := n.busy()
			for b.Loop() {
				next.SessionEpoch++
				c.send(next, 13)
				if _, err := c.frame(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n.busy()-began)/float64(b.N)/1e3, "shard-us/op")
		})
	}
}
