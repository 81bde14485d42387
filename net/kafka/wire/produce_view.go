package wire

import "pinion/engine/model"

// Produce versions whose layout differs.
const (
	produceVersionMin   = 3
	produceVersionMax   = 13
	produceErrorRecords = 8  // record errors and a message per partition (KIP-467)
	produceFlexible     = 9  // tagged fields
	produceLeaderHints  = 10 // current leader and node endpoints (KIP-951)
	produceTopicIDs     = 13 // topics by id (KIP-516)
)

// ProduceView reads a Produce request, versions 3 to 13, in place. The order of calls is
//
//	p.Reset(version, body)
//	p.Check()                        // walks it all; nothing below can fail afterwards
//	for p.NextTopic() {
//		for p.NextPartition() { … }
//	}
//
// Slices are views into the body. One owner at a time; a view may be reused with Reset.
type ProduceView struct {
	TransactionalID []byte // nil = null
	Acks            int16  // -1, 0 or 1; not validated here
	TimeoutMs       int32

	version  int16
	flexible bool

	r          reader
	first      int // where the first topic begins
	topics     int
	topicsLeft int // topics not yet entered
	partsLeft  int // partitions of the current topic not yet entered
	inTopic    bool
	ended      bool // the request's own tagged fields have been passed

	name      []byte
	id        model.TopicID
	index     int32
	records   []byte
	recordsAt int
}

// Reset points the view at a body and reads what comes before the topics. The error is a Fault.
func (p *ProduceView) Reset(version int16, body []byte) error {
	*p = ProduceView{version: version, flexible: version >= produceFlexible, r: reader{b: body}}
	if version < produceVersionMin || version > produceVersionMax {
		p.r.fail(FaultVersion)
		return FaultVersion
	}
	p.TransactionalID = p.r.nullable(p.flexible)
	p.Acks = p.r.int16()
	p.TimeoutMs = p.r.int32()
	p.topics = p.r.array(p.flexible, p.topicBytesMin())
	p.first = p.r.at
	p.topicsLeft = p.topics
	return p.r.fault.err()
}

// topicBytesMin is a topic without partitions: a name of no bytes or an id, a count, and in flexible versions no tags.
func (p *ProduceView) topicBytesMin() int {
	switch {
	case p.version >= produceTopicIDs:
		return 16 + 1 + 1
	case p.flexible:
		return 1 + 1 + 1
	default:
		return 2 + 4
	}
}

// partitionBytesMin is an index, null records, and in flexible versions no tags.
func (p *ProduceView) partitionBytesMin() int {
	if p.flexible {
		return 4 + 1 + 1
	}
	return 4 + 4
}

// Check walks the whole request once and goes back to the first topic. The counts are bounded by the body's size.
func (p *ProduceView) Check() (partitions, topics int, err error) {
	p.Rewind()
	for p.NextTopic() {
		partitions += p.partsLeft
	}
	fault := p.r.fault
	if fault != FaultNone {
		return 0, 0, fault
	}
	p.Rewind()
	return partitions, p.topics, nil
}

// Rewind goes back to the first topic. A request found faulty stays so.
func (p *ProduceView) Rewind() {
	if p.r.fault != FaultNone {
		return
	}
	p.r.at = p.first
	p.topicsLeft, p.partsLeft = p.topics, 0
	p.inTopic, p.ended = false, false
}

// NextTopic moves to the next topic, passing over what is left of the current one; false at the end or on a fault.
func (p *ProduceView) NextTopic() bool {
	if p.inTopic {
		for p.NextPartition() {
		}
		if p.flexible {
			p.r.skipTags()
		}
		p.inTopic = false
	}
	if p.r.fault != FaultNone {
		return false
	}
	if p.topicsLeft == 0 {
		p.end()
		return false
	}
	p.topicsLeft--
	if p.version >= produceTopicIDs {
		p.id = p.r.uuid()
	} else {
		p.name = p.r.text(p.flexible)
	}
	p.partsLeft = p.r.array(p.flexible, p.partitionBytesMin())
	p.inTopic = p.r.fault == FaultNone
	return p.inTopic
}

func (p *ProduceView) end() {
	if !p.ended && p.flexible {
		p.r.skipTags()
	}
	p.ended = true
}

// NextPartition moves to the next partition of the current topic; false after its last one or on a fault.
func (p *ProduceView) NextPartition() bool {
	if p.partsLeft == 0 || p.r.fault != FaultNone {
		return false
	}
	p.partsLeft--
	p.index = p.r.int32()
	p.records = p.r.blob(p.flexible)
	p.recordsAt = p.r.at - len(p.records)
	if p.flexible {
		p.r.skipTags()
	}
	return p.r.fault == FaultNone
}

// Version is the version given to Reset.
func (p *ProduceView) Version() int16 { return p.version }

// TopicName is the current topic's name, nil from version 13 on.
func (p *ProduceView) TopicName() []byte { return p.name }

// TopicID is the current topic's id, zero before version 13.
func (p *ProduceView) TopicID() model.TopicID { return p.id }

// Partitions is how many partitions of the current topic NextPartition has yet to visit.
func (p *ProduceView) Partitions() int { return p.partsLeft }

// Index is the current partition's number, as sent.
func (p *ProduceView) Index() int32 { return p.index }

// Records is what is to be appended, nil for null. The bytes are the request's own and may be stamped in place.
func (p *ProduceView) Records() []byte { return p.records }

// RecordsAt is where Records begins in the body, in bytes. Not meaningful for null records.
func (p *ProduceView) RecordsAt() int { return p.recordsAt }

// Err is the first fault met, nil if there is none.
func (p *ProduceView) Err() error { return p.r.fault.err() }
