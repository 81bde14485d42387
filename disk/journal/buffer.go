package journal

// Buffer gathers the entries of one shard's turns. It becomes one record.
type Buffer struct {
	raw   []byte // a record whose header is still empty
	count int
}

// NewBuffer returns an empty one. It grows with what is put into it and keeps its memory.
func NewBuffer() *Buffer { return &Buffer{raw: make([]byte, recordHeader, 16<<10)} }

// Add copies an entry.
func (b *Buffer) Add(e *Entry) {
	b.raw = appendEntry(b.raw, e)
	b.count++
}

// Empty reports whether nothing was added.
func (b *Buffer) Empty() bool { return b.count == 0 }

// Count is how many entries were added.
func (b *Buffer) Count() int { return b.count }

// Bytes is what it takes in the file.
func (b *Buffer) Bytes() int64 { return padded(len(b.raw)) }

// Reset empties it.
func (b *Buffer) Reset() { b.raw, b.count = b.raw[:recordHeader], 0 }
