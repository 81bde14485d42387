package wire

// Fixed by the protocol: the keys this broker serves.
const (
	KeyProduce              int16 = 0
	KeyFetch                int16 = 1
	KeyListOffsets          int16 = 2
	KeyMetadata             int16 = 3
	KeyOffsetCommit         int16 = 8
	KeyOffsetFetch          int16 = 9
	KeyFindCoordinator      int16 = 10
	KeyJoinGroup            int16 = 11
	KeyHeartbeat            int16 = 12
	KeyLeaveGroup           int16 = 13
	KeySyncGroup            int16 = 14
	KeyDescribeGroups       int16 = 15
	KeyListGroups           int16 = 16
	KeyAPIVersions          int16 = 18
	KeyCreateTopics         int16 = 19
	KeyDeleteTopics         int16 = 20
	KeyDeleteRecords        int16 = 21
	KeyInitProducerID       int16 = 22
	KeyOffsetForLeaderEpoch int16 = 23

	KeyDescribeConfigs         int16 = 32
	KeyAlterConfigs            int16 = 33
	KeyAlterReplicaLogDirs     int16 = 34
	KeyDescribeLogDirs         int16 = 35
	KeyCreatePartitions        int16 = 37
	KeyDeleteGroups            int16 = 42
	KeyIncrementalAlterConfigs int16 = 44

	KeyAlterPartitionReassignments int16 = 45
	KeyListPartitionReassignments  int16 = 46

	KeyOffsetDelete int16 = 47

	KeyElectLeaders   int16 = 43
	KeyDescribeQuorum int16 = 55

	KeyDescribeClientQuotas int16 = 48
	KeyAlterClientQuotas    int16 = 49

	KeyUpdateFeatures      int16 = 57
	KeyUnregisterBroker    int16 = 64
	KeyListConfigResources int16 = 74

	KeyDescribeCluster         int16 = 60
	KeyDescribeProducers       int16 = 61
	KeyDescribeTopicPartitions int16 = 75
)

// Chosen here: how large a frame of a key may be, in bytes after the length field.
const (
	frameBytesSmall = 1 << 20
	// frameBytesWide is for keys that name every partition of a client in one request: 50,000 partitions of long topic
	// names fit, and so does a topic creation with hand-made assignments.
	frameBytesWide = 16 << 20
	// frameBytesBroker marks the one key whose frames may be as large as socket.request.max.bytes.
	frameBytesBroker = -1
)

// API is one row of the version table, from which ApiVersions is answered too. Versions are inclusive.
type API struct {
	Key  int16
	Name string // as Kafka spells it in metrics and logs

	AdvertiseMin int16 // lowest version named in ApiVersions
	Min, Max     int16 // versions that are served; any other closes the connection, except for ApiVersions
	Flexible     int16 // first version with tagged fields (KIP-482)

	frameBytesMax int
}

