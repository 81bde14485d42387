package main_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
)

// payloadCalls are the system calls by which record bytes could pass through the broker's memory.
const payloadCalls = "read,write,readv,writev,pread64,pwrite64,preadv,preadv2,pwritev,pwritev2,recvfrom,recvmsg,sendto,sendmsg,splice"

// TestAFetchOfAMebibyteStaysInTheKernel watches the broker's system calls during one fetch: record bytes leave by sendfile, and what
// passes through user space is a request and a header.
func TestAFetchOfAMebibyteStaysInTheKernel(t *testing.T) {
	const size, small = 1 << 20, 4 << 10
	b := harness.Run(t, harness.Config{Shards: 2})
	createTopic(t, b, "zero-copy", 2, nil)
	fill(t, b, 0, 200, 10_000)
	fill(t, b, 1, 40, 200)
	c := dialRaw(t, b.Addr)
	c.fetch(t, 0, size) // the segments are open and mapped from here on
	c.fetch(t, 1, small)

	long := traceCalls(t, b.Pid, func() { c.fetch(t, 0, size); c.nudge(t) })
	if long.sendfile < size*9/10 || long.sendfile > size {
		t.Errorf("sendfile moved %d bytes of a fetch of %d", long.sendfile, size)
	}
	if long.copied > 8<<10 {
		t.Errorf("%d bytes passed through user space for a fetch of %d:\n%s", long.copied, size, long.lines)
	}
	t.Logf("fetch of %d bytes: %d by sendfile, %d through user space", size, long.sendfile, long.copied)

	short := traceCalls(t, b.Pid, func() { c.fetch(t, 1, small); c.nudge(t) })
	if short.sendfile != 0 || short.gathered != 1 {
		t.Errorf("a fetch of %d bytes took %d sendfile bytes and %d gathering writes, want one write:\n%s", small, short.sendfile, short.gathered, short.lines)
	}
}

// fill appends records one batch each, so that a fetch can be cut anywhere between them.
func fill(t *testing.T, b *harness.Broker, partition int32, count, size int) {
	t.Helper()
	cl := newClient(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer cl.Close()
	value := bytes.Repeat([]byte("p"), size)
	for range count {
		if err := cl.ProduceSync(testContext(t), &kgo.Record{Topic: "zero-copy", Partition: partition, Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// rawClient is one connection on which requests are answered in turn.
type rawClient struct{ conn net.Conn }

func dialRaw(t *testing.T, addr string) *rawClient {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &rawClient{conn}
}

// fetch reads from the start of a partition, at most max bytes, and demands close to as many.
func (c *rawClient) fetch(t *testing.T, partition, max int32) {
	t.Helper()
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.PartitionMaxBytes, p.CurrentLeaderEpoch = partition, max, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.Partitions = "zero-copy", append(topic.Partitions, p)
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(11)
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = -1, 1000, 1, max, -1
	req.Topics = append(req.Topics, topic)
	body := c.call(t, req)
	resp := kmsg.NewPtrFetchResponse()
	resp.SetVersion(11)
	if err := resp.ReadFrom(body[4:]); err != nil {
		t.Fatal(err)
	}
	got := resp.Topics[0].Partitions[0]
	if got.ErrorCode != 0 || len(got.RecordBatches) < int(max)*9/10 {
		t.Fatalf("error %d, %d bytes of %d", got.ErrorCode, len(got.RecordBatches), max)
	}
}

// nudge has the shard answer something else: by then it has returned from the calls before, and strace has seen them end.
func (c *rawClient) nudge(t *testing.T) {
	t.Helper()
	c.call(t, kmsg.NewPtrApiVersionsRequest())
}

// call sends a request and returns the answer behind its length.
func (c *rawClient) call(t *testing.T, req kmsg.Request) []byte {
	t.Helper()
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw")).AppendRequest(nil, req, 1)
	if err := c.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	var length [4]byte
	if _, err := io.ReadFull(c.conn, length[:]); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(c.conn, body); err != nil {
		t.Fatal(err)
	}
	return body
}

// calls is what a trace says of record bytes.
type calls struct {
	sendfile int // bytes moved without being seen
	copied   int // bytes into and out of user space
	gathered int // gathering writes to a socket that carried more than a header
	lines    string
}

// traced matches a finished call, also one that another thread's line cut in two.
var traced = regexp.MustCompile(`^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed>).*\) += (\d+)$`)

// traceCalls attaches strace to a process while f runs. Calls on the process's own eventfds (8 bytes) do not count.
func traceCalls(t *testing.T, pid int, f func()) calls {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed and could not be")
	}
	out := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-s", "0", "-e", "signal=none", "-e", "trace=sendfile,"+payloadCalls, "-o", out, "-p", strconv.Itoa(pid))
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitAttached(t, said)
	f()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // strace ends by the signal it was sent
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var c calls
	for line := range strings.Lines(string(text)) {
		m := traced.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		n, _ := strconv.Atoi(m[2])
		switch {
		case m[1] == "sendfile":
			c.sendfile += n
		case n != 8:
			c.copied += n
			if m[1] == "sendmsg" && n > 1<<10 {
				c.gathered++
			}
		}
		c.lines += line
	}
	return c
}

// awaitAttached waits until strace says that it watches.
func awaitAttached(t *testing.T, said io.Reader) {
	t.Helper()
	attached := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "attached") {
				attached <- nil
				_, _ = io.Copy(io.Discard, said)
				return
			}
		}
		attached <- fmt.Errorf("strace ended without attaching: %v", lines.Err())
	}()
	select {
	case err := <-attached:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("strace does not attach")
	}
}
