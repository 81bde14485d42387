package main

import (
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestProduceToWhatIsNotThere is what Kafka answers before it looks at a batch.
func TestProduceToWhatIsNotThere(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0, "auto.create.topics.enable=false")
	id := v.topic("t", 2)
	for _, c := range []struct {
		name      string
		version   int16
		acks      int16
		topic     string
		id        [16]byte
		partition int32
		want      int16
	}{
		{"unknown topic", 9, 1, "nothing", [16]byte{}, 0, unknownTopicPartition},
		{"empty topic", 9, 1, "", [16]byte{}, 0, unknownTopicPartition},
		{"illegal topic", 9, 1, "../t", [16]byte{}, 0, unknownTopicPartition},
		{"unknown partition", 9, 1, "t", [16]byte{}, 2, unknownTopicPartition},
		{"negative partition", 9, 1, "t", [16]byte{}, -1, unknownTopicPartition},
		{"least partition", 9, 1, "t", [16]byte{}, math.MinInt32, unknownTopicPartition},
		{"largest partition", 9, 1, "t", [16]byte{}, math.MaxInt32, unknownTopicPartition},
		{"unknown id", 13, 1, "", [16]byte{1, 2, 3}, 0, unknownTopicID},
		{"no id", 13, 1, "", [16]byte{}, 0, unknownTopicID},
		{"known id, unknown partition", 13, 1, "", id, 2, unknownTopicPartition},
		{"acks 2", 9, 2, "t", id, 0, invalidRequiredAcks},
		{"acks -2", 9, -2, "t", id, 0, invalidRequiredAcks},
		{"acks that are 0 in eight bits", 9, 256, "t", id, 0, invalidRequiredAcks},
		{"acks that are -1 in eight bits", 9, 255, "t", id, 0, invalidRequiredAcks},
		{"acks that are 1 in eight bits", 9, -255, "t", id, 0, invalidRequiredAcks},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := v.dial()
			defer p.Close()
			req := produceRequest(c.topic, c.partition, aBatch(1, 10))
			req.Topics[0].TopicID, req.Acks = c.id, c.acks
			req.SetVersion(c.version)
			resp, err := p.try(req)
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]; got.ErrorCode != c.want || got.Partition != c.partition {
				t.Errorf("partition %d: error %d, want %d", got.Partition, got.ErrorCode, c.want)
			}
		})
	}
	if end := v.end("t", 0); end != 0 {
		t.Errorf("%d records were stored", end)
	}
}

func TestFetchOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0, "auto.create.topics.enable=false")
	id := v.topic("t", 2)
	p := v.dial()
	defer p.Close()
	p.ask(produceRequest("t", 0, aBatch(3, 20)))
	for _, c := range []struct {
		name    string
		version int16
		want    int16
		change  func(r *kmsg.FetchRequest, part *kmsg.FetchRequestTopicPartition)
	}{
		{"all well", 12, okNone, func(*kmsg.FetchRequest, *kmsg.FetchRequestTopicPartition) {}},
		{"unknown topic", 12, unknownTopicPartition, func(r *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { r.Topics[0].Topic = "nothing" }},
		{"unknown id", 13, unknownTopicID, func(r *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { r.Topics[0].TopicID = [16]byte{9} }},
		{"unknown partition", 12, unknownTopicPartition, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.Partition = 7 }},
		{"negative partition", 12, unknownTopicPartition, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.Partition = -7 }},
		{"unknown partition of a known id", 13, unknownTopicPartition, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.Partition = 7 }},
		{"epoch of the future", 12, unknownLeaderEpoch, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = 99 }},
		{"largest epoch", 12, unknownLeaderEpoch, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = math.MaxInt32 }},
		{"an epoch below none", 12, okNone, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = -2 }},
		{"beyond the end", 12, offsetOutOfRange, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.FetchOffset = 4 }},
		{"largest offset", 12, offsetOutOfRange, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.FetchOffset = math.MaxInt64 }},
		{"negative offset", 12, offsetOutOfRange, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.FetchOffset = -1 }},
		{"negative limits", 12, okNone, func(r *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) {
			p.PartitionMaxBytes, r.MaxBytes, r.MinBytes, r.MaxWaitMillis = math.MinInt32, math.MinInt32, math.MinInt32, math.MinInt32
		}},
		{"largest limits", 12, okNone, func(r *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) {
			p.PartitionMaxBytes, r.MaxBytes = math.MaxInt32, math.MaxInt32
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := fetchRequest("t", 0, 0, 1<<16)
			req.Topics[0].TopicID = id
			req.SetVersion(c.version)
			c.change(req, &req.Topics[0].Partitions[0])
			p := v.dial()
			defer p.Close()
			resp, err := p.try(req)
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]; got.ErrorCode != c.want {
				t.Errorf("error %d, want %d", got.ErrorCode, c.want)
			}
		})
	}
	for _, c := range []struct {
		name      string
		id, epoch int32
		want      int16
	}{
		{"a session never opened", 12345, 1, sessionIDNotFound},
		{"no session with an epoch", 0, 5, sessionIDNotFound},
		{"negative id", -1, 1, sessionIDNotFound},
		{"negative epoch", 1 << 30, -5, sessionIDNotFound},
	} {
		req := fetchRequest("t", 0, 0, 1<<16)
		req.SessionID, req.SessionEpoch = c.id, c.epoch
		if got := p.ask(req).(*kmsg.FetchResponse); got.ErrorCode != c.want {
			t.Errorf("%s: error %d, want %d", c.name, got.ErrorCode, c.want)
		}
	}
	open := fetchRequest("t", 0, 0, 1<<16)
	open.SessionEpoch = 0
	first := p.ask(open).(*kmsg.FetchResponse)
	open.SessionID, open.SessionEpoch = first.SessionID, 9
	if got := p.ask(open).(*kmsg.FetchResponse); first.SessionID == 0 || got.ErrorCode != invalidSessionEpoch {
		t.Errorf("epoch 9 after 0 of session %d: error %d, want %d", first.SessionID, got.ErrorCode, invalidSessionEpoch)
	}
}

func TestQuestionsAboutWhatIsNotThere(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0)
	v.topic("t", 2)
	p := v.dial()
	defer p.Close()
	for _, c := range []struct {
		name      string
		topic     string
		partition int32
		time      int64
		epoch     int32
		want      int16
	}{
		{"unknown topic", "nothing", 0, -1, -1, unknownTopicPartition},
		{"unknown partition", "t", 2, -1, -1, unknownTopicPartition},
		{"negative partition", "t", -2, -1, -1, unknownTopicPartition},
		{"epoch of the future", "t", 0, -1, 9, unknownLeaderEpoch},
		{"epoch of the past", "t", 0, -1, -2, fencedLeaderEpoch},
		{"a special time of a later version", "t", 0, -4, -1, 35},
		{"a time nobody defined", "t", 0, -77, -1, 35},
		{"least time", "t", 0, math.MinInt64, -1, 35},
	} {
		req := offsetsRequest(c.topic, c.partition, c.time)
		req.Topics[0].Partitions[0].CurrentLeaderEpoch = c.epoch
		if got := p.ask(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]; got.ErrorCode != c.want {
			t.Errorf("offsets, %s: error %d, want %d", c.name, got.ErrorCode, c.want)
		}
		if c.time != -1 {
			continue
		}
		ends := aRequest(23, 4, c.topic, [16]byte{}).(*kmsg.OffsetForLeaderEpochRequest)
		ends.Topics[0].Partitions[0].Partition, ends.Topics[0].Partitions[0].CurrentLeaderEpoch = c.partition, c.epoch
		if got := p.ask(ends).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]; got.ErrorCode != c.want {
			t.Errorf("epoch ends, %s: error %d, want %d", c.name, got.ErrorCode, c.want)
		}
	}
	// Kafka refuses a partition that is named twice.
	twice := offsetsRequest("t", 0, -1)
	twice.Topics[0].Partitions = append(twice.Topics[0].Partitions, twice.Topics[0].Partitions[0])
	for _, got := range p.ask(twice).(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
		if got.ErrorCode != invalidRequest {
			t.Errorf("offsets of a partition named twice: error %d, want %d", got.ErrorCode, invalidRequest)
		}
	}
}

