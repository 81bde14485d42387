// Package listen opens the sockets clients connect to, one per shard in one SO_REUSEPORT group, takes connections from them,
// counts them against the connection limits, and names what speaks when a first frame is not Kafka's.
//
// A Listener belongs to whoever opened it until its descriptors are given to the shards; from then on each descriptor belongs
// to its shard and only Close touches the whole. Limits is shared by all shards. Everything else here has one owner at a time.
//
// It refuses to choose the shard (net/steer tells the kernel how to deal), to read or write a connection, and to keep a
// connection: what Accept returns is the caller's to close.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// Spec says what to open.
type Spec struct {
	// Host is an address, a name, or empty for every address of the machine (IPv6 and IPv4). Of a name's addresses the first
	// IPv4 one is used, as Kafka does, because that is what its advertised name resolves to on a client's side.
	Host string
	// Port is the TCP port; 0 lets the kernel pick one that nobody uses.
	Port int
	// Shards is the number of sockets in the group, at least 1.
	Shards int
	// Backlog is socket.listen.backlog.size for each socket; 0 or less leaves it to net.core.somaxconn. The kernel caps it there.
	Backlog int
	// ReceiveBuffer and SendBuffer are socket.{receive,send}.buffer.bytes; 0 or less leaves the kernel's autotuning on. They are
	// set before listen because the window scale is agreed in the handshake.
	ReceiveBuffer, SendBuffer int
}

// Listener is one address with one listening socket per shard.
type Listener struct {
	// FDs holds the socket of each shard, in shard order. Non-blocking, close-on-exec. The kernel numbers the group in the same order.
	FDs []int
	// Addr is the address that was bound, with the real port.
	Addr netip.AddrPort
}

// Port is the bound TCP port.
func (l *Listener) Port() int { return int(l.Addr.Port()) }

// Close closes every socket. Connections not yet accepted are reset by the kernel. Calling it again does nothing.
func (l *Listener) Close() error {
	var errs []error
	for shard, fd := range l.FDs {
		if err := unix.Close(fd); err != nil {
			errs = append(errs, fmt.Errorf("close listener of shard %d: %w", shard, err))
		}
	}
	l.FDs = nil
	return errors.Join(errs...)
}

// shardsMax bounds a group; the kernel's own bound on a reuseport group is 65,535.
const shardsMax = 1024

// backlogMax is what listen(2) is asked for when nothing is configured; the kernel lowers it to net.core.somaxconn.
const backlogMax = 65535

// Open binds and listens on one socket per shard. It resolves names, so it may block; it runs before the shards do.
//
// The error wraps unix.EADDRINUSE when another process listens on the address. SO_REUSEPORT alone would not notice: a second
// broker of the same user would join the group and silently take its share of the connections.
func Open(spec Spec) (*Listener, error) {
	if spec.Shards < 1 || spec.Shards > shardsMax {
		return nil, fmt.Errorf("listen on %s: %d shards, want 1 to %d", spec.address(), spec.Shards, shardsMax)
	}
	if spec.Port < 0 || spec.Port > 65535 {
		return nil, fmt.Errorf("listen on %s: port %d, want 0 to 65535", spec.address(), spec.Port)
	}
	addr, err := resolve(spec.Host)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", spec.address(), err)
	}
	l, err := open(spec, netip.AddrPortFrom(addr, uint16(spec.Port)))
	if spec.Host == "" && errors.Is(err, errNoIPv6) {
		l, err = open(spec, netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(spec.Port)))
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", spec.address(), err)
	}
	return l, nil
}

func (s Spec) address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// errNoIPv6 marks a machine booted with ipv6.disable=1 or without an IPv6 stack.
var errNoIPv6 = errors.New("no IPv6 on this machine")

// resolve picks the one address to bind.
func resolve(host string) (netip.Addr, error) {
	if host == "" {
		return netip.IPv6Unspecified(), nil
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap(), nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("resolve host: %w", err)
	}
	return preferIPv4(addrs)
}

