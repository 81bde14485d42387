package batch

import "math/bits"

// Zig-zag varints as Kafka's ByteUtils reads and writes them: at most 5 bytes for 32 bits and 10 for 64, bits that do not fit are dropped.
const (
	varintMax  = 5
	varlongMax = 10
)

func appendVarint(dst []byte, v int32) []byte {
	u := uint32(v)<<1 ^ uint32(v>>31)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

func appendVarlong(dst []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

func varintSize(v int32) int { return (bits.Len32((uint32(v)<<1^uint32(v>>31))|1) + 6) / 7 }

func varlongSize(v int64) int { return (bits.Len64((uint64(v)<<1^uint64(v>>63))|1) + 6) / 7 }

// varint decodes at b[at:] and returns the value and the position behind it; a position of -1 means that b ended or that the
// varint is longer than 5 bytes.
func varint(b []byte, at int) (int32, int) {
	if at < len(b) && b[at] < 0x80 {
		return int32(b[at]>>1) ^ -int32(b[at]&1), at + 1
	}
	return varintLong(b, at)
}

func varintLong(b []byte, at int) (int32, int) {
	var u uint32
	for i := range varintMax {
		if at+i >= len(b) {
			return 0, -1
		}
		c := b[at+i]
		u |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			return int32(u>>1) ^ -int32(u&1), at + i + 1
		}
	}
	return 0, -1
}

// varlong is varint for 64 bits.
func varlong(b []byte, at int) (int64, int) {
	var u uint64
	for i := range varlongMax {
		if at+i >= len(b) {
			return 0, -1
		}
		c := b[at+i]
		u |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return int64(u>>1) ^ -int64(u&1), at + i + 1
		}
	}
	return 0, -1
}
