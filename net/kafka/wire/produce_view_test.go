package wire

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// compareProduce walks the view and reports the first difference from what kmsg read.
func compareProduce(p *ProduceView, body []byte, want *kmsg.ProduceRequest) error {
	partitions, topics, err := p.Check()
	if err != nil {
		return err
	}
	if !sameNullable(p.TransactionalID, want.TransactionID) || p.Acks != want.Acks || p.TimeoutMs != want.TimeoutMillis {
		return fmt.Errorf("head %q %d %d, want %+v", p.TransactionalID, p.Acks, p.TimeoutMs, want)
	}
	if topics != len(want.Topics) {
		return fmt.Errorf("%d topics, want %d", topics, len(want.Topics))
	}
	seen := 0
	for i := range want.Topics {
		topic := &want.Topics[i]
		if !p.NextTopic() || string(p.TopicName()) != topic.Topic || p.TopicID() != topic.TopicID {
			return fmt.Errorf("topic %d is %q %s, want %q %x", i, p.TopicName(), p.TopicID(), topic.Topic, topic.TopicID)
		}
		if p.Partitions() != len(topic.Partitions) {
			return fmt.Errorf("topic %d has %d partitions, want %d", i, p.Partitions(), len(topic.Partitions))
		}
		for _, part := range topic.Partitions {
			seen++
			if !p.NextPartition() || p.Index() != part.Partition || !bytes.Equal(p.Records(), part.Records) {
				return fmt.Errorf("partition %d with %q, want %+v", p.Index(), p.Records(), part)
			}
			if (p.Records() == nil) != (part.Records == nil) {
				return fmt.Errorf("records null: %t, want %t", p.Records() == nil, part.Records == nil)
			}
			if at := p.RecordsAt(); len(part.Records) > 0 && &body[at] != &p.Records()[0] {
				return fmt.Errorf("records are not at %d", at)
			}
		}
		if p.NextPartition() {
			return fmt.Errorf("topic %d has one partition too many", i)
		}
	}
	if p.NextTopic() || seen != partitions {
		return fmt.Errorf("saw %d partitions, Check said %d", seen, partitions)
	}
	return p.Err()
}

func sameNullable(got []byte, want *string) bool {
	return (got == nil) == (want == nil) && (want == nil || string(got) == *want)
}

func TestProduceViewReadsWhatKmsgWrites(t *testing.T) {
	for version := int16(produceVersionMin); version <= produceVersionMax; version++ {
		t.Run(fmt.Sprint(version), rapid.MakeCheck(func(t *rapid.T) {
			body, want := drawRequest(t, KeyProduce, version)
			var p ProduceView
			if err := p.Reset(version, body); err != nil {
				t.Fatal(err)
			}
			if err := compareProduce(&p, body, want.(*kmsg.ProduceRequest)); err != nil {
				t.Fatal(err)
			}
			p.Rewind()
			for range rapid.IntRange(0, 2).Draw(t, "topics entered") {
				p.NextTopic()
				p.NextPartition()
			}
			// Reading part of it and starting over gives the same answer.
			if err := compareProduce(&p, body, want.(*kmsg.ProduceRequest)); err != nil {
				t.Fatal(err)
			}
		}))
	}
}

// Every prefix of a request is refused, and by Check at the latest.
func TestProduceViewRefusesPrefixes(t *testing.T) {
	for version := int16(produceVersionMin); version <= produceVersionMax; version++ {
		body := produceBody(version, 2, 2, 10)
		for n := range body {
			var p ProduceView
			err := p.Reset(version, body[:n:n])
			if err == nil {
				_, _, err = p.Check()
			}
			if err == nil {
				t.Fatalf("version %d: %d of %d bytes pass", version, n, len(body))
			}
			if p.NextTopic() || p.NextPartition() {
				t.Fatalf("version %d: a refused view goes on", version)
			}
		}
	}
}

