package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The topics beside the load whose segments come and go: one by retention and DeleteRecords, one by compaction. Those whose names begin
// with passing are created and deleted.
const (
	retainedTopic  = "torture-retained"
	compactedTopic = "torture-compacted"
	passing        = "torture-passing-"

	lifePartitions = 2
	retainedBytes  = 1 << 20 // of a partition's values, which retention must leave
	lifeSegment    = 256 << 10
	compactedKeys  = 40
)

// lifeSettings have a broker look often for what may go.
var lifeSettings = []string{
	"log.retention.check.interval.ms=150", "log.cleaner.backoff.ms=100", "log.segment.delete.delay.ms=0", "log.flush.offset.checkpoint.interval.ms=1000",
}

// life is what a broker does beside taking records: it rolls, retains, compacts, trims, creates and deletes. What it was told is noted here.
type life struct {
	mu       sync.Mutex // guards what follows
	next     uint64
	retained [lifePartitions][]kept // acknowledged, in order of offset
	trimmed  [lifePartitions]int64  // below it DeleteRecords may have deleted
	promised [lifePartitions]int64  // and below this it has said that it did
	newest   map[string]uint64      // acknowledged value of each compacted key
	topics   map[string]stage
	pace     time.Duration // between two records and between two administrative requests; 0: as fast as they are answered
	steps    int           // administrative requests that were answered
}

type kept struct {
	offset int64
	id     uint64
	bytes  int
}

// stage is how far a passing topic is.
type stage uint8

const (
	creating stage = iota
	created
	deleting
	deleted
)

func newLife() *life { return &life{newest: map[string]uint64{}, topics: map[string]stage{}} }

// createLifeTopics makes the two that stay.
func createLifeTopics(ctx context.Context, addr string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	text := func(s string) *string { return &s }
	segment := text(strconv.Itoa(lifeSegment))
	// What retention leaves is counted in bytes of files, which are more than those of the values.
	_, err = admin.CreateTopic(ctx, lifePartitions, 1, map[string]*string{
		"internal.segment.bytes": segment, "retention.bytes": text(strconv.Itoa(2 * retainedBytes)), "pinion.durability": text("memory"),
	}, retainedTopic)
	if err != nil {
		return fmt.Errorf("create %s: %w", retainedTopic, err)
	}
	_, err = admin.CreateTopic(ctx, lifePartitions, 1, map[string]*string{
		"internal.segment.bytes": segment, "cleanup.policy": text("compact"), "min.cleanable.dirty.ratio": text("0.05"), "pinion.durability": text("fsync"),
	}, compactedTopic)
	if err != nil {
		return fmt.Errorf("create %s: %w", compactedTopic, err)
	}
	return nil
}

// run keeps the broker busy until ctx ends. Errors are what a dying broker answers; what counts is what it has acknowledged.
func (l *life) run(ctx context.Context, addr string, seed uint64) (wait func(), err error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.RetryTimeout(2 * time.Second), kgo.RecordDeliveryTimeout(3 * time.Second),
	}
	records, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	admin, err := kgo.NewClient(opts...)
	if err != nil {
		records.Close()
		return nil, err
	}
	var done sync.WaitGroup
	done.Go(func() {
		defer records.Close()
		l.write(ctx, records, rand.New(rand.NewPCG(seed, 100)))
	})
	done.Go(func() {
		defer admin.Close()
		l.administer(ctx, admin, rand.New(rand.NewPCG(seed, 101)))
	})
	return done.Wait, nil
}

// write sends values to both topics, as fast as they are acknowledged.
func (l *life) write(ctx context.Context, cl *kgo.Client, r *rand.Rand) {
	slots := make(chan struct{}, 8)
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		rec := &kgo.Record{Topic: retainedTopic, Partition: r.Int32N(lifePartitions)}
		size := 20_000 + r.IntN(60_000)
		if r.IntN(2) == 0 {
			key := r.IntN(compactedKeys)
			rec.Topic, rec.Key, rec.Partition = compactedTopic, []byte(strconv.Itoa(key)), int32(key%lifePartitions)
			size = 5_000 + r.IntN(15_000)
		}
		l.mu.Lock()
		l.next++
		id := l.next
		l.mu.Unlock()
		rec.Value = makeValue(id, size)
		cl.Produce(ctx, rec, func(rec *kgo.Record, err error) {
			if err == nil {
				l.acked(rec, id)
			}
			<-slots
		})
		time.Sleep(l.pace)
	}
}

