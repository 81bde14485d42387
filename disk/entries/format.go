package entries

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Fixed by the format.
const (
	headMagic     = "PINENTRY"
	headBytes     = 64
	formatVersion = 1

	batchMagic       = "PBAT"
	batchHeaderBytes = 28
	batchFooter      = 0x5a

	recordEntry      = 1
	recordState      = 2
	entryHeaderBytes = 1 + 8 + 8 + 1 + 1 + 4
	stateRecordBytes = 1 + 3*8

	snapshotVersion     = 1
	snapshotHeaderBytes = 8 + 8 + 4

	// foundingBytes is the size of a segment that holds nothing but the first state.
	foundingBytes = headBytes + batchHeaderBytes + stateRecordBytes + 1

	// sectorBytes is what a device writes at once or not at all.
	sectorBytes = 512
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// head is a segment's first 64 bytes.
type head struct {
	salt      uint64
	sequence  uint64
	baseIndex uint64
	baseTerm  uint64
}

func appendHead(b []byte, h head) []byte {
	at := len(b)
	b = append(b, headMagic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, 0)
	for _, v := range []uint64{h.salt, h.sequence, h.baseIndex, h.baseTerm, 0} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

// decodeHead returns the head and the version it claims; ok means that the sum holds.
func decodeHead(b []byte) (h head, version uint32, ok bool) {
	if len(b) < headBytes || string(b[:8]) != headMagic || binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return head{}, 0, false
	}
	h = head{salt: binary.LittleEndian.Uint64(b[16:]), sequence: binary.LittleEndian.Uint64(b[24:]),
		baseIndex: binary.LittleEndian.Uint64(b[32:]), baseTerm: binary.LittleEndian.Uint64(b[40:])}
	return h, binary.LittleEndian.Uint32(b[8:]), true
}

// batchHeader is a batch's first 28 bytes.
type batchHeader struct {
	body     int // bytes
	sequence uint64
	records  int
	sum      uint32
}

// end is the size of the whole batch.
func (h batchHeader) end() int { return batchHeaderBytes + h.body + 1 }

// beginBatch leaves room for the header; b must be empty.
func beginBatch(b []byte) []byte { return append(b, make([]byte, batchHeaderBytes)...) }

func finishBatch(b []byte, salt, sequence uint64, records int) []byte {
	body := b[batchHeaderBytes:]
	copy(b, batchMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(body)))
	binary.LittleEndian.PutUint64(b[8:], sequence)
	binary.LittleEndian.PutUint32(b[16:], uint32(records))
	binary.LittleEndian.PutUint32(b[20:], crc32.Checksum(body, castagnoli))
	binary.LittleEndian.PutUint32(b[24:], headerSum(salt, b))
	return append(b, batchFooter)
}

func headerSum(salt uint64, b []byte) uint32 {
	var s [8]byte
	binary.LittleEndian.PutUint64(s[:], salt)
	return crc32.Update(crc32.Checksum(s[:], castagnoli), castagnoli, b[:24])
}

func decodeBatchHeader(b []byte, salt uint64) (batchHeader, bool) {
	if len(b) < batchHeaderBytes || string(b[:4]) != batchMagic || binary.LittleEndian.Uint32(b[24:]) != headerSum(salt, b) {
		return batchHeader{}, false
	}
	return batchHeader{body: int(binary.LittleEndian.Uint32(b[4:])), sequence: binary.LittleEndian.Uint64(b[8:]),
		records: int(binary.LittleEndian.Uint32(b[16:])), sum: binary.LittleEndian.Uint32(b[20:])}, true
}

// whole reports whether the batch that starts b is there to its last byte.
func (h batchHeader) whole(b []byte) bool {
	if len(b) < h.end() || b[h.end()-1] != batchFooter {
		return false
	}
	return crc32.Checksum(b[batchHeaderBytes:batchHeaderBytes+h.body], castagnoli) == h.sum
}

