package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// TestDamageFoundByCompaction: a page that changed on the disk under a running broker is met when the log is compacted. That partition goes
// offline with the place in the log, and nothing else does.
func TestDamageFoundByCompaction(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := harness.Run(t, harness.Config{Dir: dir, Set: []string{"log.cleaner.backoff.ms=50", "log.segment.bytes=1048576"}})
	createTopic(t, b, "table", 1, nil)
	createTopic(t, b, "other", 1, nil)
	cl := newClient(t, b, kgo.ProducerBatchMaxBytes(20_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	var records []*kgo.Record
	for n := range 3000 {
		records = append(records, &kgo.Record{Topic: "table", Key: fmt.Appendf(nil, "key-%d", n%97), Value: fmt.Appendf(nil, "%01000d", n)})
	}
	if err := cl.ProduceSync(testContext(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	segment := filepath.Join("table-0", fmt.Sprintf("%020d.log", 0))
	f, err := os.OpenFile(filepath.Join(dir, segment), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	page := make([]byte, 4096)
	if _, err := f.WriteAt(page, 200*4096); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	policy := "compact"
	altered, err := kadm.NewClient(cl).AlterTopicConfigs(testContext(t), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &policy}}, "table")
	if err == nil {
		_, err = altered.On("table", func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		t.Fatal(err)
	}
	want := segment + " is damaged at byte "
	for deadline := time.Now().Add(clientsMax); !strings.Contains(b.Log(), want); time.Sleep(20 * time.Millisecond) { // between two looks
		if time.Now().After(deadline) {
			t.Fatalf("never said: %q\n%s", want, b.Log())
		}
	}
	if log := b.Log(); !strings.Contains(log, "partition offline") || strings.Contains(log, "log directory fenced") || crashed(log) {
		t.Errorf("the broker says:\n%s", log)
	}
	if n := offlinePartitions(t, b); n != 1 {
		t.Errorf("the metrics count %d partitions", n)
	}
	once := newClient(t, b, kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
	if err := once.ProduceSync(testContext(t), &kgo.Record{Topic: "table", Key: []byte("k")}).FirstErr(); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("a produce is answered with %v", err)
	}
	if err := cl.ProduceSync(testContext(t), &kgo.Record{Topic: "other", Value: []byte("still here")}).FirstErr(); err != nil {
		t.Errorf("another topic: %v", err)
	}
}
