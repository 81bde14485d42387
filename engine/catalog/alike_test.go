package catalog

import (
	"testing"

	"pinion/engine/model"
	"pinion/engine/placement"
)

// TestAlikeKeepsOne: equal partitions become one value, and what differs in anything stays itself, however many there are.
func TestAlikeKeepsOne(t *testing.T) {
	draw := func(shard int, epoch model.Epoch, isr ...model.NodeID) *placement.Partition {
		return &placement.Partition{Leader: 1, LeaderEpoch: epoch, Replicas: []placement.Replica{{Node: 1, Shard: model.ShardID(shard)}}, ISR: isr}
	}
	var a alike
	first := a.one(draw(0, 0, 1))
	for _, other := range []*placement.Partition{draw(1, 0, 1), draw(0, 1, 1), draw(0, 0)} {
		if a.one(other) != other {
			t.Errorf("%+v is taken for another", other)
		}
	}
	if again := draw(0, 0, 1); a.one(again) != first {
		t.Error("an equal one is kept twice")
	}
	for shard := range 3 * alikeMax {
		if p := a.one(draw(shard, 7, 1)); p.Replicas[0].Shard != model.ShardID(shard) || len(a.seen) > alikeMax {
			t.Fatalf("%+v for shard %d, %d seen", p, shard, len(a.seen))
		}
	}
}
