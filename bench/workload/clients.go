package workload

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"pinion/bench/load"
)

// Clients is how the clients are set, apart from the workload.
type Clients struct {
	Brokers    []string
	Acks       int // -1, 1, 0
	Idempotent bool
	Linger     time.Duration
	BatchBytes int32
	Codec      kgo.CompressionCodec
	FetchBytes int32         // of a partition
	Configs    []kgo.Opt     // further options
	Stall      time.Duration // without any acknowledgement or arrival for so long, the run has failed; 0 is 30 seconds
}

// Of a producing client: how much may wait in it. A send beyond that waits, and its latency counts from its intended time.
const (
	bufferedRecordsMax = 1 << 20
	bufferedBytesMax   = 64 << 20
)

func (c Clients) producer(hook kgo.Hook) (*kgo.Client, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID("pinion-bench"), kgo.WithHooks(hook), kgo.ProducerLinger(c.Linger),
		kgo.ProducerBatchMaxBytes(c.BatchBytes), kgo.ProducerBatchCompression(c.Codec), kgo.MaxBufferedRecords(bufferedRecordsMax),
		kgo.MaxBufferedBytes(bufferedBytesMax),
	}
	switch c.Acks {
	case 1:
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()))
	case 0:
		options = append(options, kgo.RequiredAcks(kgo.NoAck()))
	}
	if !c.Idempotent || c.Acks != -1 {
		options = append(options, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(5))
	}
	return kgo.NewClient(append(options, c.Configs...)...)
}

func (c Clients) consumer(topic string, partitions []int32, hook kgo.Hook) (*kgo.Client, error) {
	offsets := map[int32]kgo.Offset{}
	for _, p := range partitions {
		offsets[p] = kgo.NewOffset().AtStart() // the topic is new: everything in it is ours
	}
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID("pinion-bench"), kgo.WithHooks(hook), kgo.FetchMaxPartitionBytes(c.FetchBytes),
		kgo.FetchMaxWait(500 * time.Millisecond), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
	}, c.Configs...)...)
}

// trouble remembers the last failed connect, which franz-go retries in silence.
type trouble struct{ last atomic.Pointer[error] }

// OnBrokerConnect is called by franz-go.
func (t *trouble) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		t.last.Store(&err)
	}
}

func (t *trouble) error() error {
	if e := t.last.Load(); e != nil {
		return *e
	}
	return nil
}

// sender is a thread with its producers; it sends when the schedule says so.
type sender struct {
	tally    tally
	clients  []*kgo.Client
	topics   []string // of each client
	payloads *payloads
	keys     *keys
	window   *window
	flying   atomic.Int64 // records that are not answered
	rate     atomic.Int64 // thousandths of a record a second
	unsent   int64        // records that were due when send ended; to be read after it
}

// send runs until all that is due in the window is sent, or the context ends. The schedule is begun again when the rate changes.
func (s *sender) send(ctx context.Context) {
	runtime.LockOSThread() // to sleep by the kernel's clock: the runtime's own timers are a millisecond late on an idle machine
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // best effort: 50 us otherwise
	var schedule load.Schedule
	rate := int64(0)
	for turn := 0; ctx.Err() == nil; {
		if r := s.rate.Load(); r != rate {
			rate, schedule = r, load.NewSchedule(now(), math.MaxInt64, float64(r)/1000)
		}
		end := s.window.until()
		at, ok := schedule.Due(min(now(), end-1))
		switch {
		case ok:
			s.one(ctx, turn, at)
			turn++
		case now() >= end:
			return
		default:
			rest(min(schedule.Next(), end) - now())
		}
	}
	s.unsent = schedule.Left(min(now(), s.window.until()))
}

// restMax is how long a sender sleeps at most, so that it sees another rate and the end.
const restMax = 20 * time.Millisecond

func rest(d int64) {
	if d <= 0 {
		return
	}
	spec := unix.NsecToTimespec(min(d, int64(restMax)))
	_ = unix.Nanosleep(&spec, nil) // woken early, the caller looks at the time again
}

func (s *sender) one(ctx context.Context, turn int, intended int64) {
	i := turn % len(s.clients)
	value := s.payloads.take(intended)
	record := &kgo.Record{Topic: s.topics[i], Key: s.keys.take(), Value: value}
	s.flying.Add(1)
	s.clients[i].Produce(context.WithoutCancel(ctx), record, func(_ *kgo.Record, err error) {
		if errors.Is(err, kgo.ErrClientClosed) {
			return // the end of the run: it was not answered, and that is what is counted
		}
		s.tally.acknowledged(s.window, intended, now(), len(value), err)
		s.flying.Add(-1) // once it is counted, for who looks whether anything is under way
	})
	if s.window.holds(intended) {
		s.tally.delayed(now() - intended)
	}
}

// reader is one consumer.
type reader struct {
	tally  tally
	client *kgo.Client
	window *window
	gate   *gate
}

// read runs until the context ends.
func (r *reader) read(ctx context.Context) {
	var latencies []int64
	for ctx.Err() == nil {
		r.gate.wait(ctx)
		fetches := r.client.PollFetches(ctx)
		at := now()
		var bytes int64
		records := 0
		latencies = latencies[:0]
		fetches.EachRecord(func(record *kgo.Record) {
			records++
			bytes += int64(len(record.Value))
			if stamp, ok := stampOf(record.Value); ok && r.window.holds(stamp) {
				latencies = append(latencies, at-stamp)
			}
		})
		r.tally.read(records, bytes, latencies, r.window.holds(at))
		for _, e := range fetches.Errors() {
			if ctx.Err() == nil && !errors.Is(e.Err, context.Canceled) {
				r.tally.failed(fmt.Errorf("fetch topic %s, partition %d: %w", e.Topic, e.Partition, e.Err))
			}
		}
	}
}

// gate holds consumers back while a backlog grows.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // closed while consumers may go on
}

func newGate() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) reopen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}

func (g *gate) wait(ctx context.Context) {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
	}
}
