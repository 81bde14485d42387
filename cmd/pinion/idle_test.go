package main_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

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

// TestIdleConsumersCostLittle parks two hundred polls over both shards, renewed each half second as the Java client does by
// default, and watches what that costs.
func TestIdleConsumersCostLittle(t *testing.T) {
	const consumers, wait, watch = 200, 500 * time.Millisecond, 4 * time.Second
	b := harness.Run(t, harness.Config{Shards: 2})
	createTopic(t, b, "quiet", 2, nil)
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(11)
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = -1, int32(wait.Milliseconds()), 1, 1<<20, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = "quiet"
	for index := range int32(2) {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.PartitionMaxBytes, p.CurrentLeaderEpoch = index, 1<<20, -1
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("idle")).AppendRequest(nil, req, 1)
	var polls atomic.Int64
	var group sync.WaitGroup
	t.Cleanup(group.Wait) // runs when every connection below is closed
	for range consumers {
		c, err := net.DialTimeout("tcp", b.Addr, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			var answer [4096]byte
			for {
				if _, err := c.Write(frame); err != nil {
					return
				}
				if n, err := c.Read(answer[:]); err != nil || n < 8 {
					return
				}
				polls.Add(1)
			}
		})
		t.Cleanup(func() { c.Close() })
	}
	for polls.Load() < consumers { // each has been answered once
		time.Sleep(10 * time.Millisecond)
	}
	best := 1.0
	for range 3 {
		from := polls.Load()
		before := mustUsage(t, b)
		time.Sleep(watch) // what is measured is that next to nothing happens
		best = min(best, float64(mustUsage(t, b).CPU()-before.CPU())/float64(watch))
		rate := float64(polls.Load()-from) / watch.Seconds()
		t.Logf("%d idle consumers, %.0f polls a second: %.2f %% of a core", consumers, rate, 100*best)
		if rate < consumers || rate > 3*consumers {
			t.Errorf("%.0f polls a second, want %d", rate, 2*consumers)
		}
		if best < idleConsumersMax {
			return
		}
	}
	if !harness.Raced {
		t.Errorf("%d idle consumers cost %.2f %% of a core, want less than %v %%", consumers, 100*best, 100*idleConsumersMax)
	}
}

// idleConsumersMax is four hundred polls a second at a quarter of a millisecond each, several times what they cost.
const idleConsumersMax = 0.10

func mustUsage(t *testing.T, b *harness.Broker) harness.Usage {
	t.Helper()
	u, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u
}
