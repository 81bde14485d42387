package versus

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// committing is an OffsetCommit for partitions of a topic, of a member that was kept under a name, or of nobody for "".
func committing(p *party, v int16, group, member, topic string, change func(req *kmsg.OffsetCommitRequest), pairs ...int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	if member != "" {
		req.MemberID, req.Generation = p.memberID(member), int32(p.kept[member])
	}
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = topic, p.id(topic)
	for i := 0; i+1 < len(pairs); i += 2 {
		part := kmsg.NewOffsetCommitRequestTopicPartition()
		part.Partition, part.Offset, part.LeaderEpoch, part.Metadata = int32(pairs[i]), pairs[i+1], 3, kmsg.StringPtr("words")
		t.Partitions = append(t.Partitions, part)
	}
	req.Topics = append(req.Topics, t)
	if change != nil {
		change(req)
	}
	return versioned(req, v)
}

// commit stores offsets on both sides.
func (s *script) commit(group, member, topic string, pairs ...int64) {
	s.prepare("commit for "+group, func(p *party) kmsg.Request {
		return committing(p, 8, group, member, topic, nil, pairs...)
	}, func(resp kmsg.Response) error {
		for _, p := range resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				return fmt.Errorf("partition %d: %s", p.Partition, codeName(p.ErrorCode))
			}
		}
		return nil
	})
}

// fetching is an OffsetFetch of partitions of a topic, of all that is there without any.
func fetching(p *party, v int16, group, topic string, change func(req *kmsg.OffsetFetchRequest), partitions ...int32) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	if len(partitions) > 0 {
		t, gt := kmsg.NewOffsetFetchRequestTopic(), kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = topic, partitions
		gt.Topic, gt.TopicID, gt.Partitions = topic, p.id(topic), partitions
		req.Topics, g.Topics = append(req.Topics, t), append(g.Topics, gt)
	}
	req.Groups = append(req.Groups, g)
	if change != nil {
		change(req)
	}
	return versioned(req, v)
}

