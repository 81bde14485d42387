package hostile

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// mutator makes hostile frames of valid ones. What it makes depends on its random numbers alone.
type mutator struct {
	*rand.Rand
	templates [][]*template
}

// way is one way to spoil a frame, and how often it is taken.
type way struct {
	often int
	spoil func(m *mutator, t *template, b []byte) []byte
}

// ways add up to 100. Most leave a frame that can be answered, because a connection that is closed upon costs as much as many frames.
var ways = [...]way{
	{8, func(_ *mutator, _ *template, b []byte) []byte { return b }},
	{43, (*mutator).numbers},
	{7, (*mutator).lengths},
	{6, (*mutator).tagged},
	{3, (*mutator).header},
	{2, (*mutator).ends},
	{2, (*mutator).moves},
	{14, (*mutator).bytewise},
	{15, (*mutator).batch},
}

// lyingOften is one in how many frames tell a false length.
const lyingOften = 80

// frame appends a mutant of some template with a correlation id, and tells whether it is the template unchanged.
func (m *mutator) frame(dst []byte, correlation uint32) (out []byte, t *template, untouched bool) {
	variants := m.templates[m.IntN(len(m.templates))]
	t = variants[m.IntN(len(variants))]
	start := len(dst)
	b := append(dst, t.frame...)[start:]
	binary.BigEndian.PutUint32(b[atCorrelation:], correlation)
	pick := m.IntN(100)
	for i := range ways {
		if pick -= ways[i].often; pick < 0 {
			b = ways[i].spoil(m, t, b)
			untouched = i == 0
			break
		}
	}
	size := uint32(len(b) - 4)
	if m.IntN(lyingOften) == 0 {
		untouched = false
		size = m.lie(size)
	}
	binary.BigEndian.PutUint32(b, size)
	return append(dst[:start], b...), t, untouched
}

// lie is a length that is not the frame's.
func (m *mutator) lie(size uint32) uint32 {
	switch m.IntN(8) {
	case 0:
		return m.edge(4)
	case 1, 2:
		return size + 1 + m.Uint32N(100) // takes the beginning of what follows
	case 3, 4:
		return size - min(size, 1+m.Uint32N(20)) // what is left begins the next
	default:
		return m.Uint32N(40)
	}
}

// edge is a value where code goes wrong, of so many bytes.
func (m *mutator) edge(width int) uint32 {
	edges := [...]uint32{0, 1, 2, 4, 8, 16, 100, 127, 128, 255, 0x7ffe, 0x7fff, 0x8000, 0xfffe, 0xffff, 1 << 20, 100 << 20, 0x7ffffffe, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff}
	v := edges[m.IntN(len(edges))]
	if m.IntN(6) == 0 {
		v = m.Uint32()
	}
	if width < 4 {
		v &= 1<<(8*width) - 1
	}
	return v
}

// choose picks a few different spots that qualify, from the last to the first, so that changing one moves none of the others.
func (m *mutator) choose(t *template, most int, ok func(k kind) bool) (list []spot) {
	for range 1 + m.IntN(most) {
		for range 8 { // not every frame has a spot of every kind
			s := t.spots[m.IntN(len(t.spots))]
			if ok(s.kind) && !slices.Contains(list, s) {
				list = append(list, s)
				break
			}
		}
	}
	slices.SortFunc(list, func(a, b spot) int { return b.at - a.at })
	return list
}

// numbers puts edges into fixed fields.
func (m *mutator) numbers(t *template, b []byte) []byte {
	if len(t.spots) == 0 {
		return m.bytewise(t, b)
	}
	for _, s := range m.choose(t, 3, func(k kind) bool { return k == kindNumber }) {
		m.number(b[s.at:s.at+s.width], b)
	}
	return b
}

// number overwrites one number with an edge, or with a number that the frame has elsewhere.
func (m *mutator) number(field, frame []byte) {
	if m.IntN(8) == 0 && len(frame) > atHeaderEnd+8 {
		at := atHeaderEnd + m.IntN(len(frame)-atHeaderEnd-8)
		copy(field, frame[at:])
		return
	}
	switch v := m.edge(len(field)); len(field) {
	case 1:
		field[0] = byte(v)
	case 2:
		binary.BigEndian.PutUint16(field, uint16(v))
	case 4:
		binary.BigEndian.PutUint32(field, v)
	case 8:
		wide := uint64(v)
		switch m.IntN(4) {
		case 0:
			wide = uint64(int64(int32(v)))
		case 1:
			wide <<= 32
		case 2:
			wide = wide<<32 | 0xffffffff
		}
		binary.BigEndian.PutUint64(field, wide)
	}
}

// lengths makes lengths and counts lie.
func (m *mutator) lengths(t *template, b []byte) []byte {
	if len(t.spots) == 0 {
		return m.ends(t, b)
	}
	for _, s := range m.choose(t, 2, func(k kind) bool { return k != kindNumber }) {
		b = m.length(b, s)
	}
	return b
}

func (m *mutator) length(b []byte, s spot) []byte {
	rest := uint32(len(b) - s.at)
	var v uint32
	switch m.IntN(4) {
	case 0:
		v = rest - 6 + m.Uint32N(12) // about what is there
	case 1:
		v = m.Uint32N(12)
	default:
		v = m.edge(4)
	}
	switch s.kind {
	case kindShort:
		binary.BigEndian.PutUint16(b[s.at:], uint16(v))
	case kindLong:
		binary.BigEndian.PutUint32(b[s.at:], v)
	default:
		_, n := binary.Uvarint(b[s.at:])
		b = slices.Replace(b, s.at, s.at+max(n, 1), m.uvarint(v)...)
	}
	return b
}

