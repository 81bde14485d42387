package catalog

import (
	"slices"

	"pinion/engine/placement"
)

// alike are partitions that an image need hold once: values never change, and the partitions of a topic differ in little. On one node of two shards a
// topic of ten thousand is two of them, which saves a tenth of what an idle partition takes. The zero value is ready.
type alike struct {
	seen []*placement.Partition // the latest
	next int                    // place that gives way next
}

// alikeMax bounds the comparisons of a partition: where leaders and shards go round, as the dealer has them, it finds those of that many shards.
const alikeMax = 64

// one is a partition equal to p that was seen before, or p.
func (a *alike) one(p *placement.Partition) *placement.Partition {
	for _, q := range a.seen {
		if p.Leader == q.Leader && p.LeaderEpoch == q.LeaderEpoch && p.PartitionEpoch == q.PartitionEpoch &&
			slices.Equal(p.Replicas, q.Replicas) && slices.Equal(p.ISR, q.ISR) {
			return q
		}
	}
	if len(a.seen) < alikeMax {
		a.seen = append(a.seen, p)
	} else {
		a.seen[a.next] = p
		a.next = (a.next + 1) % alikeMax
	}
	return p
}