func preferIPv4(addrs []netip.Addr) (netip.Addr, error) {
	for _, addr := range addrs {
		if addr = addr.Unmap(); addr.Is4() {
			return addr, nil
		}
	}
	if len(addrs) == 0 {
		return netip.Addr{}, errors.New("host has no address")
	}
	return addrs[0], nil
}

func open(spec Spec, addr netip.AddrPort) (*Listener, error) {
	if addr.Port() != 0 {
		if err := probe(addr); err != nil {
			return nil, err
		}
	}
	l := &Listener{FDs: make([]int, 0, spec.Shards), Addr: addr}
	for range spec.Shards {
		// The first socket of port 0 picks the port (the kernel never picks one that another reuseport group holds); the others join.
		fd, err := listenOne(spec, l.Addr)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.FDs = append(l.FDs, fd)
		if l.Addr, err = boundTo(fd); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// probe fails with EADDRINUSE while anyone listens on addr: without SO_REUSEPORT on this socket their SO_REUSEPORT does not
// help them. SO_REUSEADDR lets connections in TIME_WAIT from an earlier run pass. Two brokers that start in the same
// microseconds can both pass; the lock on the log directory is what keeps data safe, this only keeps operators from guessing.
func probe(addr netip.AddrPort) error {
	fd, err := bound(addr, false)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func listenOne(spec Spec, addr netip.AddrPort) (int, error) {
	fd, err := bound(addr, true)
	if err != nil {
		return -1, err
	}
	if err := prepare(fd, spec); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// prepare sets what accepted sockets inherit from their listener on Linux (so that Accept is one system call), and listens.
func prepare(fd int, spec Spec) error {
	options := []struct {
		name               string
		level, opt, amount int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, spec.ReceiveBuffer},
		{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, spec.SendBuffer},
	}
	for _, o := range options {
		if o.amount <= 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.amount); err != nil {
			return fmt.Errorf("set %s to %d: %w", o.name, o.amount, err)
		}
	}
	backlog := spec.Backlog
	if backlog <= 0 {
		backlog = backlogMax
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// bound returns a non-blocking TCP socket bound to addr, in the port's reuseport group if asked.
func bound(addr netip.AddrPort, group bool) (int, error) {
	family := unix.AF_INET
	if !addr.Addr().Is4() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		if family == unix.AF_INET6 && errors.Is(err, unix.EAFNOSUPPORT) {
			err = fmt.Errorf("%w: %w", errNoIPv6, err)
		}
		return -1, fmt.Errorf("open socket: %w", err)
	}
	if err := bind(fd, addr, group); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func bind(fd int, addr netip.AddrPort, group bool) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("set SO_REUSEADDR: %w", err)
	}
	if group {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return fmt.Errorf("set SO_REUSEPORT: %w", err)
		}
	}
	if addr.Addr().Is6() {
		// Only the wildcard speaks for IPv4 as well; said aloud because net.ipv6.bindv6only may have changed the default.
		only := 1
		if addr.Addr().IsUnspecified() {
			only = 0
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return fmt.Errorf("set IPV6_V6ONLY: %w", err)
		}
	}
	sa, err := sockaddr(addr)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, sa); err != nil {
		if addr.Addr().Is6() && addr.Addr().IsUnspecified() && errors.Is(err, unix.EADDRNOTAVAIL) {
			err = fmt.Errorf("%w: %w", errNoIPv6, err)
		}
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

func sockaddr(addr netip.AddrPort) (unix.Sockaddr, error) {
	ip := addr.Addr()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()}, nil
	}
	sa := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		link, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, fmt.Errorf("address zone %q: %w", zone, err)
		}
		sa.ZoneId = uint32(link.Index)
	}
	return sa, nil
}

func boundTo(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("read bound address: %w", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			link, err := net.InterfaceByIndex(int(sa.ZoneId))
			if err != nil {
				return netip.AddrPort{}, fmt.Errorf("address zone %d: %w", sa.ZoneId, err)
			}
			ip = ip.WithZone(link.Name)
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port)), nil
	default:
		return netip.AddrPort{}, fmt.Errorf("read bound address: family %T", sa)
	}
}
