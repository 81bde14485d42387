package journal

import "pinion/disk/device"

// Buffer gathers the entries of one shard's turns. It becomes one record.
type Buffer struct {
	raw   []byte // a record whose header is still empty; begins on a boundary, and has room up to one
	count int

	// Batches that are lent stand behind the record, each from a boundary on: what of them lies on boundaries in memory as well is not
	// copied, their edges are.
	edges []byte // blocks of a boundary each
	loans []loan
	lent  int64 // bytes behind the record
}

// loan is what is not copied of a batch, with the edges that stand before it.
type loan struct {
	edges int // up to where in edges
	bytes []byte
}

// NewBuffer returns an empty one. It grows with what is put into it and keeps its memory.
func NewBuffer() *Buffer { return &Buffer{raw: device.Aligned(16 << 10)[:recordHeader]} }

// Add copies an entry.
func (b *Buffer) Add(e *Entry) {
	b.raw = grown(b.raw, entryBytesMax+len(e.Bytes))
	b.raw = appendEntry(b.raw, e)
	b.count++
}

// Lend adds an append whose batch must stay as it is until the buffer is written. A reader knows it by the batch's own CRC.
func (b *Buffer) Lend(e *Entry) {
	from, to := device.Whole(e.Bytes)
	if to == 0 {
		b.Add(e)
		return
	}
	skip := 0
	if from > 0 {
		skip = boundary - from
		b.edge(skip, e.Bytes[:from])
	}
	b.loans = append(b.loans, loan{edges: len(b.edges), bytes: e.Bytes[from:to]})
	b.lent += int64(to - from)
	if to < len(e.Bytes) {
		b.edge(0, e.Bytes[to:])
	}
	b.raw = grown(b.raw, entryBytesMax)
	b.raw = appendHeader(b.raw, e, skip, behind)
	b.count++
}

// edge adds a block with some bytes of a batch in it.
func (b *Buffer) edge(at int, bytes []byte) {
	b.edges = grown(b.edges, boundary)
	b.edges = append(b.edges, zeros[:boundary]...)
	copy(b.edges[len(b.edges)-boundary+at:], bytes)
	b.lent += boundary
}

// grown is b with room for n bytes more, on a boundary.
func grown(b []byte, n int) []byte {
	if need := len(b) + n; need > cap(b) {
		return append(device.Aligned(max(need, 2*cap(b))), b...)
	}
	return b
}

// Empty reports whether nothing was added.
func (b *Buffer) Empty() bool { return b.count == 0 }

// Count is how many entries were added.
func (b *Buffer) Count() int { return b.count }

// Bytes is what it takes in the file.
func (b *Buffer) Bytes() int64 { return padded(len(b.raw)) + b.lent }

// seal finishes the record and adds all that stands in the file to what is to be written.
func (b *Buffer) seal(s stamp, iov [][]byte) [][]byte {
	b.raw = seal(b.raw, b.count, s)
	iov = append(iov, b.raw)
	done := 0
	for _, p := range b.loans {
		if p.edges > done {
			iov = append(iov, b.edges[done:p.edges])
			done = p.edges
		}
		iov = append(iov, p.bytes)
	}
	if done < len(b.edges) {
		iov = append(iov, b.edges[done:])
	}
	return iov
}

// Reset empties it.
func (b *Buffer) Reset() {
	b.raw, b.count = b.raw[:recordHeader], 0
	clear(b.loans)
	b.edges, b.loans, b.lent = b.edges[:0], b.loans[:0], 0
}
