package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"pinion/disk/batch"
	"pinion/disk/device"
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
	magic          = 0x314a4e50 // "PNJ1"
	recordHeader   = 64
	entryHeader    = 64
	boundary       = device.Boundary
	crcFrom        = 8
	nameSuffix     = ".journal"
	entryAlign     = 8
	atRecordCRC    = 4
	atRecordLength = 8
	atRecordCount  = 12
	atGeneration   = 16
	atSequence     = 24
	atOldest       = 32
	atFirst        = 40
	atLast         = 48
	atKey          = 56
	atEntryIndex   = 4
	atEntryTopic   = 8
	atEntryBase    = 24
	atEntryEnd     = 32
	atEntrySegment = 40
	atEntryPos     = 48
	atEntryEpoch   = 52
	atEntryLength  = 56
	atEntrySkip    = 60
	atEntryForm    = 62
	entryBytesMax  = entryHeader + entryAlign // beside the batch
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamp is what the writer knows of a record.
type stamp struct {
	generation  uint64
	sequence    uint64
	oldest      uint64
	first, last uint64 // sequences of the records written together
	key         uint64 // of the life that wrote it: no producer knows it, so that none can send bytes that pass for a record
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
	le.PutUint64(raw[atKey:], s.key)
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
	raw = appendHeader(raw, e, 0, inline)
	raw = append(raw, e.Bytes...)
	if n := len(e.Bytes) % entryAlign; n != 0 {
		raw = append(raw, zeros[:entryAlign-n]...)
	}
	return raw
}

// appendHeader encodes what stands before a batch, or for it.
func appendHeader(raw []byte, e *Entry, skip int, form uint16) []byte {
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
	le.PutUint16(h[atEntrySkip:], uint16(skip))
	le.PutUint16(h[atEntryForm:], form)
	return append(raw, h[:]...)
}

// Forms of an entry: where its batch stands.
const (
	inline = 0 // behind the entry's header
	behind = 1 // behind the record and what earlier entries have there, skip bytes from a boundary
)

// record is what was found of one.
type record struct {
	stamp
	count   int
	entries []byte // encoded, with the batches that stand inline
	behind  []byte // the others, each on boundaries
}

// span is what it takes in the file.
func (r *record) span() int64 { return padded(recordHeader+len(r.entries)) + int64(len(r.behind)) }

// readHead looks for a record at the start of b whose batches may not be what was written. Anything that is not wholly right otherwise is none.
func readHead(b []byte) (r record, ok bool) {
	le := binary.LittleEndian
	if len(b) < recordHeader || le.Uint32(b) != magic {
		return r, false
	}
	length := int(le.Uint32(b[atRecordLength:]))
	if length < recordHeader || length > len(b) || crc32.Checksum(b[crcFrom:length], castagnoli) != le.Uint32(b[atRecordCRC:]) {
		return r, false
	}
	r.stamp = stamp{
		generation: le.Uint64(b[atGeneration:]), sequence: le.Uint64(b[atSequence:]), oldest: le.Uint64(b[atOldest:]),
		first: le.Uint64(b[atFirst:]), last: le.Uint64(b[atLast:]), key: le.Uint64(b[atKey:]),
	}
	r.count, r.entries = int(le.Uint32(b[atRecordCount:])), b[recordHeader:length]
	return r, r.first <= r.sequence && r.sequence <= r.last && r.oldest <= r.generation
}

// readRecord looks for a record at the start of b. Anything that is not wholly right is none.
func readRecord(b []byte) (r record, ok bool) {
	if r, ok = readHead(b); !ok {
		return r, false
	}
	rest := b[min(len(b), int(padded(recordHeader+len(r.entries)))):]
	lent, sound := 0, true
	// What is odd in the entries themselves is no torn write, as the CRC was right: each says so.
	_ = eachEntry(r.entries, r.count, func(h []byte, form uint16, skip, length int, _ []byte) error {
		if form != behind {
			return nil
		}
		end := int(padded(skip + length))
		if sound = sound && end <= len(rest)-lent; sound {
			sound = isBatch(rest[lent+skip:lent+skip+length], h)
			lent += end
		}
		return nil
	})
	if !sound {
		return r, false
	}
	r.behind = rest[:lent]
	return r, true
}

// isBatch reports whether b is the batch that an entry's header is about: by its own CRC, and by the header where that does not cover it.
func isBatch(b, header []byte) bool {
	le := binary.LittleEndian
	h, ok := batch.ReadHeader(b)
	return ok && h.Magic == batch.Magic && h.Size() == len(b) && uint64(h.BaseOffset) == le.Uint64(header[atEntryBase:]) &&
		uint32(h.Epoch) == le.Uint32(header[atEntryEpoch:]) && batch.CheckCRC(b)
}

// eachEntry walks over the entries of a record: the header, where the batch stands, and it, unless it stands behind.
func eachEntry(b []byte, count int, visit func(h []byte, form uint16, skip, length int, batch []byte) error) error {
	le := binary.LittleEndian
	for range count {
		if len(b) < entryHeader {
			return fmt.Errorf("entry header of %d bytes", len(b))
		}
		h := b[:entryHeader]
		form, skip, length := le.Uint16(h[atEntryForm:]), int(le.Uint16(h[atEntrySkip:])), int(le.Uint32(h[atEntryLength:]))
		inside := 0
		if form == inline {
			inside = length
		}
		size := entryHeader + (inside+entryAlign-1)/entryAlign*entryAlign
		if form > behind || form == inline && skip != 0 || skip >= boundary || size > len(b) {
			return fmt.Errorf("entry of form %d with %d bytes of %d, %d skipped", form, length, len(b), skip)
		}
		if err := visit(h, form, skip, length, b[entryHeader:entryHeader+inside:entryHeader+inside]); err != nil {
			return err
		}
		b = b[size:]
	}
	if len(b) != 0 {
		return fmt.Errorf("%d bytes behind the last entry", len(b))
	}
	return nil
}

// each decodes a record's entries. The CRC was right, so that an oddity is a newer format or our mistake.
func (r *record) each(visit func(e *Entry)) error {
	le := binary.LittleEndian
	rest := r.behind
	return eachEntry(r.entries, r.count, func(h []byte, form uint16, skip, length int, bytes []byte) error {
		if form == behind {
			bytes = rest[skip : skip+length : skip+length]
			rest = rest[padded(skip+length):]
		}
		e := Entry{
			Kind:      Kind(h[0]),
			Partition: model.Partition{Topic: model.TopicID(h[atEntryTopic:atEntryBase]), Index: int32(le.Uint32(h[atEntryIndex:]))},
			Base:      model.Offset(le.Uint64(h[atEntryBase:])),
			End:       model.Offset(le.Uint64(h[atEntryEnd:])),
			Segment:   model.Offset(le.Uint64(h[atEntrySegment:])),
			Pos:       int64(le.Uint32(h[atEntryPos:])),
			Epoch:     model.Epoch(le.Uint32(h[atEntryEpoch:])),
			Bytes:     bytes,
		}
		if e.Kind < Append || e.Kind > Synced || e.Base < 0 || e.End < 0 {
			return fmt.Errorf("entry of kind %d, offsets [%d, %d)", e.Kind, e.Base, e.End)
		}
		visit(&e)
		return nil
	})
}
