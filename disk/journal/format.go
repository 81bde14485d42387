package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"pinion/engine/model"
)

// Kind says what an entry does.
type Kind uint8

const (
	Append   Kind = 1 // a batch
	Truncate Kind = 2 // nothing from Base on
	Synced   Kind = 3 // the segments hold everything below End, and their indexes do
)

// Entry is one thing that happened to one partition.
type Entry struct {
	Kind      Kind
	Partition model.Partition
	Base      model.Offset // of the batch; where a truncation cut
	End       model.Offset // behind the batch's last offset
	Segment   model.Offset // base of the segment file
	Pos       int64        // byte position in it
	Epoch     model.Epoch
	Bytes     []byte // the batch
}

// Folder is where the journal lies in a log directory.
const Folder = "journal"

// Fixed by the format.
const (
	magic           = 0x314a4e50 // "PNJ1"
	recordHeader    = 64
	entryHeader     = 64
	boundary        = 512 // what a device writes whole
	crcFrom         = 8
	nameSuffix      = ".journal"
	entryAlign      = 8
	atRecordCRC     = 4
	atRecordLength  = 8
	atRecordCount   = 12
	atGeneration    = 16
	atSequence      = 24
	atOldest        = 32
	atFirst         = 40
	atLast          = 48
	atEntryIndex    = 4
	atEntryTopic    = 8
	atEntryBase     = 24
	atEntryEnd      = 32
	atEntrySegment  = 40
	atEntryPos      = 48
	atEntryEpoch    = 52
	atEntryLength   = 56
	positionBytes   = 1<<32 - 1
	entryBytesSpare = entryHeader + entryAlign
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamp is what the writer knows of a record.
type stamp struct {
	generation  uint64
	sequence    uint64
	oldest      uint64
	first, last uint64 // sequences of the records written together
}

// seal fills the header of a record, whose entries stand behind it, and pads it to the boundary.
func seal(raw []byte, count int, s stamp) []byte {
	le := binary.LittleEndian
	le.PutUint32(raw, magic)
	le.PutUint32(raw[atRecordLength:], uint32(len(raw)))
	le.PutUint32(raw[atRecordCount:], uint32(count))
	le.PutUint64(raw[atGeneration:], s.generation)
	le.PutUint64(raw[atSequence:], s.sequence)
	le.PutUint64(raw[atOldest:], s.oldest)
	le.PutUint64(raw[atFirst:], s.first)
	le.PutUint64(raw[atLast:], s.last)
	le.PutUint64(raw[atLast+8:], 0)
	le.PutUint32(raw[atRecordCRC:], crc32.Checksum(raw[crcFrom:], castagnoli))
	for len(raw)%boundary != 0 {
		raw = append(raw, zeros[:boundary-len(raw)%boundary]...)
	}
	return raw
}

var zeros [boundary]byte

// padded is how many bytes a record of n takes in a file.
func padded(n int) int64 { return int64(n+boundary-1) / boundary * boundary }

// appendEntry encodes one entry.
func appendEntry(raw []byte, e *Entry) []byte {
	var h [entryHeader]byte
	le := binary.LittleEndian
	h[0] = byte(e.Kind)
	le.PutUint32(h[atEntryIndex:], uint32(e.Partition.Index))
	copy(h[atEntryTopic:], e.Partition.Topic[:])
	le.PutUint64(h[atEntryBase:], uint64(e.Base))
	le.PutUint64(h[atEntryEnd:], uint64(e.End))
	le.PutUint64(h[atEntrySegment:], uint64(e.Segment))
	le.PutUint32(h[atEntryPos:], uint32(e.Pos))
	le.PutUint32(h[atEntryEpoch:], uint32(e.Epoch))
	le.PutUint32(h[atEntryLength:], uint32(len(e.Bytes)))
	raw = append(raw, h[:]...)
	raw = append(raw, e.Bytes...)
	if n := len(e.Bytes) % entryAlign; n != 0 {
		raw = append(raw, zeros[:entryAlign-n]...)
	}
	return raw
}

// readRecord looks for a record at the start of b. Anything that is not wholly right is none.
func readRecord(b []byte) (s stamp, count int, entries []byte, ok bool) {
	le := binary.LittleEndian
	if len(b) < recordHeader || le.Uint32(b) != magic {
		return s, 0, nil, false
	}
	length := int(le.Uint32(b[atRecordLength:]))
	if length < recordHeader || length > len(b) || crc32.Checksum(b[crcFrom:length], castagnoli) != le.Uint32(b[atRecordCRC:]) {
		return s, 0, nil, false
	}
	s = stamp{
		generation: le.Uint64(b[atGeneration:]), sequence: le.Uint64(b[atSequence:]), oldest: le.Uint64(b[atOldest:]),
		first: le.Uint64(b[atFirst:]), last: le.Uint64(b[atLast:]),
	}
	ok = s.first <= s.sequence && s.sequence <= s.last && s.oldest <= s.generation
	return s, int(le.Uint32(b[atRecordCount:])), b[recordHeader:length], ok
}

// readEntries decodes a record's entries. The CRC was right, so that an oddity is a newer format or our mistake.
func readEntries(b []byte, count int, visit func(e *Entry)) error {
	le := binary.LittleEndian
	for range count {
		if len(b) < entryHeader {
			return fmt.Errorf("entry header of %d bytes", len(b))
		}
		e := Entry{
			Kind:      Kind(b[0]),
			Partition: model.Partition{Topic: model.TopicID(b[atEntryTopic:atEntryBase]), Index: int32(le.Uint32(b[atEntryIndex:]))},
			Base:      model.Offset(le.Uint64(b[atEntryBase:])),
			End:       model.Offset(le.Uint64(b[atEntryEnd:])),
			Segment:   model.Offset(le.Uint64(b[atEntrySegment:])),
			Pos:       int64(le.Uint32(b[atEntryPos:])),
			Epoch:     model.Epoch(le.Uint32(b[atEntryEpoch:])),
		}
		length := int(le.Uint32(b[atEntryLength:]))
		size := entryHeader + (length+entryAlign-1)/entryAlign*entryAlign
		if e.Kind < Append || e.Kind > Synced || size > len(b) || e.Base < 0 || e.End < 0 {
			return fmt.Errorf("entry of kind %d with %d bytes of %d, offsets [%d, %d)", e.Kind, length, len(b), e.Base, e.End)
		}
		e.Bytes = b[entryHeader : entryHeader+length : entryHeader+length]
		visit(&e)
		b = b[size:]
	}
	if len(b) != 0 {
		return fmt.Errorf("%d bytes behind the last entry", len(b))
	}
	return nil
}
