package main_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// recordSeed makes every run the same; a record is a function of it and of the record's number.
const recordSeed = 20_251

// clientsMax bounds every wait of these tests.
const clientsMax = 90 * time.Second

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clientsMax)
	t.Cleanup(cancel)
	return ctx
}

func newClient(t *testing.T, b *harness.Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(t *testing.T, b *harness.Broker, name string, partitions int32, configs map[string]*string) kadm.CreateTopicResponse {
	t.Helper()
	resp, err := kadm.NewClient(newClient(t, b)).CreateTopic(testContext(t), partitions, 1, configs, name)
	if err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	return resp
}

// testTimestamp is the creation time of record i: not every record has one of its own.
func testTimestamp(i int) int64 { return testEpoch + int64(i/3) }

var testEpoch = time.Now().Add(-time.Hour).UnixMilli()

// testRecord is record i of a topic: keys and values that are null, empty, text and bytes, and headers of every shape.
func testRecord(topic string, i int, partitions int32) *kgo.Record {
	random := rand.New(rand.NewPCG(recordSeed, uint64(i)))
	r := &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Timestamp: time.UnixMilli(testTimestamp(i))}
	switch {
	case i%7 == 0:
	case i%13 == 0:
		r.Key = []byte{}
	default:
		r.Key = fmt.Appendf(nil, "key %d", i)
	}
	if i%11 != 0 {
		r.Value = make([]byte, random.IntN(240))
		fillText(random, r.Value)
	}
	for h := range i % 4 {
		value := [][]byte{nil, {}, binary.BigEndian.AppendUint64(nil, uint64(i)), []byte("text")}[(i+h)%4]
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: []string{"", "trace", "Ünïcode"}[h], Value: value})
	}
	return r
}

// fillText fills b half with a repeated word, which compresses, half with bytes that do not.
func fillText(random *rand.Rand, b []byte) {
	for i := range b {
		if i%16 < 8 {
			b[i] = "pinions "[i%8]
		} else {
			b[i] = byte(random.Uint32())
		}
	}
}

// differ tells where a record that was read differs from the one that was sent; null and empty are not the same.
func differ(got, want *kgo.Record) string {
	switch {
	case got.Partition != want.Partition:
		return fmt.Sprintf("partition %d, want %d", got.Partition, want.Partition)
	case !got.Timestamp.Equal(want.Timestamp):
		return fmt.Sprintf("timestamp %d, want %d", got.Timestamp.UnixMilli(), want.Timestamp.UnixMilli())
	case !sameBytes(got.Key, want.Key):
		return fmt.Sprintf("key %q, want %q", got.Key, want.Key)
	case !sameBytes(got.Value, want.Value):
		return fmt.Sprintf("value %q, want %q", got.Value, want.Value)
	case !slices.EqualFunc(got.Headers, want.Headers, func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && sameBytes(a.Value, b.Value) }):
		return fmt.Sprintf("headers %v, want %v", got.Headers, want.Headers)
	}
	return ""
}

func sameBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// produceTest sends the records [from, to) and wants every one acknowledged.
func produceTest(t *testing.T, b *harness.Broker, topic string, from, to int, partitions int32, opts ...kgo.Opt) {
	t.Helper()
	cl := newClient(t, b, append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	defer cl.Close()
	ctx := testContext(t)
	var first kgo.FirstErrPromise
	for i := from; i < to; i++ {
		cl.Produce(ctx, testRecord(topic, i, partitions), first.Promise())
	}
	if err := first.Err(); err != nil {
		t.Fatalf("produce to %s: %v", topic, err)
	}
}

// read polls until every partition has given as many records as wanted, and returns them by partition. Offsets must ascend by one.
func read(t *testing.T, cl *kgo.Client, want map[int32]int) map[int32][]*kgo.Record {
	t.Helper()
	ctx := testContext(t)
	got := map[int32][]*kgo.Record{}
	left := 0
	for _, n := range want {
		left += n
	}
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d records missing: %v", left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			have := got[r.Partition]
			if n := len(have); n > 0 && have[n-1].Offset+1 != r.Offset {
				t.Fatalf("%s-%d: offset %d follows %d", r.Topic, r.Partition, r.Offset, have[n-1].Offset)
			}
			got[r.Partition] = append(have, r)
			left--
		})
	}
	for p, n := range want {
		if len(got[p]) != n {
			t.Fatalf("partition %d gave %d records, want %d", p, len(got[p]), n)
		}
	}
	return got
}

// evenly is how many of n records each partition has.
func evenly(n int, partitions int32) map[int32]int {
	want := map[int32]int{}
	for i := range n {
		want[int32(i)%partitions]++
	}
	return want
}

// checkTest wants exactly the records [from, to) of the topic, each partition from the given offset on.
func checkTest(t *testing.T, got map[int32][]*kgo.Record, topic string, partitions int32, firsts map[int32]int64) {
	t.Helper()
	for p, list := range got {
		first := firsts[p]
		for n, r := range list {
			if r.Offset != first+int64(n) {
				t.Fatalf("%s-%d: offset %d, want %d", topic, p, r.Offset, first+int64(n))
			}
			want := testRecord(topic, int(r.Offset)*int(partitions)+int(p), partitions)
			if d := differ(r, want); d != "" {
				t.Fatalf("%s-%d offset %d: %s", topic, p, r.Offset, d)
			}
		}
	}
}

// ends is the end offset of every partition of a topic.
func ends(t *testing.T, b *harness.Broker, topic string) map[int32]int64 {
	t.Helper()
	list, err := kadm.NewClient(newClient(t, b)).ListEndOffsets(testContext(t), topic)
	if err == nil {
		err = list.Error()
	}
	if err != nil {
		t.Fatalf("end offsets of %s: %v", topic, err)
	}
	out := map[int32]int64{}
	list.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
	return out
}

// from makes the option that consumes every partition of a topic at an offset of its own.
func from(topic string, at map[int32]kgo.Offset) kgo.Opt {
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at})
}

func everywhere(partitions int32, at kgo.Offset) map[int32]kgo.Offset {
	m := map[int32]kgo.Offset{}
	for p := range partitions {
		m[p] = at
	}
	return m
}
