package api

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// ListOffsets (key 2) finds offsets by timestamp: the first record at or after it, or by the special values below. Version 4 adds
// the leader epoch the client knows, 7 the largest timestamp (KIP-734), 8 the earliest local offset, 9 the latest tiered one
// (KIP-1005), 11 the earliest offset not yet uploaded (KIP-1023). Without tiered storage everything is local and nothing tiered.

// Timestamps with a meaning of their own. Fixed by the protocol.
const (
	timeLatest          = -1
	timeEarliest        = -2
	timeMax             = -3
	timeEarliestLocal   = -4
	timeLatestTiered    = -5
	timeEarliestPending = -6
)

// questions is a cold request that asks owners about partitions and answers when all are home.
type questions struct {
	left int
	each func(ask *partition.QueryAsk)
	done func(t *shard.Turn)
}

// Answered takes one answer home.
func (q *questions) Answered(t *shard.Turn, ask *partition.QueryAsk) {
	t.Expect(-1)
	q.each(ask)
	q.home(t)
}

func (q *questions) home(t *shard.Turn) {
	if q.left--; q.left == 0 {
		q.done(t)
	}
}

// ask posts a question to the partition's owner, or answers it with why not.
func (d *Desk) ask(t *shard.Turn, r *conn.Request, q *questions, topic *placement.Topic, a *partition.QueryAsk) {
	set, owner, code := d.reach(r, topic, a.Partition.Index)
	if code != partition.OK {
		a.Code = code
		q.each(a)
		return
	}
	a.Home, a.Caller, a.To = t.Shard(), q, set
	q.left++
	t.Expect(1)
	t.Ask(owner, a)
}

func (d *Desk) listOffsets(t *shard.Turn, r *conn.Request, req *kmsg.ListOffsetsRequest) {
	resp := kmsg.NewPtrListOffsetsResponse()
	resp.Topics = make([]kmsg.ListOffsetsResponseTopic, len(req.Topics))
	var slots []*kmsg.ListOffsetsResponseTopicPartition
	q := &questions{left: 1}
	q.each = func(a *partition.QueryAsk) { d.offsetAnswer(slots[a.Slot], a) }
	q.done = func(t *shard.Turn) { d.answer(t, r, resp) }
	r.FreeBody(t)
	image := d.image()
	twice := repeated(image, req)
	for i := range req.Topics {
		topic := image.TopicCalled(req.Topics[i].Topic)
		out := &resp.Topics[i]
		*out = kmsg.NewListOffsetsResponseTopic()
		out.Topic = req.Topics[i].Topic
		out.Partitions = make([]kmsg.ListOffsetsResponseTopicPartition, len(req.Topics[i].Partitions))
		for j := range out.Partitions {
			p, o := &req.Topics[i].Partitions[j], &out.Partitions[j]
			*o = kmsg.NewListOffsetsResponseTopicPartition()
			o.Partition, o.Offset, o.Timestamp, o.LeaderEpoch = p.Partition, -1, -1, -1
			slots = append(slots, o)
			switch {
			case topic == nil || topic.Partition(p.Partition) == nil:
				o.ErrorCode = int16(wire.CodeUnknownTopicOrPartition)
				d.count(wire.CodeUnknownTopicOrPartition)
			case !d.allowed(r, opDescribe, onTopic, topic.Name):
				o.ErrorCode = int16(wire.CodeTopicAuthorizationFailed)
			case twice[model.Partition{Topic: topic.ID, Index: p.Partition}]:
				o.ErrorCode = int16(wire.CodeInvalidRequest)
				d.count(wire.CodeInvalidRequest)
			default:
				d.offsetAsk(t, q, r, req, topic, p, o, int32(len(slots)-1))
			}
		}
	}
	q.home(t)
}

// repeated tells which partitions a request names more than once. Kafka refuses those, and a search for a timestamp is dear enough
// that nobody should get a million of them for a megabyte.
func repeated(image *placement.Image, req *kmsg.ListOffsetsRequest) map[model.Partition]bool {
	if len(req.Topics) == 1 && len(req.Topics[0].Partitions) == 1 {
		return nil
	}
	named := make(map[model.Partition]bool)
	for i := range req.Topics {
		topic := image.TopicCalled(req.Topics[i].Topic)
		if topic == nil {
			continue
		}
		for j := range req.Topics[i].Partitions {
			name := model.Partition{Topic: topic.ID, Index: req.Topics[i].Partitions[j].Partition}
			if topic.Partition(name.Index) != nil {
				_, again := named[name]
				named[name] = again
			}
		}
	}
	return named
}

// offsetAsk asks about one partition, or answers what needs no owner.
func (d *Desk) offsetAsk(t *shard.Turn, q *questions, r *conn.Request, req *kmsg.ListOffsetsRequest, topic *placement.Topic,
	p *kmsg.ListOffsetsRequestTopicPartition, o *kmsg.ListOffsetsResponseTopicPartition, slot int32) {
	a := &partition.QueryAsk{
		Partition: model.Partition{Topic: topic.ID, Index: p.Partition},
		Slot:      slot,
		Epoch:     model.Epoch(p.CurrentLeaderEpoch),
		Time:      p.Timestamp,
		Committed: req.IsolationLevel == 1,
	}
	if r.Version < 4 {
		a.Epoch = model.NoEpoch
	}
	least := int16(1)
	switch p.Timestamp {
	case timeLatest:
		a.Query = partition.QueryLatest
	case timeEarliest:
		a.Query = partition.QueryEarliest
	case timeMax:
		a.Query, least = partition.QueryMaxTime, 7
	case timeEarliestLocal:
		a.Query, least = partition.QueryEarliest, 8
	case timeLatestTiered:
		if r.Version >= 9 {
			return // nothing is tiered: offset -1 without an error
		}
		least = 9
	case timeEarliestPending:
		if r.Version >= 11 {
			return // nothing will be uploaded
		}
		least = 11
	default:
		a.Query = partition.QueryTime
		if p.Timestamp < 0 {
			least = math.MaxInt16 // a special value no version has
		}
	}
	if r.Version < least {
		o.ErrorCode = int16(wire.CodeUnsupportedVersion)
		return
	}
	d.ask(t, r, q, topic, a)
}

func (d *Desk) offsetAnswer(o *kmsg.ListOffsetsResponseTopicPartition, a *partition.QueryAsk) {
	code := partitionError(a.Code)
	o.ErrorCode = int16(code)
	d.count(code)
	if a.Code == partition.OK {
		o.Offset, o.Timestamp, o.LeaderEpoch = int64(a.Offset), a.Timestamp, int32(a.LeaderEpoch)
	}
}
