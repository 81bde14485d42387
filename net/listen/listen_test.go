package listen

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openForTest(t testing.TB, spec Spec) *Listener {
	t.Helper()
	l, err := Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// acceptAny polls every socket of l until one has a connection.
func acceptAny(t testing.TB, l *Listener) (conn int, peer netip.AddrPort) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for _, fd := range l.FDs {
			conn, peer, err := Accept(fd)
			if err == nil {
				return conn, peer
			}
			if err != ErrNone {
				t.Fatal(err)
			}
		}
	}
	t.Fatal("no connection arrived")
	return -1, netip.AddrPort{}
}

func dial(t testing.TB, network, host string, port int) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(network, net.JoinHostPort(host, strconv.Itoa(port)), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestOpen(t *testing.T) {
	tests := []struct {
		name, host, network, dial string
		shards                    int
		peer                      string
	}{
		{"ipv4", "127.0.0.1", "tcp4", "127.0.0.1", 3, "127.0.0.1"},
		{"ipv6", "::1", "tcp6", "::1", 2, "::1"},
		{"every address, by ipv4", "", "tcp4", "127.0.0.1", 2, "127.0.0.1"},
		{"every address, by ipv6", "", "tcp6", "::1", 2, "::1"},
		{"every ipv4 address", "0.0.0.0", "tcp4", "127.0.0.1", 2, "127.0.0.1"},
		{"name", "localhost", "tcp4", "127.0.0.1", 2, "127.0.0.1"},
		{"mapped ipv4", "::ffff:127.0.0.1", "tcp4", "127.0.0.1", 1, "127.0.0.1"},
		{"one shard", "127.0.0.1", "tcp4", "127.0.0.1", 1, "127.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Open(Spec{Host: tt.host, Shards: tt.shards})
			if err != nil && tt.network == "tcp6" && errors.Is(err, unix.EADDRNOTAVAIL) {
				t.Skipf("no IPv6 loopback: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if len(l.FDs) != tt.shards || l.Port() == 0 {
				t.Fatalf("got %d sockets on port %d", len(l.FDs), l.Port())
			}
			for shard, fd := range l.FDs {
				if at, err := boundTo(fd); err != nil || at != l.Addr {
					t.Errorf("shard %d bound to %v (%v), want %v", shard, at, err, l.Addr)
				}
			}
			client := dial(t, tt.network, tt.dial, l.Port())
			conn, peer := acceptAny(t, l)
			defer unix.Close(conn)
			if peer.Addr() != netip.MustParseAddr(tt.peer) || peer.Port() != client.LocalAddr().(*net.TCPAddr).AddrPort().Port() {
				t.Errorf("peer %v, client is %v", peer, client.LocalAddr())
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name string
		spec Spec
	}{
		{"no shards", Spec{Host: "127.0.0.1"}},
		{"too many shards", Spec{Host: "127.0.0.1", Shards: shardsMax + 1}},
		{"port too large", Spec{Host: "127.0.0.1", Port: 65536, Shards: 1}},
		{"negative port", Spec{Host: "127.0.0.1", Port: -1, Shards: 1}},
		{"unknown name", Spec{Host: "no-such-host.invalid", Shards: 1}},
		{"foreign address", Spec{Host: "192.0.2.1", Shards: 1}},
		{"unknown zone", Spec{Host: "fe80::1%nosuchif0", Shards: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := openDescriptors(t)
			if l, err := Open(tt.spec); err == nil {
				t.Errorf("opened %v", l.Addr)
				l.Close()
			}
			if after := openDescriptors(t); after != before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}

// A second broker of the same user must be told, although SO_REUSEPORT would let it in.
func TestOpenSeesOtherListener(t *testing.T) {
	first := openForTest(t, Spec{Host: "127.0.0.1", Shards: 2})
	for _, host := range []string{"127.0.0.1", "0.0.0.0", ""} {
		second, err := Open(Spec{Host: host, Port: first.Port(), Shards: 2})
		if !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("host %q: got %v, want EADDRINUSE", host, err)
		}
		if err == nil {
			second.Close()
		}
	}
}

// Connections of an earlier run linger in TIME_WAIT on the broker's side when the broker closes first; a restart must not wait for them.
func TestOpenAfterRestart(t *testing.T) {
	l, err := Open(Spec{Host: "127.0.0.1", Shards: 2})
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, "tcp4", "127.0.0.1", l.Port())
	conn, _ := acceptAny(t, l)
	unix.Close(conn)
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Fatal("client read something")
	}
	client.Close()
	port := l.Port()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	openForTest(t, Spec{Host: "127.0.0.1", Port: port, Shards: 2})
}

func TestCloseTwice(t *testing.T) {
	l, err := Open(Spec{Host: "127.0.0.1", Shards: 2})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPreferIPv4(t *testing.T) {
	v4, v6, mapped := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:10.0.0.2")
	tests := []struct {
		in   []netip.Addr
		want netip.Addr
	}{
		{[]netip.Addr{v6, v4}, v4},
		{[]netip.Addr{v6}, v6},
		{[]netip.Addr{v6, mapped}, mapped.Unmap()},
	}
	for _, tt := range tests {
		if got, err := preferIPv4(tt.in); err != nil || got != tt.want {
			t.Errorf("%v: got %v, %v", tt.in, got, err)
		}
	}
	if _, err := preferIPv4(nil); err == nil {
		t.Error("no address: no error")
	}
}

func TestAcceptedSocketOptions(t *testing.T) {
	l := openForTest(t, Spec{Host: "127.0.0.1", Shards: 1, Backlog: 50, ReceiveBuffer: 100 << 10, SendBuffer: 60 << 10})
	dial(t, "tcp4", "127.0.0.1", l.Port())
	conn, _ := acceptAny(t, l)
	defer unix.Close(conn)
	options := []struct {
		name             string
		level, opt, want int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 200 << 10}, // the kernel doubles it for its own bookkeeping
		{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 120 << 10},
	}
	for _, o := range options {
		if got, err := unix.GetsockoptInt(conn, o.level, o.opt); err != nil || got != o.want {
			t.Errorf("%s is %d (%v), want %d", o.name, got, err, o.want)
		}
	}
	if flags, err := unix.FcntlInt(uintptr(conn), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("connection blocks: flags %#x, %v", flags, err)
	}
	for _, fd := range []int{conn, l.FDs[0]} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d survives exec: flags %#x, %v", fd, flags, err)
		}
	}
}
