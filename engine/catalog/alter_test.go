package catalog

import "testing"

// Two who read the same configuration and change it: the second is refused and has to look again.
func TestAlterationsDoNotUndoEachOther(t *testing.T) {
	r := cluster(t, 1)
	r.must(CreateTopic(TopicSpec{Name: "t", ID: topicID(1), Partitions: 1, ReplicationFactor: 1, Configs: map[string]string{"a": "1"}}))
	seen := r.Image().TopicByID(topicID(1))
	r.must(AlterTopicConfigs(seen, []ConfigChange{{Key: "b", Value: "2"}}))
	if result, delta := r.do(AlterTopicConfigs(seen, []ConfigChange{{Key: "c", Value: "3"}})); result.Err == nil || result.Err.Code != Changed || !delta.Empty() {
		t.Fatalf("%+v, %+v", result, delta)
	}
	seen = r.Image().TopicByID(topicID(1))
	result, delta := r.do(AlterTopicConfigs(seen, []ConfigChange{{Key: "a", Delete: true}, {Key: "c", Value: "3"}}))
	if result.Err != nil || len(result.Topic.Configs) != 2 || result.Topic.Configs["c"] != "3" || len(delta.Configured) != 1 {
		t.Fatalf("%+v, %+v", result, delta)
	}
	r.must(DeleteTopic("t", topicID(1)))
	r.must(CreateTopic(TopicSpec{Name: "t", ID: topicID(2), Partitions: 1, ReplicationFactor: 1, Configs: seen.Configs}))
	if result, _ := r.do(AlterTopicConfigs(seen, nil)); result.Err == nil || result.Err.Code != UnknownTopic {
		t.Fatalf("another topic of that name is altered: %+v", result)
	}

	r.must(AlterBrokerConfigs(-1, nil, []ConfigChange{{Key: "x", Value: "1"}}))
	if result, _ := r.do(AlterBrokerConfigs(-1, nil, []ConfigChange{{Key: "y", Value: "1"}})); result.Err == nil || result.Err.Code != Changed {
		t.Fatalf("%+v", result)
	}
	r.must(AlterBrokerConfigs(-1, map[string]string{"x": "1"}, []ConfigChange{{Key: "x", Delete: true}}))
	if got := r.Image().BrokerConfigs(-1); got != nil {
		t.Fatalf("%v", got)
	}
	if result, _ := r.do(AlterBrokerConfigs(9, nil, nil)); result.Err == nil || result.Err.Code != UnknownBroker {
		t.Fatalf("%+v", result)
	}
}
