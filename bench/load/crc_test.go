package load

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

func TestTailCRCIsThatOfTheWhole(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{0, 1, 7, 40, 109, 4096, 65_537} {
		front, tail := make([]byte, 40), make([]byte, size)
		_, _ = random.Read(front)
		_, _ = random.Read(tail)
		crc := newTailCRC(tail)
		for range 3 {
			_, _ = random.Read(front)
			want := crc32.Checksum(append(append([]byte{}, front...), tail...), castagnoli)
			if got := crc.of(front); got != want {
				t.Fatalf("tail of %d bytes: %08x, want %08x", size, got, want)
			}
		}
	}
}
