package catalog

import (
	"cmp"
	"slices"

	"pinion/engine/model"
	"pinion/engine/placement"
)

// Delta names what differs between two images; the images hold the values. Quotas and the configurations of groups are not among it: whoever
// needs them looks them up. Lists carry no order or uniqueness until Settle.
type Delta struct {
	Created       []model.TopicID   // look them up in the new image
	Deleted       []model.TopicID   // look them up in the old image
	Configured    []model.TopicID   // topics of both images whose configuration changed
	Partitions    []model.Partition // changed, or added to a topic that was there; not those of Created and Deleted
	Brokers       []model.NodeID    // registered, or changed
	BrokerConfigs []model.NodeID    // dynamic configuration changed; -1 is the cluster-wide default
}

// Empty reports whether nothing differs.
func (d *Delta) Empty() bool {
	return len(d.Created)+len(d.Deleted)+len(d.Configured)+len(d.Partitions)+len(d.Brokers)+len(d.BrokerConfigs) == 0
}

// Topics lists the topics whose partitions have something to follow: deleted, configured anew, placed anew. One may be there twice.
func (d *Delta) Topics() []model.TopicID {
	topics := append(append([]model.TopicID{}, d.Deleted...), d.Configured...)
	for _, p := range d.Partitions {
		topics = append(topics, p.Topic)
	}
	return topics
}

// Moved lists the partitions that another shard of a node has now.
func (d *Delta) Moved(old, new *placement.Image, node model.NodeID) []model.Partition {
	var moved []model.Partition
	for _, p := range d.Partitions {
		if was := old.Partition(p); was != nil && was.ShardOn(node) != new.Partition(p).ShardOn(node) {
			moved = append(moved, p)
		}
	}
	return moved
}

// Add appends what a later command changed.
func (d *Delta) Add(later Delta) {
	d.Created = append(d.Created, later.Created...)
	d.Deleted = append(d.Deleted, later.Deleted...)
	d.Configured = append(d.Configured, later.Configured...)
	d.Partitions = append(d.Partitions, later.Partitions...)
	d.Brokers = append(d.Brokers, later.Brokers...)
	d.BrokerConfigs = append(d.BrokerConfigs, later.BrokerConfigs...)
}

// Settle reduces a delta added up from several commands to what really differs between two images: sorted, each thing once,
// a topic both created and deleted in between gone.
func (d *Delta) Settle(old, new *placement.Image) {
	d.Created = settle(d.Created, model.TopicID.Compare, func(id model.TopicID) bool {
		return old.TopicByID(id) == nil && new.TopicByID(id) != nil
	})
	d.Deleted = settle(d.Deleted, model.TopicID.Compare, func(id model.TopicID) bool {
		return old.TopicByID(id) != nil && new.TopicByID(id) == nil
	})
	lives := func(id model.TopicID) bool { return old.TopicByID(id) != nil && new.TopicByID(id) != nil }
	d.Configured = settle(d.Configured, model.TopicID.Compare, lives)
	d.Partitions = settle(d.Partitions, model.Partition.Compare, func(p model.Partition) bool { return lives(p.Topic) })
	always := func(model.NodeID) bool { return true }
	d.Brokers = settle(d.Brokers, cmp.Compare[model.NodeID], always)
	d.BrokerConfigs = settle(d.BrokerConfigs, cmp.Compare[model.NodeID], always)
}

func settle[T comparable](list []T, compare func(a, b T) int, keep func(T) bool) []T {
	if len(list) > 1 {
		slices.SortFunc(list, compare)
		list = slices.Compact(list)
	}
	return slices.DeleteFunc(list, func(v T) bool { return !keep(v) })
}
