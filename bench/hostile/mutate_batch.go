package hostile

import (
	"encoding/binary"
	"hash/crc32"

	"pinion/disk/batch"
)

// Where a record batch keeps what a mutant falsifies, and how wide it is (Kafka's format 2).
const (
	atBatchCRC        = 17
	atBatchAttributes = 21
)

var batchFields = [...]span{
	{0, 8},   // base offset
	{8, 12},  // length
	{12, 16}, // leader epoch
	{16, 17}, // magic
	{21, 23}, // attributes
	{23, 27}, // last offset delta
	{27, 35}, // base timestamp
	{35, 43}, // max timestamp
	{43, 51}, // producer id
	{51, 53}, // producer epoch
	{53, 57}, // base sequence
	{57, 61}, // count of records
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch spoils what a Produce carries. A checksum that fits lets it get as far as it can.
func (m *mutator) batch(t *template, b []byte) []byte {
	if len(t.batches) == 0 {
		return m.numbers(t, b)
	}
	where := t.batches[m.IntN(len(t.batches))]
	records := b[where.from:where.to]
	for range 1 + m.IntN(3) {
		switch m.IntN(5) {
		case 0, 1:
			f := batchFields[m.IntN(len(batchFields))]
			m.number(records[f.from:f.to], b)
		case 2: // claims another codec
			records[atBatchAttributes+1] = records[atBatchAttributes+1]&^7 | byte(m.IntN(8))
		case 3: // a producer at some place in its sequence
			binary.BigEndian.PutUint64(records[43:], uint64(4000+m.IntN(5000)))
			binary.BigEndian.PutUint16(records[51:], uint16(m.IntN(3)))
			binary.BigEndian.PutUint32(records[53:], uint32(m.IntN(4)))
		default: // records, or what they were compressed to
			at := batch.HeaderSize + m.IntN(len(records)-batch.HeaderSize)
			switch m.IntN(3) {
			case 0:
				records[at] ^= 1 << m.IntN(8)
			case 1:
				records[at] = byte(m.Uint32())
			case 2:
				copy(records[at:], m.uvarint(m.edge(4)))
			}
		}
	}
	if m.IntN(8) > 0 {
		binary.BigEndian.PutUint32(records[atBatchCRC:], crc32.Checksum(records[atBatchAttributes:], castagnoli))
	}
	return b
}
