package wire

import (
	"cmp"
	"slices"

	"pinion/engine/model"
	"pinion/engine/must"
)

// FetchWriter builds everything of a Fetch response, versions 4 to 18, except the record bytes, which stay where they
// are: Partition says where in the buffer they belong, and the frame's length counts them.
//
//	buffer   [ frame length, header, topic, partition 0 …, records length | tags, partition 1 …, records length | tags ]
//	                                                                      ^ cut 0                               ^ cut 1
//	socket     buffer up to cut 0, span 0, buffer from cut 0 to cut 1, span 1, rest of the buffer
//
// Start, then for each topic Topic and as many Partition as it announced, then Finish. The same rules as for
// ProduceWriter hold.
type FetchWriter struct {
	buf      []byte
	start    int
	foreign  int64 // record bytes that belong to the frame but lie elsewhere
	version  int16
	flexible bool
	topics   int
	parts    int
	inTopic  bool
}

// FetchHead is what a Fetch response says as a whole.
type FetchHead struct {
	ThrottleMs int32
	Code       ErrorCode // from version 7
	SessionID  int32     // from version 7; 0 = no session
}

// FetchResult is one partition's answer, without its records.
type FetchResult struct {
	Index         int32
	Code          ErrorCode
	HighWatermark model.Offset
	LastStable    model.Offset
	LogStart      model.Offset   // from version 5
	Aborted       []AbortedTxn   // nil = null; sorted by first offset
	Preferred     ReplicaHint    // from version 11
	Diverging     DivergingEpoch // from version 12
	Leader        LeaderHint     // from version 12
}

// AbortedTxn is a transaction whose records a read-committed consumer must drop.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset model.Offset
}

// DivergingEpoch tells a client from where on its log differs from the leader's (KIP-595). The zero value says nothing.
type DivergingEpoch struct {
	Known bool
	Epoch model.Epoch
	End   model.Offset
}

// divergingEpochBytes is the content of the tagged field: epoch, end offset, no tags.
const divergingEpochBytes = 4 + 8 + 1

// Tagged fields of a partition in the response.
const (
	fetchTagDiverging = 0
	fetchTagLeader    = 1
)

// Start begins a frame at the end of dst.
func (w *FetchWriter) Start(dst []byte, version int16, correlation int32, head FetchHead, topics int) {
	if version < fetchVersionMin || version > fetchVersionMax {
		must.Failf("fetch response version %d", version)
	}
	*w = FetchWriter{start: len(dst), version: version, flexible: version >= fetchFlexible, topics: topics}
	dst = append(dst, 0, 0, 0, 0)
	dst = appendInt32(dst, correlation)
	if w.flexible {
		dst = append(dst, 0)
	}
	dst = appendInt32(dst, head.ThrottleMs)
	if version >= fetchSessions {
		dst = appendInt16(dst, int16(head.Code))
		dst = appendInt32(dst, head.SessionID)
	}
	w.buf = appendCount(dst, topics, w.flexible)
}

// Topic begins a topic: by name before version 13, by id from then on; the other one is ignored.
func (w *FetchWriter) Topic(name []byte, id model.TopicID, partitions int) {
	w.enter(partitions)
	w.buf = appendTopic(w.buf, name, id, w.version >= fetchTopicIDs, w.flexible, partitions)
}

// TopicNamed is Topic for a name held as a string.
func (w *FetchWriter) TopicNamed(name string, id model.TopicID, partitions int) {
	w.enter(partitions)
	w.buf = appendTopic(w.buf, name, id, w.version >= fetchTopicIDs, w.flexible, partitions)
}

func (w *FetchWriter) enter(partitions int) {
	w.leave()
	if w.topics == 0 {
		must.Failf("fetch response has more topics than announced")
	}
	w.topics--
	w.parts, w.inTopic = partitions, true
}

