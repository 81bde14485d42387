package batch

import (
	"errors"
	"fmt"
	"io"

	"pinion/disk/codec"
	"pinion/engine/model"
)

// Record is one record of a batch. Key, value and headers point into the batch or into the iterator's memory and are gone at the next
// Next. A nil Key or Value is null.
type Record struct {
	Offset     model.Offset
	Timestamp  int64 // milliseconds since the Unix epoch: the batch's for append time
	Attributes byte  // unused by Kafka
	Key        []byte
	Value      []byte

	headers []byte // behind the count; verified
	count   int32
}

// HeaderCount is the number of headers.
func (r *Record) HeaderCount() int { return int(r.count) }

// Headers yields each header in order; a nil value is null.
func (r *Record) Headers(yield func(key, value []byte) bool) {
	at := 0
	for range r.count {
		key, value, end := header(r.headers, at)
		if end < 0 || !yield(key, value) {
			return
		}
		at = end
	}
}

// header decodes one header at b[at:]; the position behind it is -1 when it is broken.
func header(b []byte, at int) (key, value []byte, end int) {
	key, at = blob(b, at)
	if at < 0 || key == nil {
		return nil, nil, -1
	}
	value, at = blob(b, at)
	return key, value, at
}

// blob decodes a length and its bytes at b[at:]; nil for null. The position behind is -1 when it does not fit.
func blob(b []byte, at int) ([]byte, int) {
	size, at := varint(b, at)
	if at < 0 || int(size) > len(b)-at {
		return nil, -1
	}
	if size < 0 {
		return nil, at
	}
	return b[at : at+int(size) : at+int(size)], at + int(size)
}

// ErrMalformed means that the records of a batch are broken, or fewer or more than its header says.
var ErrMalformed = errors.New("malformed records")

// windowKeep is the most memory an Iterator keeps between batches.
const windowKeep = 1 << 20

// Iterator goes over the records of a batch, decompressing as it goes. It checks the structure of what it passes, not the CRC. One
// owner at a time; the zero value is ready and Reset makes it ready again. Its window grows to the largest record.
type Iterator struct {
	header  Header
	next    int32
	flow    flow // of a compressed batch; otherwise its window is the payload itself
	packed  bool
	reader  codec.Reader
	scratch []byte
	record  Record
	err     error
}

// Reset begins with b, exactly one batch. A compressed one may inflate to at most outputMax bytes. What is wrong with it is told by
// Err after the first Next.
func (it *Iterator) Reset(b []byte, outputMax int) {
	it.next, it.err, it.record = 0, nil, Record{}
	var ok bool
	if it.header, ok = ReadHeader(b); !ok || it.header.Size() != len(b) || it.header.Magic != Magic || it.header.Records < 0 {
		it.err = fmt.Errorf("batch header: %w", ErrMalformed)
		return
	}
	it.packed = it.header.Codec() != codec.None
	if !it.packed {
		it.flow = flow{window: b[HeaderSize:], end: len(b) - HeaderSize, err: io.EOF}
		return
	}
	if it.scratch == nil || cap(it.scratch) > windowKeep {
		it.scratch = make([]byte, windowSize)
	}
	it.reader.Reset(it.header.Codec(), b[HeaderSize:], outputMax)
	it.flow = flow{reader: &it.reader, window: it.scratch}
	if it.header.Records == 0 {
		it.flow.err = io.EOF // an emptied batch has no payload at all
	}
}

// Header is that of the batch; zero if it has none.
func (it *Iterator) Header() *Header { return &it.header }

// Record is the current record, valid after a true Next and until the following one.
func (it *Iterator) Record() *Record { return &it.record }

// Err says why Next was false: nil at the proper end, else an error that wraps ErrMalformed, codec.ErrCorrupt or codec.ErrTooLarge.
func (it *Iterator) Err() error { return it.err }

// Next moves to the next record. False: there is none, see Err.
func (it *Iterator) Next() bool {
	if it.err != nil {
		return false
	}
	if it.next == it.header.Records {
		if in := &it.flow; in.at < in.end || in.more() || in.err != io.EOF {
			it.fail()
		}
		return false
	}
	body, ok := it.body()
	if !ok || !it.decode(body) {
		it.fail()
		return false
	}
	it.next++
	return true
}

func (it *Iterator) fail() {
	if err := it.flow.err; err != nil && err != io.EOF {
		it.err = fmt.Errorf("record %d: %w", it.next, err)
		return
	}
	it.err = fmt.Errorf("record %d of %d: %w", it.next, it.header.Records, ErrMalformed)
}

// body brings the next record into the window and returns it without its length.
func (it *Iterator) body() ([]byte, bool) {
	in := &it.flow
	for {
		b := in.window[in.at:in.end]
		size, at := varint(b, 0)
		if at >= 0 {
			if size < recordMin {
				return nil, false
			}
			if int(size) <= len(b)-at {
				in.at += at + int(size)
				return b[at : at+int(size)], true
			}
		} else if len(b) >= varintMax {
			return nil, false
		}
		if len(b) == len(in.window) && it.packed {
			// Doubling, so that memory follows what was really decompressed, not what a length claims.
			in.window = append(make([]byte, 0, 2*len(b)), b...)[:2*len(b)]
			in.at, in.end = 0, len(b)
			it.scratch = in.window
		}
		if !in.more() {
			return nil, false
		}
	}
}

func (it *Iterator) decode(b []byte) bool {
	r := Record{Attributes: b[0]}
	stamp, at := varlong(b, 1)
	if at < 0 {
		return false
	}
	delta, at := varint(b, at)
	if at < 0 {
		return false
	}
	if r.Key, at = blob(b, at); at < 0 {
		return false
	}
	if r.Value, at = blob(b, at); at < 0 {
		return false
	}
	if headers(b, at) != len(b) {
		return false
	}
	r.count, at = varint(b, at)
	r.headers = b[at:]
	r.Offset = it.header.BaseOffset + model.Offset(delta)
	r.Timestamp = it.header.BaseTimestamp + stamp
	if it.header.IsAppendTime() {
		r.Timestamp = it.header.MaxTimestamp
	}
	it.record = r
	return true
}
