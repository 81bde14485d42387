package main_test

import (
	"net"
	"testing"
	"time"

	"pinion/bench/harness"
)

// TestIdleConnectionsCostNothing opens a thousand connections that say nothing and watches the broker's processor time.
func TestIdleConnectionsCostNothing(t *testing.T) {
	const connections, watch = 1000, 6 * time.Second
	b := harness.Run(t, harness.Config{Shards: 2})
	for range connections {
		c, err := net.DialTimeout("tcp", b.Addr, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	// The best of three: the machine is shared, and a neighbour may take time that is counted as the broker's.
	best := 1.0
	for range 3 {
		before, err := b.Usage()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(watch) // what is measured is that nothing happens
		after, err := b.Usage()
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, float64(after.CPU()-before.CPU())/float64(watch))
		if best < 0.005 {
			break
		}
	}
	t.Logf("%d idle connections: %.2f %% of a core, %d KiB resident", connections, 100*best, mustUsage(t, b).Resident>>10)
	if best >= 0.005 && !harness.Raced { // the detector's own upkeep costs about as much
		t.Errorf("%d idle connections cost %.2f %% of a core, want less than 0.5 %%", connections, 100*best)
	}
}

func mustUsage(t *testing.T, b *harness.Broker) harness.Usage {
	t.Helper()
	u, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u
}
