package front

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// answered sends a fetch and returns its partitions and how long the answer took.
func (c *client) answered(req *kmsg.FetchRequest) ([]kmsg.FetchResponseTopicPartition, time.Duration) {
	c.tb.Helper()
	began := time.Now()
	parts := fetched(c.call(req, fetchVersion))
	return parts, time.Since(began)
}

func total(parts []kmsg.FetchResponseTopicPartition) (bytes int) {
	for _, p := range parts {
		bytes += len(p.RecordBatches)
	}
	return bytes
}

// waiting sends a fetch that has to wait, and returns once the owners hold its waiters, so that what is produced next wakes it.
func (n *node) waiting(c *client, req *kmsg.FetchRequest, version int16) int32 {
	n.tb.Helper()
	corr := c.send(req, version)
	// The parked budget is charged when the poll begins, and each owner is asked in the same turn.
	until(n.tb, "the poll is parked", 10*time.Second, func() bool {
		for i := range n.broker.Sets {
			if parked := n.desk(i).Parked; parked.Used() > 0 {
				return true
			}
		}
		return false
	})
	for i := range n.broker.Sets { // each owner has had a turn since
		n.desk(i)
		n.desk(i)
	}
	return corr
}

// TestLongPollWaitsForMinBytesOverOwners: three partitions on three shards, min bytes larger than any single batch. The answer
// comes as soon as all owners together have enough, wherever the bytes fall, and not before.
func TestLongPollWaitsForMinBytesOverOwners(t *testing.T) {
	n := startNode(t, 3)
	b := records(1, 1, 400) // about 480 bytes
	// Each pattern names the owners that get a batch, in order; the poll wants exactly as many bytes as all of them.
	patterns := [][]int{
		{0}, {2}, {0, 1}, {2, 2}, {0, 0, 0}, {1, 1, 1, 1}, {0, 1, 2}, {2, 1, 0, 0}, {0, 0, 0, 0, 1}, {1, 2, 1, 2, 2, 2},
		{0, 0, 1, 1, 2, 2, 2, 2, 2}, {2, 0, 2, 0, 2, 0, 1},
	}
	for i, pattern := range patterns {
		topic := n.create(fmt.Sprint("poll-", i), 3, nil)
		indexes := []int32{n.on(topic, 0), n.on(topic, 1), n.on(topic, 2)}
		reader, writer := n.dialHome(i%3), n.dial()
		req := fetchRequest(20*time.Second, int32(len(pattern)*len(b)), 1<<20,
			at{topic: topic, index: indexes[0], max: 1 << 20}, at{topic: topic, index: indexes[1], max: 1 << 20}, at{topic: topic, index: indexes[2], max: 1 << 20})
		began := time.Now()
		corr := n.waiting(reader, req, fetchVersion)
		early := make(chan time.Time, 1)
		got := make(chan []kmsg.FetchResponseTopicPartition, 1)
		go func() {
			raw, err := reader.frame()
			early <- time.Now()
			if err != nil {
				got <- nil
				return
			}
			resp, err := decode(raw, corr, req)
			if err != nil {
				got <- nil
				return
			}
			got <- fetched(resp)
		}()
		for _, owner := range pattern[:len(pattern)-1] {
			writer.produced(at{topic: topic, index: indexes[owner], records: b})
		}
		select {
		case <-early:
			t.Fatalf("pattern %v: answered before there was enough", pattern)
		case <-time.After(30 * time.Millisecond):
		}
		writer.produced(at{topic: topic, index: indexes[pattern[len(pattern)-1]], records: b})
		enough := time.Now()
		parts := <-got
		if total(parts) != len(pattern)*len(b) {
			t.Errorf("pattern %v: %d bytes after %v, want %d", pattern, total(parts), time.Since(began), len(pattern)*len(b))
		}
		if late := (<-early).Sub(enough); late > 2*time.Second {
			t.Errorf("pattern %v: answered %v after there was enough", pattern, late)
		}
	}
}

