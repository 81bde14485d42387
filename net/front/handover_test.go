package front

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/engine/catalog"
	"pinion/engine/model"
)

// TestPartitionsChangeShardsUnderLoad moves partitions between three shards while an idempotent producer keeps its pipeline full:
// nothing may be lost, doubled or reordered, and every acknowledged offset must hold its record.
func TestPartitionsChangeShardsUnderLoad(t *testing.T) {
	const shards, partitions, records, moves = 3, 3, 30_000, 24
	n := startNode(t, shards)
	topic := n.create("moving", partitions, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 180*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(2_000),
		kgo.ProducerLinger(0), kgo.DefaultProduceTopic("moving"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	done := make(chan error, 1)
	go func() { done <- produceNumbers(ctx, cl, partitions, records) }()
	moved := 0
	for producing := true; producing; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			producing = false
		default:
			p := model.Partition{Topic: topic.ID, Index: int32(moved % partitions)}
			to := model.ShardID((moved*7 + moved/partitions) % shards)
			if err := n.broker.Propose(ctx, catalog.MoveReplica(p, n.broker.Config.NodeID, to, false)); err != nil {
				t.Fatalf("move %d: %v", moved, err)
			}
			if moved++; moved >= moves {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				producing = false
			}
			time.Sleep(10 * time.Millisecond) // paces the moves; nothing waits on it
		}
	}
	if moved < 5 {
		t.Fatalf("only %d moves happened while the producer ran", moved)
	}
	t.Logf("%d moves under %d records", moved, records)
	checkNumbers(ctx, t, n.addr, partitions, records)
}

// produceNumbers sends 0, 1, 2, ... to each partition and reports the first that was not acknowledged.
func produceNumbers(ctx context.Context, cl *kgo.Client, partitions, records int) error {
	failed := make(chan error, 1)
	for i := range records {
		r := &kgo.Record{Partition: int32(i % partitions), Value: strconv.AppendInt(nil, int64(i/partitions), 10)}
		cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
		if i%100 == 99 {
			time.Sleep(time.Millisecond) // stretches the load over the moves
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// checkNumbers reads every partition from the start and demands 0, 1, 2, ... at offsets 0, 1, 2, ...
func checkNumbers(ctx context.Context, t *testing.T, addr string, partitions, records int) {
	t.Helper()
	from := map[int32]kgo.Offset{}
	for i := range partitions {
		from[int32(i)] = kgo.NewOffset().AtStart()
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"moving": from}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	next := make([]int64, partitions)
	for read := 0; read < records; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("read %d of %d: %v", read, records, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			want := next[r.Partition]
			if r.Offset != want || string(r.Value) != fmt.Sprint(want) {
				t.Fatalf("partition %d offset %d holds %s, want %d", r.Partition, r.Offset, r.Value, want)
			}
			next[r.Partition]++
			read++
		})
	}
}
