package many

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pinion/bench/harness"
)

// long reports whether the tests run at full size (make many).
func long() bool { return os.Getenv("MANY_LONG") != "" }

// sized is a size of the long form, or of the short one.
func sized(full, short int) int {
	if long() {
		return full
	}
	return short
}

// underLimit is a command put before the broker's that lets it open so many files.
func underLimit(files int) []string {
	return []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, files), "sh"}
}

// mapCountMax is Linux' vm.max_map_count unless somebody raised it.
const mapCountMax = 65_530

// TestPartitionsFarBeyondTheFiles gives many partitions a record each under a limit of open files that a fifth of them would exhaust, reads
// all of them back, restarts the broker cleanly and with kill -9, and goes on.
func TestPartitionsFarBeyondTheFiles(t *testing.T) {
	limit := sized(4096, 512)
	f := field{stem: "many", topics: 10, width: int32(sized(2000, 200))}
	dir := t.TempDir()
	config := harness.Config{Dir: dir, Shards: 2, Wrap: underLimit(limit), Set: []string{"log.retention.check.interval.ms=300"}}

	var b *harness.Broker
	var c *client
	requests := 0
	begin := func(what string) (end func()) {
		began := time.Now()
		var err error
		if b, err = harness.Launch(config); err != nil {
			t.Fatal(err)
		}
		seen, stop := process(b.Pid).watch(t)
		if err := b.Ready(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: ready after %v", what, time.Since(began).Round(time.Millisecond))
		started := b
		t.Cleanup(func() {
			_ = started.Kill()
			if log := started.Log(); t.Failed() {
				t.Logf("%s, the broker said last:\n%s", what, log[max(0, len(log)-logShown):])
			}
		})
		c = dial(t, b.Addr)
		return func() {
			stop()
			t.Logf("%s: at most %d descriptors of %d, %d mappings, %d threads", what,
				seen.descriptors.Load(), limit, seen.mappings.Load(), seen.threads.Load())
			if n := seen.descriptors.Load(); n > int64(limit) {
				t.Errorf("%d descriptors under a limit of %d", n, limit)
			}
			if n := seen.mappings.Load(); n > mapCountMax {
				t.Errorf("%d mappings", n)
			}
			// Partitions that wait for a disk wait in a queue, not on a thread each.
			if n := seen.threads.Load(); n > threadsMax {
				t.Errorf("%d threads", n)
			}
		}
	}
	timed := func(what string, do func()) {
		began := time.Now()
		requests = 0
		do()
		t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
		if requests > 0 {
			t.Logf("  in %d requests of %d partitions", requests, produceStep)
		}
	}

	end := begin("first start")
	timed("create", func() { f.create(t, c) })
	timed("first record", func() { f.produce(t, c, 0) })
	timed("read all", func() { requests = f.verify(t, c, 1) })
	end()
	timed("clean stop", func() { b.MustStop(t) })

	end = begin("after a clean stop")
	timed("read all", func() { requests = f.verify(t, c, 1) })
	timed("second record", func() { f.produce(t, c, 1) })
	end()
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}

	end = begin("after kill -9")
	timed("read all", func() { requests = f.verify(t, c, 2) })
	timed("third record", func() { f.produce(t, c, 2) })
	timed("read all", func() { requests = f.verify(t, c, 3) })
	timed("retention of all", func() {
		f.alter(t, c, "retention.ms", "1")
		for deadline := time.Now().Add(answerMax); f.starting(t, c, 3) < f.partitions(); {
			if time.Now().After(deadline) {
				t.Fatalf("retention has reached %d of %d partitions", f.starting(t, c, 3), f.partitions())
			}
		}
	})
	end()
	b.MustStop(t)
	for _, word := range []string{"too many open files", "offline", "panic"} {
		if log := b.Log(); strings.Contains(log, word) {
			t.Errorf("the broker said %q:\n%s", word, log)
		}
	}
}

// logShown is how much of a broker's words a failed test prints.
const logShown = 4 << 10

// threadsMax is beyond what two shards, their helpers and the Go runtime need, and far below a thread for each partition.
const threadsMax = 64