// Keys is the table of everything served, ascending by key. It is never changed.
//
// Produce names versions 0 to 2 although they are refused: older librdkafka otherwise turns compression off
// (KAFKA-18659), and Kafka 4 does the same.
var Keys = [...]API{
	{Key: KeyProduce, Name: "Produce", AdvertiseMin: 0, Min: 3, Max: 13, Flexible: 9, frameBytesMax: frameBytesBroker},
	{Key: KeyFetch, Name: "Fetch", AdvertiseMin: 4, Min: 4, Max: 18, Flexible: 12, frameBytesMax: frameBytesWide},
	{Key: KeyListOffsets, Name: "ListOffsets", AdvertiseMin: 1, Min: 1, Max: 11, Flexible: 6, frameBytesMax: frameBytesWide},
	{Key: KeyMetadata, Name: "Metadata", AdvertiseMin: 0, Min: 0, Max: 13, Flexible: 9, frameBytesMax: frameBytesWide},
	{Key: KeyOffsetCommit, Name: "OffsetCommit", AdvertiseMin: 2, Min: 2, Max: 10, Flexible: 8, frameBytesMax: frameBytesWide},
	{Key: KeyOffsetFetch, Name: "OffsetFetch", AdvertiseMin: 1, Min: 1, Max: 10, Flexible: 6, frameBytesMax: frameBytesWide},
	{Key: KeyFindCoordinator, Name: "FindCoordinator", AdvertiseMin: 0, Min: 0, Max: 6, Flexible: 3, frameBytesMax: frameBytesSmall},
	{Key: KeyJoinGroup, Name: "JoinGroup", AdvertiseMin: 0, Min: 0, Max: 9, Flexible: 6, frameBytesMax: frameBytesSmall},
	{Key: KeyHeartbeat, Name: "Heartbeat", AdvertiseMin: 0, Min: 0, Max: 4, Flexible: 4, frameBytesMax: frameBytesSmall},
	{Key: KeyLeaveGroup, Name: "LeaveGroup", AdvertiseMin: 0, Min: 0, Max: 5, Flexible: 4, frameBytesMax: frameBytesSmall},
	{Key: KeySyncGroup, Name: "SyncGroup", AdvertiseMin: 0, Min: 0, Max: 5, Flexible: 4, frameBytesMax: frameBytesWide},
	{Key: KeyDescribeGroups, Name: "DescribeGroups", AdvertiseMin: 0, Min: 0, Max: 6, Flexible: 5, frameBytesMax: frameBytesSmall},
	{Key: KeyListGroups, Name: "ListGroups", AdvertiseMin: 0, Min: 0, Max: 5, Flexible: 3, frameBytesMax: frameBytesSmall},
	{Key: KeyAPIVersions, Name: "ApiVersions", AdvertiseMin: 0, Min: 0, Max: 4, Flexible: 3, frameBytesMax: frameBytesSmall},
	{Key: KeyCreateTopics, Name: "CreateTopics", AdvertiseMin: 2, Min: 2, Max: 7, Flexible: 5, frameBytesMax: frameBytesWide},
	{Key: KeyDeleteTopics, Name: "DeleteTopics", AdvertiseMin: 1, Min: 1, Max: 6, Flexible: 4, frameBytesMax: frameBytesSmall},
	{Key: KeyDeleteRecords, Name: "DeleteRecords", AdvertiseMin: 0, Min: 0, Max: 2, Flexible: 2, frameBytesMax: frameBytesWide},
	{Key: KeyInitProducerID, Name: "InitProducerId", AdvertiseMin: 0, Min: 0, Max: 5, Flexible: 2, frameBytesMax: frameBytesSmall},
	{Key: KeyOffsetForLeaderEpoch, Name: "OffsetForLeaderEpoch", AdvertiseMin: 2, Min: 2, Max: 4, Flexible: 4, frameBytesMax: frameBytesWide},
	{Key: KeyDescribeConfigs, Name: "DescribeConfigs", AdvertiseMin: 1, Min: 1, Max: 4, Flexible: 4, frameBytesMax: frameBytesWide},
	{Key: KeyAlterConfigs, Name: "AlterConfigs", AdvertiseMin: 0, Min: 0, Max: 2, Flexible: 2, frameBytesMax: frameBytesWide},
	{Key: KeyAlterReplicaLogDirs, Name: "AlterReplicaLogDirs", AdvertiseMin: 1, Min: 1, Max: 2, Flexible: 2, frameBytesMax: frameBytesWide},
	{Key: KeyDescribeLogDirs, Name: "DescribeLogDirs", AdvertiseMin: 1, Min: 1, Max: 5, Flexible: 2, frameBytesMax: frameBytesWide},
	{Key: KeyCreatePartitions, Name: "CreatePartitions", AdvertiseMin: 0, Min: 0, Max: 3, Flexible: 2, frameBytesMax: frameBytesWide},
	{Key: KeyDeleteGroups, Name: "DeleteGroups", AdvertiseMin: 0, Min: 0, Max: 2, Flexible: 2, frameBytesMax: frameBytesSmall},
	{Key: KeyElectLeaders, Name: "ElectLeaders", AdvertiseMin: 0, Min: 0, Max: 2, Flexible: 2, frameBytesMax: frameBytesWide},
	{Key: KeyIncrementalAlterConfigs, Name: "IncrementalAlterConfigs", AdvertiseMin: 0, Min: 0, Max: 1, Flexible: 1, frameBytesMax: frameBytesWide},
	{Key: KeyAlterPartitionReassignments, Name: "AlterPartitionReassignments", AdvertiseMin: 0, Min: 0, Max: 1, Flexible: 0, frameBytesMax: frameBytesWide},
	{Key: KeyListPartitionReassignments, Name: "ListPartitionReassignments", AdvertiseMin: 0, Min: 0, Max: 0, Flexible: 0, frameBytesMax: frameBytesWide},
	{Key: KeyOffsetDelete, Name: "OffsetDelete", AdvertiseMin: 0, Min: 0, Max: 0, Flexible: never, frameBytesMax: frameBytesWide},
	{Key: KeyDescribeClientQuotas, Name: "DescribeClientQuotas", AdvertiseMin: 0, Min: 0, Max: 1, Flexible: 1, frameBytesMax: frameBytesSmall},
	{Key: KeyAlterClientQuotas, Name: "AlterClientQuotas", AdvertiseMin: 0, Min: 0, Max: 1, Flexible: 1, frameBytesMax: frameBytesSmall},
	{Key: KeyDescribeQuorum, Name: "DescribeQuorum", AdvertiseMin: 0, Min: 0, Max: 2, Flexible: 0, frameBytesMax: frameBytesSmall},
	{Key: KeyUpdateFeatures, Name: "UpdateFeatures", AdvertiseMin: 0, Min: 0, Max: 2, Flexible: 0, frameBytesMax: frameBytesSmall},
	{Key: KeyDescribeCluster, Name: "DescribeCluster", AdvertiseMin: 0, Min: 0, Max: 2, Flexible: 0, frameBytesMax: frameBytesSmall},
	{Key: KeyDescribeProducers, Name: "DescribeProducers", AdvertiseMin: 0, Min: 0, Max: 0, Flexible: 0, frameBytesMax: frameBytesWide},
	{Key: KeyUnregisterBroker, Name: "UnregisterBroker", AdvertiseMin: 0, Min: 0, Max: 0, Flexible: 0, frameBytesMax: frameBytesSmall},
	{Key: KeyListConfigResources, Name: "ListConfigResources", AdvertiseMin: 0, Min: 0, Max: 1, Flexible: 0, frameBytesMax: frameBytesSmall},
	{Key: KeyDescribeTopicPartitions, Name: "DescribeTopicPartitions", AdvertiseMin: 0, Min: 0, Max: 0, Flexible: 0, frameBytesMax: frameBytesWide},
}

