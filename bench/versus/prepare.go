package versus

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
)

// versioned fixes the version of a request.
func versioned[R kmsg.Request](req R, version int16) R {
	req.SetVersion(version)
	return req
}

// topic creates a topic on both sides, and waits until its partitions answer.
func (s *script) topic(name string, partitions int32, configs ...string) {
	s.prepare("create "+name, func(*party) kmsg.Request {
		return versioned(createTopics(newTopic(name, partitions, 1, configs...)), 7)
	}, func(resp kmsg.Response) error {
		for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
			if t.ErrorCode != 0 && codeName(t.ErrorCode) != "TOPIC_ALREADY_EXISTS" {
				return fmt.Errorf("%s", codeName(t.ErrorCode))
			}
		}
		return nil
	})
	s.await(name, partitions)
}

// await waits until every partition of a topic answers.
func (s *script) await(name string, partitions int32) {
	s.prepare("wait for "+name, func(*party) kmsg.Request {
		req := kmsg.NewPtrListOffsetsRequest()
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = name
		for i := range partitions {
			topic.Partitions = append(topic.Partitions, offsetAt(i, -1))
		}
		req.ReplicaID, req.Topics = -1, append(req.Topics, topic)
		return versioned(req, 7)
	}, func(resp kmsg.Response) error {
		for _, p := range resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				return fmt.Errorf("partition %d: %s", p.Partition, codeName(p.ErrorCode))
			}
		}
		return nil
	})
}

// fill appends batches to a partition on both sides.
func (s *script) fill(topic string, partition int32, batches ...[]byte) {
	for _, b := range batches {
		s.prepare("fill "+topic, func(*party) kmsg.Request {
			return versioned(produce(-1, intoTopic(topic, intoPartition(partition, b))), 9)
		}, func(resp kmsg.Response) error {
			if p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
				return fmt.Errorf("%s", codeName(p.ErrorCode))
			}
			return nil
		})
	}
}

// trim deletes the records before an offset on both sides.
func (s *script) trim(topic string, partition int32, before int64) {
	s.prepare("trim "+topic, func(*party) kmsg.Request {
		return versioned(deleteRecords(trimmed(topic, partition, before)), 2)
	}, func(resp kmsg.Response) error {
		if p := resp.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
			return fmt.Errorf("%s", codeName(p.ErrorCode))
		}
		return nil
	})
}

// producer gets a producer id from both sides and keeps it under a name.
func (s *script) producer(name string) {
	for _, p := range s.parties() {
		s.prepareOne(p, "producer id for "+name, versioned(kmsg.NewPtrInitProducerIDRequest(), 4), func(resp kmsg.Response) error {
			r := resp.(*kmsg.InitProducerIDResponse)
			if r.ErrorCode != 0 {
				return fmt.Errorf("%s", codeName(r.ErrorCode))
			}
			p.kept[name] = r.ProducerID
			return nil
		})
	}
}

// batch of n records, a second apart from the script's base time on.
func (s *script) batch(n int, change ...func(b *batch.Builder)) []byte {
	b := batch.NewBuilder()
	for _, f := range change {
		f(b)
	}
	for i := range n {
		b.Add(s.base+int64(i)*1000, fmt.Appendf(nil, "key %d", i), fmt.Appendf(nil, "value %d of %d", i, n),
			batch.RecordHeader{Key: "a", Value: []byte("1")}, batch.RecordHeader{Key: "b"})
	}
	return b.Bytes()
}

func newTopic(name string, partitions int32, replicas int16, configs ...string) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, replicas
	for i := 0; i+1 < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], kmsg.StringPtr(configs[i+1])
		t.Configs = append(t.Configs, c)
	}
	return t
}

// requestMs is the timeout of requests that have one.
const requestMs = 20_000

func createTopics(topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics, req.TimeoutMillis = topics, requestMs
	return req
}

func offsetAt(partition int32, timestamp int64) kmsg.ListOffsetsRequestTopicPartition {
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp = partition, timestamp
	return p
}

func produce(acks int16, topics ...kmsg.ProduceRequestTopic) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = acks, requestMs, topics
	return req
}

func intoTopic(topic string, partitions ...kmsg.ProduceRequestTopicPartition) kmsg.ProduceRequestTopic {
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = topic, partitions
	return t
}

func intoPartition(partition int32, records []byte) kmsg.ProduceRequestTopicPartition {
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	return p
}

func deleteRecords(topics ...kmsg.DeleteRecordsRequestTopic) *kmsg.DeleteRecordsRequest {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Topics, req.TimeoutMillis = topics, requestMs
	return req
}

// trimmed names one partition of a topic to be trimmed, and more as pairs of partition and offset.
func trimmed(topic string, pairs ...any) kmsg.DeleteRecordsRequestTopic {
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = topic
	for i := 0; i+1 < len(pairs); i += 2 {
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Partition, p.Offset = pairs[i].(int32), pairs[i+1].(int64)
		t.Partitions = append(t.Partitions, p)
	}
	return t
}

// ofProducer makes a batch an idempotent producer's.
func ofProducer(id int64, epoch int16, sequence int32) func(b *batch.Builder) {
	return func(b *batch.Builder) { b.ProducerID, b.ProducerEpoch, b.BaseSequence = id, epoch, sequence }
}
