package harness

import (
	"strings"
	"testing"
)

// complaints are words a healthy broker never says.
var complaints = []string{"DATA RACE", "panic:", "fatal error:", "BUG:"}

// logShown is how much of a broker's words a failed test prints.
const logShown = 8 << 10

// Run starts a broker for a test and kills it at the test's end, if the test did not end it. A broker that panicked or raced fails
// the test, and a failed test shows what its brokers said last.
func Run(tb testing.TB, c Config) *Broker {
	tb.Helper()
	if c.Dir == "" {
		c.Dir = tb.TempDir()
	}
	b, err := Start(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Kill(); err != nil {
			tb.Error(err)
		}
		log := b.Log()
		for _, word := range complaints {
			if strings.Contains(log, word) {
				tb.Errorf("the broker said %q", word)
			}
		}
		if tb.Failed() {
			tb.Logf("broker %s, %d shards, said last:\n%s", b.Addr, b.config.Shards, log[max(0, len(log)-logShown):])
		}
	})
	return b
}

// MustStop ends the broker with SIGTERM and wants exit code 0.
func (b *Broker) MustStop(tb testing.TB) {
	tb.Helper()
	code, err := b.Stop()
	if err != nil {
		tb.Fatal(err)
	}
	if code != 0 {
		tb.Fatalf("the broker ended with exit code %d after SIGTERM", code)
	}
}
