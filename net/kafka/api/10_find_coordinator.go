package api

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/config"
	"pinion/engine/control"
	"pinion/engine/coordinator"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// FindCoordinator (key 10) says which broker coordinates a group: who leads the partition of __consumer_offsets that keeps it. The topic is
// created when somebody asks for the first time. Version 1 distinguishes groups (0) from transactions (1), 4 asks for several keys at once
// (KIP-699), 6 adds share groups (2). There are no transactions and no share groups yet, so nobody coordinates them.

// What can be coordinated. Fixed by the protocol.
const (
	coordinateGroup  = 0
	coordinateShares = 2
	// coordinateManyFrom is the first version that asks for several.
	coordinateManyFrom = 4
	// coordinateSharesFrom is the first that may ask for share groups.
	coordinateSharesFrom = 6
)

func (d *Desk) findCoordinator(t *shard.Turn, r *conn.Request, req *kmsg.FindCoordinatorRequest) {
	r.FreeBody(t)
	kind := req.CoordinatorType
	if r.Version == 0 {
		kind = coordinateGroup
	}
	if kind < 0 || kind > coordinateShares {
		d.answerCoordinators(t, r, req, wire.CodeInvalidRequest)
		return
	}
	switch {
	case kind == coordinateShares && (r.Version < coordinateSharesFrom || !shareKeys(req.CoordinatorKeys)):
		d.answerCoordinators(t, r, req, wire.CodeInvalidRequest)
	case kind != coordinateGroup:
		d.answerCoordinators(t, r, req, wire.CodeCoordinatorNotAvailable)
	case d.image().TopicCalled(coordinator.Topic) != nil:
		d.answerCoordinators(t, r, req, wire.CodeNone)
	default:
		d.createOffsetsTopic(t, func(t *shard.Turn) { d.answerCoordinators(t, r, req, wire.CodeNone) })
	}
}

// offsetsTopic is the topic groups are kept in, with as many replicas as there are nodes for.
func (d *Desk) offsetsTopic() catalog.TopicSpec {
	g := &d.node.Broker.Now().Groups
	live := int16(0)
	for b := range d.image().Brokers {
		if !b.Fenced {
			live++
		}
	}
	return catalog.TopicSpec{
		Name: coordinator.Topic, ID: control.NewTopicID(), Internal: true, Partitions: g.Partitions, ReplicationFactor: max(1, min(g.ReplicationFactor, live)),
		Configs: config.OffsetsTopic(g),
	}
}

// shareKeys reports whether all keys are a share group's: group:topic id:partition.
func shareKeys(keys []string) bool {
	for _, key := range keys {
		if strings.Count(key, ":") != 2 {
			return false
		}
	}
	return true
}

// createOffsetsTopic creates the topic groups are kept in and goes on, whatever became of it.
func (d *Desk) createOffsetsTopic(t *shard.Turn, then func(t *shard.Turn)) {
	asked := d.propose(catalog.CreateTopic(d.offsetsTopic()), func(t *shard.Turn, res catalog.Result) {
		if res.Err != nil && res.Err.Code != catalog.TopicExists {
			d.node.Log.Warn("groups cannot be kept yet", "topic", coordinator.Topic, "err", res.Err)
		}
		then(t)
	})
	if !asked {
		then(t)
	}
}

const noSuchCoordinator = "There is no such kind of coordinator."

// answerCoordinators answers for each key.
func (d *Desk) answerCoordinators(t *shard.Turn, r *conn.Request, req *kmsg.FindCoordinatorRequest, code wire.ErrorCode) {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if r.Version >= coordinateManyFrom {
		resp.Coordinators = make([]kmsg.FindCoordinatorResponseCoordinator, len(req.CoordinatorKeys))
		for i, key := range req.CoordinatorKeys {
			c := d.coordinatorOf(r, key, code)
			c.ErrorMessage = new(string)
			if known := req.CoordinatorType >= 0 && req.CoordinatorType <= coordinateShares; !known {
				*c.ErrorMessage = noSuchCoordinator
			}
			resp.Coordinators[i] = c
		}
		d.answer(t, r, resp)
		return
	}
	c := d.coordinatorOf(r, req.CoordinatorKey, code)
	resp.NodeID, resp.Host, resp.Port, resp.ErrorCode = c.NodeID, c.Host, c.Port, c.ErrorCode
	text := "NONE"
	if c.ErrorCode != 0 {
		text = "The coordinator is not available."
		if code == wire.CodeInvalidRequest {
			text = noSuchCoordinator
		}
	}
	resp.ErrorMessage = &text
	d.answer(t, r, resp)
}

// coordinatorOf names the broker that coordinates a group, as the listener of the request shows it.
func (d *Desk) coordinatorOf(r *conn.Request, key string, code wire.ErrorCode) kmsg.FindCoordinatorResponseCoordinator {
	out := kmsg.NewFindCoordinatorResponseCoordinator()
	out.Key, out.NodeID, out.Port = key, -1, -1
	if code == wire.CodeNone {
		code = wire.CodeCoordinatorNotAvailable
		if topic := d.image().TopicCalled(coordinator.Topic); topic != nil {
			if at, ok := d.leaderOf(r, topic.Partition(coordinator.Place(key, topic.Partitions()))); ok {
				out.NodeID, out.Host, out.Port = int32(at.ID), at.Host, at.Port
				code = wire.CodeNone
			}
		}
	}
	out.ErrorCode = int16(code)
	d.count(code)
	return out
}

// leaderOf is where the leader of a partition is reached.
func (d *Desk) leaderOf(r *conn.Request, p *placement.Partition) (seen placement.Seen, ok bool) {
	leader := model.BrokerID(d.node.Naming.Leader(p))
	for b := range d.brokers(r) {
		if b.ID == leader {
			return b, true
		}
	}
	return seen, false
}
