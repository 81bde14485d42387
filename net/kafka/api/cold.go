package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/valyala/bytebufferpool"

	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
	"pinion/net/listen"
)

// coldBudget bounds what decoding one cold request may allocate, in bytes.
const coldBudget = 64 << 20

// cold serves every key that kmsg decodes.
func (d *Desk) cold(t *shard.Turn, r *conn.Request, api *wire.API) {
	if r.Key == wire.KeyAPIVersions && !api.Serves(r.Version) {
		d.apiVersionsUnknown(t, r)
		return
	}
	if err := wire.Walk(r.Key, r.Version, r.Body, coldBudget); err != nil {
		d.malformed(t, r, err)
		return
	}
	req := newRequest(r.Key)
	req.SetVersion(r.Version)
	if err := req.ReadFrom(r.Body); err != nil {
		d.malformed(t, r, err)
		return
	}
	switch req := req.(type) {
	case *kmsg.ApiVersionsRequest:
		d.apiVersions(t, r, req)
	case *kmsg.MetadataRequest:
		d.metadata(t, r, req)
	case *kmsg.ListOffsetsRequest:
		d.listOffsets(t, r, req)
	case *kmsg.OffsetForLeaderEpochRequest:
		d.epochEnds(t, r, req)
	case *kmsg.CreateTopicsRequest:
		d.createTopics(t, r, req)
	case *kmsg.DeleteTopicsRequest:
		d.deleteTopics(t, r, req)
	case *kmsg.InitProducerIDRequest:
		d.initProducerID(t, r, req)
	default:
		d.groups(t, r, req)
	}
}

// groups serves consumers that read in groups, and who looks after them.
func (d *Desk) groups(t *shard.Turn, r *conn.Request, req kmsg.Request) {
	switch req := req.(type) {
	case *kmsg.OffsetCommitRequest:
		d.offsetCommit(t, r, req)
	case *kmsg.OffsetFetchRequest:
		d.offsetFetch(t, r, req)
	case *kmsg.FindCoordinatorRequest:
		d.findCoordinator(t, r, req)
	case *kmsg.JoinGroupRequest:
		d.joinGroup(t, r, req)
	case *kmsg.HeartbeatRequest:
		d.heartbeat(t, r, req)
	case *kmsg.LeaveGroupRequest:
		d.leaveGroup(t, r, req)
	case *kmsg.SyncGroupRequest:
		d.syncGroup(t, r, req)
	case *kmsg.DescribeGroupsRequest:
		d.describeGroups(t, r, req)
	case *kmsg.ListGroupsRequest:
		d.listGroups(t, r, req)
	case *kmsg.DeleteGroupsRequest:
		d.deleteGroups(t, r, req)
	case *kmsg.OffsetDeleteRequest:
		d.offsetDelete(t, r, req)
	default:
		d.admin(t, r, req)
	}
}

// admin serves what administrators' tools ask.
func (d *Desk) admin(t *shard.Turn, r *conn.Request, req kmsg.Request) {
	switch req := req.(type) {
	case *kmsg.DeleteRecordsRequest:
		d.deleteRecords(t, r, req)
	case *kmsg.DescribeConfigsRequest:
		d.describeConfigs(t, r, req)
	case *kmsg.AlterConfigsRequest:
		d.alterConfigs(t, r, req)
	case *kmsg.AlterReplicaLogDirsRequest:
		d.alterReplicaLogDirs(t, r, req)
	case *kmsg.DescribeLogDirsRequest:
		d.describeLogDirs(t, r, req)
	case *kmsg.CreatePartitionsRequest:
		d.createPartitions(t, r, req)
	case *kmsg.IncrementalAlterConfigsRequest:
		d.incrementalAlterConfigs(t, r, req)
	case *kmsg.AlterPartitionAssignmentsRequest:
		d.alterReassignments(t, r, req)
	case *kmsg.ListPartitionReassignmentsRequest:
		d.listReassignments(t, r, req)
	case *kmsg.DescribeClusterRequest:
		d.describeCluster(t, r, req)
	case *kmsg.DescribeProducersRequest:
		d.describeProducers(t, r, req)
	case *kmsg.DescribeTopicPartitionsRequest:
		d.describeTopicPartitions(t, r, req)
	default:
		d.cluster(t, r, req)
	}
}

// cluster serves what is asked of the cluster as a whole.
func (d *Desk) cluster(t *shard.Turn, r *conn.Request, req kmsg.Request) {
	switch req := req.(type) {
	case *kmsg.ElectLeadersRequest:
		d.electLeaders(t, r, req)
	case *kmsg.DescribeQuorumRequest:
		d.describeQuorum(t, r, req)
	case *kmsg.DescribeClientQuotasRequest:
		d.describeClientQuotas(t, r, req)
	case *kmsg.AlterClientQuotasRequest:
		d.alterClientQuotas(t, r, req)
	case *kmsg.UpdateFeaturesRequest:
		d.updateFeatures(t, r, req)
	case *kmsg.UnregisterBrokerRequest:
		d.unregisterBroker(t, r, req)
	case *kmsg.ListConfigResourcesRequest:
		d.listConfigResources(t, r, req)
	default:
		r.Close(t)
	}
}

// malformed closes the connection of a request that makes no sense, as Kafka does.
func (d *Desk) malformed(t *shard.Turn, r *conn.Request, err error) {
	if err == nil {
		err = wire.FaultAllocation
	}
	if r.Conn().Complain(t, listen.Nonsense) {
		d.node.Log.Info("connection closed: malformed request", "peer", r.Conn().Peer(), "api", wire.Lookup(r.Key).Name, "version", r.Version, "err", err)
	}
	d.count(wire.CodeInvalidRequest)
	r.Close(t)
}

// coldReply is an encoded response in a pooled buffer.
type coldReply struct{ buffer *bytebufferpool.ByteBuffer }

// answer encodes a response and hands it over.
func (d *Desk) answer(t *shard.Turn, r *conn.Request, resp kmsg.Response) {
	resp.SetVersion(r.Version)
	throttle(resp, max(d.spendTime(t, r), r.Held()))
	buffer := bytebufferpool.Get()
	b := wire.AppendResponseHeader(buffer.B, wire.Lookup(r.Key), r.Version, r.Correlation)
	b = resp.AppendTo(b)
	wire.FinishFrame(b, 0, 0)
	buffer.B = b
	r.Owe(cap(b))
	r.Done(t, &coldReply{buffer})
}

// Emit queues the bytes as they are.
func (c *coldReply) Emit(_ *shard.Turn, w *conn.Writer) { w.Lend(c.buffer.B) }

// Sent returns the buffer to its pool.
func (c *coldReply) Sent(*shard.Turn) { bytebufferpool.Put(c.buffer) }

// Drop returns the buffer to its pool.
func (c *coldReply) Drop(*shard.Turn) { bytebufferpool.Put(c.buffer) }

// inbox is mail home for answers that come from outside the shards.
type inbox struct {
	shard.Letter
	run func(t *shard.Turn)
}

// Deliver runs the answer on the home shard.
func (m *inbox) Deliver(t *shard.Turn) { m.run(t) }

// later posts an answer to the desk's shard, from any goroutine.
func (d *Desk) later(run func(t *shard.Turn)) { d.shard.Post(&inbox{run: run}) }