func (l *life) acked(rec *kgo.Record, id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rec.Topic == compactedTopic {
		l.newest[string(rec.Key)] = max(l.newest[string(rec.Key)], id)
		return
	}
	l.keep(rec, id)
}

// keep notes a record of the retained topic that lies behind all others.
func (l *life) keep(rec *kgo.Record, id uint64) {
	list := append(l.retained[rec.Partition], kept{rec.Offset, id, len(rec.Value)})
	// What lies far enough behind the end is not looked for any more.
	behind := 0
	for i := len(list) - 1; i >= 0; i-- {
		if behind += list[i].bytes; behind >= retainedBytes {
			list = append(list[:0], list[i+1:]...)
			break
		}
	}
	l.retained[rec.Partition] = list
}

// administer creates, deletes and trims.
func (l *life) administer(ctx context.Context, cl *kgo.Client, r *rand.Rand) {
	admin := kadm.NewClient(cl)
	for ; ctx.Err() == nil; time.Sleep(l.pace) {
		step, cancel := context.WithTimeout(ctx, 3*time.Second)
		var err error
		what := r.IntN(3)
		if l.whole() >= passingMost {
			what = 1
		}
		switch what {
		case 0:
			err = l.create(step, cl, admin)
		case 1:
			err = l.remove(step, admin)
		default:
			err = l.trim(step, admin, r.Int32N(lifePartitions))
		}
		cancel()
		if err != nil {
			continue
		}
		l.mu.Lock()
		l.steps++
		l.mu.Unlock()
	}
}

// passingMost is how many passing topics there are at a time.
const passingMost = 20

// whole is how many there are.
func (l *life) whole() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, s := range l.topics {
		if s == created {
			n++
		}
	}
	return n
}

// create makes a passing topic, whose one record comes with it.
func (l *life) create(ctx context.Context, cl *kgo.Client, admin *kadm.Client) error {
	l.mu.Lock()
	l.next++
	id := l.next
	name := passing + strconv.FormatUint(id, 10)
	l.topics[name] = creating
	l.mu.Unlock()
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, name); err != nil {
		return err
	}
	// Not ProduceSync, which does not end while an idempotent record may be on its way to a broker that is gone.
	done := make(chan error, 1)
	cl.Produce(ctx, &kgo.Record{Topic: name, Value: makeValue(id, 100)}, func(_ *kgo.Record, err error) { done <- err })
	select {
	case err := <-done:
		if err == nil {
			l.enter(name, created)
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *life) enter(name string, s stage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.topics[name] = s
}

// remove deletes any of the topics that are whole.
func (l *life) remove(ctx context.Context, admin *kadm.Client) error {
	l.mu.Lock()
	name := ""
	for n, s := range l.topics {
		if s == created {
			name = n
			l.topics[n] = deleting
			break
		}
	}
	l.mu.Unlock()
	if name == "" {
		return nil
	}
	if _, err := admin.DeleteTopic(ctx, name); err != nil {
		return err
	}
	l.enter(name, deleted)
	return nil
}

// forget drops the topics that were deleted; a campaign that looks often does without.
func (l *life) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, s := range l.topics {
		if s == deleted {
			delete(l.topics, name)
		}
	}
}

// trim deletes the older half of what is known of a partition.
func (l *life) trim(ctx context.Context, admin *kadm.Client, p int32) error {
	l.mu.Lock()
	list := l.retained[p]
	to := int64(0)
	if len(list) > 1 {
		to = list[len(list)/2].offset
		l.trimmed[p] = max(l.trimmed[p], to)
	}
	l.mu.Unlock()
	if to == 0 {
		return nil
	}
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: retainedTopic, Partition: p, At: to})
	answer, err := admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = answer.Error()
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.promised[p] = max(l.promised[p], to)
	return nil
}

// look compares a broker with what it has acknowledged of all that.
func (l *life) look(ctx context.Context, addr string) (verdict, error) {
	var v verdict
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return v, err
	}
	defer cl.Close()
	found, err := readAll(ctx, addr, retainedTopic, compactedTopic)
	if err != nil {
		return v, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	v.read = len(found.records)
	for _, r := range found.records {
		if _, err := checkValue(r.Value); err != nil {
			v.note(&v.changed, "%s-%d at %d: %v", r.Topic, r.Partition, r.Offset, err)
		}
	}
	l.lookRetained(&v, found)
	l.lookCompacted(&v, found)
	return v, l.lookTopics(ctx, kadm.NewClient(cl), &v)
}

