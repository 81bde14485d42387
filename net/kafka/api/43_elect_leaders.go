package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// ElectLeaders (key 43, KIP-183) makes the preferred replica of partitions their leader, or any replica of those that have none. A partition
// with one replica is led by it, so all that can be said is that nothing had to be done, or why nothing can be. A null list means all
// partitions, and then those that need no election are left out of the answer; their topics are not. Version 1 adds the kind of election
// (KIP-460), 2 is flexible.

// Kinds of election. Fixed by the protocol.
const (
	electPreferred = 0
	electUnclean   = 1
)

func (d *Desk) electLeaders(t *shard.Turn, r *conn.Request, req *kmsg.ElectLeadersRequest) {
	resp := kmsg.NewPtrElectLeadersResponse()
	r.FreeBody(t)
	whole := configRefusal{}
	switch {
	case !d.allowed(r, opAlter, onCluster, ""):
		whole = configRefusal{wire.CodeClusterAuthorizationFailed, "Cluster authorization failed."}
	case req.ElectionType != electPreferred && req.ElectionType != electUnclean:
		whole = configRefusal{wire.CodeInvalidRequest, fmt.Sprintf("Unknown election type %d", req.ElectionType)}
	}
	resp.ErrorCode = int16(whole.code)
	d.count(whole.code)
	image := d.image()
	if req.Topics == nil && whole.code == wire.CodeNone {
		for topic := range image.Topics {
			out := electedTopic(topic.Name)
			for i := range topic.Partitions() {
				if refusal := election(topic, topic.Name, i, req.ElectionType); refusal.code != wire.CodeElectionNotNeeded {
					out.Partitions = append(out.Partitions, d.elected(i, refusal))
				}
			}
			resp.Topics = append(resp.Topics, out)
		}
	}
	for i := range req.Topics {
		in, out := &req.Topics[i], electedTopic(req.Topics[i].Topic)
		topic := image.TopicCalled(in.Topic)
		for _, index := range in.Partitions {
			refusal := whole
			if whole.code == wire.CodeNone {
				refusal = election(topic, in.Topic, index, req.ElectionType)
			}
			out.Partitions = append(out.Partitions, d.elected(index, refusal))
		}
		resp.Topics = append(resp.Topics, out)
	}
	d.answer(t, r, resp)
}

func electedTopic(name string) kmsg.ElectLeadersResponseTopic {
	topic := kmsg.NewElectLeadersResponseTopic()
	topic.Topic = name
	return topic
}

// election is the outcome for one partition.
func election(topic *placement.Topic, name string, index int32, kind int8) configRefusal {
	if topic == nil {
		return configRefusal{wire.CodeUnknownTopicOrPartition, "No such topic as " + name}
	}
	p := topic.Partition(index)
	switch {
	case p == nil:
		return configRefusal{wire.CodeUnknownTopicOrPartition, fmt.Sprintf("No such partition as %s-%d", name, index)}
	case kind == electPreferred && p.Leader == p.Replicas[0].Node, kind == electUnclean && p.Leader != placement.NoLeader:
		return configRefusal{wire.CodeElectionNotNeeded, "The partition has the leader that it would get."}
	case kind == electPreferred:
		return configRefusal{wire.CodePreferredLeaderNotAvailable, "The preferred leader is not there."}
	}
	return configRefusal{wire.CodeEligibleLeadersNotAvailable, "No replica that may lead is there."}
}

func (d *Desk) elected(index int32, refusal configRefusal) kmsg.ElectLeadersResponseTopicPartition {
	p := kmsg.NewElectLeadersResponseTopicPartition()
	p.Partition, p.ErrorCode, p.ErrorMessage = index, int16(refusal.code), &refusal.message
	if refusal.code != wire.CodeElectionNotNeeded {
		d.count(refusal.code)
	}
	return p
}
