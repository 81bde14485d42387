package batch

import (
	"encoding/binary"

	"pinion/disk/codec"
	"pinion/engine/model"
	"pinion/engine/must"
)

// RecordHeader is one header of a record. A nil Value is null; Key may be empty but never null.
type RecordHeader struct {
	Key   string
	Value []byte
}

// Builder makes one batch at a time, as a client would: for tools, tests and for batches the broker writes itself. Fill the fields and Add
// records, then Append. A Builder is reused with Reset; one owner at a time. The zero value builds uncompressed batches, but
// with producer id 0: start from NewBuilder or Reset.
type Builder struct {
	BaseOffset    model.Offset
	Epoch         model.Epoch
	Codec         codec.Codec
	Level         int // of compression; 0 is the codec's default
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
	AppendTime    bool // timestamps are the broker's: the largest one added counts for all records

	records []byte
	count   int32
	last    int32          // offset delta of the record added last
	base    int64          // timestamp of the first record, or the delete horizon
	horizon bool           // base is one
	max     int64          // largest timestamp added
	encoder *codec.Encoder // made when first needed; it is large
}

// NewBuilder returns an empty builder without producer id.
func NewBuilder() *Builder {
	b := &Builder{}
	b.Reset()
	return b
}

// Reset empties the builder and puts every field back to its default, keeping its memory.
func (b *Builder) Reset() {
	*b = Builder{
		Epoch:         model.NoEpoch,
		ProducerID:    NoProducerID,
		ProducerEpoch: NoProducerEpoch,
		BaseSequence:  NoSequence,
		records:       b.records[:0],
		last:          -1,
		base:          NoTimestamp,
		max:           NoTimestamp,
		encoder:       b.encoder,
	}
}

// Add appends one record at the next offset. ts is in milliseconds since the Unix epoch; a nil key or value is null.
func (b *Builder) Add(ts int64, key, value []byte, headers ...RecordHeader) {
	b.AddAt(b.last+1, ts, key, value, headers...)
}

// AddAt is Add with an offset delta of the caller's choice, as compaction leaves gaps and broken clients send nonsense.
func (b *Builder) AddAt(delta int32, ts int64, key, value []byte, headers ...RecordHeader) {
	b.count, b.last = b.count+1, delta
	b.time(ts)
	size := 1 + varlongSize(ts-b.base) + varintSize(delta) + blobSize(key) + blobSize(value) + varintSize(int32(len(headers)))
	for _, h := range headers {
		size += varintSize(int32(len(h.Key))) + len(h.Key) + blobSize(h.Value)
	}
	start := len(b.records) + varintSize(int32(size))
	r := b.appendFront(size, ts, delta, key, value, int32(len(headers)))
	for _, h := range headers {
		r = append(appendVarint(r, int32(len(h.Key))), h.Key...)
		r = appendBlob(r, h.Value)
	}
	if len(r)-start != size {
		must.Failf("record of %d bytes was sized %d", len(r)-start, size)
	}
	b.records = r
}

// time notes the timestamp of the record that was just counted.
func (b *Builder) time(ts int64) {
	if b.count > 1 {
		b.max = max(b.max, ts)
		return
	}
	b.max = ts
	if !b.horizon {
		b.base = ts
	}
}

// addRaw is AddAt with headers already encoded.
func (b *Builder) addRaw(delta int32, ts int64, key, value []byte, count int32, headers []byte) {
	b.count, b.last = b.count+1, delta
	b.time(ts)
	size := 1 + varlongSize(ts-b.base) + varintSize(delta) + blobSize(key) + blobSize(value) + varintSize(count) + len(headers)
	b.records = b.appendFront(size, ts, delta, key, value, count)
	b.records = append(b.records, headers...)
}

// appendFront writes a record up to and including its header count.
func (b *Builder) appendFront(size int, ts int64, delta int32, key, value []byte, count int32) []byte {
	r := appendVarint(b.records, int32(size))
	r = append(r, 0) // attributes, unused
	r = appendVarlong(r, ts-b.base)
	r = appendVarint(r, delta)
	r = appendBlob(r, key)
	r = appendBlob(r, value)
	return appendVarint(r, count)
}

// Count is the number of records added.
func (b *Builder) Count() int { return int(b.count) }

// RawSize is the size of the batch in bytes if it were not compressed.
func (b *Builder) RawSize() int { return HeaderSize + len(b.records) }

// Append writes the finished batch behind dst; the builder keeps its records. An error comes from the compressor alone (a level it
// does not know).
func (b *Builder) Append(dst []byte) ([]byte, error) {
	start := len(dst)
	h := b.header()
	dst = h.Append(dst)
	if b.encoder == nil {
		b.encoder = new(codec.Encoder)
	}
	dst, err := b.encoder.Append(dst, b.Codec, b.Level, b.records)
	if err != nil {
		return dst[:start], err
	}
	out := dst[start:]
	binary.BigEndian.PutUint32(out[atLength:], uint32(len(out)-Overhead))
	stampCRC(out)
	return dst, nil
}

// Bytes is AppendTo new memory.
func (b *Builder) Bytes() []byte { return b.AppendTo(make([]byte, 0, b.RawSize())) }

// AppendTo is Append that panics where that would fail: for tests and constant levels.
func (b *Builder) AppendTo(dst []byte) []byte {
	out, err := b.Append(dst)
	if err != nil {
		must.Failf("build a batch: %v", err)
	}
	return out
}

func (b *Builder) header() Header {
	h := Header{
		BaseOffset:      b.BaseOffset,
		Epoch:           b.Epoch,
		Magic:           Magic,
		Attributes:      int16(b.Codec),
		LastOffsetDelta: max(b.last, 0),
		BaseTimestamp:   b.base,
		MaxTimestamp:    b.max,
		ProducerID:      b.ProducerID,
		ProducerEpoch:   b.ProducerEpoch,
		BaseSequence:    b.BaseSequence,
		Records:         b.count,
	}
	if b.AppendTime {
		h.Attributes |= AppendTime
	}
	if b.Transactional {
		h.Attributes |= Transactional
	}
	if b.Control {
		h.Attributes |= Control
	}
	if b.horizon {
		h.Attributes |= DeleteHorizon
	}
	return h
}

func blobSize(b []byte) int {
	if b == nil {
		return varintSize(-1)
	}
	return varintSize(int32(len(b))) + len(b)
}

func appendBlob(dst, b []byte) []byte {
	if b == nil {
		return appendVarint(dst, -1)
	}
	return append(appendVarint(dst, int32(len(b))), b...)
}
