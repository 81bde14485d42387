package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/families"
	"pinion/bench/harness"
)

const (
	fullBytes    = 96 << 20 // of the disk
	ballastBytes = 24 << 20 // of a topic that makes room by going
	ballastMin   = 6 << 20  // of it, where the pourers were faster
	pourBytes    = 50_000   // of a value
	loadTopic    = "torture-load"
	ballastTopic = "torture-ballast"
	fullPatience = time.Minute     // for every step; none comes near it unless something is broken
	quietFor     = 2 * time.Second // no acknowledgement in this time: the client is being refused
)

// fills are times that a disk fills up under clients that are left running: produce is refused with one error code, reads and deletions go on,
// and when there is room again the clients' records arrive, without a restart of anything.
type fills struct {
	*campaign
	others  bool // the Java client and librdkafka as well as franz-go
	missing []string

	b       *harness.Broker
	cl      *kgo.Client
	admin   *kadm.Client
	pourers []pourer
	agents  []*agent // of them
	seen    *tailed
	acked   []map[int64]uint64 // by pourer: numbers that were acknowledged and not looked for yet, by offset
	total   []int              // by pourer: acknowledged
	resumed []time.Duration
	refused int
	names   []string
}

// tailed is what a consumer has read of the load so far.
type tailed struct {
	mu    sync.Mutex         // guards what follows
	at    []map[int64]uint64 // by partition: number at each offset, until it was looked for
	next  []int64
	last  []uint64 // number
	read  int
	wrong error
}

func (k *fills) run(ctx context.Context) error {
	image, err := newImage(k.dir, fullBytes)
	if err != nil {
		return err
	}
	k.image = image
	k.set = []string{"log.retention.check.interval.ms=150", "log.segment.delete.delay.ms=0"}
	if k.b, err = k.start(); err != nil {
		return err
	}
	err = k.fill(ctx)
	for _, a := range k.agents {
		a.Close()
	}
	if err != nil {
		return errors.Join(err, k.b.Kill())
	}
	if err := stopped(k.b); err != nil {
		return err
	}
	return errors.Join(checkDirectory(k.data()), k.end())
}

func (k *fills) fill(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.b.Addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	k.cl, k.admin = cl, kadm.NewClient(cl)
	text := func(s string) *string { return &s }
	if _, err := k.admin.CreateTopic(ctx, 3, 1, map[string]*string{"pinion.durability": text("fsync"), "segment.bytes": text("1048576")}, loadTopic); err != nil {
		return err
	}
	if err := k.tail(ctx); err != nil {
		return err
	}
	if err := k.pour(); err != nil {
		return err
	}
	for n := range k.rounds {
		if err := k.cycle(ctx, n); err != nil {
			return fmt.Errorf("cycle %d: %w; broker: %s", n, err, k.b.Log())
		}
		if n%10 == 9 {
			fmt.Fprintf(k.out, "  %d times full, %v records acknowledged, slowest to go on %v\n", n+1, k.total, k.slowest())
		}
	}
	return k.finish(ctx)
}

// finish has every client send no more, and wants everything that it has sent to arrive.
func (k *fills) finish(ctx context.Context) error {
	type rest struct {
		i       int
		numbers []uint64
		offsets []int64
		err     error
	}
	rests := make(chan rest, len(k.pourers))
	for i, p := range k.pourers {
		go func() {
			numbers, offsets, err := p.poured(true)
			rests <- rest{i, numbers, offsets, err}
		}()
	}
	for left := len(k.pourers); left > 0; {
		select {
		case r := <-rests:
			if r.err != nil {
				return r.err
			}
			k.note(r.i, r.numbers, r.offsets)
			left--
		case <-time.After(200 * time.Millisecond):
			if err := k.trimRead(ctx); err != nil { // they may have filled the disk again
				return err
			}
		}
	}
	k.pourers = nil
	return k.caughtUp(ctx)
}

