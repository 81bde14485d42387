package limit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"golang.org/x/sys/unix"

	"pinion/bench/load"
	"pinion/disk/batch"
	"pinion/disk/codec"
)

// replier answers the generator's requests on many connections: one thread's epoll loop. For Relay it hands the batches of
// produce requests to the connection that waits in a fetch. With a journal what one look at the sockets brought is answered after one write there.
type replier struct {
	epoll    int
	spec     Spec
	file     appendFile
	journal  *durableFile // nil: none
	reader   codec.Reader
	inflated []byte
	buffer   []byte
	out      []byte
	answers  []answer

	offset  int64
	batches []byte // relay: not handed on yet
	handed  []byte // relay: what was handed on last
	waiting int    // relay: the connection whose fetch waits; -1: none
	number  uint32 // relay: and its correlation
}

// answer is what a connection gets, up to a place in what goes out.
type answer struct{ fd, end int }

func newReplier(spec Spec) (func(int) error, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	r := &replier{epoll: epoll, spec: spec, file: appendFile{dir: spec.Dir, fd: -1}, inflated: make([]byte, 64<<10),
		buffer: make([]byte, 256<<10), waiting: -1}
	if spec.Durable {
		if r.journal, err = newDurableFile(spec.Dir); err != nil {
			return nil, err
		}
	}
	return func(fd int) error {
		if fd < 0 {
			return r.run()
		}
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event)
	}, nil
}

func (r *replier) run() error {
	var events [128]unix.EpollEvent
	for {
		n, err := waitRaw(r.epoll, events[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, e := range events[:n] {
			if err := r.serve(int(e.Fd)); errors.Is(err, errDone) {
				if err := unix.Close(int(e.Fd)); err != nil {
					return fmt.Errorf("close: %w", err)
				}
			} else if err != nil {
				return err
			}
			if r.journal == nil {
				if err := r.reply(); err != nil {
					return err
				}
			}
		}
		if err := r.reply(); err != nil {
			return err
		}
	}
}

// reply sends what has gathered, once it is stored. A connection that is gone says so where it is read.
func (r *replier) reply() error {
	if r.journal != nil && r.journal.n > 0 {
		if err := r.journal.store(); err != nil {
			return err
		}
	}
	from := 0
	for _, a := range r.answers {
		if err := send(a.fd, r.out[from:a.end]); err != nil && !errors.Is(err, errDone) {
			return err
		}
		from = a.end
	}
	r.out, r.answers = r.out[:0], r.answers[:0]
	if err := r.handOn(); err != nil && !errors.Is(err, errDone) {
		return err
	}
	return nil
}

// serve reads what one connection sent. Where a read does not bring whole requests the rest is waited for.
func (r *replier) serve(fd int) error {
	n, err := readRaw(fd, r.buffer)
	switch {
	case err == unix.EINTR:
		return nil
	case err == unix.ECONNRESET, err == nil && n == 0:
		return errDone
	case err != nil:
		return fmt.Errorf("receive: %w", err)
	}
	for b := r.buffer[:n]; len(b) > 0; {
		if len(b) < 4 {
			return errors.New("a request whose length came in pieces")
		}
		size := 4 + int(binary.BigEndian.Uint32(b))
		if size > len(r.buffer) {
			return fmt.Errorf("a request of %d bytes", size)
		}
		if size > len(b) {
			copy(r.buffer, b)
			if err := receive(fd, r.buffer[len(b):size]); err != nil {
				return err
			}
			b = r.buffer[:size]
		}
		if err := r.request(fd, b[:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	r.answers = append(r.answers, answer{fd, len(r.out)})
	return nil
}

func (r *replier) request(fd int, frame []byte) error {
	if crc32.Checksum(frame, castagnoli) == 0 {
		return errors.New("a request whose checksum is zero") // one in four thousand million: the sum must be used
	}
	if load.IsFetch(frame) {
		r.waiting, r.number = fd, load.Correlation(frame)
		return nil
	}
	produced := load.ProducedBatch(frame)
	if r.spec.Shape.Codec != codec.None {
		if err := inflate(&r.reader, r.spec.Shape, produced[batch.HeaderSize:], r.inflated); err != nil {
			return err
		}
	}
	if err := r.file.append(produced); err != nil {
		return err
	}
	if r.journal != nil {
		if err := r.journal.add(produced); err != nil {
			return err
		}
	}
	if r.spec.Kind == Relay {
		at := len(r.batches)
		r.batches = append(r.batches, produced...)
		binary.BigEndian.PutUint64(r.batches[at:], uint64(r.offset))
		r.offset++
	}
	r.out = load.AppendProduceReply(r.out, load.Correlation(frame), load.ProducedTopic(frame))
	return nil
}

// handOn answers the waiting fetch.
func (r *replier) handOn() error {
	if r.waiting < 0 || len(r.batches) == 0 {
		return nil
	}
	r.handed = load.AppendFetchReply(r.handed[:0], r.number, relayTopic, r.batches)
	fd := r.waiting
	r.waiting, r.batches = -1, r.batches[:0]
	return send(fd, r.handed)
}

// send gives an answer to a socket that has room for it.
func send(fd int, b []byte) error { return sendBy(sendOnce, fd, b) }

func sendOnce(fd int, b []byte) (int, error) { return sendRaw(fd, b, 0) }

// sendBy sends all of b, by calls that may take less.
func sendBy(call func(fd int, b []byte) (int, error), fd int, b []byte) error {
	for len(b) > 0 {
		n, err := call(fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EPIPE, err == unix.ECONNRESET:
			return errDone
		case err != nil:
			return fmt.Errorf("send: %w", err)
		}
		b = b[n:]
	}
	return nil
}
