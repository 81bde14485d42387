package many

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
)

// TestStartsWithManyPartitions measures how long it takes until the first acknowledgement, with many partitions, after a clean stop and after
// kill -9; how long making a thousand partitions and writing to each takes; and what other partitions on the node do to one's latency.
func TestStartsWithManyPartitions(t *testing.T) {
	f := field{stem: "many", topics: 10, width: int32(sized(500, 50))}
	config := harness.Config{Dir: t.TempDir(), Shards: 2}
	b := harness.Run(t, config)
	c := dial(t, b.Addr)
	few := field{stem: "made", topics: 10, width: 100}
	began := time.Now()
	few.create(t, c)
	few.produce(t, c, 0)
	t.Logf("%d partitions in %d topics made and written to once each in %v", few.partitions(), few.topics, time.Since(began).Round(time.Millisecond))
	live := field{stem: "live", topics: 1, width: 1}
	live.create(t, c)
	before := produceFor(t, c, live, 2*time.Second, nil)
	f.create(t, c)
	f.produce(t, c, 0)
	after := produceFor(t, c, live, 2*time.Second, nil)
	t.Logf("produce p50 %v p99 %v with %d partitions, p50 %v p99 %v with %d", before.at(0.5), before.at(0.99), few.partitions()+1,
		after.at(0.5), after.at(0.99), few.partitions()+f.partitions()+1)
	padding := aBatch(make([]byte, 1<<20-1000))
	for i := range sized(2000, 20) {
		send(t, c, f.name(i%f.topics), int32(i/f.topics)%f.width, padding)
	}
	began = time.Now()
	b.MustStop(t)
	t.Logf("clean stop: %v", time.Since(began).Round(time.Millisecond))

	acknowledged := func(what string) {
		t.Helper()
		began := time.Now()
		b = harness.Run(t, config)
		ready := time.Since(began)
		c = dial(t, b.Addr)
		send(t, c, live.name(0), 0, aBatch([]byte("first")))
		t.Logf("%s: ready after %v, first acknowledgement after %v", what, ready.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		// Every partition is there.
		for topic := range f.topics {
			resp := c.must(t, f.fetchRequest(topic, allOf(f), 0), 12).(*kmsg.FetchResponse)
			for _, p := range resp.Topics[0].Partitions {
				if p.ErrorCode != 0 || p.HighWatermark < 1 {
					t.Fatalf("%s: %s-%d: error %d, high watermark %d", what, f.name(topic), p.Partition, p.ErrorCode, p.HighWatermark)
				}
			}
		}
	}
	acknowledged("after a clean stop")
	f.produceAgain(t, c)
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	acknowledged("after kill -9")
}
