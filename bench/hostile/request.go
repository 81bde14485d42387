package hostile

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
	"pinion/disk/codec"
	"pinion/net/kafka/wire"
)

// Topics of a campaign. Mutants read and write the first three; names differ in more than a mutation changes.
const (
	topicSource = "source"  // holds records that nobody changes
	topicSink   = "sink"    // takes what mutants produce
	topicTrim   = "trimmed" // gives its records up to DeleteRecords
	topicHonest = "witness" // belongs to the honest client

	partitions = 2
)

// Stand-ins for what only a running broker knows; put in place before a stream is sent, so that mutation does not depend on it.
var (
	sourceID  = [16]byte([]byte("id of the source"))
	sinkID    = [16]byte([]byte("this is the sink"))
	sessionID = int32(0x5e551047)
)

// recordTime is the timestamp of every record of a mutant: nothing that is sent may depend on the clock.
const recordTime = 1_700_000_000_000

// named is what a key's requests are about: what may be changed by a mutant that is understood is a topic that is not there.
var named = map[int16]string{
	wire.KeyProduce: topicSink, wire.KeyDeleteRecords: topicTrim, wire.KeyCreateTopics: "invented",
	wire.KeyDeleteTopics: "absent", wire.KeyAlterConfigs: "absent", wire.KeyIncrementalAlterConfigs: "absent", wire.KeyCreatePartitions: "absent",
}

// requests are meaningful requests of a key and version. A key without a case below is filled in by the types of its fields.
func requests(key, version int16) (list []kmsg.Request) {
	switch key {
	case wire.KeyProduce:
		list = produces()
	case wire.KeyFetch:
		list = fetches()
	default:
		list = append(list, filled(key, 1), filled(key, 3))
	}
	for _, req := range list {
		req.SetVersion(version)
	}
	return list
}

// filled is a request with n elements in every array.
func filled(key int16, n int) kmsg.Request {
	req := kmsg.RequestForKey(key)
	name := named[key]
	if name == "" {
		name = topicSource
	}
	fill(reflect.ValueOf(req).Elem(), name, n)
	switch req := req.(type) {
	case *kmsg.CreateTopicsRequest:
		req.ValidateOnly = true
		for i := range req.Topics {
			if n == 1 {
				req.Topics[i].ReplicaAssignment = nil
				req.Topics[i].NumPartitions, req.Topics[i].ReplicationFactor = 2, 1
			}
		}
	case *kmsg.CreatePartitionsRequest:
		req.ValidateOnly = true
	case *kmsg.AlterConfigsRequest:
		req.ValidateOnly = true
	case *kmsg.IncrementalAlterConfigsRequest:
		req.ValidateOnly = true
	case *kmsg.MetadataRequest:
		for i := range req.Topics {
			req.Topics[i].TopicID = [16]byte{}
		}
	case *kmsg.DeleteTopicsRequest:
		for i := range req.Topics {
			req.Topics[i].TopicID = [16]byte{}
		}
	case *kmsg.ApiVersionsRequest:
		req.ClientSoftwareName, req.ClientSoftwareVersion = "hostile", "1.0"
	case *kmsg.DescribeTopicPartitionsRequest:
		req.ResponsePartitionLimit = 100
		if n == 1 {
			req.Cursor = nil
		}
	}
	return req
}

// fill gives every field a value: texts by the field's name, arrays n elements, numbers what kmsg thinks is usual.
func fill(v reflect.Value, name string, n int) {
	if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
	for i := range v.NumField() {
		field, called := v.Field(i), v.Type().Field(i).Name
		if called == "Version" || called == "UnknownTags" {
			continue
		}
		fillField(field, called, name, n)
	}
}

func fillField(v reflect.Value, called, name string, n int) {
	switch v.Kind() {
	case reflect.Struct:
		fill(v, name, n)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillField(v.Elem(), called, name, n)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("bytes"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			each := name
			if i > 0 {
				each = fmt.Sprint(name, i)
			}
			fillField(v.Index(i), called, each, n)
		}
	case reflect.String:
		v.SetString(textFor(called, name))
	case reflect.Array:
		if strings.HasSuffix(called, "ID") {
			v.Set(reflect.ValueOf(sourceID))
		}
	case reflect.Int8:
		if called == "ResourceType" {
			v.SetInt(int64(kmsg.ConfigResourceTypeTopic))
		}
	}
}

func textFor(called, name string) string {
	switch {
	case strings.HasPrefix(called, "Config") || called == "Name":
		return "retention.ms"
	case called == "Value":
		return "604800000"
	default:
		return name
	}
}

// aBatch is one batch of a few records.
func aBatch(change func(b *batch.Builder)) []byte {
	b := batch.NewBuilder()
	change(b)
	for i := range 4 {
		b.Add(recordTime+int64(i), []byte("key"), bytes.Repeat([]byte{'v'}, 10*i), batch.RecordHeader{Key: "h", Value: []byte("value")})
	}
	out, err := b.Append(nil)
	if err != nil {
		panic(err) // the builder's own levels are always good
	}
	return out
}

// produces are batches of every codec, of an idempotent and of a transactional producer, to one and to several partitions.
func produces() (list []kmsg.Request) {
	add := func(acks int16, batches ...[]byte) {
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = acks, 1000
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic, topic.TopicID = topicSink, sinkID
		for i, records := range batches {
			part := kmsg.NewProduceRequestTopicPartition()
			part.Partition, part.Records = int32(i), records
			topic.Partitions = append(topic.Partitions, part)
		}
		req.Topics = append(req.Topics, topic)
		list = append(list, req)
	}
	for _, c := range []codec.Codec{codec.None, codec.Gzip, codec.Snappy, codec.LZ4, codec.Zstd} {
		add(1, aBatch(func(b *batch.Builder) { b.Codec = c }))
	}
	plain := aBatch(func(*batch.Builder) {})
	add(0, plain)
	add(-1, plain, plain)
	add(-1, aBatch(func(b *batch.Builder) { b.ProducerID, b.ProducerEpoch, b.BaseSequence = 4000, 0, 0 }))
	add(-1, aBatch(func(b *batch.Builder) {
		b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.Transactional = 4000, 0, 0, true
	}))
	list[len(list)-1].(*kmsg.ProduceRequest).TransactionID = new("transaction")
	return list
}

// fetches are without a session, opening one, and within one.
func fetches() (list []kmsg.Request) {
	add := func(session, epoch int32, n int32) {
		req := kmsg.NewPtrFetchRequest()
		req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = -1, 0, 1, 1<<16
		req.SessionID, req.SessionEpoch = session, epoch
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic, topic.TopicID = topicSource, sourceID
		for i := range n {
			part := kmsg.NewFetchRequestTopicPartition()
			part.Partition, part.PartitionMaxBytes = i, 1<<12
			part.CurrentLeaderEpoch, part.LastFetchedEpoch, part.LogStartOffset = -1, -1, -1
			topic.Partitions = append(topic.Partitions, part)
		}
		req.Topics = append(req.Topics, topic)
		if epoch > 0 {
			forgotten := kmsg.NewFetchRequestForgottenTopic()
			forgotten.Topic, forgotten.TopicID, forgotten.Partitions = topicSource, sourceID, []int32{1, 2}
			req.ForgottenTopics = append(req.ForgottenTopics, forgotten)
		}
		list = append(list, req)
	}
	add(0, -1, 1)
	add(0, -1, 3)
	add(0, 0, 2)
	add(sessionID, 1, 1)
	add(sessionID, -1, 1)
	return list
}
