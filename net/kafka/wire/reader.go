package wire

import (
	"encoding/binary"
	"math"

	"pinion/engine/model"
)

// stringBytesMax is the longest string Kafka reads, in either encoding.
const stringBytesMax = math.MaxInt16

// tagBytesMin is the least a tagged field takes: its number and its size, one byte each.
const tagBytesMin = 2

// reader is a cursor over one request body. After the first fault every read returns zero and the cursor stays put, so
// callers check once at the end of a group. Invariant: 0 <= at <= len(b).
type reader struct {
	b     []byte
	at    int
	fault Fault
}

func (r *reader) left() int { return len(r.b) - r.at }

// fail keeps the first fault and leaves nothing to read.
func (r *reader) fail(f Fault) {
	if r.fault == FaultNone {
		r.fault = f
	}
	r.at = len(r.b)
}

func (r *reader) int8() int8 {
	if r.left() < 1 {
		r.fail(FaultShort)
		return 0
	}
	v := int8(r.b[r.at])
	r.at++
	return v
}

func (r *reader) int16() int16 {
	if r.left() < 2 {
		r.fail(FaultShort)
		return 0
	}
	v := int16(binary.BigEndian.Uint16(r.b[r.at:]))
	r.at += 2
	return v
}

func (r *reader) int32() int32 {
	if r.left() < 4 {
		r.fail(FaultShort)
		return 0
	}
	v := int32(binary.BigEndian.Uint32(r.b[r.at:]))
	r.at += 4
	return v
}

func (r *reader) int64() int64 {
	if r.left() < 8 {
		r.fail(FaultShort)
		return 0
	}
	v := int64(binary.BigEndian.Uint64(r.b[r.at:]))
	r.at += 8
	return v
}

func (r *reader) uuid() (id model.TopicID) {
	if r.left() < len(id) {
		r.fail(FaultShort)
		return model.TopicID{}
	}
	copy(id[:], r.b[r.at:])
	r.at += len(id)
	return id
}

// uvarint reads an unsigned varint of up to five bytes. Longer encodings of a small number are legal, as in Kafka.
func (r *reader) uvarint() uint32 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		v := uint32(r.b[r.at])
		r.at++
		return v
	}
	return r.uvarintLong()
}

func (r *reader) uvarintLong() uint32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		if r.left() < 1 {
			r.fail(FaultShort)
			return 0
		}
		c := r.b[r.at]
		r.at++
		if shift == 28 && c > 0x0f {
			r.fail(FaultVarint)
			return 0
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.fail(FaultVarint)
	return 0
}

// span takes n bytes as a view, with its capacity cut so that an append cannot reach the next field.
func (r *reader) span(n int) []byte {
	if n < 0 || n > r.left() {
		r.fail(FaultLength)
		return nil
	}
	b := r.b[r.at : r.at+n : r.at+n]
	r.at += n
	return b
}

// take is span for n bytes of fixed fields.
func (r *reader) take(n int) []byte {
	if n > r.left() {
		r.fail(FaultShort)
		return nil
	}
	b := r.b[r.at : r.at+n]
	r.at += n
	return b
}

// nullable reads a string that may be null, which is returned as nil. An empty string is not nil.
func (r *reader) nullable(flexible bool) []byte {
	n := 0
	if flexible {
		n = int(r.uvarint()) - 1
	} else {
		n = int(r.int16())
	}
	if r.fault != FaultNone || n < 0 {
		return nil
	}
	if n > stringBytesMax {
		r.fail(FaultLength)
		return nil
	}
	return r.span(n)
}

// text reads a string that must not be null.
func (r *reader) text(flexible bool) []byte {
	b := r.nullable(flexible)
	if b == nil {
		r.fail(FaultNull)
	}
	return b
}

// blob reads nullable bytes; null, in the old encoding any negative length, is nil.
func (r *reader) blob(flexible bool) []byte {
	n := 0
	if flexible {
		n = int(r.uvarint()) - 1
	} else {
		n = int(r.int32())
	}
	if r.fault != FaultNone || n < 0 {
		return nil
	}
	return r.span(n)
}

// count reads an array's length; -1 means null. Each element takes at least elementBytesMin bytes, so a count that the
// rest of the body cannot hold is refused before anyone sizes anything by it.
func (r *reader) count(flexible bool, elementBytesMin int) int {
	n := 0
	if flexible {
		n = int(r.uvarint()) - 1
	} else {
		n = int(r.int32())
	}
	if r.fault != FaultNone {
		return 0
	}
	if n < 0 {
		return -1
	}
	if n > r.left()/elementBytesMin {
		r.fail(FaultCount)
		return 0
	}
	return n
}

// array reads the length of an array that must not be null.
func (r *reader) array(flexible bool, elementBytesMin int) int {
	n := r.count(flexible, elementBytesMin)
	if n < 0 {
		r.fail(FaultNull)
		return 0
	}
	return n
}

// tagCount reads how many tagged fields follow, bounded by what is left.
func (r *reader) tagCount() int {
	n := int(r.uvarint())
	if n > r.left()/tagBytesMin {
		r.fail(FaultCount)
		return 0
	}
	return n
}

// tag reads one tagged field's number and content.
func (r *reader) tag() (number uint32, content reader) {
	number = r.uvarint()
	size := int(r.uvarint())
	return number, reader{b: r.span(size)}
}

// settle takes over the fault of a known tag's content, which must be used up.
func (r *reader) settle(content *reader) {
	if content.fault != FaultNone {
		r.fail(content.fault)
	} else if content.left() != 0 {
		r.fail(FaultTag)
	}
}

// skipTags passes over tagged fields none of which this version knows.
func (r *reader) skipTags() {
	for n := r.tagCount(); n > 0; n-- {
		r.uvarint()
		r.span(int(r.uvarint()))
	}
}
