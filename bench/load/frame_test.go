package load

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
	"pinion/disk/codec"
)

func TestProduceFrameIsWhatOthersRead(t *testing.T) {
	for _, c := range []struct {
		name    string
		shape   Shape
		who     producer
		stamped bool
	}{
		{"plain", Shape{Records: 64, RecordBytes: 1024}, producer{}, false},
		{"idempotent", Shape{Records: 100, RecordBytes: 100, Codec: codec.LZ4, RandomRatio: 0.5}, producer{true, 42, 3}, false},
		{"stamped", Shape{Records: 1, RecordBytes: 100}, producer{}, true},
		{"stamped and idempotent", Shape{Records: 1, RecordBytes: 100}, producer{true, 42, 3}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			records, err := c.shape.build(1, c.who, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			f, err := newProduceFrame("some-topic", 1, c.shape, records, c.who.on, c.stamped)
			if err != nil {
				t.Fatal(err)
			}
			f.patch(77, 5, 900, 123_456)
			if n := binary.BigEndian.Uint32(f.bytes); int(n) != len(f.bytes)-4 {
				t.Fatalf("length %d of %d bytes", n, len(f.bytes))
			}
			body := f.bytes[4+2+2+4+2+len(client):]
			r := kmsg.NewPtrProduceRequest()
			r.SetVersion(versionProduce)
			if err := r.ReadFrom(body); err != nil {
				t.Fatal(err)
			}
			p := r.Topics[0].Partitions[0]
			if r.Acks != 1 || r.Topics[0].Topic != "some-topic" || p.Partition != 5 {
				t.Fatalf("read %+v", r)
			}
			if verdict := batch.Validate(new(batch.Validator), p.Records, batch.Limits{MaxBatchBytes: 1 << 20, OutputMax: 1 << 20}); verdict.Fault != batch.FaultNone {
				t.Fatalf("the batch: %v", verdict.Fault)
			}
			if c.stamped {
				if got := int64(binary.BigEndian.Uint64(f.bytes[f.stamp:])); got != 123_456 {
					t.Fatalf("stamp %d", got)
				}
			}
			if c.who.on {
				if got := binary.BigEndian.Uint32(p.Records[atBatchSequence:]); got != 900 {
					t.Fatalf("sequence %d", got)
				}
			}
		})
	}
}

func TestFetchFrameIsWhatOthersRead(t *testing.T) {
	b := appendFetch(nil, 9, "some-topic", []want{{0, 17}, {3, 4}}, 500, 1, 1<<20, 1<<19)
	body := b[4+2+2+4+2+len(client):]
	r := kmsg.NewPtrFetchRequest()
	r.SetVersion(versionFetch)
	if err := r.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 2 || r.Topics[0].Partitions[0].FetchOffset != 17 || r.MaxBytes != 1<<20 ||
		r.Topics[0].Partitions[1].PartitionMaxBytes != 1<<19 || r.SessionEpoch != -1 {
		t.Fatalf("read %+v", r)
	}
}

func TestResponsesAsOthersWriteThem(t *testing.T) {
	p := kmsg.NewPtrProduceResponse()
	p.SetVersion(versionProduce)
	p.Topics = []kmsg.ProduceResponseTopic{{Topic: "some-topic", Partitions: []kmsg.ProduceResponseTopicPartition{{Partition: 3, ErrorCode: 6}}}}
	code, err := produceError(p.AppendTo([]byte{0, 0, 0, 9}))
	if err != nil || code != 6 {
		t.Fatalf("code %d, %v", code, err)
	}
	f := kmsg.NewPtrFetchResponse()
	f.SetVersion(versionFetch)
	f.Topics = []kmsg.FetchResponseTopic{{Topic: "some-topic", Partitions: []kmsg.FetchResponseTopicPartition{
		{Partition: 2, RecordBatches: []byte("first")}, {Partition: 4, ErrorCode: 1, RecordBatches: []byte("second one")}}}}
	frame := f.AppendTo([]byte{0, 0, 0, 9})
	walk, err := openFetched(frame)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := walk.next(); !ok || err != nil || walk.index != 2 || string(walk.records) != "first" || walk.size != 5 {
		t.Fatalf("first: %+v %v", walk, err)
	}
	if ok, err := walk.next(); !ok || err != nil || walk.index != 4 || walk.code != 1 || string(walk.records) != "second one" {
		t.Fatalf("second: %+v %v", walk, err)
	}
	if ok, err := walk.next(); ok || err != nil {
		t.Fatalf("third: %+v %v", walk, err)
	}
	// What is only counted is not kept.
	if walk, err = openFetched(frame[:fetchFrontBytes(len("some-topic"))]); err != nil {
		t.Fatal(err)
	}
	if ok, err := walk.next(); !ok || err != nil || walk.size != 5 || len(walk.records) != 0 {
		t.Fatalf("front alone: %+v %v", walk, err)
	}
}
