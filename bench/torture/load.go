package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Every record's value begins with a number of its own and its own length, and goes on as those two decide: what comes back is what
// was sent, or it is not.

const valueHeader = 12

func makeValue(id uint64, size int) []byte {
	b := make([]byte, max(size, valueHeader))
	binary.LittleEndian.PutUint64(b, id)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)))
	for i := valueHeader; i < len(b); i++ {
		b[i] = byte(id>>(i%7*8)) ^ byte(i*131)
	}
	return b
}

// checkValue returns a value's number, if every byte is as it was made.
func checkValue(b []byte) (uint64, error) {
	if len(b) < valueHeader || int(binary.LittleEndian.Uint32(b[8:])) != len(b) {
		return 0, fmt.Errorf("value of %d bytes is none of ours", len(b))
	}
	id := binary.LittleEndian.Uint64(b)
	if string(makeValue(id, len(b))) != string(b) {
		return id, fmt.Errorf("value %d has changed", id)
	}
	return id, nil
}

// place is where a broker said it put a record.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// ledger is what was acknowledged, and what was sent at all.
type ledger struct {
	mu    sync.Mutex // guards what follows
	next  uint64
	sent  map[uint64]bool // never acknowledged, so far: may be there or not
	acked map[uint64]place
	total int // acknowledged, verified rounds included
	last  map[line]uint64
}

// line is what one producer sends to one partition: its numbers ascend, and so must those that are found.
type line struct {
	place    // of offset 0
	producer uint64
}

// producersMax is how many producers numbers tell apart.
const producersMax = 8

func newLedger() *ledger {
	return &ledger{sent: map[uint64]bool{}, acked: map[uint64]place{}, last: map[line]uint64{}}
}

// begin gives a producer the number of its next record.
func (l *ledger) begin(producer uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	id := l.next*producersMax + producer
	l.sent[id] = true
	return id
}

// ordered reports whether a record lies behind all that its producer sent to the partition before.
func (l *ledger) ordered(id uint64, topic string, partition int32) bool {
	on := line{place{topic, partition, 0}, id % producersMax}
	if id <= l.last[on] {
		return false
	}
	l.last[on] = id
	return true
}

func (l *ledger) ack(id uint64, at place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sent, id)
	l.acked[id] = at
	l.total++
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// topics of the load: one for each kind of producer.
const (
	idempotentTopic = "torture-idempotent"
	plainTopic      = "torture-plain"
	partitions      = 6
)

// createTopics makes both, if they are not there.
func createTopics(ctx context.Context, addr, durability string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	segment := "1048576"
	res, err := kadm.NewClient(cl).CreateTopics(ctx, partitions, 1,
		map[string]*string{"pinion.durability": &durability, "segment.bytes": &segment}, idempotentTopic, plainTopic)
	if err != nil {
		return err
	}
	for _, r := range res {
		if r.Err != nil {
			return fmt.Errorf("create %s: %w", r.Topic, r.Err)
		}
	}
	return nil
}

// produce keeps producers busy until ctx ends: two idempotent and two plain ones, acks=all, small values and now and then one that is too
// large for the journal.
func produce(ctx context.Context, addr string, l *ledger, seed uint64) (wait func(), err error) {
	var done sync.WaitGroup
	for i := range 4 {
		topic := idempotentTopic
		opts := []kgo.Opt{
			kgo.SeedBrokers(addr), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
			kgo.RetryTimeout(2 * time.Second), kgo.RecordDeliveryTimeout(3 * time.Second),
		}
		if i%2 == 1 {
			topic = plainTopic
			opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(4))
		}
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			return nil, err
		}
		done.Add(1)
		go func() {
			defer done.Done()
			defer cl.Close()
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			slots := make(chan struct{}, 64)
			for ctx.Err() == nil {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				size := 20 + r.IntN(300)
				if r.IntN(150) == 0 {
					size = 150_000 + r.IntN(200_000)
				}
				id := l.begin(uint64(i))
				cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: r.Int32N(partitions), Value: makeValue(id, size)}, func(rec *kgo.Record, err error) {
					if err == nil {
						l.ack(id, place{rec.Topic, rec.Partition, rec.Offset})
					}
					<-slots
				})
			}
		}()
	}
	return done.Wait, nil
}

