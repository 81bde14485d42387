package api

import (
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// leaderOf says who leads a partition, for the leader hints of KIP-951.
func leaderOf(topic *placement.Topic, index int32) wire.LeaderHint {
	p := topic.Partition(index)
	if p == nil {
		return wire.LeaderHint{}
	}
	return wire.LeaderHint{Known: true, Node: p.Leader, Epoch: p.LeaderEpoch}
}

func (d *Desk) leaderHint(name model.Partition) wire.LeaderHint {
	topic := d.image().TopicByID(name.Topic)
	if topic == nil {
		return wire.LeaderHint{}
	}
	return leaderOf(topic, name.Index)
}

// endpoints lists every broker as the listener of this request's connection shows it.
func (d *Desk) endpoints(r *conn.Request) []wire.Endpoint {
	var nodes []wire.Endpoint
	d.image().Brokers(func(b *placement.Broker) bool {
		if host, port, ok := endpointOf(b, r.Listener().Name); ok {
			nodes = append(nodes, wire.Endpoint{Node: b.ID, Host: host, Port: port, Rack: b.Rack})
		}
		return true
	})
	return nodes
}

// endpointOf is where a broker's listener of that name is reached.
func endpointOf(b *placement.Broker, listener string) (host string, port int32, ok bool) {
	for _, l := range b.Listeners {
		if l.Name == listener {
			return l.Host, l.Port, true
		}
	}
	return "", 0, false
}
