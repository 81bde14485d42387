// Package cell keeps small durable values, each a file that is replaced as a whole: a reader sees the old value or the new
// one, and knows damage when it sees it. The caller owns the path and the meaning of the bytes; one writer per path at a time.
// It refuses large values and partial updates.
//
//	byte  0-3    "PCEL"
//	byte  4-7    version of the value's own encoding, little-endian, the caller's
//	byte  8-15   length of the value
//	byte 16-19   CRC-32C of bytes 4-15 and the value
//	byte 20-     the value; the file ends with it
package cell

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"pinion/disk/device"
)

const (
	magic       = "PCEL"
	headerBytes = 20

	// ValueBytesMax bounds what Write takes; a snapshot of the largest catalogue is about a third of it.
	ValueBytesMax = 512 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged says that a file is there and does not hold what was written.
var ErrDamaged = errors.New("value is damaged")

// Write makes a value durable under path, in place of any former one.
func Write(dir device.Dir, path string, version uint32, value []byte) error {
	if len(value) > ValueBytesMax {
		return fmt.Errorf("write %s: %d bytes, at most %d", path, len(value), ValueBytesMax)
	}
	b := make([]byte, headerBytes, headerBytes+len(value))
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[4:], version)
	binary.LittleEndian.PutUint64(b[8:], uint64(len(value)))
	binary.LittleEndian.PutUint32(b[16:], sum(b, value))
	return dir.Replace(path, append(b, value...))
}

// Read returns the value under path and its version. A missing file is fs.ErrNotExist, anything but a whole value ErrDamaged.
func Read(dir device.Dir, path string) (version uint32, value []byte, err error) {
	b, err := dir.ReadFile(path, headerBytes+ValueBytesMax)
	if err != nil {
		return 0, nil, err
	}
	version, value, ok := Decode(b)
	if !ok {
		return 0, nil, fmt.Errorf("read %s (%d bytes): %w", path, len(b), ErrDamaged)
	}
	return version, value, nil
}

// Decode reads a file's bytes; the value is a part of them.
func Decode(b []byte) (version uint32, value []byte, ok bool) {
	if len(b) < headerBytes || string(b[:4]) != magic {
		return 0, nil, false
	}
	value = b[headerBytes:]
	if binary.LittleEndian.Uint64(b[8:]) != uint64(len(value)) || binary.LittleEndian.Uint32(b[16:]) != sum(b, value) {
		return 0, nil, false
	}
	return binary.LittleEndian.Uint32(b[4:]), value, true
}

func sum(header, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(header[4:16], castagnoli), castagnoli, value)
}
