package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"pinion/engine/model"
)

// openFrame checks a response frame's length and header and returns its body.
func openFrame(frame []byte, correlation int32, tags bool) ([]byte, error) {
	if len(frame) < 8 || int(binary.BigEndian.Uint32(frame)) != len(frame)-4 {
		return nil, fmt.Errorf("length field %x of a frame of %d bytes", frame[:4], len(frame))
	}
	if got := int32(binary.BigEndian.Uint32(frame[4:])); got != correlation {
		return nil, fmt.Errorf("correlation %d, want %d", got, correlation)
	}
	body := frame[8:]
	if tags {
		if len(body) == 0 || body[0] != 0 {
			return nil, fmt.Errorf("header without empty tags")
		}
		body = body[1:]
	}
	return body, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

type produceTopic struct {
	name  string
	id    model.TopicID
	parts []ProduceResult
}

// writeProduce runs a writer over topics, prefix standing for what the buffer held before.
func writeProduce(dst []byte, version int16, correlation int32, topics []produceTopic, throttle int32, nodes []Endpoint) []byte {
	var w ProduceWriter
	w.Start(dst, version, correlation, len(topics))
	for i := range topics {
		if i%2 == 0 {
			w.Topic([]byte(topics[i].name), topics[i].id, len(topics[i].parts))
		} else {
			w.TopicNamed(topics[i].name, topics[i].id, len(topics[i].parts))
		}
		for j := range topics[i].parts {
			w.Partition(&topics[i].parts[j])
		}
	}
	return w.Finish(throttle, nodes)
}

// oracleProduce is the same answer as kmsg would hold it after reading the version.
func oracleProduce(version int16, topics []produceTopic, throttle int32, nodes []Endpoint) *kmsg.ProduceResponse {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version, resp.ThrottleMillis = version, throttle
	for _, topic := range topics {
		t := kmsg.NewProduceResponseTopic()
		t.Topic, t.TopicID = topic.name, topic.id
		for _, p := range topic.parts {
			q := kmsg.NewProduceResponseTopicPartition()
			q.Partition, q.ErrorCode, q.BaseOffset, q.LogAppendTime = p.Index, int16(p.Code), int64(p.BaseOffset), p.AppendTime
			q.LogStartOffset, q.ErrorMessage = int64(p.LogStart), optional(p.Message)
			for _, e := range p.Records {
				r := kmsg.NewProduceResponseTopicPartitionErrorRecord()
				r.RelativeOffset, r.ErrorMessage = e.Index, optional(e.Message)
				q.ErrorRecords = append(q.ErrorRecords, r)
			}
			if p.Leader.Known && version >= produceLeaderHints {
				q.CurrentLeader.LeaderID, q.CurrentLeader.LeaderEpoch = int32(p.Leader.Node), int32(p.Leader.Epoch)
			}
			t.Partitions = append(t.Partitions, q)
		}
		resp.Topics = append(resp.Topics, t)
	}
	for _, n := range nodes {
		if version >= produceLeaderHints {
			b := kmsg.NewProduceResponseBroker()
			b.NodeID, b.Host, b.Port, b.Rack = int32(n.Node), n.Host, n.Port, optional(n.Rack)
			resp.Brokers = append(resp.Brokers, b)
		}
	}
	return resp
}

func TestProduceWriterMatchesKmsg(t *testing.T) {
	for version := int16(produceVersionMin); version <= produceVersionMax; version++ {
		t.Run(fmt.Sprint(version), rapid.MakeCheck(func(t *rapid.T) {
			topics := rapid.SliceOfN(drawProduceTopic(), 0, 3).Draw(t, "topics")
			nodes := rapid.SliceOfN(drawEndpoint(), 0, 3).Draw(t, "nodes")
			throttle, correlation := rapid.Int32().Draw(t, "throttle"), rapid.Int32().Draw(t, "correlation")
			before := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "before")

			buf := writeProduce(before, version, correlation, topics, throttle, nodes)
			if string(buf[:len(before)]) != string(before) {
				t.Fatal("the buffer's own bytes changed")
			}
			body, err := openFrame(buf[len(before):], correlation, version >= produceFlexible)
			if err != nil {
				t.Fatal(err)
			}
			want := oracleProduce(version, topics, throttle, nodes)
			if diff := cmp.Diff(want.AppendTo(nil), body); diff != "" {
				t.Fatalf("bytes (-kmsg +ours):\n%s", diff)
			}
			read := kmsg.NewPtrProduceResponse()
			read.Version = version
			if err := read.ReadFrom(body); err != nil {
				t.Fatal(err)
			}
		}))
	}
}

func drawProduceTopic() *rapid.Generator[produceTopic] {
	return rapid.Custom(func(t *rapid.T) produceTopic {
		return produceTopic{
			name:  rapid.StringN(0, 30, 249).Draw(t, "name"),
			id:    drawTopicID(t),
			parts: rapid.SliceOfN(drawProduceResult(), 0, 3).Draw(t, "partitions"),
		}
	})
}

func drawProduceResult() *rapid.Generator[ProduceResult] {
	return rapid.Custom(func(t *rapid.T) ProduceResult {
		return ProduceResult{
			Index:      rapid.Int32().Draw(t, "index"),
			Code:       ErrorCode(rapid.Int16().Draw(t, "code")),
			BaseOffset: model.Offset(rapid.Int64().Draw(t, "base")),
			AppendTime: rapid.Int64().Draw(t, "append time"),
			LogStart:   model.Offset(rapid.Int64().Draw(t, "log start")),
			Records: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) RecordError {
				return RecordError{Index: rapid.Int32().Draw(t, "record"), Message: rapid.StringN(0, 9, 20).Draw(t, "message")}
			}), 0, 2).Draw(t, "records"),
			Message: rapid.StringN(0, 100, 300).Draw(t, "message"),
			Leader:  drawLeader(t),
		}
	})
}

