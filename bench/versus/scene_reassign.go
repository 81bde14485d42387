package versus

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sceneAlterReassignments asks a node that is alone for other replicas: nothing can move, but much can be asked wrongly.
func sceneAlterReassignments(s *script, v int16) {
	name := fmt.Sprintf("reassign-%d", v)
	s.topic(name, 2)
	do := func(step, topic string, fixed bool, places map[int32][]int32) {
		s.do(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
			req.TimeoutMillis, req.AllowReplicationFactorChange = 10_000, !fixed
			t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
			t.Topic = topic
			for i := int32(-1); i <= 2; i++ {
				if replicas, asked := places[i]; asked {
					p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
					p.Partition, p.Replicas = i, replicas
					t.Partitions = append(t.Partitions, p)
				}
			}
			req.Topics = append(req.Topics, t)
			return versioned(req, v)
		})
	}
	do("where it is", name, false, map[int32][]int32{0: {1}})
	do("cancel nothing", name, false, map[int32][]int32{0: nil})
	do("no replicas", name, false, map[int32][]int32{0: {}})
	do("an unknown broker", name, false, map[int32][]int32{0: {7}})
	do("one broker twice", name, false, map[int32][]int32{0: {1, 1}})
	do("a negative broker", name, false, map[int32][]int32{0: {-1}})
	do("bad partitions among good", name, false, map[int32][]int32{-1: {1}, 1: {1}, 2: {1}})
	do("an unknown topic", name+"-missing", false, map[int32][]int32{0: {1}})
	do("an illegal name", "not/legal", false, map[int32][]int32{0: {1}})
	do("no partitions", name, false, nil)
	if v >= 1 {
		do("where it is, with as many replicas", name, true, map[int32][]int32{0: {1}})
	}
	s.do("no topics", func(*party) kmsg.Request { return versioned(kmsg.NewPtrAlterPartitionAssignmentsRequest(), v) })
}

func sceneListReassignments(s *script, v int16) {
	name := fmt.Sprintf("reassigned-%d", v)
	s.topic(name, 2)
	ask := func(step, topic string, partitions ...int32) {
		s.ask(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrListPartitionReassignmentsRequest()
			t := kmsg.NewListPartitionReassignmentsRequestTopic()
			t.Topic, t.Partitions = topic, partitions
			req.Topics = append(req.Topics, t)
			return versioned(req, v)
		})
	}
	ask("a topic", name, 0, 1)
	ask("bad partitions", name, -1, 2)
	ask("an unknown topic", name+"-missing", 0)
	s.ask("all", func(*party) kmsg.Request { return versioned(kmsg.NewPtrListPartitionReassignmentsRequest(), v) })
}
