package versus

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func sceneCreateTopics(s *script, v int16) {
	name := func(what string) string { return fmt.Sprintf("create-%d-%s", v, what) }
	send := func(step string, validateOnly bool, topics ...kmsg.CreateTopicsRequestTopic) {
		s.do(step, func(*party) kmsg.Request {
			req := createTopics(topics...)
			req.ValidateOnly = validateOnly
			return versioned(req, v)
		})
	}
	do := func(step string, topics ...kmsg.CreateTopicsRequestTopic) { send(step, false, topics...) }
	do("plain", newTopic(name("plain"), 3, 1))
	do("again", newTopic(name("plain"), 3, 1))
	do("several", newTopic(name("one"), 1, 1), newTopic(name("two"), 2, 1), newTopic(name("plain"), 1, 1))
	do("one twice", newTopic(name("twice"), 1, 1), newTopic(name("twice"), 1, 1), newTopic(name("beside"), 1, 1))
	do("none")
	for _, partitions := range []int32{-1, 0, -2} {
		do(fmt.Sprintf("%d partitions", partitions), newTopic(fmt.Sprintf("%s%d", name("partitions"), partitions), partitions, 1))
	}
	for _, replicas := range []int16{-1, 0, -2, 2, 99} {
		do(fmt.Sprintf("%d replicas", replicas), newTopic(fmt.Sprintf("%s%d", name("replicas"), replicas), 1, replicas))
	}
	for i, odd := range []string{"", ".", "..", "a/b", "a b", "ü", strings.Repeat("x", 250), "__underlined-" + name("")} {
		do(fmt.Sprintf("odd name %d", i), newTopic(odd, 1, 1))
	}
	do("a name that collides later", newTopic(strings.ReplaceAll(name("plain"), "-", "_"), 1, 1))
	do("a colliding name", newTopic(strings.ReplaceAll(name("plain"), "-", "."), 1, 1))
	do("too many partitions", newTopic(name("many"), 10_001, 1))
	do("too many partitions in all", newTopic(name("many1"), 5_000, 1), newTopic(name("many2"), 5_001, 1))
	send("validate", true, newTopic(name("validated"), 2, 1, "retention.ms", "1000"))
	send("validate what is there", true, newTopic(name("plain"), 2, 1))
	send("validate nonsense", true, newTopic(name("nonsense"), 2, 1, "retention.ms", "soon"), newTopic("a/b", 1, 1), newTopic(name("fine"), 1, 1))
	for _, removed := range [][2]string{{"message.format.version", "2.8"}, {"message.downconversion.enable", "true"}} {
		send("validate a removed key, "+removed[0], true, newTopic(name("removed"), 1, 1, removed[0], removed[1]))
	}
	createConfigured(s, v, name, do)
	createAssigned(s, v, name, do)
	s.ask("what came of it", func(*party) kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		for _, what := range []string{"plain", "one", "two", "twice", "beside", "validated", "fine", "many", "nulls", "assigned", "gap"} {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = kmsg.StringPtr(name(what))
			req.Topics = append(req.Topics, t)
		}
		return versioned(req, 12)
	})
}

