package front

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"

	"pinion/engine/catalog"
	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/net/admin"
)

// Places tells the admin server where partitions live, and moves them between the shards of this node. It reads images and proposes
// commands; no shard is asked.
type Places struct{ front *Front }

// NewPlaces makes the places of a front that will be opened.
func NewPlaces(f *Front) *Places { return &Places{f} }

var _ admin.Places = (*Places)(nil)

// Node describes the node.
func (p *Places) Node() (admin.Node, bool) {
	b := p.front.brokerNow()
	if b == nil {
		return admin.Node{}, false
	}
	node := admin.Node{Cluster: b.Cluster(), Node: int32(b.Config.NodeID), Shards: b.Shards.Len(), Advertise: b.Config.Pinion.Advertise}
	for _, a := range p.front.Advertised {
		node.Brokers = append(node.Brokers, address(a))
	}
	return node, true
}

// Partitions yields the partitions of the named topics, or of all.
func (p *Places) Partitions(topics []string) iter.Seq[admin.Placed] {
	return func(yield func(admin.Placed) bool) {
		b := p.front.brokerNow()
		if b == nil {
			return
		}
		image := b.Control.Image()
		if len(topics) == 0 {
			image.Topics(func(topic *placement.Topic) bool { return p.each(topic, yield) })
			return
		}
		for _, name := range topics {
			if topic := image.TopicCalled(name); topic != nil && !p.each(topic, yield) {
				return
			}
		}
	}
}

func (p *Places) each(topic *placement.Topic, yield func(admin.Placed) bool) bool {
	for i := range topic.Partitions() {
		place := topic.Partition(i)
		placed := admin.Placed{
			Topic: topic.Name, Partition: i, Leader: int32(p.front.Naming.Leader(place)), LeaderEpoch: int32(place.LeaderEpoch),
			Node: int32(place.Leader), Shard: int32(place.ShardOn(place.Leader)),
		}
		if !yield(placed) {
			return false
		}
	}
	return true
}

// Move gives a partition to another shard of this node. Where cores are brokers that changes its leader, so a new leader epoch begins.
func (p *Places) Move(ctx context.Context, name string, index, shard int32) (int32, *admin.Refusal) {
	b := p.front.brokerNow()
	if b == nil {
		return 0, refusal(http.StatusServiceUnavailable, "not_ready", "the node is not serving", "see /readyz?verbose")
	}
	image, node := b.Control.Image(), b.Config.NodeID
	topic := image.TopicCalled(name)
	if topic == nil {
		return 0, refusal(http.StatusNotFound, "unknown_topic", fmt.Sprintf("topic %q does not exist", name), nearest(image, name))
	}
	place := topic.Partition(index)
	if place == nil {
		return 0, refusal(http.StatusNotFound, "unknown_partition",
			fmt.Sprintf("topic %q has no partition %d; it has %d, counted from 0", name, index, topic.Partitions()), "")
	}
	from := place.ShardOn(node)
	switch {
	case from == model.NoShard:
		return 0, refusal(http.StatusConflict, "not_here", fmt.Sprintf("node %d has no replica of %s-%d", node, name, index), "ask the node of a replica")
	case shard < 0 || int(shard) >= b.Shards.Len():
		return 0, refusal(http.StatusBadRequest, "unknown_shard",
			fmt.Sprintf("there is no shard %d; node %d has %d, counted from 0", shard, node, b.Shards.Len()), "")
	}
	bump := p.front.Naming == placement.CoresAreBrokers && place.Leader == node
	err := b.Propose(ctx, catalog.MoveReplica(model.Partition{Topic: topic.ID, Index: index}, node, model.ShardID(shard), bump))
	var refused *catalog.Error
	switch {
	case err == nil:
		return int32(from), nil
	case errors.As(err, &refused) && (refused.Code == catalog.UnknownTopicID || refused.Code == catalog.UnknownPartition):
		return 0, refusal(http.StatusNotFound, "unknown_topic", fmt.Sprintf("topic %q was deleted meanwhile", name), "")
	}
	return 0, refusal(http.StatusServiceUnavailable, "not_agreed", err.Error(), "try again")
}

func refusal(status int, code, message, hint string) *admin.Refusal {
	return &admin.Refusal{Status: status, Problem: admin.Problem{Code: code, Message: message, Hint: hint}}
}

// nearest suggests a topic whose name is like one that does not exist.
func nearest(image *placement.Image, name string) string {
	names := make([]string, 0, image.TopicCount())
	for topic := range image.Topics {
		names = append(names, topic.Name)
	}
	if near := config.Nearest(name, names); near != "" {
		return "did you mean: " + near
	}
	return ""
}
