package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/group"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// OffsetFetch (key 9) reads committed offsets. One that is not there is -1, without an error, and so are all of a group that is not
// there. Version 2 takes null for all topics and has an error for the whole, 5 the leader epoch, 7 waits for commits under way (KIP-447), 8
// asks for several groups at once (KIP-709), 9 names the member, 10 topics by id alone.

// Versions that change what is asked.
const (
	offsetsErrorFrom  = 2
	offsetsGroupsFrom = 8
	offsetsByIDFrom   = 10
)

// offsetsCall is a request on its way through the coordinators of its groups.
type offsetsCall struct {
	desk *Desk
	r    *conn.Request
	resp *kmsg.OffsetFetchResponse
	left int
}

func (d *Desk) offsetFetch(t *shard.Turn, r *conn.Request, req *kmsg.OffsetFetchRequest) {
	call := &offsetsCall{desk: d, r: r, resp: kmsg.NewPtrOffsetFetchResponse(), left: 1}
	r.FreeBody(t)
	groups := req.Groups
	if r.Version < offsetsGroupsFrom {
		one := kmsg.NewOffsetFetchRequestGroup()
		one.Group = req.Group
		if req.Topics != nil {
			one.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
		}
		for i := range req.Topics {
			topic := kmsg.NewOffsetFetchRequestGroupTopic()
			topic.Topic, topic.Partitions = req.Topics[i].Topic, req.Topics[i].Partitions
			one.Topics = append(one.Topics, topic)
		}
		groups = []kmsg.OffsetFetchRequestGroup{one}
	}
	call.resp.Groups = make([]kmsg.OffsetFetchResponseGroup, len(groups))
	for i := range groups {
		call.left++
		call.ask(t, &groups[i], &call.resp.Groups[i], req.RequireStable)
	}
	call.home(t)
}

// ask sends one group's question.
func (c *offsetsCall) ask(t *shard.Turn, in *kmsg.OffsetFetchRequestGroup, out *kmsg.OffsetFetchResponseGroup, stable bool) {
	*out = kmsg.NewOffsetFetchResponseGroup()
	out.Group = in.Group
	d, image := c.desk, c.desk.image()
	ask := &group.Fetch{Common: group.Common{Group: in.Group}, All: in.Topics == nil, Stable: stable}
	var unknown []kmsg.OffsetFetchResponseGroupTopic
	for i := range in.Topics {
		topic := &in.Topics[i]
		f := group.FetchTopic{Topic: topic.Topic}
		if c.r.Version >= offsetsByIDFrom {
			at := image.TopicByID(topic.TopicID)
			if at == nil {
				unknown = append(unknown, d.unknownOffsets(topic))
				continue
			}
			f.Topic, f.ID = at.Name, at.ID
		} else if at := image.TopicCalled(topic.Topic); at != nil {
			f.ID = at.ID // an offset of another topic of that name, which is gone, is none of this one
		}
		f.Partitions = make([]group.FetchPartition, len(topic.Partitions))
		for j, p := range topic.Partitions {
			f.Partitions[j].Partition = p
		}
		ask.Topics = append(ask.Topics, f)
	}
	d.coordinate(t, c.r, in.Group, ask, func(t *shard.Turn, code group.Code) {
		switch {
		case code == group.OK:
			c.fill(ask, out)
			out.Topics = append(out.Topics, unknown...)
		case c.r.Version >= offsetsErrorFrom:
			out.ErrorCode = d.groupError(code)
		default:
			c.refuse(ask, out, d.groupError(code))
		}
		c.home(t)
	})
}

// unknownOffsets refuses a topic whose id nobody knows.
func (d *Desk) unknownOffsets(in *kmsg.OffsetFetchRequestGroupTopic) kmsg.OffsetFetchResponseGroupTopic {
	out := kmsg.NewOffsetFetchResponseGroupTopic()
	out.TopicID = in.TopicID
	for _, p := range in.Partitions {
		o := noOffset(p)
		o.ErrorCode = int16(wire.CodeUnknownTopicID)
		d.count(wire.CodeUnknownTopicID)
		out.Partitions = append(out.Partitions, o)
	}
	return out
}

func noOffset(partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	o := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	o.Partition, o.Offset, o.LeaderEpoch, o.Metadata = partition, -1, -1, kmsg.StringPtr("")
	return o
}

// fill puts what was found into the answer. A topic that is gone has no id to be named by.
func (c *offsetsCall) fill(ask *group.Fetch, out *kmsg.OffsetFetchResponseGroup) {
	image := c.desk.image()
	out.Topics = make([]kmsg.OffsetFetchResponseGroupTopic, 0, len(ask.Topics))
	for i := range ask.Topics {
		topic := &ask.Topics[i]
		if !c.desk.allowed(c.r, opDescribe, onTopic, topic.Topic) {
			continue
		}
		at := image.TopicCalled(topic.Topic)
		o := kmsg.NewOffsetFetchResponseGroupTopic()
		o.Topic, o.TopicID = topic.Topic, topic.ID
		if c.r.Version >= offsetsByIDFrom && topic.ID.IsZero() {
			if at == nil {
				continue
			}
			o.TopicID = at.ID
		}
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			if ask.All && at != nil && !p.Committed.IsZero() && p.Committed != at.ID {
				continue // it is of another topic of that name, which is gone
			}
			to := noOffset(p.Partition)
			to.Offset, to.LeaderEpoch, to.Metadata = p.Offset, int32(p.Epoch), &p.Metadata
			o.Partitions = append(o.Partitions, to)
		}
		if len(o.Partitions) > 0 || !ask.All {
			out.Topics = append(out.Topics, o)
		}
	}
}

// refuse puts the error into every partition, where there is no other place for it.
func (c *offsetsCall) refuse(ask *group.Fetch, out *kmsg.OffsetFetchResponseGroup, code int16) {
	for i := range ask.Topics {
		topic := kmsg.NewOffsetFetchResponseGroupTopic()
		topic.Topic = ask.Topics[i].Topic
		for _, p := range ask.Topics[i].Partitions {
			o := noOffset(p.Partition)
			o.ErrorCode = code
			topic.Partitions = append(topic.Partitions, o)
		}
		out.Topics = append(out.Topics, topic)
	}
}

func (c *offsetsCall) home(t *shard.Turn) {
	if c.left--; c.left > 0 {
		return
	}
	if c.r.Version < offsetsGroupsFrom {
		only := &c.resp.Groups[0]
		c.resp.ErrorCode = only.ErrorCode
		for i := range only.Topics {
			topic := kmsg.NewOffsetFetchResponseTopic()
			topic.Topic = only.Topics[i].Topic
			for _, p := range only.Topics[i].Partitions {
				topic.Partitions = append(topic.Partitions, kmsg.OffsetFetchResponseTopicPartition{
					Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode,
				})
			}
			c.resp.Topics = append(c.resp.Topics, topic)
		}
		c.resp.Groups = nil
	}
	c.desk.answer(t, c.r, c.resp)
}
