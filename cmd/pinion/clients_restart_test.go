package main_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

const (
	restartTopic      = "load"
	restartPartitions = 4
	// restartRecords is how many records each life of the broker acknowledges at least.
	restartRecords = 50_000
	restartRounds  = 12
)

// load is a running idempotent producer: record n of a partition says so.
type load struct {
	cl    *kgo.Client
	stop  chan struct{}
	ended sync.WaitGroup
	acked atomic.Int64
	deaf  atomic.Bool // answers are lost on their way

	mu      sync.Mutex // guards what follows; promises run one at a time, but the test looks as well
	failure error
	offsets [restartPartitions][]int64 // by record number: where it was acknowledged, -1 for not yet
}

func startLoad(t *testing.T, b *harness.Broker) *load {
	l := &load{stop: make(chan struct{})}
	l.cl = newClient(t, b, kgo.Dialer(l.dial), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(2000), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MetadataMinAge(10*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
	l.ended.Go(l.run)
	return l
}

// dial makes connections whose answers can be lost.
func (l *load) dial(ctx context.Context, network, host string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	return &lossy{c, &l.deaf}, nil
}

type lossy struct {
	net.Conn
	deaf *atomic.Bool
}

// Read loses what comes while the load is deaf, until the connection ends.
func (c *lossy) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.deaf.Load() {
			return n, err
		}
	}
}

// loseAnswers makes sure that the broker has written records whose acknowledgement the producer will never get: it has to send
// them again, and only the broker can know that it has them.
func (l *load) loseAnswers(t *testing.T, b *harness.Broker) {
	t.Helper()
	l.deaf.Store(true)
	for deadline := time.Now().Add(clientsMax); ; time.Sleep(time.Millisecond) {
		written := int64(0)
		for _, end := range ends(t, b, restartTopic) {
			written += end
		}
		if written > l.acked.Load() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was written that was not acknowledged")
		}
	}
}

func (l *load) run() {
	ctx := context.Background()
	for n := 0; ; n++ {
		for p := range int32(restartPartitions) {
			select {
			case <-l.stop:
				return
			default:
			}
			value := binary.BigEndian.AppendUint32(make([]byte, 100), uint32(n))
			l.mu.Lock()
			l.offsets[p] = append(l.offsets[p], -1)
			l.mu.Unlock()
			l.cl.Produce(ctx, &kgo.Record{Topic: restartTopic, Partition: p, Value: value}, l.promise(n))
		}
	}
}

func (l *load) promise(n int) func(*kgo.Record, error) {
	return func(r *kgo.Record, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if err != nil {
			if l.failure == nil {
				l.failure = fmt.Errorf("record %d of partition %d: %w", n, r.Partition, err)
			}
			return
		}
		l.offsets[r.Partition][n] = r.Offset
		l.acked.Add(1)
	}
}

// await waits until so many more records are acknowledged.
func (l *load) await(t *testing.T, more int64) {
	t.Helper()
	goal := l.acked.Load() + more
	for deadline := time.Now().Add(clientsMax); l.acked.Load() < goal; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		err := l.failure
		l.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d records acknowledged in %v, want %d", more-goal+l.acked.Load(), clientsMax, more)
		}
	}
}

// finish sends what is buffered and ends the producer.
func (l *load) finish(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.ended.Wait()
	if err := l.cl.Flush(testContext(t)); err != nil {
		t.Fatalf("flush: %v", err)
	}
	if l.failure != nil {
		t.Fatal(l.failure)
	}
}

// The broker is ended with SIGTERM and with kill -9, in turn, under a running idempotent producer, and comes back with other numbers
// of shards, not always at the first try. Every record is acknowledged in the end, stands once, in order, at the offset it was acknowledged with; records
// written before the first restart stay where they were.
func TestClientsRestartsKeepEveryAcknowledgedRecordOnce(t *testing.T) {
	const still, stillPartitions, stillRecords = "still", 7, 7_000
	port, err := harness.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer port.Release()
	config := harness.Config{Dir: t.TempDir(), Port: port.Number, Shards: 2, Set: []string{"log.segment.bytes=4194304", "log.flush.offset.checkpoint.interval.ms=1000"}}
	b := harness.Run(t, config)
	id := createTopic(t, b, still, stillPartitions, nil).ID
	createTopic(t, b, restartTopic, restartPartitions, nil)
	produceTest(t, b, still, 0, stillRecords, stillPartitions, kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	l := startLoad(t, b)
	random := rand.New(rand.NewPCG(recordSeed, 0))
	for round := range restartRounds {
		l.await(t, restartRecords)
		if round%4 < 2 {
			l.loseAnswers(t, b)
		}
		if round%2 == 0 {
			if err := b.Kill(); err != nil {
				t.Fatal(err)
			}
		} else {
			b.MustStop(t)
		}
		l.deaf.Store(false)
		config.Shards = []int{1, 3, 2}[round%3]
		if round%3 == 1 {
			dieComingUp(t, config, time.Duration(random.IntN(8_000))*time.Microsecond)
		}
		b = harness.Run(t, config)
	}
	l.await(t, restartRecords)
	l.finish(t)
	b.MustStop(t)
	config.Shards = 3
	b = harness.Run(t, config)
	checkLoad(t, b, l)
	cl := newClient(t, b, kgo.ConsumeTopics(still), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	checkTest(t, read(t, cl, evenly(stillRecords, stillPartitions)), still, stillPartitions, nil)
	topics, err := kadm.NewClient(cl).ListTopics(testContext(t), still)
	if err != nil || topics[still].ID != id {
		t.Fatalf("topic id %v, want %v: %v", topics[still].ID, id, err)
	}
}

// dieComingUp starts the broker and kills it somewhere on its way to being ready, or just after.
func dieComingUp(t *testing.T, config harness.Config, after time.Duration) {
	t.Helper()
	b, err := harness.Launch(config)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.Ended():
		t.Fatalf("the broker ended by itself:\n%s", b.Log())
	case <-time.After(after):
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
}

// checkLoad reads everything the producer sent.
func checkLoad(t *testing.T, b *harness.Broker, l *load) {
	t.Helper()
	want := map[int32]int{}
	for p := range l.offsets {
		want[int32(p)] = len(l.offsets[p])
	}
	for p, end := range ends(t, b, restartTopic) {
		if int(end) != want[p] {
			t.Errorf("partition %d ends at %d after %d records", p, end, want[p])
		}
	}
	cl := newClient(t, b, kgo.ConsumeTopics(restartTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	total := 0
	for p, list := range read(t, cl, want) {
		for n, r := range list {
			if got := binary.BigEndian.Uint32(r.Value[100:]); int(got) != n || r.Offset != int64(n) {
				t.Fatalf("partition %d offset %d holds record %d, want %d", p, r.Offset, got, n)
			}
			if l.offsets[p][n] != r.Offset && l.offsets[p][n] != -1 {
				t.Fatalf("partition %d record %d stands at %d and was acknowledged at %d", p, n, r.Offset, l.offsets[p][n])
			}
		}
		total += len(list)
	}
	t.Logf("%d records, each once", total)
}
