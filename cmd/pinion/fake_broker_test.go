package main

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fakeBroker answers just enough of the protocol to try the client's verbs: one node, topics in memory, batches kept as they came.
type fakeBroker struct {
	t        *testing.T
	listener net.Listener
	mu       sync.Mutex
	topics   map[string]*fakeTopic
	created  int
	asked    []kmsg.Request
}

type fakeTopic struct {
	id         [16]byte
	partitions []fakePartition
}

type fakePartition struct {
	batches [][]byte
	end     int64
}

// fakeVersions are the highest versions answered; ids as topic addresses (Fetch 13, Produce 13) are left out.
var fakeVersions = map[int16]int16{0: 9, 1: 12, 2: 6, 3: 12, 18: 3, 19: 7, 20: 5, 21: 2, 22: 4, 32: 4, 35: 4, 37: 3, 44: 1}

func newFakeBroker(t *testing.T) *fakeBroker {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &fakeBroker{t: t, listener: listener, topics: map[string]*fakeTopic{}}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go b.serve(conn)
		}
	}()
	return b
}

func (b *fakeBroker) address() string { return b.listener.Addr().String() }

func (b *fakeBroker) add(name string, partitions int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.created++
	b.topics[name] = &fakeTopic{id: [16]byte{15: byte(b.created)}, partitions: make([]fakePartition, partitions)}
}

func (b *fakeBroker) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, frame); err != nil {
			return
		}
		reader := kbin.Reader{Src: frame}
		key, version, correlation := reader.Int16(), reader.Int16(), reader.Int32()
		reader.NullableString() // client id
		request := kmsg.RequestForKey(key)
		request.SetVersion(version)
		if request.IsFlexible() {
			kmsg.SkipTags(&reader)
		}
		if err := request.ReadFrom(reader.Src); err != nil {
			b.t.Errorf("request %d v%d: %v", key, version, err)
			return
		}
		response := b.answer(request)
		if response == nil { // acks=0
			continue
		}
		response.SetVersion(version)
		reply := binary.BigEndian.AppendUint32(make([]byte, 4, 100), uint32(correlation))
		if response.IsFlexible() && key != 18 {
			reply = append(reply, 0)
		}
		reply = response.AppendTo(reply)
		binary.BigEndian.PutUint32(reply, uint32(len(reply)-4))
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}

func (b *fakeBroker) answer(request kmsg.Request) kmsg.Response {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, request)
	switch r := request.(type) {
	case *kmsg.ApiVersionsRequest:
		response := kmsg.NewPtrApiVersionsResponse()
		for key, version := range fakeVersions {
			response.ApiKeys = append(response.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: key, MaxVersion: version})
		}
		return response
	case *kmsg.MetadataRequest:
		return b.metadata(r)
	case *kmsg.CreateTopicsRequest:
		return b.create(r)
	case *kmsg.DeleteTopicsRequest:
		response := kmsg.NewPtrDeleteTopicsResponse()
		for i := range r.TopicNames {
			topic := kmsg.NewDeleteTopicsResponseTopic()
			topic.Topic = &r.TopicNames[i]
			delete(b.topics, r.TopicNames[i])
			response.Topics = append(response.Topics, topic)
		}
		return response
	case *kmsg.InitProducerIDRequest:
		response := kmsg.NewPtrInitProducerIDResponse()
		response.ProducerID = 1
		return response
	case *kmsg.ProduceRequest:
		return b.produce(r)
	case *kmsg.ListOffsetsRequest:
		return b.offsets(r)
	case *kmsg.FetchRequest:
		return b.fetch(r)
	}
	return b.administer(request)
}

// administer says yes to what changes a topic and has nothing to describe: a real broker is asked in live_test.go.
func (b *fakeBroker) administer(request kmsg.Request) kmsg.Response {
	switch r := request.(type) {
	case *kmsg.DescribeLogDirsRequest:
		response := kmsg.NewPtrDescribeLogDirsResponse()
		response.Dirs = []kmsg.DescribeLogDirsResponseDir{{Dir: "/data"}}
		return response
	case *kmsg.DescribeConfigsRequest:
		response := kmsg.NewPtrDescribeConfigsResponse()
		for _, in := range r.Resources {
			response.Resources = append(response.Resources, kmsg.DescribeConfigsResponseResource{ResourceType: in.ResourceType, ResourceName: in.ResourceName})
		}
		return response
	case *kmsg.IncrementalAlterConfigsRequest:
		response := kmsg.NewPtrIncrementalAlterConfigsResponse()
		for _, in := range r.Resources {
			response.Resources = append(response.Resources, kmsg.IncrementalAlterConfigsResponseResource{ResourceType: in.ResourceType, ResourceName: in.ResourceName})
		}
		return response
	case *kmsg.CreatePartitionsRequest:
		response := kmsg.NewPtrCreatePartitionsResponse()
		for _, in := range r.Topics {
			response.Topics = append(response.Topics, kmsg.CreatePartitionsResponseTopic{Topic: in.Topic})
		}
		return response
	case *kmsg.DeleteRecordsRequest:
		response := kmsg.NewPtrDeleteRecordsResponse()
		for _, in := range r.Topics {
			topic := kmsg.DeleteRecordsResponseTopic{Topic: in.Topic}
			for _, p := range in.Partitions {
				topic.Partitions = append(topic.Partitions, kmsg.DeleteRecordsResponseTopicPartition{Partition: p.Partition, LowWatermark: p.Offset})
			}
			response.Topics = append(response.Topics, topic)
		}
		return response
	}
	b.t.Errorf("nobody answers %T", request)
	return nil
}

