package load

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// flow is what the requests of a connection are about: producing, fetching, or reading the tail.
type flow interface {
	// fill encodes what is owed, at least one request; the bytes are sent before the next call.
	fill(c *conn, now int64) []byte
	// answer reads one response without its length.
	answer(c *conn, f flight, frame []byte, now int64) error
}

// flight is one request: when it was meant to be sent, when it was, and for which partition.
type flight struct {
	intended, sent int64
	partition      int32
}

// conn is one connection; it belongs to one loop.
type conn struct {
	fd      int
	number  int
	address string
	flow    flow

	owed   fifo   // requests whose time has come and that are not encoded yet; only intended is set
	flying fifo   // requests that are encoded and not answered
	rest   []byte // what the socket did not take yet
	asking bool   // whether epoll is asked for EPOLLOUT

	in         []byte // received
	begin, end int    // what of it is not read yet: [begin, end)

	correlation int32 // of the next request
	answered    int32 // of the next response
}

// frameMax bounds a response; a longer one is no Kafka broker's.
const frameMax = 256 << 20

// receiveMin is the room kept free before a read.
const receiveMin = 64 << 10

var errClosed = errors.New("the broker closed the connection")

// pump sends what is owed until the socket is full.
func (c *conn) pump(l *loop) error {
	for {
		for len(c.rest) > 0 {
			n, err := unix.Write(c.fd, c.rest)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				return c.ask(l, true)
			case err != nil:
				return c.fail(fmt.Errorf("send: %w", err))
			}
			c.rest = c.rest[n:]
		}
		if c.owed.len() == 0 {
			return c.ask(l, false)
		}
		c.rest = c.flow.fill(c, l.now())
	}
}

// ask tells epoll whether room in the socket matters.
func (c *conn) ask(l *loop, writable bool) error {
	if c.asking == writable {
		return nil
	}
	c.asking = writable
	events := uint32(unix.EPOLLIN)
	if writable {
		events |= unix.EPOLLOUT
	}
	event := unix.EpollEvent{Events: events, Fd: int32(c.number)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &event); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// receive reads what has come and hands whole responses to the flow.
func (c *conn) receive(l *loop) error {
	for {
		c.makeRoom()
		room := len(c.in) - c.end
		n, err := unix.Read(c.fd, c.in[c.end:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return nil
		case err != nil:
			return c.fail(fmt.Errorf("receive: %w", err))
		case n == 0:
			return c.fail(errClosed)
		}
		c.end += n
		if err := c.frames(l.now()); err != nil {
			return c.fail(err)
		}
		if n < room {
			return nil
		}
	}
}

// frames takes the whole responses out of the buffer.
func (c *conn) frames(now int64) error {
	for c.end-c.begin >= 4 {
		size := int(binary.BigEndian.Uint32(c.in[c.begin:]))
		if size < 4 || size > frameMax {
			return fmt.Errorf("a response of %d bytes", size)
		}
		if c.end-c.begin < 4+size {
			return nil
		}
		frame := c.in[c.begin+4 : c.begin+4+size]
		c.begin += 4 + size
		if got := int32(binary.BigEndian.Uint32(frame)); got != c.answered || c.flying.len() == 0 {
			return fmt.Errorf("response number %d where %d was due", got, c.answered)
		}
		c.answered++
		if err := c.flow.answer(c, c.flying.pop(), frame, now); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom keeps the response that is coming in one piece, and room behind it.
func (c *conn) makeRoom() {
	if c.begin == c.end {
		c.begin, c.end = 0, 0
	}
	need := receiveMin
	if have := c.end - c.begin; have >= 4 {
		need = max(need, 4+int(min(binary.BigEndian.Uint32(c.in[c.begin:]), frameMax))-have)
	}
	if len(c.in)-c.end >= need {
		return
	}
	if have := c.end - c.begin; len(c.in) >= have+need {
		copy(c.in, c.in[c.begin:c.end])
	} else {
		larger := make([]byte, max(2*len(c.in), have+need))
		copy(larger, c.in[c.begin:c.end])
		c.in = larger
	}
	c.begin, c.end = 0, c.end-c.begin
}

func (c *conn) fail(err error) error {
	return fmt.Errorf("connection %d to %s: %w", c.number, c.address, err)
}

// fifo is a queue that grows: an open loop owes what a stalled broker has not taken, and that is the measurement.
type fifo struct {
	ring        []flight // length a power of two
	first, next uint64
}

func (q *fifo) len() int { return int(q.next - q.first) }

func (q *fifo) push(f flight) {
	if q.len() == len(q.ring) {
		larger := make([]flight, max(16, 2*len(q.ring)))
		for i := range q.len() {
			larger[i] = q.ring[(q.first+uint64(i))%uint64(len(q.ring))]
		}
		q.first, q.next, q.ring = 0, uint64(q.len()), larger
	}
	q.ring[q.next%uint64(len(q.ring))] = f
	q.next++
}

func (q *fifo) pop() flight {
	f := q.ring[q.first%uint64(len(q.ring))]
	q.first++
	return f
}
