package versus

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
	"pinion/disk/codec"
)

// fetchPart is one partition of a Fetch request.
func fetchPart(partition int32, offset int64) kmsg.FetchRequestTopicPartition {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.LogStartOffset = partition, offset, 1<<20, -1
	return p
}

// fetchFrom is a Fetch request for one topic that does not wait.
func fetchFrom(p *party, version int16, topic string, partitions ...kmsg.FetchRequestTopicPartition) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = topic, p.id(topic), partitions
	req.ReplicaID, req.SessionEpoch, req.MaxBytes, req.Topics = -1, -1, 50<<20, append(req.Topics, t)
	return versioned(req, version)
}

// fetchAll reads partitions from their beginning.
func fetchAll(version int16, topic string, partitions ...int32) maker {
	return func(p *party) kmsg.Request {
		var parts []kmsg.FetchRequestTopicPartition
		for _, i := range partitions {
			parts = append(parts, fetchPart(i, 0))
		}
		return fetchFrom(p, version, topic, parts...)
	}
}

func sceneFetch(s *script, v int16) {
	name := fmt.Sprintf("fetch-%d", v)
	s.topic(name, 4)
	for i := range int32(2) {
		s.fill(name, i, s.batch(3), s.batch(5, func(b *batch.Builder) { b.Codec = codec.LZ4 }), s.batch(1), s.batch(50, func(b *batch.Builder) { b.Codec = codec.Zstd }))
	}
	s.fill(name, 2, s.batch(3), s.batch(3), s.batch(3))
	s.trim(name, 2, 4)
	one := func(step string, change func(req *kmsg.FetchRequest, part *kmsg.FetchRequestTopicPartition)) {
		s.ask(step, func(p *party) kmsg.Request {
			req := fetchFrom(p, v, name, fetchPart(0, 0))
			change(req, &req.Topics[0].Partitions[0])
			return req
		})
	}
	nothing := func(*kmsg.FetchRequest, *kmsg.FetchRequestTopicPartition) {}
	one("from the start", nothing)
	for _, offset := range []int64{1, 3, 7, 8, 58, 59, 60, 1000, -1, -2, -100} {
		one(fmt.Sprintf("from %d", offset), func(_ *kmsg.FetchRequest, part *kmsg.FetchRequestTopicPartition) { part.FetchOffset = offset })
	}
	for _, bytes := range []int32{1, 0, -1, 100, 400} {
		one(fmt.Sprintf("partition limit %d", bytes), func(_ *kmsg.FetchRequest, part *kmsg.FetchRequestTopicPartition) { part.PartitionMaxBytes = bytes })
		one(fmt.Sprintf("request limit %d", bytes), func(req *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { req.MaxBytes = bytes })
	}
	one("read committed", func(req *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { req.IsolationLevel = 1 })
	one("isolation level 2", func(req *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { req.IsolationLevel = 2 })
	one("wait for bytes that do not come", func(req *kmsg.FetchRequest, part *kmsg.FetchRequestTopicPartition) {
		part.FetchOffset, req.MinBytes, req.MaxWaitMillis = 59, 1, 100
	})
	one("wait for more bytes than there are", func(req *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) {
		req.MinBytes, req.MaxWaitMillis = 1<<20, 100
	})
	one("negative wait and bytes", func(req *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) {
		req.MinBytes, req.MaxWaitMillis = -1, -1
	})
	for _, epoch := range []int32{0, 1, -2} {
		one(fmt.Sprintf("current epoch %d", epoch), func(_ *kmsg.FetchRequest, part *kmsg.FetchRequestTopicPartition) { part.CurrentLeaderEpoch = epoch })
	}
	for _, epoch := range []int32{0, 1, 7, -2} {
		one(fmt.Sprintf("last fetched epoch %d", epoch), func(_ *kmsg.FetchRequest, part *kmsg.FetchRequestTopicPartition) {
			part.LastFetchedEpoch, part.FetchOffset = epoch, 3
		})
	}
	one("last fetched epoch 0 at 1000", func(_ *kmsg.FetchRequest, part *kmsg.FetchRequestTopicPartition) {
		part.LastFetchedEpoch, part.FetchOffset = 0, 1000
	})
	one("a rack", func(req *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { req.Rack = "a rack" })
	one("debugging consumer", func(req *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) {
		req.ReplicaID, req.ReplicaState.ID = -2, -2
	})
	fetchSeveral(s, v, name)
	if v >= 7 {
		fetchSessions(s, v)
	}
}

// fetchSeveral is more than one partition, and partitions that are not there.
func fetchSeveral(s *script, v int16, name string) {
	several := func(step string, limit int32, parts ...kmsg.FetchRequestTopicPartition) {
		s.ask(step, func(p *party) kmsg.Request {
			req := fetchFrom(p, v, name, parts...)
			req.MaxBytes = limit
			return req
		})
	}
	several("all partitions", 50<<20, fetchPart(0, 0), fetchPart(1, 0), fetchPart(2, 4), fetchPart(3, 0))
	several("in another order", 50<<20, fetchPart(3, 0), fetchPart(1, 0), fetchPart(0, 0))
	several("little for two", 300, fetchPart(0, 0), fetchPart(1, 0))
	several("nothing for two", 1, fetchPart(3, 0), fetchPart(1, 0), fetchPart(0, 0))
	several("below the start", 50<<20, fetchPart(2, 3))
	several("at the start", 50<<20, fetchPart(2, 4))
	several("bad partitions among good", 50<<20, fetchPart(-1, 0), fetchPart(0, 0), fetchPart(4, 0))
	several("a partition twice", 50<<20, fetchPart(0, 3), fetchPart(0, 8))
	several("no partitions", 50<<20)
	s.ask("unknown topic", func(p *party) kmsg.Request {
		req := fetchFrom(p, v, name+"-missing", fetchPart(0, 0))
		req.Topics[0].TopicID = [16]byte{1, 2, 3}
		return req
	})
	s.ask("no id and no such name", func(p *party) kmsg.Request { return fetchFrom(p, v, name+"-missing", fetchPart(0, 0)) })
	s.ask("no topics", func(p *party) kmsg.Request {
		req := fetchFrom(p, v, name)
		req.Topics = nil
		return req
	})
}

// fetchSessions is the life of a session (KIP-227).
func fetchSessions(s *script, v int16) {
	name := fmt.Sprintf("session-%d", v)
	s.topic(name, 3)
	s.fill(name, 0, s.batch(3))
	s.fill(name, 1, s.batch(3))
	in := func(step string, id func(p *party) int64, epoch int32, change func(p *party, req *kmsg.FetchRequest), parts ...kmsg.FetchRequestTopicPartition) {
		s.do(step, func(p *party) kmsg.Request {
			req := fetchFrom(p, v, name, parts...)
			if len(parts) == 0 {
				req.Topics = nil
			}
			req.SessionID, req.SessionEpoch = int32(id(p)), epoch
			if change != nil {
				change(p, req)
			}
			return req
		})
	}
	none := func(*party) int64 { return 0 }
	kept := func(p *party) int64 { return p.kept["session"] }
	open := func() {
		in("open a session", none, 0, nil, fetchPart(0, 0), fetchPart(1, 0), fetchPart(2, 0))
		// Each side's session is that of a request of its own: the compared one is left to be evicted.
		for _, p := range s.parties() {
			req := fetchFrom(p, v, name, fetchPart(0, 0), fetchPart(1, 0), fetchPart(2, 0))
			req.SessionEpoch = 0
			s.prepareOne(p, "open a session", req, func(resp kmsg.Response) error {
				p.kept["session"] = int64(resp.(*kmsg.FetchResponse).SessionID)
				return nil
			})
		}
	}
	open()
	in("again, with what was not read", kept, 1, nil)
	in("move on", kept, 2, nil, fetchPart(0, 3), fetchPart(1, 3))
	in("nothing new", kept, 3, nil)
	s.fill(name, 1, s.batch(2))
	in("news of one partition", kept, 4, nil)
	in("the same epoch again", kept, 4, nil)
	in("an epoch ahead", kept, 9, nil)
	in("a partition that is not there", kept, 5, nil, fetchPart(9, 0))
	in("it is told again", kept, 6, nil)
	in("forget", kept, 7, func(p *party, req *kmsg.FetchRequest) {
		t := kmsg.NewFetchRequestForgottenTopic()
		t.Topic, t.TopicID, t.Partitions = name, p.id(name), []int32{0, 1, 9}
		req.ForgottenTopics = append(req.ForgottenTopics, t)
	})
	in("an error in a session", kept, 8, nil, fetchPart(0, 1000))
	in("close it", kept, -1, nil, fetchPart(0, 0))
	in("closed", kept, 9, nil)
	in("unknown session", func(*party) int64 { return 123456789 }, 5, nil)
	in("session 0, epoch 5", none, 5, nil)
	in("a new one instead of none", func(*party) int64 { return 123456789 }, 0, nil, fetchPart(0, 0))
	open()
	other := int16(12)
	if v < 13 {
		other = 13
	}
	in("ids where there were names, or the other way", kept, 1, func(_ *party, req *kmsg.FetchRequest) { req.Version = other })
	open()
	in("an unknown topic joins", kept, 1, func(p *party, req *kmsg.FetchRequest) {
		req.Topics = fetchFrom(p, v, name+"-missing", fetchPart(0, 0)).Topics
		req.Topics[0].TopicID = [16]byte{4, 5, 6}
	})
	in("with its error", kept, 2, nil)
	in("a session of nothing", none, 0, nil)
}