func (w *FetchWriter) leave() {
	if w.parts != 0 {
		must.Failf("fetch response lacks %d partitions of a topic", w.parts)
	}
	if w.inTopic && w.flexible {
		w.buf = append(w.buf, 0)
	}
	w.inTopic = false
}

// Partition writes one partition's answer around records bytes of records and returns where they belong, as a position in
// the buffer that Finish will return. Records is never null on the wire: some clients stumble over it. The result is not
// kept.
func (w *FetchWriter) Partition(p *FetchResult, records int) (cut int) {
	if w.parts == 0 || records < 0 {
		must.Failf("fetch response has %d partitions left, %d record bytes", w.parts, records)
	}
	w.parts--
	b := appendInt32(w.buf, p.Index)
	b = appendInt16(b, int16(p.Code))
	b = appendInt64(b, int64(p.HighWatermark))
	b = appendInt64(b, int64(p.LastStable))
	if w.version >= fetchLogStart {
		b = appendInt64(b, int64(p.LogStart))
	}
	b = appendAborted(b, p.Aborted, w.flexible)
	if w.version >= fetchRack {
		b = appendReplicaHint(b, p.Preferred)
	}
	b = appendBlobLength(b, records, w.flexible)
	cut = len(b)
	if w.flexible {
		b = appendFetchTags(b, p)
	}
	w.foreign += int64(records)
	w.buf = b
	return cut
}

func appendAborted(b []byte, aborted []AbortedTxn, flexible bool) []byte {
	if aborted == nil {
		return appendNullCount(b, flexible)
	}
	if must.Deep && !slices.IsSortedFunc(aborted, compareAborted) {
		must.Failf("aborted transactions are not sorted: %v", aborted)
	}
	b = appendCount(b, len(aborted), flexible)
	for i := range aborted {
		b = appendInt64(b, aborted[i].ProducerID)
		b = appendInt64(b, int64(aborted[i].FirstOffset))
		if flexible {
			b = append(b, 0)
		}
	}
	return b
}

// compareAborted orders by first offset: consumers take the list from the front while they read on.
func compareAborted(a, b AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) }

func appendFetchTags(b []byte, p *FetchResult) []byte {
	switch {
	case p.Diverging.Known && p.Leader.Known:
		b = append(b, 2)
	case p.Diverging.Known || p.Leader.Known:
		b = append(b, 1)
	default:
		return append(b, 0)
	}
	if p.Diverging.Known {
		b = append(b, fetchTagDiverging, divergingEpochBytes)
		b = appendInt32(b, int32(p.Diverging.Epoch))
		b = appendInt64(b, int64(p.Diverging.End))
		b = append(b, 0)
	}
	if p.Leader.Known {
		b = appendLeaderHint(b, fetchTagLeader, p.Leader)
	}
	return b
}

// Finish closes the frame, fills its length, record bytes included, and returns the buffer given to Start with the frame
// appended, record bytes left out. Nodes are the endpoints of the leaders hinted at, sent from version 16.
func (w *FetchWriter) Finish(nodes []Endpoint) []byte {
	w.leave()
	if w.topics != 0 {
		must.Failf("fetch response lacks %d topics", w.topics)
	}
	b := w.buf
	if w.version >= fetchLeaderHints {
		b = appendEndpoints(b, nodes)
	} else if w.flexible {
		b = append(b, 0)
	}
	w.buf = nil
	FinishFrame(b, w.start, w.foreign)
	return b
}

// FetchRoom bounds the buffer of a response of any version without aborted transactions and endpoints, so that a shard
// can reserve it beforehand. Bytes.
func FetchRoom(topics, topicNameBytes, partitions int) int {
	const (
		head  = lengthBytes + 4 + 1 + 4 + 2 + 4 + 5 + 1
		topic = 16 + 5 + 1 // an id is longer than the length of a name
		part  = 4 + 2 + 8 + 8 + 8 + 4 + 4 + 5 + 1 + 2 + divergingEpochBytes + 2 + leaderHintBytes
	)
	return head + topics*topic + topicNameBytes + partitions*part
}
