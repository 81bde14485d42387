package front

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// lagging is a reader that asked for much and then stopped reading: most of its answer waits in the broker, as spans on loan.
type lagging struct {
	c    *client
	req  *kmsg.FetchRequest
	corr int32
	want [][]byte
}

const lagBatches, lagBytes = 13, 900_000

// lag fills partition 0 with far more than sockets hold and partition 1 with a little, which leaves by another way (from the
// mapping), and asks for both on a connection that is not read.
func lag(t *testing.T, n *node, topic *placement.Topic) *lagging {
	t.Helper()
	writer := n.dial()
	defer writer.conn.Close()
	l := &lagging{c: n.dial(), want: make([][]byte, 2)}
	for i := range int64(lagBatches) {
		b := records(100+i, 1, lagBytes)
		base := writer.produced(at{topic: topic, index: 0, records: b})
		l.want[0] = append(l.want[0], stamped(b, base, 0)...)
	}
	b := records(200, 3, 1000)
	l.want[1] = stamped(b, writer.produced(at{topic: topic, index: 1, records: b}), 0)
	if err := l.c.conn.(*net.TCPConn).SetReadBuffer(512 << 10); err != nil {
		t.Fatal(err)
	}
	l.req = fetchRequest(time.Second, 1, 64<<20, at{topic: topic, index: 0, max: 64 << 20}, at{topic: topic, index: 1, max: 64 << 20})
	sent := func() (bytes uint64) {
		for i := range n.front.hubs {
			bytes += n.hub(i).Sendfile
		}
		return bytes
	}
	before := sent()
	l.corr = l.c.send(l.req, fetchVersion)
	last, same := uint64(0), 0
	until(t, "the answer is stuck", 20*time.Second, func() bool {
		now := sent() - before
		if same++; now != last || now == 0 {
			last, same = now, 0
		}
		return same > 20
	})
	if last >= lagBatches*lagBytes {
		t.Fatalf("the sockets took all of it, %d bytes: nothing lags", last)
	}
	return l
}

// exact reads the answer: every byte as it stood when the answer began, or a closed connection.
func (l *lagging) exact(t *testing.T) {
	t.Helper()
	parts := fetched(l.c.receive(l.corr, l.req))
	for i, w := range l.want {
		if parts[i].ErrorCode != 0 || !bytes.Equal(parts[i].RecordBatches, w) {
			t.Fatalf("partition %d: error %d, %d bytes, want the %d bytes of before", i, parts[i].ErrorCode, len(parts[i].RecordBatches), len(w))
		}
	}
}

// dirs lists the directories of a topic's partitions, deleted ones included.
func (n *node) dirs(topic string) (names []string) {
	n.tb.Helper()
	found, err := filepath.Glob(filepath.Join(n.broker.Config.LogDirs[0], topic+"-*"))
	if err != nil {
		n.tb.Fatal(err)
	}
	for _, f := range found {
		names = append(names, filepath.Base(f))
	}
	return names
}

// truncated cuts a partition as replication would, and waits for it.
func (n *node) truncated(topic *placement.Topic, index int32, to model.Offset) {
	n.tb.Helper()
	done := make(chan error, 1)
	n.within(topic, index, func(t *shard.Turn, p *partition.Partition) {
		p.Truncate(t, to, func(_ *shard.Turn, err error) { done <- err })
	})
	select {
	case err := <-done:
		if err != nil {
			n.tb.Fatalf("truncate: %v", err)
		}
	case <-time.After(20 * time.Second):
		n.tb.Fatal("truncate does not end")
	}
}

