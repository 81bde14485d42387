package batch

import (
	"encoding/binary"

	"pinion/engine/model"
	"pinion/engine/must"
)

// Stamp writes base offset and leader epoch into the header of the batch at the start of b. Both are outside the CRC.
func Stamp(b []byte, base model.Offset, epoch model.Epoch) {
	if len(b) < HeaderSize {
		must.Failf("stamp a batch of %d bytes", len(b))
	}
	binary.BigEndian.PutUint64(b[atBaseOffset:], uint64(base))
	binary.BigEndian.PutUint32(b[atEpoch:], uint32(epoch))
}

// StampAppendTime turns the batch b, exactly one batch, into one with broker timestamps: it sets the timestamp type and the maximum
// timestamp (ts, milliseconds since the Unix epoch) and recomputes the CRC over the whole batch. The base timestamp and the records stay as
// they are, as in Kafka: readers take every record's time from the maximum timestamp. As Kafka's, it also clears the unused
// attribute bits.
func StampAppendTime(b []byte, ts int64) {
	stampTime(b, AppendTime, ts)
}

// StampMaxTimestamp writes what the records say (Verdict.MaxTimestamp) over the maximum timestamp a client put into the batch b, keeps
// CreateTime, and recomputes the CRC. Kafka does so silently when the two differ; nobody refuses such a batch.
func StampMaxTimestamp(b []byte, ts int64) {
	stampTime(b, 0, ts)
}

func stampTime(b []byte, kind uint16, ts int64) {
	if len(b) < HeaderSize {
		must.Failf("stamp a batch of %d bytes", len(b))
	}
	attributes := binary.BigEndian.Uint16(b[atAttributes:])
	if attributes&AppendTime == kind && int64(binary.BigEndian.Uint64(b[atMaxTimestamp:])) == ts {
		return
	}
	attributes = attributes&(attrKept&^AppendTime) | kind
	binary.BigEndian.PutUint16(b[atAttributes:], attributes)
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(ts))
	stampCRC(b)
}