// createConfigured creates topics with settings of their own.
func createConfigured(s *script, v int16, name func(string) string, do func(step string, topics ...kmsg.CreateTopicsRequestTopic)) {
	do("settings", newTopic(name("settings"), 1, 1, "retention.ms", "123456", "cleanup.policy", "compact,delete", "segment.bytes", "2097152",
		"min.insync.replicas", "2", "compression.type", "zstd", "unclean.leader.election.enable", "true", "min.cleanable.dirty.ratio", "0.25"))
	for i, bad := range [][2]string{
		{"retention.ms", "soon"}, {"retention.ms", "-2"}, {"retention.ms", ""}, {"retention.ms", " 1000 "}, {"retention.ms", "7d"}, {"no.such.key", "1"}, {"", "1"},
		{"cleanup.policy", "shred"}, {"cleanup.policy", ""}, {"cleanup.policy", "delete,delete"}, {"cleanup.policy", "delete, compact"},
		{"segment.bytes", "1000"}, {"segment.bytes", "99999999999"}, {"min.insync.replicas", "0"}, {"compression.type", "brotli"}, {"compression.type", "none"},
		{"preallocate", "maybe"}, {"preallocate", "TRUE"}, {"min.cleanable.dirty.ratio", "2"}, {"message.timestamp.type", "createtime"},
		{"max.message.bytes", "-1"}, {"remote.storage.enable", "true"},
		{"remote.storage.enable", "false"}, {"local.retention.ms", "-3"}, {"compression.gzip.level", "0"}, {"compression.gzip.level", "10"}, {"compression.zstd.level", "23"},
		{"max.compaction.lag.ms", "0"}, {"segment.jitter.ms", "-1"}, {"flush.messages", "0"}, {"leader.replication.throttled.replicas", "nonsense"},
		{"leader.replication.throttled.replicas", "*"}, {"internal.segment.bytes", "1000"}, {"retention.bytes", "-5"}, {"file.delete.delay.ms", "-1"},
	} {
		do(fmt.Sprintf("%q is %q", bad[0], bad[1]), newTopic(fmt.Sprintf("%s%d", name("odd"), i), 1, 1, bad[0], bad[1]))
	}
	do("lags that cross", newTopic(name("lags"), 1, 1, "min.compaction.lag.ms", "1000", "max.compaction.lag.ms", "10"))
	do("local more than all", newTopic(name("local"), 1, 1, "retention.ms", "1000", "local.retention.ms", "2000"))
	null := newTopic(name("nulls"), 1, 1, "retention.ms", "")
	null.Configs[0].Value = nil
	do("a null", null)
	do("a key twice", newTopic(name("keys"), 1, 1, "retention.ms", "1000", "retention.ms", "2000"))
	do("a large value", newTopic(name("large"), 1, 1, "leader.replication.throttled.replicas", "0:1"+strings.Repeat(",0:1", 10_000)))
}

// createAssigned places partitions by hand.
func createAssigned(_ *script, _ int16, name func(string) string, do func(step string, topics ...kmsg.CreateTopicsRequestTopic)) {
	placed := func(what string, partitions int32, replicas int16, places ...[]int32) kmsg.CreateTopicsRequestTopic {
		t := newTopic(name(what), partitions, replicas)
		for _, place := range places {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Partition, a.Replicas = place[0], place[1:]
			t.ReplicaAssignment = append(t.ReplicaAssignment, a)
		}
		return t
	}
	do("placed", placed("assigned", -1, -1, []int32{0, 1}, []int32{1, 1}))
	do("placed in another order", placed("order", -1, -1, []int32{1, 1}, []int32{0, 1}))
	do("placed, and counted", placed("counted", 2, -1, []int32{0, 1}, []int32{1, 1}))
	do("placed, and replicas counted", placed("replicated", -1, 1, []int32{0, 1}))
	do("a gap", placed("gap", -1, -1, []int32{0, 1}, []int32{2, 1}))
	do("a partition twice", placed("double", -1, -1, []int32{0, 1}, []int32{0, 1}))
	do("a negative partition", placed("negative", -1, -1, []int32{-1, 1}))
	do("no replicas", placed("none", -1, -1, []int32{0}))
	do("a broker twice", placed("same", -1, -1, []int32{0, 1, 1}))
	do("an unknown broker", placed("unknown", -1, -1, []int32{0, 7}))
	do("a negative broker", placed("minus", -1, -1, []int32{0, -1}))
	do("an unknown broker beside", placed("besides", -1, -1, []int32{0, 1, 2}))
	do("uneven", placed("uneven", -1, -1, []int32{0, 1}, []int32{1, 1, 2}))
}

func sceneDeleteTopics(s *script, v int16) {
	name := func(what string) string { return fmt.Sprintf("delete-%d-%s", v, what) }
	for _, what := range []string{"plain", "one", "two", "twice", "both"} {
		s.topic(name(what), 1)
	}
	s.fill(name("plain"), 0, s.batch(3))
	send := func(step string, topics func(p *party) []kmsg.DeleteTopicsRequestTopic) {
		s.do(step, func(p *party) kmsg.Request {
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.TimeoutMillis, req.Topics = requestMs, topics(p)
			for _, t := range req.Topics {
				if t.Topic != nil {
					req.TopicNames = append(req.TopicNames, *t.Topic)
				}
			}
			return versioned(req, v)
		})
	}
	do := func(step string, names ...string) {
		send(step, func(*party) (list []kmsg.DeleteTopicsRequestTopic) {
			for i := range names {
				t := kmsg.NewDeleteTopicsRequestTopic()
				t.Topic = &names[i]
				list = append(list, t)
			}
			return list
		})
	}
	do("plain", name("plain"))
	do("again", name("plain"))
	do("several, one unknown", name("one"), name("missing"), name("two"))
	do("one twice", name("twice"), name("twice"))
	do("none")
	do("illegal names", "a/b", "", "..")
	s.ask("what is left", func(*party) kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		for _, what := range []string{"plain", "one", "two", "twice"} {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = kmsg.StringPtr(name(what))
			req.Topics = append(req.Topics, t)
		}
		return versioned(req, 12)
	})
	if v >= 6 {
		deleteByID(name("both"), send)
	}
}

