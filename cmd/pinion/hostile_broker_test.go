package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
)

// The hostile tests run the broker as a process of its own: memory and descriptors are then its alone. The test binary starts
// itself a second time and becomes the broker before any test is looked for, so the broker is built with the flags of the tests.
const becomeBroker = "HOSTILE_TEST_BROKER"

func init() {
	if os.Getenv(becomeBroker) != "" {
		os.Unsetenv(becomeBroker)
		main()
	}
}

// answerMax is how long a broker under attack may take to answer at all before a test gives up.
const answerMax = 20 * time.Second

// victim is a broker process under attack.
type victim struct {
	t     *testing.T
	cmd   *exec.Cmd
	addr  string
	admin string
	lines *logLines
	ended chan struct{}
}

// logLines keeps what the broker wrote to stderr.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// count is how many lines contain the text.
func (l *logLines) count(part string) int {
	n := 0
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// startVictim starts a broker with two shards and the settings, KEY=VALUE each. files > 0 limits its descriptors.
func startVictim(t *testing.T, files int, settings ...string) *victim {
	t.Helper()
	args := []string{os.Args[0], "start", "--log-format", "text", "--set", "log.dirs=" + t.TempDir(), "--set", "pinion.shards=2",
		"--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "pinion.admin=127.0.0.1:0",
		"--set", "pinion.durability=memory"} // honest clients are timed beside attacks, not beside the disk
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	if files > 0 {
		args = append([]string{"/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, files)}, args...)
	}
	v := &victim{t: t, cmd: exec.Command(args[0], args[1:]...), lines: &logLines{}, ended: make(chan struct{})}
	v.cmd.Env = append(os.Environ(), becomeBroker+"=1")
	v.cmd.Stderr = v.lines
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go v.read(out, ready)
	t.Cleanup(v.stop)
	select {
	case <-ready:
	case <-v.ended:
		t.Fatalf("broker did not start:\n%s", v.lines)
	case <-time.After(answerMax):
		t.Fatalf("broker is not ready after %s:\n%s", answerMax, v.lines)
	}
	return v
}

// read takes the addresses from the banner, then waits for the end.
func (v *victim) read(out io.Reader, ready chan struct{}) {
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		line := strings.Fields(scan.Text())
		switch {
		case len(line) > 3 && line[0] == "kafka":
			v.addr = line[3]
		case len(line) > 1 && line[0] == "admin":
			v.admin = line[1]
		case len(line) > 0 && line[0] == "ready":
			close(ready)
		}
	}
	_ = v.cmd.Wait()
	close(v.ended)
}

// alive fails the test if the broker ended.
func (v *victim) alive() {
	v.t.Helper()
	select {
	case <-v.ended:
		v.t.Fatalf("broker ended: %s\n%s", v.cmd.ProcessState, tail(v.lines.String(), 8000))
	default:
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// stop ends the broker as systemd would; it must obey.
func (v *victim) stop() {
	select {
	case <-v.ended:
		if !v.t.Failed() {
			v.t.Errorf("broker ended: %s\n%s", v.cmd.ProcessState, tail(v.lines.String(), 8000))
		}
		return
	default:
	}
	_ = v.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-v.ended:
		if code := v.cmd.ProcessState.ExitCode(); code != 0 {
			v.t.Errorf("exit code %d after SIGTERM:\n%s", code, tail(v.lines.String(), 4000))
		}
	case <-time.After(answerMax):
		v.t.Errorf("broker is still there %s after SIGTERM", answerMax)
		_ = v.cmd.Process.Kill()
		<-v.ended
	}
}

// rss is the broker's resident memory in bytes, without pages that only mirror files.
func (v *victim) rss() int64 {
	v.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.cmd.Process.Pid))
	if err != nil {
		v.alive()
		v.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	v.t.Fatal("no RssAnon in /proc/pid/status")
	return 0
}

// grewAtMost bounds what an attack made the broker hold.
func (v *victim) grewAtMost(before, limit int64) {
	v.t.Helper()
	limit *= slowdown
	grown := v.rss() - before
	v.t.Logf("memory grew by %d MiB", grown>>20)
	if grown > limit {
		v.t.Errorf("memory grew by %d MiB, at most %d are allowed", grown>>20, limit>>20)
	}
}

// metric sums the series of a name whose labels contain every part.
func (v *victim) metric(name string, parts ...string) float64 {
	v.t.Helper()
	client := http.Client{Timeout: answerMax}
	resp, err := client.Get(v.admin + "/metrics")
	if err != nil {
		v.alive()
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	sum := 0.0
lines:
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, part := range parts {
			if !strings.Contains(rest, part) {
				continue lines
			}
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest[:len(rest)-1], ' '):]), 64)
		if err != nil {
			v.t.Fatalf("%s: %v", line, err)
		}
		sum += x
	}
	return sum
}

// withinBudgets checks that no shard uses more of a budget than it has.
func (v *victim) withinBudgets() {
	v.t.Helper()
	for _, budget := range []string{"request", "response", "parked"} {
		label := `budget="` + budget + `"`
		var used, limit float64
		// A shard that is too busy to be visited is shown as it was last, which may be never.
		for end := time.Now().Add(answerMax); limit == 0 && time.Now().Before(end); {
			used, limit = v.metric("pinion_shard_budget_used_bytes", label), v.metric("pinion_shard_budget_limit_bytes", label)
		}
		// The last answer that was let through may overdraw.
		if limit == 0 || used > limit+16<<20 {
			v.t.Errorf("budget %s: %.0f bytes used of %.0f", budget, used, limit)
		}
	}
}

