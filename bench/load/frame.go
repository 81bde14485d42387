package load

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"pinion/disk/batch"
	"pinion/disk/codec"
)

// Fixed by the protocol: the two requests that are sent, in their last versions without tagged fields.
const (
	keyProduce     = 0
	versionProduce = 7
	keyFetch       = 1
	versionFetch   = 11

	// Of a frame with its length in front.
	atFrameCorrelation = 8

	// Of a batch; see the picture in disk/batch.
	atBatchCRC      = 17
	atBatchCovered  = 21
	atBatchSequence = 53
)

// client is the client id of everything this package sends.
const client = "pinion-bench"

// ackTimeoutMs is what a producer allows the broker for its replicas.
const ackTimeoutMs = 30_000

// produceFrame is one encoded Produce request for one partition, patched in place before each send.
type produceFrame struct {
	bytes     []byte
	records   int32
	partition int // where the index stands
	batch     int // where the batch begins
	stamp     int // where the first record's value begins; 0 unless stamped
	tail      tailCRC
	sequenced bool
}

func newProduceFrame(topic string, acks int16, shape Shape, records []byte, sequenced, stamped bool) (*produceFrame, error) {
	f := &produceFrame{records: int32(shape.Records), sequenced: sequenced}
	b := requestHeader(keyProduce, versionProduce)
	b = binary.BigEndian.AppendUint16(b, 0xffff) // no transaction
	b = binary.BigEndian.AppendUint16(b, uint16(acks))
	b = binary.BigEndian.AppendUint32(b, ackTimeoutMs)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = appendString(b, topic)
	b = binary.BigEndian.AppendUint32(b, 1)
	f.partition = len(b)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(records)))
	f.batch = len(b)
	b = append(b, records...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	f.bytes = b
	if stamped {
		if shape.Codec != codec.None || shape.Records != 1 || shape.RecordBytes < stampBytes {
			return nil, fmt.Errorf("a stamp needs batches of one uncompressed record of %d bytes or more", stampBytes)
		}
		f.stamp = len(b) - 1 - shape.RecordBytes // the header count is behind the value
	}
	if sequenced {
		f.tail = newTailCRC(records[batch.HeaderSize:])
	}
	return f, nil
}

// patch makes the frame the next request.
func (f *produceFrame) patch(correlation, partition, sequence int32, stamp int64) {
	binary.BigEndian.PutUint32(f.bytes[atFrameCorrelation:], uint32(correlation))
	binary.BigEndian.PutUint32(f.bytes[f.partition:], uint32(partition))
	b := f.bytes[f.batch:]
	if f.stamp != 0 {
		binary.BigEndian.PutUint64(f.bytes[f.stamp:], uint64(stamp))
	}
	if f.sequenced {
		binary.BigEndian.PutUint32(b[atBatchSequence:], uint32(sequence))
	}
	switch {
	case f.stamp != 0:
		binary.BigEndian.PutUint32(b[atBatchCRC:], crc32.Checksum(b[atBatchCovered:], castagnoli))
	case f.sequenced:
		binary.BigEndian.PutUint32(b[atBatchCRC:], f.tail.of(b[atBatchCovered:batch.HeaderSize]))
	}
}

// stampBytes is how much of a value the stamp takes.
const stampBytes = 8

// produceError reads the error code out of a response for one partition, without its length.
func produceError(frame []byte) (int16, error) {
	at := 4 + 4 // correlation, number of topics
	if len(frame) < at+2 {
		return 0, fmt.Errorf("a Produce response of %d bytes", len(frame))
	}
	at += 2 + int(binary.BigEndian.Uint16(frame[at:])) + 4 + 4 // name, number of partitions, index
	if len(frame) < at+2 {
		return 0, fmt.Errorf("a Produce response of %d bytes", len(frame))
	}
	return int16(binary.BigEndian.Uint16(frame[at:])), nil
}

// want is one partition of a fetch and where it goes on.
type want struct {
	index  int32
	offset int64
}

// appendFetch writes a whole Fetch request, length in front.
func appendFetch(b []byte, correlation int32, topic string, list []want, waitMs, bytesMin, bytesMax, partitionBytesMax int32) []byte {
	start := len(b)
	b = append(b, requestHeader(keyFetch, versionFetch)...)
	binary.BigEndian.PutUint32(b[start+atFrameCorrelation:], uint32(correlation))
	b = binary.BigEndian.AppendUint32(b, 0xffffffff) // a consumer
	b = binary.BigEndian.AppendUint32(b, uint32(waitMs))
	b = binary.BigEndian.AppendUint32(b, uint32(bytesMin))
	b = binary.BigEndian.AppendUint32(b, uint32(bytesMax))
	b = append(b, 0)                                 // read uncommitted
	b = binary.BigEndian.AppendUint32(b, 0)          // no session
	b = binary.BigEndian.AppendUint32(b, 0xffffffff) // and none wanted
	b = binary.BigEndian.AppendUint32(b, 1)
	b = appendString(b, topic)
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	for _, w := range list {
		b = binary.BigEndian.AppendUint32(b, uint32(w.index))
		b = binary.BigEndian.AppendUint32(b, 0xffffffff) // leader epoch not known
		b = binary.BigEndian.AppendUint64(b, uint64(w.offset))
		b = binary.BigEndian.AppendUint64(b, ^uint64(0)) // log start, for followers
		b = binary.BigEndian.AppendUint32(b, uint32(partitionBytesMax))
	}
	b = binary.BigEndian.AppendUint32(b, 0) // nothing forgotten
	b = appendString(b, "")                 // no rack
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// requestHeader is a frame up to the body, with zeros for length and correlation.
func requestHeader(key, version uint16) []byte {
	b := make([]byte, 4, 256)
	b = binary.BigEndian.AppendUint16(b, key)
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint32(b, 0)
	return appendString(b, client)
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
