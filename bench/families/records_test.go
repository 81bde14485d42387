package families

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	partitions = 3
	// recordSeed makes every run the same; a record is a function of it, of its number, and of what its sender can carry.
	recordSeed = 20_261
	// largeBytes is near to what clients send at most unless told otherwise: 1,000,000 with librdkafka.
	largeBytes = 900_000
)

// recordsPerWay is how many records each way to send gets, the large ones included.
func recordsPerWay() int {
	if long {
		return 3000
	}
	return 150
}

var epoch = time.Now().Add(-time.Hour).UnixMilli()

// stamp is the time of record i. Not every record has one of its own, some go back, and one in a thousand is from 1970.
func stamp(i int) int64 {
	switch {
	case i%1000 == 77:
		return 1
	case i%10 == 9:
		return epoch + int64(i/3) - 50
	}
	return epoch + int64(i/3)
}

// record is record i for a family: keys and values null, empty, text and bytes, headers of every shape, few large values.
func (f *family) record(i int) Record {
	random := rand.New(rand.NewPCG(recordSeed, uint64(i)))
	r := Record{Partition: int32(i % partitions), Timestamp: stamp(i)}
	switch {
	case i%7 == 0:
	case i%13 == 0:
		r.Key = []byte{}
	default:
		r.Key = fmt.Appendf(nil, "key %d", i)
	}
	switch per := recordsPerWay(); {
	case i%per == per/2:
		r.Value = fill(random, largeBytes)
	case i%11 == 0:
	case i%17 == 0:
		r.Value = []byte{}
	case i%29 == 0:
		r.Value = fill(random, 1+random.IntN(20_000))
	default:
		r.Value = fill(random, 1+random.IntN(240))
	}
	if f.noEmptiness && r.Key == nil && r.Value == nil {
		r.Key = []byte{}
	}
	r.Headers = f.headers(i)
	return r
}

// headers are none to five; names may be empty, repeated and outside of ASCII, values null, empty and binary.
func (f *family) headers(i int) []Header {
	names := []string{"", "trace", "Ünïcode", "trace", "last"}
	if f.headersGrouped {
		names = []string{"", "trace", "trace", "Ünïcode", "last"}
	}
	values := [][]byte{nil, {}, binary.BigEndian.AppendUint64(nil, uint64(i)), []byte("text")}
	if f.noNullHeader {
		values[0] = []byte("not null")
	}
	var list []Header
	for h := range i % 6 {
		list = append(list, Header{names[h], values[(i+h)%4]})
	}
	return list
}

// fill makes n bytes, half of them a repeated word, which compresses, half of them bytes that do not.
func fill(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		if i%16 < 8 {
			b[i] = "pinions "[i%8]
		} else {
			b[i] = byte(random.Uint32())
		}
	}
	return b
}

// What one client sent, others read: every codec and acknowledgement the sender has, byte for byte and in order.
func TestFamiliesReadWhatOthersSent(t *testing.T) {
	turn := 0
	eachFamily(t, func(t *testing.T, f *family) {
		t.Logf("tested: %s", f.do(t, Command{Op: "hello"}).Client)
		for _, codec := range f.codecs {
			t.Run(codec, func(t *testing.T) {
				topic := fmt.Sprintf("records-%s-%s", f.name, codec)
				createTopic(t, topic, partitions, nil)
				total := f.sendAll(t, topic, codec)
				readByFranzGo(t, f, topic, total)
				others := readers(f)
				if !long && len(others) > 2 {
					others = []*family{others[turn%len(others)], others[(turn+1)%len(others)]}
					turn++
				}
				for _, by := range others {
					for p := range int32(partitions) {
						by.readAll(t, f, topic, p, total)
					}
				}
			})
		}
	})
}

// sendAll sends the next records in each way the family has, and returns how many there are.
func (f *family) sendAll(t *testing.T, topic, codec string) int {
	t.Helper()
	at := 0
	for _, w := range f.ways {
		step := recordsPerWay()
		if w.acks == "0" && f.zeroBatch > 0 {
			step = f.zeroBatch
		}
		for end := at + recordsPerWay(); at < end; at += step {
			f.send(t, topic, codec, w, at, at+step)
			waitEnds(t, topic, int64(at+step))
		}
	}
	tally.sent.Add(int64(at))
	return at
}

