package versus

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func sceneMetadata(s *script, v int16) {
	name := fmt.Sprintf("metadata-%d", v)
	s.topic(name, 3)
	ask := func(step string, change func(p *party, req *kmsg.MetadataRequest)) {
		s.ask(step, func(p *party) kmsg.Request {
			req := kmsg.NewPtrMetadataRequest()
			req.Topics = []kmsg.MetadataRequestTopic{}
			change(p, req)
			return versioned(req, v)
		})
	}
	named := func(names ...string) []kmsg.MetadataRequestTopic {
		list := []kmsg.MetadataRequestTopic{}
		for _, name := range names {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = kmsg.StringPtr(name)
			list = append(list, t)
		}
		return list
	}
	ask("none", func(*party, *kmsg.MetadataRequest) {})
	ask("all", func(_ *party, req *kmsg.MetadataRequest) { req.Topics = nil })
	ask("one", func(_ *party, req *kmsg.MetadataRequest) { req.Topics = named(name) })
	ask("one twice", func(_ *party, req *kmsg.MetadataRequest) { req.Topics = named(name, name) })
	for i, illegal := range []string{"", ".", "..", "a/b", "ü", strings.Repeat("x", 250), strings.Repeat("x", 249)} {
		ask(fmt.Sprintf("odd name %d", i), func(_ *party, req *kmsg.MetadataRequest) { req.Topics = named(illegal) })
	}
	if v >= 4 {
		ask("a missing one", func(_ *party, req *kmsg.MetadataRequest) { req.Topics = named(name+"-missing", name) })
	}
	ask("one to be created", func(_ *party, req *kmsg.MetadataRequest) {
		req.Topics, req.AllowAutoTopicCreation = named(name+"-made"), true
	})
	s.await(name+"-made", 1)
	ask("one that was created", func(_ *party, req *kmsg.MetadataRequest) {
		req.Topics, req.AllowAutoTopicCreation = named(name+"-made"), true
	})
	s.topic(strings.ReplaceAll(name, "-", "_"), 1)
	ask("a colliding name to be created", func(_ *party, req *kmsg.MetadataRequest) {
		req.Topics, req.AllowAutoTopicCreation = named(strings.ReplaceAll(name, "-", ".")), true
	})
	ask("operations", func(_ *party, req *kmsg.MetadataRequest) {
		req.Topics, req.IncludeClusterAuthorizedOperations, req.IncludeTopicAuthorizedOperations = named(name), true, true
	})
	if v < 10 {
		return
	}
	byID := func(step string, topic *string, id func(p *party) [16]byte) {
		ask(step, func(p *party, req *kmsg.MetadataRequest) {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic, t.TopicID = topic, id(p)
			req.Topics = append(req.Topics, t)
		})
	}
	known := func(p *party) [16]byte { return p.id(name) }
	byID("by id", nil, known)
	byID("by id and name", &name, known)
	byID("by unknown id", nil, func(*party) [16]byte { return [16]byte{1, 2, 3} })
	byID("neither id nor name", nil, func(*party) [16]byte { return [16]byte{} })
	ask("by id twice, and by name", func(p *party, req *kmsg.MetadataRequest) {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic, t.TopicID = nil, p.id(name)
		req.Topics = append(append(req.Topics, t, t), named(name)...)
	})
}

func sceneAPIVersions(s *script, v int16) {
	ask := func(step, software, version string) {
		s.ask(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrApiVersionsRequest()
			req.ClientSoftwareName, req.ClientSoftwareVersion = software, version
			return versioned(req, v)
		})
	}
	ask("plain", "versus", "1.0")
	ask("no name", "", "")
	ask("odd name", "-versus", "1.0")
	ask("odd version", "versus", "1.0-")
	ask("every character", "a.b-C9", "1.0-x.Y")
	ask("a space", "a b", "1")
}

func sceneDescribeCluster(s *script, v int16) {
	for _, endpoint := range []int8{1, 2, 0, 3, -1} {
		for _, operations := range []bool{false, true} {
			s.ask(fmt.Sprintf("endpoint %d, operations %v", endpoint, operations), func(*party) kmsg.Request {
				req := kmsg.NewPtrDescribeClusterRequest()
				req.IncludeClusterAuthorizedOperations, req.EndpointType, req.IncludeFencedBrokers = operations, endpoint, operations
				return versioned(req, v)
			})
		}
	}
}