func sceneOffsetCommit(s *script, v int16) {
	group, topic := fmt.Sprintf("commit-%d", v), fmt.Sprintf("commits-%d", v)
	s.topic(topic, 3)
	do := func(step, group, member, topic string, change func(req *kmsg.OffsetCommitRequest), pairs ...int64) {
		s.do(step, func(p *party) kmsg.Request { return committing(p, v, group, member, topic, change, pairs...) })
	}
	instance := func(name string) func(req *kmsg.OffsetCommitRequest) {
		return func(req *kmsg.OffsetCommitRequest) { req.InstanceID = &name }
	}
	generation := func(n int32) func(req *kmsg.OffsetCommitRequest) {
		return func(req *kmsg.OffsetCommitRequest) { req.Generation = n }
	}
	do("alone", group, "", topic, nil, 0, 5, 1, 6)
	do("back", group, "", topic, nil, 0, 3)
	do("a negative offset", group, "", topic, nil, 1, -1)
	do("bad partitions among good", group, "", topic, nil, -1, 0, 0, 4, 3, 0)
	do("an unknown topic", group, "", topic+"-missing", nil, 0, 1)
	do("no partitions", group, "", topic, nil)
	do("no topics", group, "", topic, func(req *kmsg.OffsetCommitRequest) { req.Topics = nil })
	do("no group", "", "", topic, nil, 0, 1)
	do("a generation of no group", group+"-missing", "", topic, generation(1), 0, 1)
	do("a generation of an empty group", group, "", topic, generation(1), 0, 1)
	do("a member of an empty group", group, "somebody", topic, generation(-1), 0, 1)
	do("no metadata", group, "", topic, func(req *kmsg.OffsetCommitRequest) { req.Topics[0].Partitions[0].Metadata = nil }, 0, 7)
	do("long metadata", group, "", topic, func(req *kmsg.OffsetCommitRequest) {
		req.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("x", 4097))
	}, 0, 8, 1, 9)
	do("metadata as long as it may be", group, "", topic, func(req *kmsg.OffsetCommitRequest) {
		req.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("x", 4096))
	}, 0, 10)
	do("metadata of as many characters that take three bytes", group, "", topic, func(req *kmsg.OffsetCommitRequest) {
		req.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("\u20ac", 4096))
	}, 0, 10)
	do("metadata of as many characters that take two units", group, "", topic, func(req *kmsg.OffsetCommitRequest) {
		req.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("\U0001f600", 2049))
	}, 0, 10)
	do("a group with a long name", longName[:len(longName)-2]+fmt.Sprintf("%02d", v), "", topic, nil, 0, 10)
	if v == 8 {
		const wide = 300
		s.topic(topic+"-wide", wide)
		var pairs []int64
		for i := range int64(wide) {
			pairs = append(pairs, i, 10)
		}
		do("more than a batch may hold", group+"-wide", "", topic+"-wide", func(req *kmsg.OffsetCommitRequest) {
			for i := range req.Topics[0].Partitions {
				req.Topics[0].Partitions[i].Metadata = kmsg.StringPtr(strings.Repeat("x", 4096))
			}
		}, pairs...)
		s.ask("what is stored of it", func(p *party) kmsg.Request { return fetching(p, 7, group+"-wide", "", nil) })
	}
	do("kept for a while", group, "", topic, func(req *kmsg.OffsetCommitRequest) { req.RetentionTimeMillis = 1_000_000 }, 2, 8)
	do("an unknown instance of an empty group", group+"-empty", "", topic, instance("one"), 0, 1)
	s.member(group+"-stable", group, nil)
	do("a member", group+"-stable", group, topic, nil, 0, 11)
	do("an unknown member", group+"-stable", "somebody", topic, generation(1), 0, 12)
	do("another generation", group+"-stable", group, topic, generation(7), 0, 13)
	do("alone into a group with members", group+"-stable", "", topic, nil, 0, 14)
	do("a member without generation", group+"-stable", group, topic, generation(-1), 0, 15)
	do("an instance nobody has", group+"-stable", group, topic, instance("two"), 0, 16)
	s.join(group+"-begun", group+"-begun", nil)
	do("before the assignment", group+"-begun", group+"-begun", topic, nil, 0, 17)
	for _, of := range []string{group, group + "-stable", group + "-begun", group + "-empty", group + "-missing"} {
		s.ask("what is stored for "+of, func(p *party) kmsg.Request { return fetching(p, 7, of, "", nil) })
	}
}

func sceneOffsetFetch(s *script, v int16) {
	group, topic := fmt.Sprintf("fetch-%d", v), fmt.Sprintf("fetches-%d", v)
	s.topic(topic, 3)
	s.topic(topic+"-other", 1)
	s.commit(group, "", topic, 0, 5, 1, 6)
	s.commit(group, "", topic+"-other", 0, 7)
	ask := func(step, group, topic string, change func(req *kmsg.OffsetFetchRequest), partitions ...int32) {
		s.ask(step, func(p *party) kmsg.Request { return fetching(p, v, group, topic, change, partitions...) })
	}
	ask("some", group, topic, nil, 0, 1, 2)
	ask("bad partitions", group, topic, nil, -1, 0, 3)
	ask("a partition twice", group, topic, nil, 0, 0)
	ask("an unknown topic", group, topic+"-missing", nil, 0)
	ask("an unknown group", group+"-missing", topic, nil, 0, 1)
	ask("no group", "", topic, nil, 0)
	ask("a group with a long name", longName[2:], topic, nil, 0)
	ask("no topics", group, topic, func(req *kmsg.OffsetFetchRequest) {
		req.Topics, req.Groups[0].Topics = []kmsg.OffsetFetchRequestTopic{}, []kmsg.OffsetFetchRequestGroupTopic{}
	}, 0)
	if v >= 2 {
		ask("all", group, "", nil)
		ask("all of an unknown group", group+"-missing", "", nil)
	}
	if v >= 7 {
		ask("stable ones", group, topic, func(req *kmsg.OffsetFetchRequest) { req.RequireStable = true }, 0, 1)
	}
	if v >= 8 {
		ask("of several groups", group, topic, func(req *kmsg.OffsetFetchRequest) {
			other := kmsg.NewOffsetFetchRequestGroup()
			other.Group = group + "-missing"
			req.Groups = append(req.Groups, other)
		}, 0)
		ask("of no groups", group, topic, func(req *kmsg.OffsetFetchRequest) { req.Groups = nil })
	}
	if v >= 9 {
		ask("of a member", group, topic, func(req *kmsg.OffsetFetchRequest) {
			req.Groups[0].MemberID, req.Groups[0].MemberEpoch = kmsg.StringPtr("somebody"), 3
		}, 0)
	}
}

