package limit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"pinion/bench/load"
)

// shelf is what the threads of Serve send from: for each partition a file written as a log is, batch by batch, with offsets from 0. It is
// written once and stays in memory.
type shelf struct {
	once  sync.Once
	files []appendFile
	err   error
	batch int64 // bytes of one
	each  int64 // records of one
}

// servedPartitions and servedBytes are what the row of fetches has.
const (
	servedPartitions = 4
	servedBytes      = 256 << 20 // of one partition
)

// servedBatches is how many batches a partition holds.
func servedBatches(batch int) int64 { return servedBytes / int64(batch) }

// fill writes the files, if no thread has yet.
func (s *shelf) fill(spec Spec) error {
	s.once.Do(func() {
		b, err := spec.Shape.Batch()
		if err != nil {
			s.err = err
			return
		}
		s.batch, s.each = int64(len(b)), int64(spec.Shape.Records)
		for range servedPartitions {
			file := appendFile{dir: spec.Dir, fd: -1}
			for i := range servedBatches(len(b)) {
				binary.BigEndian.PutUint64(b, uint64(i*s.each)) // its first offset; no checksum covers it
				if s.err = file.append(b); s.err != nil {
					return
				}
			}
			s.files = append(s.files, file)
		}
	})
	return s.err
}

// server answers the generator's fetches: one thread's epoll loop. An answer is a head, and then one sendfile where the socket takes it.
type server struct {
	epoll  int
	chunk  int
	shelf  *shelf
	sends  map[int]*sends // by connection
	buffer [4 << 10]byte
	head   []byte
}

// sends is what a connection is still owed of an answer; it has one at a time.
type sends struct {
	from int
	at   int64
	left int
}

func newServer(spec Spec, s *shelf) (func(int) error, error) {
	if err := s.fill(spec); err != nil {
		return nil, err
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	r := &server{epoll: epoll, chunk: spec.Chunk, shelf: s, sends: map[int]*sends{}}
	return func(fd int) error {
		if fd < 0 {
			return r.run()
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			return fmt.Errorf("connection: %w", err)
		}
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET, Fd: int32(fd)}
		return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event)
	}, nil
}

func (r *server) run() error {
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
			if err := r.serve(int(e.Fd), e.Events); errors.Is(err, errDone) {
				delete(r.sends, int(e.Fd))
				if err := unix.Close(int(e.Fd)); err != nil {
					return fmt.Errorf("close: %w", err)
				}
			} else if err != nil {
				return err
			}
		}
	}
}

// serve goes on where the socket was full, or else reads a request: the generator has one in flight on each connection.
func (r *server) serve(fd int, events uint32) error {
	s := r.sends[fd]
	if s == nil {
		s = &sends{}
		r.sends[fd] = s
	}
	if s.left > 0 {
		return r.send(fd, s)
	}
	if events&^unix.EPOLLOUT == 0 {
		return nil
	}
	n, err := readRaw(fd, r.buffer[:])
	switch {
	case err == unix.EINTR, err == unix.EAGAIN:
		return nil
	case err == unix.ECONNRESET, err == nil && n == 0:
		return errDone
	case err != nil:
		return fmt.Errorf("receive: %w", err)
	}
	frame := r.buffer[:n]
	if n < 8 || n != 4+int(binary.BigEndian.Uint32(frame)) || !load.IsFetch(frame) {
		return fmt.Errorf("%d bytes that are not one fetch", n)
	}
	partition, offset := load.Fetched(frame)
	if int(partition) >= len(r.shelf.files) || offset < 0 {
		return fmt.Errorf("partition %d at %d is not served", partition, offset)
	}
	file := &r.shelf.files[partition]
	s.from, s.at = file.fd, offset/r.shelf.each*r.shelf.batch
	s.left = int(min(int64(r.chunk), file.at-s.at))
	r.head = load.AppendFetchHead(r.head[:0], load.Correlation(frame), relayTopic, partition, s.left)
	switch n, err := sendRaw(fd, r.head, unix.MSG_MORE); {
	case err == unix.EPIPE, err == unix.ECONNRESET:
		return errDone
	case err != nil:
		return fmt.Errorf("send: %w", err)
	case n < len(r.head):
		return fmt.Errorf("an empty socket took %d bytes", n)
	}
	return r.send(fd, s)
}

func (r *server) send(fd int, s *sends) error {
	for s.left > 0 {
		n, err := sendfileRaw(fd, s.from, &s.at, s.left)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return nil
		case err == unix.EPIPE, err == unix.ECONNRESET:
			return errDone
		case err != nil:
			return fmt.Errorf("sendfile: %w", err)
		case n == 0:
			return errors.New("sendfile: end of a file that does not end here")
		}
		s.left -= n
	}
	return nil
}
