package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// groupRequest is a meaningful request for a key of consumer groups; nil for any other.
func groupRequest(key int16, topic string) kmsg.Request {
	const group, member = "hostile", "hostile-1"
	switch key {
	case wire.KeyOffsetCommit:
		r := kmsg.NewPtrOffsetCommitRequest()
		r.Group, r.Generation = group, -1
		part := kmsg.NewOffsetCommitRequestTopicPartition()
		part.Offset, part.LeaderEpoch, part.Metadata = 1, -1, new("here")
		entry := kmsg.NewOffsetCommitRequestTopic()
		entry.Topic, entry.Partitions = topic, append(entry.Partitions, part)
		r.Topics = append(r.Topics, entry)
		return r
	case wire.KeyOffsetFetch:
		r := kmsg.NewPtrOffsetFetchRequest()
		r.Group = group
		entry := kmsg.NewOffsetFetchRequestTopic()
		entry.Topic, entry.Partitions = topic, []int32{0, 1}
		r.Topics = append(r.Topics, entry)
		several := kmsg.NewOffsetFetchRequestGroup()
		several.Group = group
		part := kmsg.NewOffsetFetchRequestGroupTopic()
		part.Topic, part.Partitions = topic, []int32{0, 1}
		several.Topics = append(several.Topics, part)
		r.Groups = append(r.Groups, several)
		return r
	case wire.KeyFindCoordinator:
		r := kmsg.NewPtrFindCoordinatorRequest()
		r.CoordinatorKey, r.CoordinatorKeys = group, []string{group, "another"}
		return r
	case wire.KeyJoinGroup:
		r := kmsg.NewPtrJoinGroupRequest()
		r.Group, r.SessionTimeoutMillis, r.RebalanceTimeoutMillis, r.ProtocolType = group, 6000, 6000, "consumer"
		protocol := kmsg.NewJoinGroupRequestProtocol()
		protocol.Name, protocol.Metadata = "range", []byte{0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}
		r.Protocols = append(r.Protocols, protocol)
		return r
	case wire.KeyHeartbeat:
		r := kmsg.NewPtrHeartbeatRequest()
		r.Group, r.MemberID = group, member
		return r
	case wire.KeyLeaveGroup:
		r := kmsg.NewPtrLeaveGroupRequest()
		r.Group, r.MemberID = group, member
		leaving := kmsg.NewLeaveGroupRequestMember()
		leaving.MemberID = member
		r.Members = append(r.Members, leaving)
		return r
	case wire.KeySyncGroup:
		r := kmsg.NewPtrSyncGroupRequest()
		r.Group, r.MemberID = group, member
		given := kmsg.NewSyncGroupRequestGroupAssignment()
		given.MemberID, given.MemberAssignment = member, []byte{0, 0, 0, 0, 0, 0}
		r.GroupAssignment = append(r.GroupAssignment, given)
		return r
	case wire.KeyDescribeGroups:
		r := kmsg.NewPtrDescribeGroupsRequest()
		r.Groups = []string{group, "another"}
		return r
	case wire.KeyListGroups:
		r := kmsg.NewPtrListGroupsRequest()
		r.StatesFilter = []string{"Stable"}
		return r
	case wire.KeyDeleteGroups:
		r := kmsg.NewPtrDeleteGroupsRequest()
		r.Groups = []string{"nothing"}
		return r
	case wire.KeyOffsetDelete:
		r := kmsg.NewPtrOffsetDeleteRequest()
		r.Group = "nothing"
		part := kmsg.NewOffsetDeleteRequestTopicPartition()
		entry := kmsg.NewOffsetDeleteRequestTopic()
		entry.Topic, entry.Partitions = topic, append(entry.Partitions, part)
		r.Topics = append(r.Topics, entry)
		return r
	}
	return nil
}