// uvarint writes a number, one time of four in a form no writer uses.
func (m *mutator) uvarint(v uint32) []byte {
	b := binary.AppendUvarint(nil, uint64(v))
	switch m.IntN(16) {
	case 0: // longer than it need be
		b[len(b)-1] |= 0x80
		for range m.IntN(5) {
			b = append(b, 0x80)
		}
		b = append(b, 0)
	case 1: // more bits than fit
		b = binary.AppendUvarint(b[:0], uint64(v)|uint64(m.Uint32())<<32)
	case 2: // without an end
		b = b[:0]
		for range 1 + m.IntN(12) {
			b = append(b, 0xff)
		}
	case 3:
		b = []byte{0xff, 0xff, 0xff, 0xff, 0x7f}
	}
	return b
}

// tagged puts tagged fields where the version has them: unknown ones, known ones with nonsense inside, the same twice, out of order.
func (m *mutator) tagged(t *template, b []byte) []byte {
	if !t.flexible {
		return m.numbers(t, b)
	}
	places := append(m.choose(t, 2, func(k kind) bool { return k == kindTags }), spot{at: t.body - 1, kind: kindTags})
	if m.IntN(3) > 0 {
		places = places[:1]
	}
	for _, s := range places {
		n := 1 + m.IntN(4)
		tags := binary.AppendUvarint(nil, uint64(n))
		first := uint64(m.IntN(4))
		for i := range n {
			tag := first + uint64(i)
			switch m.IntN(4) {
			case 0:
				tag = first // twice
			case 1:
				tag = uint64(m.edge(4))
			}
			tags = binary.AppendUvarint(tags, tag)
			value := make([]byte, m.IntN(10))
			for j := range value {
				value[j] = byte(m.Uint32())
			}
			size := uint32(len(value))
			if m.IntN(8) == 0 {
				size = m.edge(4)
			}
			tags = append(append(tags, m.uvarint(size)...), value...)
		}
		if m.IntN(8) == 0 {
			tags = slices.Replace(tags, 0, 1, m.uvarint(m.edge(4))...)
		}
		b = slices.Replace(b, s.at, s.at+1, tags...)
	}
	return b
}

// header spoils key, version and client id, or gives the body a header of the other version.
func (m *mutator) header(t *template, b []byte) []byte {
	switch m.IntN(8) {
	case 0:
		binary.BigEndian.PutUint16(b[atKey:], uint16(m.edge(2)))
	case 1:
		binary.BigEndian.PutUint16(b[atKey:], uint16(m.IntN(100)))
	case 2:
		binary.BigEndian.PutUint16(b[atVersion:], uint16(m.edge(2)))
	case 3:
		binary.BigEndian.PutUint16(b[atVersion:], uint16(m.IntN(20)))
	case 4: // the body of one version under another
		binary.BigEndian.PutUint16(b[atVersion:], uint16(int(t.version)+1-2*m.IntN(2)))
	case 5: // tagged fields too many, or too few
		if t.flexible {
			return slices.Delete(b, t.body-1, t.body)
		}
		return slices.Insert(b, t.body, 0)
	case 6:
		binary.BigEndian.PutUint16(b[atClientID:], uint16(m.edge(2)))
	case 7: // no client id
		b = slices.Delete(b, atClientID+2, atHeaderEnd)
		binary.BigEndian.PutUint16(b[atClientID:], uint16(-m.IntN(3)))
	}
	return b
}

// ends cuts the frame short or lets it go on.
func (m *mutator) ends(t *template, b []byte) []byte {
	if m.IntN(3) == 0 {
		for range 1 + m.IntN(40) {
			b = append(b, byte(m.Uint32()))
		}
		return b
	}
	if len(t.spots) > 0 && m.IntN(2) == 0 {
		return b[:t.spots[m.IntN(len(t.spots))].at]
	}
	return b[:atCorrelation+m.IntN(len(b)-atCorrelation)]
}

// moves repeats a part of the body, or leaves it out.
func (m *mutator) moves(t *template, b []byte) []byte {
	if len(b) <= t.body {
		return m.bytewise(t, b)
	}
	from := t.body + m.IntN(len(b)-t.body)
	to := min(len(b), from+1+m.IntN(40))
	if m.IntN(2) == 0 {
		return slices.Delete(b, from, to)
	}
	return slices.Insert(b, to, slices.Clone(b[from:to])...)
}

// bytewise changes bytes anywhere behind the length.
func (m *mutator) bytewise(t *template, b []byte) []byte {
	from := t.body // the header's bytes have ways of their own, and most of them only end the connection
	if m.IntN(10) == 0 || from >= len(b) {
		from = 4
	}
	for range 1 + m.IntN(4) {
		at := from + m.IntN(len(b)-from)
		switch m.IntN(3) {
		case 0:
			b[at] ^= 1 << m.IntN(8)
		case 1:
			b[at] = byte(m.Uint32())
		case 2:
			b[at] = [...]byte{0, 1, 0x7f, 0x80, 0xfe, 0xff}[m.IntN(6)]
		}
	}
	return b
}
