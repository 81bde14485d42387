package versus

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
	"pinion/disk/codec"
)

func sceneListOffsets(s *script, v int16) {
	name := fmt.Sprintf("offsets-%d", v)
	s.topic(name, 3)
	s.fill(name, 0, s.batch(5), s.batch(10, func(b *batch.Builder) { b.Codec = codec.Zstd }), s.batch(2))
	s.fill(name, 1, s.batch(4), s.batch(4))
	s.trim(name, 1, 2)
	ask := func(step, topic string, change func(req *kmsg.ListOffsetsRequest), parts ...kmsg.ListOffsetsRequestTopicPartition) {
		s.ask(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrListOffsetsRequest()
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic, t.Partitions = topic, parts
			req.ReplicaID, req.TimeoutMillis, req.Topics = -1, requestMs, append(req.Topics, t)
			if change != nil {
				change(req)
			}
			return versioned(req, v)
		})
	}
	committed := func(req *kmsg.ListOffsetsRequest) { req.IsolationLevel = 1 }
	for special := int64(-1); special >= -7; special-- {
		for partition := range int32(3) {
			ask(fmt.Sprintf("special %d of %d", special, partition), name, nil, offsetAt(partition, special))
		}
		ask(fmt.Sprintf("special %d, read committed", special), name, committed, offsetAt(0, special))
	}
	for _, after := range []int64{-1, 0, 1, 500, 1000, 3500, 9000, 9001, 1 << 40} {
		ask(fmt.Sprintf("time +%d", after), name, nil, offsetAt(0, s.base+after))
		ask(fmt.Sprintf("time +%d, trimmed", after), name, nil, offsetAt(1, s.base+after))
		ask(fmt.Sprintf("time +%d, read committed", after), name, committed, offsetAt(0, s.base+after))
	}
	ask("time 0", name, nil, offsetAt(0, 0))
	ask("time -1000", name, nil, offsetAt(0, -1000))
	for _, epoch := range []int32{0, 1, -2} {
		for _, special := range []int64{-1, -2, -3, s.base} {
			p := offsetAt(0, special)
			p.CurrentLeaderEpoch = epoch
			ask(fmt.Sprintf("epoch %d, %d", epoch, min(special, 0)), name, nil, p)
		}
	}
	ask("isolation level 2", name, func(req *kmsg.ListOffsetsRequest) { req.IsolationLevel = 2 }, offsetAt(0, -1))
	ask("debugging consumer", name, func(req *kmsg.ListOffsetsRequest) { req.ReplicaID = -2 }, offsetAt(0, -1))
	ask("bad partitions", name, nil, offsetAt(-1, -1), offsetAt(0, -1), offsetAt(3, -1))
	ask("a partition twice", name, nil, offsetAt(0, -1), offsetAt(0, -2), offsetAt(1, -1))
	ask("unknown topic", name+"-missing", nil, offsetAt(0, -1))
	ask("illegal name", "not/legal", nil, offsetAt(0, -1))
	ask("no partitions", name, nil)
	ask("no topics", name, func(req *kmsg.ListOffsetsRequest) { req.Topics = nil })
	ask("a topic twice", name, func(req *kmsg.ListOffsetsRequest) { req.Topics = append(req.Topics, req.Topics[0]) }, offsetAt(0, -1))
	s.topic(name+"-append", 1, "message.timestamp.type", "LogAppendTime")
	s.fill(name+"-append", 0, s.batch(3))
	time.Sleep(appendApart)
	s.fill(name+"-append", 0, s.batch(3))
	ask("append time, largest", name+"-append", nil, offsetAt(0, -3))
	ask("append time, an hour ago", name+"-append", nil, offsetAt(0, s.base))
}

// appendApart keeps the times of two appends from being the same millisecond on one side alone.
const appendApart = 5 * time.Millisecond

