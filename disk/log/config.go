package log

// Config is what the topic's configuration says about its files. Times are milliseconds, sizes bytes.
type Config struct {
	SegmentBytes       int64 // segment.bytes: a batch that would make the segment larger goes to a new one
	SegmentMs          int64 // segment.ms
	SegmentJitterMs    int64 // segment.jitter.ms: taken off SegmentMs, another part of it for each segment
	IndexIntervalBytes int   // index.interval.bytes: at least this much between two index entries
	IndexBytesMax      int   // segment.index.bytes
	RetentionMs        int64 // retention.ms; -1 keeps forever
	RetentionBytes     int64 // retention.bytes; -1 keeps all
	Delete             bool  // cleanup.policy has delete: Expire looks at retention
	Compact            bool  // cleanup.policy has compact: offsets may have gaps
	DeleteRetentionMs  int64 // delete.retention.ms: how long tombstones outlive the pass that finds them
	MinCompactionLagMs int64 // min.compaction.lag.ms
	MaxCompactionLagMs int64 // max.compaction.lag.ms
	Spare              bool  // appends may take of what is kept free of the disk (device.KeepFree): the broker's own state
}

// Chosen by us.
const (
	reserveMin = 16 << 10 // a new segment's first reservation: 20,000 idle partitions then hold 320 MiB
	reserveMax = 32 << 20 // at 1 GB/s one reservation every 30 ms

	// marksMax bounds the search index of an open segment: 4096 marks are 32 KiB, and leave 256 KiB of a 1 GiB segment to walk.
	marksMax = 4096
	// pendingMax is how many index entries may wait for their file before Ahead asks for NeedIndex.
	pendingMax = 4096

	// offsetRoom is how far the end may run from the base of a segment before Need rolls it: offsets in the indexes are 31
	// bits, and half of them stay free for the one batch that Need knows nothing about.
	offsetRoom = 1 << 30
)

// Fixed by Kafka's format.
const (
	indexEntryBytes = 8
	timeEntryBytes  = 12
	segmentBytesMax = 1<<31 - 1 // positions in the index are 31 bits
)

// Need says what must be prepared before a batch can be staged.
type Need uint8

const (
	NeedNone   Need = iota // Stage it
	NeedActive             // the active segment must be made, or opened: Prepare
	NeedRoll               // the active segment is full or old: Write what is staged, then Prepare
	NeedSpace              // more space must be reserved: Prepare
	NeedIndex              // Ahead only: index entries should reach their files: Prepare
	NeedWait               // a Work that comes first is under way: ask again after its Finish
	NeedFailed             // the log has failed (Err): nothing can be appended any more
)

func (n Need) String() string {
	switch n {
	case NeedNone:
		return "none"
	case NeedActive:
		return "active"
	case NeedRoll:
		return "roll"
	case NeedSpace:
		return "space"
	case NeedIndex:
		return "index"
	case NeedWait:
		return "wait"
	case NeedFailed:
		return "failed"
	}
	return "unknown"
}
