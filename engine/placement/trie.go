package placement

import (
	"hash/maphash"
	"math/bits"

	"pinion/engine/model"
)

// nameBytesMax is Kafka's limit for a topic name; a longer one cannot exist, so it need not be hashed.
const nameBytesMax = 249

const (
	fanoutBits = 5
	fanout     = 1 << fanoutBits
	fanoutMask = fanout - 1
	hashBits   = 64
)

// seed differs in every process, so that nobody can choose topic names that all fall into one bucket. Only lookups depend
// on it, never an order that anyone sees.
var seed = maphash.MakeSeed()

// hashName hashes a name of at most nameBytesMax bytes with '.' read as '_', so that names that collide in Kafka's metrics
// meet in one leaf.
func hashName(name []byte) uint64 {
	var b [nameBytesMax]byte
	n := copy(b[:], name)
	return hashFolded(b[:n])
}

func hashString(name string) uint64 {
	var b [nameBytesMax]byte
	n := copy(b[:], name)
	return hashFolded(b[:n])
}

func hashFolded(b []byte) uint64 {
	for i, c := range b {
		if c == '.' {
			b[i] = '_'
		}
	}
	return maphash.Bytes(seed, b)
}

func hashID(id model.TopicID) uint64 { return maphash.Bytes(seed, id[:]) }

// alike compares names with '.' and '_' taken as one character.
func alike(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x != y && !((x == '.' || x == '_') && (y == '.' || y == '_')) {
			return false
		}
	}
	return true
}

// edit marks what a draft has copied since its last freeze and may therefore still write to. It has a size, because
// pointers to distinct empty values may be equal.
type edit struct{ _ byte }

// trie is a persistent hash trie from a 64-bit hash to topics.
type trie struct{ root *branch }

type branch struct {
	edit  *edit
	bits  uint32 // which of the 32 slots are present
	slots []slot // invariant: len == popcount(bits)
}

// slot holds exactly one of the two.
type slot struct {
	child *branch
	leaf  *leaf
}

// leaf is immutable. next chains topics with the same full hash, which only a deliberate or astronomic collision makes.
type leaf struct {
	hash  uint64
	topic *Topic
	next  *leaf
}

// find returns the chain of topics with this hash, or nil.
func (t trie) find(hash uint64) *leaf {
	b := t.root
	for shift := 0; b != nil; shift += fanoutBits {
		bit := uint32(1) << (hash >> shift & fanoutMask)
		if b.bits&bit == 0 {
			return nil
		}
		s := b.slots[bits.OnesCount32(b.bits&(bit-1))]
		if s.leaf != nil {
			if s.leaf.hash != hash {
				return nil
			}
			return s.leaf
		}
		b = s.child
	}
	return nil
}

// put replaces old (nil: nothing) by topic in the chain of hash.
func (t *trie) put(e *edit, hash uint64, old, topic *Topic) {
	t.root = t.root.put(e, 0, &leaf{hash: hash, topic: topic}, old)
}

// drop removes old from the chain of hash. It must be there.
func (t *trie) drop(e *edit, hash uint64, old *Topic) {
	t.root = t.root.drop(e, 0, hash, old)
}

// own returns a branch that e may write to: itself, or a copy with room for one more slot.
func (b *branch) own(e *edit) *branch {
	if b.edit == e {
		return b
	}
	c := &branch{edit: e, bits: b.bits, slots: make([]slot, len(b.slots), len(b.slots)+1)}
	copy(c.slots, b.slots)
	return c
}

func (b *branch) put(e *edit, shift int, l *leaf, old *Topic) *branch {
	if b == nil {
		b = &branch{edit: e}
	}
	b = b.own(e)
	bit := uint32(1) << (l.hash >> shift & fanoutMask)
	at := bits.OnesCount32(b.bits & (bit - 1))
	if b.bits&bit == 0 {
		b.bits |= bit
		b.slots = append(b.slots, slot{})
		copy(b.slots[at+1:], b.slots[at:])
		b.slots[at] = slot{leaf: l}
		return b
	}
	s := &b.slots[at]
	switch {
	case s.child != nil:
		s.child = s.child.put(e, shift+fanoutBits, l, old)
	case s.leaf.hash == l.hash:
		l.next = s.leaf.without(old)
		s.leaf = l
	default:
		// Two hashes share this prefix: push the resident leaf one level down. Distinct 64-bit hashes part at the latest
		// where shift reaches hashBits.
		child := (*branch)(nil).put(e, shift+fanoutBits, s.leaf, nil)
		*s = slot{child: child.put(e, shift+fanoutBits, l, old)}
	}
	return b
}

func (b *branch) drop(e *edit, shift int, hash uint64, old *Topic) *branch {
	bit := uint32(1) << (hash >> shift & fanoutMask)
	if b == nil || b.bits&bit == 0 {
		return b
	}
	b = b.own(e)
	at := bits.OnesCount32(b.bits & (bit - 1))
	s := &b.slots[at]
	if s.child != nil {
		s.child = s.child.drop(e, shift+fanoutBits, hash, old)
		if s.child != nil && len(s.child.slots) == 1 && s.child.slots[0].leaf != nil {
			*s = s.child.slots[0] // a lone leaf moves up, so that the shape depends only on the content
		}
	} else if s.leaf.hash == hash {
		s.leaf = s.leaf.without(old)
	}
	if s.child == nil && s.leaf == nil {
		b.bits &^= bit
		b.slots = append(b.slots[:at], b.slots[at+1:]...)
		if len(b.slots) == 0 {
			return nil
		}
	}
	return b
}

// without returns the chain less the topic gone; leaves before it are copied.
func (l *leaf) without(gone *Topic) *leaf {
	if l == nil || gone == nil {
		return l
	}
	if l.topic == gone {
		return l.next
	}
	return &leaf{hash: l.hash, topic: l.topic, next: l.next.without(gone)}
}
