package wire

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestKeysAgreeWithKmsg(t *testing.T) {
	for i := range Keys {
		api := &Keys[i]
		if i > 0 && Keys[i-1].Key >= api.Key {
			t.Errorf("%s is out of order", api.Name)
		}
		if Lookup(api.Key) != api {
			t.Errorf("%s is not found", api.Name)
		}
		req := kmsg.RequestForKey(api.Key)
		if req == nil || req.MaxVersion() < api.Max || api.AdvertiseMin > api.Min || api.Min > api.Max {
			t.Fatalf("%s: kmsg has %v, versions %d to %d, named from %d", api.Name, req, api.Min, api.Max, api.AdvertiseMin)
		}
		if got := kmsg.NameForKey(api.Key); got != api.Name && got != "InitProducerID" && got != "AlterPartitionAssignments" {
			t.Errorf("name %s, kmsg says %s", api.Name, got)
		}
		for version := api.Min; version <= api.Max; version++ {
			req.SetVersion(version)
			if req.IsFlexible() != api.IsFlexible(version) {
				t.Errorf("%s %d: flexible %t", api.Name, version, api.IsFlexible(version))
			}
		}
		if api.Serves(api.Min-1) || api.Serves(api.Max+1) || !api.Serves(api.Min) || !api.Serves(api.Max) {
			t.Errorf("%s does not serve exactly %d to %d", api.Name, api.Min, api.Max)
		}
	}
}

// The versions that Kafka 4.3 serves of these keys; a broker that names fewer loses clients, one that names more hangs them.
func TestKeysAreKafkas(t *testing.T) {
	want := map[int16][3]int16{
		KeyProduce: {0, 3, 13}, KeyFetch: {4, 4, 18}, KeyListOffsets: {1, 1, 11}, KeyMetadata: {0, 0, 13}, KeyAPIVersions: {0, 0, 4},
		KeyCreateTopics: {2, 2, 7}, KeyDeleteTopics: {1, 1, 6}, KeyInitProducerID: {0, 0, 5}, KeyOffsetForLeaderEpoch: {2, 2, 4},
		KeyDeleteRecords: {0, 0, 2}, KeyDescribeConfigs: {1, 1, 4}, KeyAlterConfigs: {0, 0, 2}, KeyAlterReplicaLogDirs: {1, 1, 2}, KeyDescribeLogDirs: {1, 1, 5},
		KeyCreatePartitions: {0, 0, 3}, KeyIncrementalAlterConfigs: {0, 0, 1}, KeyDescribeCluster: {0, 0, 2}, KeyDescribeProducers: {0, 0, 0},
		KeyDescribeTopicPartitions: {0, 0, 0}, KeyAlterPartitionReassignments: {0, 0, 1}, KeyListPartitionReassignments: {0, 0, 0},
		KeyOffsetCommit: {2, 2, 10}, KeyOffsetFetch: {1, 1, 10}, KeyFindCoordinator: {0, 0, 6}, KeyJoinGroup: {0, 0, 9}, KeyHeartbeat: {0, 0, 4},
		KeyLeaveGroup: {0, 0, 5}, KeySyncGroup: {0, 0, 5}, KeyDescribeGroups: {0, 0, 6}, KeyListGroups: {0, 0, 5}, KeyDeleteGroups: {0, 0, 2},
		KeyOffsetDelete: {0, 0, 0}, KeyElectLeaders: {0, 0, 2}, KeyDescribeQuorum: {0, 0, 2}, KeyUpdateFeatures: {0, 0, 2}, KeyUnregisterBroker: {0, 0, 0},
		KeyListConfigResources: {0, 0, 1}, KeyDescribeClientQuotas: {0, 0, 1}, KeyAlterClientQuotas: {0, 0, 1},
	}
	if len(want) != len(Keys) {
		t.Fatalf("%d keys, want %d", len(Keys), len(want))
	}
	for key, versions := range want {
		api := Lookup(key)
		if got := [3]int16{api.AdvertiseMin, api.Min, api.Max}; got != versions {
			t.Errorf("%s: %v, want %v", api.Name, got, versions)
		}
	}
}

func TestLookupOfUnknownKeys(t *testing.T) {
	for _, key := range []int16{-32768, -1, 4, 7, 31, keyMax + 1, 32767} {
		if Lookup(key) != nil {
			t.Errorf("key %d is found", key)
		}
	}
}

func TestFrameBytesMax(t *testing.T) {
	const requestMax = 100 << 20
	for _, c := range []struct {
		key  int16
		max  int
		want int
	}{
		{KeyProduce, requestMax, requestMax},
		{KeyMetadata, requestMax, 16 << 20},
		{KeyAPIVersions, requestMax, 1 << 20},
		{4, requestMax, 1 << 20},
		{-1, requestMax, 1 << 20},
		{KeyMetadata, 4096, 4096},
		{-1, 4096, 4096},
	} {
		if got := FrameBytesMax(c.key, c.max); got != c.want {
			t.Errorf("key %d: %d, want %d", c.key, got, c.want)
		}
	}
}
