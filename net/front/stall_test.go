package front

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// TestAnOwnerThatAnswersAfterThePollIsOver: a poll over two owners ends at its deadline because one owner stands still, and its
// long answer is still leaving when that owner wakes up and answers too. The late answer belongs to nobody, and its spans go home;
// polls after it must not notice.
func TestAnOwnerThatAnswersAfterThePollIsOver(t *testing.T) {
	n := startNode(t, 2)
	topic := n.create("late", 2, nil)
	near, far := n.on(topic, 0), n.on(topic, 1)
	writer := n.dial()
	big := records(3, 1, 900_000)
	var want []byte
	for i := range int64(12) {
		writer.produced(at{topic: topic, index: near, records: big})
		want = append(want, stamped(big, i, 0)...)
	}
	small := records(4, 1, 100)
	writer.produced(at{topic: topic, index: far, records: small})

	lazy := n.dialHome(0)
	if err := lazy.conn.(*net.TCPConn).SetReadBuffer(512 << 10); err != nil {
		t.Fatal(err)
	}
	both := func(wait time.Duration, bytesMax int32) *kmsg.FetchRequest {
		return fetchRequest(wait, 1, bytesMax, at{topic: topic, index: near, max: 32 << 20}, at{topic: topic, index: far, max: 32 << 20})
	}
	for range 3 {
		resume := n.halt(1)
		req := both(10*time.Millisecond, 32<<20)
		corr := lazy.send(req, fetchVersion)
		until(t, "the answer begins to leave", 10*time.Second, func() bool { return n.hub(0).Budgets[conn.BudgetResponse].Used > 0 })
		resume()
		n.hub(1)
		// The late answer is home by now; others poll while the first is still unread.
		others := []*client{n.dialHome(0), n.dialHome(0)}
		poll := func() {
			var sent []int32
			r := both(time.Second, 1<<20)
			for _, c := range others {
				sent = append(sent, c.send(r, fetchVersion))
			}
			for i, c := range others {
				parts := fetched(c.receive(sent[i], r))
				if len(parts) != 2 || parts[0].ErrorCode != 0 || parts[1].ErrorCode != 0 || len(parts[0].RecordBatches) == 0 {
					t.Fatalf("a later poll: %d partitions, errors %d and %d", len(parts), parts[0].ErrorCode, parts[1].ErrorCode)
				}
			}
		}
		poll()
		parts := fetched(lazy.receive(corr, req))
		if !bytes.Equal(parts[0].RecordBatches, want) {
			t.Fatalf("the first partition has %d bytes, want %d", len(parts[0].RecordBatches), len(want))
		}
		if parts[1].ErrorCode != int16(wire.CodeOffsetNotAvailable) {
			t.Fatalf("the late owner's partition: error %d", parts[1].ErrorCode)
		}
		for range 20 {
			poll()
		}
	}
	until(t, "every charge of a poll is given back", 10*time.Second, func() bool {
		parked := n.desk(0).Parked
		return parked.Used() == 0
	})
}

// producer sends idempotent batches of one partition without waiting, as far as the broker reads, and checks every answer.
type producer struct {
	c        *client
	p        at
	pid      int64
	stop     atomic.Bool
	sent     int
	answered int
	err      error
}

const perProduce = 4

func (pr *producer) run(batchBytes int) {
	frames := make(chan int32, 1024)
	text := string(bytes.Repeat([]byte("x"), batchBytes/perProduce))
	var group sync.WaitGroup
	group.Go(func() {
		defer close(frames)
		form := pr.c.form
		for i := int32(0); !pr.stop.Load(); i++ {
			p := pr.p
			p.records = sequenced(pr.pid, i*perProduce, perProduce, text)
			req := produceRequest(-1, p)
			req.SetVersion(produceVersion)
			frames <- i
			if _, err := pr.c.conn.Write(form.AppendRequest(nil, req, i)); err != nil {
				pr.err = err
				return
			}
			pr.sent++
		}
	})
	shape := produceRequest(-1, pr.p)
	shape.SetVersion(produceVersion)
	for i := range frames {
		raw, err := pr.c.frame()
		if err != nil {
			pr.err = fmt.Errorf("answer %d: %w", i, err)
			break
		}
		resp, err := decode(raw, i, shape)
		if err != nil {
			pr.err = err
			break
		}
		if got := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]; got.ErrorCode != 0 || got.BaseOffset != int64(i)*perProduce {
			pr.err = fmt.Errorf("answer %d: error %d, base offset %d", i, got.ErrorCode, got.BaseOffset)
			break
		}
		pr.answered++
	}
	pr.c.conn.Close()
	for range frames { // let the writer end
	}
	group.Wait()
}

// bystander produces to and fetches from partitions that have nothing to do with the halted shard, one request at a time.
func bystander(c *client, p at, stop *atomic.Bool) (lags []time.Duration, err error) {
	b := records(9, 4, 200)
	produce := produceRequest(-1, at{topic: p.topic, index: p.index, records: b})
	for !stop.Load() {
		began := time.Now()
		resp := c.call(produce, produceVersion).(*kmsg.ProduceResponse)
		lags = append(lags, time.Since(began))
		got := resp.Topics[0].Partitions[0]
		if got.ErrorCode != 0 {
			return lags, fmt.Errorf("produce: error %d", got.ErrorCode)
		}
		began = time.Now()
		parts := fetched(c.call(fetchRequest(time.Second, 1, 1<<20, at{topic: p.topic, index: p.index, offset: got.BaseOffset, max: 1 << 20}), fetchVersion))
		lags = append(lags, time.Since(began))
		if parts[0].ErrorCode != 0 || !bytes.HasPrefix(parts[0].RecordBatches, stamped(b, got.BaseOffset, 0)) {
			return lags, fmt.Errorf("fetch at %d: error %d, %d bytes", got.BaseOffset, parts[0].ErrorCode, len(parts[0].RecordBatches))
		}
		time.Sleep(time.Millisecond)
	}
	return lags, nil
}

