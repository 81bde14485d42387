// Package partition holds the replicas one shard owns: for each the log, the producers, the leadership, what is visible, and who
// waits for it. A Set belongs to one shard; asks reach it as mail and go home as mail. It decides offsets and order and refuses
// to know sockets or protocol versions: outcomes are its own codes, which the protocol layer maps.
//
// An ask is lent to the owner from Post until it comes home. Its batch bytes may come home earlier (Stored) when the
// acknowledgement has to wait, so that a parked acknowledgement holds offsets and no payload.
//
// Four marks, in this order, for every partition (marks.go):
//
//	log start <= stable <= high <= end      and      durable <= end
package partition

// Code is the outcome of an ask for one partition.
type Code uint8

const (
	OK                 Code = iota
	UnknownPartition        // no such topic id or partition index
	NotLeader               // this node holds no leading replica
	Moved                   // another shard owns the replica by now; ask again with a later image
	FencedEpoch             // the client's leader epoch is older than ours
	UnknownEpoch            // the client's leader epoch is newer than ours
	OutOfRange              // the offset is below the log start or beyond what is visible
	StorageFailed           // the log directory or this log is fenced after an I/O error
	NoSpace                 // the disk has no room to reserve; nothing was accepted
	OutOfOrderSequence      // a producer's sequence leaves a gap
	StaleProducer           // a producer's epoch is older than the one seen
	DuplicateUnknown        // a duplicate of a batch too old to know its offset
	TimedOut                // stored, but not acknowledged in time
	TooLarge                // the batch is larger than a segment may be
	NoTimestamp             // no record has that timestamp or a later one
	Undeletable             // the topic is compacted only: records go when later ones replace them
)
