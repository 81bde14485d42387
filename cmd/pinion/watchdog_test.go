package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinion/bench/harness"
	"pinion/engine/clock"
	"pinion/engine/shard"
)

// notified is the socket of a service manager.
func notified(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, path
}

// hears reports whether a message comes within some time that has a word.
func hears(t *testing.T, c *net.UnixConn, within time.Duration, word string) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 4096); ; {
		n, err := c.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b[:n]), word) {
			return true
		}
	}
}

// TestManagerHearsTheBroker: a service manager that watches the broker, as the unit has it, hears from it for as long as it runs, or would end it.
func TestManagerHearsTheBroker(t *testing.T) {
	c, path := notified(t)
	b := harness.Run(t, harness.Config{Shards: 2, Wrap: []string{"env", "NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=200000"}})
	if !hears(t, c, 10*time.Second, "READY=1") {
		t.Fatal("the broker does not say that it is ready")
	}
	for n := range 5 {
		if !hears(t, c, 10*time.Second, "WATCHDOG=1") {
			t.Fatalf("after %d signs of life none follows", n)
		}
	}
	if code, err := b.Stop(); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v", code, err)
	}
	if !hears(t, c, time.Second, "STOPPING=1") {
		t.Error("the broker does not say that it stops")
	}
}

// TestManagerHearsOfNoShardThatHangs: one shard that makes no turn is enough for silence.
func TestManagerHearsOfNoShardThatHangs(t *testing.T) {
	c, path := notified(t)
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000")
	shards, err := shard.NewSet(2, clock.Real{})
	if err != nil {
		t.Fatal(err)
	}
	cpus, err := shard.CPUs()
	if err != nil {
		t.Fatal(err)
	}
	shards.Start(cpus)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		beat(ctx, shards)
	}()
	if !hears(t, c, 10*time.Second, "WATCHDOG=1") {
		t.Error("no sign of life")
	}
	hangs, free := make(chan struct{}), make(chan struct{})
	shards.Shard(1).Visit(func(*shard.Turn) {
		close(hangs)
		<-free
	})
	<-hangs
	hears(t, c, 200*time.Millisecond, "the last that was on its way")
	if hears(t, c, 500*time.Millisecond, "WATCHDOG=1") {
		t.Error("a shard hangs, and the broker says that all is well")
	}
	close(free)
	if !hears(t, c, 10*time.Second, "WATCHDOG=1") {
		t.Error("no sign of life when the shard goes on")
	}
	stop()
	<-over
	shards.Stop()
	if err := shards.Close(); err != nil {
		t.Error(err)
	}
}
