package main_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

var codecs = []struct {
	name  string
	codec kgo.CompressionCodec
}{
	{"none", kgo.NoCompression()},
	{"gzip", kgo.GzipCompression()},
	{"snappy", kgo.SnappyCompression()},
	{"lz4", kgo.Lz4Compression()},
	{"zstd", kgo.ZstdCompression()},
}

// legs are the ways a producer can send; each gets legRecords of the record numbers, in this order.
var legs = []struct {
	name string
	opts []kgo.Opt
}{
	{"idempotent", []kgo.Opt{kgo.RequiredAcks(kgo.AllISRAcks())}},
	{"acks=all", []kgo.Opt{kgo.RequiredAcks(kgo.AllISRAcks()), kgo.DisableIdempotentWrite()}},
	{"acks=1", []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()}},
	{"acks=0", []kgo.Opt{kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()}},
}

const (
	legRecords          = 100_000
	roundTripRecords    = 4 * legRecords
	roundTripPartitions = 4
)

// Every codec and every kind of acknowledgement: what franz-go sends is what franz-go reads, byte for byte and in order.
func TestClientsFranzGoReadsWhatItSent(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 2})
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) {
			topic := "codec-" + c.name
			createTopic(t, b, topic, roundTripPartitions, nil)
			at := 0
			for _, leg := range legs {
				to := at + legRecords
				produceTest(t, b, topic, at, to, roundTripPartitions, append(leg.opts, kgo.ProducerBatchCompression(c.codec))...)
				at = to
			}
			// acks=0 is over for the producer before the broker has everything: reading waits for it.
			cl := newClient(t, b, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			checkTest(t, read(t, cl, evenly(roundTripRecords, roundTripPartitions)), topic, roundTripPartitions, nil)
			cl.Close()
			for p, end := range ends(t, b, topic) {
				if end != roundTripRecords/roundTripPartitions {
					t.Errorf("partition %d ends at %d", p, end)
				}
			}
		})
	}
	if t.Failed() {
		return
	}
	t.Run("places to start at", func(t *testing.T) { testPlaces(t, b, "codec-zstd") })
}

// testPlaces reads a topic from an offset, from a time, from so many before the end, and from the end.
func testPlaces(t *testing.T, b *harness.Broker, topic string) {
	const perPartition = roundTripRecords / roundTripPartitions
	firsts := func(offset int64) map[int32]int64 {
		m := map[int32]int64{}
		for p := range int32(roundTripPartitions) {
			m[p] = offset
		}
		return m
	}
	check := func(name string, at kgo.Offset, first map[int32]int64) {
		t.Helper()
		want := map[int32]int{}
		for p, offset := range first {
			want[p] = perPartition - int(offset)
		}
		cl := newClient(t, b, from(topic, everywhere(roundTripPartitions, at)))
		defer cl.Close()
		got := read(t, cl, want)
		checkTest(t, got, topic, roundTripPartitions, first)
		t.Logf("%s: ok", name)
	}
	check("an offset", kgo.NewOffset().At(12_345), firsts(12_345))
	check("before the end", kgo.NewOffset().AtEnd().Relative(-10), firsts(perPartition-10))
	for _, i := range []int{0, 1, 4_000, legRecords - 1, legRecords, 277_777, roundTripRecords - 1} {
		stamp := testTimestamp(i)
		want := map[int32]int64{}
		for p := range int32(roundTripPartitions) {
			want[p] = perPartition // a partition without a record that late is read from its end
			for n := range int64(perPartition) {
				if testTimestamp(int(n)*roundTripPartitions+int(p)) >= stamp {
					want[p] = n
					break
				}
			}
		}
		check(fmt.Sprintf("the time of record %d", i), kgo.NewOffset().AfterMilli(stamp), want)
	}
	testEnd(t, b, topic)
}

// testEnd reads from the end on: nothing that was there before, and everything from the first new record on.
func testEnd(t *testing.T, b *harness.Broker, topic string) {
	before := ends(t, b, topic)
	cl := newClient(t, b, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	ctx := testContext(t)
	stop, ended := make(chan struct{}), make(chan error, 1)
	// When the reader has found its place is its secret, so something new comes until it has seen enough.
	go func() { ended <- trickle(ctx, b, topic, stop) }()
	seen, next := 0, map[int32]int64{}
	for seen < 100 && ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			seen++
			if last, ok := next[r.Partition]; ok && r.Offset != last {
				t.Errorf("offset %d of partition %d, want %d", r.Offset, r.Partition, last)
			}
			next[r.Partition] = r.Offset + 1
			if r.Offset < before[r.Partition] {
				t.Errorf("offset %d of partition %d was there before", r.Offset, r.Partition)
			}
			want := testRecord(topic, int(r.Offset)*roundTripPartitions+int(r.Partition), roundTripPartitions)
			if d := differ(r, want); d != "" {
				t.Errorf("offset %d: %s", r.Offset, d)
			}
		})
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// trickle sends one record after another behind those the topic has, until told to stop.
func trickle(ctx context.Context, b *harness.Broker, topic string, stop <-chan struct{}) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	for i := roundTripRecords; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := cl.ProduceSync(ctx, testRecord(topic, i, roundTripPartitions)).FirstErr(); err != nil {
			return err
		}
	}
}