// TestLongPollEndsAtItsDeadlineWithWhatThereIs: too few bytes, on two of three owners.
func TestLongPollEndsAtItsDeadlineWithWhatThereIs(t *testing.T) {
	n := startNode(t, 3)
	topic := n.create("deadline", 3, nil)
	c := n.dial()
	b := records(7, 2, 100)
	c.produced(at{topic: topic, index: 0, records: b})
	c.produced(at{topic: topic, index: 1, records: b})
	all := []at{{topic: topic, index: 0, max: 1 << 20}, {topic: topic, index: 1, max: 1 << 20}, {topic: topic, index: 2, max: 1 << 20}}
	const wait = 80 * time.Millisecond
	for range 5 {
		parts, took := c.answered(fetchRequest(wait, 1<<20, 1<<20, all...))
		if total(parts) != 2*len(b) || len(parts) != 3 {
			t.Fatalf("%d bytes in %d partitions, want %d in 3", total(parts), len(parts), 2*len(b))
		}
		for _, p := range parts {
			if p.ErrorCode != 0 {
				t.Fatalf("partition %d: error %d at the deadline", p.Partition, p.ErrorCode)
			}
		}
		if took < wait || took > wait+5*time.Second {
			t.Fatalf("answered after %v, deadline %v", took, wait)
		}
	}
	// Nothing at all: an empty answer without errors.
	empty := n.create("empty", 3, nil)
	parts, took := c.answered(fetchRequest(wait, 1, 1<<20, at{topic: empty, index: 0, max: 1}, at{topic: empty, index: 1, max: 1}, at{topic: empty, index: 2, max: 1}))
	if total(parts) != 0 || took < wait {
		t.Fatalf("%d bytes after %v", total(parts), took)
	}
	for _, p := range parts {
		if p.ErrorCode != 0 || p.HighWatermark != 0 {
			t.Fatalf("partition %d: error %d, high watermark %d", p.Partition, p.ErrorCode, p.HighWatermark)
		}
	}
	// An error ends the poll at once, however long it would wait.
	if _, took := c.answered(fetchRequest(20*time.Second, 1, 1<<20, at{topic: empty, index: 0, max: 1}, at{topic: empty, index: 9, max: 1})); took > 5*time.Second {
		t.Fatalf("a poll with an unknown partition waited %v", took)
	}
}

// TestLongPollsWakeQuickly records how long a parked poll takes to answer after its batch was produced by another connection,
// on the same shard and across shards.
func TestLongPollsWakeQuickly(t *testing.T) {
	n := startNode(t, 2)
	topic := n.create("wake", 2, nil)
	for _, home := range []int{0, 1} {
		index := n.on(topic, 0)
		reader, writer := n.dialHome(home), n.dialHome(0)
		var lags []time.Duration
		for i := range 60 {
			offset := writer.produced(at{topic: topic, index: index, records: records(int64(i), 1, 64)}) + 1
			req := fetchRequest(20*time.Second, 1, 1<<20, at{topic: topic, index: index, offset: offset, max: 1 << 20})
			corr := n.waiting(reader, req, fetchVersion)
			began := time.Now()
			writer.send(produceRequest(0, at{topic: topic, index: index, records: records(int64(i), 1, 64)}), produceVersion)
			parts := fetched(reader.receive(corr, req))
			lags = append(lags, time.Since(began))
			if total(parts) == 0 {
				t.Fatalf("woken with nothing")
			}
		}
		slices.Sort(lags)
		t.Logf("home %d, owner 0: median %v, p95 %v", home, lags[len(lags)/2], lags[len(lags)*95/100])
		if lags[len(lags)/2] > 20*time.Millisecond {
			t.Errorf("home %d: median wake-up %v", home, lags[len(lags)/2])
		}
	}
}

// TestDeletionEndsLongPolls: a poll over two owners waits for nothing any more once one of its topics is gone.
func TestDeletionEndsLongPolls(t *testing.T) {
	n := startNode(t, 2)
	stays := n.create("stays", 2, nil)
	for home := range 2 {
		goes := n.create("goes", 2, nil)
		reader := n.dialHome(home)
		req := fetchRequest(20*time.Second, 1, 1<<20,
			at{topic: stays, index: 0, max: 1}, at{topic: stays, index: 1, max: 1}, at{topic: goes, index: n.on(goes, 1), max: 1})
		corr := n.waiting(reader, req, fetchVersion)
		began := time.Now()
		n.remove(goes)
		parts := fetched(reader.receive(corr, req))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("home %d: the poll ended %v after the deletion", home, took)
		}
		if len(parts) != 3 || parts[0].ErrorCode != 0 || parts[1].ErrorCode != 0 || parts[2].ErrorCode != int16(wire.CodeUnknownTopicOrPartition) {
			t.Errorf("home %d: %+v", home, parts)
		}
	}
}
