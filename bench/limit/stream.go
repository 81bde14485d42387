package limit

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"golang.org/x/sys/unix"

	"pinion/bench/load"
	"pinion/disk/batch"
	"pinion/disk/codec"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fileMax is how long an appended file grows before the next one begins.
const fileMax = 4 << 30

// appendFile is the file a thread appends to.
type appendFile struct {
	dir string
	fd  int
	at  int64
}

func (a *appendFile) append(b []byte) error {
	if a.fd < 0 || a.at >= fileMax {
		if a.fd >= 0 {
			if err := unix.Close(a.fd); err != nil {
				return fmt.Errorf("close: %w", err)
			}
		}
		fd, err := scratch(a.dir)
		if err != nil {
			return err
		}
		a.fd, a.at = fd, 0
	}
	return writeAll(a.fd, b, &a.at)
}

// writeAll writes b at a place in a file, and moves the place.
func writeAll(fd int, b []byte, at *int64) error {
	for len(b) > 0 {
		n, err := pwriteRaw(fd, b, *at)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("append: %w", err)
		}
		*at += int64(n)
		b = b[n:]
	}
	return nil
}

// receive fills b, in as few calls as the kernel allows.
func receive(fd int, b []byte) error {
	for len(b) > 0 {
		n, _, err := unix.Recvfrom(fd, b, unix.MSG_WAITALL)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ECONNRESET, n == 0 && err == nil:
			return errDone
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		}
		b = b[n:]
	}
	return nil
}

func newAppender(spec Spec) (func(int) error, error) {
	chunk, err := chunkOf(spec.Shape)
	if err != nil {
		return nil, err
	}
	return func(fd int) error {
		a := &appendFile{dir: spec.Dir, fd: -1}
		b := make([]byte, len(chunk))
		var sum uint32
		var reader codec.Reader
		inflated := make([]byte, 64<<10)
		for {
			if err := receive(fd, b); err != nil {
				return err
			}
			if sum = crc32.Checksum(b, castagnoli); sum == 0 {
				return errors.New("a chunk whose checksum is zero") // one in four thousand million: the sum must be used
			}
			if spec.Shape.Codec != codec.None {
				if err := inflate(&reader, spec.Shape, b[batch.HeaderSize:], inflated); err != nil {
					return err
				}
			}
			if err := a.append(b); err != nil {
				return err
			}
		}
	}, nil
}

// inflate decompresses with the broker's own reader and drops what comes out.
func inflate(reader *codec.Reader, shape *load.Shape, b, scratch []byte) error {
	reader.Reset(shape.Codec, b, 64<<20)
	total := 0
	for {
		n, err := reader.Read(scratch)
		total += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("decompress: %w", err)
		}
	}
	if total < shape.Payload() {
		return fmt.Errorf("decompressed %d bytes of %d", total, shape.Payload())
	}
	return nil
}

// chunkOf is the batch that is sent and received.
func chunkOf(shape *load.Shape) ([]byte, error) { return shape.Batch() }

// residentBytes is how long the file is that Sendfile sends over and over; it stays in memory.
const residentBytes = 256 << 20

// appendedBytes is what the file is written in: batches of 64 x 1 KiB, as a log is. The kernel keeps what is written in larger pieces in larger folios,
// and sends those for less.
const appendedBytes = 66_100

func newSender(spec Spec) (func(int) error, error) {
	a := &appendFile{dir: spec.Dir, fd: -1}
	chunk := make([]byte, appendedBytes)
	for i := range chunk {
		chunk[i] = byte(i * 7)
	}
	for a.at < residentBytes {
		if err := a.append(chunk); err != nil {
			return nil, err
		}
	}
	return func(fd int) error {
		for at := int64(0); ; at = (at + int64(spec.Chunk)) % (residentBytes - chunkMax) {
			offset, left := at, spec.Chunk
			for left > 0 {
				n, err := unix.Sendfile(fd, a.fd, &offset, left)
				switch {
				case err == unix.EINTR:
					continue
				case err == unix.EPIPE, err == unix.ECONNRESET:
					return errDone
				case err != nil:
					return fmt.Errorf("sendfile: %w", err)
				case n == 0:
					return errors.New("sendfile: end of a file that does not end here")
				}
				left -= n
			}
		}
	}, nil
}
