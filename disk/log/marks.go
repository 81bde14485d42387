package log

import (
	"encoding/binary"
	"sort"
)

// mark is one entry of a segment's offset index: the batch at pos ends with offset base+last.
type mark struct {
	last uint32
	pos  uint32
}

// marks is the search index of an open segment. When marksMax are there every second is thrown away, and only every second new one is
// kept from then on: it stays 32 KiB however large the segment, at the price of a longer walk.
type marks struct {
	list []mark
	skip uint32 // of that many new marks one is kept, less one
	seen uint32
}

func (m *marks) add(last, pos uint32) {
	m.seen++
	if m.seen <= m.skip {
		return
	}
	m.seen = 0
	if len(m.list) == marksMax {
		for i := 0; i < marksMax/2; i++ {
			m.list[i] = m.list[2*i]
		}
		m.list = m.list[:marksMax/2]
		m.skip = m.skip*2 + 1
	}
	m.list = append(m.list, mark{last, pos})
}

// around is where to start walking for rel, the last known batch that does not end behind it, or the start of the file; and the first known one
// that does, or -1.
func (m *marks) around(rel uint32) (floor uint32, above int64) {
	n := sort.Search(len(m.list), func(i int) bool { return m.list[i].last > rel })
	above = -1
	if n < len(m.list) {
		above = int64(m.list[n].pos)
	}
	if n > 0 {
		floor = m.list[n-1].pos
	}
	return floor, above
}

// appendIndexEntry encodes an entry of the .index file.
func appendIndexEntry(b []byte, m mark) []byte {
	b = binary.BigEndian.AppendUint32(b, m.last)
	return binary.BigEndian.AppendUint32(b, m.pos)
}

// timeMark is one entry of a segment's time index.
type timeMark struct {
	time int64
	last uint32
}

// appendTimeEntry encodes an entry of the .timeindex file.
func appendTimeEntry(b []byte, m timeMark) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(m.time))
	return binary.BigEndian.AppendUint32(b, m.last)
}

// indexPrefix is how many entries at the start of an .index file can be right for a segment of size bytes: both numbers ascend and
// the position lies inside. Zeros (Kafka's preallocation, or a lost page) end it.
func indexPrefix(b []byte, size int64) int {
	n := 0
	var before mark
	for ; (n+1)*indexEntryBytes <= len(b); n++ {
		m := indexEntry(b, n)
		if int64(m.pos) >= size || m.last > segmentBytesMax || (m.last == 0 && m.pos == 0) {
			break
		}
		if n > 0 && (m.last <= before.last || m.pos <= before.pos) {
			break
		}
		before = m
	}
	return n
}

// timePrefix is how many entries at the start of a .timeindex file can be right for a segment whose last relative offset is last.
func timePrefix(b []byte, last uint32) int {
	n := 0
	var before timeMark
	for ; (n+1)*timeEntryBytes <= len(b); n++ {
		m := timeEntry(b, n)
		if m.last > last || m.time < 0 || (m.time == 0 && m.last == 0 && n+1 < len(b)/timeEntryBytes) {
			break
		}
		if n > 0 && (m.time <= before.time || m.last < before.last) {
			break
		}
		before = m
	}
	return n
}

func indexEntry(b []byte, n int) mark {
	b = b[n*indexEntryBytes:]
	return mark{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

func timeEntry(b []byte, n int) timeMark {
	b = b[n*timeEntryBytes:]
	return timeMark{int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])}
}
