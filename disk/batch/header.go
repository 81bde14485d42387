// Package batch reads, verifies and stamps Kafka record batches (magic 2) in place. It owns no memory: every function works on
// bytes the caller holds, and only Stamp and StampAppendTime write to them. It does no I/O, knows no topics, and refuses to
// interpret anything but magic 2: older message sets are gone from Kafka 4 as well.
//
// A batch (all integers big-endian; RecordBatch in DefaultRecordBatch.java, KIP-98, KIP-32, KIP-534):
//
//	 0        8       12      16 17     21   23      27        35        43        51   53      57      61
//	+--------+-------+-------+--+------+----+-------+---------+---------+---------+----+-------+-------+---------+
//	| base   | batch | leader|m | CRC- |at- | last  | base    | max     | producer|pro-| base  |records| records |
//	| offset | length| epoch |=2| 32C  |tri-| offset| time-   | time-   | id      |ep- | se-   |       |         |
//	|        |       |       |  |      |bute| delta | stamp   | stamp   |         |och | quence|       |         |
//	+--------+-------+-------+--+------+----+-------+---------+---------+---------+----+-------+-------+---------+
//	                                   |<---------------------- covered by the CRC ------------------------------>|
//	                 |<------------------------- batch length counts these bytes ------------------------------->|
//
// Base offset and leader epoch stand outside the CRC, so that the broker stamps them without reading the payload again.
//
// Attributes: bits 0-2 codec (0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd), 3 append time, 4 transactional, 5 control,
// 6 delete horizon (base timestamp then is the purge time).
//
// A record, everything but its first byte after the length a zig-zag varint:
//
//	+--------+------------+-----------------+--------------+---------+-----+-----------+-------+-------------+---------+
//	| length | attributes | timestamp delta | offset delta | key     | key | value     | value | header      | headers |
//	|        | (one byte) | (64 bits)       |              | length  |     | length    |       | count       |         |
//	+--------+------------+-----------------+--------------+---------+-----+-----------+-------+-------------+---------+
//
// Length -1 means null for keys, values and header values; a header key is never null.
package batch

import (
	"encoding/binary"

	"pinion/disk/codec"
	"pinion/engine/model"
)

// Where the fields of a batch header stand. Fixed by the protocol.
const (
	atBaseOffset      = 0
	atLength          = 8
	atEpoch           = 12
	atMagic           = 16
	atCRC             = 17
	atAttributes      = 21
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atRecords         = 57

	// HeaderSize is where the records begin, in bytes.
	HeaderSize = 61
	// Overhead is what the length field does not count: base offset and the length itself.
	Overhead = atEpoch
	// Magic is the only record format Pinion stores.
	Magic = 2
)

// Attribute bits. Fixed by the protocol.
const (
	CodecMask     = 0x07
	AppendTime    = 0x08
	Transactional = 0x10
	Control       = 0x20
	DeleteHorizon = 0x40
	// attrKept are the bits Kafka writes back when it recomputes attributes; bits 7 to 15 are unused and become zero.
	attrKept = CodecMask | AppendTime | Transactional | Control | DeleteHorizon
)

// What stands in a header for "none". Fixed by the protocol.
const (
	NoProducerID    int64 = -1
	NoProducerEpoch int16 = -1
	NoSequence      int32 = -1
	NoTimestamp     int64 = -1
)

// Header is the decoded header of one batch.
type Header struct {
	BaseOffset      model.Offset
	Length          int32 // bytes after this field: the size of the batch less Overhead
	Epoch           model.Epoch
	Magic           int8
	CRC             uint32 // CRC-32C from the attributes to the end
	Attributes      int16
	LastOffsetDelta int32
	BaseTimestamp   int64 // milliseconds since the Unix epoch, or the purge time when HasDeleteHorizon
	MaxTimestamp    int64 // milliseconds since the Unix epoch
	ProducerID      int64
	ProducerEpoch   int16
	BaseSequence    int32
	Records         int32
}