// pour starts the clients.
func (k *fills) pour() error {
	f, err := pourFranz(k.b.Addr, loadTopic, 0, pourBytes, producersMax)
	if err != nil {
		return err
	}
	k.pourers = append(k.pourers, f)
	for i, other := range []struct {
		kit    *families.Kit
		client string
	}{{families.Java, ""}, {families.Python, "confluent"}} {
		if !k.others {
			break
		}
		a, err := pourAgent(other.kit, other.client, k.dir, k.b.Addr, loadTopic, int32(i+1), pourBytes, uint64(producersMax+i+1))
		var missing *families.Missing
		if errors.As(err, &missing) {
			k.missing = append(k.missing, missing.Why)
			continue
		}
		if err != nil {
			return err
		}
		k.pourers, k.agents = append(k.pourers, a), append(k.agents, a)
	}
	for _, p := range k.pourers {
		k.names = append(k.names, p.name())
	}
	k.total, k.resumed = make([]int, len(k.pourers)), make([]time.Duration, len(k.pourers))
	for range k.pourers {
		k.acked = append(k.acked, map[int64]uint64{})
	}
	return nil
}

// tail begins to read the load.
func (k *fills) tail(ctx context.Context) error {
	places := map[int32]int64{0: 0, 1: 0, 2: 0}
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.b.Addr), kgo.ConsumePartitions(at(map[string]map[int32]int64{loadTopic: places})), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	k.seen = &tailed{at: make([]map[int64]uint64, 3), next: make([]int64, 3), last: make([]uint64, 3)}
	for i := range k.seen.at {
		k.seen.at[i] = map[int64]uint64{}
	}
	ctx, stop := context.WithCancel(ctx)
	go func() { // until the broker is gone
		defer stop()
		defer cl.Close()
		for ctx.Err() == nil {
			select {
			case <-k.b.Ended():
				return
			default:
			}
			poll, cancel := context.WithTimeout(ctx, time.Second)
			k.seen.take(cl.PollFetches(poll))
			cancel()
		}
	}()
	return nil
}

// take notes what was read; every offset must follow the one before.
func (s *tailed) take(fetches kgo.Fetches) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fetches.EachRecord(func(r *kgo.Record) {
		id, err := checkValue(r.Value)
		if err == nil && r.Offset != s.next[r.Partition] {
			err = fmt.Errorf("partition %d goes on at %d, expected %d", r.Partition, r.Offset, s.next[r.Partition])
		}
		if err == nil && id <= s.last[r.Partition] {
			err = fmt.Errorf("partition %d: value %d at %d lies behind %d", r.Partition, id, r.Offset, s.last[r.Partition])
		}
		if err != nil && s.wrong == nil {
			s.wrong = err
		}
		s.last[r.Partition] = id
		s.at[r.Partition][r.Offset], s.next[r.Partition] = id, r.Offset+1
		s.read++
	})
}

func (k *fills) note(i int, numbers []uint64, offsets []int64) {
	k.total[i] += len(numbers)
	for j, offset := range offsets {
		k.acked[i][offset] = numbers[j]
	}
}

// progress asks every client what was acknowledged, and gives how many records each has had since the last time.
func (k *fills) progress() ([]int, error) {
	news := make([]int, len(k.pourers))
	for i, p := range k.pourers {
		numbers, offsets, err := p.poured(false)
		if err != nil {
			return nil, fmt.Errorf("the client gave up: %w", err)
		}
		k.note(i, numbers, offsets)
		news[i] = len(numbers)
	}
	return news, nil
}

// cycle fills the disk, looks around, makes room, and waits until every client goes on.
func (k *fills) cycle(ctx context.Context, n int) error {
	if err := k.untilFull(); err != nil {
		return err
	}
	if err := k.caughtUp(ctx); err != nil { // reads go on
		return err
	}
	makeRoom := [...]func(context.Context) error{k.trim, k.drop, k.trim, k.expire}[n%4]
	began := time.Now()
	if err := makeRoom(ctx); err != nil {
		return fmt.Errorf("make room: %w", err)
	}
	return k.goOn(ctx, began)
}

