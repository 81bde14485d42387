package conn

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/shard"
	"pinion/net/listen"
)

// patience bounds every wait of these tests; none comes near it unless something is broken.
const patience = 20 * time.Second

// startShard runs one shard until the test ends.
func startShard(t testing.TB) *shard.Shard {
	t.Helper()
	return startShards(t, 1).Shard(0)
}

func startShards(t testing.TB, n int) *shard.Set {
	t.Helper()
	set, err := shard.NewSet(n, clock.Real{})
	if err != nil {
		t.Fatal(err)
	}
	cpus, err := shard.CPUs()
	if err != nil {
		t.Fatal(err)
	}
	set.Start(cpus)
	t.Cleanup(func() {
		set.Stop()
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return set
}

// on runs f on the shard and waits until it has.
func on(t testing.TB, s *shard.Shard, f func(t *shard.Turn)) {
	t.Helper()
	ended := make(chan struct{})
	s.Visit(func(t *shard.Turn) {
		defer close(ended) // also when the test fails in there, which ends the shard's goroutine
		f(t)
	})
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the shard did not get there in time")
	}
}

var localhost = netip.MustParseAddrPort("127.0.0.1:1")

// newHub makes a hub whose requests the handler answers.
func newHub(t testing.TB, s *shard.Shard, handler Handler) *Hub {
	t.Helper()
	limits, err := listen.NewLimits(-1, -1, nil)
	if err != nil {
		t.Fatal(err)
	}
	var h *Hub
	on(t, s, func(turn *shard.Turn) {
		h = NewHub(turn, Options{
			RequestBytesMax: 100 << 20, RequestBudget: 8 << 20, ResponseBudget: 8 << 20, IdleMax: -1, Limits: limits,
			Log: slog.New(slog.DiscardHandler),
		}, handler)
		s.AtEnd(h)
	})
	return h
}

// unmapped is a directory whose files cannot be mapped, as when the process has too many mappings.
type unmapped struct{ device.Dir }

func (d unmapped) Create(path string) (device.File, error) {
	f, err := d.Dir.Create(path)
	return unmappedFile{f}, err
}

type unmappedFile struct{ device.File }

func (unmappedFile) Map(int64) ([]byte, error) { return nil, errors.New("cannot allocate memory") }

// newLog is a log with one batch of each size of records, in bytes.
func newLog(t testing.TB, mapped bool, sizes ...int) *log.Log {
	t.Helper()
	dir, err := device.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if !mapped {
		dir = unmapped{dir}
	}
	cfg := log.Config{SegmentBytes: 64 << 20, SegmentMs: 1 << 40, IndexIntervalBytes: 4096, IndexBytesMax: 10 << 20, RetentionMs: -1, RetentionBytes: -1}
	l, _, err := log.Open(dir, "orders-0", model.TopicID{1}, cfg, log.OpenFrom{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Attach(log.NewFiles(8))
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, size := range sizes {
		value := make([]byte, size)
		for i := range value {
			value[i] = byte(rnd.Uint32())
		}
		b := batch.NewBuilder()
		b.Add(1, nil, value)
		raw := b.Bytes()
		batch.Stamp(raw, l.End(), 0)
		header, _ := batch.ReadHeader(raw)
		for need := l.NeedFor(header, clock.Now{}); need != log.NeedNone; need = l.NeedFor(header, clock.Now{}) {
			work := l.Prepare(need)
			work.Do()
			if err := l.Finish(work); err != nil {
				t.Fatal(err)
			}
		}
		l.Stage(raw, header, clock.Now{})
		if err := l.Write(); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// joined adopts one end of a socket pair and returns the other.
func joined(t *testing.T, s *shard.Shard, h *Hub) *os.File {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	on(t, s, func(turn *shard.Turn) { h.adopt(turn, &door{hub: h}, fds[0], localhost) })
	f := os.NewFile(uintptr(fds[1]), "peer")
	t.Cleanup(func() { f.Close() })
	return f
}
