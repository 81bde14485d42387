package front

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
	"pinion/engine/broker"
	"pinion/engine/catalog"
	"pinion/engine/config"
	"pinion/engine/control"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/api"
	"pinion/net/kafka/wire"
)

// node is a whole broker inside the test: controller, shards, sockets. Only the process around it is missing.
type node struct {
	tb     testing.TB
	broker *broker.Broker
	front  *Front
	addr   string
	dir    string
	stop   func() // cleanly; the end of the test does it too
	broken bool   // its disk is, and a stop says so
}

// startNode serves from a fresh directory on a port of the kernel's choice until the test ends.
func startNode(tb testing.TB, shards int, sets ...string) *node {
	tb.Helper()
	return startNodeWith(tb, shards, func(f *Front) { f.stay = true }, sets...)
}

// startNodeWith is startNode with a hand on the doors before they open.
func startNodeWith(tb testing.TB, shards int, prepare func(f *Front), sets ...string) *node {
	tb.Helper()
	// What cmd/pinion does on small machines, plus room for the test's own goroutines.
	if runtime.GOMAXPROCS(0) < shards+2 {
		runtime.GOMAXPROCS(shards + 2)
	}
	dir := tb.TempDir()
	in := config.Input{Sets: append([]string{
		"log.dirs=" + dir, "listeners=PLAINTEXT://127.0.0.1:0", "pinion.admin=", fmt.Sprintf("pinion.shards=%d", shards),
	}, sets...)}
	cfg, _, err := config.Load(in)
	if err != nil {
		tb.Fatalf("configuration: %v", err)
	}
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	if os.Getenv("PINION_TEST_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	n := &node{tb: tb, dir: dir}
	if n.broker, err = broker.Open(cfg, logger); err != nil {
		tb.Fatalf("open: %v", err)
	}
	if n.front, err = Listen(cfg, shards); err != nil {
		tb.Fatalf("listen: %v", err)
	}
	prepare(n.front)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.broker.RunControl(ctx) }()
	if err := n.broker.Start(ctx, n.front.Advertised); err != nil {
		tb.Fatalf("start: %v", err)
	}
	if err := n.front.Open(n.broker, "", logger); err != nil {
		tb.Fatalf("open the doors: %v", err)
	}
	n.addr = fmt.Sprintf("127.0.0.1:%d", n.front.Listeners[0].Port())
	n.stop = sync.OnceFunc(func() {
		drain, done := context.WithTimeout(context.Background(), 100*time.Millisecond)
		n.front.Drain(drain)
		done()
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("controller: %v", err)
		}
		closing, done := context.WithTimeout(context.Background(), 30*time.Second)
		defer done()
		if err := n.broker.Stop(closing); err != nil && !n.broken {
			tb.Errorf("stop: %v", err)
		}
		if err := n.front.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	tb.Cleanup(n.stop)
	return n
}

// create makes a topic and returns it as the image shows it.
func (n *node) create(name string, partitions int32, configs map[string]string) *placement.Topic {
	n.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	spec := catalog.TopicSpec{Name: name, ID: control.NewTopicID(), Partitions: partitions, ReplicationFactor: 1, Configs: configs}
	if err := n.broker.Propose(ctx, catalog.CreateTopic(spec)); err != nil {
		n.tb.Fatalf("create %s: %v", name, err)
	}
	return n.broker.Control.Image().TopicByID(spec.ID)
}

func (n *node) remove(topic *placement.Topic) {
	n.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := n.broker.Propose(ctx, catalog.DeleteTopic("", topic.ID)); err != nil {
		n.tb.Fatalf("delete %s: %v", topic.Name, err)
	}
}

// owner is the shard a partition lives on.
func (n *node) owner(topic *placement.Topic, index int32) int {
	return int(topic.Partition(index).ShardOn(n.broker.Config.NodeID))
}

// on returns a partition of the topic that lives on the shard.
func (n *node) on(topic *placement.Topic, shard int) int32 {
	n.tb.Helper()
	for i := range topic.Partitions() {
		if n.owner(topic, i) == shard {
			return i
		}
	}
	n.tb.Fatalf("no partition of %s on shard %d", topic.Name, shard)
	return -1
}

// visit runs f on a shard and waits for it.
func (n *node) visit(i int, f func(t *shard.Turn)) {
	n.tb.Helper()
	select {
	case <-n.front.shard(i).Visit(f):
	case <-time.After(30 * time.Second):
		n.tb.Fatalf("shard %d does not answer", i)
	}
}

// within runs f on the owner of a partition, with the partition.
func (n *node) within(topic *placement.Topic, index int32, f func(t *shard.Turn, p *partition.Partition)) {
	n.tb.Helper()
	i := n.owner(topic, index)
	found := false
	n.visit(i, func(t *shard.Turn) {
		n.broker.Sets[i].Each(t, func(p *partition.Partition) {
			if p.Name() == (model.Partition{Topic: topic.ID, Index: index}) {
				found = true
				f(t, p)
			}
		})
	})
	if !found {
		n.tb.Fatalf("partition %s-%d is not open", topic.Name, index)
	}
}

// halt stops a shard in the middle of a turn until the returned function is called (or the test ends).
func (n *node) halt(i int) (resume func()) {
	n.tb.Helper()
	entered, release := make(chan struct{}), make(chan struct{})
	done := n.front.shard(i).Visit(func(*shard.Turn) {
		close(entered)
		<-release
	})
	select {
	case <-entered:
	case <-time.After(10 * time.Second):
		n.tb.Fatalf("shard %d does not stop", i)
	}
	var once sync.Once
	resume = func() {
		once.Do(func() {
			close(release)
			<-done
		})
	}
	n.tb.Cleanup(resume)
	return resume
}

func (n *node) hub(i int) (st conn.Stats) {
	n.visit(i, func(t *shard.Turn) { st = n.front.hubs[i].Stats(t) })
	return st
}

func (n *node) desk(i int) (st api.Stats) {
	n.visit(i, func(t *shard.Turn) { st = n.front.desks[i].Stats(t) })
	return st
}

// until polls a condition that some other thread brings about.
func until(tb testing.TB, what string, limit time.Duration, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(end) {
			tb.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// client is a connection that speaks bare Kafka: it sends what it is told, pipelined, and reads what comes.
type client struct {
	tb   testing.TB
	conn net.Conn
	form *kmsg.RequestFormatter
	corr int32
	buf  []byte
}

const replyMax = 30 * time.Second

// dial connects to whatever shard the kernel deals the connection to.
func (n *node) dial() *client {
	n.tb.Helper()
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		n.tb.Fatal(err)
	}
	n.tb.Cleanup(func() { c.Close() })
	return &client{tb: n.tb, conn: c, form: kmsg.NewRequestFormatter(kmsg.FormatterClientID("promise"))}
}

// dialHome connects until the home shard is the wanted one. Connections to other shards are closed again.
func (n *node) dialHome(home int) *client {
	n.tb.Helper()
	for range 200 {
		before := n.hub(home).Accepted
		c := n.dial()
		// One answered request proves that the connection was adopted by somebody.
		c.call(kmsg.NewPtrApiVersionsRequest(), 0)
		if n.hub(home).Accepted == before+1 {
			return c
		}
		c.conn.Close()
	}
	n.tb.Fatalf("no connection is dealt to shard %d", home)
	return nil
}

// send writes one request and returns its correlation id.
func (c *client) send(req kmsg.Request, version int16) int32 {
	c.tb.Helper()
	req.SetVersion(version)
	c.corr++
	c.buf = c.form.AppendRequest(c.buf[:0], req, c.corr)
	if _, err := c.conn.Write(c.buf); err != nil {
		c.tb.Fatalf("send: %v", err)
	}
	return c.corr
}

// frame reads one response frame, without its length.
func (c *client) frame() (b []byte, err error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(replyMax)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.conn.SetReadDeadline(time.Time{})) }() // it is for this answer
	var size [4]byte
	if _, err := io.ReadFull(c.conn, size[:]); err != nil {
		return nil, err
	}
	b = make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err = io.ReadFull(c.conn, b)
	return b, err
}