// keyMax is the largest key in the table.
const keyMax = KeyDescribeTopicPartitions

// rows finds a key's row: index in Keys plus one, zero where there is none.
var rows = indexKeys()

func indexKeys() (rows [keyMax + 1]uint8) {
	for i := range Keys {
		rows[Keys[i].Key] = uint8(i + 1)
	}
	return rows
}

// Lookup returns the row of a key, nil when the key is not served.
func Lookup(key int16) *API {
	if key < 0 || key > keyMax || rows[key] == 0 {
		return nil
	}
	return &Keys[rows[key]-1]
}

// Serves reports whether requests of this version are understood.
func (a *API) Serves(version int16) bool { return version >= a.Min && version <= a.Max }

// IsFlexible reports whether this version has tagged fields.
func (a *API) IsFlexible(version int16) bool { return version >= a.Flexible }

// ResponseTags reports whether the response header of this version ends with tagged fields. ApiVersions never has them,
// so that a client can read the answer to a version the broker does not know (KIP-511).
func (a *API) ResponseTags(version int16) bool {
	return version >= a.Flexible && a.Key != KeyAPIVersions
}

// FrameBytesMax bounds a frame, length field excluded, given socket.request.max.bytes. It never exceeds that, and a key
// that is not served gets the smallest cap: its frame is read only to be refused.
func FrameBytesMax(key int16, requestBytesMax int) int {
	a := Lookup(key)
	switch {
	case a == nil:
		return min(frameBytesSmall, requestBytesMax)
	case a.frameBytesMax == frameBytesBroker:
		return requestBytesMax
	default:
		return min(a.frameBytesMax, requestBytesMax)
	}
}
