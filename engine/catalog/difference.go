package catalog

import (
	"maps"
	"reflect"

	"pinion/engine/model"
	"pinion/engine/placement"
)

// Difference names what differs between any two images, for states that did not come command by command: a snapshot from another
// member. It looks at everything, which commands never need.
func Difference(old, new *placement.Image) Delta {
	var d Delta
	for tp := range old.Topics {
		if new.TopicByID(tp.ID) == nil {
			d.Deleted = append(d.Deleted, tp.ID)
		}
	}
	for tp := range new.Topics {
		before := old.TopicByID(tp.ID)
		if before == nil {
			d.Created = append(d.Created, tp.ID)
			continue
		}
		if !maps.Equal(before.Configs, tp.Configs) {
			d.Configured = append(d.Configured, tp.ID)
		}
		for i := range tp.Partitions() {
			if i >= before.Partitions() || !reflect.DeepEqual(before.Partition(i), tp.Partition(i)) {
				d.Partitions = append(d.Partitions, model.Partition{Topic: tp.ID, Index: i})
			}
		}
	}
	for b := range new.Brokers {
		if before := old.Broker(b.ID); before == nil || !reflect.DeepEqual(before, b) {
			d.Brokers = append(d.Brokers, b.ID)
		}
	}
	for b := range old.Brokers {
		if new.Broker(b.ID) == nil {
			d.Brokers = append(d.Brokers, b.ID)
		}
	}
	for node, values := range new.EachBrokerConfig {
		if !maps.Equal(old.BrokerConfigs(node), values) {
			d.BrokerConfigs = append(d.BrokerConfigs, node)
		}
	}
	for node := range old.EachBrokerConfig {
		if new.BrokerConfigs(node) == nil {
			d.BrokerConfigs = append(d.BrokerConfigs, node)
		}
	}
	return d
}
