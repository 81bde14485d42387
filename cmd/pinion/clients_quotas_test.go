package main_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
	"pinion/disk/batch"
)

// workClientQuotas sets a quota, finds it, and takes it away.
func workClientQuotas(t *testing.T, ctx context.Context, r *versionRow) {
	admin := kadm.NewClient(r.pinned())
	name := r.topic
	entity := kadm.ClientQuotaEntity{{Type: "client-id", Name: &name}}
	alter := func(ops ...kadm.AlterClientQuotaOp) {
		t.Helper()
		list, err := admin.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{Entity: entity, Ops: ops}})
		if err != nil || len(list) != 1 || list[0].Err != nil {
			t.Fatalf("alter: %+v %v", list, err)
		}
	}
	find := func() kadm.DescribedClientQuotas {
		t.Helper()
		list, err := admin.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{{Type: "client-id", MatchName: &name, MatchType: kmsg.QuotasMatchTypeExact}})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	alter(kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Value: 1e12}, kadm.AlterClientQuotaOp{Key: "request_percentage", Value: 99.5})
	if got := find(); len(got) != 1 || len(got[0].Values) != 2 || got[0].Values[0].Value != 1e12 || got[0].Values[1].Value != 99.5 {
		t.Errorf("%+v", got)
	}
	alter(kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Remove: true}, kadm.AlterClientQuotaOp{Key: "request_percentage", Remove: true})
	if got := find(); len(got) != 0 {
		t.Errorf("%+v is left", got)
	}
}

// setQuota lets a client id use so much.
func setQuota(t *testing.T, cl *kgo.Client, client, key string, rate float64) {
	t.Helper()
	list, err := kadm.NewClient(cl).AlterClientQuotas(testContext(t), []kadm.AlterClientQuotaEntry{{
		Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &client}}, Ops: []kadm.AlterClientQuotaOp{{Key: key, Value: rate}}}})
	if err != nil || len(list) != 1 || list[0].Err != nil {
		t.Fatalf("quota: %+v %v", list, err)
	}
}

// greedy is a connection that does not heed what it is told.
type greedy struct {
	net.Conn
	client string
	sent   int32
}

func newGreedy(t *testing.T, b *harness.Broker, client string) *greedy {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &greedy{Conn: conn, client: client}
}

func (g *greedy) ask(req kmsg.Request) (kmsg.Response, int, error) {
	g.sent++
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID(g.client)).AppendRequest(nil, req, g.sent)
	if _, err := g.Write(frame); err != nil {
		return nil, 0, err
	}
	var size [4]byte
	if _, err := io.ReadFull(g, size[:]); err != nil {
		return nil, 0, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(g, body); err != nil {
		return nil, 0, err
	}
	resp := req.ResponseKind()
	body = body[4:]
	if req.IsFlexible() {
		body = body[1:]
	}
	return resp, len(frame) - 4, resp.ReadFrom(body)
}

func produceOf(topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis, req.Topics = 9, 1, 10_000, append(req.Topics, t)
	return req
}

// batchOf is a batch of one record of so many bytes.
func batchOf(size int) []byte {
	b := batch.NewBuilder()
	b.Add(time.Now().UnixMilli(), nil, make([]byte, size))
	return b.Bytes()
}

// Windows of two seconds in all, so that tests need not last long.
var soonForgotten = []string{"quota.window.num=2", "quota.window.size.seconds=1"}

// Producers of one client id on several shards, who heed nothing, produce together what their quota allows, and others are not held back.
// The time is only held against what must not be too fast.
func TestProducersObeyTheirQuota(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 2, Set: soonForgotten})
	cl := newClient(t, b)
	createTopic(t, b, "quota", 2, nil)
	const rate, connections, seconds, size = 40_000, 4, 5, 4000
	setQuota(t, cl, "greedy", "producer_byte_rate", rate)
	records := batchOf(size)
	var sent, waits atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	for i := range connections {
		g := newGreedy(t, b, "greedy")
		all.Go(func() {
			for time.Since(begin) < seconds*time.Second {
				resp, n, err := g.ask(produceOf("quota", int32(i%2), records))
				if err != nil {
					t.Error(err)
					return
				}
				r := resp.(*kmsg.ProduceResponse)
				if code := r.Topics[0].Partitions[0].ErrorCode; code != 0 {
					t.Errorf("error %d", code)
					return
				}
				sent.Add(int64(n))
				if r.ThrottleMillis > 0 {
					waits.Add(1)
				}
			}
		})
	}
	all.Wait()
	took := time.Since(begin).Seconds()
	// The windows may be used up at once, and each connection may send one request too many.
	if most := rate*(took+2) + connections*(size+500); float64(sent.Load()) > most || waits.Load() == 0 {
		t.Errorf("%d bytes in %.1f s, %d waits; at most %.0f", sent.Load(), took, waits.Load(), most)
	}
	// Whoever watches the broker is told of every wait as well.
	page := asked(t, b, "/metrics")
	if times, held := sampleOf(t, page, "pinion_throttled_connections_total"), sampleOf(t, page, "pinion_throttled_seconds_total"); int64(times) != waits.Load() || held <= 0 {
		t.Errorf("throttled %v times for %v s, and clients were told so %d times", times, held, waits.Load())
	}
	free := newGreedy(t, b, "modest")
	for range 50 {
		resp, _, err := free.ask(produceOf("quota", 0, records))
		if err != nil || resp.(*kmsg.ProduceResponse).ThrottleMillis != 0 {
			t.Fatalf("somebody else waits: %+v %v", resp, err)
		}
	}
	t.Logf("%d bytes in %.1f s, %d waits", sent.Load(), took, waits.Load())
}

