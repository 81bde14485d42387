package many

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
)

// field is partitions in topics: topics of the same width, named by a stem and a number.
type field struct {
	stem   string
	topics int
	width  int32
}

func (f field) partitions() int { return f.topics * int(f.width) }

func (f field) name(i int) string { return fmt.Sprintf("%s-%d", f.stem, i) }

// createMax is how many partitions one request may create, as with Kafka.
const createMax = 10_000

// create makes the topics.
func (f field) create(tb testing.TB, c *client) {
	tb.Helper()
	for from := 0; from < f.topics; {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis = int32(answerMax.Milliseconds())
		for n := int32(0); from < f.topics && n+f.width <= createMax; n += f.width {
			topic := kmsg.NewCreateTopicsRequestTopic()
			topic.Topic, topic.NumPartitions, topic.ReplicationFactor = f.name(from), f.width, 1
			req.Topics = append(req.Topics, topic)
			from++
		}
		for _, topic := range c.must(tb, req, 7).(*kmsg.CreateTopicsResponse).Topics {
			if topic.ErrorCode != 0 {
				tb.Fatalf("create %s: error %d", topic.Topic, topic.ErrorCode)
			}
		}
	}
}

// value is the one record a partition gets in a round.
func (f field) value(topic int, index int32, round int) string {
	return fmt.Sprintf("%s/%d/%d", f.name(topic), index, round)
}

// aBatch is one record as a batch.
func aBatch(value []byte) []byte {
	b := batch.NewBuilder()
	b.Add(time.Now().UnixMilli(), nil, value)
	return b.Bytes()
}

// produceStep is how many partitions one request names.
const produceStep = 1000

// produce writes one record to each partition and wants each to have this base offset.
func (f field) produce(tb testing.TB, c *client, round int) {
	tb.Helper()
	for topic := range f.topics {
		for from := int32(0); from < f.width; from += produceStep {
			req := kmsg.NewPtrProduceRequest()
			req.Acks, req.TimeoutMillis = -1, int32(answerMax.Milliseconds())
			rt := kmsg.NewProduceRequestTopic()
			rt.Topic = f.name(topic)
			for i := from; i < min(f.width, from+produceStep); i++ {
				rp := kmsg.NewProduceRequestTopicPartition()
				rp.Partition, rp.Records = i, aBatch([]byte(f.value(topic, i, round)))
				rt.Partitions = append(rt.Partitions, rp)
			}
			req.Topics = append(req.Topics, rt)
			resp := c.must(tb, req, 9).(*kmsg.ProduceResponse)
			for _, p := range resp.Topics[0].Partitions {
				if p.ErrorCode != 0 || p.BaseOffset != int64(round) {
					tb.Fatalf("produce to %s-%d: error %d, base offset %d, want %d", rt.Topic, p.Partition, p.ErrorCode, p.BaseOffset, round)
				}
			}
		}
	}
}

