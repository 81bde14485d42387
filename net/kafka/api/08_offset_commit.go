package api

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/group"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// OffsetCommit (key 8) stores how far a group has read: for a member of its current generation, or with generation -1 and no member for
// somebody who keeps offsets without being one, as long as the group has no members. It is answered when the offsets are durable. Version 5 dropped the
// retention, 6 brought the leader epoch, 7 static members, 9 tells an unknown group from an old generation, 10 names topics by id alone. Offsets
// of topics and partitions that do not exist are refused one by one.

// commitEpochFrom is the first version with leader epochs, commitNotFoundFrom that which says that a group is not there.
const (
	commitEpochFrom    = 6
	commitNotFoundFrom = 9
	commitByIDFrom     = 10
)

func (d *Desk) offsetCommit(t *shard.Turn, r *conn.Request, req *kmsg.OffsetCommitRequest) {
	resp := kmsg.NewPtrOffsetCommitResponse()
	resp.Topics = make([]kmsg.OffsetCommitResponseTopic, len(req.Topics))
	ask := &group.Commit{Common: group.Common{Group: req.Group}, Member: req.MemberID, Instance: req.InstanceID, Generation: req.Generation, Retention: -1}
	if r.Version < 5 && req.RetentionTimeMillis >= 0 {
		ask.Retention = time.Duration(min(req.RetentionTimeMillis, int64(longest/time.Millisecond))) * time.Millisecond
	}
	r.FreeBody(t)
	count := 0
	for i := range req.Topics {
		count += len(req.Topics[i].Partitions)
	}
	slots := make([]*kmsg.OffsetCommitResponseTopicPartition, 0, count) // of what is asked, in order
	ask.Topics = make([]group.CommitTopic, 0, len(req.Topics))
	image := d.image()
	for i := range req.Topics {
		var asked group.CommitTopic
		if asked, slots = d.commitParts(r, image, &req.Topics[i], &resp.Topics[i], slots); len(asked.Partitions) > 0 {
			ask.Topics = append(ask.Topics, asked)
		}
	}
	if len(slots) == 0 {
		d.answer(t, r, resp)
		return
	}
	d.coordinate(t, r, req.Group, ask, func(t *shard.Turn, code group.Code) {
		if code == group.NotFound && r.Version < commitNotFoundFrom {
			code = group.IllegalGeneration
		}
		next := 0
		for i := range ask.Topics {
			for j := range ask.Topics[i].Partitions {
				if code != group.OK {
					slots[next].ErrorCode = d.groupError(code)
				} else {
					slots[next].ErrorCode = d.groupError(ask.Topics[i].Partitions[j].Code)
				}
				next++
			}
		}
		d.answer(t, r, resp)
	})
}

// commitParts is what a commit asks for one topic; the partitions that there are get a slot each, and the others their refusal.
func (d *Desk) commitParts(r *conn.Request, image *placement.Image, in *kmsg.OffsetCommitRequestTopic, out *kmsg.OffsetCommitResponseTopic,
	slots []*kmsg.OffsetCommitResponseTopicPartition) (group.CommitTopic, []*kmsg.OffsetCommitResponseTopicPartition) {
	*out = kmsg.NewOffsetCommitResponseTopic()
	out.Topic, out.TopicID = in.Topic, in.TopicID
	out.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(in.Partitions))
	topic, refusal := d.commitTopic(r, image, in)
	asked := group.CommitTopic{Partitions: make([]group.CommitPartition, 0, len(in.Partitions))}
	if topic != nil {
		asked.Topic, asked.ID = topic.Name, topic.ID
	}
	for j := range in.Partitions {
		p, o := &in.Partitions[j], &out.Partitions[j]
		o.Partition = p.Partition
		code := refusal
		if code == wire.CodeNone && topic.Partition(p.Partition) == nil {
			code = wire.CodeUnknownTopicOrPartition
		}
		if code != wire.CodeNone {
			o.ErrorCode = int16(code)
			d.count(code)
			continue
		}
		c := group.CommitPartition{Partition: p.Partition, Offset: p.Offset, Epoch: model.NoEpoch}
		if r.Version >= commitEpochFrom && p.LeaderEpoch >= 0 {
			c.Epoch = model.Epoch(p.LeaderEpoch)
		}
		if p.Metadata != nil {
			c.Metadata = *p.Metadata
		}
		asked.Partitions = append(asked.Partitions, c)
		slots = append(slots, o)
	}
	return asked, slots
}

// longest is the longest time there is.
const longest = time.Duration(1<<63 - 1)

// commitTopic finds the topic of a commit, or the reason why all its partitions are refused.
func (d *Desk) commitTopic(r *conn.Request, image *placement.Image, in *kmsg.OffsetCommitRequestTopic) (*placement.Topic, wire.ErrorCode) {
	topic, missing := image.TopicCalled(in.Topic), wire.CodeUnknownTopicOrPartition
	if r.Version >= commitByIDFrom {
		topic, missing = image.TopicByID(in.TopicID), wire.CodeUnknownTopicID
	}
	switch {
	case topic == nil:
		return nil, missing
	case !d.allowed(r, opRead, onTopic, topic.Name):
		return nil, wire.CodeTopicAuthorizationFailed
	}
	return topic, wire.CodeNone
}
