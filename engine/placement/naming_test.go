package placement

import (
	"math"
	"testing"

	"pinion/engine/model"
)

// Every core of the smallest and the largest nodes has an id of its own, within 32 bits, that leads back to it.
func TestCoresHaveIDsOfTheirOwn(t *testing.T) {
	seen := map[model.BrokerID]Replica{}
	draft := Empty("c").Edit()
	nodes := []model.NodeID{0, 1, 2, 999, 1000, 1001, CoreNodeMax - 1, CoreNodeMax}
	for _, node := range nodes {
		draft.SetBroker(&Broker{ID: node, Shards: CoresMax})
	}
	im := draft.Freeze(1)
	for _, node := range nodes {
		if err := CoresAreBrokers.Check(node, CoresMax); err != nil {
			t.Fatal(err)
		}
		for shard := range model.ShardID(CoresMax) {
			r := Replica{Node: node, Shard: shard}
			id := CoresAreBrokers.Replica(r)
			if other, taken := seen[id]; taken || id < 0 {
				t.Fatalf("%v and %v have the id %d", r, other, id)
			}
			seen[id] = r
			if got, ok := CoresAreBrokers.Find(im, id); !ok || got != r {
				t.Fatalf("%d is %v, want %v", id, got, r)
			}
		}
	}
	if CoresAreBrokers.Check(CoreNodeMax+1, 1) == nil || CoresAreBrokers.Check(0, CoresMax+1) == nil {
		t.Error("beyond the bounds is let in")
	}
	if NodesAreBrokers.Check(math.MaxInt32-1, 1024) != nil {
		t.Error("the bounds of cores hold for nodes")
	}
	if last := int64(CoreNodeMax+1)*coreStride + coreStride - 1; last <= math.MaxInt32 {
		t.Errorf("node %d would fit too", CoreNodeMax+1)
	}
}

func TestNamingFindsOnlyWhatIsThere(t *testing.T) {
	draft := Empty("c").Edit()
	draft.SetBroker(&Broker{ID: 3, Shards: 4, Rack: "r", Listeners: []Listener{{Name: "A", Host: "h", Port: 100}, {Name: "B", Host: "b", Port: 200}}})
	draft.SetBroker(&Broker{ID: 5, Shards: 1, Fenced: true, Listeners: []Listener{{Name: "B", Host: "f", Port: 300}}})
	im := draft.Freeze(1)
	for _, row := range []struct {
		naming Naming
		id     model.BrokerID
		want   Replica
		ok     bool
	}{
		{NodesAreBrokers, 3, Replica{Node: 3, Shard: model.NoShard}, true},
		{NodesAreBrokers, 3000, Replica{Node: 3000, Shard: model.NoShard}, false},
		{NodesAreBrokers, -1, Replica{Node: -1, Shard: model.NoShard}, false},
		{CoresAreBrokers, 3, Replica{Node: 0, Shard: 3}, false},
		{CoresAreBrokers, 3000, Replica{Node: 3, Shard: 0}, true},
		{CoresAreBrokers, 3003, Replica{Node: 3, Shard: 3}, true},
		{CoresAreBrokers, 3004, Replica{Node: 3, Shard: 4}, false},
		{CoresAreBrokers, 5000, Replica{Node: 5, Shard: 0}, true},
		{CoresAreBrokers, -1, Replica{Node: -1, Shard: model.NoShard}, false},
	} {
		if got, ok := row.naming.Find(im, row.id); got != row.want || ok != row.ok {
			t.Errorf("naming %d: %d is %v %v, want %v %v", row.naming, row.id, got, ok, row.want, row.ok)
		}
	}
	p := &Partition{Leader: 3, Replicas: []Replica{{Node: 5}, {Node: 3, Shard: 2}}, ISR: []model.NodeID{3, 5}}
	if n, c := NodesAreBrokers.Leader(p), CoresAreBrokers.Leader(p); n != 3 || c != 3002 {
		t.Errorf("leader %d and %d", n, c)
	}
	p.Leader = NoLeader
	if n, c := NodesAreBrokers.Leader(p), CoresAreBrokers.Leader(p); n != -1 || c != -1 {
		t.Errorf("no leader is %d and %d", n, c)
	}
	var list []Seen
	for s := range func(yield func(Seen) bool) { CoresAreBrokers.Brokers(im, "B", yield) } {
		list = append(list, s)
	}
	if len(list) != 5 || list[2] != (Seen{3002, 3, "b", 203, "r", false}) || list[4] != (Seen{5000, 5, "f", 301, "", true}) {
		t.Errorf("cores %+v", list)
	}
	list = nil
	for s := range func(yield func(Seen) bool) { NodesAreBrokers.Brokers(im, "B", yield) } {
		list = append(list, s)
	}
	if len(list) != 2 || list[0] != (Seen{3, 3, "b", 200, "r", false}) {
		t.Errorf("nodes %+v", list)
	}
}
