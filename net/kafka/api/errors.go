package api

import (
	"pinion/disk/batch"
	"pinion/engine/catalog"
	"pinion/engine/partition"
	"pinion/net/kafka/wire"
)

// partitionErrors maps what a partition answers. This file is the one place where inner outcomes become Kafka codes.
var partitionErrors = [...]wire.ErrorCode{
	partition.OK:                 wire.CodeNone,
	partition.UnknownPartition:   wire.CodeUnknownTopicOrPartition,
	partition.NotLeader:          wire.CodeNotLeaderOrFollower,
	partition.Moved:              wire.CodeNotLeaderOrFollower,
	partition.FencedEpoch:        wire.CodeFencedLeaderEpoch,
	partition.UnknownEpoch:       wire.CodeUnknownLeaderEpoch,
	partition.OutOfRange:         wire.CodeOffsetOutOfRange,
	partition.StorageFailed:      wire.CodeKafkaStorageError,
	partition.NoSpace:            wire.CodeKafkaStorageError,
	partition.OutOfOrderSequence: wire.CodeOutOfOrderSequenceNumber,
	partition.StaleProducer:      wire.CodeInvalidProducerEpoch,
	partition.DuplicateUnknown:   wire.CodeDuplicateSequenceNumber,
	partition.TimedOut:           wire.CodeRequestTimedOut,
	partition.TooLarge:           wire.CodeRecordListTooLarge,
	partition.NoTimestamp:        wire.CodeNone, // an answer of offset -1, not an error
	partition.Undeletable:        wire.CodePolicyViolation,
}

func partitionError(c partition.Code) wire.ErrorCode { return partitionErrors[c] }

// byID turns the code for an unknown name into that for an unknown id, where the client asked by id.
func byID(code wire.ErrorCode, asked bool) wire.ErrorCode {
	if asked && code == wire.CodeUnknownTopicOrPartition {
		return wire.CodeUnknownTopicID
	}
	return code
}

// batchError maps why a batch is refused (Kafka's LogValidator and UnifiedLog).
func batchError(f batch.Fault) wire.ErrorCode {
	switch f {
	case batch.FaultNone:
		return wire.CodeNone
	case batch.FaultMalformed, batch.FaultCRC:
		return wire.CodeCorruptMessage
	case batch.FaultTooLarge, batch.FaultInflated:
		return wire.CodeMessageTooLarge
	case batch.FaultCodec:
		return wire.CodeUnsupportedCompressionType
	case batch.FaultTimestamp:
		return wire.CodeInvalidTimestamp
	}
	return wire.CodeInvalidRecord
}

var catalogErrors = map[catalog.Code]wire.ErrorCode{
	catalog.TopicExists:              wire.CodeTopicAlreadyExists,
	catalog.InvalidTopic:             wire.CodeInvalidTopicException,
	catalog.UnknownTopic:             wire.CodeUnknownTopicOrPartition,
	catalog.UnknownTopicID:           wire.CodeUnknownTopicID,
	catalog.UnknownPartition:         wire.CodeUnknownTopicOrPartition,
	catalog.InvalidPartitions:        wire.CodeInvalidPartitions,
	catalog.InvalidReplicationFactor: wire.CodeInvalidReplicationFactor,
	catalog.InvalidAssignment:        wire.CodeInvalidReplicaAssignment,
	catalog.InvalidConfig:            wire.CodeInvalidConfig,
	catalog.InvalidRegistration:      wire.CodeInvalidRegistration,
	catalog.UnknownBroker:            wire.CodeBrokerIDNotRegistered,
	catalog.InvalidRequest:           wire.CodeInvalidRequest,
	catalog.TooLarge:                 wire.CodePolicyViolation,
	catalog.LimitReached:             wire.CodePolicyViolation,
	catalog.NotLeader:                wire.CodeNotController,
	catalog.Changed:                  wire.CodeRequestTimedOut, // after many tries; worth another
	catalog.Throttled:                wire.CodeThrottlingQuotaExceeded,
	catalog.Stopped:                  wire.CodeRequestTimedOut,
}

// catalogError maps a refusal of the catalogue and keeps its words.
func catalogError(e *catalog.Error) (wire.ErrorCode, string) {
	if e == nil {
		return wire.CodeNone, ""
	}
	code, ok := catalogErrors[e.Code]
	if !ok {
		code = wire.CodeUnknownServerError
	}
	return code, e.Message
}