const (
	haltFor     = 5 * time.Second
	othersP99   = 100 * time.Millisecond
	stallTrials = 3
)

// TestAStoppedOwnerHoldsUpOnlyItself: one of three shards stands still for five seconds while sixteen idempotent producers,
// at home on the others, go on sending to it. Memory stays within the budgets, the other partitions are served as usual,
// and afterwards every produce is answered, in order, once.
func TestAStoppedOwnerHoldsUpOnlyItself(t *testing.T) {
	n := startNode(t, 3)
	var p99 time.Duration
	for trial := range stallTrials {
		if p99 = stalled(t, n, fmt.Sprint("stall-", trial)); p99 < othersP99 {
			return
		}
		t.Logf("trial %d: p99 of the others %v", trial, p99)
	}
	t.Errorf("p99 of the others %v in the last of %d trials, want less than %v", p99, stallTrials, othersP99)
}

func stalled(t *testing.T, n *node, name string) time.Duration {
	const stuck, batchBytes = 16, 10_000
	busy := n.create(name, stuck*3, map[string]string{"segment.bytes": "16777216"})
	calm := n.create(name+"-calm", 6, nil)
	var producers []*producer
	var group sync.WaitGroup
	taken := int32(0)
	for i := range stuck {
		for n.owner(busy, taken) != 1 {
			taken++
		}
		pr := &producer{c: n.dialHome(2 * (i % 2)), p: at{topic: busy, index: taken}, pid: int64(1000 + i)}
		taken++
		producers = append(producers, pr)
		group.Go(func() { pr.run(batchBytes) })
	}
	time.Sleep(200 * time.Millisecond) // under way
	var stop atomic.Bool
	var lags [4][]time.Duration
	var errs [4]error
	var calmClients [4]*client
	for i := range calmClients {
		calmClients[i] = n.dialHome(2 * (i % 2)) // before the halt: a connection may be dealt to the halted shard
	}
	resume := n.halt(1)
	began := time.Now()
	for i, c := range calmClients {
		p := at{topic: calm, index: n.on(calm, 2*(i/2))}
		group.Go(func() { lags[i], errs[i] = bystander(c, p, &stop) })
	}
	for time.Since(began) < haltFor {
		n.checkBudgets(0)
		n.checkBudgets(2)
		time.Sleep(20 * time.Millisecond)
	}
	stop.Store(true)
	resume()
	time.Sleep(100 * time.Millisecond)
	for _, pr := range producers {
		pr.stop.Store(true)
	}
	group.Wait()
	var all []time.Duration
	for i := range lags {
		if errs[i] != nil {
			t.Fatalf("bystander %d: %v", i, errs[i])
		}
		all = append(all, lags[i]...)
	}
	slices.Sort(all)
	produces := 0
	for _, pr := range producers {
		if pr.err != nil || pr.answered != pr.sent {
			t.Fatalf("partition %d: %d of %d answered: %v", pr.p.index, pr.answered, pr.sent, pr.err)
		}
		produces += pr.sent
		n.checkSequences(pr.p, pr.sent*perProduce)
	}
	peak := max(n.hub(0).Budgets[conn.BudgetRequest].Peak, n.hub(2).Budgets[conn.BudgetRequest].Peak)
	t.Logf("others: %d requests, median %v, p99 %v, max %v; %d produces to the stopped shard answered; request memory peak %d KiB",
		len(all), all[len(all)/2], all[len(all)*99/100], all[len(all)-1], produces, peak>>10)
	return all[len(all)*99/100]
}

func (n *node) checkBudgets(i int) {
	n.tb.Helper()
	for k, b := range n.hub(i).Budgets {
		if b.Peak > b.Limit {
			n.tb.Fatalf("shard %d: budget %s: peak %d above its limit %d", i, conn.BudgetNames[k], b.Peak, b.Limit)
		}
	}
}

// checkSequences reads a partition from the start: its batches are the producer's, each once, in order.
func (n *node) checkSequences(p at, count int) {
	n.tb.Helper()
	c := n.dial()
	p.max = 8 << 20
	next := int32(0)
	for int(next) < count {
		p.offset = int64(next)
		parts := fetched(c.call(fetchRequest(time.Second, 1, 8<<20, p), fetchVersion))
		b := parts[0].RecordBatches
		if parts[0].ErrorCode != 0 || len(b) == 0 {
			n.tb.Fatalf("partition %d at %d: error %d, %d bytes", p.index, next, parts[0].ErrorCode, len(b))
		}
		for len(b) >= 61 {
			size := 12 + int(binary.BigEndian.Uint32(b[8:]))
			if size > len(b) {
				break
			}
			if base, sequence := int64(binary.BigEndian.Uint64(b)), int32(binary.BigEndian.Uint32(b[53:])); base != int64(next) || sequence != next {
				n.tb.Fatalf("partition %d: batch at offset %d with sequence %d, want %d", p.index, base, sequence, next)
			}
			next += perProduce
			b = b[size:]
		}
	}
	c.conn.Close()
	if int(next) != count {
		n.tb.Fatalf("partition %d holds %d records, want %d", p.index, next, count)
	}
}
