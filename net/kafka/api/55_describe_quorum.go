package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/control"
	"pinion/engine/model"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// DescribeQuorum (key 55, KIP-595) shows who votes on the cluster's metadata and how far each is, as one partition of a topic whose name is
// fixed; any other is unknown. Offsets are those of the Raft log, behind the last entry. Version 1 adds times (KIP-836), 2 the directories of
// voters and where they are reached (KIP-853). The quorum here lives inside the brokers, so that is where their clients reach them.

// quorumTopic is what clients call the metadata log. Fixed by the protocol.
const quorumTopic = "__cluster_metadata"

func (d *Desk) describeQuorum(t *shard.Turn, r *conn.Request, req *kmsg.DescribeQuorumRequest) {
	resp := kmsg.NewPtrDescribeQuorumResponse()
	resp.ErrorMessage = new(string) // Kafka's is empty, not null
	r.FreeBody(t)
	if !d.allowed(r, opDescribe, onCluster, "") {
		resp.ErrorCode = int16(wire.CodeClusterAuthorizationFailed)
		d.count(wire.CodeClusterAuthorizationFailed)
		d.answer(t, r, resp)
		return
	}
	if len(req.Topics) != 1 || req.Topics[0].Topic != quorumTopic || len(req.Topics[0].Partitions) != 1 || req.Topics[0].Partitions[0].Partition != 0 {
		d.noQuorum(req, resp)
		d.answer(t, r, resp)
		return
	}
	asked := d.node.Control.Standing(func(s control.Standing) {
		d.later(func(t *shard.Turn) {
			d.quorum(t, r, s, resp)
			d.answer(t, r, resp)
		})
	})
	if !asked {
		resp.ErrorCode = int16(wire.CodeRequestTimedOut)
		d.count(wire.CodeRequestTimedOut)
		d.answer(t, r, resp)
	}
}

// noQuorum answers for partitions that are not the metadata's.
func (d *Desk) noQuorum(req *kmsg.DescribeQuorumRequest, resp *kmsg.DescribeQuorumResponse) {
	for i := range req.Topics {
		topic := kmsg.NewDescribeQuorumResponseTopic()
		topic.Topic = req.Topics[i].Topic
		for j := range req.Topics[i].Partitions {
			p := kmsg.NewDescribeQuorumResponseTopicPartition()
			p.Partition, p.ErrorCode = req.Topics[i].Partitions[j].Partition, int16(wire.CodeUnknownTopicOrPartition)
			message := "The one partition that a quorum keeps is " + quorumTopic + "-0."
			p.ErrorMessage = &message
			topic.Partitions = append(topic.Partitions, p)
			d.count(wire.CodeUnknownTopicOrPartition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
}

// quorum writes what the controller has told.
func (d *Desk) quorum(t *shard.Turn, r *conn.Request, s control.Standing, resp *kmsg.DescribeQuorumResponse) {
	p := kmsg.NewDescribeQuorumResponseTopicPartition()
	p.ErrorMessage = new(string)
	p.LeaderID, p.LeaderEpoch, p.HighWatermark = d.member(s.Leader), int32(s.Term), int64(s.Applied)+1
	if s.Leader != d.node.ID {
		p.ErrorCode = int16(wire.CodeNotLeaderOrFollower)
		d.count(wire.CodeNotLeaderOrFollower)
	}
	now := int64(t.Now().Wall)
	state := func(n model.NodeID) kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
		out := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
		out.ReplicaID, out.LogEndOffset = d.member(n), -1
		if n == d.node.ID {
			out.LogEndOffset, out.LastFetchTimestamp, out.LastCaughtUpTimestamp = int64(s.Last)+1, now, now
			out.ReplicaDirectoryID = d.node.Directories.Metadata.ID
		}
		return out
	}
	for _, n := range s.Voters {
		p.CurrentVoters = append(p.CurrentVoters, state(n))
		resp.Nodes = append(resp.Nodes, d.voter(n))
	}
	for _, n := range s.Learners {
		p.Observers = append(p.Observers, state(n))
	}
	topic := kmsg.NewDescribeQuorumResponseTopic()
	topic.Topic, topic.Partitions = quorumTopic, append(topic.Partitions, p)
	resp.Topics = append(resp.Topics, topic)
}

// member is the id under which clients see a node of the quorum; where cores are brokers, the first core stands for it.
func (d *Desk) member(n model.NodeID) int32 { return int32(d.node.Naming.Broker(n, 0)) }

// voter says where a voter is reached.
func (d *Desk) voter(n model.NodeID) kmsg.DescribeQuorumResponseNode {
	node := kmsg.NewDescribeQuorumResponseNode()
	node.NodeID = d.member(n)
	if b := d.image().Broker(n); b != nil {
		for _, l := range b.Listeners {
			out := kmsg.NewDescribeQuorumResponseNodeListener()
			out.Name, out.Host, out.Port = l.Name, l.Host, uint16(l.Port)
			node.Listeners = append(node.Listeners, out)
		}
	}
	return node
}
