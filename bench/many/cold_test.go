package many

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"

	"pinion/bench/harness"
)

// TestColdReadsBesideAProducer drains records that have left the page cache while a producer goes on over the same shards. How the producer's
// latency changes is told; what is asserted is that every byte that was cold went through a helper, so that no shard waited for the disk.
func TestColdReadsBesideAProducer(t *testing.T) {
	total := int64(sized(10_000, 64)) << 20
	dir := t.TempDir()
	b := harness.Run(t, harness.Config{Dir: dir, Shards: 2, Set: append([]string{"log.segment.bytes=268435456", "message.max.bytes=2000000"}, inMemory...)})
	c := dial(t, b.Addr)
	bulk := field{stem: "bulk", topics: 1, width: 4}
	live := field{stem: "live", topics: 1, width: 2}
	bulk.create(t, c)
	live.create(t, c)

	value := make([]byte, 1<<20)
	for i := range value {
		value[i] = byte(i * i >> 3)
	}
	batch := aBatch(value)
	written := int64(0)
	for i := int32(0); written < total; i++ {
		send(t, c, bulk.name(0), i%bulk.width, batch)
		written += int64(len(batch))
	}
	alone := produceFor(t, dial(t, b.Addr), live, 2*time.Second, nil)
	dropped := dropCache(t, dir, bulk.stem)

	before := coldReads(t, b)
	done := make(chan struct{})
	var read int64
	began := time.Now()
	go func() {
		defer close(done)
		r := dial(t, b.Addr)
		for index := range bulk.width {
			read += drain(t, r, bulk.name(0), index)
		}
	}()
	beside := produceFor(t, dial(t, b.Addr), live, 0, done)
	took := time.Since(began)
	if t.Failed() {
		return
	}
	if read != written {
		t.Fatalf("%d bytes read of %d", read, written)
	}
	steps := coldReads(t, b) - before
	t.Logf("%d MB read in %v, in %.0f steps of helpers, up to 64 KiB each; %d MB had been dropped from the page cache",
		read>>20, took.Round(time.Millisecond), steps, dropped>>20)
	t.Logf("produce p50 %v p99 %v alone (%d), p50 %v p99 %v beside it (%d): p99 x %.2f", alone.at(0.5), alone.at(0.99), len(alone),
		beside.at(0.5), beside.at(0.99), len(beside), float64(beside.at(0.99))/float64(max(1, alone.at(0.99))))
	// Half of it at least: read-ahead of the kernel may have been faster than the look at a page, and then nobody waits either.
	if steps*(64<<10) < float64(dropped)/2 {
		t.Errorf("%d bytes were cold, and helpers took only %.0f steps", dropped, steps)
	}
}

// send writes one batch.
func send(t *testing.T, c *client, topic string, index int32, batch []byte) {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, int32(answerMax.Milliseconds())
	rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	rt.Topic, rp.Partition, rp.Records = topic, index, batch
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := c.ask(req, 9)
	if err != nil {
		t.Error(err)
		return
	}
	if p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Errorf("produce to %s-%d: error %d", topic, index, p.ErrorCode)
	}
}

// latencies are sorted.
type latencies []time.Duration

func (l latencies) at(share float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(len(l)-1, int(share*float64(len(l))))].Round(time.Microsecond)
}

// produceFor writes small batches, one after the other over all partitions, for so long or until done.
func produceFor(t *testing.T, c *client, f field, d time.Duration, done <-chan struct{}) latencies {
	batch := aBatch(make([]byte, 1000))
	var all latencies
	end := time.Now().Add(d)
	for i := int32(0); ; i++ {
		select {
		case <-done:
			slices.Sort(all)
			return all
		default:
		}
		if done == nil && time.Now().After(end) || t.Failed() {
			slices.Sort(all)
			return all
		}
		began := time.Now()
		send(t, c, f.name(0), i%f.width, batch)
		all = append(all, time.Since(began))
		time.Sleep(time.Millisecond) // a thousand a second at most: latency is looked at, not throughput
	}
}

// drain reads a partition to its end and returns how many bytes that were.
func drain(t *testing.T, c *client, topic string, index int32) (bytes int64) {
	for offset := int64(0); ; {
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes, req.SessionEpoch = 8<<20, -1
		rt, rp := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
		rt.Topic, rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = topic, index, offset, 8<<20
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		resp, err := c.ask(req, 12)
		if err != nil {
			t.Error(err)
			return bytes
		}
		p := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			t.Errorf("fetch %s-%d at %d: error %d", topic, index, offset, p.ErrorCode)
			return bytes
		}
		if offset >= p.HighWatermark {
			return bytes
		}
		whole, batches := wholeBatches(p.RecordBatches)
		if batches == 0 {
			t.Errorf("fetch %s-%d at %d of %d: no whole batch in %d bytes", topic, index, offset, p.HighWatermark, len(p.RecordBatches))
			return bytes
		}
		bytes += whole
		offset += batches // one record each
	}
}

// dropCache writes the topic's files back and has the kernel forget their pages; it returns how many bytes are not in memory then.
func dropCache(t *testing.T, dir, stem string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".log") || !strings.Contains(path, "/"+stem+"-") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return fmt.Errorf("drop: %w", err)
		}
		var stat unix.Cachestat_t
		all := unix.CachestatRange{Len: uint64(info.Size())}
		if err := unix.Cachestat(uint(f.Fd()), &all, &stat, 0); err == nil { // else believe it
			bytes -= int64(stat.Cache) * int64(os.Getpagesize())
		}
		bytes += info.Size()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// coldReads is how many reads the shards have given to helpers because the bytes were not in memory.
func coldReads(t *testing.T, b *harness.Broker) (sum float64) {
	t.Helper()
	resp, err := http.Get(b.Admin + "/metrics/shards")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	shards := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "pinion_shard_cold_reads_total") {
			continue
		}
		n, err := strconv.ParseFloat(strings.Fields(line)[len(strings.Fields(line))-1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
		shards++
	}
	if shards != 2 {
		t.Fatalf("cold reads of %d shards on the page, want 2", shards)
	}
	return sum
}
