package codec

import (
	"fmt"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Encoder compresses as Kafka's clients do: gzip, xerial snappy, lz4 frames, zstd. It keeps the compressors it used for reuse; one
// owner at a time, not to be copied while in use. The zero value is ready.
type Encoder struct {
	gzip      *gzip.Writer
	gzipLevel int
	sink      sink
	zstd      *zstd.Encoder
	zstdLevel int
	lz4Fast   lz4.Compressor
	lz4Slow   lz4.CompressorHC
	lz4Out    []byte
}

// Append compresses src behind dst. Level 0 is the codec's default; gzip knows 1 to 9, lz4 1 to 17, zstd -131072 to 22 (Kafka's
// compression.*.level); others ignore it. An error leaves dst in an unknown but valid state.
func (e *Encoder) Append(dst []byte, c Codec, level int, src []byte) ([]byte, error) {
	switch c {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return e.appendGzip(dst, level, src)
	case Snappy:
		return appendXerial(dst, src), nil
	case LZ4:
		if level < 0 || level > 17 {
			return dst, fmt.Errorf("lz4: level %d is not 1 to 17", level)
		}
		return e.appendLZ4(dst, level, src)
	case Zstd:
		return e.appendZstd(dst, level, src)
	}
	return dst, fmt.Errorf("compress: unknown %s", c)
}

func (e *Encoder) appendGzip(dst []byte, level int, src []byte) ([]byte, error) {
	if level == 0 {
		level = gzip.DefaultCompression
	}
	e.sink.b = dst
	if e.gzip == nil || e.gzipLevel != level {
		w, err := gzip.NewWriterLevel(&e.sink, level)
		if err != nil {
			return dst, fmt.Errorf("gzip: %w", err)
		}
		e.gzip, e.gzipLevel = w, level
	} else {
		e.gzip.Reset(&e.sink)
	}
	if _, err := e.gzip.Write(src); err != nil {
		return e.sink.take(), fmt.Errorf("gzip: %w", err)
	}
	if err := e.gzip.Close(); err != nil {
		return e.sink.take(), fmt.Errorf("gzip: %w", err)
	}
	return e.sink.take(), nil
}

func (e *Encoder) appendZstd(dst []byte, level int, src []byte) ([]byte, error) {
	if level == 0 {
		level = 3
	}
	if e.zstd == nil || e.zstdLevel != level {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true),
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
		if err != nil {
			return dst, fmt.Errorf("zstd: %w", err)
		}
		e.zstd, e.zstdLevel = w, level
	}
	return e.zstd.EncodeAll(src, dst), nil
}

// sink is a slice that grows by Write.
type sink struct{ b []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

func (s *sink) take() []byte {
	b := s.b
	s.b = nil
	return b
}
