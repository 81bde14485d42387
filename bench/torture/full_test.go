package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// TestFullDisk fills a disk under a producer that is left running: produce is refused before the disk is at its end, reads and deletions go
// on, and when there is room again the producer's records arrive, without a restart of anything.
func TestFullDisk(t *testing.T) {
	const bytes = 96 << 20
	disk, err := newImage(t.TempDir(), bytes)
	var impossible *errNoImage
	if errors.As(err, &impossible) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := disk.close(); err != nil {
			t.Error(err)
		}
	})
	b := harness.Run(t, harness.Config{Dir: disk.at + "/data", Shards: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.RecordDeliveryTimeout(3*time.Minute), kgo.MaxBufferedRecords(8), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	fsync, segment := "fsync", "1048576"
	if _, err := admin.CreateTopics(ctx, 1, 1, map[string]*string{"pinion.durability": &fsync, "segment.bytes": &segment}, "ballast", "load"); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 200<<10)
	for range bytes / 3 / len(value) {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "ballast", Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	acked := make(chan error, 4*bytes/len(value))
	sent, got := 0, 0
	for full := false; !full && sent < cap(acked); {
		cl.Produce(ctx, &kgo.Record{Topic: "load", Value: value}, func(_ *kgo.Record, err error) { acked <- err })
		sent++
		select {
		case err := <-acked:
			if err != nil {
				t.Fatalf("the producer gave up: %v", err)
			}
			got++
		case <-time.After(4 * time.Second): // far longer than any acknowledgement takes: the producer is being refused and tries again
			full = true
		}
	}
	if got < 50 || sent == cap(acked) {
		t.Fatalf("%d records of %d fit into the disk", got, sent)
	}
	read, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumeTopics("load"))
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if n := read.PollFetches(ctx).NumRecords(); n == 0 {
		t.Fatal("nothing is read while the disk is full")
	}
	if res, err := admin.DeleteTopics(ctx, "ballast"); err != nil || res.Error() != nil {
		t.Fatal(err, res.Error())
	}
	for ; got < sent; got++ {
		select {
		case err := <-acked:
			if err != nil {
				t.Fatalf("the producer gave up: %v", err)
			}
		case <-ctx.Done():
			t.Fatalf("%d of %d records arrived after there was room\n%s", got, sent, b.Log())
		}
	}
	b.MustStop(t)
}
