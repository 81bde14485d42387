package catalog

import (
	"fmt"

	"pinion/engine/placement"
)

// Result is the outcome of one command.
type Result struct {
	Err   *Error // nil: done
	Index uint64 // log index of the command; an image of at least this revision shows its effect

	Topic           *placement.Topic // topic commands: the topic as it now stands; a deletion: as it was
	BrokerEpoch     int64            // RegisterBroker
	FirstProducerID int64            // AllocateProducerIDs: the block [FirstProducerID, FirstProducerID+ProducerIDs)
	ProducerIDs     int64
}

// Code is why a command was refused. net maps it to a Kafka error code in one place.
type Code uint8

// The codes, each with the Kafka error it stands for.
const (
	TopicExists              Code = iota + 1 // TOPIC_ALREADY_EXISTS
	InvalidTopic                             // INVALID_TOPIC_EXCEPTION: name refused, or it collides in metrics
	UnknownTopic                             // UNKNOWN_TOPIC_OR_PARTITION
	UnknownTopicID                           // UNKNOWN_TOPIC_ID
	UnknownPartition                         // UNKNOWN_TOPIC_OR_PARTITION
	InvalidPartitions                        // INVALID_PARTITIONS
	InvalidReplicationFactor                 // INVALID_REPLICATION_FACTOR
	InvalidAssignment                        // INVALID_REPLICA_ASSIGNMENT
	InvalidConfig                            // INVALID_CONFIG
	InvalidRegistration                      // INVALID_REGISTRATION
	UnknownBroker                            // BROKER_ID_NOT_REGISTERED
	InvalidRequest                           // INVALID_REQUEST
	TooLarge                                 // POLICY_VIOLATION: one command asks for too much
	LimitReached                             // POLICY_VIOLATION: the cluster holds as much as it may
	Malformed                                // UNKNOWN_SERVER_ERROR: the bytes of the command make no sense
	Unsupported                              // the node must stop: a newer build wrote this command
	NotLeader                                // NOT_CONTROLLER: proposed, but this node could not get it agreed; nothing changed
	Changed                                  // none: the configuration is not the one the proposer looked at; look again
	Throttled                                // THROTTLING_QUOTA_EXCEEDED: not proposed, because a quota is used up
	Stopped                                  // the control loop has ended; whether the command was agreed is unknown
)

// Error is a refusal. Message is written for the client's user, in Kafka's words where Kafka has them.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return e.Message }

func refused(code Code, format string, args ...any) Result {
	return Result{Err: &Error{Code: code, Message: fmt.Sprintf(format, args...)}}
}

func malformed(kind Kind) Result { return refused(Malformed, "malformed command of kind %d", kind) }
