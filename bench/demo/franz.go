package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// buffered bounds what franz-go holds that is not acknowledged: enough to fill batches of every partition.
const buffered = 200_000

// sendFranz sends the text through franz-go, idempotently, as it does by default.
func sendFranz(ctx context.Context, addr, topic string, c *text) (*ledger, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(buffered),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	sums := newLedger()
	// Records are reused: promises come back in the order of the partition, from one goroutine.
	free := make(chan *kgo.Record, buffered)
	failed := make(chan error, 1)
	promise := func(r *kgo.Record, err error) {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
		select {
		case free <- r:
		default:
		}
	}
	err = c.each(func(partition int32, key, value []byte) error {
		sums.add(partition, key, value)
		var r *kgo.Record
		select {
		case err := <-failed:
			return err
		case r = <-free:
		default:
			r = &kgo.Record{}
		}
		*r = kgo.Record{Topic: topic, Partition: partition, Key: key, Value: value}
		cl.Produce(ctx, r, promise)
		return nil
	})
	if err == nil {
		err = cl.Flush(ctx)
	}
	if err == nil {
		select {
		case err = <-failed:
		default:
		}
	}
	return sums, err
}

// readFranz reads a topic to its end.
func readFranz(ctx context.Context, addr, topic string) (*ledger, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxPartitionBytes(4<<20))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ends of %s: %w", topic, err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	sums := newLedger()
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("%d records missing: %w", left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			sums.add(r.Partition, r.Key, r.Value)
			left--
		})
	}
	return sums, nil
}
