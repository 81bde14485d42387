package codec

import (
	"encoding/binary"
	"math/bits"
)

// The constants of XXH32, fixed by its definition (xxhash_spec.md).
const (
	xxhPrime1 uint32 = 2654435761
	xxhPrime2 uint32 = 2246822519
	xxhPrime3 uint32 = 3266489917
	xxhPrime4 uint32 = 668265263
	xxhPrime5 uint32 = 374761393
)

// xxh32 is XXH32 with seed 0: lz4 frames check their header with it. The library we use for blocks does not export its own.
func xxh32(b []byte) uint32 {
	sum := xxhPrime5
	size := uint32(len(b))
	if len(b) >= 16 {
		lanes := [4]uint32{0, xxhPrime2, 0, 0}
		lanes[0] = xxhPrime2
		lanes[0] += xxhPrime1
		lanes[3] -= xxhPrime1
		for ; len(b) >= 16; b = b[16:] {
			for i := range lanes {
				word := binary.LittleEndian.Uint32(b[4*i:])
				lanes[i] = bits.RotateLeft32(lanes[i]+word*xxhPrime2, 13) * xxhPrime1
			}
		}
		sum = bits.RotateLeft32(lanes[0], 1) + bits.RotateLeft32(lanes[1], 7) +
			bits.RotateLeft32(lanes[2], 12) + bits.RotateLeft32(lanes[3], 18)
	}
	sum += size
	for ; len(b) >= 4; b = b[4:] {
		sum = bits.RotateLeft32(sum+binary.LittleEndian.Uint32(b)*xxhPrime3, 17) * xxhPrime4
	}
	for _, c := range b {
		sum = bits.RotateLeft32(sum+uint32(c)*xxhPrime5, 11) * xxhPrime1
	}
	sum = (sum ^ sum>>15) * xxhPrime2
	sum = (sum ^ sum>>13) * xxhPrime3
	return sum ^ sum>>16
}