// ReadHeader decodes the header at the start of b. It is false when b holds less than HeaderSize bytes. It judges nothing: length,
// magic and counts are whatever stands there.
func ReadHeader(b []byte) (Header, bool) {
	if len(b) < HeaderSize {
		return Header{}, false
	}
	b = b[:HeaderSize:HeaderSize]
	return Header{
		BaseOffset:      model.Offset(binary.BigEndian.Uint64(b[atBaseOffset:])),
		Length:          int32(binary.BigEndian.Uint32(b[atLength:])),
		Epoch:           model.Epoch(binary.BigEndian.Uint32(b[atEpoch:])),
		Magic:           int8(b[atMagic]),
		CRC:             binary.BigEndian.Uint32(b[atCRC:]),
		Attributes:      int16(binary.BigEndian.Uint16(b[atAttributes:])),
		LastOffsetDelta: int32(binary.BigEndian.Uint32(b[atLastOffsetDelta:])),
		BaseTimestamp:   int64(binary.BigEndian.Uint64(b[atBaseTimestamp:])),
		MaxTimestamp:    int64(binary.BigEndian.Uint64(b[atMaxTimestamp:])),
		ProducerID:      int64(binary.BigEndian.Uint64(b[atProducerID:])),
		ProducerEpoch:   int16(binary.BigEndian.Uint16(b[atProducerEpoch:])),
		BaseSequence:    int32(binary.BigEndian.Uint32(b[atBaseSequence:])),
		Records:         int32(binary.BigEndian.Uint32(b[atRecords:])),
	}, true
}

// Append writes the header as its HeaderSize bytes behind dst, the CRC field as it stands in h.
func (h *Header) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.BaseOffset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.Length))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.Epoch))
	dst = append(dst, byte(h.Magic))
	dst = binary.BigEndian.AppendUint32(dst, h.CRC)
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.Attributes))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.LastOffsetDelta))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.BaseTimestamp))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.MaxTimestamp))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.ProducerID))
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.ProducerEpoch))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.BaseSequence))
	return binary.BigEndian.AppendUint32(dst, uint32(h.Records))
}

// Size is the whole batch in bytes, header included. It may be nonsense for a header that was not validated; it never overflows.
func (h *Header) Size() int { return int(h.Length) + Overhead }

// LastOffset is the offset of the last record the batch had when it was written.
func (h *Header) LastOffset() model.Offset { return h.BaseOffset + model.Offset(h.LastOffsetDelta) }

// LastSequence is the sequence of the last record, wrapped as Kafka does (after 2^31-1 comes 0), or NoSequence.
func (h *Header) LastSequence() int32 {
	if h.BaseSequence == NoSequence {
		return NoSequence
	}
	return AddSequence(h.BaseSequence, h.LastOffsetDelta)
}

// AddSequence is sequence plus n, wrapping after 2^31-1 to 0. Both must not be negative.
func AddSequence(sequence, n int32) int32 { return int32((uint32(sequence) + uint32(n)) & 0x7fffffff) }

// Codec is the compression of the records; it may be a value codec.Valid refuses.
func (h *Header) Codec() codec.Codec { return codec.Codec(h.Attributes & CodecMask) }

// IsAppendTime reports whether the timestamps are the broker's (LogAppendTime): MaxTimestamp then is that of every record.
func (h *Header) IsAppendTime() bool { return h.Attributes&AppendTime != 0 }

// IsTransactional reports whether the batch belongs to a transaction.
func (h *Header) IsTransactional() bool { return h.Attributes&Transactional != 0 }

// IsControl reports whether the batch holds a control record (a transaction marker), which clients never see.
func (h *Header) IsControl() bool { return h.Attributes&Control != 0 }

// HasDeleteHorizon reports whether BaseTimestamp is a purge time (KIP-534) rather than the base of timestamps.
func (h *Header) HasDeleteHorizon() bool { return h.Attributes&DeleteHorizon != 0 }

// HasProducer reports whether the batch carries a producer id.
func (h *Header) HasProducer() bool { return h.ProducerID > NoProducerID }