// ballast fills part of the disk with a topic that can go.
func (k *fills) ballast(ctx context.Context) error {
	text := func(s string) *string { return &s }
	if _, err := k.admin.CreateTopic(ctx, 1, 1, map[string]*string{"segment.bytes": text("1048576"), "retention.bytes": text("-1")}, ballastTopic); err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.b.Addr), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer cl.Close()
	acked := make(chan error, ballastBytes/pourBytes+1)
	sent, got := 0, 0
	for ; sent < ballastBytes/900_000; sent++ {
		cl.Produce(ctx, &kgo.Record{Topic: ballastTopic, Value: make([]byte, 900_000)}, func(_ *kgo.Record, err error) { acked <- err })
	}
	for got < sent {
		select {
		case err := <-acked:
			if err != nil {
				return fmt.Errorf("ballast: %w", err)
			}
			got++
		case <-time.After(quietFor):
			if got*900_000 < ballastMin {
				return fmt.Errorf("only %d bytes of ballast fit in", got*900_000)
			}
			return nil // what is left of it is given up with its client
		}
	}
	return nil
}

var refusals = regexp.MustCompile(`(?m)^pinion_response_errors_total\{error="([^"]+)"\} (\d+)$`)

// answered is how many errors of each kind the broker has sent.
func (k *fills) answered() (map[string]string, error) {
	text, err := page(k.b.Admin + "/metrics")
	list := map[string]string{}
	for _, m := range refusals.FindAllStringSubmatch(text, -1) {
		list[m[1]] = m[2]
	}
	return list, err
}

// untilFull waits until every client is being refused, and that by the one error that all of them take for passing.
func (k *fills) untilFull() error {
	before, err := k.answered()
	for last, end := time.Now(), time.Now().Add(fullPatience); err == nil && time.Since(last) < quietFor; time.Sleep(100 * time.Millisecond) {
		var news []int
		if news, err = k.progress(); err == nil && slices.Max(news) > 0 {
			last = time.Now()
			before, err = k.answered()
		}
		if err == nil && time.Now().After(end) {
			err = errors.New("the disk never fills up")
		}
	}
	if err != nil {
		return err
	}
	now, err := k.answered()
	if err != nil {
		return err
	}
	var grown []string
	for name, count := range now {
		// What was on its way behind a refused batch of an idempotent producer is out of sequence, to Kafka's brokers as well.
		if count != before[name] && name != "OUT_OF_ORDER_SEQUENCE_NUMBER" {
			grown = append(grown, name)
		}
	}
	if !slices.Equal(grown, []string{"KAFKA_STORAGE_ERROR"}) {
		return fmt.Errorf("a full disk is answered with %q", grown)
	}
	if text, err := page(k.b.Admin + "/readyz"); err != nil || !strings.Contains(text, "200") {
		return fmt.Errorf("a full disk is no reason to be unready: %s, %v", text, err)
	}
	k.refused++
	return nil
}

