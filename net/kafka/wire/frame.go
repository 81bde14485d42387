package wire

import (
	"encoding/binary"
	"math"

	"pinion/engine/must"
)

// lengthBytes is the frame's length field, which does not count itself.
const lengthBytes = 4

// FinishFrame writes the length of the frame that begins at dst[start]. Foreign is the number of bytes that belong to the
// frame but are not in dst, such as record bytes sent straight from a segment.
func FinishFrame(dst []byte, start int, foreign int64) {
	n := int64(len(dst)-start-lengthBytes) + foreign
	if n < 0 || n > math.MaxInt32 {
		must.Failf("response frame of %d bytes", n)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(n))
}