func appendEntry(b []byte, e Entry) []byte {
	b = append(b, recordEntry)
	b = binary.LittleEndian.AppendUint64(b, e.Index)
	b = binary.LittleEndian.AppendUint64(b, e.Term)
	present := byte(0)
	if e.Data != nil {
		present = 1
	}
	b = append(b, e.Kind, present)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Data)))
	return append(b, e.Data...)
}

func appendState(b []byte, s State) []byte {
	b = append(b, recordState)
	b = binary.LittleEndian.AppendUint64(b, s.Term)
	b = binary.LittleEndian.AppendUint64(b, s.Vote)
	return binary.LittleEndian.AppendUint64(b, s.Commit)
}

// records walks a batch's body and reports whether it is well formed. Data given to entry is a part of body.
func records(body []byte, count int, entry func(Entry) bool, state func(State)) bool {
	for range count {
		switch {
		case len(body) >= entryHeaderBytes && body[0] == recordEntry:
			e := Entry{Index: binary.LittleEndian.Uint64(body[1:]), Term: binary.LittleEndian.Uint64(body[9:]), Kind: body[17]}
			present, n := body[18], int(binary.LittleEndian.Uint32(body[19:]))
			body = body[entryHeaderBytes:]
			if n > len(body) || present > 1 || present == 0 && n > 0 {
				return false
			}
			if present == 1 {
				e.Data = body[:n:n]
			}
			if !entry(e) {
				return false
			}
			body = body[n:]
		case len(body) >= stateRecordBytes && body[0] == recordState:
			state(State{Term: binary.LittleEndian.Uint64(body[1:]), Vote: binary.LittleEndian.Uint64(body[9:]),
				Commit: binary.LittleEndian.Uint64(body[17:])})
			body = body[stateRecordBytes:]
		default:
			return false
		}
	}
	return len(body) == 0
}

// torn reports whether a power cut during one write explains that rest, the bytes of the file from position at on, does not
// begin with a whole batch. Nothing else may follow the batch, and a sector's worth of it must be missing or still zero.
func torn(rest []byte, at int64, salt, expected uint64) bool {
	h, ok := decodeBatchHeader(rest, salt)
	switch {
	case !ok && len(rest) < batchHeaderBytes:
		return true
	case !ok:
		return zeroSector(rest[:batchHeaderBytes], at) && !laterBatch(rest, salt, expected)
	case len(rest) < h.end():
		return true
	default:
		return len(rest) == h.end() && zeroSector(rest, at)
	}
}

// zeroSector reports whether a sector's part of b, which lies at position at of the file, is all zero.
func zeroSector(b []byte, at int64) bool {
	for len(b) > 0 {
		n := min(int64(len(b)), sectorBytes-at%sectorBytes)
		if len(bytes.TrimLeft(b[:n], "\x00")) == 0 {
			return true
		}
		b, at = b[n:], at+n
	}
	return false
}

// laterBatch looks for the header of a batch behind the expected one: proof that the expected one had been synced. The salt
// keeps bytes that a client chose from looking like a header.
func laterBatch(rest []byte, salt, expected uint64) bool {
	for {
		i := bytes.Index(rest, []byte(batchMagic))
		if i < 0 {
			return false
		}
		if h, ok := decodeBatchHeader(rest[i:], salt); ok && h.sequence > expected {
			return true
		}
		rest = rest[i+1:]
	}
}

func appendSnapshot(b []byte, s Snapshot) []byte {
	b = binary.LittleEndian.AppendUint64(b, s.Index)
	b = binary.LittleEndian.AppendUint64(b, s.Term)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.Members)))
	b = append(b, s.Members...)
	return append(b, s.Data...)
}

func decodeSnapshot(b []byte) (Snapshot, bool) {
	if len(b) < snapshotHeaderBytes {
		return Snapshot{}, false
	}
	s := Snapshot{Index: binary.LittleEndian.Uint64(b), Term: binary.LittleEndian.Uint64(b[8:])}
	n := int(binary.LittleEndian.Uint32(b[16:]))
	b = b[snapshotHeaderBytes:]
	if n > len(b) {
		return Snapshot{}, false
	}
	s.Members, s.Data = b[:n:n], b[n:]
	return s, true
}