// deleteByID names a topic by its id.
func deleteByID(both string, send func(step string, topics func(p *party) []kmsg.DeleteTopicsRequestTopic)) {
	byID := func(topic *string, id [16]byte) kmsg.DeleteTopicsRequestTopic {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic, t.TopicID = topic, id
		return t
	}
	one := func(step string, topic *string, id func(p *party) [16]byte, times int) {
		send(step, func(p *party) (list []kmsg.DeleteTopicsRequestTopic) {
			for range times {
				list = append(list, byID(topic, id(p)))
			}
			return list
		})
	}
	known := func(p *party) [16]byte { return p.id(both) }
	one("neither name nor id", nil, func(*party) [16]byte { return [16]byte{} }, 1)
	one("unknown id", nil, func(*party) [16]byte { return [16]byte{1, 2, 3} }, 1)
	one("name and id", &both, known, 1)
	one("an id twice", nil, known, 2)
	send("an id and its name, the topic twice", func(p *party) []kmsg.DeleteTopicsRequestTopic {
		return []kmsg.DeleteTopicsRequestTopic{byID(nil, known(p)), byID(&both, [16]byte{})}
	})
	one("by id", nil, known, 1)
	one("by id again", nil, known, 1)
}

func sceneCreatePartitions(s *script, v int16) {
	name := func(what string) string { return fmt.Sprintf("grow-%d-%s", v, what) }
	for _, what := range []string{"plain", "twice", "placed"} {
		s.topic(name(what), 2)
	}
	grown := func(what string, count int32, places ...[]int32) kmsg.CreatePartitionsRequestTopic {
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = name(what), count
		for _, place := range places {
			a := kmsg.NewCreatePartitionsRequestTopicAssignment()
			a.Replicas = place
			t.Assignment = append(t.Assignment, a)
		}
		return t
	}
	send := func(step string, validateOnly bool, topics ...kmsg.CreatePartitionsRequestTopic) {
		s.do(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrCreatePartitionsRequest()
			req.TimeoutMillis, req.ValidateOnly, req.Topics = requestMs, validateOnly, topics
			return versioned(req, v)
		})
	}
	do := func(step string, topics ...kmsg.CreatePartitionsRequestTopic) { send(step, false, topics...) }
	send("validate", true, grown("plain", 4))
	send("validate a shrink", true, grown("plain", 1))
	do("grow", grown("plain", 4))
	do("to the same", grown("plain", 4))
	do("shrink", grown("plain", 1))
	do("to 0", grown("plain", 0))
	do("to -1", grown("plain", -1))
	do("unknown", grown("missing", 4))
	do("one twice", grown("twice", 4), grown("twice", 5), grown("plain", 5))
	do("none")
	odd := grown("plain", 6)
	for i, topic := range []string{"", "a/b", ".."} {
		odd.Topic = topic
		do(fmt.Sprintf("odd name %d", i), odd)
	}
	do("placed", grown("placed", 3, []int32{1}))
	do("placed too few", grown("placed", 5, []int32{1}))
	do("placed too many", grown("placed", 4, []int32{1}, []int32{1}))
	do("placed nowhere", grown("placed", 4, []int32{}))
	do("placed on a broker twice", grown("placed", 4, []int32{1, 1}))
	do("placed on an unknown broker", grown("placed", 4, []int32{7}))
	do("placed on a negative broker", grown("placed", 4, []int32{-1}))
	do("placed on too many", grown("placed", 4, []int32{1, 2}))
	empty := grown("placed", 4)
	empty.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{}
	do("an empty list of places", empty)
	s.ask("what came of it", func(*party) kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		for _, what := range []string{"plain", "twice", "placed"} {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = kmsg.StringPtr(name(what))
			req.Topics = append(req.Topics, t)
		}
		return versioned(req, 12)
	})
}
