package admin

import (
	"iter"

	"pinion/net/listen"
)

// Sizes of the counters indexed by protocol numbers.
const (
	// APIKeys is one more than the largest API key counted; larger ones count under the last.
	APIKeys = 100
	// ErrorCodes is the number of Kafka error codes counted, from UNKNOWN_SERVER_ERROR (-1), which has index 0.
	ErrorCodes = 140
)

// ShardStats is a copy of what one shard has counted since start, plus a few levels. All counters only grow. The shard keeps plain
// numbers; whoever builds the func(shard int) ShardStats given to Meter sees to it that a copy is read without a race.
type ShardStats struct {
	// Requests answered, by API key, and responses by error code (index ErrorIndex).
	Requests [APIKeys]uint64
	Errors   [ErrorCodes]uint64

	// Bytes on client sockets, frames included.
	SocketBytesIn, SocketBytesOut uint64

	// Connections open now; accepted and closed since start; refused by a limit or for want of descriptors; turned away by what they
	// sent, by listen.Kind.
	Connections         uint64
	ConnectionsAccepted uint64
	ConnectionsClosed   uint64
	ConnectionsMoved    uint64 // to another shard
	RefusedTotal        uint64
	RefusedPerIP        uint64
	RefusedExhausted    uint64
	Rejects             [listen.KindCount]uint64

	// How often a connection was held back because its client had used up a quota, and for how long in all.
	Throttled, ThrottledNanos uint64

	// What topics of this shard's partitions took in and gave out; see TopicStats.
	Topics TopicCounts

	// Turns of the loop: how long each took from readiness to the end of its work, sleep not included, and how long the shard worked in
	// all. Busy counts polling for mail as well only as far as work was found.
	Turns     Buckets
	BusyNanos uint64

	// Whole time of a request, from its last byte read to its first byte written.
	ProduceTime, FetchTime Buckets

	// Budgets in bytes: used now and limit.
	RequestBytesUsed, RequestBytesLimit   uint64
	ResponseBytesUsed, ResponseBytesLimit uint64
	ParkedBytesUsed, ParkedBytesLimit     uint64

	// Requests parked now (acknowledgements and long polls).
	Parked uint64

	// Mail to other shards: entries sent, asks that had to wait for room, doorbells rung.
	MailTaken, Doorbells uint64

	// Work given to helpers: jobs done and jobs waiting now; reads that missed the page cache.
	HelperJobs, HelperWaiting uint64
	ColdReads                 uint64

	// Replicas this shard owns, and how many of them lead.
	Partitions, Leaders uint64

	// Consumer groups this shard coordinates: how much there is, and what was done.
	Groups, GroupMembers, GroupOffsets, GroupsLoading uint64
	GroupCommits, GroupRebalances, GroupExpired       uint64

	// Compaction: passes that ended well, bytes they read and wrote, records they removed; logs given up after an error now.
	CleanPasses, CleanRead, CleanWritten, CleanRemoved, Uncleanable uint64
	// Of the filthiest log what is not compacted, in thousandths, and the longest pass in milliseconds. Over shards the largest counts.
	DirtyMax, CleanMillisMax uint64
}

// ErrorIndex is where ShardStats.Errors counts a Kafka error code; codes out of range count as UNKNOWN_SERVER_ERROR.
func ErrorIndex(code int16) int {
	if code < -1 || int(code) >= ErrorCodes-1 {
		return 0
	}
	return int(code) + 1
}

// APIIndex is where ShardStats.Requests counts an API key; keys out of range count under the last.
func APIIndex(key int16) int {
	if key < 0 || int(key) >= APIKeys {
		return APIKeys - 1
	}
	return int(key)
}

// TopicCounts are Kafka's BrokerTopicMetrics, of one topic or of all.
type TopicCounts struct {
	MessagesIn, BytesIn, BytesOut  uint64
	BytesRejected                  uint64 // of produces refused, such as too large
	ProduceRequests, ProduceFailed uint64 // Kafka counts once per partition in the request
	FetchRequests, FetchFailed     uint64
	InvalidRecords                 uint64 // batches refused by validation
}

// add counts everything other has counted as well.
func (c *TopicCounts) add(other *TopicCounts) {
	c.MessagesIn += other.MessagesIn
	c.BytesIn += other.BytesIn
	c.BytesOut += other.BytesOut
	c.BytesRejected += other.BytesRejected
	c.ProduceRequests += other.ProduceRequests
	c.ProduceFailed += other.ProduceFailed
	c.FetchRequests += other.FetchRequests
	c.FetchFailed += other.FetchFailed
	c.InvalidRecords += other.InvalidRecords
}

// TopicStats are the counts of one topic on this node.
type TopicStats struct {
	Name       string
	Partitions int // of the topic, anywhere
	Counts     TopicCounts
}

// BrokerStats is a broker as Metadata shows it.
type BrokerStats struct {
	ID      int32
	Address string // host:port
}

// DirectoryStats is a log directory of this node.
type DirectoryStats struct {
	Path    string
	Offline bool // missing, or out of service after an error of its disk
	Full    bool // little room is left
}

// ClusterStats is what the catalogue's image and the node as a whole say.
type ClusterStats struct {
	Controller      bool // this node is the active controller
	Brokers         []BrokerStats
	Topics          int
	Partitions      uint64 // of the whole cluster
	Offline         uint64 // partitions without a leader
	UnderReplicated uint64 // of those led here
	UnderMinISR     uint64 // of those led here
	ISRShrinks      uint64 // since start
	ISRExpands      uint64 // since start
	Directories     []DirectoryStats
	LeaderEpoch     uint64 // raft term of the metadata log
	HighWatermark   uint64 // committed index of the metadata log
	ImageRevision   uint64
	Journal         JournalStats
}

// JournalStats is what makes small appends of fsync topics durable.
type JournalStats struct {
	Writes  uint64 // durable writes
	Commits uint64 // of shards' turns; more than Writes where they were gathered
	Bytes   uint64
	Waits   uint64 // times that producers had to wait because every file was needed
	Files   uint64
	Used    uint64 // files that hold what the segments may lack
}

// PartitionStats is one partition as the exporter-compatible names show it.
type PartitionStats struct {
	Topic           string
	Partition       int32
	Start, End      int64 // log start offset and high watermark
	Size            int64 // bytes on disk here; negative when there is no replica here
	Leader          int32 // -1 when there is none
	Replicas, ISR   int
	LeaderPreferred bool
}

// TopicSeq yields every topic once, in any order.
type TopicSeq = iter.Seq[TopicStats]

// PartitionSeq yields every partition once, all of a topic together.
type PartitionSeq = iter.Seq[PartitionStats]
