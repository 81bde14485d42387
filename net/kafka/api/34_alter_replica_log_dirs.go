package api

import (
	"fmt"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// AlterReplicaLogDirs (key 34, KIP-113) has replicas of this node move to other log directories of it, while they are written and read. What is
// answered is that the wish is stored: DescribeLogDirs shows how far a move has come. Asking for another directory ends a move under way
// and begins anew, asking for the one a replica lies in ends it. As in Kafka a directory is judged before the partition, one out of service or cordoned takes none,
// and a partition that is named twice goes where it was named last; topics whose name leaves no room for
// "-future" in a folder's are refused, though here there would be a way. Version 2 is flexible.

// placing is where a partition is to go.
type placing struct {
	topic string
	index int32
}

func (d *Desk) alterReplicaLogDirs(t *shard.Turn, r *conn.Request, req *kmsg.AlterReplicaLogDirsRequest) {
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	to, order := map[placing]string{}, []placing(nil)
	for i := range req.Dirs {
		for j := range req.Dirs[i].Topics {
			for _, index := range req.Dirs[i].Topics[j].Partitions {
				p := placing{req.Dirs[i].Topics[j].Topic, index}
				if _, twice := to[p]; !twice {
					order = append(order, p)
				}
				to[p] = req.Dirs[i].Dir
			}
		}
	}
	r.FreeBody(t)
	slots := answersByTopic(resp, order)
	q := &questions{left: 1}
	q.each = func(a *partition.QueryAsk) { d.placeAnswer(slots[a.Slot], partitionError(a.Code)) }
	q.done = func(t *shard.Turn) { d.answer(t, r, resp) }
	allowed := d.allowed(r, opAlter, onCluster, "")
	image := d.image()
	for i, p := range order {
		slot := slots[i]
		slot.Partition = p.index
		if !allowed {
			d.placeAnswer(slot, wire.CodeClusterAuthorizationFailed)
			continue
		}
		if len(fmt.Sprintf("%s-%d.%032x-future", p.topic, p.index, 0)) > 255 {
			d.placeAnswer(slot, wire.CodeInvalidTopicException)
			continue
		}
		directory, code := d.directoryAt(to[p])
		topic := image.TopicCalled(p.topic)
		if code == wire.CodeNone && (topic == nil || topic.Partition(p.index) == nil) {
			code = wire.CodeUnknownTopicOrPartition
		}
		if code == wire.CodeNone && !d.has(r, topic.Partition(p.index)) {
			code = wire.CodeReplicaNotAvailable
		}
		if code != wire.CodeNone {
			d.placeAnswer(slot, code)
			continue
		}
		d.ask(t, r, q, topic, &partition.QueryAsk{Partition: model.Partition{Topic: topic.ID, Index: p.index}, Slot: int32(i), Query: partition.QueryRelocate,
			Epoch: model.NoEpoch, Place: directory})
	}
	q.home(t)
}

// answersByTopic makes room for the answers, each topic once, and says where each goes.
func answersByTopic(resp *kmsg.AlterReplicaLogDirsResponse, order []placing) []*kmsg.AlterReplicaLogDirsResponseTopicPartition {
	at, counts := map[string]int{}, map[string]int{}
	for _, p := range order {
		counts[p.topic]++
	}
	slots := make([]*kmsg.AlterReplicaLogDirsResponseTopicPartition, len(order))
	for i, p := range order {
		n, there := at[p.topic]
		if !there {
			n = len(resp.Topics)
			at[p.topic] = n
			topic := kmsg.NewAlterReplicaLogDirsResponseTopic()
			topic.Topic = p.topic
			topic.Partitions = make([]kmsg.AlterReplicaLogDirsResponseTopicPartition, 0, counts[p.topic])
			resp.Topics = append(resp.Topics, topic)
		}
		parts := append(resp.Topics[n].Partitions, kmsg.NewAlterReplicaLogDirsResponseTopicPartition())
		resp.Topics[n].Partitions = parts
		slots[i] = &parts[len(parts)-1]
	}
	return slots
}

func (d *Desk) placeAnswer(slot *kmsg.AlterReplicaLogDirsResponseTopicPartition, code wire.ErrorCode) {
	if code == wire.CodeNotLeaderOrFollower {
		code = wire.CodeReplicaNotAvailable // as in Kafka, for clients from before that code
	}
	slot.ErrorCode = int16(code)
	d.count(code)
}

// has reports whether a replica is this node's; at a core's port, that core's.
func (d *Desk) has(r *conn.Request, place *placement.Partition) bool {
	owner := place.ShardOn(d.node.ID)
	return owner >= 0 && int(owner) < len(d.node.Sets) && !d.elsewhere(r, owner)
}

// directoryAt is the log directory of a path, written as DescribeLogDirs shows it.
func (d *Desk) directoryAt(path string) (*logdir.Directory, wire.ErrorCode) {
	for _, directory := range d.node.Directories.All {
		shown, err := filepath.Abs(directory.Name)
		switch {
		case err != nil || shown != path:
		case directory.Fenced() != nil:
			return nil, wire.CodeKafkaStorageError
		case directory.Cordoned():
			return nil, wire.CodeInvalidReplicaAssignment
		default:
			return directory, wire.CodeNone
		}
	}
	return nil, wire.CodeLogDirNotFound
}
