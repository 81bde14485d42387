package families

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sender makes the records of the tests below; it can carry everything.
var sender = &family{name: "franz-go"}

const (
	placesTopic   = "places"
	placesRecords = 3000 // three large ones in the short form's pattern among them
	perPartition  = placesRecords / partitions
)

// sendByFranzGo sends records [from, to) with a client that the tests do not judge, in batches of few records.
func sendByFranzGo(ctx context.Context, cl *kgo.Client, topic string, from, to int) error {
	var first kgo.FirstErrPromise
	for i := from; i < to; i++ {
		r := sender.record(i)
		out := &kgo.Record{Topic: topic, Partition: r.Partition, Key: r.Key, Value: r.Value}
		out.Timestamp = time.UnixMilli(r.Timestamp)
		for _, h := range r.Headers {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		cl.Produce(ctx, out, first.Promise())
		if i%50 == 49 {
			if err := cl.Flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	return first.Err()
}

// franzSender is a client for sendByFranzGo.
func franzSender(t *testing.T) *kgo.Client {
	return newClient(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
}

// firstAt is the offset of the first record of a partition that is as late as a timestamp; -1 if there is none.
func firstAt(p int32, timestamp int64) int64 {
	for o := range int64(perPartition) {
		if stamp(int(o)*partitions+int(p)) >= timestamp {
			return o
		}
	}
	return -1
}

// Each client finds offsets, and starts reading, at every kind of place: ends, offsets within a batch, times.
func TestFamiliesStartAnywhere(t *testing.T) {
	createTopic(t, placesTopic, partitions, nil)
	if err := sendByFranzGo(testContext(t), franzSender(t), placesTopic, 0, placesRecords); err != nil {
		t.Fatal(err)
	}
	times := []int64{1, 2, epoch - 1, epoch, stamp(1000), stamp(1000) + 1, stamp(2009), epoch + placesRecords/3 - 1}
	late := epoch + 1<<20
	eachFamily(t, func(t *testing.T, f *family) {
		t.Run("offsets", func(t *testing.T) {
			for p := range int32(partitions) {
				f.checkOffsets(t, p, times, late)
			}
		})
		if !f.reads {
			return
		}
		read := func(t *testing.T, c Command, from int64) {
			t.Helper()
			c.Op, c.Topic, c.Count = "consume", placesTopic, int(min(perPartition-from, 40))
			f.check(t, sender, f.consume(t, c), c.Partition, from)
			tally.places.Add(1)
		}
		t.Run("earliest", func(t *testing.T) { read(t, Command{Partition: 1, Start: "earliest"}, 0) })
		t.Run("offset", func(t *testing.T) {
			for _, at := range []int64{0, 1, 17, 333, perPartition - 1} {
				read(t, Command{Partition: 2, Start: "offset", At: at}, at)
			}
		})
		t.Run("timestamp", func(t *testing.T) {
			for _, at := range times[2:] {
				if from := firstAt(0, at); from >= 0 {
					read(t, Command{Partition: 0, Start: "timestamp", At: at}, from)
				}
			}
		})
		t.Run("latest", f.testLatest)
		t.Run("out of range", func(t *testing.T) {
			c := Command{Op: "consume", Topic: placesTopic, Start: "offset", At: 1 << 40, Count: 1, File: file()}
			f.refused(t, c, offsetOutOfRange)
		})
	})
}

// checkOffsets wants the ends of a partition and the offsets of times.
func (f *family) checkOffsets(t *testing.T, p int32, times []int64, late int64) {
	t.Helper()
	answer := f.do(t, Command{Op: "offsets", Topic: placesTopic, Partition: p, Times: append(times, late)})
	if answer.Earliest != 0 || answer.Latest != perPartition || len(answer.At) != len(times)+1 {
		t.Fatalf("partition %d: from %d to %d, %d times; want 0 to %d, %d times",
			p, answer.Earliest, answer.Latest, len(answer.At), perPartition, len(times)+1)
	}
	for i, at := range append(times, late) {
		want := firstAt(p, at)
		if want < 0 && f.lateEnd {
			want = perPartition
		}
		if answer.At[i] != want {
			t.Errorf("partition %d: time %d is at %d, want %d", p, at, answer.At[i], want)
		}
	}
	tally.places.Add(int64(len(times)) + 3)
}

// testLatest reads from the end on: nothing that was there before, and everything from the first new record on.
func (f *family) testLatest(t *testing.T) {
	const topic, before, count = "latest", 30, 20
	name := topic + "-" + f.name
	createTopic(t, name, partitions, nil)
	cl := franzSender(t)
	ctx := testContext(t)
	if err := sendByFranzGo(ctx, cl, name, 0, before); err != nil {
		t.Fatal(err)
	}
	// When the reader has found its place is its secret, so something new comes until it has seen enough.
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := before; ; i += partitions {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if err := sendByFranzGo(ctx, cl, name, i, i+partitions); err != nil {
				ended <- err
				return
			}
		}
	}()
	records := f.consume(t, Command{Op: "consume", Topic: name, Partition: 1, Start: "latest", Count: count})
	close(stop)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if records[0].Offset < before/partitions {
		t.Fatalf("began at offset %d, which was there before", records[0].Offset)
	}
	f.check(t, sender, records, 1, records[0].Offset)
	tally.places.Add(1)
}
