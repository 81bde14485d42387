package front

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	movingTopic      = "moving"
	movingShards     = 3
	movingPartitions = 5
	movingProducers  = 3
	movesWanted      = 80
	movedBetween     = 200 // records acknowledged between two moves, at least
)

// TestPartitionsChangeShardsUnderLoad moves partitions between shards, again and again, while idempotent producers keep their pipelines
// full and a consumer reads along: nothing may be lost, doubled or reordered, and every acknowledged offset must hold its record. Where cores
// are brokers clients have to find each new leader by themselves.
func TestPartitionsChangeShardsUnderLoad(t *testing.T) {
	for _, advertise := range []string{"node", "core"} {
		t.Run(advertise, func(t *testing.T) {
			n := startNode(t, movingShards, "pinion.advertise="+advertise)
			n.create(movingTopic, movingPartitions, nil)
			ctx, cancel := context.WithTimeout(context.Background(), 180*time.Second)
			defer cancel()
			l := &ledger{stop: make(chan struct{})}
			var producers, reader sync.WaitGroup
			failures := make(chan error, movingProducers+1)
			for id := range movingProducers {
				producers.Go(func() {
					if err := l.produce(ctx, n.addr, id); err != nil {
						failures <- fmt.Errorf("producer %d: %w", id, err)
					}
				})
			}
			reader.Go(func() {
				if err := l.readAll(ctx, n.addr, false); err != nil {
					failures <- fmt.Errorf("reader: %w", err)
				}
			})
			l.move(ctx, t, n, failures)
			close(l.stop)
			producers.Wait()
			l.ended.Store(true)
			reader.Wait()
			close(failures)
			for err := range failures {
				t.Fatal(err)
			}
			if err := l.readAll(ctx, n.addr, true); err != nil {
				t.Fatal(err)
			}
			epochs := int32(0)
			for p := range NewPlaces(n.front).Partitions(nil) {
				epochs += p.LeaderEpoch
			}
			// Each move between cores is another leader; between shards of a node that is one broker, none is.
			if want := map[string]int32{"node": 0, "core": movesWanted}[advertise]; epochs != want {
				t.Errorf("leader epochs add up to %d after %d moves, want %d", epochs, movesWanted, want)
			}
			t.Logf("%d moves under %d records", movesWanted, l.acked.Load())
		})
	}
}

// ledger knows where every record was acknowledged. Record n of producer p goes to partition n % partitions and says "p n".
type ledger struct {
	stop  chan struct{} // closed when the producers are to end
	acked atomic.Int64
	ended atomic.Bool // nothing more is acknowledged

	mu      sync.Mutex // guards offsets; promises run on goroutines of the clients
	offsets [movingProducers][]int64
}

// move moves one partition after the other, in a pattern that also sends some straight back.
func (l *ledger) move(ctx context.Context, t *testing.T, n *node, failures <-chan error) {
	t.Helper()
	places := NewPlaces(n.front)
	to := func(p, shard int32) {
		if _, refusal := places.Move(ctx, movingTopic, p, shard); refusal != nil {
			t.Fatalf("move: %+v", refusal)
		}
	}
	for i, moves := int32(0), 0; moves < movesWanted; i++ {
		for goal := l.acked.Load() + movedBetween; l.acked.Load() < goal; time.Sleep(time.Millisecond) {
			select {
			case err := <-failures:
				t.Fatal(err)
			default:
			}
		}
		p := i % movingPartitions
		topic := n.broker.Control.Image().TopicCalled(movingTopic)
		from := int32(n.owner(topic, p))
		to(p, (from+1+i/movingPartitions%2)%movingShards)
		moves++
		if i%4 == 3 && moves < movesWanted {
			to(p, from)
			moves++
		}
	}
}

func (l *ledger) produce(ctx context.Context, addr string, id int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(2_000),
		kgo.ProducerLinger(0), kgo.DefaultProduceTopic(movingTopic), kgo.MetadataMinAge(10*time.Millisecond), kgo.MaxBufferedRecords(1000),
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }))
	if err != nil {
		return err
	}
	defer cl.Close()
	failed := make(chan error, 1)
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			err := cl.Flush(ctx)
			select {
			case err = <-failed:
			default:
			}
			return err
		case err := <-failed:
			return err
		default:
		}
		l.mu.Lock()
		l.offsets[id] = append(l.offsets[id], -1)
		l.mu.Unlock()
		r := &kgo.Record{Partition: int32(i % movingPartitions), Value: fmt.Appendf(nil, "%d %d", id, i)}
		cl.Produce(ctx, r, func(r *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
				return
			}
			l.mu.Lock()
			l.offsets[id][i] = r.Offset
			l.mu.Unlock()
			l.acked.Add(1)
		})
	}
}

// readAll reads every partition from its start, as far as anything is acknowledged: records come at offsets without a gap, those of a
// producer in order, and in the end each stands where it was acknowledged.
func (l *ledger) readAll(ctx context.Context, addr string, ended bool) error {
	from := map[int32]kgo.Offset{}
	for i := range int32(movingPartitions) {
		from[i] = kgo.NewOffset().AtStart()
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{movingTopic: from}),
		kgo.FetchMaxWait(50*time.Millisecond), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	s := reading{ledger: l, ended: ended}
	for !l.ended.Load() || s.read < l.acked.Load() {
		poll, cancel := context.WithTimeout(ctx, 100*time.Millisecond) // the end may come without another record
		fetches := cl.PollFetches(poll)
		cancel()
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("read %d: %w", s.read, err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("read %d of %d: %w", s.read, l.acked.Load(), ctx.Err())
		}
		for it := fetches.RecordIter(); !it.Done(); {
			if err := s.take(it.Next()); err != nil {
				return err
			}
		}
	}
	if s.read != l.acked.Load() {
		return fmt.Errorf("read %d records of %d acknowledged", s.read, l.acked.Load())
	}
	return nil
}

// reading is what one pass over the topic has seen.
type reading struct {
	ledger *ledger
	ended  bool // every record has its acknowledgement
	next   [movingPartitions]int64
	last   [movingPartitions][movingProducers]int
	read   int64
}

func (s *reading) take(r *kgo.Record) error {
	var producer, number int
	if _, err := fmt.Sscanf(string(r.Value), "%d %d", &producer, &number); err != nil {
		return fmt.Errorf("record %q: %w", r.Value, err)
	}
	if r.Offset != s.next[r.Partition] || int32(number%movingPartitions) != r.Partition || number/movingPartitions != s.last[r.Partition][producer] {
		return fmt.Errorf("partition %d offset %d holds %q, want offset %d and that producer's %d. record", r.Partition, r.Offset, r.Value,
			s.next[r.Partition], s.last[r.Partition][producer])
	}
	s.next[r.Partition]++
	s.last[r.Partition][producer]++
	s.read++
	if !s.ended {
		return nil
	}
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if at := s.ledger.offsets[producer][number]; at != r.Offset {
		return fmt.Errorf("record %q stands at %d of partition %d and was acknowledged at %d", r.Value, r.Offset, r.Partition, at)
	}
	return nil
}
