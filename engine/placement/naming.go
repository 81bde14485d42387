package placement

import (
	"fmt"
	"math"

	"pinion/engine/model"
)

// Naming says whom clients see as brokers: each node, or each core of a node. It is the one place that knows how the ids and ports of
// cores follow from those of nodes. Every id in an answer comes from here, so that all of one answer are of one kind.
//
//	nodes   node 3                 broker 3       at the listener's port P
//	cores   node 3, shard 7        broker 3007    at port P+1+7; P itself is the door to bootstrap from
//
// An id is decimal on purpose: people read it in the tools. Two cores never share one, because a node has fewer shards than the stride.
type Naming uint8

// The two kinds.
const (
	NodesAreBrokers Naming = iota
	CoresAreBrokers
)

// What the id of a core leaves room for. Fixed for good: clients and assignments carry the ids.
const (
	coreStride = 1000
	// CoresMax is how many shards a node may have where cores are brokers.
	CoresMax = coreStride
	// CoreNodeMax is the largest node id there: its last core still fits the protocol's 32 bits.
	CoreNodeMax model.NodeID = (math.MaxInt32 - (coreStride - 1)) / coreStride
)

// Seen is a broker as clients see it.
type Seen struct {
	ID     model.BrokerID
	Node   model.NodeID
	Host   string
	Port   int32
	Rack   string
	Fenced bool
}

// Check says why a node cannot be named; nil: it can.
func (n Naming) Check(node model.NodeID, shards int) error {
	switch {
	case n == NodesAreBrokers:
		return nil
	case shards > CoresMax:
		return fmt.Errorf("%d shards, at most %d: the id of a core is node id * %d + shard", shards, CoresMax, coreStride)
	case node > CoreNodeMax:
		return fmt.Errorf("node id %d, at most %d: the id of a core is node id * %d + shard, in 32 bits", node, CoreNodeMax, coreStride)
	}
	return nil
}

// Broker is the id of a node's shard.
func (n Naming) Broker(node model.NodeID, shard model.ShardID) model.BrokerID {
	if n == NodesAreBrokers || node < 0 {
		return model.BrokerID(node)
	}
	return model.BrokerID(int32(node)*coreStride + int32(shard))
}

// Replica is the id of who holds a replica.
func (n Naming) Replica(r Replica) model.BrokerID { return n.Broker(r.Node, r.Shard) }

// Holder is the id of who holds node's replica of p: a member of its ISR, for example.
func (n Naming) Holder(p *Partition, node model.NodeID) model.BrokerID {
	return n.Broker(node, p.ShardOn(node))
}

// Leader is the id of who leads p, -1 if nobody does.
func (n Naming) Leader(p *Partition) model.BrokerID { return n.Holder(p, p.Leader) }

// Find takes an id apart: the node, and where cores are brokers the shard, else NoShard. It fails for an id that no broker of the image
// has.
func (n Naming) Find(im *Image, id model.BrokerID) (r Replica, ok bool) {
	r = Replica{Node: model.NodeID(id), Shard: model.NoShard}
	if n == CoresAreBrokers && id >= 0 {
		r = Replica{Node: model.NodeID(id / coreStride), Shard: model.ShardID(id % coreStride)}
	}
	b := im.Broker(r.Node)
	return r, b != nil && int32(r.Shard) < b.Shards
}

// Brokers yields every broker that has a listener of that name, ascending by id, until yield returns false.
func (n Naming) Brokers(im *Image, listener string, yield func(Seen) bool) {
	for b := range im.Brokers {
		for _, l := range b.Listeners {
			if l.Name == listener && !n.each(b, l, yield) {
				return
			}
		}
	}
}

func (n Naming) each(b *Broker, l Listener, yield func(Seen) bool) bool {
	seen := Seen{ID: model.BrokerID(b.ID), Node: b.ID, Host: l.Host, Port: l.Port, Rack: b.Rack, Fenced: b.Fenced}
	if n == NodesAreBrokers {
		return yield(seen)
	}
	for shard := range model.ShardID(b.Shards) {
		seen.ID, seen.Port = n.Broker(b.ID, shard), l.Core(shard).Port
		if !yield(seen) {
			return false
		}
	}
	return true
}

// Core is where a core is reached, given where its node is.
func (l Listener) Core(shard model.ShardID) Listener {
	l.Port += 1 + int32(shard)
	return l
}