// topic creates a topic and returns its id.
func (v *victim) topic(name string, partitions int32, configs ...string) [16]byte {
	v.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	for _, c := range configs {
		key, value, _ := strings.Cut(c, "=")
		entry := kmsg.NewCreateTopicsRequestTopicConfig()
		entry.Name, entry.Value = key, &value
		topic.Configs = append(topic.Configs, entry)
	}
	req.Topics = append(req.Topics, topic)
	req.SetVersion(7)
	p := v.dial()
	defer p.Close()
	resp := p.ask(req).(*kmsg.CreateTopicsResponse)
	if resp.Topics[0].ErrorCode != 0 {
		v.t.Fatalf("create %s: error %d %s", name, resp.Topics[0].ErrorCode, *resp.Topics[0].ErrorMessage)
	}
	return resp.Topics[0].TopicID
}

// end is a partition's latest offset.
func (v *victim) end(topic string, partition int32) int64 {
	v.t.Helper()
	p := v.dial()
	defer p.Close()
	req := offsetsRequest(topic, partition, -1)
	resp := p.ask(req).(*kmsg.ListOffsetsResponse)
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
		v.t.Fatalf("list offsets of %s-%d: error %d", topic, partition, code)
	}
	return resp.Topics[0].Partitions[0].Offset
}

func offsetsRequest(topic string, partition int32, time int64) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Partition, part.Timestamp, part.CurrentLeaderEpoch = partition, time, -1
	entry := kmsg.NewListOffsetsRequestTopic()
	entry.Topic = topic
	entry.Partitions = append(entry.Partitions, part)
	req.Topics = append(req.Topics, entry)
	req.SetVersion(6)
	return req
}

// peer is one raw connection.
type peer struct {
	net.Conn
	t    *testing.T
	corr int32
	name string // client id
}

func (v *victim) dial() *peer {
	v.t.Helper()
	p, err := v.maybeDial()
	if err != nil {
		v.alive()
		v.t.Fatal(err)
	}
	return p
}

func (v *victim) maybeDial() (*peer, error) {
	c, err := net.DialTimeout("tcp", v.addr, answerMax)
	if err != nil {
		return nil, err
	}
	return &peer{Conn: c, t: v.t, name: "hostile"}, nil
}

// encode is the frame of a request, length field included.
func encode(req kmsg.Request, corr int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("hostile")).AppendRequest(nil, req, corr)
}

// ask sends a request and reads its answer.
func (p *peer) ask(req kmsg.Request) kmsg.Response {
	p.t.Helper()
	resp, err := p.try(req)
	if err != nil {
		p.t.Fatalf("%s v%d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp
}

func (p *peer) try(req kmsg.Request) (kmsg.Response, error) {
	p.corr++
	if err := p.send(encode(req, p.corr)); err != nil {
		return nil, err
	}
	frame, err := p.frame()
	if err != nil {
		return nil, err
	}
	return decode(req, p.corr, frame)
}

func (p *peer) send(b []byte) error {
	_ = p.SetWriteDeadline(time.Now().Add(answerMax))
	_, err := p.Write(b)
	return err
}

// frame reads one response without its length field.
func (p *peer) frame() ([]byte, error) {
	_ = p.SetReadDeadline(time.Now().Add(answerMax))
	var head [4]byte
	if _, err := io.ReadFull(p, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > 1<<30 {
		return nil, fmt.Errorf("a response of %d bytes", n)
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(p, frame)
	return frame, err
}

var errCorrelation = errors.New("answer to another request")

func decode(req kmsg.Request, corr int32, frame []byte) (kmsg.Response, error) {
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if len(frame) < 4 || int32(binary.BigEndian.Uint32(frame)) != corr {
		return nil, errCorrelation
	}
	body := frame[4:]
	if resp.IsFlexible() && req.Key() != 18 {
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

// closes fails the test unless the broker ends the connection without answering.
func (p *peer) closes(what string) {
	p.t.Helper()
	if frame, err := p.frame(); err == nil {
		p.t.Errorf("%s: answered with %d bytes: %x", what, len(frame), frame[:min(len(frame), 64)])
	} else if timeout(err) {
		p.t.Errorf("%s: neither answered nor closed in %s", what, answerMax)
	}
	p.Close()
}

func timeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

// aBatch is one valid batch of n records of the size.
func aBatch(n, size int) []byte {
	b := batch.NewBuilder()
	now := time.Now().UnixMilli()
	value := bytes.Repeat([]byte("v"), size)
	for range n {
		b.Add(now, []byte("k"), value)
	}
	return b.Bytes()
}

// produceRequest is a request by topic name for one partition.
func produceRequest(topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = 1, 10_000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = partition, records
	entry := kmsg.NewProduceRequestTopic()
	entry.Topic = topic
	entry.Partitions = append(entry.Partitions, part)
	req.Topics = append(req.Topics, entry)
	req.SetVersion(9)
	return req
}

// fetchRequest is a sessionless request by topic name for one partition.
func fetchRequest(topic string, partition int32, from int64, bytesMax int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = -1, 0, 1, bytesMax, -1
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = partition, from, bytesMax
	part.CurrentLeaderEpoch, part.LastFetchedEpoch, part.LogStartOffset = -1, -1, -1
	entry := kmsg.NewFetchRequestTopic()
	entry.Topic = topic
	entry.Partitions = append(entry.Partitions, part)
	req.Topics = append(req.Topics, entry)
	req.SetVersion(12)
	return req
}
