package steer

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"pinion/net/listen"
)

const (
	listeners   = 4
	connections = 400
)

func group(t *testing.T, host string, shards int) *listen.Listener {
	t.Helper()
	l, err := listen.Open(listen.Spec{Host: host, Shards: shards})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// deal opens n connections to l, one after the other, and counts which socket got how many.
func deal(t *testing.T, l *listen.Listener, n int) []int {
	t.Helper()
	for range n {
		connect(t, l)
	}
	counts := make([]int, len(l.FDs))
	got := 0
	for deadline := time.Now().Add(5 * time.Second); got < n && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for shard, fd := range l.FDs {
			for fd >= 0 {
				conn, _, err := listen.Accept(fd)
				if err == listen.ErrNone {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				unix.Close(conn)
				counts[shard]++
				got++
			}
		}
	}
	if got != n {
		t.Fatalf("%d of %d connections arrived: %v", got, n, counts)
	}
	return counts
}

func connect(t *testing.T, l *listen.Listener) {
	t.Helper()
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: l.Port(), Addr: [4]byte{127, 0, 0, 1}})
	if l.Addr.Addr().Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: l.Port(), Addr: [16]byte{15: 1}}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Connect(fd, sa); err != nil {
		t.Fatal(err)
	}
}

// needsBPF skips when the process may not load programs, which containers and plain users may not.
func needsBPF(t *testing.T) {
	t.Helper()
	l := group(t, "127.0.0.1", 2)
	h, err := attachDealer(l.FDs, false)
	if err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSYS) {
			t.Skipf("cannot load eBPF programs here: %v", err)
		}
		t.Fatal(err)
	}
	h.Close()
}

func TestEven(t *testing.T) {
	needsBPF(t)
	for _, host := range []string{"127.0.0.1", "::1", ""} {
		t.Run("host "+host, func(t *testing.T) {
			l := group(t, host, listeners)
			rung, closer, err := Attach(l.FDs)
			if err != nil {
				t.Fatal(err)
			}
			defer closer.Close()
			if rung.Name != Even || rung.Why != "" {
				t.Fatalf("rung %+v", rung)
			}
			for shard, n := range deal(t, l, connections) {
				if n < connections/listeners-2 || n > connections/listeners+2 {
					t.Errorf("shard %d got %d of %d", shard, n, connections)
				}
			}
		})
	}
}

// The program must deal every single connection as slotOf says.
func TestProgramFollowsSlotOf(t *testing.T) {
	needsBPF(t)
	for _, shards := range []int{2, 3, 7} {
		for _, loose := range []bool{false, true} {
			l := group(t, "127.0.0.1", shards)
			h, err := attachDealer(l.FDs, loose)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			for n := range 60 {
				if got, want := slices.Index(deal(t, l, 1), 1), slotOf(uint32(n), shards); got != want {
					t.Fatalf("%d shards, loose %v: connection %d went to %d, want %d", shards, loose, n, got, want)
				}
			}
		}
	}
}

// Every k-th connection must be dealt evenly, not only all of them: clients open idle connections beside busy ones at a fixed rate.
// Plain round robin gives one shard ten times its share here.
func TestSlotsAreEvenAtEveryStride(t *testing.T) {
	const each = 10
	for shards := 2; shards <= 64; shards++ {
		for stride := 1; stride <= 8; stride++ {
			over := 5
			if stride == 1 {
				over = 2
			}
			for offset := range stride {
				counts := make([]int, shards)
				for j := range each * shards {
					counts[slotOf(uint32(offset+j*stride), shards)]++
				}
				if worst := slices.Max(counts); worst > each+over {
					t.Errorf("%d shards, stride %d from %d: %v", shards, stride, offset, counts)
				}
			}
		}
	}
}

// The first connections matter most, as there may never be more.
func TestFirstConnectionsReachEveryShard(t *testing.T) {
	for _, shards := range []int{1, 2, 3, 4, 5, 8} {
		seen := make([]bool, shards)
		for n := range shards {
			seen[slotOf(uint32(n), shards)] = true
		}
		if slices.Contains(seen, false) {
			t.Errorf("%d shards: %v", shards, seen)
		}
	}
}

func TestSlotOfStaysInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, shards := rapid.Uint32().Draw(t, "n"), rapid.IntRange(1, 1024).Draw(t, "shards")
		if got := slotOf(n, shards); got < 0 || got >= shards {
			t.Fatalf("slot %d", got)
		}
	})
}

// What a process may open it must also be able to forget: the kernel holds the program, the deal goes on.
func TestDealOutlivesCloser(t *testing.T) {
	needsBPF(t)
	l := group(t, "127.0.0.1", 3)
	_, closer, err := Attach(l.FDs)
	if err != nil {
		t.Fatal(err)
	}
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	if got := deal(t, l, 30); slices.Max(got) > 11 {
		t.Errorf("dealt %v", got)
	}
}

func TestEvenLoose(t *testing.T) {
	needsBPF(t)
	l := group(t, "127.0.0.1", listeners)
	h, err := attachDealer(l.FDs, true)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for shard, n := range deal(t, l, connections) {
		// The SYNs of one client arrive one after the other, so that even the loose deal is even.
		if n < connections/listeners-2 || n > connections/listeners+2 {
			t.Errorf("shard %d got %d of %d", shard, n, connections)
		}
	}
}

// A listener that has gone must refuse nobody: the kernel deals its turn to the others by hash.
func TestClosedSlotFallsBack(t *testing.T) {
	needsBPF(t)
	l := group(t, "127.0.0.1", listeners)
	_, closer, err := Attach(l.FDs)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	const gone = 2
	if err := unix.Close(l.FDs[gone]); err != nil {
		t.Fatal(err)
	}
	l.FDs[gone] = -1
	counts := deal(t, l, connections)
	l.FDs = append(l.FDs[:gone], l.FDs[gone+1:]...)
	for shard, n := range counts {
		if shard != gone && n < connections/listeners-2 {
			t.Errorf("shard %d got %d, less than its own: %v", shard, n, counts)
		}
	}
}

// Without any capability the next rung must carry, and say why.
func TestUnprivileged(t *testing.T) {
	l := group(t, "127.0.0.1", listeners)
	type outcome struct {
		rung Rung
		err  error
	}
	done := make(chan outcome)
	go func() {
		// Capabilities belong to a thread; this one is never unlocked, so the runtime throws it away with them.
		runtime.LockOSThread()
		if err := dropCapabilities(); err != nil {
			done <- outcome{err: err}
			return
		}
		rung, closer, err := Attach(l.FDs)
		if err == nil {
			err = closer.Close()
		}
		done <- outcome{rung, err}
	}()
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	if got.rung.Name != Random || !strings.Contains(got.rung.Why, "CAP_BPF") {
		t.Fatalf("rung %+v", got.rung)
	}
	for shard, n := range deal(t, l, connections) {
		// 100 expected, standard deviation 8.7: beyond five and a half of them once in some ten million runs.
		if n < 52 || n > 148 {
			t.Errorf("shard %d got %d of %d", shard, n, connections)
		}
	}
}

func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // version 3 takes two; empty is none
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

func TestSingle(t *testing.T) {
	l := group(t, "127.0.0.1", 1)
	rung, closer, err := Attach(l.FDs)
	if err != nil || rung.Name != Single {
		t.Fatalf("%+v, %v", rung, err)
	}
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
}

func TestAttachRefuses(t *testing.T) {
	plain, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(plain)
	l := group(t, "127.0.0.1", 1)
	for name, fds := range map[string][]int{
		"nothing":           nil,
		"a closed one":      {l.FDs[0], -1},
		"one not listening": {l.FDs[0], plain},
	} {
		if rung, _, err := Attach(fds); err == nil {
			t.Errorf("%s: attached as %+v", name, rung)
		}
	}
}

// Two groups in one process are dealt separately.
func TestTwoGroups(t *testing.T) {
	needsBPF(t)
	a, b := group(t, "127.0.0.1", 2), group(t, "127.0.0.1", 2)
	for _, l := range []*listen.Listener{a, b} {
		_, closer, err := Attach(l.FDs)
		if err != nil {
			t.Fatal(err)
		}
		defer closer.Close()
	}
	if got := deal(t, a, 11); got[0]+got[1] != 11 || got[0] < 5 || got[1] < 5 {
		t.Errorf("first group %v", got)
	}
	if got := deal(t, b, 10); got[0] != 5 || got[1] != 5 {
		t.Errorf("second group %v", got)
	}
}
