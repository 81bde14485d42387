package main_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// readAll reads a topic of one partition to its end: the records by offset, and that they ascend.
func readAll(t *testing.T, b *harness.Broker, topic string, end int64) []*kgo.Record {
	t.Helper()
	cl := newClient(t, b, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	var list []*kgo.Record
	for ctx := testContext(t); ; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		list = append(list, fetches.Records()...)
		for i := 1; i < len(list); i++ {
			if list[i].Offset <= list[i-1].Offset {
				t.Fatalf("offset %d behind %d", list[i].Offset, list[i-1].Offset)
			}
		}
		if n := len(list); n > 0 && list[n-1].Offset == end-1 {
			return list
		}
	}
}

// TestCompactedTopic: a topic of a few keys written over and over shrinks to their last values, under the eyes of clients; it is the same
// after a kill -9, and a record without key is refused.
func TestCompactedTopic(t *testing.T) {
	config := harness.Config{Dir: filepath.Join(t.TempDir(), "data"), Set: []string{
		"log.cleaner.backoff.ms=50", "log.cleaner.delete.retention.ms=1", "log.segment.bytes=1048576", "log.cleaner.min.cleanable.ratio=0.1",
	}}
	b, err := harness.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Kill() }()
	policy := "compact"
	createTopic(t, b, "table", 1, map[string]*string{"cleanup.policy": &policy})
	cl := newClient(t, b, kgo.DefaultProduceTopic("table"), kgo.ProducerBatchMaxBytes(20_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	latest := map[string]string{}
	var records []*kgo.Record
	end := int64(0)
	write := func(n int) {
		for range n {
			key := fmt.Sprintf("key-%d", end%97)
			r := &kgo.Record{Key: []byte(key), Value: fmt.Appendf(nil, "%d:%0900d", end, end)}
			latest[key] = string(r.Value)
			if end%97 == 13 {
				r.Value = nil
				delete(latest, key)
			}
			records = append(records, r)
			end++
		}
		if err := cl.ProduceSync(testContext(t), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		records = records[:0]
	}
	check := func(when string) int {
		t.Helper()
		have := map[string]string{}
		list := readAll(t, b, "table", end)
		for _, r := range list {
			if have[string(r.Key)] = string(r.Value); r.Value == nil {
				delete(have, string(r.Key))
			}
		}
		for key, value := range latest {
			if have[key] != value {
				t.Fatalf("%s: %s is %.20q, want %.20q", when, key, have[key], value)
			}
		}
		if len(have) != len(latest) {
			t.Fatalf("%s: %d keys, want %d", when, len(have), len(latest))
		}
		return len(list)
	}
	shrunk := func(when string, most int) {
		t.Helper()
		for deadline := time.Now().Add(clientsMax); ; time.Sleep(50 * time.Millisecond) { // between two looks
			n := check(when)
			if n <= most {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d records are left, want %d\n%s", when, n, most, b.Log())
			}
		}
	}
	write(6000)
	// What the active segment holds stays; the rest shrinks to the keys.
	shrunk("compacted", 2000)
	if out, err := exec.Command("kcat", "-b", b.Addr, "-C", "-t", "table", "-o", "beginning", "-e", "-q", "-f", "%o %k\n").Output(); err == nil {
		if lines := strings.Count(string(out), "\n"); lines > 2000 || lines < len(latest) {
			t.Fatalf("kcat reads %d records", lines)
		}
	}
	if err := cl.ProduceSync(testContext(t), &kgo.Record{Value: []byte("no key")}).FirstErr(); err != kerr.InvalidRecord {
		t.Fatalf("a record without key: %v", err)
	}
	write(3000)
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if b, err = harness.Start(config); err != nil {
		t.Fatal(err)
	}
	cl = newClient(t, b, kgo.DefaultProduceTopic("table"), kgo.ProducerBatchMaxBytes(20_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	check("after a kill")
	write(3000)
	shrunk("compacted again", 2000)
	if code, err := b.Stop(); code != 0 || err != nil {
		t.Fatalf("stop: %d, %v", code, err)
	}
	if b, err = harness.Start(config); err != nil {
		t.Fatal(err)
	}
	check("after a stop")
}