// fetchRequest asks for partitions of one topic from an offset on, without a session.
func (f field) fetchRequest(topic int, indexes []int32, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 0, 0, 50<<20
	req.SessionEpoch = -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = f.name(topic)
	for _, i := range indexes {
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = i, offset, 1<<20
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	return req
}

// verify reads every partition and wants the records of all rounds, each once and in order. It returns how many requests that took: an
// answer may leave partitions to the next one, but not all of them.
func (f field) verify(tb testing.TB, c *client, rounds int) (requests int) {
	tb.Helper()
	for topic := range f.topics {
		left := make([]int32, f.width)
		for i := range left {
			left[i] = int32(i)
		}
		for idle := 0; len(left) > 0; requests++ {
			resp := c.must(tb, f.fetchRequest(topic, left[:min(len(left), produceStep)], 0), 12).(*kmsg.FetchResponse)
			if resp.ErrorCode != 0 || len(resp.Topics) != 1 {
				tb.Fatalf("fetch: error %d, %d topics", resp.ErrorCode, len(resp.Topics))
			}
			got := make(map[int32]bool)
			for _, p := range resp.Topics[0].Partitions {
				values, err := recordValues(p.RecordBatches)
				if err != nil || p.ErrorCode != 0 || p.HighWatermark != int64(rounds) || len(values) != rounds && len(values) != 0 {
					tb.Fatalf("%s-%d: error %d, %d records, high watermark %d, want %d: %v",
						f.name(topic), p.Partition, p.ErrorCode, len(values), p.HighWatermark, rounds, err)
				}
				for round, value := range values {
					if want := f.value(topic, p.Partition, round); value != want {
						tb.Fatalf("%s-%d: offset %d is %q, want %q", f.name(topic), p.Partition, round, value, want)
					}
				}
				got[p.Partition] = len(values) > 0
			}
			before := len(left)
			left = slices.DeleteFunc(left, func(i int32) bool { return got[i] })
			if idle++; len(left) < before {
				idle = 0
			} else if idle == 100 {
				tb.Fatalf("%s: %d partitions are never answered with their records", f.name(topic), len(left))
			}
		}
	}
	return requests
}

// alter sets a configuration of all topics.
func (f field) alter(tb testing.TB, c *client, key, value string) {
	tb.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	for topic := range f.topics {
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, f.name(topic)
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Value = key, &value
		r.Configs = append(r.Configs, config)
		req.Resources = append(req.Resources, r)
	}
	for _, r := range c.must(tb, req, 1).(*kmsg.IncrementalAlterConfigsResponse).Resources {
		if r.ErrorCode != 0 {
			tb.Fatalf("alter %s: error %d", r.ResourceName, r.ErrorCode)
		}
	}
}

// starting counts the partitions whose log begins at this offset.
func (f field) starting(tb testing.TB, c *client, at int64) int {
	tb.Helper()
	count := 0
	for topic := range f.topics {
		req := kmsg.NewPtrListOffsetsRequest()
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = f.name(topic)
		for i := range f.width {
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Partition, rp.Timestamp = i, -2 // earliest
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
		for _, p := range c.must(tb, req, 6).(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				tb.Fatalf("log start of %s-%d: error %d", rt.Topic, p.Partition, p.ErrorCode)
			}
			if p.Offset == at {
				count++
			}
		}
	}
	return count
}

// recordValues decodes whole batches.
func recordValues(b []byte) ([]string, error) {
	var values []string
	for len(b) > 0 {
		if len(b) < 12 {
			return values, fmt.Errorf("%d bytes behind the last batch", len(b))
		}
		size := 12 + int(int32(binary.BigEndian.Uint32(b[8:])))
		if size < 12 || size > len(b) {
			return values, fmt.Errorf("batch of %d bytes in %d", size, len(b))
		}
		rb := kmsg.NewRecordBatch()
		if err := rb.ReadFrom(b[:size]); err != nil {
			return values, fmt.Errorf("batch: %w", err)
		}
		raw := rb.Records
		for range rb.NumRecords {
			r := kmsg.NewRecord()
			length, n := binary.Varint(raw)
			if n <= 0 || int(length) < 0 || n+int(length) > len(raw) {
				return values, fmt.Errorf("record of %d bytes in %d", length, len(raw))
			}
			if err := r.ReadFrom(raw[:n+int(length)]); err != nil {
				return values, fmt.Errorf("record: %w", err)
			}
			values = append(values, string(r.Value))
			raw = raw[n+int(length):]
		}
		b = b[size:]
	}
	return values, nil
}

// wholeBatches is how many bytes and batches lie whole at the front of b.
func wholeBatches(b []byte) (bytes, batches int64) {
	for len(b)-int(bytes) >= 12 {
		size := 12 + int64(int32(binary.BigEndian.Uint32(b[bytes+8:])))
		if size < 12 || bytes+size > int64(len(b)) {
			break
		}
		bytes += size
		batches++
	}
	return bytes, batches
}

// produceAgain writes one more record to each partition, whatever it has.
func (f field) produceAgain(tb testing.TB, c *client) {
	tb.Helper()
	for topic := range f.topics {
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, int32(answerMax.Milliseconds())
		rt := kmsg.NewProduceRequestTopic()
		rt.Topic = f.name(topic)
		for i := range f.width {
			rp := kmsg.NewProduceRequestTopicPartition()
			rp.Partition, rp.Records = i, aBatch([]byte("again"))
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
		for _, p := range c.must(tb, req, 9).(*kmsg.ProduceResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				tb.Fatalf("produce to %s-%d: error %d", rt.Topic, p.Partition, p.ErrorCode)
			}
		}
	}
}
