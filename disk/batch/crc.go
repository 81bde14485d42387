package batch

import (
	"encoding/binary"
	"hash/crc32"
)

// castagnoli selects the CRC-32C that amd64 and arm64 compute in hardware.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crcPieceMax bounds one call of the assembly, which cannot be preempted: 1 MiB takes some 50 us.
const crcPieceMax = 1 << 20

// CheckCRC reports whether the CRC in the header of b, exactly one batch, is that of its bytes. False when b has no header.
func CheckCRC(b []byte) bool {
	return len(b) >= HeaderSize && binary.BigEndian.Uint32(b[atCRC:]) == sum(b[atAttributes:])
}

func stampCRC(b []byte) { binary.BigEndian.PutUint32(b[atCRC:], sum(b[atAttributes:])) }

func sum(b []byte) uint32 {
	var crc uint32
	for len(b) > crcPieceMax {
		crc = crc32.Update(crc, castagnoli, b[:crcPieceMax])
		b = b[crcPieceMax:]
	}
	return crc32.Update(crc, castagnoli, b)
}