// verdict is what a look at everything has found.
type verdict struct {
	read, lost, invented, changed, doubled, passed int
	first                                          string // of what is wrong
}

func (v *verdict) note(n *int, format string, args ...any) {
	*n++
	if v.first == "" {
		v.first = fmt.Sprintf(format, args...)
	}
}

func (v *verdict) add(o verdict) {
	v.read, v.lost, v.invented, v.changed, v.doubled = v.read+o.read, v.lost+o.lost, v.invented+o.invented, v.changed+o.changed, v.doubled+o.doubled
	v.passed += o.passed
	if v.first == "" {
		v.first = o.first
	}
}

func (v *verdict) bad() bool { return v.lost+v.invented+v.changed+v.doubled+v.passed > 0 }

func (v *verdict) String() string {
	return fmt.Sprintf("%d records read: %d lost, %d changed, %d invented, %d doubled, %d out of order", v.read, v.lost, v.changed, v.invented, v.doubled, v.passed)
}

// verify reads both topics from the offsets on that were read before, and compares with the ledger. What is found right is forgotten, and
// the offsets move.
func verify(ctx context.Context, addr string, l *ledger, starts map[string]map[int32]int64) (verdict, error) {
	var v verdict
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(at(starts)), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		return v, err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, idempotentTopic, plainTopic)
	if err != nil {
		return v, err
	}
	left := 0
	var failed error
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			failed = fmt.Errorf("end of %s-%d: %w", o.Topic, o.Partition, o.Err)
		}
		if o.Offset < starts[o.Topic][o.Partition] {
			v.note(&v.lost, "%s-%d ends at %d, %d was read before", o.Topic, o.Partition, o.Offset, starts[o.Topic][o.Partition])
			starts[o.Topic][o.Partition] = o.Offset
		}
		left += int(o.Offset - starts[o.Topic][o.Partition])
	})
	if failed != nil {
		return v, failed
	}
	seen := map[uint64][]place{}
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return v, fmt.Errorf("%d records are missing: %w", left, err)
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return v, fmt.Errorf("%s-%d: %w", errs[0].Topic, errs[0].Partition, errs[0].Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			v.read++
			here := place{r.Topic, r.Partition, r.Offset}
			starts[r.Topic][r.Partition] = r.Offset + 1
			id, err := checkValue(r.Value)
			if err != nil {
				v.note(&v.changed, "%v: %v", here, err)
				return
			}
			if before := seen[id]; before != nil && r.Topic == idempotentTopic {
				v.note(&v.doubled, "value %d at %v and %v", id, before[0], here)
			}
			seen[id] = append(seen[id], here)
			if r.Topic == idempotentTopic && !l.ordered(id, r.Topic, r.Partition) {
				v.note(&v.passed, "value %d at %v lies behind a later one of its producer", id, here)
			}
			if !l.known(id) {
				v.note(&v.invented, "value %d at %v was never sent", id, here)
			}
		})
	}
	l.settle(&v, seen)
	return v, nil
}

func (l *ledger) known(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, acked := l.acked[id]
	return acked || l.sent[id]
}

// settle compares what was acknowledged with what was found, and starts over. A plain producer may have sent a record more than once, but what it was told of one
// place holds there.
func (l *ledger) settle(v *verdict, seen map[uint64][]place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, at := range l.acked {
		got := seen[id]
		if got == nil {
			v.note(&v.lost, "value %d, acknowledged at %v, is not there", id, at)
		} else if !slices.Contains(got, at) {
			v.note(&v.changed, "value %d, acknowledged at %v, is at %v", id, at, got)
		}
	}
	l.acked, l.sent = map[uint64]place{}, map[uint64]bool{}
}

func at(starts map[string]map[int32]int64) map[string]map[int32]kgo.Offset {
	out := map[string]map[int32]kgo.Offset{}
	for topic, list := range starts {
		out[topic] = map[int32]kgo.Offset{}
		for p, o := range list {
			out[topic][p] = kgo.NewOffset().At(o)
		}
	}
	return out
}

func newStarts() map[string]map[int32]int64 {
	starts := map[string]map[int32]int64{idempotentTopic: {}, plainTopic: {}}
	for _, list := range starts {
		for p := range int32(partitions) {
			list[p] = 0
		}
	}
	return starts
}
