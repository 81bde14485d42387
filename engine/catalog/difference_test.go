package catalog

import (
	"reflect"
	"testing"

	"pinion/engine/model"
	"pinion/engine/placement"
)

// TestDifference: between two images it says what the commands in between said, and nothing between equal ones.
func TestDifference(t *testing.T) {
	m := New("c")
	index := uint64(0)
	do := func(delta *Delta, cmds ...Command) {
		for _, cmd := range cmds {
			index++
			r, d := m.Apply(index, cmd.Bytes())
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			delta.Add(d)
		}
	}
	topic := func(name string, id byte) Command {
		return CreateTopic(TopicSpec{Name: name, ID: model.TopicID{id}, Partitions: 2, ReplicationFactor: 1})
	}
	register := func(node model.NodeID, life byte) Command {
		return RegisterBroker(Registration{Node: node, Incarnation: [16]byte{life}, Shards: 2, Listeners: []placement.Listener{{Name: "P", Host: "h", Port: 1}}})
	}
	do(&Delta{}, register(1, 1), topic("a", 1), topic("b", 2), topic("c", 3), SetBrokerConfigs(-1, []ConfigChange{{Key: "k", Value: "v"}}, false))
	old := m.Image()
	var want Delta
	do(&want, topic("d", 4), DeleteTopic("b", model.TopicID{}), SetTopicConfigs("a", []ConfigChange{{Key: "k", Value: "v"}}, false),
		CreatePartitions("c", 4, nil), register(2, 9), SetBrokerConfigs(-1, nil, true), SetBrokerConfigs(1, []ConfigChange{{Key: "k", Value: "w"}}, false))
	next := m.Image()
	want.Settle(old, next)
	got := Difference(old, next)
	got.Settle(old, next)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if d := Difference(next, next); !d.Empty() {
		t.Errorf("an image differs from itself: %+v", d)
	}
	restored, err := Restore(m.AppendSnapshot(nil))
	if err != nil {
		t.Fatal(err)
	}
	if d := Difference(next, restored.Image()); !d.Empty() {
		t.Errorf("an image differs from its restored twin: %+v", d)
	}
}