// sampleOf is the value of a series without labels.
func sampleOf(t *testing.T, page, name string) float64 {
	t.Helper()
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// A consumer that has used up its quota is answered without records, and gets them later; none is lost.
func TestConsumersObeyTheirQuota(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 2, Set: soonForgotten})
	cl := newClient(t, b)
	createTopic(t, b, "quota", 1, nil)
	const rate, batches, size = 40_000, 40, 5000
	records := batchOf(size)
	g := newGreedy(t, b, "writer")
	for range batches {
		if resp, _, err := g.ask(produceOf("quota", 0, records)); err != nil || resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatalf("%+v %v", resp, err)
		}
	}
	setQuota(t, cl, "reader", "consumer_byte_rate", rate)
	reader := newGreedy(t, b, "reader")
	at, got, without := int64(0), 0, 0
	begin := time.Now()
	for got < batches*len(records) {
		p := kmsg.NewFetchRequestTopicPartition()
		p.FetchOffset, p.PartitionMaxBytes = at, size+1000
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic, topic.Partitions = "quota", append(topic.Partitions, p)
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.MaxBytes, req.MinBytes, req.MaxWaitMillis, req.SessionEpoch, req.Topics = 11, 1<<20, 1, 500, -1, append(req.Topics, topic)
		resp, _, err := reader.ask(req)
		if err != nil {
			t.Fatal(err)
		}
		r := resp.(*kmsg.FetchResponse)
		if len(r.Topics) == 0 {
			without++
			if r.ThrottleMillis == 0 {
				t.Fatal("nothing came, and nobody waits")
			}
			continue
		}
		n := len(r.Topics[0].Partitions[0].RecordBatches)
		got += n
		at += int64(n / len(records))
		if time.Since(begin) > time.Minute {
			t.Fatalf("%d of %d bytes in a minute", got, batches*len(records))
		}
	}
	took := time.Since(begin).Seconds()
	if least := float64(got)/rate - 3; took < least || without == 0 {
		t.Errorf("%d bytes in %.1f s, at least %.1f; %d answers without records", got, took, least, without)
	}
	t.Logf("%d bytes in %.1f s, %d answers without records", got, took, without)
}

// Requests that take more of a shard than they may are held back, whatever they are. Quotas outlive the broker.
func TestRequestsObeyTheirQuota(t *testing.T) {
	dir := t.TempDir()
	b := harness.Run(t, harness.Config{Dir: dir, Shards: 1, Set: soonForgotten})
	cl := newClient(t, b)
	createTopic(t, b, "quota", 1, nil)
	setQuota(t, cl, "greedy", "request_percentage", 0.01)
	b.MustStop(t)
	b = harness.Run(t, harness.Config{Dir: dir, Shards: 1, Set: soonForgotten})
	for _, req := range []kmsg.Request{kmsg.NewPtrMetadataRequest(), produceOf("quota", 0, batchOf(100))} {
		if m, ok := req.(*kmsg.MetadataRequest); ok {
			m.Version = 9
		}
		g, begin := newGreedy(t, b, "greedy"), time.Now()
		for {
			asked := time.Now()
			resp, _, err := g.ask(req)
			if err != nil {
				t.Fatal(err)
			}
			if wait, _ := resp.(kmsg.ThrottleResponse).Throttle(); wait > 0 {
				if _, _, err := g.ask(req); err != nil || time.Since(asked) < time.Duration(wait-1)*time.Millisecond {
					t.Errorf("told to wait %d ms and not held back: both took %v, %v", wait, time.Since(asked), err)
				}
				break
			}
			if time.Since(begin) > time.Minute {
				t.Fatalf("%T takes no time", req)
			}
		}
	}
}

// Who has created as many partitions as a quota lets it create is refused, and told for how long.
func TestMutationsObeyTheirQuota(t *testing.T) {
	b := harness.Run(t, harness.Config{Set: soonForgotten})
	cl := newClient(t, b)
	setQuota(t, cl, "greedy", "controller_mutation_rate", 1)
	g := newGreedy(t, b, "greedy")
	create := func(name string) (code int16, wait int32) {
		t.Helper()
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 20, 1
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis, req.Topics = 6, 10_000, append(req.Topics, topic)
		resp, _, err := g.ask(req)
		if err != nil {
			t.Fatal(err)
		}
		r := resp.(*kmsg.CreateTopicsResponse)
		return r.Topics[0].ErrorCode, r.ThrottleMillis
	}
	if code, wait := create("first"); code != 0 || wait != 0 {
		t.Fatalf("the first: %d, %d ms", code, wait)
	}
	code, wait := create("second")
	if code != kerr.ThrottlingQuotaExceeded.Code || wait <= 0 {
		t.Fatalf("the second: %d, %d ms", code, wait)
	}
	setQuota(t, cl, "greedy", "controller_mutation_rate", 1e6)
	g = newGreedy(t, b, "greedy")
	if code, wait := create("third"); code != 0 || wait != 0 {
		t.Errorf("with a larger quota: %d, %d ms", code, wait)
	}
}