// send sends records [from, to) and wants them acknowledged, where they are, at their places.
func (f *family) send(t *testing.T, topic, codec string, w way, from, to int) {
	t.Helper()
	records := make([]Record, to-from)
	for i := range records {
		records[i] = f.record(from + i)
	}
	name := file()
	if err := WriteRecords(name, records); err != nil {
		t.Fatal(err)
	}
	answer := f.do(t, Command{Op: "produce", Topic: topic, File: name, Codec: codec, Acks: w.acks, Idempotent: w.idempotent})
	if len(answer.Offsets) != len(records) {
		t.Fatalf("%s: %d of %d records acknowledged", w.name, len(answer.Offsets), len(records))
	}
	for i, offset := range answer.Offsets {
		want := int64((from + i) / partitions)
		if w.acks == "0" {
			want = -1
		}
		if offset != want {
			t.Fatalf("%s: record %d was acknowledged at %d, want %d", w.name, from+i, offset, want)
		}
	}
}

// readAll reads one partition from its beginning.
func (f *family) readAll(t *testing.T, sender *family, topic string, p int32, total int) {
	t.Helper()
	count := (total - int(p) + partitions - 1) / partitions
	c := Command{Op: "consume", Topic: topic, Partition: p, Start: "earliest", Count: count}
	f.check(t, sender, f.consume(t, c), p, 0)
	tally.read.Add(int64(count))
}

// consume runs a consume command and returns what was read.
func (f *family) consume(t *testing.T, c Command) []Record {
	t.Helper()
	c.File = file()
	f.do(t, c)
	records, err := ReadRecords(c.File)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != c.Count {
		t.Fatalf("%s read %d records, want %d", f.name, len(records), c.Count)
	}
	return records
}

// check wants the records of a partition from an offset on, in order.
func (f *family) check(t *testing.T, sender *family, records []Record, p int32, from int64) {
	t.Helper()
	for n := range records {
		offset := from + int64(n)
		want := sender.record(int(offset)*partitions + int(p))
		want.Offset = offset
		if f.emptyNull {
			nullEmpty(&want)
		}
		if d := differ(&records[n], &want); d != "" {
			t.Fatalf("%s read partition %d offset %d: %s", f.name, p, offset, d)
		}
	}
}

// nullEmpty makes what is empty in a record null.
func nullEmpty(r *Record) {
	if len(r.Key) == 0 {
		r.Key = nil
	}
	if len(r.Value) == 0 {
		r.Value = nil
	}
	for i, h := range r.Headers {
		if len(h.Value) == 0 {
			r.Headers[i].Value = nil
		}
	}
}

// differ tells where a record that was read differs from the one that was sent; null and empty are not the same.
func differ(got, want *Record) string {
	switch {
	case got.Offset != want.Offset || got.Partition != want.Partition:
		return fmt.Sprintf("at %d-%d, want %d-%d", got.Partition, got.Offset, want.Partition, want.Offset)
	case got.Timestamp != want.Timestamp:
		return fmt.Sprintf("timestamp %d, want %d", got.Timestamp, want.Timestamp)
	case !sameBytes(got.Key, want.Key):
		return fmt.Sprintf("key %.200q (null: %v), want %.200q (null: %v)", got.Key, got.Key == nil, want.Key, want.Key == nil)
	case !sameBytes(got.Value, want.Value):
		return fmt.Sprintf("value of %d bytes %.200q (null: %v), want %d bytes %.200q (null: %v)",
			len(got.Value), got.Value, got.Value == nil, len(want.Value), want.Value, want.Value == nil)
	case !slices.EqualFunc(got.Headers, want.Headers, func(a, b Header) bool { return a.Key == b.Key && sameBytes(a.Value, b.Value) }):
		return fmt.Sprintf("headers %v, want %v", got.Headers, want.Headers)
	}
	return ""
}

func sameBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// readByFranzGo reads all partitions with the client whose behaviour the broker's other tests rely on.
func readByFranzGo(t *testing.T, sender *family, topic string, total int) {
	t.Helper()
	cl := newClient(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	franz := &family{name: "franz-go"}
	var next [partitions]int64
	ctx := testContext(t)
	for left := total; left > 0; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("franz-go: %d of %d records missing: %v", left, total, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			one := Record{Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				one.Headers = append(one.Headers, Header{h.Key, h.Value})
			}
			franz.check(t, sender, []Record{one}, r.Partition, next[r.Partition])
			next[r.Partition]++
			left--
		})
	}
	tally.read.Add(int64(total))
}