func sceneInitProducerID(s *script, v int16) {
	ask := func(step string, change func(p *party, req *kmsg.InitProducerIDRequest)) {
		s.do(step, func(p *party) kmsg.Request {
			req := kmsg.NewPtrInitProducerIDRequest()
			req.TransactionTimeoutMillis = 60_000
			change(p, req)
			return versioned(req, v)
		})
	}
	plain := func(*party, *kmsg.InitProducerIDRequest) {}
	ask("without a transactional id", plain)
	ask("another", plain)
	ask("timeout 0", func(_ *party, req *kmsg.InitProducerIDRequest) { req.TransactionTimeoutMillis = 0 })
	ask("timeout -1", func(_ *party, req *kmsg.InitProducerIDRequest) { req.TransactionTimeoutMillis = -1 })
	ask("empty transactional id", func(_ *party, req *kmsg.InitProducerIDRequest) { req.TransactionalID = kmsg.StringPtr("") })
	s.producer(fmt.Sprintf("init-%d", v))
	known := func(p *party) int64 { return p.kept[fmt.Sprintf("init-%d", v)] }
	ask("with id and epoch", func(p *party, req *kmsg.InitProducerIDRequest) { req.ProducerID, req.ProducerEpoch = known(p), 0 })
	ask("with id, no epoch", func(p *party, req *kmsg.InitProducerIDRequest) { req.ProducerID, req.ProducerEpoch = known(p), -1 })
	ask("with epoch, no id", func(_ *party, req *kmsg.InitProducerIDRequest) { req.ProducerID, req.ProducerEpoch = -1, 3 })
	ask("with an id nobody gave out", func(_ *party, req *kmsg.InitProducerIDRequest) { req.ProducerID, req.ProducerEpoch = 1<<40, 3 })
}

func sceneDescribeProducers(s *script, v int16) {
	name := fmt.Sprintf("producers-%d", v)
	s.topic(name, 3)
	s.producer(name)
	for i := range int32(2) {
		for n := range 1 + i {
			s.do("a batch of a producer", func(p *party) kmsg.Request {
				return sendTo(9, -1, name, intoPartition(i, s.batch(2, ofProducer(p.kept[name], 0, 2*n))))(p)
			})
		}
	}
	ask := func(step, topic string, partitions ...int32) {
		s.ask(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrDescribeProducersRequest()
			t := kmsg.NewDescribeProducersRequestTopic()
			t.Topic, t.Partitions = topic, partitions
			req.Topics = append(req.Topics, t)
			return versioned(req, v)
		})
	}
	ask("one", name, 0)
	ask("several", name, 0, 1, 2)
	ask("bad partitions among good", name, -1, 0, 3)
	ask("a partition twice", name, 0, 0)
	ask("unknown topic", name+"-missing", 0)
	ask("illegal name", "not/legal", 0)
	ask("no partitions", name)
	s.ask("no topics", func(*party) kmsg.Request { return versioned(kmsg.NewPtrDescribeProducersRequest(), v) })
}

// sceneAlterReplicaLogDirs has one directory on each side: what is asked for it stays, and everything else is refused.
func sceneAlterReplicaLogDirs(s *script, v int16) {
	name := fmt.Sprintf("placed-%d", v)
	s.topic(name, 2)
	s.fill(name, 0, s.batch(5))
	of := func(topic string, partitions ...int32) kmsg.AlterReplicaLogDirsRequestDirTopic {
		t := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		t.Topic, t.Partitions = topic, partitions
		return t
	}
	type wish struct {
		behind string // the directory's path
		topics []kmsg.AlterReplicaLogDirsRequestDirTopic
	}
	to := func(behind string, topics ...kmsg.AlterReplicaLogDirsRequestDirTopic) wish {
		return wish{behind, topics}
	}
	ask := func(step string, wishes ...wish) {
		s.ask(step, func(p *party) kmsg.Request {
			req := kmsg.NewPtrAlterReplicaLogDirsRequest()
			for _, w := range wishes {
				dir := kmsg.NewAlterReplicaLogDirsRequestDir()
				dir.Dir, dir.Topics = absolute(p.dir)+w.behind, w.topics
				req.Dirs = append(req.Dirs, dir)
			}
			return versioned(req, v)
		})
	}
	missing := name + "-missing"
	ask("to where it lies", to("", of(name, 0)))
	ask("two to where they lie", to("", of(name, 0, 1)))
	ask("to nowhere", to("-missing", of(name, 0, 1)))
	ask("to the parent", to("/..", of(name, 0)))
	ask("with a slash", to("/", of(name, 0)))
	ask("a partition there is not", to("", of(name, 2)))
	ask("a negative one", to("", of(name, -1)))
	ask("an unknown topic", to("", of(missing, 0)))
	ask("an unknown topic to nowhere", to("-missing", of(missing, 0)))
	ask("no topic's name", to("", of("", 0)))
	ask("one twice", to("", of(name, 0, 0)))
	ask("one to nowhere, then to where it lies", to("-missing", of(name, 0)), to("", of(name, 0)))
	ask("one to where it lies, then to nowhere", to("", of(name, 0)), to("-missing", of(name, 0)))
	ask("no partitions", to("", of(name)))
	ask("no topics", to(""))
	ask("nothing")
	ask("a long name", to("", of(strings.Repeat("x", 213), 0)))
	ask("a name too long for a move", to("", of(strings.Repeat("x", 214), 0)))
	ask("a name that is illegal", to("", of(strings.Repeat("x", 250), 0)))
}

