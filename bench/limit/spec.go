package limit

import (
	"fmt"

	"pinion/bench/load"
	"pinion/disk/codec"
)

// Kind is which system calls a loop makes.
type Kind string

// The loops. Each thread of a streaming loop has one connection.
const (
	Append   Kind = "append"   // receive a chunk, CRC-32C over it, decompress it if it is compressed, append it to a file
	Sendfile Kind = "sendfile" // send chunks of a resident file, asked by nobody
	Serve    Kind = "serve"    // receive a fetch, send a head and a chunk of a resident file; 4 connections
	Null     Kind = "null"     // receive produce requests, CRC-32C over each, append, answer
	Relay    Kind = "relay"    // hand what a producer sends to a waiting consumer: the two hops of end to end latency
	Journal  Kind = "journal"  // write a chunk to a file written once before, and fdatasync
)

// Spec is one loop.
type Spec struct {
	Name  string
	Kind  Kind
	Chunk int         // bytes of one system call: of a batch, a write, a sendfile
	Shape *load.Shape // of the batch that is the chunk; of the requests of Null and Relay; of the batches in Serve's files
	Rate  float64     // Relay: requests a second
	// Connections, and what each has in flight, of Null.
	Connections, InFlight int
	// Durable: Null and Relay write what one look at their sockets brought past the page cache as well, and answer when the device has stored it.
	Durable bool
	Threads int
	Dir     string // where files go: the file system under test
}

func (s Spec) valid() error {
	switch s.Kind {
	case Append, Null, Relay:
		if s.Shape == nil {
			return fmt.Errorf("loop %s: a shape is missing", s.Name)
		}
		if s.Kind == Null && (s.Connections < 1 || s.InFlight < 1) {
			return fmt.Errorf("loop %s: %d connections with %d in flight", s.Name, s.Connections, s.InFlight)
		}
	case Serve:
		if s.Shape == nil || s.Chunk < s.Shape.Payload() || s.Chunk > chunkMax {
			return fmt.Errorf("loop %s: chunks of %d bytes, of batches that are smaller", s.Name, s.Chunk)
		}
	case Sendfile, Journal:
		if s.Chunk < 1 || s.Chunk > chunkMax {
			return fmt.Errorf("loop %s: chunks of %d bytes; 1 to %d", s.Name, s.Chunk, chunkMax)
		}
	default:
		return fmt.Errorf("loop %s: no such kind: %q", s.Name, s.Kind)
	}
	if s.Threads < 1 || s.Dir == "" {
		return fmt.Errorf("loop %s: %d threads in %q", s.Name, s.Threads, s.Dir)
	}
	return nil
}

// turns reports whether a thread has an epoll instance for its connections, in place of one connection.
func (s Spec) turns() bool { return s.Kind == Serve || s.Kind == Null || s.Kind == Relay }

const chunkMax = 16 << 20

// Specs are the loops of `bench limit`, for a broker with so many threads whose data lies in dir.
func Specs(threads int, dir string) []Spec {
	large := load.Shape{Records: 64, RecordBytes: 1024, RandomRatio: 0.5}
	small := load.Shape{Records: 100, RecordBytes: 100, RandomRatio: 0.5}
	one := load.Shape{Records: 1, RecordBytes: 100, RandomRatio: 1}
	with := func(s load.Shape, c codec.Codec) *load.Shape { s.Codec = c; return &s }
	null := func(name string, shape *load.Shape, connections, inFlight int, durable bool) Spec {
		return Spec{Name: name, Kind: Null, Shape: shape, Connections: connections, InFlight: inFlight, Durable: durable}
	}
	list := []Spec{
		{Name: "append-64KiB", Kind: Append, Shape: &large},
		{Name: "append-11KiB", Kind: Append, Shape: &small},
		{Name: "append-64KiB-lz4", Kind: Append, Shape: with(large, codec.LZ4)},
		{Name: "append-11KiB-lz4", Kind: Append, Shape: with(small, codec.LZ4)},
		{Name: "append-64KiB-zstd", Kind: Append, Shape: with(large, codec.Zstd)},
		{Name: "append-11KiB-zstd", Kind: Append, Shape: with(small, codec.Zstd)},
		{Name: "sendfile-1MiB", Kind: Sendfile, Chunk: 1 << 20},
		{Name: "serve-1MiB", Kind: Serve, Chunk: 1 << 20, Shape: &large},
		null("null-64x1", &one, 64, 1, false),
		null("null-4x16", &one, 4, 16, false),
		{Name: "relay-2000", Kind: Relay, Shape: &one, Rate: 2000},
		{Name: "relay-10000", Kind: Relay, Shape: &one, Rate: 10_000},
		null("answer-64KiB", &large, 4, 4, false),
		null("answer-11KiB", &small, 16, 2, false),
		null("answer-64KiB-lz4", with(large, codec.LZ4), 4, 4, false),
		null("answer-11KiB-lz4", with(small, codec.LZ4), 16, 2, false),
		null("answer-64KiB-zstd", with(large, codec.Zstd), 4, 4, false),
		null("answer-11KiB-zstd", with(small, codec.Zstd), 16, 2, false),
		{Name: "journal-4KiB", Kind: Journal, Chunk: 4 << 10},
		{Name: "journal-64KiB", Kind: Journal, Chunk: 64 << 10},
		null("durable-64KiB", &large, 4, 4, true),
		null("durable-11KiB", &small, 16, 2, true),
		null("durable-64KiB-lz4", with(large, codec.LZ4), 4, 4, true),
		null("durable-11KiB-lz4", with(small, codec.LZ4), 16, 2, true),
		null("durable-64KiB-zstd", with(large, codec.Zstd), 4, 4, true),
		null("durable-11KiB-zstd", with(small, codec.Zstd), 16, 2, true),
		null("durable-64x1", &one, 64, 1, true),
		null("durable-4x16", &one, 4, 16, true),
		{Name: "relay-2000-durable", Kind: Relay, Shape: &one, Rate: 2000, Durable: true},
		{Name: "relay-10000-durable", Kind: Relay, Shape: &one, Rate: 10_000, Durable: true},
	}
	for i := range list {
		list[i].Threads, list[i].Dir = threads, dir
		if list[i].Kind == Journal {
			list[i].Threads = 1
		}
	}
	return list
}