// caughtUp waits until the reader is at the end, and looks for everything that was acknowledged.
func (k *fills) caughtUp(ctx context.Context) error {
	if _, err := k.progress(); err != nil {
		return err
	}
	ends, err := k.admin.ListEndOffsets(ctx, loadTopic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	behind := func() (p int32, yes bool) {
		k.seen.mu.Lock()
		defer k.seen.mu.Unlock()
		for i, next := range k.seen.next {
			if end, _ := ends.Lookup(loadTopic, int32(i)); next < end.Offset {
				return int32(i), true
			}
		}
		return 0, false
	}
	for end := time.Now().Add(fullPatience); ; time.Sleep(20 * time.Millisecond) {
		p, yes := behind()
		if !yes {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("partition %d is not read to its end while the disk is full", p)
		}
	}
	k.seen.mu.Lock()
	defer k.seen.mu.Unlock()
	if k.seen.wrong != nil {
		return k.seen.wrong
	}
	for i, offsets := range k.acked {
		for offset, id := range offsets {
			if found := k.seen.at[i][offset]; found != id {
				k.sum.note(&k.sum.lost, "value %d was acknowledged at %d of partition %d, where %d is", id, offset, i, found)
			}
			delete(k.seen.at[i], offset)
		}
		clear(offsets)
	}
	k.sum.read, k.seen.read = k.sum.read+k.seen.read, 0
	if k.sum.bad() {
		return errors.New(k.sum.first)
	}
	return nil
}

// trim deletes everything that was read, and lets the next ballast take part of the room.
func (k *fills) trim(ctx context.Context) error {
	if err := k.trimRead(ctx); err != nil {
		return err
	}
	return k.ballast(ctx)
}

// trimRead deletes everything that was read.
func (k *fills) trimRead(ctx context.Context) error {
	offsets := kadm.Offsets{}
	k.seen.mu.Lock()
	for p, next := range k.seen.next {
		offsets.Add(kadm.Offset{Topic: loadTopic, Partition: int32(p), At: next})
	}
	k.seen.mu.Unlock()
	answer, err := k.admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = answer.Error()
	}
	return err
}

// drop deletes the ballast.
func (k *fills) drop(ctx context.Context) error {
	_, err := k.admin.DeleteTopic(ctx, ballastTopic)
	return err
}

// expire has retention take the ballast, and then what is left of it.
func (k *fills) expire(ctx context.Context) error {
	small := "1048576"
	answer, err := k.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "retention.bytes", Value: &small}}, ballastTopic)
	if err != nil {
		return err
	}
	if _, err := answer.On(ballastTopic, nil); err != nil {
		return err
	}
	for end := time.Now().Add(fullPatience); ; time.Sleep(50 * time.Millisecond) {
		starts, err := k.admin.ListStartOffsets(ctx, ballastTopic)
		if err != nil {
			return err
		}
		if o, _ := starts.Lookup(ballastTopic, 0); o.Offset > 0 {
			return k.drop(ctx)
		}
		if time.Now().After(end) {
			return errors.New("retention does not delete while the disk is full")
		}
	}
}

// goOn waits until every client has records acknowledged again.
//
// The first to come back would fill the disk again before the last one asks, so what was read goes on being deleted until then.
func (k *fills) goOn(ctx context.Context, began time.Time) error {
	waiting, trimmed := map[int]bool{}, began
	for i := range k.pourers {
		waiting[i] = true
	}
	for ; len(waiting) > 0; time.Sleep(20 * time.Millisecond) {
		news, err := k.progress()
		if err != nil {
			return err
		}
		for i, n := range news {
			if n > 0 && waiting[i] {
				delete(waiting, i)
				k.resumed[i] = max(k.resumed[i], time.Since(began))
			}
		}
		if time.Since(began) > fullPatience {
			return fmt.Errorf("after there was room %d clients of %v did not go on", len(waiting), k.names)
		}
		if time.Since(trimmed) > quietFor/4 {
			if err := k.trimRead(ctx); err != nil {
				return err
			}
			trimmed = time.Now()
		}
	}
	return nil
}

func (k *fills) slowest() time.Duration { return slices.Max(k.resumed).Round(time.Millisecond) }

// tell says what came of it.
func (k *fills) tell() {
	for i, name := range k.names {
		fmt.Fprintf(k.out, "  %s: %d records acknowledged, refused and gone on %d times, the slowest time %v\n", name, k.total[i], k.refused, k.resumed[i].Round(time.Millisecond))
	}
	for _, why := range k.missing {
		fmt.Fprintln(k.out, "  left out:", why)
	}
}
