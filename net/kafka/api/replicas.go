package api

import (
	"fmt"

	"pinion/engine/catalog"
	"pinion/engine/model"
	"pinion/engine/placement"
)

// placed reads one partition's replicas in an assignment for the catalogue, which judges nodes by itself. It does not know the ids of
// cores, so those are judged here.
func (d *Desk) placed(ids []int32) ([]placement.Replica, *catalog.Error) {
	if d.node.Naming == placement.NodesAreBrokers {
		nodes := make([]model.NodeID, len(ids))
		for i, id := range ids {
			nodes[i] = model.NodeID(id)
		}
		return catalog.OnNodes(nodes)[0], nil
	}
	return d.replicas(ids)
}

// replicas reads one partition's replicas, given as ids of brokers, and refuses what is not there and what is there twice, in Kafka's words
// where Kafka has them.
func (d *Desk) replicas(ids []int32) ([]placement.Replica, *catalog.Error) {
	image := d.image()
	if len(ids) == 0 {
		return nil, invalidAssignment("The manual partition assignment includes an empty replica list.")
	}
	list := make([]placement.Replica, 0, len(ids))
	for i, id := range ids {
		r, known := d.node.Naming.Find(image, model.BrokerID(id))
		if !known {
			return nil, invalidAssignment("The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		for j, other := range list {
			switch {
			case other == r:
				return nil, invalidAssignment("The manual partition assignment includes the broker %d more than once.", id)
			case other.Node == r.Node:
				return nil, invalidAssignment("The manual partition assignment includes the brokers %d and %d, which are cores of one node: "+
					"replicas go to different nodes.", ids[j], ids[i])
			}
		}
		list = append(list, r)
	}
	return list, nil
}

func invalidAssignment(format string, args ...any) *catalog.Error {
	return &catalog.Error{Code: catalog.InvalidAssignment, Message: fmt.Sprintf(format, args...)}
}

// isOurs reports whether the id of a broker, in a resource's name for example, means this node or a core of it.
func (d *Desk) isOurs(id int64) bool {
	r, known := d.node.Naming.Find(d.image(), model.BrokerID(id))
	return known && r.Node == d.node.ID
}
