package harness

import (
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestBrokerIsReadyCountedAndGone(t *testing.T) {
	b := Run(t, Config{Shards: 2})
	conn, err := net.Dial("tcp", b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	resp, err := http.Get(b.Admin + "/readyz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("not ready: %v %v", resp, err)
	}
	resp.Body.Close()
	u, err := b.Usage()
	if err != nil || u.Resident < 1<<20 || u.CPU() > time.Minute {
		t.Fatalf("usage %+v: %v", u, err)
	}
	b.MustStop(t)
	if err := syscall.Kill(b.Pid, 0); err == nil {
		t.Fatal("the process is still there")
	}
	if !strings.Contains(b.Log(), "ready in ") {
		t.Fatalf("banner missing: %s", b.Log())
	}
}

func TestFailedStartTellsWhy(t *testing.T) {
	_, err := Start(Config{Dir: t.TempDir(), Set: []string{"no.such.key=1"}})
	if err == nil || !strings.Contains(err.Error(), "no.such.key") {
		t.Fatalf("got %v", err)
	}
}

func TestReservedPortsAreDistinctAndNotOutgoing(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		p, err := Reserve()
		if err != nil {
			t.Fatal(err)
		}
		defer p.Release()
		if seen[p.Number] || p.Number >= outgoingMin() {
			t.Fatalf("port %d", p.Number)
		}
		seen[p.Number] = true
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var l tail
	for range 5 * tailMax / 1000 {
		_, _ = l.Write([]byte(strings.Repeat("x", 999) + "\n"))
	}
	_, _ = l.Write([]byte("end"))
	if s := l.String(); len(s) > 2*tailMax+1000 || !strings.HasSuffix(s, "\nend") {
		t.Fatalf("%d bytes kept", len(s))
	}
}

func TestBinaryHasNoName(t *testing.T) {
	path, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(BinaryEnv) != "" {
		t.Skip(BinaryEnv + " names a binary")
	}
	if target, err := os.Readlink(path); err != nil || !strings.HasSuffix(target, "(deleted)") {
		t.Fatalf("%s leads to %q: %v", path, target, err)
	}
}