func sceneDeleteGroups(s *script, v int16) {
	group, topic := fmt.Sprintf("delete-%d", v), fmt.Sprintf("deletes-%d", v)
	s.topic(topic, 1)
	s.commit(group, "", topic, 0, 5)
	s.member(group+"-stable", group, nil)
	do := func(step string, groups ...string) {
		s.do(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrDeleteGroupsRequest()
			req.Groups = groups
			return versioned(req, v)
		})
	}
	do("an unknown one", group+"-missing")
	do("no name", "")
	do("a long name", longName[3:])
	do("nothing")
	do("with members", group+"-stable")
	do("empty, and twice, and unknown", group, group, group+"-missing")
	do("again", group)
	s.ask("what is left of it", func(p *party) kmsg.Request { return fetching(p, 7, group, topic, nil, 0) })
}

func sceneOffsetDelete(s *script, v int16) {
	group, topic := fmt.Sprintf("forget-%d", v), fmt.Sprintf("forgotten-%d", v)
	s.topic(topic, 2)
	s.topic("subscribed", 1)
	s.commit(group, "", topic, 0, 5, 1, 6)
	do := func(step, group, topic string, partitions ...int32) {
		s.do(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrOffsetDeleteRequest()
			req.Group = group
			t := kmsg.NewOffsetDeleteRequestTopic()
			t.Topic = topic
			for _, n := range partitions {
				p := kmsg.NewOffsetDeleteRequestTopicPartition()
				p.Partition = n
				t.Partitions = append(t.Partitions, p)
			}
			req.Topics = append(req.Topics, t)
			return versioned(req, v)
		})
	}
	do("of an unknown group", group+"-missing", topic, 0)
	do("of no group", "", topic, 0)
	do("of a group with a long name", longName[4:], topic, 0)
	do("an unknown topic", group, topic+"-missing", 0)
	do("bad partitions among good", group, topic, -1, 0, 2)
	do("again", group, topic, 0)
	s.ask("what is left", func(p *party) kmsg.Request { return fetching(p, 7, group, "", nil) })
	s.member(group+"-stable", group, nil)
	s.commit(group+"-stable", group, topic, 0, 5)
	s.commit(group+"-stable", group, "subscribed", 0, 5)
	do("a topic it reads", group+"-stable", "subscribed", 0)
	do("a topic it does not read", group+"-stable", topic, 0)
	s.ask("what is left of the stable one", func(p *party) kmsg.Request { return fetching(p, 7, group+"-stable", "", nil) })
	for _, p := range s.parties() {
		join := joining(p, joinAs, group+"-workers", "", func(req *kmsg.JoinGroupRequest) { req.ProtocolType = "connect" })
		s.prepareOne(p, "join of another type", join, func(resp kmsg.Response) error {
			if r := resp.(*kmsg.JoinGroupResponse); r.ErrorCode != 0 {
				return fmt.Errorf("%s", codeName(r.ErrorCode))
			}
			return nil
		})
	}
	do("of a group of another type", group+"-workers", topic, 0)
}
