package front

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pinion/disk/batch"
	"pinion/disk/codec"
	"pinion/disk/identity"
)

var rewrite = flag.Bool("rewrite", false, "write the golden data directory of the current format anew")

// TestGoldenDirectoriesOpen starts a node on a copy of each data directory that some release of the format wrote, with fewer and with
// more shards than then, reads everything back and appends behind it. A directory is added at every change of identity.Format, and never
// taken away or, once released, rewritten.
func TestGoldenDirectoriesOpen(t *testing.T) {
	if *rewrite {
		writeGolden(t)
	}
	for format := 1; format <= identity.Format; format++ {
		for _, shards := range []int{1, 3} {
			t.Run(fmt.Sprintf("format %d on %d shards", format, shards), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "data")
				if err := os.CopyFS(dir, os.DirFS(fmt.Sprintf("testdata/golden-%d", format))); err != nil {
					t.Fatal(err)
				}
				n := startNode(t, shards, "log.dirs="+dir)
				checkGolden(t, n)
				if format >= 2 {
					checkGaps(t, n)
				}
			})
		}
	}
}

// checkGolden demands topic golden: 3 partitions of 40 records, pN-1 to pN-40, in batches of lz4.
func checkGolden(t *testing.T, n *node) {
	t.Helper()
	topic := n.broker.Control.Image().TopicCalled("golden")
	if topic == nil || topic.Partitions() != 3 || topic.Configs["retention.ms"] != "-1" {
		t.Fatalf("topic %+v", topic)
	}
	c := n.dial()
	for index := range int32(3) {
		req := fetchRequest(time.Second, 1, 1<<20, at{topic: topic, index: index, max: 1 << 20})
		part := fetched(c.receive(c.send(req, fetchVersion), req))[0]
		if part.ErrorCode != 0 || part.HighWatermark != 40 {
			t.Fatalf("partition %d: error %d, high watermark %d", index, part.ErrorCode, part.HighWatermark)
		}
		read := 0
		for rest := part.RecordBatches; len(rest) > 0; {
			h, ok := batch.ReadHeader(rest)
			if !ok || h.Size() > len(rest) {
				t.Fatalf("partition %d: %d bytes are no batch", index, len(rest))
			}
			var it batch.Iterator
			it.Reset(rest[:h.Size()], 1<<20)
			for it.Next() {
				read++
				if want := fmt.Sprintf("p%d-%d", index, read); string(it.Record().Value) != want || int(it.Record().Offset) != read-1 {
					t.Fatalf("partition %d offset %d holds %q, want %q at %d", index, it.Record().Offset, it.Record().Value, want, read-1)
				}
			}
			if it.Err() != nil {
				t.Fatal(it.Err())
			}
			rest = rest[h.Size():]
		}
		if read != 40 {
			t.Fatalf("partition %d: %d records, want 40", index, read)
		}
		if base := c.produced(at{topic: topic, index: index, records: records(1, 1, 10)}); base != 40 {
			t.Fatalf("partition %d: appended at %d, want 40", index, base)
		}
	}
}

const (
	goldenKeys    = 5  // of topic table
	goldenUpdates = 40 // of them, in turn
)

// checkGaps demands what format 2 brought: topic table is compacted and has the last value of each key, topic trimmed starts at 5 of 10.
func checkGaps(t *testing.T, n *node) {
	t.Helper()
	c := n.dial()
	if start := c.earliest("trimmed", 0); start != 5 {
		t.Errorf("trimmed starts at %d", start)
	}
	topic := n.broker.Control.Image().TopicCalled("table")
	latest, count, next := map[string]string{}, 0, int64(0)
	for next < goldenUpdates {
		part := fetched(c.call(fetchRequest(time.Second, 1, 1<<20, at{topic: topic, offset: next, max: 1 << 20}), fetchVersion))[0]
		if part.ErrorCode != 0 || part.HighWatermark != goldenUpdates || len(part.RecordBatches) == 0 {
			t.Fatalf("table at %d: error %d, high watermark %d, %d bytes", next, part.ErrorCode, part.HighWatermark, len(part.RecordBatches))
		}
		for rest := part.RecordBatches; len(rest) > 0; {
			h, _ := batch.ReadHeader(rest)
			var it batch.Iterator
			for it.Reset(rest[:h.Size()], 1<<20); it.Next(); count++ {
				latest[string(it.Record().Key)] = string(it.Record().Value)
			}
			next, rest = int64(h.LastOffset())+1, rest[h.Size():]
		}
	}
	for k := range goldenKeys {
		if want := fmt.Sprintf("v%d", goldenUpdates-goldenKeys+k); latest[fmt.Sprintf("k%d", k)] != want {
			t.Errorf("k%d is %s, want %s", k, latest[fmt.Sprintf("k%d", k)], want)
		}
	}
	if count >= goldenUpdates {
		t.Errorf("%d records: nothing was compacted", count)
	}
}

// writeGolden makes the directory of the current format as a power cut leaves it: one segment has lost its end, which only the journal has. The
// zeros behind the journal's records are left out, to keep it small; a start fills the file again.
func writeGolden(t *testing.T) {
	live := filepath.Join(t.TempDir(), "data")
	n := startNode(t, 2, "log.dirs="+live, "log.cleaner.backoff.ms=50")
	c := n.dial()
	topic := n.create("golden", 3, map[string]string{"retention.ms": "-1"})
	for index := range int32(3) {
		for from := 1; from <= 40; from += 8 {
			b := batch.NewBuilder()
			b.Codec = codec.LZ4
			for k := from; k < from+8; k++ {
				b.Add(time.Now().UnixMilli(), nil, fmt.Appendf(nil, "p%d-%d", index, k))
			}
			c.produced(at{topic: topic, index: index, records: b.Bytes()})
		}
	}
	table := n.create("table", 1, map[string]string{"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0.01"})
	began := time.Now().UnixMilli()
	for i := range goldenUpdates {
		b := batch.NewBuilder()
		b.Add(began+int64(10*i), fmt.Appendf(nil, "k%d", i%goldenKeys), fmt.Appendf(nil, "v%d", i))
		c.produced(at{topic: table, records: b.Bytes()})
	}
	trimmed := n.create("trimmed", 1, nil)
	c.produced(at{topic: trimmed, records: records(1, 10, 20)})
	if low, code := c.trim(2, "trimmed", 0, 5); low != 5 || code != 0 {
		t.Fatalf("trim: %d, %s", low, code)
	}
	until(t, "the table is compacted", 20*time.Second, func() bool {
		left, err := filepath.Glob(filepath.Join(live, "table-0", "*.log"))
		return err == nil && len(left) <= 3
	})
	if err := n.broker.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	golden := fmt.Sprintf("testdata/golden-%d", identity.Format)
	if err := os.RemoveAll(golden); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(golden, os.DirFS(live)); err != nil {
		t.Fatal(err)
	}
	segment := filepath.Join(golden, "golden-1", fmt.Sprintf("%020d.log", 0))
	info, err := os.Stat(segment)
	if err == nil {
		err = os.Truncate(segment, info.Size()/2)
	}
	if err != nil {
		t.Fatal(err)
	}
	journals, _ := filepath.Glob(filepath.Join(golden, "journal", "*"))
	for _, name := range journals {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		const page = 4096
		size := (len(bytes.TrimRight(raw, "\x00")) + page - 1) / page * page
		if err := os.Truncate(name, int64(size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(golden, ".lock")); err != nil {
		t.Fatal(err)
	}
}
