// Package codec compresses and decompresses the records of a batch: gzip, snappy (raw and xerial framing), lz4 frames and zstd. Readers
// stream, are capped in output and memory, and are reused. It owns nothing but their scratch memory, knows nothing of records, and
// refuses to trust any size written in the compressed bytes.
package codec

import "strconv"

// Codec is the compression number in the low three attribute bits of a batch.
type Codec int8

// The codecs of Kafka. Fixed by the protocol.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// Valid reports whether c is a codec Kafka knows.
func (c Codec) Valid() bool { return c >= None && c <= Zstd }

// String is the name used by compression.type and the clients.
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return "codec " + strconv.Itoa(int(c))
}

// Parse reads a name as String writes it; "uncompressed", as compression.type calls it, is None too.
func Parse(name string) (Codec, bool) {
	if name == "uncompressed" {
		return None, true
	}
	for c := None; c <= Zstd; c++ {
		if c.String() == name {
			return c, true
		}
	}
	return None, false
}
