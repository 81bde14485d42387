package api

import (
	"fmt"

	"pinion/engine/catalog"
	"pinion/engine/model"
	"pinion/engine/placement"
)

// replicas reads one partition's replicas, which a client gives as ids of brokers. Nodes are for the catalogue to judge; it does not
// know the ids of cores, so those are judged here, in Kafka's words where Kafka has them.
func (d *Desk) replicas(ids []int32) ([]placement.Replica, *catalog.Error) {
	image, naming := d.image(), d.node.Naming
	list := make([]placement.Replica, 0, len(ids))
	for i, id := range ids {
		r, known := naming.Find(image, model.BrokerID(id))
		if naming == placement.CoresAreBrokers {
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
		}
		list = append(list, r)
	}
	return list, nil
}

func invalidAssignment(format string, args ...any) *catalog.Error {
	return &catalog.Error{Code: catalog.InvalidAssignment, Message: fmt.Sprintf(format, args...)}
}

// ours says which shard of this node an id of a broker means, in a resource's name for example; model.NoShard where it means the node.
func (d *Desk) ours(id int64) (model.ShardID, bool) {
	r, known := d.node.Naming.Find(d.image(), model.BrokerID(id))
	return r.Shard, known && r.Node == d.node.ID
}
