package log

import (
	"io"

	"pinion/disk/device"
)

// window reads a file from front to back through a buffer: a batch after the other costs a call for many of them, not one each.
// A large step over what is not wanted costs a short read.
type window struct {
	f    device.File
	size int64 // nothing behind is looked at
	buf  *[walkBytes]byte
	from int64 // what buf holds is [from, from+n)
	n    int
}

// glanceBytes is read where the next thing wanted lies beyond what was read ahead: reading far ahead has just been in vain.
const glanceBytes = 4 << 10

func newWindow(f device.File, size int64) *window {
	return &window{f: f, size: size, buf: walkBuffers.Get().(*[walkBytes]byte)}
}

// free gives the buffer back.
func (w *window) free() { walkBuffers.Put(w.buf) }

// at is what is there from pos on: need bytes at least, unless the file ends before, and maybe more. It is valid until the next call.
func (w *window) at(pos, need int64) ([]byte, error) {
	if pos < w.from || pos+need > w.from+int64(w.n) {
		if err := w.fill(pos, need); err != nil {
			return nil, err
		}
	}
	return w.buf[pos-w.from : w.n], nil
}

func (w *window) fill(pos, need int64) error {
	ahead := int64(walkBytes)
	if w.n > 0 && pos > w.from+int64(w.n) {
		ahead = max(glanceBytes, need)
	}
	n, err := w.f.Pread(w.buf[:max(0, min(ahead, w.size-pos))], pos)
	if err == io.EOF {
		err = nil
	}
	w.from, w.n = pos, n
	return err
}
