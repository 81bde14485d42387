package wire

import (
	"encoding/binary"
	"math/bits"

	"pinion/engine/model"
)

func appendInt16(dst []byte, v int16) []byte { return binary.BigEndian.AppendUint16(dst, uint16(v)) }
func appendInt32(dst []byte, v int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(v)) }
func appendInt64(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

func appendUvarint(dst []byte, v uint32) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// uvarintBytes is how many bytes appendUvarint adds.
func uvarintBytes(v uint32) int { return (bits.Len32(v|1) + 6) / 7 }

// appendCount writes an array's length; the array is not null.
func appendCount(dst []byte, n int, flexible bool) []byte {
	if flexible {
		return appendUvarint(dst, uint32(n)+1)
	}
	return appendInt32(dst, int32(n))
}

// appendNullCount writes the length of a null array.
func appendNullCount(dst []byte, flexible bool) []byte {
	if flexible {
		return append(dst, 0)
	}
	return appendInt32(dst, -1)
}

// appendText writes a string that is not null. Past the longest string the protocol has it is cut: only an error message
// that quotes a client can get there, and a client must not be able to stop us by it.
func appendText[S ~string | ~[]byte](dst []byte, s S, flexible bool) []byte {
	s = s[:min(len(s), stringBytesMax)]
	if flexible {
		dst = appendUvarint(dst, uint32(len(s))+1)
	} else {
		dst = appendInt16(dst, int16(len(s)))
	}
	return append(dst, s...)
}

// appendNullable writes a string of which the empty one stands for null.
func appendNullable(dst []byte, s string, flexible bool) []byte {
	switch {
	case s != "":
		return appendText(dst, s, flexible)
	case flexible:
		return append(dst, 0)
	default:
		return appendInt16(dst, -1)
	}
}

// appendBlobLength writes the length that goes before n bytes of records; -1 is null.
func appendBlobLength(dst []byte, n int, flexible bool) []byte {
	if flexible {
		return appendUvarint(dst, uint32(n+1))
	}
	return appendInt32(dst, int32(n))
}

// textBytes is how many bytes a flexible string takes.
func textBytes(s string) int {
	n := min(len(s), stringBytesMax)
	return uvarintBytes(uint32(n)+1) + n
}

// appendTopic begins a topic of a Produce or Fetch response: its id or its name, and how many partitions follow.
func appendTopic[S ~string | ~[]byte](dst []byte, name S, id model.TopicID, byID, flexible bool, partitions int) []byte {
	if byID {
		dst = append(dst, id[:]...)
	} else {
		dst = appendText(dst, name, flexible)
	}
	return appendCount(dst, partitions, flexible)
}
