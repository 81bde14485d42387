package config

import "strconv"

// TimestampType says who stamps records (message.timestamp.type).
type TimestampType uint8

const (
	// TimestampCreate keeps the producer's timestamps.
	TimestampCreate TimestampType = iota
	// TimestampAppend overwrites them with the time of the append.
	TimestampAppend
)

func (t TimestampType) String() string {
	if t == TimestampAppend {
		return "LogAppendTime"
	}
	return "CreateTime"
}

// Topic is the configuration of one topic: its own overrides over the broker's defaults over Kafka's. It is a value and
// immutable; an altered topic gets a new one. Durations stay in milliseconds as int64, because Kafka's "never" is the
// largest int64, which no time.Duration can hold.
type Topic struct {
	CleanupDelete  bool // cleanup.policy contains delete
	CleanupCompact bool // cleanup.policy contains compact; neither: keep for ever (KIP-1161)

	RetentionMs        int64 // -1: no limit
	RetentionBytes     int64 // per partition; -1: no limit
	SegmentBytes       int64
	SegmentMs          int64
	SegmentJitterMs    int64
	IndexIntervalBytes int32 // bytes of log between index entries
	SegmentIndexBytes  int32 // largest .index and .timeindex
	FileDeleteDelayMs  int64

	MaxMessageBytes   int32 // largest batch, as compressed
	MinInsyncReplicas int32

	CompressionType      string // producer, uncompressed, gzip, snappy, lz4 or zstd
	CompressionGzipLevel int32
	CompressionLZ4Level  int32
	CompressionZstdLevel int32

	TimestampType        TimestampType
	TimestampBeforeMaxMs int64 // how far a record's timestamp may lie before the broker's clock
	TimestampAfterMaxMs  int64 // and after

	DeleteRetentionMs      int64 // how long tombstones outlive their compaction
	MinCompactionLagMs     int64
	MaxCompactionLagMs     int64
	MinCleanableDirtyRatio float64

	FlushMessages          int64 // MaxInt64: never
	FlushMs                int64 // MaxInt64: never
	UncleanElectionEnabled bool
	Preallocate            bool
	Durability             Durability // pinion.durability
}

// OffsetsTopic is what the topic of groups' offsets is created with: compacted, as its records are states, and durable, whatever other topics are.
func OffsetsTopic(g *Groups) map[string]string {
	return map[string]string{
		"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": strconv.Itoa(int(g.SegmentBytes)), "pinion.durability": DurabilityFsync.String(),
	}
}
