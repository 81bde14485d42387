package listen

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// connectMany leaves n connections in l's queues without allocating while they are accepted.
func connectMany(t testing.TB, l *Listener, n int) {
	t.Helper()
	sa, err := sockaddr(l.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Connect(fd, sa); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAcceptNone(t *testing.T) {
	l := openForTest(t, Spec{Host: "127.0.0.1", Shards: 1})
	if _, _, err := Accept(l.FDs[0]); err != ErrNone {
		t.Errorf("got %v, want ErrNone", err)
	}
}

func TestAcceptUnusable(t *testing.T) {
	if _, _, err := Accept(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("got %v, want EBADF", err)
	}
}

func TestAcceptAllocates(t *testing.T) {
	l := openForTest(t, Spec{Host: "127.0.0.1", Shards: 1})
	const runs = 50
	connectMany(t, l, runs+1)
	got := testing.AllocsPerRun(runs, func() {
		conn, peer, err := Accept(l.FDs[0])
		if err != nil || !peer.IsValid() {
			t.Fatal(conn, peer, err)
		}
		unix.Close(conn)
	})
	if got != 0 {
		t.Errorf("a connection allocates %v times", got)
	}
	if got := testing.AllocsPerRun(runs, func() { _, _, _ = Accept(l.FDs[0]) }); got != 0 {
		t.Errorf("an empty queue allocates %v times", got)
	}
}

// With no descriptor left, the client must be told no (its read ends) and the reserve must be there for the next one.
func TestExhausted(t *testing.T) {
	l := openForTest(t, Spec{Host: "127.0.0.1", Shards: 1})
	spare, err := OpenSpare()
	if err != nil {
		t.Fatal(err)
	}
	defer spare.Close()
	clients := []interface{ Read([]byte) (int, error) }{
		dial(t, "tcp4", "127.0.0.1", l.Port()),
		dial(t, "tcp4", "127.0.0.1", l.Port()),
	}

	restore := forbidDescriptors(t)
	_, _, acceptErr := Accept(l.FDs[0])
	var shed []netip.AddrPort
	for range clients {
		if peer, ok := spare.Shed(l.FDs[0]); ok {
			shed = append(shed, peer)
		}
	}
	_, none := spare.Shed(l.FDs[0])
	_, _, emptyErr := Accept(l.FDs[0])
	restore()

	if acceptErr != ErrExhausted {
		t.Errorf("accept: got %v, want ErrExhausted", acceptErr)
	}
	if len(shed) != len(clients) || none {
		t.Errorf("shed %v of %d, and one more: %v", shed, len(clients), none)
	}
	if emptyErr != ErrExhausted && emptyErr != ErrNone {
		t.Errorf("accept on an empty queue: %v", emptyErr)
	}
	for i, c := range clients {
		done := make(chan error, 1)
		go func() { _, err := c.Read(make([]byte, 1)); done <- err }()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("client %d read a byte", i)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("client %d was left hanging", i)
		}
	}
}

// forbidDescriptors lowers the limit to what is in use and fills the holes below it.
func forbidDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var fill []int
	for range 8 {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fill = append(fill, fd)
	}
	low := limit
	low.Cur = uint64(fill[len(fill)-1]) + 1
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		fill = append(fill, fd)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
		for _, fd := range fill {
			unix.Close(fd)
		}
	}
}
