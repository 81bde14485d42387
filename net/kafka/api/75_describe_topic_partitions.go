package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// DescribeTopicPartitions (key 75, KIP-966) shows topics in order of name, so many partitions at a time: where an answer is full it ends
// with a cursor, and the next request begins there. No topics means all; a topic that does not exist is then passed over, otherwise its
// error is told. It is what Java's Admin.describeTopics asks first. Version 0 is the only one. No replica is in an ELR yet: both lists
// are empty.

func (d *Desk) describeTopicPartitions(t *shard.Turn, r *conn.Request, req *kmsg.DescribeTopicPartitionsRequest) {
	r.FreeBody(t)
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	image := d.image()
	page := topicPage{desk: d, request: r, image: image, resp: resp}
	page.room = max(1, min(req.ResponsePartitionLimit, d.node.Broker.Now().DescribePartitionsMax))
	if req.Cursor != nil {
		page.name, page.from = req.Cursor.Topic, req.Cursor.Partition
	}
	if len(req.Topics) == 0 {
		if page.from < 0 {
			page.from = 0 // there is no topic to tell the error of
		}
		image.Topics(func(topic *placement.Topic) bool {
			return topic.Name < page.name || !d.allowed(r, opDescribe, onTopic, topic.Name) || page.topic(topic.Name)
		})
		d.answer(t, r, resp)
		return
	}
	names := make([]string, 0, len(req.Topics))
	for i := range req.Topics {
		names = append(names, req.Topics[i].Topic)
	}
	if req.Cursor != nil && (page.from < 0 || !slices.Contains(names, page.name)) {
		// Kafka refuses the request as a whole, which this answer can only say topic by topic.
		for _, name := range names {
			page.refuse(name, wire.CodeInvalidRequest)
		}
		d.answer(t, r, resp)
		return
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if name < page.name {
			continue
		}
		if !d.allowed(r, opDescribe, onTopic, name) {
			page.refuse(name, wire.CodeTopicAuthorizationFailed)
		} else if !page.topic(name) {
			break
		}
	}
	d.answer(t, r, resp)
}

// topicPage is one answer being filled.
type topicPage struct {
	desk    *Desk
	request *conn.Request
	image   *placement.Image
	resp    *kmsg.DescribeTopicPartitionsResponse
	name    string // where the cursor stands
	from    int32
	room    int32 // for partitions
}

// topic adds one topic; it is false when the page is full.
func (p *topicPage) topic(name string) bool {
	if p.room == 0 {
		p.next(name, 0)
		return false
	}
	topic := p.image.TopicCalled(name)
	if topic == nil {
		code := wire.CodeUnknownTopicOrPartition
		if catalog.CheckName(name) != nil {
			code = wire.CodeInvalidTopicException
		}
		p.refuse(name, code)
		return true
	}
	out := kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &topic.Name, topic.ID, topic.Internal
	out.AuthorizedOperations = p.desk.operations(p.request, onTopic, name)
	from := int32(0)
	if name == p.name {
		from = min(p.from, topic.Partitions())
	}
	limit := from + min(p.room, topic.Partitions()-from)
	for i := from; i < limit; i++ {
		out.Partitions = append(out.Partitions, p.partition(topic, i))
	}
	p.resp.Topics = append(p.resp.Topics, out)
	p.room -= limit - from
	if limit < topic.Partitions() {
		p.next(name, limit)
		return false
	}
	return true
}

func (p *topicPage) partition(topic *placement.Topic, index int32) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	place := topic.Partition(index)
	out := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	naming := p.desk.node.Naming
	out.Partition, out.LeaderID, out.LeaderEpoch = index, int32(naming.Leader(place)), int32(place.LeaderEpoch)
	out.Replicas, out.ISR = make([]int32, 0, len(place.Replicas)), make([]int32, 0, len(place.ISR))
	out.EligibleLeaderReplicas, out.LastKnownELR, out.OfflineReplicas = []int32{}, []int32{}, []int32{}
	for _, replica := range place.Replicas {
		id := int32(naming.Replica(replica))
		out.Replicas = append(out.Replicas, id)
		if b := p.image.Broker(replica.Node); b == nil || b.Fenced {
			out.OfflineReplicas = append(out.OfflineReplicas, id)
		}
	}
	for _, node := range place.ISR {
		out.ISR = append(out.ISR, int32(naming.Holder(place, node)))
	}
	return out
}

func (p *topicPage) refuse(name string, code wire.ErrorCode) {
	out := kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic, out.ErrorCode = &name, int16(code)
	if name != "" && (code == wire.CodeUnknownTopicOrPartition || code == wire.CodeInvalidTopicException) {
		out.AuthorizedOperations = p.desk.operations(p.request, onTopic, name)
	}
	p.desk.count(code)
	p.resp.Topics = append(p.resp.Topics, out)
}

func (p *topicPage) next(name string, index int32) {
	cursor := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	cursor.Topic, cursor.Partition = name, index
	p.resp.NextCursor = &cursor
}