func drawTopicID(t *rapid.T) (id model.TopicID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	return id
}

func drawLeader(t *rapid.T) LeaderHint {
	return LeaderHint{
		Known: rapid.Bool().Draw(t, "known"),
		Node:  model.BrokerID(rapid.Int32Range(0, 1<<30).Draw(t, "node")),
		Epoch: model.Epoch(rapid.Int32Range(0, 1<<30).Draw(t, "epoch")),
	}
}

func drawEndpoint() *rapid.Generator[Endpoint] {
	return rapid.Custom(func(t *rapid.T) Endpoint {
		return Endpoint{
			Node: model.BrokerID(rapid.Int32().Draw(t, "node")),
			Host: rapid.StringN(0, 40, 200).Draw(t, "host"),
			Port: rapid.Int32().Draw(t, "port"),
			Rack: rapid.StringN(0, 40, 200).Draw(t, "rack"),
		}
	})
}

func TestProduceWriterAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 64<<10)
	for version := int16(produceVersionMin); version <= produceVersionMax; version++ {
		if n := testing.AllocsPerRun(100, func() { buf = fillProduce(buf[:0], version) }); n != 0 {
			t.Errorf("version %d: %v allocations", version, n)
		}
	}
}

var (
	someName  = []byte("orders")
	someNodes = []Endpoint{{Node: 1, Host: "one.example", Port: 9092}, {Node: 2, Host: "two.example", Port: 9092, Rack: "r2"}}
)

// fillProduce answers eight partitions, one of them with a leader elsewhere.
func fillProduce(buf []byte, version int16) []byte {
	var w ProduceWriter
	w.Start(buf, version, 77, 2)
	for range 2 {
		w.Topic(someName, model.TopicID{1}, 4)
		for i := range int32(4) {
			p := ProduceResult{Index: i, BaseOffset: 1000, AppendTime: -1}
			if i == 3 {
				p = ProduceResult{Index: i, Code: CodeNotLeaderOrFollower, BaseOffset: -1, AppendTime: -1, LogStart: -1,
					Leader: LeaderHint{Known: true, Node: 2, Epoch: 5}}
			}
			w.Partition(&p)
		}
	}
	return w.Finish(0, someNodes)
}

// A count that is not kept would shift every byte behind it, so it stops the process.
func TestWritersHoldTheCallerToItsCounts(t *testing.T) {
	produce := func(topics, parts, written int) func() {
		return func() {
			var w ProduceWriter
			w.Start(nil, 9, 1, topics)
			w.Topic(someName, model.TopicID{}, parts)
			for range written {
				w.Partition(&ProduceResult{})
			}
			w.Finish(0, nil)
		}
	}
	fetch := func(topics, parts, written, records int) func() {
		return func() {
			var w FetchWriter
			w.Start(nil, 9, 1, FetchHead{}, topics)
			w.Topic(someName, model.TopicID{}, parts)
			for range written {
				w.Partition(&FetchResult{}, records)
			}
			w.Finish(nil)
		}
	}
	for name, breaks := range map[string]func(){
		"produce: no topic announced":   produce(0, 0, 0),
		"produce: one topic missing":    produce(2, 1, 1),
		"produce: a partition missing":  produce(1, 2, 1),
		"produce: a partition too many": produce(1, 1, 2),
		"produce: version":              func() { new(ProduceWriter).Start(nil, 2, 1, 0) },
		"fetch: no topic announced":     fetch(0, 0, 0, 0),
		"fetch: one topic missing":      fetch(2, 1, 1, 0),
		"fetch: a partition missing":    fetch(1, 2, 1, 0),
		"fetch: a partition too many":   fetch(1, 1, 2, 0),
		"fetch: negative records":       fetch(1, 1, 1, -1),
		"fetch: over two gigabytes":     fetch(1, 2, 2, 1<<30),
		"fetch: version":                func() { new(FetchWriter).Start(nil, 19, 1, FetchHead{}, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Fatal("went through")
				}
			}()
			breaks()
		})
	}
	produce(1, 1, 1)()
	fetch(1, 1, 1, 10)()
}

// A message that quotes a client can be longer than the protocol's strings; it is cut, and the frame stays whole.
func TestWritersCutTextsThatAreTooLong(t *testing.T) {
	long := strings.Repeat("x", stringBytesMax+10)
	for version := int16(produceErrorRecords); version <= produceVersionMax; version++ {
		topics := []produceTopic{{name: long, parts: []ProduceResult{{Message: long}}}}
		frame := writeProduce(nil, version, 1, topics, 0, []Endpoint{{Host: long, Rack: long}})
		body, err := openFrame(frame, 1, version >= produceFlexible)
		if err != nil {
			t.Fatal(err)
		}
		read := kmsg.NewPtrProduceResponse()
		read.Version = version
		if err := read.ReadFrom(body); err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if got := *read.Topics[0].Partitions[0].ErrorMessage; got != long[:stringBytesMax] {
			t.Errorf("version %d: message of %d bytes", version, len(got))
		}
		if version >= produceLeaderHints && read.Brokers[0].Host != long[:stringBytesMax] {
			t.Errorf("version %d: host of %d bytes", version, len(read.Brokers[0].Host))
		}
	}
}
