package catalog

import (
	"encoding/binary"
	"math"

	"pinion/engine/model"
	"pinion/engine/placement"
)

// writer appends the encoding that reader reads; commands and snapshots share it.
type writer struct{ b []byte }

func (w *writer) byte(v byte)      { w.b = append(w.b, v) }
func (w *writer) uvarint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) id(v [16]byte)    { w.b = append(w.b, v[:]...) }

// number writes a signed value (zig-zag), because callers may hand in the negative numbers that Apply must refuse.
func (w *writer) number(v int64) { w.b = binary.AppendVarint(w.b, v) }

func (w *writer) float(v float64) { w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(v)) }

func (w *writer) flag(v bool) {
	if v {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

func (w *writer) string(v string) {
	w.uvarint(uint64(len(v)))
	w.b = append(w.b, v...)
}

// reader decodes with a sticky failure: after bad is set every read returns zero. No count is believed before it is held
// against the bytes that are left and the caller's bound, so nothing allocates more than the input justifies.
type reader struct {
	b        []byte
	bad      bool
	shards   bool // the command says on which shards replicas go
	directed bool // the snapshot says in which log directories they are
}

// done reports whether everything was read and nothing failed.
func (r *reader) done() bool { return !r.bad && len(r.b) == 0 }

func (r *reader) fail() {
	r.bad = true
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) flag() bool {
	v := r.byte()
	if v > 1 {
		r.fail()
	}
	return v == 1
}

func (r *reader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit || n != uvarintLen(v) {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// uvarintLen is the shortest encoding's length; a longer one is refused, so that a state has one encoding.
func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

func (r *reader) number() int64 {
	u := r.uvarint(math.MaxUint64)
	v := int64(u >> 1)
	if u&1 != 0 {
		v = ^v
	}
	return v
}

func (r *reader) int32() int32 {
	v := r.number()
	if v < math.MinInt32 || v > math.MaxInt32 {
		r.fail()
		return 0
	}
	return int32(v)
}

// count reads the length of a list whose elements take at least one byte each.
func (r *reader) count(limit int) int {
	n := int(r.uvarint(uint64(limit)))
	if n > len(r.b) {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) string(limit int) string {
	n := r.count(limit)
	v := string(r.b[:n])
	r.b = r.b[n:]
	return v
}

func (r *reader) float() float64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

func (r *reader) id() (v [16]byte) {
	if len(r.b) < len(v) {
		r.fail()
		return v
	}
	copy(v[:], r.b)
	r.b = r.b[len(v):]
	return v
}

func (r *reader) configs() map[string]string {
	n := r.count(configsMax)
	if n == 0 {
		return nil
	}
	values := make(map[string]string, n)
	last := ""
	for i := range n {
		key := r.string(configKeyMax)
		value := r.string(configValueMax)
		if key == "" || i > 0 && key <= last {
			r.fail()
		}
		if r.bad {
			return nil
		}
		values[key], last = value, key
	}
	return values
}

func (r *reader) changes() (changes []ConfigChange, replace bool) {
	replace = r.flag()
	n := r.count(2 * configsMax)
	for range n {
		c := ConfigChange{Key: r.string(configKeyMax), Delete: r.flag(), Value: r.string(configValueMax)}
		if c.Key == "" {
			r.fail()
		}
		if r.bad {
			return nil, false
		}
		changes = append(changes, c)
	}
	return changes, replace
}

func (r *reader) assignment() Assignment {
	n := r.count(commandPartitionsMax)
	if n == 0 {
		return nil
	}
	all := make(Assignment, 0, n)
	for range n {
		m := r.count(replicasMax)
		replicas := make([]placement.Replica, 0, m)
		for range m {
			replica := placement.Replica{Node: model.NodeID(r.int32()), Shard: model.NoShard}
			if r.shards {
				replica.Shard += model.ShardID(r.int32())
			}
			replicas = append(replicas, replica)
		}
		if r.bad {
			return nil
		}
		all = append(all, replicas)
	}
	return all
}

func (r *reader) directories() []placement.Directory {
	n := r.count(directoriesMax)
	if n == 0 {
		return nil
	}
	all := make([]placement.Directory, 0, n)
	for range n {
		d := placement.Directory{ID: r.id(), Path: r.string(pathBytesMax), State: placement.DirectoryState(r.byte())}
		if d.ID.IsZero() || d.State > placement.DirectoryCordoned || at(all, d.ID) >= 0 {
			r.fail()
		}
		if r.bad {
			return nil
		}
		all = append(all, d)
	}
	return all
}

func (r *reader) listeners() []placement.Listener {
	n := r.count(listenersMax)
	if n == 0 {
		return nil
	}
	all := make([]placement.Listener, 0, n)
	for range n {
		l := placement.Listener{Name: r.string(labelBytesMax), Host: r.string(hostBytesMax), Port: r.int32()}
		if l.Port < 0 || l.Port > math.MaxUint16 {
			r.fail()
		}
		if r.bad {
			return nil
		}
		all = append(all, l)
	}
	return all
}
