package limit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"golang.org/x/sys/unix"

	"pinion/bench/load"
)

// replier answers the generator's requests on many connections: one thread's epoll loop. With relay it hands the batches of
// produce requests to the connection that waits in a fetch.
type replier struct {
	epoll  int
	relay  bool
	file   appendFile
	buffer []byte
	out    []byte

	offset  int64
	batches []byte // relay: not handed on yet
	waiting int    // relay: the connection whose fetch waits; -1: none
	number  uint32 // relay: and its correlation
}

func newReplier(spec Spec, relay bool) (func(int) error, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	r := &replier{epoll: epoll, relay: relay, file: appendFile{dir: spec.Dir, fd: -1}, buffer: make([]byte, 256<<10), waiting: -1}
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
		n, err := unix.EpollWait(r.epoll, events[:], -1)
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
		}
	}
}

// serve reads what one connection sent. The generator has one small request in flight, so that a read brings whole requests;
// where it does not, the rest is waited for.
func (r *replier) serve(fd int) error {
	n, err := unix.Read(fd, r.buffer)
	switch {
	case err == unix.EINTR:
		return nil
	case err == unix.ECONNRESET, err == nil && n == 0:
		return errDone
	case err != nil:
		return fmt.Errorf("receive: %w", err)
	}
	r.out = r.out[:0]
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
	if err := send(fd, r.out); err != nil {
		return err
	}
	return r.handOn()
}

func (r *replier) request(fd int, frame []byte) error {
	if crc32.Checksum(frame, castagnoli) == 0 {
		return errors.New("a request whose checksum is zero") // one in four thousand million: the sum must be used
	}
	if load.IsFetch(frame) {
		r.waiting, r.number = fd, load.Correlation(frame)
		return nil
	}
	batch := load.ProducedBatch(frame)
	if err := r.file.append(batch); err != nil {
		return err
	}
	if r.relay {
		at := len(r.batches)
		r.batches = append(r.batches, batch...)
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
	r.out = load.AppendFetchReply(r.out[:0], r.number, relayTopic, r.batches)
	fd := r.waiting
	r.waiting, r.batches = -1, r.batches[:0]
	return send(fd, r.out)
}

func send(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
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
