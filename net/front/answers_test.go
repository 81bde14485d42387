package front

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// The errors of a fetch carry no marks; any negative epoch is none, and an epoch that never was is out of range.
func TestFetchAnswersOddPlacesAsKafka(t *testing.T) {
	n := startNode(t, 1)
	c := n.dial()
	topic := n.create("odd", 1, nil)
	c.produced(at{topic: topic, records: records(1, 5, 20)})
	ask := func(change func(p *kmsg.FetchRequestTopicPartition)) kmsg.FetchResponseTopicPartition {
		req := fetchRequest(0, 1, 1<<20, at{topic: topic, max: 1 << 20})
		change(&req.Topics[0].Partitions[0])
		return fetched(c.call(req, fetchVersion))[0]
	}
	for name, change := range map[string]func(p *kmsg.FetchRequestTopicPartition){
		"behind the end":     func(p *kmsg.FetchRequestTopicPartition) { p.FetchOffset = 6 },
		"last fetched ahead": func(p *kmsg.FetchRequestTopicPartition) { p.LastFetchedEpoch, p.FetchOffset = 7, 3 },
	} {
		p := ask(change)
		if p.ErrorCode != int16(wire.CodeOffsetOutOfRange) || p.HighWatermark != -1 || p.LastStableOffset != -1 || p.LogStartOffset != -1 || p.DivergingEpoch.Epoch != -1 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	p := ask(func(p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch, p.LastFetchedEpoch = -2, -2 })
	if p.ErrorCode != 0 || p.HighWatermark != 5 || len(p.RecordBatches) == 0 {
		t.Errorf("epochs of -2: %+v", p)
	}
}

// The leader's epoch begins where it took over, before anything is written; special timestamps that no version has are refused.
func TestListOffsetsOfAnEmptyPartition(t *testing.T) {
	n := startNode(t, 1)
	c := n.dial()
	topic := n.create("empty", 1, nil)
	for timestamp, want := range map[int64]struct {
		code   wire.ErrorCode
		epoch  int32
		offset int64
	}{-2: {0, 0, 0}, -1: {0, 0, 0}, -7: {wire.CodeUnsupportedVersion, -1, -1}, -1000: {wire.CodeUnsupportedVersion, -1, -1}} {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = timestamp
		in := kmsg.NewListOffsetsRequestTopic()
		in.Topic, in.Partitions = topic.Name, append(in.Partitions, p)
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID, req.Topics = -1, append(req.Topics, in)
		got := c.call(req, 11).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		if got.ErrorCode != int16(want.code) || got.LeaderEpoch != want.epoch || got.Offset != want.offset {
			t.Errorf("timestamp %d: %+v", timestamp, got)
		}
	}
}

// A topic named by its id and by its name is named twice, and stays.
func TestDeleteTopicsTakesNameAndIDForOneTopic(t *testing.T) {
	n := startNode(t, 1)
	c := n.dial()
	topic := n.create("both", 1, nil)
	byName, byID := kmsg.NewDeleteTopicsRequestTopic(), kmsg.NewDeleteTopicsRequestTopic()
	byName.Topic, byID.TopicID = &topic.Name, topic.ID
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis, req.Topics = 5000, append(req.Topics, byName, byID)
	for _, got := range c.call(req, 6).(*kmsg.DeleteTopicsResponse).Topics {
		if got.ErrorCode != int16(wire.CodeInvalidRequest) {
			t.Errorf("%+v", got)
		}
	}
	req.Topics = req.Topics[1:]
	if got := c.call(req, 6).(*kmsg.DeleteTopicsResponse).Topics[0]; got.ErrorCode != 0 {
		t.Errorf("by id alone: %+v", got)
	}
}

// An id needs its epoch, and an epoch its id.
func TestInitProducerIDRefusesHalfAnIdentity(t *testing.T) {
	n := startNode(t, 1)
	c := n.dial()
	for _, half := range []struct {
		id    int64
		epoch int16
	}{{7, -1}, {-1, 3}} {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.ProducerID, req.ProducerEpoch = half.id, half.epoch
		if got := c.call(req, 5).(*kmsg.InitProducerIDResponse); got.ErrorCode != int16(wire.CodeInvalidRequest) {
			t.Errorf("%+v: %+v", half, got)
		}
	}
}

// Versions 10 and 11 carry ids and cannot look them up.
func TestMetadataLooksUpIDsFromVersion12On(t *testing.T) {
	n := startNode(t, 1)
	c := n.dial()
	topic := n.create("by-id", 1, nil)
	for version, want := range map[int16]wire.ErrorCode{11: wire.CodeInvalidRequest, 12: 0} {
		in := kmsg.NewMetadataRequestTopic()
		in.TopicID = topic.ID
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = append(req.Topics, in)
		if got := c.call(req, version).(*kmsg.MetadataResponse).Topics[0]; got.ErrorCode != int16(want) {
			t.Errorf("version %d: %+v", version, got)
		}
	}
}
