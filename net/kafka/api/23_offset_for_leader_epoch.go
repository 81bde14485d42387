package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// OffsetForLeaderEpoch (key 23) tells where a leader epoch ends in the log: the largest epoch not above the one asked for, and the
// offset behind its last record (KIP-101, KIP-279). Consumers use it to see that a log was cut under them (KIP-320). Versions 2 to
// 4 differ only in the replica id (3) and in being flexible (4).

func (d *Desk) epochEnds(t *shard.Turn, r *conn.Request, req *kmsg.OffsetForLeaderEpochRequest) {
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	resp.Topics = make([]kmsg.OffsetForLeaderEpochResponseTopic, len(req.Topics))
	var slots []*kmsg.OffsetForLeaderEpochResponseTopicPartition
	q := &questions{left: 1}
	q.each = func(a *partition.QueryAsk) {
		o := slots[a.Slot]
		code := partitionError(a.Code)
		o.ErrorCode = int16(code)
		d.count(code)
		if a.Code == partition.OK {
			o.LeaderEpoch, o.EndOffset = int32(a.LeaderEpoch), int64(a.Offset)
		}
	}
	q.done = func(t *shard.Turn) { d.answer(t, r, resp) }
	r.FreeBody(t)
	image := d.image()
	for i := range req.Topics {
		topic := image.TopicCalled(req.Topics[i].Topic)
		out := &resp.Topics[i]
		*out = kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic = req.Topics[i].Topic
		out.Partitions = make([]kmsg.OffsetForLeaderEpochResponseTopicPartition, len(req.Topics[i].Partitions))
		for j := range out.Partitions {
			p, o := &req.Topics[i].Partitions[j], &out.Partitions[j]
			*o = kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			o.Partition, o.LeaderEpoch, o.EndOffset = p.Partition, -1, -1
			slots = append(slots, o)
			if topic == nil || topic.Partition(p.Partition) == nil {
				o.ErrorCode = int16(wire.CodeUnknownTopicOrPartition)
				d.count(wire.CodeUnknownTopicOrPartition)
				continue
			}
			if !d.allowed(r, opDescribe, onTopic, topic.Name) {
				o.ErrorCode = int16(wire.CodeTopicAuthorizationFailed)
				continue
			}
			d.ask(t, r, q, topic, &partition.QueryAsk{
				Partition: model.Partition{Topic: topic.ID, Index: p.Partition},
				Slot:      int32(len(slots) - 1),
				Query:     partition.QueryEpochEnd,
				Epoch:     model.Epoch(p.CurrentLeaderEpoch),
				Ending:    model.Epoch(p.LeaderEpoch),
			})
		}
	}
	q.home(t)
}
