package load

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Congestion is the congestion control asked for on every socket of this package. Linux machines that default to BBR pace even the
// loopback, at two to four times the cost and with a wide spread.
const Congestion = "cubic"

// dialTimeout bounds a connect.
const dialTimeout = 5 * time.Second

// dial connects a non-blocking socket and gives the congestion control it has.
func dial(address string) (fd int, congestion string, err error) {
	to, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return -1, "", fmt.Errorf("address %s: %w", address, err)
	}
	family, sockaddr := unix.AF_INET, unix.Sockaddr(nil)
	if ip := to.IP.To4(); ip != nil || to.IP == nil {
		a := &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte{127, 0, 0, 1}}
		copy(a.Addr[:], ip)
		sockaddr = a
	} else {
		family = unix.AF_INET6
		a := &unix.SockaddrInet6{Port: to.Port}
		copy(a.Addr[:], to.IP.To16())
		sockaddr = a
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, "", fmt.Errorf("socket: %w", err)
	}
	if err := prepare(fd, sockaddr); err != nil {
		_ = unix.Close(fd)
		return -1, "", fmt.Errorf("connect to %s: %w", address, err)
	}
	congestion, err = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if err != nil {
		congestion = "unknown"
	}
	return fd, congestion, nil
}

func prepare(fd int, to unix.Sockaddr) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("TCP_NODELAY: %w", err)
	}
	// A kernel without it keeps its own; what the socket has is read back and reported.
	_ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, Congestion)
	limit := unix.NsecToTimeval(int64(dialTimeout))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return fmt.Errorf("SO_SNDTIMEO: %w", err)
	}
	err := unix.Connect(fd, to)
	if err == unix.EINTR {
		err = connected(fd)
	}
	if err != nil {
		return err
	}
	return unix.SetNonblock(fd, true)
}

// connected waits for the end of a connect that a signal has interrupted: it goes on meanwhile, and must not be asked for again.
func connected(fd int) error {
	for deadline := time.Now().Add(dialTimeout); ; {
		left := time.Until(deadline)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(left/time.Millisecond)+1)
		switch {
		case err == unix.EINTR || err == nil && n == 0:
			continue
		case err != nil:
			return err
		}
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		return err
	}
}

// DialBlocking connects a socket whose calls wait.
func DialBlocking(address string) (int, error) {
	fd, _, err := dial(address)
	if err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect to %s: %w", address, err)
	}
	// Connecting had a limit; sending waits for the reader.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{}); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect to %s: %w", address, err)
	}
	return fd, nil
}
