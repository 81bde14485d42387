package front

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pinion/disk/batch"
	"pinion/disk/identity"
)

// TestGoldenDirectoriesOpen starts a node on a copy of each data directory that some release of the format wrote, with fewer and with
// more shards than then, reads everything back and appends behind it. A directory is added at every change of identity.Format and never
// taken away.
func TestGoldenDirectoriesOpen(t *testing.T) {
	for format := 1; format <= identity.Format; format++ {
		for _, shards := range []int{1, 3} {
			t.Run(fmt.Sprintf("format %d on %d shards", format, shards), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "data")
				if err := os.CopyFS(dir, os.DirFS(fmt.Sprintf("testdata/golden-%d", format))); err != nil {
					t.Fatal(err)
				}
				n := startNode(t, shards, "log.dirs="+dir)
				checkGolden(t, n)
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