func TestTopicsThatCannotBe(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0)
	v.topic("t", 2)
	p := v.dial()
	defer p.Close()
	for _, c := range []struct {
		name     string
		topic    string
		parts    int32
		replicas int16
		config   string
		want     int16
	}{
		{"exists", "t", 1, 1, "", topicExists},
		{"no name", "", 1, 1, "", invalidTopic},
		{"dot", ".", 1, 1, "", invalidTopic},
		{"dots", "..", 1, 1, "", invalidTopic},
		{"path", "../../etc", 1, 1, "", invalidTopic},
		{"zero byte", "a\x00b", 1, 1, "", invalidTopic},
		{"too long", strings.Repeat("x", 250), 1, 1, "", invalidTopic},
		{"no partitions", "new", 0, 1, "", invalidPartitions},
		{"negative partitions", "new", -2, 1, "", invalidPartitions},
		{"largest number of partitions", "new", math.MaxInt32, 1, "", policyViolation},
		{"no replicas", "new", 1, 0, "", invalidReplication},
		{"more replicas than brokers", "new", 1, math.MaxInt16, "", invalidReplication},
		{"unknown config", "new", 1, 1, "no.such=1", invalidConfig},
		{"config of the wrong type", "new", 1, 1, "retention.ms=soon", invalidConfig},
		{"config out of range", "new", 1, 1, "segment.bytes=-1", invalidConfig},
	} {
		for _, validate := range []bool{true, false} {
			req := aRequest(19, 7, c.topic, [16]byte{}).(*kmsg.CreateTopicsRequest)
			req.ValidateOnly = validate
			topic := &req.Topics[0]
			topic.NumPartitions, topic.ReplicationFactor, topic.Configs = c.parts, c.replicas, nil
			if key, value, ok := strings.Cut(c.config, "="); ok {
				entry := kmsg.NewCreateTopicsRequestTopicConfig()
				entry.Name, entry.Value = key, &value
				topic.Configs = append(topic.Configs, entry)
			}
			if got := p.ask(req).(*kmsg.CreateTopicsResponse).Topics[0]; got.ErrorCode != c.want {
				t.Errorf("%s (validate only %t): error %d %s, want %d", c.name, validate, got.ErrorCode, text(got.ErrorMessage), c.want)
			}
		}
	}
	twice := aRequest(19, 7, "twice", [16]byte{}).(*kmsg.CreateTopicsRequest)
	twice.ValidateOnly = false
	twice.Topics = append(twice.Topics, twice.Topics[0])
	for _, got := range p.ask(twice).(*kmsg.CreateTopicsResponse).Topics {
		if got.ErrorCode != invalidRequest {
			t.Errorf("create a topic named twice: error %d, want %d", got.ErrorCode, invalidRequest)
		}
	}
	remove := aRequest(20, 6, "", [16]byte{}).(*kmsg.DeleteTopicsRequest)
	remove.Topics[0].Topic = new("t")
	remove.Topics = append(remove.Topics, remove.Topics[0])
	for _, got := range p.ask(remove).(*kmsg.DeleteTopicsResponse).Topics {
		if got.ErrorCode != invalidRequest {
			t.Errorf("delete a topic named twice: error %d, want %d", got.ErrorCode, invalidRequest)
		}
	}
	if end := v.end("t", 1); end != 0 {
		t.Errorf("log end is %d", end)
	}
}
