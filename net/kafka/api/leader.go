package api

import (
	"iter"
	"slices"

	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// leaderHint says who leads a partition by the newest image, for the leader hints of KIP-951.
func (d *Desk) leaderHint(name model.Partition) wire.LeaderHint {
	p := d.image().Partition(name)
	if p == nil {
		return wire.LeaderHint{}
	}
	return wire.LeaderHint{Known: true, Node: d.node.Naming.Leader(p), Epoch: p.LeaderEpoch}
}

// brokers yields every broker as the listener of this request's connection shows it.
func (d *Desk) brokers(r *conn.Request) iter.Seq[placement.Seen] {
	return func(yield func(placement.Seen) bool) { d.node.Naming.Brokers(d.image(), r.Listener().Name, yield) }
}

// endpoints says where the leaders hinted at are reached.
func (d *Desk) endpoints(r *conn.Request, hinted []model.BrokerID) []wire.Endpoint {
	var nodes []wire.Endpoint
	for b := range d.brokers(r) {
		if slices.Contains(hinted, b.ID) {
			nodes = append(nodes, wire.Endpoint{Node: b.ID, Host: b.Host, Port: b.Port, Rack: b.Rack})
		}
	}
	return nodes
}

// hint adds the leader that an answer names to those whose endpoints go with it.
func hint(hinted []model.BrokerID, l wire.LeaderHint) []model.BrokerID {
	if !l.Known || l.Node < 0 || slices.Contains(hinted, l.Node) {
		return hinted
	}
	return append(hinted, l.Node)
}
