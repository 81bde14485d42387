package wire

import (
	"encoding/binary"
	"math"

	"pinion/engine/model"
)

// Fetch versions whose layout differs.
const (
	fetchVersionMin   = 4
	fetchVersionMax   = 18
	fetchLogStart     = 5
	fetchSessions     = 7  // KIP-227
	fetchLeaderEpoch  = 9  // KIP-320
	fetchRack         = 11 // KIP-392
	fetchFlexible     = 12 // tagged fields, last fetched epoch, diverging epoch
	fetchTopicIDs     = 13 // KIP-516
	fetchReplicaState = 15 // KIP-903: the replica moves into a tagged field
	fetchLeaderHints  = 16 // KIP-951
	fetchDirectoryID  = 17 // KIP-853
	fetchReplicaHigh  = 18 // KIP-1166
)

// Tagged fields of the request.
const (
	fetchTagCluster      = 0
	fetchTagReplicaState = 1
	fetchTagDirectory    = 0 // of a partition
	fetchTagHigh         = 1 // of a partition
)

// FetchView reads a Fetch request, versions 4 to 18, in place. The order of calls is as for ProduceView, and after the
// topics come the forgotten ones:
//
//	for p.NextForgotten() {
//		for p.NextForgottenIndex() { … }
//	}
//
// The fields marked "after Check" lie behind the topics on the wire. Slices are views into the body. One owner at a time.
type FetchView struct {
	MaxWaitMs, MinBytes, MaxBytes int32
	Isolation                     int8  // 0 read uncommitted, 1 read committed
	SessionID                     int32 // 0 = none
	SessionEpoch                  int32 // 0 = full fetch that may open a session, -1 = full fetch without one

	ReplicaID    model.NodeID // -1 = a consumer; from version 15 after Check
	ReplicaEpoch int64        // -1 = unknown; after Check
	Rack         []byte       // empty = none; after Check
	ClusterID    []byte       // nil = null; after Check

	// Partition is the one NextPartition moved to.
	Partition FetchPartition

	version   int16
	flexible  bool
	partFixed int // bytes of a partition's fixed fields

	r      reader
	first  int // where the first topic begins
	topics int

	forgottenAt int // where the first forgotten topic begins; known after Check
	forgotten   int

	topicsLeft, partsLeft       int
	inTopic                     bool
	forgottenLeft, forgottenOwn int
	inForgotten                 bool

	name  []byte
	id    model.TopicID
	index int32 // of a forgotten partition
}

// FetchPartition is what a client asks of one partition. Fields a version lacks have Kafka's defaults.
type FetchPartition struct {
	Index            int32
	MaxBytes         int32
	CurrentEpoch     model.Epoch // NoEpoch = do not fence
	LastFetchedEpoch model.Epoch // NoEpoch = do not look for divergence
	Offset           model.Offset
	LogStart         model.Offset // of a follower; -1 for consumers
	HighWatermark    model.Offset // known to a follower; MaxInt64 = not said
	Directory        [16]byte     // of a follower; zero = not said
}

// Reset points the view at a body and reads what comes before the topics. The error is a Fault.
func (p *FetchView) Reset(version int16, body []byte) error {
	*p = FetchView{version: version, flexible: version >= fetchFlexible, r: reader{b: body}}
	p.partFixed = p.partitionFixedBytes()
	p.ReplicaID, p.ReplicaEpoch, p.SessionEpoch = -1, -1, -1
	if version < fetchVersionMin || version > fetchVersionMax {
		p.r.fail(FaultVersion)
		return FaultVersion
	}
	if version < fetchReplicaState {
		p.ReplicaID = model.NodeID(p.r.int32())
	}
	p.MaxWaitMs = p.r.int32()
	p.MinBytes = p.r.int32()
	p.MaxBytes = p.r.int32()
	p.Isolation = p.r.int8()
	if version >= fetchSessions {
		p.SessionID = p.r.int32()
		p.SessionEpoch = p.r.int32()
	}
	p.topics = p.r.array(p.flexible, p.topicBytesMin())
	p.first = p.r.at
	p.topicsLeft = p.topics
	return p.r.fault.err()
}

