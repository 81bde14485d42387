package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// clusterRequest is a request for a key that is about the cluster as a whole, nil if it is not one of them. None changes anything the others use.
func clusterRequest(key int16, topic string) kmsg.Request {
	switch key {
	case wire.KeyElectLeaders:
		r := kmsg.NewPtrElectLeadersRequest()
		entry := kmsg.NewElectLeadersRequestTopic()
		entry.Topic, entry.Partitions = topic, []int32{0, 1}
		r.Topics = append(r.Topics, entry)
		return r
	case wire.KeyDescribeQuorum:
		r := kmsg.NewPtrDescribeQuorumRequest()
		entry := kmsg.NewDescribeQuorumRequestTopic()
		entry.Topic, entry.Partitions = "__cluster_metadata", append(entry.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
		r.Topics = append(r.Topics, entry)
		return r
	case wire.KeyDescribeClientQuotas:
		r := kmsg.NewPtrDescribeClientQuotasRequest()
		entry := kmsg.NewDescribeClientQuotasRequestComponent()
		entry.EntityType, entry.Match = "client-id", new("nobody")
		r.Components = append(r.Components, entry)
		return r
	case wire.KeyAlterClientQuotas:
		r := kmsg.NewPtrAlterClientQuotasRequest()
		entry := kmsg.NewAlterClientQuotasRequestEntry()
		who := kmsg.NewAlterClientQuotasRequestEntryEntity()
		who.Type, who.Name = "client-id", new("nobody")
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Value = "producer_byte_rate", 1e6
		entry.Entity, entry.Ops = append(entry.Entity, who), append(entry.Ops, op)
		r.Entries, r.ValidateOnly = append(r.Entries, entry), true
		return r
	case wire.KeyUpdateFeatures:
		r := kmsg.NewPtrUpdateFeaturesRequest()
		entry := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		entry.Feature, entry.MaxVersionLevel = "nothing", 1
		r.FeatureUpdates, r.ValidateOnly = append(r.FeatureUpdates, entry), true
		return r
	case wire.KeyUnregisterBroker:
		r := kmsg.NewPtrUnregisterBrokerRequest()
		r.BrokerID = 12345
		return r
	case wire.KeyListConfigResources:
		r := kmsg.NewPtrListConfigResourcesRequest()
		r.ResourceTypes = []int8{2, 4}
		return r
	}
	return nil
}
