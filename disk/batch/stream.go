package batch

import (
	"errors"
	"io"

	"pinion/disk/codec"
)

// windowSize is how much of a decompressed payload is in memory at a time during validation. Records that do not fit are walked
// in steps.
const windowSize = 64 << 10

// stream decompresses the payload through a window and walks its records.
func (v *Validator) stream(c codec.Codec, payload []byte, outputMax int) Fault {
	if v.window == nil {
		v.window = make([]byte, windowSize)
	}
	v.reader.Reset(c, payload, outputMax)
	w := &v.walk
	in := flow{reader: &v.reader, window: v.window}
	for {
		used, ok := w.run(in.window[in.at:in.end])
		in.at += used
		if !ok {
			return FaultRecord
		}
		if w.next == w.count {
			break
		}
		if in.end-in.at < len(in.window) {
			if !in.more() {
				return in.fault()
			}
			continue
		}
		if !w.big(&in) {
			return in.fault()
		}
	}
	// The payload has to end with the last record; asking also verifies what the codec keeps at its end.
	if in.at < in.end || in.more() {
		return FaultRecord
	}
	if in.err == io.EOF {
		return FaultNone
	}
	return in.fault()
}

// flow is a window over a decompressed payload: [at, end) is there and not yet used.
type flow struct {
	reader  *codec.Reader
	window  []byte
	at, end int
	err     error
}

// more brings further bytes into the window, moving the unused ones to its front. False: there are none; err says why.
func (f *flow) more() bool {
	if f.err != nil {
		return false
	}
	if f.at > 0 {
		f.end = copy(f.window, f.window[f.at:f.end])
		f.at = 0
	}
	var n int
	n, f.err = f.reader.Read(f.window[f.end:])
	f.end += n
	return n > 0
}

// fault is what a payload that cannot be walked further is to be blamed for.
func (f *flow) fault() Fault {
	switch {
	case f.err == nil || f.err == io.EOF:
		return FaultRecord
	case errors.Is(f.err, codec.ErrTooLarge):
		return FaultInflated
	}
	return FaultCompressed
}

// big walks one record that is larger than the window. False: it is broken, or the payload is.
func (w *walk) big(in *flow) bool {
	r := bigRecord{in: in, left: varintMax}
	size := r.varint()
	if size < recordMin || r.left < 0 {
		return false
	}
	r.left = int(size)
	r.skip(1)
	stamp := r.varlong()
	delta := r.varint()
	key := r.varint()
	r.skip(key)
	r.skip(r.varint())
	count := r.varint()
	if count < 0 || int(count) > r.left/headerMin {
		return false
	}
	for ; count > 0 && r.left >= 0; count-- {
		name := r.varint()
		if name < 0 {
			return false
		}
		r.skip(name)
		r.skip(r.varint())
	}
	if r.left != 0 {
		return false
	}
	w.judge(stamp, delta, key)
	return true
}

// bigRecord reads the fields of one record from a flow. left counts the bytes that still belong to it and turns negative for good at the
// first field that does not fit.
type bigRecord struct {
	in   *flow
	left int
}

// ready brings n bytes into the window, or all that are left of the record.
func (r *bigRecord) ready(n int) []byte {
	for n = min(n, r.left); r.in.end-r.in.at < n; {
		if !r.in.more() {
			break
		}
	}
	b := r.in.window[r.in.at:r.in.end]
	return b[:min(len(b), max(n, 0))]
}

func (r *bigRecord) took(n int) {
	if n < 0 || n > r.left {
		r.left = -1
		return
	}
	r.left -= n
	r.in.at += n
}

func (r *bigRecord) varint() int32 {
	v, n := varint(r.ready(varintMax), 0)
	r.took(n)
	return v
}

func (r *bigRecord) varlong() int64 {
	v, n := varlong(r.ready(varlongMax), 0)
	r.took(n)
	return v
}

// skip passes over n bytes; a negative n, the length of null, is none.
func (r *bigRecord) skip(n int32) {
	for rest := int(max(n, 0)); rest > 0; {
		if rest > r.left {
			r.left = -1
			return
		}
		step := len(r.ready(min(rest, len(r.in.window))))
		if step == 0 {
			r.left = -1
			return
		}
		r.took(step)
		rest -= step
	}
}
