package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/families"
	"pinion/bench/shelf"
)

const (
	fullBytes    = 96 << 20 // of the disk
	ballastBytes = 24 << 20 // of a topic that makes room by going
	ballastMin   = 6 << 20  // of it, where the pourers were faster
	pourBytes    = 200_000  // of a value: too large for the journal, which else may take half of so small a disk
	ballastTopic = "torture-ballast"
	quietFor     = 2 * time.Second // no acknowledgement in this time: the client is being refused
)

// fills are times that a disk fills up under clients that are left running: produce is refused with one error code, reads and deletions go on,
// and when there is room again the clients' records arrive, without a restart of anything.
type fills struct {
	stream
	others  bool // the Java client and librdkafka as well as franz-go
	missing []string

	agents  []*agent // of them
	resumed []time.Duration
	refused int
	names   []string
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
	k.admin = kadm.NewClient(cl)
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
	return k.finish(ctx, true)
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
		var missing *shelf.Missing
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
	k.resumed = make([]time.Duration, len(k.pourers))
	return nil
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

// trim deletes everything that was read, and lets the next ballast take part of the room.
func (k *fills) trim(ctx context.Context) error {
	if err := k.trimRead(ctx); err != nil {
		return err
	}
	return k.ballast(ctx)
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
			var who []string
			for i := range waiting {
				who = append(who, k.names[i])
			}
			text, _ := page(k.b.Admin + "/metrics")
			return fmt.Errorf("after there was room %q did not go on; errors were %q", who, refusals.FindAllString(text, -1))
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
