package load

import "encoding/binary"

// What follows is the other side of the generator's requests, for loops that answer it without being a broker.

// IsFetch reports whether a frame, length in front, is this package's Fetch and not its Produce.
func IsFetch(frame []byte) bool { return binary.BigEndian.Uint16(frame[4:]) == keyFetch }

// Correlation is the number of a request.
func Correlation(frame []byte) uint32 { return binary.BigEndian.Uint32(frame[atFrameCorrelation:]) }

// producedTopicAt is where the topic's name begins: behind the header, a null transaction, acks, timeout and the number of topics.
const producedTopicAt = 4 + 2 + 2 + 4 + 2 + len(client) + 2 + 2 + 4 + 4

// ProducedTopic is the topic of a Produce request, with the length of its name in front.
func ProducedTopic(frame []byte) []byte {
	return frame[producedTopicAt:][:2+int(binary.BigEndian.Uint16(frame[producedTopicAt:]))]
}

// ProducedBatch is the batch of a Produce request.
func ProducedBatch(frame []byte) []byte {
	return frame[producedTopicAt+len(ProducedTopic(frame))+4+4+4:]
}

// AppendProduceReply writes the answer to a Produce request for partition 0.
func AppendProduceReply(b []byte, correlation uint32, topic []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, correlation)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = append(b, topic...)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint16(b, 0)          // no error
	b = binary.BigEndian.AppendUint64(b, 0)          // base offset
	b = binary.BigEndian.AppendUint64(b, ^uint64(0)) // no append time
	b = binary.BigEndian.AppendUint64(b, 0)          // log start
	b = binary.BigEndian.AppendUint32(b, 0)          // not throttled
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// Fetched is the one partition a Fetch request of a connection that reads one asks for, and from which offset.
func Fetched(frame []byte) (partition int32, offset int64) {
	b := frame[fetchedTopicAt:]
	b = b[2+int(binary.BigEndian.Uint16(b))+4:]
	return int32(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint64(b[4+4:]))
}

// fetchedTopicAt is where the topic's name begins: behind the header, replica, wait, least and most bytes, isolation, session and its epoch,
// and the number of topics.
const fetchedTopicAt = 4 + 2 + 2 + 4 + 2 + len(client) + 4 + 4 + 4 + 4 + 1 + 4 + 4 + 4

// AppendFetchReply writes the answer to a Fetch request with batches of partition 0.
func AppendFetchReply(b []byte, correlation uint32, topic string, batches []byte) []byte {
	return append(AppendFetchHead(b, correlation, topic, 0, len(batches)), batches...)
}

// AppendFetchHead writes what stands before the batches of an answer to a Fetch request for one partition: so many bytes of them follow.
func AppendFetchHead(b []byte, correlation uint32, topic string, partition int32, bytes int) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, correlation)
	b = binary.BigEndian.AppendUint32(b, 0) // not throttled
	b = binary.BigEndian.AppendUint16(b, 0) // no error
	b = binary.BigEndian.AppendUint32(b, 0) // no session
	b = binary.BigEndian.AppendUint32(b, 1)
	b = appendString(b, topic)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(partition))
	b = append(b, make([]byte, partitionFrontBytes-4-4)...)
	b = binary.BigEndian.AppendUint32(b, uint32(bytes))
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4+bytes))
	return b
}