// change is what happens to the topic while the reader lags.
var upheavals = []struct {
	name    string
	configs map[string]string
	make    func(t *testing.T, n *node, topic *placement.Topic)
}{
	{"truncated and written anew", nil, func(t *testing.T, n *node, topic *placement.Topic) {
		for _, cut := range []struct {
			index int32
			to    model.Offset
		}{{0, 2}, {1, 0}} {
			n.truncated(topic, cut.index, cut.to)
			c := n.dial()
			fresh := records(900, 2, 500_000)
			if base := c.produced(at{topic: topic, index: cut.index, records: fresh}); base != int64(cut.to) {
				t.Fatalf("the first produce after the cut has offset %d, want %d", base, cut.to)
			}
			parts := fetched(c.call(fetchRequest(time.Second, 1, 1<<20, at{topic: topic, index: cut.index, offset: int64(cut.to), max: 4 << 20}), fetchVersion))
			if !bytes.Equal(parts[0].RecordBatches, stamped(fresh, int64(cut.to), 0)) {
				t.Fatalf("a reader after the cut gets %d bytes, error %d", len(parts[0].RecordBatches), parts[0].ErrorCode)
			}
		}
	}},
	{"removed by retention", map[string]string{"segment.bytes": "12000000", "retention.bytes": "1000000"}, func(t *testing.T, n *node, topic *placement.Topic) {
		c := n.dial()
		var start, high int64
		until(t, "retention removes the segment that is being sent", 20*time.Second, func() bool {
			high = c.produced(at{topic: topic, index: 0, records: records(1, 1, lagBytes)})
			parts := fetched(c.call(fetchRequest(0, 0, 1, at{topic: topic, index: 0, offset: high, max: 1}), fetchVersion))
			start = parts[0].LogStartOffset
			return start >= lagBatches
		})
	}},
	{"deleted and created anew", nil, func(t *testing.T, n *node, topic *placement.Topic) {
		n.remove(topic)
		again := n.create(topic.Name, 2, nil)
		c := n.dial()
		for index := range int32(2) {
			if base := c.produced(at{topic: again, index: index, records: records(77, 1, 600_000)}); base != 0 {
				t.Fatalf("the new topic begins at offset %d", base)
			}
		}
	}},
}

// TestALaggingReaderGetsTheBytesThatStoodThere upheavals a log under a reader that stopped reading in the middle of its answer.
func TestALaggingReaderGetsTheBytesThatStoodThere(t *testing.T) {
	n := startNode(t, 2, "log.retention.check.interval.ms=50")
	for i, change := range upheavals {
		t.Run(change.name, func(t *testing.T) {
			n.tb = t
			name := "lag" + string(rune('a'+i))
			configs := map[string]string{"max.message.bytes": "4000000"}
			for k, v := range change.configs {
				configs[k] = v
			}
			topic := n.create(name, 2, configs)
			l := lag(t, n, topic)
			if change.configs != nil {
				l.want[0] = l.want[0][:firstSegment(l.want[0], 12_000_000)]
			}
			change.make(t, n, topic)
			l.exact(t)
			until(t, "nothing of what the reader held is left", 20*time.Second, func() bool {
				for _, dir := range n.dirs(name) {
					if strings.HasSuffix(dir, "-delete") {
						return false
					}
				}
				return true
			})
		})
	}
}

// firstSegment is how many bytes of the batches lie in the first segment: a fetch never crosses into the next.
func firstSegment(b []byte, segmentBytes int) int {
	per := len(b) / lagBatches
	return min(segmentBytes/per, lagBatches) * per
}

// TestAReaderThatStaysAwayLosesItsConnection: a reader without progress is cut off after the stall limit, and what it held goes:
// here the files of a deleted topic. PINION_LONG=1 runs it with the limit of production, which takes about a minute.
func TestAReaderThatStaysAwayLosesItsConnection(t *testing.T) {
	limit := 600 * time.Millisecond
	prepare := func(f *Front) { f.stallMax = limit }
	if os.Getenv("PINION_LONG") != "" {
		limit, prepare = 30*time.Second, func(*Front) {}
	}
	n := startNodeWith(t, 2, prepare)
	topic := n.create("away", 2, map[string]string{"max.message.bytes": "4000000"})
	bystander := n.dial()
	began := time.Now() // the last progress is later
	l := lag(t, n, topic)
	n.remove(topic)
	held := func() (left int) {
		for _, dir := range n.dirs("away") {
			if files, err := os.ReadDir(filepath.Join(n.broker.Config.LogDirs[0], dir)); err == nil {
				left += len(files)
			}
		}
		return left
	}
	connections := func() (sum int) {
		for i := range n.front.hubs {
			sum += n.hub(i).Connections
		}
		return sum
	}
	before := connections()
	until(t, "the connection is closed", 3*limit+10*time.Second, func() bool { return connections() < before })
	if took := time.Since(began); took < limit {
		t.Errorf("closed after %v, before the limit of %v", took, limit)
	}
	until(t, "the deleted topic's files are gone", 10*time.Second, func() bool { return held() == 0 })
	// What is in the socket still arrives; then the connection ends, in the middle of the frame.
	if _, err := l.c.frame(); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the answer ended with %v", err)
	}
	bystander.call(kmsg.NewPtrApiVersionsRequest(), 0) // idle, but not stuck: still served
}
