package compat

import (
	"fmt"

	"pinion/bench/versus"
	"pinion/net/kafka/wire"
)

// Range is the versions From to To of a key, both included.
type Range struct{ Key, From, To int16 }

// Claim says which versions somebody exercises, in which test. The test holds the claim against what went over the wire, with Check.
type Claim struct {
	Who   string
	Test  string
	Holds []Range
}

// Names of the claims' owners.
const (
	FranzGo = "franz-go"
	Kafka   = "Apache Kafka"
)

// Claims is everything that is claimed.
var Claims = []Claim{
	{
		Who: FranzGo, Test: "TestClientsEveryAdvertisedVersionWorks in cmd/pinion",
		Holds: []Range{
			{wire.KeyProduce, 3, 13}, {wire.KeyFetch, 4, 18}, {wire.KeyListOffsets, 1, 11}, {wire.KeyMetadata, 0, 13},
			{wire.KeyAPIVersions, 0, 4}, {wire.KeyCreateTopics, 2, 7}, {wire.KeyDeleteTopics, 1, 6}, {wire.KeyDeleteRecords, 0, 2},
			{wire.KeyInitProducerID, 0, 5}, {wire.KeyOffsetForLeaderEpoch, 2, 4}, {wire.KeyDescribeConfigs, 1, 4}, {wire.KeyAlterConfigs, 0, 2},
			{wire.KeyAlterReplicaLogDirs, 1, 2}, {wire.KeyDescribeLogDirs, 1, 5}, {wire.KeyCreatePartitions, 0, 3}, {wire.KeyIncrementalAlterConfigs, 0, 1},
			{wire.KeyAlterPartitionReassignments, 0, 1}, {wire.KeyListPartitionReassignments, 0, 0},
			{wire.KeyDescribeCluster, 0, 2}, {wire.KeyDescribeProducers, 0, 0}, {wire.KeyDescribeTopicPartitions, 0, 0},
			{wire.KeyOffsetCommit, 2, 10}, {wire.KeyOffsetFetch, 1, 10}, {wire.KeyFindCoordinator, 0, 6}, {wire.KeyJoinGroup, 0, 9},
			{wire.KeyHeartbeat, 0, 4}, {wire.KeyLeaveGroup, 0, 5}, {wire.KeySyncGroup, 0, 5}, {wire.KeyDescribeGroups, 0, 6}, {wire.KeyListGroups, 0, 5},
			{wire.KeyDeleteGroups, 0, 2}, {wire.KeyOffsetDelete, 0, 0}, {wire.KeyElectLeaders, 0, 2}, {wire.KeyDescribeQuorum, 0, 2},
			{wire.KeyUpdateFeatures, 0, 2}, {wire.KeyUnregisterBroker, 0, 0}, {wire.KeyListConfigResources, 0, 1},
			{wire.KeyDescribeClientQuotas, 0, 1}, {wire.KeyAlterClientQuotas, 0, 1},
		},
	},
	{
		Who: Kafka, Test: "TestAnswersAreKafkas in bench/versus",
		Holds: []Range{
			{wire.KeyProduce, 0, 13}, {wire.KeyFetch, 4, 18}, {wire.KeyListOffsets, 1, 11}, {wire.KeyMetadata, 0, 13},
			{wire.KeyAPIVersions, 0, 4}, {wire.KeyCreateTopics, 2, 7}, {wire.KeyDeleteTopics, 1, 6}, {wire.KeyDeleteRecords, 0, 2},
			{wire.KeyInitProducerID, 0, 5}, {wire.KeyOffsetForLeaderEpoch, 2, 4}, {wire.KeyDescribeConfigs, 1, 4}, {wire.KeyAlterConfigs, 0, 2},
			{wire.KeyAlterReplicaLogDirs, 1, 2}, {wire.KeyDescribeLogDirs, 1, 5}, {wire.KeyCreatePartitions, 0, 3}, {wire.KeyIncrementalAlterConfigs, 0, 1},
			{wire.KeyAlterPartitionReassignments, 0, 1}, {wire.KeyListPartitionReassignments, 0, 0},
			{wire.KeyDescribeCluster, 0, 2}, {wire.KeyDescribeProducers, 0, 0}, {wire.KeyDescribeTopicPartitions, 0, 0},
			{wire.KeyOffsetCommit, 2, 10}, {wire.KeyOffsetFetch, 1, 10}, {wire.KeyFindCoordinator, 0, 6}, {wire.KeyJoinGroup, 0, 9},
			{wire.KeyHeartbeat, 0, 4}, {wire.KeyLeaveGroup, 0, 5}, {wire.KeySyncGroup, 0, 5}, {wire.KeyDescribeGroups, 0, 6}, {wire.KeyListGroups, 0, 5},
			{wire.KeyDeleteGroups, 0, 2}, {wire.KeyOffsetDelete, 0, 0}, {wire.KeyElectLeaders, 0, 2}, {wire.KeyDescribeQuorum, 0, 2},
			{wire.KeyUpdateFeatures, 0, 2}, {wire.KeyUnregisterBroker, 0, 0}, {wire.KeyListConfigResources, 0, 1},
			{wire.KeyDescribeClientQuotas, 0, 1}, {wire.KeyAlterClientQuotas, 0, 1},
		},
	},
}

func claimOf(who string) *Claim {
	for i := range Claims {
		if Claims[i].Who == who {
			return &Claims[i]
		}
	}
	return nil
}

// versions of the claim.
func (c *Claim) versions() map[versus.KeyVersion]bool {
	set := map[versus.KeyVersion]bool{}
	for _, r := range c.Holds {
		for v := r.From; v <= r.To; v++ {
			set[versus.KeyVersion{Key: r.Key, Version: v}] = true
		}
	}
	return set
}

// Check holds a claim against what was seen on the wire: it lists what was claimed and not seen, and what was seen and is not claimed.
func Check(who string, seen map[versus.KeyVersion]int) []string {
	claim := claimOf(who)
	if claim == nil {
		return []string{who + " claims nothing"}
	}
	var wrong []string
	claimed := claim.versions()
	for kv := range claimed {
		if seen[kv] == 0 {
			wrong = append(wrong, fmt.Sprintf("%s claims key %d v%d, and it was not seen", who, kv.Key, kv.Version))
		}
	}
	for kv, n := range seen {
		if n > 0 && !claimed[kv] {
			wrong = append(wrong, fmt.Sprintf("%s exercises key %d v%d, and the table in bench/compat does not say so", who, kv.Key, kv.Version))
		}
	}
	return wrong
}

// unclaimed are the advertised versions that nobody exercises.
func unclaimed() []versus.KeyVersion {
	claimed := map[versus.KeyVersion]bool{}
	for i := range Claims {
		for kv := range Claims[i].versions() {
			claimed[kv] = true
		}
	}
	var list []versus.KeyVersion
	for i := range wire.Keys {
		k := &wire.Keys[i]
		for v := k.AdvertiseMin; v <= k.Max; v++ {
			if kv := (versus.KeyVersion{Key: k.Key, Version: v}); !claimed[kv] {
				list = append(list, kv)
			}
		}
	}
	return list
}
