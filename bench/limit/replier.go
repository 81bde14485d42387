package limit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

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

	relay   *relay
	batches []byte // relay: not handed on yet
}

// relay hands what all threads received to the one fetch that waits, whichever thread has its connection.
type relay struct {
	mu      sync.Mutex
	offset  int64
	batches []byte // for the next fetch
	handed  []byte // what was handed on last
	waiting int    // the connection whose fetch waits; -1: none
	number  uint32 // and its correlation
}

func newRelay() *relay { return &relay{waiting: -1} }

// wait notes a fetch.
func (r *relay) wait(fd int, number uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting, r.number = fd, number
}

// handOn takes batches of one record each, and answers the fetch that waits.
func (r *relay) handOn(batches []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := len(r.batches)
	r.batches = append(r.batches, batches...)
	for ; at < len(r.batches); at += batch.Overhead + int(binary.BigEndian.Uint32(r.batches[at+8:])) {
		binary.BigEndian.PutUint64(r.batches[at:], uint64(r.offset))
		r.offset++
	}
	if r.waiting < 0 || len(r.batches) == 0 {
		return nil
	}
	r.handed = load.AppendFetchReply(r.handed[:0], r.number, relayTopic, r.batches)
	fd := r.waiting
	r.waiting, r.batches = -1, r.batches[:0]
	return send(fd, r.handed)
}

// answer is what a connection gets, up to a place in what goes out.
type answer struct{ fd, end int }

func newReplier(spec Spec, shared *relay) (func(int) error, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	r := &replier{epoll: epoll, spec: spec, file: appendFile{dir: spec.Dir, fd: -1}, inflated: make([]byte, 64<<10),
		buffer: make([]byte, 256<<10), relay: shared}
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
	if r.spec.Kind != Relay {
		return nil
	}
	err := r.relay.handOn(r.batches)
	if r.batches = r.batches[:0]; errors.Is(err, errDone) {
		return nil
	}
	return err
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
		r.relay.wait(fd, load.Correlation(frame))
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
		r.batches = append(r.batches, produced...)
	}
	r.out = load.AppendProduceReply(r.out, load.Correlation(frame), load.ProducedTopic(frame))
	return nil
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
