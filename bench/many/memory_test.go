package many

import (
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
)

// settled is the least memory of its own the process has within a while: what a burst left behind goes back to the kernel in the background.
func (p process) settled(wait time.Duration) int64 {
	least := p.anonymous()
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		least = min(least, p.anonymous())
	}
	return least
}

// settleMax is how long memory is given to settle: the runtime collects after two minutes at the latest, and gives back a second at a time.
const settleMax = 15 * time.Second

// TestMemoryOfAPartition measures what a partition with one record takes.
func TestMemoryOfAPartition(t *testing.T) {
	f := field{stem: "idle", topics: 10, width: int32(sized(1000, 200))}
	b := harness.Run(t, harness.Config{Shards: 2})
	p := process(b.Pid)
	c := dial(t, b.Addr)
	// What requests of this size take for good, such as buffers, is not the partitions'.
	warm := field{stem: "warm", topics: 1, width: f.width}
	warm.create(t, c)
	warm.produce(t, c, 0)
	before := p.settled(settleMax)
	f.create(t, c)
	f.produce(t, c, 0)
	at := p.anonymous()
	after := p.settled(settleMax)
	per := float64(after-before) / float64(f.partitions())
	t.Logf("%d partitions: %.0f bytes each (%.0f right after), %d kB before", f.partitions(), per, float64(at-before)/float64(f.partitions()), before>>10)
	if long() && per > partitionBytesMax {
		t.Errorf("%.0f bytes a partition, at most %d", per, partitionBytesMax)
	}
	// And as it is after a restart, when all have been recovered and none was used.
	b.MustStop(t)
}

const (
	partitionBytesMax  = 1800 // 1,520 on the machine it was measured on
	connectionBytesMax = 1 << 10
)

// TestMemoryOfAConnection opens idle connections, each of which has asked once for the versions, with the limits a broker has by default.
func TestMemoryOfAConnection(t *testing.T) {
	count := raiseFiles(t, sized(10_000, 500))
	b := harness.Run(t, harness.Config{Shards: 2})
	p := process(b.Pid)
	c := dial(t, b.Addr)
	before := p.settled(time.Second)
	greet := func(c *client) {
		t.Helper()
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "many", "1"
		resp := c.must(t, req, 3).(*kmsg.ApiVersionsResponse)
		if resp.ErrorCode != 0 || len(resp.ApiKeys) == 0 {
			t.Fatalf("versions: error %d, %d keys", resp.ErrorCode, len(resp.ApiKeys))
		}
	}
	began := time.Now()
	clients := make([]*client, count)
	for i := range clients {
		clients[i] = dial(t, b.Addr)
		greet(clients[i])
	}
	t.Logf("%d connections in %v", count, time.Since(began).Round(time.Millisecond))
	usage, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	at := p.anonymous()
	after := p.settled(settleMax)
	later, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	per := float64(after-before) / float64(count)
	t.Logf("%.0f bytes a connection (%.0f right after); %v of processor time in %v of idling", per, float64(at-before)/float64(count), later.CPU()-usage.CPU(), settleMax)
	if long() && per > connectionBytesMax {
		t.Errorf("%.0f bytes a connection, at most %d", per, connectionBytesMax)
	}
	// All of them are served still.
	for _, c := range clients {
		greet(c)
	}
	greet(c)
	for _, c := range clients {
		c.Conn.(*net.TCPConn).SetLinger(0) // no ten thousand ports in TIME_WAIT
		c.Close()
	}
}