// topicBytesMin is a topic, or a forgotten one, without partitions.
func (p *FetchView) topicBytesMin() int {
	switch {
	case p.version >= fetchTopicIDs:
		return 16 + 1 + 1
	case p.flexible:
		return 1 + 1 + 1
	default:
		return 2 + 4
	}
}

func (p *FetchView) partitionFixedBytes() int {
	n := 4 + 8 + 4 // index, offset, most bytes
	if p.version >= fetchLogStart {
		n += 8
	}
	if p.version >= fetchLeaderEpoch {
		n += 4
	}
	if p.flexible {
		n += 4 // last fetched epoch
	}
	return n
}

func (p *FetchView) partitionBytesMin() int {
	if p.flexible {
		return p.partFixed + 1
	}
	return p.partFixed
}

// Check walks the whole request once, fills the fields that come last on the wire and goes back to the first topic. The
// counts are bounded by the body's size; forgotten topics are counted by Forgotten.
func (p *FetchView) Check() (partitions, topics int, err error) {
	p.Rewind()
	for p.NextTopic() {
		partitions += p.partsLeft
		p.passPartitions()
	}
	if p.version >= fetchSessions {
		p.forgotten = p.r.array(p.flexible, p.topicBytesMin())
	}
	p.forgottenAt, p.forgottenLeft = p.r.at, p.forgotten
	for p.NextForgotten() {
	}
	if p.version >= fetchRack {
		p.Rack = p.r.text(p.flexible)
	}
	if p.flexible {
		p.readTags()
	}
	if fault := p.r.fault; fault != FaultNone {
		return 0, 0, fault
	}
	p.Rewind()
	return partitions, p.topics, nil
}

// readTags reads the request's own tagged fields.
func (p *FetchView) readTags() {
	for n := p.r.tagCount(); n > 0; n-- {
		number, content := p.r.tag()
		switch {
		case number == fetchTagCluster:
			p.ClusterID = content.nullable(true)
			p.r.settle(&content)
		case number == fetchTagReplicaState && p.version >= fetchReplicaState:
			p.ReplicaID = model.NodeID(content.int32())
			p.ReplicaEpoch = content.int64()
			content.skipTags()
			p.r.settle(&content)
		case number == fetchTagReplicaState:
			p.r.fail(FaultTag)
		}
	}
}

// Rewind goes back to the first topic and the first forgotten one. A request found faulty stays so.
func (p *FetchView) Rewind() {
	if p.r.fault != FaultNone {
		return
	}
	p.r.at = p.first
	p.topicsLeft, p.partsLeft, p.inTopic = p.topics, 0, false
	p.forgottenLeft, p.forgottenOwn, p.inForgotten = p.forgotten, 0, false
}

// NextTopic moves to the next topic, passing over what is left of the current one; false at the end or on a fault.
func (p *FetchView) NextTopic() bool {
	if p.inTopic {
		for p.NextPartition() {
		}
		if p.flexible {
			p.r.skipTags()
		}
		p.inTopic = false
	}
	if p.topicsLeft == 0 || p.r.fault != FaultNone {
		return false
	}
	p.topicsLeft--
	p.readTopic()
	p.partsLeft = p.r.array(p.flexible, p.partitionBytesMin())
	p.inTopic = p.r.fault == FaultNone
	return p.inTopic
}

func (p *FetchView) readTopic() {
	if p.version >= fetchTopicIDs {
		p.id = p.r.uuid()
	} else {
		p.name = p.r.text(p.flexible)
	}
}

// NextPartition moves to the next partition of the current topic and fills Partition; false after the last one or on a
// fault.
func (p *FetchView) NextPartition() bool {
	if p.partsLeft == 0 || p.r.fault != FaultNone {
		return false
	}
	p.partsLeft--
	b := p.r.take(p.partFixed)
	if b == nil {
		return false
	}
	p.Partition.read(b, p.version)
	if p.flexible {
		p.readPartitionTags()
	}
	return p.r.fault == FaultNone
}