func sceneEpochEnds(s *script, v int16) {
	name := fmt.Sprintf("epochs-%d", v)
	s.topic(name, 2)
	s.fill(name, 0, s.batch(5))
	ask := func(step, topic string, change func(req *kmsg.OffsetForLeaderEpochRequest), triples ...int32) {
		s.ask(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrOffsetForLeaderEpochRequest()
			t := kmsg.NewOffsetForLeaderEpochRequestTopic()
			t.Topic = topic
			for i := 0; i+2 < len(triples); i += 3 {
				p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
				p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = triples[i], triples[i+1], triples[i+2]
				t.Partitions = append(t.Partitions, p)
			}
			req.ReplicaID, req.Topics = -1, append(req.Topics, t)
			if change != nil {
				change(req)
			}
			return versioned(req, v)
		})
	}
	for _, epoch := range []int32{0, 1, 5, -1, -2} {
		ask(fmt.Sprintf("epoch %d", epoch), name, nil, 0, -1, epoch)
		ask(fmt.Sprintf("epoch %d, empty partition", epoch), name, nil, 1, -1, epoch)
		ask(fmt.Sprintf("current epoch %d", epoch), name, nil, 0, epoch, 0)
	}
	ask("several", name, nil, 0, 0, 0, 1, 0, 0, 2, 0, 0, -1, 0, 0)
	ask("a partition twice", name, nil, 0, 0, 0, 0, 0, 1)
	ask("unknown topic", name+"-missing", nil, 0, -1, 0)
	ask("illegal name", "not/legal", nil, 0, -1, 0)
	ask("no partitions", name, nil)
	ask("no topics", name, func(req *kmsg.OffsetForLeaderEpochRequest) { req.Topics = nil })
	ask("debugging consumer", name, func(req *kmsg.OffsetForLeaderEpochRequest) { req.ReplicaID = -2 }, 0, -1, 0)
}

func sceneDeleteRecords(s *script, v int16) {
	name := fmt.Sprintf("trim-%d", v)
	s.topic(name, 3)
	for i := range int32(2) {
		s.fill(name, i, s.batch(5), s.batch(5), s.batch(5))
	}
	do := func(step string, topics ...kmsg.DeleteRecordsRequestTopic) {
		s.do(step, func(*party) kmsg.Request { return versioned(deleteRecords(topics...), v) })
	}
	do("into a batch", trimmed(name, int32(0), int64(3)))
	do("the same again", trimmed(name, int32(0), int64(3)))
	do("back", trimmed(name, int32(0), int64(1)))
	do("to 0", trimmed(name, int32(0), int64(0)))
	do("beyond the end", trimmed(name, int32(0), int64(16)))
	do("to the end", trimmed(name, int32(0), int64(15)))
	do("to the high watermark", trimmed(name, int32(1), int64(-1)))
	do("to -2", trimmed(name, int32(1), int64(-2)))
	do("an empty partition", trimmed(name, int32(2), int64(-1)))
	do("an empty partition to 1", trimmed(name, int32(2), int64(1)))
	do("bad partitions among good", trimmed(name, int32(-1), int64(0), int32(0), int64(15), int32(3), int64(0)))
	do("a partition twice", trimmed(name, int32(0), int64(15), int32(0), int64(99)))
	do("unknown topic", trimmed(name+"-missing", int32(0), int64(0)))
	do("illegal name", trimmed("not/legal", int32(0), int64(0)))
	do("no partitions", trimmed(name))
	do("no topics")
	s.topic(name+"-compact", 1, "cleanup.policy", "compact")
	s.fill(name+"-compact", 0, s.batch(5))
	do("a compacted topic", trimmed(name+"-compact", int32(0), int64(2)))
	s.topic(name+"-both", 1, "cleanup.policy", "compact,delete")
	s.fill(name+"-both", 0, s.batch(5))
	do("a topic compacted and deleted", trimmed(name+"-both", int32(0), int64(2)))
	s.topic(name+"-neither", 1, "cleanup.policy", "")
	s.fill(name+"-neither", 0, s.batch(5))
	do("a topic neither compacted nor deleted", trimmed(name+"-neither", int32(0), int64(2)))
	s.ask("what is left", fetchAll(12, name, 0, 1, 2))
	s.fill(name, 1, s.batch(2))
	s.ask("goes on behind", func(p *party) kmsg.Request { return fetchFrom(p, 12, name, fetchPart(1, 15)) })
}
