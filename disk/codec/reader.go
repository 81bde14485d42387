package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// ErrTooLarge means that the payload decompresses to more bytes than Reset allowed.
var ErrTooLarge = errors.New("decompressed size over the limit")

// ErrCorrupt means that the payload is not what its codec says; returned errors wrap it.
var ErrCorrupt = errors.New("corrupt compressed data")

const (
	// gzipChunk is how much gzip inflates at a time.
	gzipChunk = 32 << 10
	// scratchMin is where the scratch of codecs without a bounded block (raw snappy, zstd) begins.
	scratchMin = 64 << 10
	// scratchKeep is the most scratch a Reader keeps between payloads, so that one large batch does not stay in memory for ever.
	scratchKeep = 4 << 20
)

// Reader decompresses one payload at a time and keeps its memory for the next. One owner at a time; the zero value is ready.
//
// Memory: gzip a 32 KiB window, lz4 one block (at most 4 MiB), xerial snappy one block, raw snappy and zstd the whole output. No size found
// in the payload is believed before the bytes that make it true are there, and nothing grows over outputMax. The Reader keeps src
// until the next Reset.
type Reader struct {
	codec Codec
	src   []byte // not yet decoded
	out   []byte // decoded, not yet read: part of scratch, or of the payload itself
	left  int    // bytes that may still be decoded
	err   error  // sticky

	scratch []byte
	input   bytes.Reader
	gzip    *gzip.Reader
	zstd    *zstd.Decoder
	frame   lz4Frame
	xerial  bool
	begun   bool
}

// Reset begins a payload compressed with c that may decompress to at most outputMax bytes.
func (r *Reader) Reset(c Codec, src []byte, outputMax int) {
	r.codec, r.src, r.left = c, src, max(outputMax, 0)
	r.out, r.err, r.begun, r.xerial = nil, nil, false, false
	if cap(r.scratch) > scratchKeep {
		r.scratch = nil
	}
}

// Read reads decompressed bytes. It ends with io.EOF when the payload ended where it should, with ErrTooLarge, or with an error that
// wraps ErrCorrupt.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if len(p) == 0 {
			return 0, nil
		}
		r.fill()
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// fill decodes the next piece into r.out, or sets r.err.
func (r *Reader) fill() {
	var out []byte
	var err error
	switch r.codec {
	case None:
		out, err = r.src, nil
		r.src = nil
		if len(out) == 0 {
			err = io.EOF
		}
	case Gzip:
		out, err = r.fillGzip()
	case Snappy:
		out, err = r.fillSnappy()
	case LZ4:
		out, err = r.fillLZ4()
	case Zstd:
		out, err = r.fillZstd()
	default:
		err = fmt.Errorf("%s: %w", r.codec, ErrCorrupt)
	}
	r.begun = true
	if len(out) > r.left {
		out, err = nil, ErrTooLarge
	}
	r.left -= len(out)
	r.out, r.err = out, err
}

// room returns a scratch of n bytes; what it held is lost.
func (r *Reader) room(n int) []byte {
	if cap(r.scratch) < n {
		r.scratch = make([]byte, n)
	}
	return r.scratch[:n]
}

func (r *Reader) fillGzip() ([]byte, error) {
	if !r.begun {
		r.input.Reset(r.src)
		var err error
		if r.gzip == nil {
			r.gzip, err = gzip.NewReader(&r.input)
		} else {
			err = r.gzip.Reset(&r.input)
		}
		if err != nil {
			return nil, corrupt("gzip", err)
		}
	}
	chunk := r.room(gzipChunk)[:gzipChunk]
	n, err := r.gzip.Read(chunk)
	if err != nil && err != io.EOF {
		err = corrupt("gzip", err)
	}
	return chunk[:n], err
}

func corrupt(what string, err error) error {
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return fmt.Errorf("%s: %w: cut short", what, ErrCorrupt)
	}
	return fmt.Errorf("%s: %w: %w", what, ErrCorrupt, err)
}
