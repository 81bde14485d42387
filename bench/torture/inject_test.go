package main

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestFailedCommitIsFinal lets one durable write of the journal fail in the running broker, and the next succeed: nothing is acknowledged any more, the
// admin server and the exit code say so, and what had been acknowledged is there at the next start.
func TestFailedCommitIsFinal(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	c := &campaign{dir: t.TempDir(), durability: "fsync", out: io.Discard}
	if err := c.fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := c.start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Kill() })
	load, stop := context.WithCancel(t.Context())
	wait, err := produce(load, b.Addr, c.ledger, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); wait() })
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("never: %s\n%s", what, b.Log())
			}
		}
	}
	until("acknowledgements", func() bool { return c.ledger.count() > 100 })
	files, err := filepath.Glob(filepath.Join(c.data(), "journal", "*.journal"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no journal")
	}
	args := []string{"-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", "trace=pwritev", "-e", "inject=pwritev:error=EIO:when=1", "-p", strconv.Itoa(b.Pid)}
	for _, name := range files {
		args = append(args, "-P", name)
	}
	trace := exec.Command("strace", args...)
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	untrace := sync.OnceFunc(func() {
		_ = trace.Process.Kill()
		_ = trace.Wait() // it ends by the signal
	})
	defer untrace()
	ready := func() string {
		res, err := http.Get(b.Admin + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.Status + " " + string(text)
	}
	until("the broker says that its log directory has failed", func() bool {
		text := ready()
		return strings.HasPrefix(text, "503") && strings.Contains(text, "log directory")
	})
	time.Sleep(500 * time.Millisecond) // what was acknowledged before may be on its way to a client that waits for a processor
	after := c.ledger.count()
	time.Sleep(time.Second) // producers go on asking all the while; anything acknowledged now would be a lie
	if n := c.ledger.count(); n > after {
		t.Errorf("%d records were acknowledged after the failed write", n-after)
	}
	stop()
	wait()
	untrace() // and wait: a signal that comes while the tracer is dying is lost
	if code, err := b.Stop(); err != nil || code == 0 {
		t.Errorf("exit code %d, %v\n%s", code, err, b.Log())
	}
	b, err = c.start()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.look(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	b.MustStop(t)
}