func (b *fakeBroker) metadata(r *kmsg.MetadataRequest) kmsg.Response {
	response := kmsg.NewPtrMetadataResponse()
	address := b.listener.Addr().(*net.TCPAddr)
	node := kmsg.NewMetadataResponseBroker()
	node.NodeID, node.Host, node.Port = 1, "127.0.0.1", int32(address.Port)
	response.Brokers = append(response.Brokers, node)
	response.ControllerID = 1
	names := []string{}
	for _, topic := range r.Topics {
		if topic.Topic != nil {
			names = append(names, *topic.Topic)
		}
	}
	if r.Topics == nil {
		for name := range b.topics {
			names = append(names, name)
		}
	}
	for _, name := range names {
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = &name
		have := b.topics[name]
		if have == nil {
			topic.ErrorCode = 3
			response.Topics = append(response.Topics, topic)
			continue
		}
		topic.TopicID = have.id
		for i := range have.partitions {
			partition := kmsg.NewMetadataResponseTopicPartition()
			partition.Partition, partition.Leader, partition.Replicas, partition.ISR = int32(i), 1, []int32{1}, []int32{1}
			topic.Partitions = append(topic.Partitions, partition)
		}
		response.Topics = append(response.Topics, topic)
	}
	return response
}

func (b *fakeBroker) create(r *kmsg.CreateTopicsRequest) kmsg.Response {
	response := kmsg.NewPtrCreateTopicsResponse()
	for _, want := range r.Topics {
		topic := kmsg.NewCreateTopicsResponseTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = want.Topic, max(want.NumPartitions, 1), 1
		switch {
		case b.topics[want.Topic] != nil:
			topic.ErrorCode = 36
		case len(want.Configs) > 0 && want.Configs[0].Name == "bogus":
			topic.ErrorCode = 40
			message := "Unknown topic config name: bogus"
			topic.ErrorMessage = &message
		case !r.ValidateOnly:
			b.created++
			b.topics[want.Topic] = &fakeTopic{id: [16]byte{15: byte(b.created)}, partitions: make([]fakePartition, topic.NumPartitions)}
			topic.TopicID = b.topics[want.Topic].id
		}
		response.Topics = append(response.Topics, topic)
	}
	return response
}

func (b *fakeBroker) produce(r *kmsg.ProduceRequest) kmsg.Response {
	response := kmsg.NewPtrProduceResponse()
	for _, topic := range r.Topics {
		answer := kmsg.NewProduceResponseTopic()
		answer.Topic = topic.Topic
		for _, p := range topic.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition = p.Partition
			have := &b.topics[topic.Topic].partitions[p.Partition]
			batch := append([]byte(nil), p.Records...)
			binary.BigEndian.PutUint64(batch, uint64(have.end))
			partition.BaseOffset = have.end
			have.end += int64(binary.BigEndian.Uint32(batch[23:])) + 1
			have.batches = append(have.batches, batch)
			answer.Partitions = append(answer.Partitions, partition)
		}
		response.Topics = append(response.Topics, answer)
	}
	if r.Acks == 0 {
		return nil
	}
	return response
}

func (b *fakeBroker) offsets(r *kmsg.ListOffsetsRequest) kmsg.Response {
	response := kmsg.NewPtrListOffsetsResponse()
	for _, topic := range r.Topics {
		answer := kmsg.NewListOffsetsResponseTopic()
		answer.Topic = topic.Topic
		for _, p := range topic.Partitions {
			partition := kmsg.NewListOffsetsResponseTopicPartition()
			partition.Partition, partition.Offset = p.Partition, 0
			switch {
			case p.Timestamp == -1:
				partition.Offset = b.topics[topic.Topic].partitions[p.Partition].end
			case p.Timestamp > 0:
				partition.Offset = -1 // nothing as late
			}
			answer.Partitions = append(answer.Partitions, partition)
		}
		response.Topics = append(response.Topics, answer)
	}
	return response
}

func (b *fakeBroker) fetch(r *kmsg.FetchRequest) kmsg.Response {
	response := kmsg.NewPtrFetchResponse()
	for _, topic := range r.Topics {
		answer := kmsg.NewFetchResponseTopic()
		answer.Topic = topic.Topic
		for _, p := range topic.Partitions {
			partition := kmsg.NewFetchResponseTopicPartition()
			have := &b.topics[topic.Topic].partitions[p.Partition]
			partition.Partition, partition.HighWatermark, partition.LastStableOffset = p.Partition, have.end, have.end
			for _, batch := range have.batches {
				last := int64(binary.BigEndian.Uint64(batch)) + int64(binary.BigEndian.Uint32(batch[23:]))
				if last >= p.FetchOffset {
					partition.RecordBatches = append(partition.RecordBatches, batch...)
				}
			}
			answer.Partitions = append(answer.Partitions, partition)
		}
		response.Topics = append(response.Topics, answer)
	}
	return response
}
