package wire

import (
	"math"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A schema describes a request body as Kafka's protocol JSON does, reduced to what a walk needs: widths, versions, where
// null is allowed, and how large one decoded array element is. To let kmsg decode one more key, add its row to Keys and
// its schema here; the tests then hold it against kmsg in every version.

type kind uint8

const (
	kindFixed kind = iota // a number, a bool or an id
	kindText
	kindBytes // kmsg leaves them where they are; they are charged for whoever keeps them
	kindArray
	kindOptional // a structure behind a byte that says whether it is there
)

type field struct {
	kind         kind
	bare         bool    // array elements are single values, not structures, so no tagged fields end them
	from, to     int16   // versions that have the field, inclusive
	nullFrom     int16   // first version that allows null
	wireBytes    int     // width of a fixed field
	elementBytes int     // size in memory of one decoded array element
	elements     []field // what an array element consists of
}

// never is a version no key reaches.
const never = math.MaxInt16

func fixed(n int) field { return field{kind: kindFixed, to: never, nullFrom: never, wireBytes: n} }

func flag() field     { return fixed(1) }
func integer8() field { return fixed(1) }
func integer16() field {
	return fixed(2)
}
func integer32() field { return fixed(4) }
func integer64() field { return fixed(8) }
func uuid() field      { return fixed(16) }
func text() field      { return field{kind: kindText, to: never, nullFrom: never} }
func octets() field    { return field{kind: kindBytes, to: never, nullFrom: never} }

// listOf is an array of structures that kmsg decodes into T.
func listOf[T any](elements ...field) field {
	return field{kind: kindArray, to: never, nullFrom: never, elementBytes: int(reflect.TypeFor[T]().Size()), elements: elements}
}

// bareListOf is an array of single values.
func bareListOf[T any](element field) field {
	f := listOf[T](element)
	f.bare = true
	return f
}

// maybeOne is a structure that kmsg decodes into *T, null in every version.
func maybeOne[T any](elements ...field) field {
	return field{kind: kindOptional, to: never, nullFrom: 0, elementBytes: int(reflect.TypeFor[T]().Size()), elements: elements}
}

func (f field) since(version int16) field { f.from = version; return f }
func (f field) until(version int16) field { f.to = version; return f }
func (f field) null(version int16) field  { f.nullFrom = version; return f }

// bytesMin is the least the field takes on the wire.
func (f *field) bytesMin(version int16, flexible bool) int {
	switch {
	case version < f.from || version > f.to:
		return 0
	case f.kind == kindFixed:
		return f.wireBytes
	case flexible, f.kind == kindOptional:
		return 1
	case f.kind == kindText:
		return 2
	default:
		return 4
	}
}

// elementBytesMin is the least one element of the array takes on the wire.
func (f *field) elementBytesMin(version int16, flexible bool) int {
	n := 0
	if flexible && !f.bare {
		n = 1 // no tagged fields
	}
	for i := range f.elements {
		n += f.elements[i].bytesMin(version, flexible)
	}
	return n
}

// schemas holds the cold keys. Produce and Fetch have views instead.
var schemas = [keyMax + 1][]field{
	KeyListOffsets: {
		integer32(),         // replica id
		integer8().since(2), // isolation level
		listOf[kmsg.ListOffsetsRequestTopic](
			text(),
			listOf[kmsg.ListOffsetsRequestTopicPartition](
				integer32(),          // index
				integer32().since(4), // current leader epoch
				integer64(),          // timestamp
			),
		),
		integer32().since(10), // timeout
	},
	KeyMetadata: {
		listOf[kmsg.MetadataRequestTopic](
			uuid().since(10),
			text().null(10),
		).null(1),
		flag().since(4),           // create missing topics
		flag().since(8).until(10), // cluster operations
		flag().since(8),           // topic operations
	},
	KeyOffsetCommit: {
		text(),                        // group
		integer32(),                   // generation or member epoch
		text(),                        // member
		text().since(7).null(7),       // instance
		integer64().since(2).until(4), // retention
		listOf[kmsg.OffsetCommitRequestTopic](
			text().until(9),
			uuid().since(10),
			listOf[kmsg.OffsetCommitRequestTopicPartition](
				integer32(),          // partition
				integer64(),          // offset
				integer32().since(6), // leader epoch
				text().null(0),       // metadata
			),
		),
	},
	KeyOffsetFetch: {
		text().until(7), // group
		listOf[kmsg.OffsetFetchRequestTopic](
			text(),
			bareListOf[int32](integer32()),
		).until(7).null(2),
		listOf[kmsg.OffsetFetchRequestGroup](
			text(),
			text().since(9).null(9), // member
			integer32().since(9),    // and its epoch
			listOf[kmsg.OffsetFetchRequestGroupTopic](
				text().until(9),
				uuid().since(10),
				bareListOf[int32](integer32()),
			).null(8),
		).since(8),
		flag().since(7), // stable offsets only
	},
	KeyFindCoordinator: {
		text().until(3),
		integer8().since(1), // of what
		bareListOf[string](text()).since(4),
	},
	KeyJoinGroup: {
		text(),                  // group
		integer32(),             // session timeout
		integer32().since(1),    // rebalance timeout
		text(),                  // member
		text().since(5).null(5), // instance
		text(),                  // protocol type
		listOf[kmsg.JoinGroupRequestProtocol](
			text(),
			octets(), // metadata
		),
		text().since(8).null(8), // reason
	},
	KeyHeartbeat: {
		text(),                  // group
		integer32(),             // generation
		text(),                  // member
		text().since(3).null(3), // instance
	},
	KeyLeaveGroup: {
		text(),          // group
		text().until(2), // member
		listOf[kmsg.LeaveGroupRequestMember](
			text(),
			text().null(3),          // instance
			text().since(5).null(5), // reason
		).since(3),
	},
	KeySyncGroup: {
		text(),                  // group
		integer32(),             // generation
		text(),                  // member
		text().since(3).null(3), // instance
		text().since(5).null(5), // protocol type
		text().since(5).null(5), // protocol
		listOf[kmsg.SyncGroupRequestGroupAssignment](
			text(),
			octets(), // assignment
		),
	},
	KeyDescribeGroups: {
		bareListOf[string](text()),
		flag().since(3), // with operations
	},
	KeyListGroups: {
		bareListOf[string](text()).since(4), // states
		bareListOf[string](text()).since(5), // types
	},
	KeyDeleteGroups: {
		bareListOf[string](text()),
	},
	KeyOffsetDelete: {
		text(), // group
		listOf[kmsg.OffsetDeleteRequestTopic](
			text(),
			listOf[kmsg.OffsetDeleteRequestTopicPartition](
				integer32(),
			),
		),
	},
	KeyAPIVersions: {
		text().since(3), // client software name
		text().since(3), // and version
	},
	KeyCreateTopics: {
		listOf[kmsg.CreateTopicsRequestTopic](
			text(),
			integer32(), // partitions
			integer16(), // replication factor
			listOf[kmsg.CreateTopicsRequestTopicReplicaAssignment](
				integer32(), // partition
				bareListOf[int32](integer32()),
			),
			listOf[kmsg.CreateTopicsRequestTopicConfig](
				text(),
				text().null(0),
			),
		),
		integer32(), // timeout
		flag(),      // validate only
	},
	KeyDeleteTopics: {
		bareListOf[string](text()).until(5),
		listOf[kmsg.DeleteTopicsRequestTopic](
			text().null(6),
			uuid(),
		).since(6),
		integer32(), // timeout
	},
	KeyDeleteRecords: {
		listOf[kmsg.DeleteRecordsRequestTopic](
			text(),
			listOf[kmsg.DeleteRecordsRequestTopicPartition](
				integer32(), // index
				integer64(), // offset
			),
		),
		integer32(), // timeout
	},
	KeyInitProducerID: {
		text().null(0),       // transactional id
		integer32(),          // transaction timeout
		integer64().since(3), // producer id
		integer16().since(3), // producer epoch
	},
	KeyOffsetForLeaderEpoch: {
		integer32().since(3), // replica id
		listOf[kmsg.OffsetForLeaderEpochRequestTopic](
			text(),
			listOf[kmsg.OffsetForLeaderEpochRequestTopicPartition](
				integer32(), // partition
				integer32(), // current leader epoch
				integer32(), // leader epoch
			),
		),
	},
	KeyDescribeConfigs: {
		listOf[kmsg.DescribeConfigsRequestResource](
			integer8(), // resource type
			text(),
			bareListOf[string](text()).null(0), // keys
		),
		flag(),          // with synonyms
		flag().since(3), // with documentation
	},
	KeyAlterConfigs: {
		listOf[kmsg.AlterConfigsRequestResource](
			integer8(), // resource type
			text(),
			listOf[kmsg.AlterConfigsRequestResourceConfig](
				text(),
				text().null(0),
			),
		),
		flag(), // validate only
	},
	KeyAlterReplicaLogDirs: {
		listOf[kmsg.AlterReplicaLogDirsRequestDir](
			text(),
			listOf[kmsg.AlterReplicaLogDirsRequestDirTopic](
				text(),
				bareListOf[int32](integer32()),
			),
		),
	},
	KeyDescribeLogDirs: {
		listOf[kmsg.DescribeLogDirsRequestTopic](
			text(),
			bareListOf[int32](integer32()),
		).null(0),
	},
	KeyCreatePartitions: {
		listOf[kmsg.CreatePartitionsRequestTopic](
			text(),
			integer32(), // count
			listOf[kmsg.CreatePartitionsRequestTopicAssignment](
				bareListOf[int32](integer32()),
			).null(0),
		),
		integer32(), // timeout
		flag(),      // validate only
	},
	KeyIncrementalAlterConfigs: {
		listOf[kmsg.IncrementalAlterConfigsRequestResource](
			integer8(), // resource type
			text(),
			listOf[kmsg.IncrementalAlterConfigsRequestResourceConfig](
				text(),
				integer8(), // operation
				text().null(0),
			),
		),
		flag(), // validate only
	},
	KeyElectLeaders: {
		integer8().since(1), // kind of election
		listOf[kmsg.ElectLeadersRequestTopic](
			text(),
			bareListOf[int32](integer32()),
		).null(0),
		integer32(), // timeout
	},
	KeyDescribeQuorum: {
		listOf[kmsg.DescribeQuorumRequestTopic](
			text(),
			listOf[kmsg.DescribeQuorumRequestTopicPartition](
				integer32(),
			),
		),
	},
	KeyUpdateFeatures: {
		integer32(), // timeout
		listOf[kmsg.UpdateFeaturesRequestFeatureUpdate](
			text(),
			integer16(),         // level
			flag().until(0),     // may be lowered
			integer8().since(1), // kind of change
		),
		flag().since(1), // validate only
	},
	KeyDescribeClientQuotas: {
		listOf[kmsg.DescribeClientQuotasRequestComponent](
			text(),         // kind of name
			integer8(),     // how it matches
			text().null(0), // which
		),
		flag(), // nothing else
	},
	KeyAlterClientQuotas: {
		listOf[kmsg.AlterClientQuotasRequestEntry](
			listOf[kmsg.AlterClientQuotasRequestEntryEntity](
				text(),
				text().null(0),
			),
			listOf[kmsg.AlterClientQuotasRequestEntryOp](
				text(),
				integer64(), // the bits of a float
				flag(),      // remove
			),
		),
		flag(), // validate only
	},
	KeyUnregisterBroker: {
		integer32(), // broker
	},
	KeyListConfigResources: {
		bareListOf[int8](integer8()).since(1), // kinds
	},
	KeyAlterPartitionReassignments: {
		integer32(),     // timeout
		flag().since(1), // another number of replicas is allowed
		listOf[kmsg.AlterPartitionAssignmentsRequestTopic](
			text(),
			listOf[kmsg.AlterPartitionAssignmentsRequestTopicPartition](
				integer32(), // partition
				bareListOf[int32](integer32()).null(0),
			),
		),
	},
	KeyListPartitionReassignments: {
		integer32(), // timeout
		listOf[kmsg.ListPartitionReassignmentsRequestTopic](
			text(),
			bareListOf[int32](integer32()),
		).null(0),
	},
	KeyDescribeCluster: {
		flag(),              // with operations
		integer8().since(1), // endpoint type
		flag().since(2),     // fenced brokers too
	},
	KeyDescribeProducers: {
		listOf[kmsg.DescribeProducersRequestTopic](
			text(),
			bareListOf[int32](integer32()),
		),
	},
	KeyDescribeTopicPartitions: {
		listOf[kmsg.DescribeTopicPartitionsRequestTopic](text()),
		integer32(), // partitions at most
		maybeOne[kmsg.DescribeTopicPartitionsRequestCursor](
			text(),
			integer32(), // partition
		),
	},
}
