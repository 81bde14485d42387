package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNone says that no connection is waiting: leave the listener to epoll.
var ErrNone = errors.New("no connection waiting")

// ErrExhausted says that a connection waits but the process or the machine is out of descriptors or socket memory. The
// listener stays readable, so a level-triggered loop would spin: call Spare.Shed once, then leave the listener alone for Pause.
var ErrExhausted = errors.New("out of file descriptors or socket memory")

// Pause is how long a shard takes its listener out of epoll after ErrExhausted, and while Limits is full. Long enough to
// cost nothing, short enough that a client's connect timeout (seconds) does not notice.
const Pause = 100 * time.Millisecond

// abortedMax bounds how many connections that died in the queue one Accept passes over, so that a flood of them cannot hold a turn.
const abortedMax = 64

// Accept takes one waiting connection from a shard's listener. It never blocks and allocates nothing. The connection is
// non-blocking and close-on-exec, with TCP_NODELAY and SO_KEEPALIVE inherited from the listener; it belongs to the caller.
// The peer is an IPv4 address when the connection is IPv4, whatever the listener's family; a link-local peer has no zone.
//
// Errors: ErrNone, ErrExhausted; anything else means that the listener itself is unusable.
func Accept(fd int) (conn int, peer netip.AddrPort, err error) {
	for range abortedMax {
		var sa rawAddr
		conn, errno := accept4(fd, &sa)
		switch errno {
		case 0:
			return conn, sa.addrPort(), nil
		case unix.EAGAIN:
			return -1, netip.AddrPort{}, ErrNone
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			return -1, netip.AddrPort{}, ErrExhausted
		case unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.ENETDOWN, unix.ENOPROTOOPT,
			unix.EHOSTDOWN, unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH:
			// accept(2): Linux passes on the error the new connection already has. It left the queue; the next may be well.
			continue
		default:
			return -1, netip.AddrPort{}, fmt.Errorf("accept: %w", errno)
		}
	}
	return -1, netip.AddrPort{}, ErrNone
}

// Spare is a descriptor kept in reserve, one per shard, so that a client can be told no when descriptors have run out. Without it the
// client would sit in the queue until its own timeout.
type Spare struct{ fd int }

// OpenSpare takes the reserve.
func OpenSpare() (*Spare, error) {
	s := &Spare{fd: -1}
	if err := s.refill(); err != nil {
		return nil, fmt.Errorf("open spare descriptor: %w", err)
	}
	return s, nil
}

// Shed gives up the reserve, takes one waiting connection with it, closes that and takes the reserve back. It reports the peer
// turned away; ok is false when another thread was quicker to the descriptor or the machine, not the process, is exhausted.
func (s *Spare) Shed(listener int) (peer netip.AddrPort, ok bool) {
	if s.fd >= 0 {
		s.close()
		conn, from, err := Accept(listener)
		if err == nil {
			// An error of close here has nobody to tell: the descriptor is gone either way (close(2)).
			_ = unix.Close(conn)
			peer, ok = from, true
		}
	}
	// A reserve that cannot be taken back now is tried again at the next Shed.
	_ = s.refill()
	return peer, ok
}

// Close gives the reserve up for good.
func (s *Spare) Close() { s.close() }

func (s *Spare) close() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

func (s *Spare) refill() error {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	s.fd = fd
	return nil
}