// receive reads the response that must come next.
func (c *client) receive(corr int32, req kmsg.Request) kmsg.Response {
	c.tb.Helper()
	b, err := c.frame()
	if err != nil {
		c.tb.Fatalf("receive: %v", err)
	}
	resp, err := decode(b, corr, req)
	if err != nil {
		c.tb.Fatalf("receive: %v", err)
	}
	return resp
}

func decode(b []byte, corr int32, req kmsg.Request) (kmsg.Response, error) {
	if len(b) < 4 {
		return nil, fmt.Errorf("frame of %d bytes", len(b))
	}
	if got := int32(binary.BigEndian.Uint32(b)); got != corr {
		return nil, fmt.Errorf("correlation id %d, want %d", got, corr)
	}
	b = b[4:]
	if wire.Lookup(req.Key()).ResponseTags(req.GetVersion()) {
		if len(b) == 0 || b[0] != 0 {
			return nil, fmt.Errorf("response header without empty tags")
		}
		b = b[1:]
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(b); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return resp, nil
}

// exchange is call for goroutines that may not end the test.
func (c *client) exchange(req kmsg.Request, version int16) (kmsg.Response, error) {
	req.SetVersion(version)
	c.corr++
	c.buf = c.form.AppendRequest(c.buf[:0], req, c.corr)
	if _, err := c.conn.Write(c.buf); err != nil {
		return nil, err
	}
	b, err := c.frame()
	if err != nil {
		return nil, err
	}
	return decode(b, c.corr, req)
}

func (c *client) call(req kmsg.Request, version int16) kmsg.Response {
	c.tb.Helper()
	return c.receive(c.send(req, version), req)
}

// at names one partition with its records or its offset.
type at struct {
	topic   *placement.Topic
	index   int32
	records []byte
	offset  int64
	max     int32
}

const (
	produceVersion = 12
	fetchVersion   = 12
)

// produceRequest builds a Produce request; neighbours of the same topic share an entry.
func produceRequest(acks int16, parts ...at) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 30_000
	for i, p := range parts {
		if i == 0 || parts[i-1].topic != p.topic {
			topic := kmsg.NewProduceRequestTopic()
			topic.Topic, topic.TopicID = p.topic.Name, p.topic.ID
			req.Topics = append(req.Topics, topic)
		}
		part := kmsg.NewProduceRequestTopicPartition()
		part.Partition, part.Records = p.index, p.records
		last := &req.Topics[len(req.Topics)-1]
		last.Partitions = append(last.Partitions, part)
	}
	return req
}