func sceneDescribeLogDirs(s *script, v int16) {
	name := fmt.Sprintf("dirs-%d", v)
	s.topic(name, 2)
	s.fill(name, 0, s.batch(5), s.batch(100))
	ask := func(step string, topics []kmsg.DescribeLogDirsRequestTopic) {
		s.ask(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrDescribeLogDirsRequest()
			req.Topics = topics
			return versioned(req, v)
		})
	}
	of := func(topic string, partitions ...int32) kmsg.DescribeLogDirsRequestTopic {
		t := kmsg.NewDescribeLogDirsRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		return t
	}
	ask("a topic", []kmsg.DescribeLogDirsRequestTopic{of(name, 0, 1)})
	ask("a partition twice", []kmsg.DescribeLogDirsRequestTopic{of(name, 0, 0)})
	ask("bad partitions among good", []kmsg.DescribeLogDirsRequestTopic{of(name, -1, 0, 2)})
	ask("unknown topic", []kmsg.DescribeLogDirsRequestTopic{of(name+"-missing", 0)})
	ask("no partitions", []kmsg.DescribeLogDirsRequestTopic{of(name)})
	ask("no topics", []kmsg.DescribeLogDirsRequestTopic{})
}

func sceneDescribeTopicPartitions(s *script, v int16) {
	name := fmt.Sprintf("paged-%d", v)
	for _, part := range []string{"a", "b", "c"} {
		s.topic(name+part, 3)
	}
	ask := func(step string, limit int32, cursor *kmsg.DescribeTopicPartitionsRequestCursor, topics ...string) {
		s.ask(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrDescribeTopicPartitionsRequest()
			req.ResponsePartitionLimit, req.Cursor = limit, cursor
			for _, topic := range topics {
				t := kmsg.NewDescribeTopicPartitionsRequestTopic()
				t.Topic = topic
				req.Topics = append(req.Topics, t)
			}
			return versioned(req, v)
		})
	}
	at := func(topic string, partition int32) *kmsg.DescribeTopicPartitionsRequestCursor {
		c := kmsg.NewDescribeTopicPartitionsRequestCursor()
		c.Topic, c.Partition = topic, partition
		return &c
	}
	a, b, c := name+"a", name+"b", name+"c"
	ask("three topics", 2000, nil, c, a, b)
	ask("one twice", 2000, nil, a, a)
	for _, limit := range []int32{1, 2, 3, 4, 9, 10, 0, -1, 1 << 30} {
		ask(fmt.Sprintf("limit %d", limit), limit, nil, a, b, c)
	}
	for _, partition := range []int32{0, 1, 3, 99} {
		ask(fmt.Sprintf("from %d of the second", partition), 2, at(b, partition), a, b, c)
	}
	ask("from -1", 2, at(b, -1), a, b, c)
	ask("a cursor elsewhere", 2, at(name+"x", 0), a, b, c)
	ask("a cursor of a missing topic", 2, at(name+"bb", 0), a, name+"bb", c)
	ask("a cursor of an empty name", 2, at("", 0), a)
	ask("a missing topic", 2000, nil, a, name+"missing")
	ask("an illegal name", 2000, nil, a, "not/legal")
	ask("an empty name", 2000, nil, "")
	ask("all", 2000, nil)
	ask("all, from the second", 2, at(b, 1))
	ask("all, from between", 2, at(name+"bb", 1))
	ask("all, from -1", 2, at(b, -1))
}
