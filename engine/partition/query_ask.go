package partition

import (
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/producer"
	"pinion/engine/shard"
)

// Query is what a QueryAsk wants to know.
type Query uint8

const (
	QueryEarliest  Query = iota // log start offset
	QueryLatest                 // high watermark, or last stable offset when Committed
	QueryMaxTime                // offset of the largest timestamp (KIP-734)
	QueryTime                   // first record at or after Time
	QueryEpochEnd               // end offset of the largest epoch <= Ending (KIP-101, KIP-279)
	QueryProducers              // who writes with sequence numbers (DescribeProducers, API key 61)
	QueryTrim                   // delete what lies below Before (DeleteRecords, API key 21)
	QueryRelocate               // go to another log directory, or stay in this one (AlterReplicaLogDirs, API key 34)
)

// bounds reports whether the answer only says where the log, or an epoch in it, begins and ends.
func (q Query) bounds() bool { return q == QueryEarliest || q == QueryLatest || q == QueryEpochEnd }

// TrimToHigh asks QueryTrim to delete everything up to the high watermark. Fixed by the protocol.
const TrimToHigh model.Offset = -1

// QueryAsk is mail: one question about one partition, sent by a home shard, answered by QueryReply. Cold: it is allocated for
// each question.
type QueryAsk struct {
	shard.Letter

	// Set by the home shard.
	Home      model.ShardID
	To        *Set
	Caller    QueryCaller
	Partition model.Partition
	Slot      int32
	Query     Query
	Epoch     model.Epoch // current leader epoch the client knows, or NoEpoch
	Time      int64
	Ending    model.Epoch
	Committed bool
	Before    model.Offset      // of QueryTrim
	Place     *logdir.Directory // of QueryRelocate; none that is missing

	// Set by the owner.
	Code        Code
	Offset      model.Offset
	Timestamp   int64
	LeaderEpoch model.Epoch // of the record found, or of the answer's epoch
	Producers   []producer.Active
}

// QueryCaller is told the answer on the home shard.
type QueryCaller interface {
	Answered(t *shard.Turn, ask *QueryAsk)
}

// Deliver hands the question to the owner.
func (a *QueryAsk) Deliver(t *shard.Turn) { a.To.query(t, a) }

// QueryReply is the ask on its way home.
type QueryReply QueryAsk

// Deliver tells the caller.
func (r *QueryReply) Deliver(t *shard.Turn) {
	a := (*QueryAsk)(r)
	a.Caller.Answered(t, a)
}

func (a *QueryAsk) reply(t *shard.Turn, code Code) {
	a.Code = code
	t.Reply(a.Home, (*QueryReply)(a))
}