func (l *life) lookRetained(v *verdict, found contents) {
	for p := range int32(lifePartitions) {
		have := map[int64]uint64{}
		for _, r := range found.records {
			if r.Topic == retainedTopic && r.Partition == p {
				id, _ := checkValue(r.Value)
				have[r.Offset] = id
			}
		}
		start := found.starts[place{retainedTopic, p, 0}]
		if start < l.promised[p] {
			v.note(&v.invented, "%s-%d starts at %d, records below %d were deleted", retainedTopic, p, start, l.promised[p])
		}
		for _, k := range l.retained[p] {
			if id, there := have[k.offset]; k.offset >= l.trimmed[p] && (!there || id != k.id) {
				v.note(&v.lost, "%s-%d: value %d, acknowledged at %d, is not there; the log starts at %d", retainedTopic, p, k.id, k.offset, start)
			}
		}
		l.trimmed[p] = max(l.trimmed[p], start)
		// From here on what was stored without an acknowledgement takes room as well.
		l.retained[p] = nil
		for _, r := range found.records {
			if r.Topic == retainedTopic && r.Partition == p {
				l.keep(r, have[r.Offset])
			}
		}
	}
}

func (l *life) lookCompacted(v *verdict, found contents) {
	newest := map[string]uint64{}
	for _, r := range found.records {
		if r.Topic == compactedTopic {
			newest[string(r.Key)], _ = checkValue(r.Value) // in order of offset, as they were sent
		}
	}
	for key, id := range l.newest {
		if newest[key] < id {
			v.note(&v.lost, "%s: key %s has value %d, %d was acknowledged", compactedTopic, key, newest[key], id)
		}
	}
}

func (l *life) lookTopics(ctx context.Context, admin *kadm.Client, v *verdict) error {
	list, err := admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	var whole []string
	for name, s := range l.topics {
		switch {
		case s == created && !list.Has(name):
			v.note(&v.lost, "topic %s is not there", name)
		case s == deleted && list.Has(name):
			v.note(&v.invented, "topic %s is there again", name)
		case s == created:
			whole = append(whole, name)
		}
		if !list.Has(name) {
			delete(l.topics, name)
		}
	}
	if len(whole) == 0 {
		return nil
	}
	ends, err := admin.ListEndOffsets(ctx, whole...)
	if err != nil {
		return fmt.Errorf("ends of topics: %w", err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err != nil || o.Offset != 1 {
			v.note(&v.lost, "topic %s ends at %d, %v: it had one record", o.Topic, o.Offset, o.Err)
		}
	})
	return nil
}

// contents is all that topics hold.
type contents struct {
	records []*kgo.Record   // of a partition in order
	starts  map[place]int64 // by place of offset 0
}

// readAll reads topics from their starts to their ends. Compacted ones have gaps, so that only positions tell when all is read.
func readAll(ctx context.Context, addr string, topics ...string) (contents, error) {
	out := contents{starts: map[place]int64{}}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return out, err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return out, fmt.Errorf("starts: %w", err)
	}
	ends, err := admin.ListEndOffsets(ctx, topics...)
	if err := errors.Join(err, starts.Error(), ends.Error()); err != nil {
		return out, fmt.Errorf("starts and ends: %w", err)
	}
	from := map[string]map[int32]int64{}
	left := map[place]int64{}
	starts.Each(func(o kadm.ListedOffset) {
		if from[o.Topic] == nil {
			from[o.Topic] = map[int32]int64{}
		}
		p := place{o.Topic, o.Partition, 0}
		out.starts[p] = o.Offset
		if end, _ := ends.Lookup(o.Topic, o.Partition); end.Offset > o.Offset {
			from[o.Topic][o.Partition], left[p] = o.Offset, end.Offset
		}
	})
	reader, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(at(from)), kgo.FetchMaxWait(50*time.Millisecond), kgo.KeepControlRecords())
	if err != nil {
		return out, err
	}
	defer reader.Close()
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, kerr.OffsetOutOfRange) { // retention goes on
				return out, fmt.Errorf("%s-%d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			out.records = append(out.records, r)
			if p := (place{r.Topic, r.Partition, 0}); r.Offset+1 >= left[p] {
				delete(left, p)
			}
		})
	}
	return out, nil
}
