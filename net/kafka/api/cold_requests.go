package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// newRequest is an empty request of a key that kmsg decodes, nil for any other. kmsg has the like for every key there is, which would put the code of
// sixty more keys into the binary: 1.5 MB.
func newRequest(key int16) kmsg.Request {
	switch key {
	case wire.KeyListOffsets:
		return kmsg.NewPtrListOffsetsRequest()
	case wire.KeyMetadata:
		return kmsg.NewPtrMetadataRequest()
	case wire.KeyAPIVersions:
		return kmsg.NewPtrApiVersionsRequest()
	case wire.KeyCreateTopics:
		return kmsg.NewPtrCreateTopicsRequest()
	case wire.KeyDeleteTopics:
		return kmsg.NewPtrDeleteTopicsRequest()
	case wire.KeyDeleteRecords:
		return kmsg.NewPtrDeleteRecordsRequest()
	case wire.KeyInitProducerID:
		return kmsg.NewPtrInitProducerIDRequest()
	case wire.KeyOffsetForLeaderEpoch:
		return kmsg.NewPtrOffsetForLeaderEpochRequest()
	case wire.KeyDescribeConfigs:
		return kmsg.NewPtrDescribeConfigsRequest()
	case wire.KeyAlterConfigs:
		return kmsg.NewPtrAlterConfigsRequest()
	case wire.KeyAlterReplicaLogDirs:
		return kmsg.NewPtrAlterReplicaLogDirsRequest()
	case wire.KeyDescribeLogDirs:
		return kmsg.NewPtrDescribeLogDirsRequest()
	case wire.KeyCreatePartitions:
		return kmsg.NewPtrCreatePartitionsRequest()
	case wire.KeyIncrementalAlterConfigs:
		return kmsg.NewPtrIncrementalAlterConfigsRequest()
	case wire.KeyAlterPartitionReassignments:
		return kmsg.NewPtrAlterPartitionAssignmentsRequest()
	case wire.KeyListPartitionReassignments:
		return kmsg.NewPtrListPartitionReassignmentsRequest()
	case wire.KeyDescribeCluster:
		return kmsg.NewPtrDescribeClusterRequest()
	case wire.KeyDescribeProducers:
		return kmsg.NewPtrDescribeProducersRequest()
	case wire.KeyDescribeTopicPartitions:
		return kmsg.NewPtrDescribeTopicPartitionsRequest()
	case wire.KeyElectLeaders:
		return kmsg.NewPtrElectLeadersRequest()
	case wire.KeyDescribeQuorum:
		return kmsg.NewPtrDescribeQuorumRequest()
	case wire.KeyDescribeClientQuotas:
		return kmsg.NewPtrDescribeClientQuotasRequest()
	case wire.KeyAlterClientQuotas:
		return kmsg.NewPtrAlterClientQuotasRequest()
	case wire.KeyUpdateFeatures:
		return kmsg.NewPtrUpdateFeaturesRequest()
	case wire.KeyUnregisterBroker:
		return kmsg.NewPtrUnregisterBrokerRequest()
	case wire.KeyListConfigResources:
		return kmsg.NewPtrListConfigResourcesRequest()
	}
	return newGroupRequest(key)
}

// newGroupRequest is newRequest for the keys of groups.
func newGroupRequest(key int16) kmsg.Request {
	switch key {
	case wire.KeyOffsetCommit:
		return kmsg.NewPtrOffsetCommitRequest()
	case wire.KeyOffsetFetch:
		return kmsg.NewPtrOffsetFetchRequest()
	case wire.KeyFindCoordinator:
		return kmsg.NewPtrFindCoordinatorRequest()
	case wire.KeyJoinGroup:
		return kmsg.NewPtrJoinGroupRequest()
	case wire.KeyHeartbeat:
		return kmsg.NewPtrHeartbeatRequest()
	case wire.KeyLeaveGroup:
		return kmsg.NewPtrLeaveGroupRequest()
	case wire.KeySyncGroup:
		return kmsg.NewPtrSyncGroupRequest()
	case wire.KeyDescribeGroups:
		return kmsg.NewPtrDescribeGroupsRequest()
	case wire.KeyListGroups:
		return kmsg.NewPtrListGroupsRequest()
	case wire.KeyDeleteGroups:
		return kmsg.NewPtrDeleteGroupsRequest()
	case wire.KeyOffsetDelete:
		return kmsg.NewPtrOffsetDeleteRequest()
	}
	return nil
}
