package codec

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// What we need of a zstd frame (little-endian, RFC 8878 3.1.1): enough to bound what it decodes to.
//
//	 0          4     5        (+1)     (+0,1,2,4)      (+0,1,2,4,8)
//	+----------+-----+--------+---------------+--------------+-----------+-------+-----------+-----+------------+
//	| 28b52ffd | FHD | window | dictionary id | content size | block u24 | block | block u24 | ... | checksum 4 |
//	+----------+-----+--------+---------------+--------------+-----------+-------+-----------+-----+------------+
//
// FHD: bits 7-6 size of the content size, 5 no window byte, 2 checksum, 1-0 size of the dictionary id.
// Block: bit 0 last, bits 2-1 type (0 stored, 1 one byte repeated, 2 compressed), the rest its size.
const (
	zstdMagic         = 0xFD2FB528
	zstdSkippable     = 0x184D2A50
	zstdSkippableMask = 0xfffffff0
	zstdBlockMax      = 128 << 10
	// zstdWindowMax is what the reference implementation accepts by default (2^27). The window itself is never allocated.
	zstdWindowMax = 128 << 20
	// zstdSlack behind the output lets the decoder copy in whole words.
	zstdSlack = 64
)

var errZstd = fmt.Errorf("zstd: %w", ErrCorrupt)

// fillZstd decodes the whole payload at once: the scratch then is the window too, and a frame that declares a window of 128 MiB
// costs nothing. Kafka's producers do not write the content size, so the scratch is sized from the block headers.
func (r *Reader) fillZstd() ([]byte, error) {
	if r.begun {
		return nil, io.EOF
	}
	if r.zstd == nil {
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindowMax), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		r.zstd = decoder
	}
	bound, ok := zstdBound(r.src)
	if !ok {
		return nil, errZstd
	}
	size := min(bound, r.left) + zstdSlack
	out, err := r.zstd.DecodeAll(r.src, r.room(max(size, scratchMin))[:0:size])
	switch {
	case err == nil:
		return out, nil
	case bound > r.left:
		// The decoder does not say whether it ran out of room or out of sense. Out of room is what the blocks announce.
		return nil, ErrTooLarge
	}
	return nil, corrupt("zstd", err)
}

// zstdBound walks frames and blocks and returns the most they can decode to. False when they do not fill b exactly.
func zstdBound(b []byte) (int, bool) {
	if len(b) == 0 {
		return 0, false
	}
	bound := 0
	for len(b) > 0 {
		if len(b) < 8 {
			return 0, false
		}
		magic := binary.LittleEndian.Uint32(b)
		if magic&zstdSkippableMask == zstdSkippable {
			size := uint64(binary.LittleEndian.Uint32(b[4:])) + 8
			if size > uint64(len(b)) {
				return 0, false
			}
			b = b[size:]
			continue
		}
		if magic != zstdMagic {
			return 0, false
		}
		made, used, ok := zstdFrame(b)
		if !ok {
			return 0, false
		}
		bound += made
		b = b[used:]
	}
	return bound, true
}

// zstdFrame does one frame. Block sizes have 21 bits and each takes at least 3 bytes of b, so that made cannot overflow.
func zstdFrame(b []byte) (made, used int, ok bool) {
	flags := b[4]
	at := 5 + [4]int{0, 1, 2, 4}[flags&3]
	if flags&0x20 == 0 {
		at++
	}
	if content := flags >> 6; content > 0 {
		at += 1 << content
	} else if flags&0x20 != 0 {
		at++
	}
	for last := false; !last; {
		if at+3 > len(b) {
			return 0, 0, false
		}
		word := int(b[at]) | int(b[at+1])<<8 | int(b[at+2])<<16
		last = word&1 != 0
		size := word >> 3
		at += 3
		switch word >> 1 & 3 {
		case 0:
			made += size
			at += size
		case 1:
			made += size
			at++
		case 2:
			made += zstdBlockMax
			at += size
		default:
			return 0, 0, false
		}
	}
	if flags&4 != 0 {
		at += 4
	}
	return made, at, at <= len(b)
}
