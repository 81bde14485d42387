package load

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// tailCRC gives the CRC-32C of a batch whose first covered bytes changed and whose long tail did not, without reading the tail
// again: a CRC is linear, so that of a concatenation is that of the front pushed through as many zero bytes as the tail has, plus
// that of the tail. The push is a matrix of 32 by 32 bits, made once.
type tailCRC struct {
	push [32]uint32 // column i is what bit i of the front's CRC becomes
	tail uint32
}

func newTailCRC(tail []byte) tailCRC {
	t := tailCRC{tail: crc32.Checksum(tail, castagnoli)}
	// One zero bit in the reflected polynomial, squared until it is as many bits as the tail.
	var power [32]uint32
	power[0] = crc32.Castagnoli
	for i := 1; i < 32; i++ {
		power[i] = 1 << (i - 1)
	}
	for i := range t.push {
		t.push[i] = 1 << i
	}
	for n := uint64(len(tail)) * 8; n > 0; n >>= 1 {
		if n&1 != 0 {
			t.push = multiply(&power, &t.push)
		}
		power = multiply(&power, &power)
	}
	return t
}

// of is the CRC of front followed by the tail.
func (t *tailCRC) of(front []byte) uint32 {
	return apply(&t.push, crc32.Checksum(front, castagnoli)) ^ t.tail
}

func apply(m *[32]uint32, v uint32) (sum uint32) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

// multiply is a after b.
func multiply(a, b *[32]uint32) (product [32]uint32) {
	for i := range product {
		product[i] = apply(a, b[i])
	}
	return product
}
