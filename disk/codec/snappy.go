package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"
)

// The xerial stream, which Java clients write. Clients in C write one raw block without it. Both are legal in Kafka.
//
//	 0                 8         12           16
//	+-----------------+---------+------------+----------+-----------+----------+-----------+
//	| 82 "SNAPPY" 00  | version | compatible | size u32 | raw block | size u32 | raw block | ...
//	+-----------------+---------+------------+----------+-----------+----------+-----------+
//
// The header may stand again between blocks: streams can be joined.
const (
	xerialHeaderSize = 16
	xerialVersion    = 1
	// xerialBlock is the size of the pieces we write, which is xerial's default.
	xerialBlock = 32 << 10
)

var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

var errSnappy = fmt.Errorf("snappy: %w", ErrCorrupt)

func (r *Reader) fillSnappy() ([]byte, error) {
	if !r.begun {
		r.xerial = len(r.src) >= xerialHeaderSize && bytes.HasPrefix(r.src, xerialMagic)
		if !r.xerial {
			return r.snappyBlock(r.src)
		}
	} else if !r.xerial {
		return nil, io.EOF
	}
	for len(r.src) >= xerialHeaderSize && bytes.HasPrefix(r.src, xerialMagic) {
		r.src = r.src[xerialHeaderSize:]
	}
	if len(r.src) == 0 {
		return nil, io.EOF
	}
	if len(r.src) < 4 {
		return nil, errSnappy
	}
	size := binary.BigEndian.Uint32(r.src)
	if uint64(size) > uint64(len(r.src)-4) {
		return nil, errSnappy
	}
	block := r.src[4 : 4+size]
	r.src = r.src[4+size:]
	return r.snappyBlock(block)
}

func (r *Reader) snappyBlock(block []byte) ([]byte, error) {
	size, ok := snappySize(block)
	if !ok {
		return nil, errSnappy
	}
	if size > r.left {
		return nil, ErrTooLarge
	}
	out, err := s2.Decode(r.room(max(size, scratchMin))[:size], block)
	if err != nil {
		return nil, corrupt("snappy", err)
	}
	return out, nil
}

// snappySize walks the elements of a raw block and returns how many bytes they decode to. The size a block claims is believed only when
// its elements add up to it. It also refuses copies of distance 0, which are S2's and which other decoders of snappy do not know.
func snappySize(block []byte) (int, bool) {
	claim, n := binary.Uvarint(block)
	if n <= 0 || claim > 1<<32-1 {
		return 0, false
	}
	var size uint64
	for b := block[n:]; len(b) > 0; {
		tag := b[0]
		var used, made uint64
		switch tag & 3 {
		case 0: // literal; 60 to 63 mean that 1 to 4 bytes of length follow
			made, used = uint64(tag>>2)+1, 1
			if tag>>2 >= 60 {
				extra := int(tag>>2) - 59
				if len(b) < 1+extra {
					return 0, false
				}
				var length [4]byte
				copy(length[:], b[1:1+extra])
				made, used = uint64(binary.LittleEndian.Uint32(length[:]))+1, uint64(1+extra)
			}
			used += made
		case 1:
			if len(b) < 2 || tag>>5 == 0 && b[1] == 0 {
				return 0, false
			}
			made, used = uint64(tag>>2&7)+4, 2
		case 2:
			made, used = uint64(tag>>2)+1, 3
		case 3:
			made, used = uint64(tag>>2)+1, 5
		}
		if used > uint64(len(b)) {
			return 0, false
		}
		size += made
		b = b[used:]
	}
	return int(size), size == claim
}

// appendXerial writes src as Java clients do.
func appendXerial(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = binary.BigEndian.AppendUint32(dst, xerialVersion)
	dst = binary.BigEndian.AppendUint32(dst, xerialVersion)
	for len(src) > 0 {
		n := min(len(src), xerialBlock)
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		dst = appendRawSnappy(dst, src[:n])
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
		src = src[n:]
	}
	return dst
}

func appendRawSnappy(dst, src []byte) []byte {
	at, most := len(dst), s2.MaxEncodedLen(len(src))
	dst = append(dst, make([]byte, most)...)
	return dst[:at+len(s2.EncodeSnappy(dst[at:], src))]
}
