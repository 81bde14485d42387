package wire

import (
	"pinion/engine/model"
	"pinion/engine/must"
)

// ProduceWriter builds one Produce response, versions 3 to 13, into a buffer of the caller's: Start, then for each topic
// Topic and as many Partition as it announced, then Finish. It allocates only when the buffer must grow. The caller
// keeps the counts it announced; breaking that is our bug and stops the process.
type ProduceWriter struct {
	buf      []byte
	start    int // where the frame's length field lies in buf
	version  int16
	flexible bool
	topics   int // announced, not yet begun
	parts    int // announced for the current topic, not yet written
	inTopic  bool
}

// ProduceResult is one partition's answer. On an error Kafka sends -1 for the three offsets and times.
type ProduceResult struct {
	Index      int32
	Code       ErrorCode
	BaseOffset model.Offset
	AppendTime int64        // milliseconds; -1 unless the topic uses LogAppendTime
	LogStart   model.Offset // from version 5
	Records    []RecordError
	Message    string     // "" = null; from version 8
	Leader     LeaderHint // from version 10
}

// RecordError names a record that caused its batch to be refused (KIP-467).
type RecordError struct {
	Index   int32  // position in the batch
	Message string // "" = null
}

// Start begins a frame at the end of dst.
func (w *ProduceWriter) Start(dst []byte, version int16, correlation int32, topics int) {
	if version < produceVersionMin || version > produceVersionMax {
		must.Failf("produce response version %d", version)
	}
	*w = ProduceWriter{start: len(dst), version: version, flexible: version >= produceFlexible, topics: topics}
	dst = append(dst, 0, 0, 0, 0)
	dst = appendInt32(dst, correlation)
	if w.flexible {
		dst = append(dst, 0)
	}
	w.buf = appendCount(dst, topics, w.flexible)
}

// Topic begins a topic: by name before version 13, by id from then on; the other one is ignored.
func (w *ProduceWriter) Topic(name []byte, id model.TopicID, partitions int) {
	w.enter(partitions)
	w.buf = appendTopic(w.buf, name, id, w.version >= produceTopicIDs, w.flexible, partitions)
}

// TopicNamed is Topic for a name held as a string.
func (w *ProduceWriter) TopicNamed(name string, id model.TopicID, partitions int) {
	w.enter(partitions)
	w.buf = appendTopic(w.buf, name, id, w.version >= produceTopicIDs, w.flexible, partitions)
}

func (w *ProduceWriter) enter(partitions int) {
	w.leave()
	if w.topics == 0 {
		must.Failf("produce response has more topics than announced")
	}
	w.topics--
	w.parts, w.inTopic = partitions, true
}

func (w *ProduceWriter) leave() {
	if w.parts != 0 {
		must.Failf("produce response lacks %d partitions of a topic", w.parts)
	}
	if w.inTopic && w.flexible {
		w.buf = append(w.buf, 0)
	}
	w.inTopic = false
}

// Partition writes one partition's answer. The result is not kept.
func (w *ProduceWriter) Partition(p *ProduceResult) {
	if w.parts == 0 {
		must.Failf("produce response has more partitions than announced")
	}
	w.parts--
	b := appendInt32(w.buf, p.Index)
	b = appendInt16(b, int16(p.Code))
	b = appendInt64(b, int64(p.BaseOffset))
	b = appendInt64(b, p.AppendTime)
	if w.version >= 5 {
		b = appendInt64(b, int64(p.LogStart))
	}
	if w.version >= produceErrorRecords {
		b = appendCount(b, len(p.Records), w.flexible)
		for i := range p.Records {
			b = appendInt32(b, p.Records[i].Index)
			b = appendNullable(b, p.Records[i].Message, w.flexible)
			if w.flexible {
				b = append(b, 0)
			}
		}
		b = appendNullable(b, p.Message, w.flexible)
	}
	if w.flexible {
		if w.version >= produceLeaderHints && p.Leader.Known {
			b = append(b, 1)
			b = appendLeaderHint(b, 0, p.Leader)
		} else {
			b = append(b, 0)
		}
	}
	w.buf = b
}

// Finish closes the frame, fills its length and returns the buffer given to Start with the frame appended. Nodes are the
// endpoints of the leaders hinted at, sent from version 10.
func (w *ProduceWriter) Finish(throttleMs int32, nodes []Endpoint) []byte {
	w.leave()
	if w.topics != 0 {
		must.Failf("produce response lacks %d topics", w.topics)
	}
	b := appendInt32(w.buf, throttleMs)
	if w.version >= produceLeaderHints {
		b = appendEndpoints(b, nodes)
	} else if w.flexible {
		b = append(b, 0)
	}
	w.buf = nil
	FinishFrame(b, w.start, 0)
	return b
}

// ProduceRoom bounds the buffer of a response of any version without record errors, messages and endpoints. Bytes.
func ProduceRoom(topics, topicNameBytes, partitions int) int {
	const (
		head  = lengthBytes + 4 + 1 + 5 + 4 + 1
		topic = 16 + 5 + 1
		part  = 4 + 2 + 8 + 8 + 8 + 4 + 2 + 1 + leaderHintBytes
	)
	return head + topics*topic + topicNameBytes + partitions*part
}