func TestProduceViewRefuses(t *testing.T) {
	// A null transactional id, acks -1, timeout 7; what follows is the array of topics.
	head := []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 7}
	flexHead := []byte{0, 0xff, 0xff, 0, 0, 0, 7}
	id := make([]byte, 16)
	for _, c := range []struct {
		name    string
		version int16
		body    []byte
		want    Fault
	}{
		{"version below", 2, head, FaultVersion},
		{"version above", 14, head, FaultVersion},
		{"null topics", 3, join(head, []byte{0xff, 0xff, 0xff, 0xff}), FaultNull},
		{"null topics, flexible", 9, join(flexHead, []byte{0}), FaultNull},
		{"lying topic count", 3, join(head, []byte{0x7f, 0xff, 0xff, 0xff, 0, 1, 'a', 0, 0, 0, 0}), FaultCount},
		{"lying topic count, flexible", 9, join(flexHead, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0}), FaultCount},
		{"one topic too many for its size", 13, join(flexHead, []byte{3}, id, []byte{1, 0}, id), FaultCount},
		{"null name", 3, join(head, []byte{0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0}), FaultNull},
		{"null name, flexible", 9, join(flexHead, []byte{2, 0, 1, 0, 0}), FaultNull},
		{"null partitions", 3, join(head, []byte{0, 0, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff}), FaultNull},
		{"records longer than the rest", 3, join(head, []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1}), FaultLength},
		{"records longer, flexible", 9, join(flexHead, []byte{2, 1, 2, 0, 0, 0, 0, 9, 0, 0, 0}), FaultLength},
		{"varint over 32 bits", 9, join(flexHead, []byte{0xff, 0xff, 0xff, 0xff, 0x1f}), FaultVarint},
		{"varint without end", 9, join(flexHead, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}), FaultVarint},
		{"lying tag count", 9, join(flexHead, []byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f}), FaultCount},
		{"tag longer than the rest", 9, join(flexHead, []byte{1, 1, 0, 200, 1}), FaultLength},
		{"name over 32767 bytes", 9, join(flexHead, []byte{2, 0x81, 0x80, 2}, make([]byte, 40000)), FaultLength},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p ProduceView
			err := p.Reset(c.version, c.body)
			if err == nil {
				_, _, err = p.Check()
			}
			if err != error(c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

// Kafka leaves bytes after the body unread, and some clients have sent such bytes.
func TestProduceViewIgnoresTrailingBytes(t *testing.T) {
	for version := int16(produceVersionMin); version <= produceVersionMax; version++ {
		var p ProduceView
		if err := p.Reset(version, append(produceBody(version, 1, 1, 5), 1, 2, 3)); err != nil {
			t.Fatal(err)
		}
		if partitions, _, err := p.Check(); err != nil || partitions != 1 {
			t.Fatalf("version %d: %d partitions, %v", version, partitions, err)
		}
	}
}

// An append to one partition's records must not reach into the next.
func TestProduceViewSlicesEndWhereTheyEnd(t *testing.T) {
	var p ProduceView
	if err := p.Reset(9, produceBody(9, 1, 2, 5)); err != nil {
		t.Fatal(err)
	}
	p.NextTopic()
	p.NextPartition()
	if b := p.Records(); cap(b) != len(b) {
		t.Fatalf("records have room for %d bytes more", cap(b)-len(b))
	}
}

func TestProduceViewAllocatesNothing(t *testing.T) {
	for _, version := range []int16{3, 8, 9, 13} {
		body := produceBody(version, 4, 8, 100)
		var p ProduceView
		if n := testing.AllocsPerRun(100, func() { readProduce(&p, version, body) }); n != 0 {
			t.Errorf("version %d: %v allocations", version, n)
		}
		if n := testing.AllocsPerRun(100, func() { readProduce(&p, version, body[:len(body)-3]) }); n != 0 {
			t.Errorf("version %d: %v allocations for a faulty request", version, n)
		}
	}
}

func readProduce(p *ProduceView, version int16, body []byte) (size int) {
	if p.Reset(version, body) != nil {
		return 0
	}
	if _, _, err := p.Check(); err != nil {
		return 0
	}
	for p.NextTopic() {
		for p.NextPartition() {
			size += len(p.Records())
		}
	}
	return size
}

// produceBody is a plain request of the given shape.
func produceBody(version int16, topics, partitions, recordBytes int) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, -1, 30000
	for i := range topics {
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic = fmt.Sprintf("topic-%d", i)
		topic.TopicID = [16]byte{1, byte(i)}
		for j := range partitions {
			part := kmsg.NewProduceRequestTopicPartition()
			part.Partition = int32(j)
			part.Records = bytes.Repeat([]byte{byte(j)}, recordBytes)
			topic.Partitions = append(topic.Partitions, part)
		}
		req.Topics = append(req.Topics, topic)
	}
	return req.AppendTo(nil)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func FuzzProduceRequest(f *testing.F) {
	for version := int16(produceVersionMin); version <= produceVersionMax; version++ {
		f.Add(version, produceBody(version, 2, 2, 10))
		f.Add(version, produceBody(version, 0, 0, 0))
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < produceVersionMin || version > produceVersionMax || len(body) > stringBytesMax {
			return
		}
		var p ProduceView
		err := p.Reset(version, body)
		if err == nil {
			_, _, err = p.Check()
		}
		want := kmsg.NewPtrProduceRequest()
		want.Version = version
		if err != nil {
			if mustRefuse(err.(Fault), version >= produceFlexible) && want.ReadFrom(body) == nil {
				t.Fatalf("refused with %v, kmsg accepts", err)
			}
			return
		}
		if err := want.ReadFrom(body); err != nil {
			t.Fatalf("accepted, kmsg refuses: %v", err)
		}
		if err := compareProduce(&p, body, want); err != nil {
			t.Fatal(err)
		}
	})
}

// mustRefuse tells which faults kmsg has to find too. The tolerated differences, each described in the package comment:
//   - FaultNull and FaultTag: kmsg reads null as empty and does not look at what a tag's size leaves over;
//   - strings over 32767 bytes: the fuzz targets skip bodies that could hold one;
//   - FaultCount in a flexible version: kmsg would refuse in the end, but may first take garbage for a tag count and turn
//     that many times, up to 2^32.
func mustRefuse(f Fault, flexible bool) bool {
	switch f {
	case FaultNull, FaultTag:
		return false
	case FaultCount:
		return !flexible
	default:
		return true
	}
}
