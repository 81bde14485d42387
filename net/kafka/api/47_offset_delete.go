package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/group"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// OffsetDelete (key 47) forgets a group's offsets of topics that no member subscribes to (KIP-496). Version 0 is the only one.

func (d *Desk) offsetDelete(t *shard.Turn, r *conn.Request, req *kmsg.OffsetDeleteRequest) {
	resp := kmsg.NewPtrOffsetDeleteResponse()
	resp.Topics = make([]kmsg.OffsetDeleteResponseTopic, len(req.Topics))
	ask := &group.DeleteOffsets{Common: group.Common{Group: req.Group}}
	r.FreeBody(t)
	slots := [][]*kmsg.OffsetDeleteResponseTopicPartition{} // by topic that is asked
	image := d.image()
	for i := range req.Topics {
		in, out := &req.Topics[i], &resp.Topics[i]
		*out = kmsg.NewOffsetDeleteResponseTopic()
		out.Topic = in.Topic
		out.Partitions = make([]kmsg.OffsetDeleteResponseTopicPartition, len(in.Partitions))
		topic := image.TopicCalled(in.Topic)
		asked := group.DeleteTopic{Topic: in.Topic}
		var outs []*kmsg.OffsetDeleteResponseTopicPartition
		for j := range in.Partitions {
			o := &out.Partitions[j]
			o.Partition = in.Partitions[j].Partition
			code := wire.CodeNone
			switch {
			case topic == nil || topic.Partition(o.Partition) == nil:
				code = wire.CodeUnknownTopicOrPartition
			case !d.allowed(r, opRead, onTopic, in.Topic):
				code = wire.CodeTopicAuthorizationFailed
			default:
				asked.Partitions = append(asked.Partitions, o.Partition)
				outs = append(outs, o)
			}
			o.ErrorCode = int16(code)
			d.count(code)
		}
		if len(outs) > 0 {
			ask.Topics, slots = append(ask.Topics, asked), append(slots, outs)
		}
	}
	d.coordinate(t, r, req.Group, ask, func(t *shard.Turn, code group.Code) {
		if code != group.OK {
			resp.ErrorCode, resp.Topics = d.groupError(code), nil
			d.answer(t, r, resp)
			return
		}
		for i, outs := range slots {
			for _, o := range outs {
				o.ErrorCode = d.groupError(ask.Topics[i].Code)
			}
		}
		d.answer(t, r, resp)
	})
}
