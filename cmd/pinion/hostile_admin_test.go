package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// adminRequest is a meaningful request for an administrative key, nil for any other. None changes anything that the tests look at,
// and what could be changed by accident belongs to a topic that is not there.
func adminRequest(key int16, topic string) kmsg.Request {
	const absent = "nothing"
	switch key {
	case wire.KeyDeleteRecords:
		r := kmsg.NewPtrDeleteRecordsRequest()
		entry := kmsg.NewDeleteRecordsRequestTopic()
		entry.Topic, entry.Partitions = topic, append(entry.Partitions, kmsg.NewDeleteRecordsRequestTopicPartition())
		r.Topics = append(r.Topics, entry)
		return r
	case wire.KeyDescribeConfigs:
		r := kmsg.NewPtrDescribeConfigsRequest()
		entry := kmsg.NewDescribeConfigsRequestResource()
		entry.ResourceType, entry.ResourceName, entry.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{"retention.ms"}
		r.Resources, r.IncludeSynonyms, r.IncludeDocumentation = append(r.Resources, entry), true, true
		return r
	case wire.KeyAlterConfigs:
		r := kmsg.NewPtrAlterConfigsRequest()
		entry := kmsg.NewAlterConfigsRequestResource()
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name, c.Value = "retention.ms", new("1000")
		entry.ResourceType, entry.ResourceName, entry.Configs = kmsg.ConfigResourceTypeTopic, absent, append(entry.Configs, c)
		r.Resources, r.ValidateOnly = append(r.Resources, entry), true
		return r
	case wire.KeyIncrementalAlterConfigs:
		r := kmsg.NewPtrIncrementalAlterConfigsRequest()
		entry := kmsg.NewIncrementalAlterConfigsRequestResource()
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = "retention.ms", new("1000")
		entry.ResourceType, entry.ResourceName, entry.Configs = kmsg.ConfigResourceTypeTopic, absent, append(entry.Configs, c)
		r.Resources, r.ValidateOnly = append(r.Resources, entry), true
		return r
	case wire.KeyCreatePartitions:
		r := kmsg.NewPtrCreatePartitionsRequest()
		entry := kmsg.NewCreatePartitionsRequestTopic()
		assigned := kmsg.NewCreatePartitionsRequestTopicAssignment()
		assigned.Replicas = []int32{1}
		entry.Topic, entry.Count, entry.Assignment = absent, 3, append(entry.Assignment, assigned)
		r.Topics, r.ValidateOnly = append(r.Topics, entry), true
		return r
	case wire.KeyAlterReplicaLogDirs:
		r := kmsg.NewPtrAlterReplicaLogDirsRequest()
		entry := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		entry.Topic, entry.Partitions = absent, []int32{0, 1}
		dir := kmsg.NewAlterReplicaLogDirsRequestDir()
		dir.Dir, dir.Topics = "/absent", append(dir.Topics, entry)
		r.Dirs = append(r.Dirs, dir)
		return r
	case wire.KeyDescribeLogDirs:
		r := kmsg.NewPtrDescribeLogDirsRequest()
		entry := kmsg.NewDescribeLogDirsRequestTopic()
		entry.Topic, entry.Partitions = topic, []int32{0, 1}
		r.Topics = append(r.Topics, entry)
		return r
	case wire.KeyAlterPartitionReassignments:
		r := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		entry := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		part := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		part.Replicas = []int32{1}
		entry.Topic, entry.Partitions = absent, append(entry.Partitions, part)
		r.Topics = append(r.Topics, entry)
		return r
	case wire.KeyListPartitionReassignments:
		r := kmsg.NewPtrListPartitionReassignmentsRequest()
		entry := kmsg.NewListPartitionReassignmentsRequestTopic()
		entry.Topic, entry.Partitions = topic, []int32{0, 1}
		r.Topics = append(r.Topics, entry)
		return r
	case wire.KeyDescribeCluster:
		return kmsg.NewPtrDescribeClusterRequest()
	case wire.KeyDescribeProducers:
		r := kmsg.NewPtrDescribeProducersRequest()
		entry := kmsg.NewDescribeProducersRequestTopic()
		entry.Topic, entry.Partitions = topic, []int32{0, 1}
		r.Topics = append(r.Topics, entry)
		return r
	case wire.KeyDescribeTopicPartitions:
		r := kmsg.NewPtrDescribeTopicPartitionsRequest()
		entry := kmsg.NewDescribeTopicPartitionsRequestTopic()
		entry.Topic = topic
		r.Topics, r.ResponsePartitionLimit = append(r.Topics, entry), 100
		return r
	}
	return nil
}
