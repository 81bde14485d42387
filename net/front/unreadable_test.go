package front

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// TestUnreadableRecords takes the end of a segment away under a broker. Whoever is being sent those records loses the connection, because the
// frame cannot be completed; who asks again gets KAFKA_STORAGE_ERROR, and everything before. When the bytes are back so are the records.
func TestUnreadableRecords(t *testing.T) {
	for name, size := range map[string]int{"sendfile": 100_000, "mapped": 2_000} {
		t.Run(name, func(t *testing.T) {
			n := startNode(t, 1)
			topic := n.create("orders", 1, nil)
			c := n.dial()
			var want []byte
			const batches = 8
			for i := range int64(batches) {
				b := records(i, 1, size)
				want = append(want, stamped(b, c.produced(at{topic: topic, records: b}), 0)...)
			}
			segment := filepath.Join(n.broker.Config.LogDirs[0], "orders-0", "00000000000000000000.log")
			whole, err := os.ReadFile(segment)
			if err != nil || !bytes.Equal(whole, want) {
				t.Fatalf("%d bytes, %v", len(whole), err)
			}
			each := len(want) / batches
			if err := os.Truncate(segment, int64(5*each+each/2)); err != nil { // in the sixth batch
				t.Fatal(err)
			}
			ask := func(offset int64) *kmsg.FetchRequest {
				return fetchRequest(time.Second, 1, 64<<20, at{topic: topic, offset: offset, max: 64 << 20})
			}
			first := n.dial()
			if resp, err := first.exchange(ask(0), fetchVersion); err == nil {
				t.Fatalf("a frame with bytes that are not there came whole: %d bytes", len(fetched(resp)[0].RecordBatches))
			}
			c = n.dial()
			until(t, "the spans are home", 20*time.Second, func() bool {
				p := fetched(c.call(ask(5), fetchVersion))[0]
				return p.ErrorCode == int16(wire.CodeKafkaStorageError)
			})
			p := fetched(c.call(ask(0), fetchVersion))[0]
			if p.ErrorCode != 0 || !bytes.HasPrefix(want, p.RecordBatches) || len(p.RecordBatches) < 5*each {
				t.Errorf("before the damage: error %d, %d bytes of %d", p.ErrorCode, len(p.RecordBatches), 5*each)
			}
			f, err := os.OpenFile(segment, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt(want, 0); err != nil {
				t.Fatal(err)
			}
			p = fetched(c.call(ask(5), fetchVersion))[0]
			if p.ErrorCode != 0 || !bytes.Equal(p.RecordBatches, want[5*each:]) {
				t.Errorf("after the repair: error %d, %d bytes of %d", p.ErrorCode, len(p.RecordBatches), 3*each)
			}
		})
	}
}
