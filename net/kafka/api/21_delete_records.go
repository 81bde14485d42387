package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// DeleteRecords (key 21) deletes what lies before an offset, -1 for the high watermark, and answers with the low watermark: the first
// offset every replica still has. A deletion that is answered is stored and survives a power cut; whole segments go from the disk at
// once. Topics that are compacted only, and internal ones, refuse. Versions differ in form alone (2 is flexible).

func (d *Desk) deleteRecords(t *shard.Turn, r *conn.Request, req *kmsg.DeleteRecordsRequest) {
	resp := kmsg.NewPtrDeleteRecordsResponse()
	resp.Topics = make([]kmsg.DeleteRecordsResponseTopic, len(req.Topics))
	var slots []*kmsg.DeleteRecordsResponseTopicPartition
	q := &questions{left: 1}
	q.each = func(a *partition.QueryAsk) {
		o := slots[a.Slot]
		code := partitionError(a.Code)
		o.ErrorCode = int16(code)
		d.count(code)
		if a.Code == partition.OK {
			o.LowWatermark = int64(a.Offset)
		}
	}
	q.done = func(t *shard.Turn) { d.answer(t, r, resp) }
	r.FreeBody(t)
	image := d.image()
	for i := range req.Topics {
		topic := image.TopicCalled(req.Topics[i].Topic)
		out := &resp.Topics[i]
		*out = kmsg.NewDeleteRecordsResponseTopic()
		out.Topic = req.Topics[i].Topic
		out.Partitions = make([]kmsg.DeleteRecordsResponseTopicPartition, len(req.Topics[i].Partitions))
		for j := range out.Partitions {
			p, o := &req.Topics[i].Partitions[j], &out.Partitions[j]
			*o = kmsg.NewDeleteRecordsResponseTopicPartition()
			o.Partition, o.LowWatermark = p.Partition, -1
			slots = append(slots, o)
			code := wire.CodeNone
			switch {
			case !d.allowed(r, opDelete, onTopic, out.Topic):
				code = wire.CodeTopicAuthorizationFailed
			case topic == nil || topic.Partition(p.Partition) == nil:
				code = wire.CodeUnknownTopicOrPartition
			case topic.Internal:
				code = wire.CodeInvalidTopicException
			default:
				d.ask(t, r, q, topic, &partition.QueryAsk{
					Partition: model.Partition{Topic: topic.ID, Index: p.Partition},
					Slot:      int32(len(slots) - 1),
					Query:     partition.QueryTrim,
					Epoch:     model.NoEpoch,
					Before:    model.Offset(p.Offset),
				})
				continue
			}
			o.ErrorCode = int16(code)
			d.count(code)
		}
	}
	q.home(t)
}