// read takes the fixed fields from b, which has exactly as many bytes as the version wants.
func (q *FetchPartition) read(b []byte, version int16) {
	*q = FetchPartition{CurrentEpoch: model.NoEpoch, LastFetchedEpoch: model.NoEpoch, LogStart: -1, HighWatermark: math.MaxInt64}
	q.Index = int32(binary.BigEndian.Uint32(b))
	b = b[4:]
	if version >= fetchLeaderEpoch {
		q.CurrentEpoch = model.Epoch(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	q.Offset = model.Offset(binary.BigEndian.Uint64(b))
	b = b[8:]
	if version >= fetchFlexible {
		q.LastFetchedEpoch = model.Epoch(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	if version >= fetchLogStart {
		q.LogStart = model.Offset(binary.BigEndian.Uint64(b))
		b = b[8:]
	}
	q.MaxBytes = int32(binary.BigEndian.Uint32(b))
}

// passPartitions goes to the end of the current topic's partitions, checking as much as NextPartition would.
func (p *FetchView) passPartitions() {
	if !p.flexible {
		p.r.take(p.partsLeft * p.partFixed)
		p.partsLeft = 0
		return
	}
	for ; p.partsLeft > 0 && p.r.fault == FaultNone; p.partsLeft-- {
		p.r.take(p.partFixed)
		p.readPartitionTags()
	}
}

func (p *FetchView) readPartitionTags() {
	if p.r.at < len(p.r.b) && p.r.b[p.r.at] == 0 { // as all consumers send it
		p.r.at++
		return
	}
	for n := p.r.tagCount(); n > 0; n-- {
		number, content := p.r.tag()
		switch {
		case number == fetchTagDirectory && p.version >= fetchDirectoryID:
			p.Partition.Directory = content.uuid()
			p.r.settle(&content)
		case number == fetchTagHigh && p.version >= fetchReplicaHigh:
			p.Partition.HighWatermark = model.Offset(content.int64())
			p.r.settle(&content)
		case number == fetchTagDirectory, number == fetchTagHigh:
			p.r.fail(FaultTag)
		}
	}
}

// NextForgotten moves to the next topic with partitions to drop from the session. Only after Check; it leaves the topics
// for good, until Rewind.
func (p *FetchView) NextForgotten() bool {
	if !p.inForgotten && p.forgottenLeft == p.forgotten && p.r.fault == FaultNone {
		p.topicsLeft, p.partsLeft, p.inTopic = 0, 0, false
		p.r.at = p.forgottenAt
	}
	if p.inForgotten {
		for p.NextForgottenIndex() {
		}
		if p.flexible {
			p.r.skipTags()
		}
		p.inForgotten = false
	}
	if p.forgottenLeft == 0 || p.r.fault != FaultNone {
		return false
	}
	p.forgottenLeft--
	p.readTopic()
	p.forgottenOwn = p.r.array(p.flexible, 4)
	p.inForgotten = p.r.fault == FaultNone
	return p.inForgotten
}

// NextForgottenIndex moves to the next partition of the current forgotten topic.
func (p *FetchView) NextForgottenIndex() bool {
	if p.forgottenOwn == 0 || p.r.fault != FaultNone {
		return false
	}
	p.forgottenOwn--
	p.index = p.r.int32()
	return p.r.fault == FaultNone
}

// Version is the version given to Reset.
func (p *FetchView) Version() int16 { return p.version }

// TopicName is the current (or current forgotten) topic's name, nil from version 13 on.
func (p *FetchView) TopicName() []byte { return p.name }

// TopicID is the current (or current forgotten) topic's id, zero before version 13.
func (p *FetchView) TopicID() model.TopicID { return p.id }

// Partitions is how many partitions of the current topic NextPartition has yet to visit.
func (p *FetchView) Partitions() int { return p.partsLeft }

// Forgotten is how many topics have partitions to forget. Only after Check.
func (p *FetchView) Forgotten() int { return p.forgotten }

// ForgottenIndex is the partition NextForgottenIndex moved to.
func (p *FetchView) ForgottenIndex() int32 { return p.index }

// Err is the first fault met, nil if there is none.
func (p *FetchView) Err() error { return p.r.fault.err() }
