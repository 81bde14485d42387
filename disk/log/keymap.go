package log

import (
	"crypto/sha256"
	"encoding/binary"

	"pinion/engine/model"
)

// keySlot is one key of a keyMap: half of its SHA-256, and the last offset it was seen at, plus one. As in Kafka 24 bytes: keys themselves
// would need memory without bound. Two keys that share 128 bits of a cryptographic hash would be taken for one, and nobody can make such a
// pair; a hash that is only fast would let a producer delete the records of others.
type keySlot struct {
	upper, lower uint64
	next         model.Offset // 0: free
}

// keySlotBytes is what log.cleaner.dedupe.buffer.size is divided by.
const keySlotBytes = 24

// keyMap knows the last offset of each key of a stretch of log. Open addressing, no pointers, no deletion.
type keyMap struct {
	slots []keySlot
	used  int
	limit int // keys it takes; less than slots
}

// newKeyMap takes up to limit keys, more only after grow.
func newKeyMap(limit int, load float64) *keyMap {
	limit = max(limit, 1)
	return &keyMap{slots: make([]keySlot, slotsFor(limit, load)), limit: limit}
}

func slotsFor(limit int, load float64) int { return max(int(float64(limit)/load), limit+1) }

// keyHash is what stands for a key.
func keyHash(key []byte) (upper, lower uint64) {
	sum := sha256.Sum256(key)
	return binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])
}

// at is the slot of a key, free if it is not there.
func (m *keyMap) at(upper, lower uint64) *keySlot {
	for i := upper % uint64(len(m.slots)); ; i++ {
		if i == uint64(len(m.slots)) {
			i = 0
		}
		if s := &m.slots[i]; s.next == 0 || s.upper == upper && s.lower == lower {
			return s
		}
	}
}

// put notes that key was seen at offset. It is false when the key is new and there is no room.
func (m *keyMap) put(key []byte, offset model.Offset) bool {
	upper, lower := keyHash(key)
	s := m.at(upper, lower)
	if s.next == 0 {
		if m.used == m.limit {
			return false
		}
		m.used++
		s.upper, s.lower = upper, lower
	}
	s.next = max(s.next, offset+1)
	return true
}

// last is the largest offset key was put with.
func (m *keyMap) last(key []byte) (model.Offset, bool) {
	s := m.at(keyHash(key))
	return s.next - 1, s.next > 0
}

// grow makes room for twice as many keys.
func (m *keyMap) grow() {
	bigger := keyMap{slots: make([]keySlot, 2*len(m.slots)), used: m.used, limit: 2 * m.limit}
	for i := range m.slots {
		if s := &m.slots[i]; s.next > 0 {
			*bigger.at(s.upper, s.lower) = *s
		}
	}
	*m = bigger
}
