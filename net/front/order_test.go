package front

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
	"pinion/engine/partition"
	"pinion/engine/shard"
)

// sequenced is one batch of an idempotent producer.
func sequenced(pid int64, sequence int32, count int, text string) []byte {
	b := batch.NewBuilder()
	b.ProducerID, b.ProducerEpoch, b.BaseSequence = pid, 0, sequence
	for i := range count {
		b.Add(1, []byte(fmt.Sprint(sequence+int32(i))), []byte(text))
	}
	return append([]byte(nil), b.Bytes()...)
}

// TestPipelinedProducesKeepOrderOverThreeOwners sends 64 idempotent produces of one connection, each to one or two of three
// partitions on three shards, while the owner of one of them stands still. A produce that overtakes another one of its partition
// would be refused with OUT_OF_ORDER_SEQUENCE_NUMBER.
func TestPipelinedProducesKeepOrderOverThreeOwners(t *testing.T) {
	n := startNode(t, 3)
	for _, c := range []struct{ home, halted int }{{0, 1}, {0, 2}, {1, 0}, {2, 1}} {
		t.Run(fmt.Sprintf("home %d, shard %d late", c.home, c.halted), func(t *testing.T) {
			topic := n.create(fmt.Sprintf("order-%d-%d", c.home, c.halted), 3, nil)
			n.tb = t
			pipelined(t, n, n.dialHome(c.home), []int32{n.on(topic, 0), n.on(topic, 1), n.on(topic, 2)}, c.halted, func(slot int32) at {
				return at{topic: topic, index: slot}
			})
		})
	}
}

type sent struct {
	corr  int32
	req   *kmsg.ProduceRequest
	bases []int64 // expected, by partition in the request
}

func pipelined(t *testing.T, n *node, cl *client, indexes []int32, halted int, place func(int32) at) {
	const requests, perBatch = 64, 3
	resume := n.halt(halted)
	next := make(map[int32]int32)
	var want [3][]byte
	var frames []byte
	var all []sent
	for i := range requests {
		s := sent{}
		var parts []at
		for k := range 1 + i%2 {
			slot := (i + k) % 3
			index := indexes[slot]
			p := place(index)
			p.records = sequenced(int64(100+slot), next[index], perBatch, fmt.Sprint("request ", i))
			s.bases = append(s.bases, int64(next[index]))
			want[slot] = append(want[slot], stamped(p.records, int64(next[index]), 0)...)
			next[index] += perBatch
			parts = append(parts, p)
		}
		s.req = produceRequest(-1, parts...)
		s.req.SetVersion(produceVersion)
		cl.corr++
		s.corr = cl.corr
		frames = append(frames, cl.form.AppendRequest(nil, s.req, s.corr)...) // the formatter puts the length at its own start
		all = append(all, s)
	}
	if _, err := cl.conn.Write(frames); err != nil {
		t.Fatal(err)
	}
	// The owners that run must have got theirs before the late one starts: else nothing was late.
	for slot, index := range indexes {
		if slot != halted {
			p := place(index)
			until(t, fmt.Sprint("the other owners append: ", slot), 10*time.Second, func() (ok bool) {
				n.visit(slot, func(turn *shard.Turn) {
					n.broker.Sets[slot].Each(turn, func(x *partition.Partition) {
						ok = ok || x.Name().Topic == p.topic.ID && x.Name().Index == index && x.Marks().End > 0
					})
				})
				return ok
			})
		}
	}
	resume()
	for i, s := range all {
		resp := cl.receive(s.corr, s.req).(*kmsg.ProduceResponse)
		got := 0
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				if p.ErrorCode != 0 || p.BaseOffset != s.bases[got] {
					t.Fatalf("request %d, partition %d: error %d, base offset %d, want %d", i, p.Partition, p.ErrorCode, p.BaseOffset, s.bases[got])
				}
				got++
			}
		}
		if got != len(s.bases) {
			t.Fatalf("request %d: %d partitions answered of %d", i, got, len(s.bases))
		}
	}
	for slot, index := range indexes {
		p := place(index)
		p.max = 1 << 20
		parts := fetched(cl.call(fetchRequest(time.Second, 1, 1<<20, p), fetchVersion))
		if !bytes.Equal(parts[0].RecordBatches, want[slot]) {
			t.Fatalf("partition %d: stored bytes differ from those sent (%d, want %d)", index, len(parts[0].RecordBatches), len(want[slot]))
		}
	}
}
