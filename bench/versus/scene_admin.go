package versus

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sceneElectLeaders asks a node that is alone for elections: none is ever needed, and much can be asked wrongly.
func sceneElectLeaders(s *script, v int16) {
	name := fmt.Sprintf("elect-%d", v)
	s.topic(name, 2)
	do := func(step string, kind int8, topics ...kmsg.ElectLeadersRequestTopic) {
		s.do(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrElectLeadersRequest()
			req.ElectionType, req.TimeoutMillis, req.Topics = kind, requestMs, topics
			return versioned(req, v)
		})
	}
	of := func(topic string, partitions ...int32) kmsg.ElectLeadersRequestTopic {
		t := kmsg.NewElectLeadersRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		return t
	}
	do("a topic", 0, of(name, 0, 1))
	do("bad partitions among good", 0, of(name, -1, 0, 2))
	do("an unknown topic", 0, of(name+"-missing", 0), of(name, 0))
	do("an illegal name", 0, of("not/legal", 0))
	do("a topic, no partitions at all", 0, of(name))
	do("all", 0)
	do("no topics", 0, []kmsg.ElectLeadersRequestTopic{}...)
	if v >= 1 {
		do("an unclean election", 1, of(name, 0, 1, 2))
		do("an unclean election of all", 1)
		do("an unknown kind", 2, of(name, 0))
		do("a negative kind", -1, of(name, 0, 7))
		do("an unknown kind for all", 3)
	}
}

func sceneDescribeQuorum(s *script, v int16) {
	ask := func(step string, topics ...string) {
		for _, partitions := range [][]int32{{0}, {1}, {0, 0}, {}} {
			s.ask(fmt.Sprintf("%s, partitions %v", step, partitions), func(*party) kmsg.Request {
				req := kmsg.NewPtrDescribeQuorumRequest()
				for _, name := range topics {
					t := kmsg.NewDescribeQuorumRequestTopic()
					t.Topic = name
					for _, i := range partitions {
						p := kmsg.NewDescribeQuorumRequestTopicPartition()
						p.Partition = i
						t.Partitions = append(t.Partitions, p)
					}
					req.Topics = append(req.Topics, t)
				}
				return versioned(req, v)
			})
		}
	}
	ask("the quorum", "__cluster_metadata")
	ask("another topic", "metadata")
	ask("the quorum and another", "__cluster_metadata", "metadata")
	ask("nothing")
}

// sceneUpdateFeatures asks for what no broker can do, and for nothing, without doing it: Kafka's features stay.
func sceneUpdateFeatures(s *script, v int16) {
	type update struct {
		name  string
		level int16
		kind  int8
	}
	for _, validate := range []bool{false, true} {
		if validate && v == 0 {
			continue
		}
		do := func(step string, updates ...update) {
			s.do(step, func(*party) kmsg.Request {
				req := kmsg.NewPtrUpdateFeaturesRequest()
				req.TimeoutMillis, req.ValidateOnly = requestMs, validate
				for _, u := range updates {
					f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
					f.Feature, f.MaxVersionLevel, f.UpgradeType, f.AllowDowngrade = u.name, u.level, u.kind, u.kind > 1
					req.FeatureUpdates = append(req.FeatureUpdates, f)
				}
				return versioned(req, v)
			})
		}
		do("nothing")
		do("an unknown feature", update{"no.such.feature", 1, 1})
		do("an unknown feature to nothing", update{"no.such.feature", 0, 2})
		do("an empty name", update{"", 1, 1})
		do("a level nobody has", update{"group.version", 99, 1})
		do("a negative level", update{"transaction.version", -1, 1})
		do("several, one of them unknown", update{"no.such.feature", 1, 1}, update{"another", 2, 1})
		do("metadata from the future", update{"metadata.version", 999, 1})
		if validate {
			do("a feature to nothing", update{"streams.version", 0, 2})
			do("features to nothing", update{"streams.version", 0, 3}, update{"group.version", 0, 2})
			do("a feature that has no way down", update{"kraft.version", 0, 2})
		}
		if v >= 1 {
			do("an unknown kind of change", update{"group.version", 1, 9})
		}
	}
}

// sceneUnregisterBroker leaves the one broker there is alone: Kafka would take its partitions away from it.
func sceneUnregisterBroker(s *script, v int16) {
	for _, id := range []int32{2, 1000, 0, -1, -2147483648, 2147483647} {
		s.do(fmt.Sprintf("broker %d", id), func(*party) kmsg.Request {
			req := kmsg.NewPtrUnregisterBrokerRequest()
			req.BrokerID = id
			return versioned(req, v)
		})
	}
}

func sceneListConfigResources(s *script, v int16) {
	s.topic(fmt.Sprintf("listed-%d", v), 1)
	ask := func(step string, kinds ...int8) {
		s.ask(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrListConfigResourcesRequest()
			req.ResourceTypes = kinds
			return versioned(req, v)
		})
	}
	ask("all")
	if v == 0 {
		return
	}
	for _, kind := range []int8{2, 4, 8, 16, 32, 0, 1, 3, 64, -1} {
		ask(fmt.Sprintf("kind %d", kind), kind)
	}
	ask("several", 8, 4)
	ask("a kind again", 4, 4)
	ask("an unknown one among others", 4, 3, 2)
}
