package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// AlterPartitionReassignments (key 45, KIP-455) gives partitions other replicas. Where cores are brokers a partition moves between the cores
// of a node by it, with a new leader epoch: the move is over when it is agreed on, so that none is ever in progress, and there is nothing
// to cancel. Replicas do not move between nodes yet. Each partition succeeds or fails by itself. Version 1 can forbid another number
// of replicas (KIP-860).

func (d *Desk) alterReassignments(t *shard.Turn, r *conn.Request, req *kmsg.AlterPartitionAssignmentsRequest) {
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	r.FreeBody(t)
	if !d.allowed(r, opAlter, onCluster, "") {
		resp.ErrorCode = int16(wire.CodeClusterAuthorizationFailed)
		d.count(wire.CodeClusterAuthorizationFailed)
		d.answer(t, r, resp)
		return
	}
	fixed := r.Version >= 1 && !req.AllowReplicationFactorChange
	moves := &reassigning{desk: d, done: func(t *shard.Turn) { d.answer(t, r, resp) }}
	resp.Topics = make([]kmsg.AlterPartitionAssignmentsResponseTopic, len(req.Topics))
	for i := range req.Topics {
		in, out := &req.Topics[i], &resp.Topics[i]
		*out = kmsg.NewAlterPartitionAssignmentsResponseTopic()
		out.Topic = in.Topic
		out.Partitions = make([]kmsg.AlterPartitionAssignmentsResponseTopicPartition, len(in.Partitions))
		for j := range in.Partitions {
			o := &out.Partitions[j]
			*o = kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			o.Partition = in.Partitions[j].Partition
			commands, refusal := d.judgeReassignment(in.Topic, &in.Partitions[j], fixed)
			d.refuseReassignment(o, refusal)
			for _, command := range commands {
				moves.queue = append(moves.queue, coreMove{command, o})
			}
		}
	}
	moves.run(t)
}

func (d *Desk) refuseReassignment(o *kmsg.AlterPartitionAssignmentsResponseTopicPartition, refusal *configRefusal) {
	if o.ErrorCode == 0 {
		o.ErrorCode, o.ErrorMessage = d.refusedConfig(refusal)
	}
}

// judgeReassignment says why a partition keeps its replicas, or gives the commands that move them; neither where they are there already.
func (d *Desk) judgeReassignment(name string, in *kmsg.AlterPartitionAssignmentsRequestTopicPartition, fixed bool) ([]catalog.Command, *configRefusal) {
	topic := d.image().TopicCalled(name)
	if topic == nil {
		return nil, &configRefusal{wire.CodeUnknownTopicOrPartition, "Unable to find a topic named " + name + "."}
	}
	place := topic.Partition(in.Partition)
	switch {
	case place == nil:
		return nil, &configRefusal{wire.CodeUnknownTopicOrPartition, fmt.Sprintf("Unable to find partition %s:%d.", name, in.Partition)}
	case in.Replicas == nil:
		return nil, &configRefusal{wire.CodeNoReassignmentInProgress, "No partition reassignment is in progress."}
	}
	target, invalid := d.replicas(in.Replicas)
	switch {
	case invalid != nil:
		return nil, refusalOf(invalid)
	case fixed && len(target) != len(place.Replicas):
		return nil, &configRefusal{wire.CodeInvalidReplicationFactor,
			fmt.Sprintf("The replication factor is changed from %d to %d", len(place.Replicas), len(target))}
	}
	var commands []catalog.Command
	same := len(target) == len(place.Replicas)
	for i := 0; same && i < len(target); i++ {
		have, want := place.Replicas[i], target[i]
		if same = have.Node == want.Node; same && want.Shard != model.NoShard && want.Shard != have.Shard {
			id := model.Partition{Topic: topic.ID, Index: in.Partition}
			commands = append(commands, catalog.MoveReplica(id, want.Node, want.Shard, place.Leader == want.Node))
		}
	}
	if !same {
		return nil, &configRefusal{wire.CodeInvalidReplicaAssignment, fmt.Sprintf("Replicas cannot move between nodes yet: %s:%d stays on %s.",
			name, in.Partition, nodesOf(place))}
	}
	return commands, nil
}

func nodesOf(p *placement.Partition) string {
	text := "node"
	for i, r := range p.Replicas {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(" %d", r.Node)
	}
	return text
}

// reassignWindow is how many moves of one request are proposed at a time: the controller's queue is there for others as well.
const reassignWindow = 512

// reassigning carries out the moves of one request, in order.
type reassigning struct {
	desk  *Desk
	queue []coreMove
	under int // proposed and not yet decided
	done  func(t *shard.Turn)
}

type coreMove struct {
	command catalog.Command
	out     *kmsg.AlterPartitionAssignmentsResponseTopicPartition
}

func (m *reassigning) run(t *shard.Turn) {
	for m.under < reassignWindow && len(m.queue) > 0 {
		move := m.queue[0]
		m.queue = m.queue[1:]
		m.under++
		asked := m.desk.propose(move.command, func(t *shard.Turn, res catalog.Result) {
			m.desk.refuseReassignment(move.out, refusalOf(res.Err))
			m.under--
			m.run(t)
		})
		if !asked {
			m.desk.refuseReassignment(move.out, refusalOf(controllerBusy))
			m.under--
		}
	}
	if m.under == 0 && len(m.queue) == 0 {
		m.done(t)
	}
}