// fetchRequest builds a Fetch request that waits up to wait for bytesMin bytes.
func fetchRequest(wait time.Duration, bytesMin, bytesMax int32, parts ...at) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = -1, int32(wait.Milliseconds()), bytesMin, bytesMax
	req.SessionEpoch = -1
	for i, p := range parts {
		if i == 0 || parts[i-1].topic != p.topic {
			topic := kmsg.NewFetchRequestTopic()
			topic.Topic, topic.TopicID = p.topic.Name, p.topic.ID
			req.Topics = append(req.Topics, topic)
		}
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.FetchOffset, part.PartitionMaxBytes = p.index, p.offset, p.max
		last := &req.Topics[len(req.Topics)-1]
		last.Partitions = append(last.Partitions, part)
	}
	return req
}

// records is one batch of count records with values of size bytes, recognisable by seed.
func records(seed int64, count, size int) []byte {
	b := batch.NewBuilder()
	fill(b, seed, count, size)
	return append([]byte(nil), b.Bytes()...)
}

func fill(b *batch.Builder, seed int64, count, size int) {
	value := make([]byte, size)
	for i := range count {
		for j := range value {
			value[j] = byte(seed) + byte(i) + byte(j)
		}
		if size >= 8 {
			binary.BigEndian.PutUint64(value, uint64(seed)<<16|uint64(i))
		}
		b.Add(time.Now().UnixMilli(), nil, value)
	}
}

// produced appends one batch and returns its base offset.
func (c *client) produced(p at) int64 {
	c.tb.Helper()
	resp := c.call(produceRequest(-1, p), produceVersion).(*kmsg.ProduceResponse)
	got := resp.Topics[0].Partitions[0]
	if got.ErrorCode != 0 {
		c.tb.Fatalf("produce to %s-%d: error %d", p.topic.Name, p.index, got.ErrorCode)
	}
	return got.BaseOffset
}

// fetched asks without waiting and returns the partitions of the answer in order.
func fetched(resp kmsg.Response) (parts []kmsg.FetchResponseTopicPartition) {
	for _, topic := range resp.(*kmsg.FetchResponse).Topics {
		parts = append(parts, topic.Partitions...)
	}
	return parts
}

// stamped is what a stored batch looks like: the produced bytes with base offset and leader epoch.
func stamped(b []byte, base int64, epoch model.Epoch) []byte {
	out := append([]byte(nil), b...)
	batch.Stamp(out, model.Offset(base), epoch)
	return out
}
