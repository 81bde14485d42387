package log

import (
	"errors"
	"io"
	"io/fs"
	"sync"

	"pinion/disk/batch"
	"pinion/disk/device"
)

// errStop ends a walk early.
var errStop = errors.New("stop")

// walkBytes is how much a walk on a helper reads at once.
const walkBytes = 64 << 10

// walkBuffers are shared by the helpers: opening 20,000 partitions must not make 20,000 buffers.
var walkBuffers = sync.Pool{New: func() any { return new([walkBytes]byte) }}

// walkHeaders calls visit for every header in [from, to) of a segment, and stops where a header does not fit into what is left, or visit
// returns an error; errStop ends it without one. It returns the position it stopped at. It blocks, and checks no CRC.
func walkHeaders(f device.File, from, to int64, visit func(pos int64, h *batch.Header) error) (int64, error) {
	buf := walkBuffers.Get().(*[walkBytes]byte)
	defer walkBuffers.Put(buf)
	pos := from
	for to-pos >= batch.HeaderSize {
		n, err := f.Pread(buf[:min(walkBytes, to-pos)], pos)
		if err != nil && err != io.EOF {
			return pos, err
		}
		used := 0
		for n-used >= batch.HeaderSize {
			h, _ := batch.ReadHeader(buf[used:n])
			at := pos + int64(used)
			if h.Length < batch.HeaderSize-batch.Overhead || at+int64(h.Size()) > to {
				return at, nil
			}
			if err := visit(at, &h); err == errStop {
				return at, nil
			} else if err != nil {
				return at, err
			}
			used += h.Size()
		}
		if used == 0 {
			return pos, nil // the file ends inside the header
		}
		pos += int64(used)
	}
	return pos, nil
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
