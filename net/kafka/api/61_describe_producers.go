package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// DescribeProducers (key 61, KIP-664) lists who has written to a partition with sequence numbers, in order of producer id, so that
// transactions left open can be found. Version 0 is the only one.

func (d *Desk) describeProducers(t *shard.Turn, r *conn.Request, req *kmsg.DescribeProducersRequest) {
	resp := kmsg.NewPtrDescribeProducersResponse()
	resp.Topics = make([]kmsg.DescribeProducersResponseTopic, len(req.Topics))
	var slots []*kmsg.DescribeProducersResponseTopicPartition
	q := &questions{left: 1}
	q.each = func(a *partition.QueryAsk) { d.producersAnswer(slots[a.Slot], a) }
	q.done = func(t *shard.Turn) { d.answer(t, r, resp) }
	r.FreeBody(t)
	image := d.image()
	for i := range req.Topics {
		name := req.Topics[i].Topic
		topic := image.TopicCalled(name)
		out := &resp.Topics[i]
		*out = kmsg.NewDescribeProducersResponseTopic()
		out.Topic = name
		out.Partitions = make([]kmsg.DescribeProducersResponseTopicPartition, len(req.Topics[i].Partitions))
		for j, index := range req.Topics[i].Partitions {
			o := &out.Partitions[j]
			*o = kmsg.NewDescribeProducersResponseTopicPartition()
			o.Partition = index
			slots = append(slots, o)
			code := wire.CodeNone
			switch invalid := catalog.CheckName(name); {
			case invalid != nil:
				code, o.ErrorMessage = wire.CodeInvalidTopicException, &invalid.Message
			case !d.allowed(r, opRead, onTopic, name):
				code = wire.CodeTopicAuthorizationFailed
			case topic == nil || topic.Partition(index) == nil:
				code, o.ErrorMessage = wire.CodeUnknownTopicOrPartition, kmsg.StringPtr("there is no such topic or partition")
			default:
				d.ask(t, r, q, topic, &partition.QueryAsk{
					Partition: model.Partition{Topic: topic.ID, Index: index},
					Slot:      int32(len(slots) - 1),
					Query:     partition.QueryProducers,
					Epoch:     model.NoEpoch,
				})
				continue
			}
			o.ErrorCode = int16(code)
			d.count(code)
		}
	}
	q.home(t)
}

func (d *Desk) producersAnswer(o *kmsg.DescribeProducersResponseTopicPartition, a *partition.QueryAsk) {
	code := partitionError(a.Code)
	o.ErrorCode = int16(code)
	d.count(code)
	for _, p := range a.Producers {
		active := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		active.ProducerID, active.ProducerEpoch = p.ID, int32(p.Epoch)
		active.LastSequence, active.LastTimestamp = p.LastSequence, p.LastTimestamp
		active.CoordinatorEpoch, active.CurrentTxnStartOffset = p.CoordinatorEpoch, p.TxnFirst
		o.ActiveProducers = append(o.ActiveProducers, active)
	}
}
