package many

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
)

const wideFetch = 2000 // partitions in one fetch

// wide is one topic of so many partitions on two shards.
var wide = field{stem: "wide", topics: 1, width: wideFetch}

func allOf(f field) []int32 {
	all := make([]int32, f.width)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

// inMemory is for brokers whose reads are measured: what they read is written in no time.
var inMemory = []string{"pinion.durability=memory"}

// TestFetchOfManyPartitions asks for 2,000 partitions at once, without a session: within the limits of the request, in its order, and
// whatever an answer leaves out comes with the next ones.
func TestFetchOfManyPartitions(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 2, Set: inMemory})
	c := dial(t, b.Addr)
	wide.create(t, c)
	wide.produce(t, c, 0)

	req := wide.fetchRequest(0, allOf(wide), 0)
	resp := c.must(t, req, 12).(*kmsg.FetchResponse)
	size := len(resp.Topics[0].Partitions[0].RecordBatches)
	if len(resp.Topics[0].Partitions) != wideFetch || size == 0 {
		t.Fatalf("%d partitions answered, %d bytes in the first", len(resp.Topics[0].Partitions), size)
	}
	for i, p := range resp.Topics[0].Partitions {
		if p.Partition != int32(i) || p.ErrorCode != 0 || p.HighWatermark != 1 {
			t.Fatalf("place %d: partition %d, error %d, high watermark %d", i, p.Partition, p.ErrorCode, p.HighWatermark)
		}
	}
	// KIP-74: the request's limit cuts in its order, and partitions behind it are answered without bytes.
	limit := int32(100*size + size/2)
	req.MaxBytes = limit
	sum, full := 0, 0
	for _, p := range c.must(t, req, 12).(*kmsg.FetchResponse).Topics[0].Partitions {
		sum += len(p.RecordBatches)
		if values, err := recordValues(p.RecordBatches); err == nil && len(values) == 1 {
			full++
		}
	}
	if sum > int(limit) || full < 90 || full > 101 {
		t.Errorf("%d bytes in %d partitions with a limit of %d bytes, some %d each", sum, full, limit, size)
	}
	// The first batch comes whatever the limit is.
	req.MaxBytes = 1
	sum = 0
	for i, p := range c.must(t, req, 12).(*kmsg.FetchResponse).Topics[0].Partitions {
		sum += len(p.RecordBatches)
		if values, _ := recordValues(p.RecordBatches); i == 0 && len(values) != 1 {
			t.Errorf("the first batch is cut by the limit")
		}
	}
	if sum != size {
		t.Errorf("%d bytes with a limit of one, want the first batch alone, %d", sum, size)
	}
	t.Logf("all read in %d requests", wide.verify(t, c, 1))
}

// TestSessionOfManyPartitions holds one poll over 2,000 partitions that nobody writes to, then writes one record to one of them.
func TestSessionOfManyPartitions(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 2, Set: inMemory})
	c, producer := dial(t, b.Addr), dial(t, b.Addr)
	wide.create(t, c)
	wide.produce(t, producer, 0)

	open := wide.fetchRequest(0, allOf(wide), 1)
	open.SessionEpoch = 0
	first := c.must(t, open, 12).(*kmsg.FetchResponse)
	if first.SessionID == 0 || first.ErrorCode != 0 {
		t.Fatalf("session %d, error %d", first.SessionID, first.ErrorCode)
	}
	const wait = 20 * time.Second // the poll must end long before
	epoch := int32(1)
	poll := func(wait time.Duration, bytesMin int32) *kmsg.FetchResponse {
		t.Helper()
		req := kmsg.NewPtrFetchRequest()
		req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(wait.Milliseconds()), bytesMin, 50<<20
		req.SessionID, req.SessionEpoch = first.SessionID, epoch
		resp := c.must(t, req, 12).(*kmsg.FetchResponse)
		if resp.ErrorCode != 0 {
			t.Fatalf("poll: error %d", resp.ErrorCode)
		}
		epoch++
		return resp
	}
	if idle := poll(0, 0); len(idle.Topics) != 0 {
		t.Fatalf("an idle poll of a session names %d topics", len(idle.Topics))
	}
	for _, index := range []int32{0, 1, 777, wideFetch - 1} {
		answer := make(chan *kmsg.FetchResponse, 1)
		began := time.Now()
		go func() { answer <- poll(wait, 1) }()
		time.Sleep(50 * time.Millisecond) // so that the poll is most likely parked; it must be answered either way
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 10_000
		rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
		rt.Topic, rp.Partition, rp.Records = wide.name(0), index, aBatch([]byte("woken"))
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		if p := producer.must(t, req, 9).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
			t.Fatalf("produce: error %d", p.ErrorCode)
		}
		resp := <-answer
		if took := time.Since(began); took >= wait {
			t.Errorf("partition %d: the poll slept %v", index, took)
		}
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 || resp.Topics[0].Partitions[0].Partition != index {
			t.Fatalf("one record in partition %d is answered with %+v", index, resp.Topics)
		}
		if values, err := recordValues(resp.Topics[0].Partitions[0].RecordBatches); err != nil || len(values) != 1 || values[0] != "woken" {
			t.Fatalf("partition %d: %q, %v", index, values, err)
		}
		// The client goes on behind it.
		next := wide.fetchRequest(0, []int32{index}, 2)
		next.SessionID, next.SessionEpoch, next.MaxWaitMillis = first.SessionID, epoch, 0
		if r := c.must(t, next, 12).(*kmsg.FetchResponse); r.ErrorCode != 0 {
			t.Fatalf("session: error %d", r.ErrorCode)
		}
		epoch++
	}
}
