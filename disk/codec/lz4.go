package codec

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

// An lz4 frame (little-endian; lz4_Frame_format.md 1.6), restricted as in Kafka: version 1, independent blocks, no dictionary, one frame.
//
//	 0          4     5    6
//	+----------+-----+----+--------------+----+----------+-------+--------+-----+---------+----------+
//	| 04224d18 | FLG | BD | content size | HC | size u32 | block | XXH32  | ... | 0 (u32) | XXH32 of |
//	|          |     |    | (8, if FLG3) |    |          |       | (FLG4) |     |         | all (FLG2)
//	+----------+-----+----+--------------+----+----------+-------+--------+-----+---------+----------+
//
// HC is the second byte of the XXH32 of FLG to before HC. The top bit of a block size marks a block stored as it is.
const (
	lz4Magic          = 0x184D2204
	lz4Version        = 0x40 // FLG, bits 7-6
	lz4VersionMask    = 0xc0
	lz4Independent    = 0x20
	lz4BlockSum       = 0x10
	lz4ContentSize    = 0x08
	lz4Reserved       = 0x02
	lz4Dictionary     = 0x01
	lz4BlockSizeShift = 4 // BD, bits 6-4: 4 = 64 KiB, 5 = 256 KiB, 6 = 1 MiB, 7 = 4 MiB
	lz4BDReserved     = 0x8f
	lz4Stored         = 1 << 31
	lz4HeaderSize     = 7

	// lz4WriteBlock is the block size we write; Kafka's producer writes 64 KiB too.
	lz4WriteBlock   = 64 << 10
	lz4WriteBlockBD = 4 << lz4BlockSizeShift
)

// lz4Frame is what the header of the frame being read says.
type lz4Frame struct {
	blockMax int
	blockSum bool
}

var errLZ4 = fmt.Errorf("lz4: %w", ErrCorrupt)

func (r *Reader) fillLZ4() ([]byte, error) {
	if !r.begun {
		n, ok := r.frame.read(r.src)
		if !ok {
			return nil, errLZ4
		}
		r.src = r.src[n:]
	}
	if len(r.src) < 4 {
		return nil, errLZ4
	}
	word := binary.LittleEndian.Uint32(r.src)
	if word == 0 {
		// Like Kafka we leave the checksum of the content alone, the batch has one, and ignore what follows.
		return nil, io.EOF
	}
	size := int(word &^ lz4Stored)
	tail := 0
	if r.frame.blockSum {
		tail = 4
	}
	if size > r.frame.blockMax || size+tail > len(r.src)-4 {
		return nil, errLZ4
	}
	block := r.src[4 : 4+size]
	if tail != 0 && binary.LittleEndian.Uint32(r.src[4+size:]) != xxh32(block) {
		return nil, errLZ4
	}
	r.src = r.src[4+size+tail:]
	if word&lz4Stored != 0 {
		return block, nil
	}
	// A block expands at most 255 times, so a small payload cannot make us allocate the largest block.
	out := r.room(max(min(r.frame.blockMax, size*255), scratchMin))
	n, err := lz4.UncompressBlock(block, out[:min(len(out), r.frame.blockMax)])
	if err != nil {
		return nil, corrupt("lz4", err)
	}
	return out[:n], nil
}

// read decodes a frame header and returns its size.
func (f *lz4Frame) read(b []byte) (int, bool) {
	if len(b) < lz4HeaderSize || binary.LittleEndian.Uint32(b) != lz4Magic {
		return 0, false
	}
	flags, bd := b[4], b[5]
	if flags&(lz4VersionMask|lz4Independent|lz4Reserved|lz4Dictionary) != lz4Version|lz4Independent {
		return 0, false
	}
	exponent := bd >> lz4BlockSizeShift
	if bd&lz4BDReserved != 0 || exponent < 4 {
		return 0, false
	}
	at := 6
	if flags&lz4ContentSize != 0 {
		at += 8
	}
	if len(b) <= at || b[at] != byte(xxh32(b[4:at])>>8) {
		return 0, false
	}
	f.blockMax = 1 << (8 + 2*exponent)
	f.blockSum = flags&lz4BlockSum != 0
	return at + 1, true
}

// appendLZ4 writes src as one frame of 64 KiB blocks, without checksums, as Kafka's producer does.
func (e *Encoder) appendLZ4(dst []byte, level int, src []byte) ([]byte, error) {
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, lz4Magic)
	dst = append(dst, lz4Version|lz4Independent, lz4WriteBlockBD)
	dst = append(dst, byte(xxh32(dst[at+4:])>>8))
	if e.lz4Out == nil {
		e.lz4Out = make([]byte, lz4.CompressBlockBound(lz4WriteBlock))
	}
	for len(src) > 0 {
		block := src[:min(len(src), lz4WriteBlock)]
		src = src[len(block):]
		n, err := e.lz4Block(level, block)
		if err != nil {
			return dst, fmt.Errorf("lz4: %w", err)
		}
		if n == 0 || n >= len(block) {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(len(block))|lz4Stored)
			dst = append(dst, block...)
			continue
		}
		dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
		dst = append(dst, e.lz4Out[:n]...)
	}
	return append(dst, 0, 0, 0, 0), nil
}

func (e *Encoder) lz4Block(level int, block []byte) (int, error) {
	if level == 0 {
		return e.lz4Fast.CompressBlock(block, e.lz4Out)
	}
	// The library's levels are 1<<9 for 1 to 1<<17 for 9; Kafka's go up to 17, its strongest being equal to our 9 or weaker.
	e.lz4Slow.Level = lz4.CompressionLevel(1 << (8 + min(level, 9)))
	return e.lz4Slow.CompressBlock(block, e.lz4Out)
}
