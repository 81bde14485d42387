package placement

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pinion/engine/model"
)

// naive is the image as plain maps.
type naive struct {
	topics map[string]*naiveTopic
	moves  uint64
}

type naiveTopic struct {
	id    model.TopicID
	parts []Partition
}

func (n naive) clone() naive {
	c := naive{topics: map[string]*naiveTopic{}, moves: n.moves}
	for name, tp := range n.topics {
		c.topics[name] = &naiveTopic{id: tp.id, parts: slices.Clone(tp.parts)}
	}
	return c
}

func (n naive) compare(t *rapid.T, im *Image) {
	names := slices.Sorted(maps.Keys(n.topics))
	var got []string
	parts := 0
	for tp := range im.Topics {
		got = append(got, tp.Name)
	}
	if !slices.Equal(got, names) {
		t.Fatalf("topics %v, want %v", got, names)
	}
	for name, want := range n.topics {
		tp := im.TopicNamed([]byte(name))
		if tp == nil || im.TopicByID(want.id) != tp || im.TopicCalled(name) != tp || int(tp.Partitions()) != len(want.parts) {
			t.Fatalf("topic %s: %+v, want %+v", name, tp, want)
		}
		for i, p := range want.parts {
			q := tp.Partition(int32(i))
			if q.LeaderEpoch != p.LeaderEpoch || q.Replicas[0] != p.Replicas[0] || im.Partition(model.Partition{Topic: want.id, Index: int32(i)}) != q {
				t.Fatalf("%s-%d: %+v, want %+v", name, i, q, p)
			}
		}
		parts += len(want.parts)
		if tp.Partition(int32(len(want.parts))) != nil || tp.Partition(-1) != nil {
			t.Fatalf("%s has a partition beyond its end", name)
		}
	}
	if im.TopicCount() != len(names) || im.PartitionCount() != parts || im.Moves() != n.moves {
		t.Fatalf("%d topics, %d partitions, %d moves; want %d, %d, %d", im.TopicCount(), im.PartitionCount(), im.Moves(), len(names), parts, n.moves)
	}
}

func part(epoch int) *Partition {
	return &Partition{LeaderEpoch: model.Epoch(epoch), Replicas: []Replica{{Node: 1, Shard: model.ShardID(epoch % 2)}}, ISR: []model.NodeID{1}}
}

// TestImageAgainstMaps edits an image and plain maps alike; every image ever frozen must stay as it was.
func TestImageAgainstMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Empty("c").Edit()
		state := naive{topics: map[string]*naiveTopic{}}
		type frozen struct {
			image *Image
			want  naive
		}
		var history []frozen
		ids := 0
		epoch := 0
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			name := fmt.Sprintf("t%d", rapid.IntRange(0, 60).Draw(t, "topic"))
			tp, have := d.View().TopicCalled(name), state.topics[name]
			epoch++
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case have == nil:
				ids++
				n := rapid.SampledFrom([]int{1, 2, 31, 32, 33, 70}).Draw(t, "partitions")
				want := &naiveTopic{id: model.TopicID{1, byte(ids >> 8), byte(ids)}}
				var parts []*Partition
				for range n {
					parts = append(parts, part(epoch))
					want.parts = append(want.parts, *part(epoch))
				}
				d.AddTopic(name, want.id, false, nil, parts)
				state.topics[name] = want
			case op == 0:
				d.RemoveTopic(tp)
				delete(state.topics, name)
			case op <= 2:
				d.AddPartition(tp, part(epoch))
				have.parts = append(have.parts, *part(epoch))
			case op == 3:
				d.SetConfigs(tp, map[string]string{"k": name})
			default:
				i := rapid.IntRange(0, len(have.parts)-1).Draw(t, "index")
				if have.parts[i].Replicas[0].Shard != part(epoch).Replicas[0].Shard {
					state.moves++
				}
				d.SetPartition(tp, int32(i), part(epoch))
				have.parts[i] = *part(epoch)
			}
			if rapid.IntRange(0, 4).Draw(t, "freeze") == 0 {
				history = append(history, frozen{d.Freeze(model.Revision(epoch)), state.clone()})
			}
		}
		state.compare(t, d.View())
		for _, h := range history {
			h.want.compare(t, h.image)
		}
	})
}

// TestCollidingHashes puts many topics into one leaf: lookups must still tell them apart.
func TestCollidingHashes(t *testing.T) {
	var tr trie
	e := new(edit)
	var topics []*Topic
	for i := range 40 {
		tp := &Topic{Name: fmt.Sprint(i)}
		topics = append(topics, tp)
		tr.put(e, uint64(i%3)<<60|7, nil, tp)
	}
	for _, gone := range topics[:20] {
		for i, tp := range topics {
			if tp == gone {
				tr.drop(e, uint64(i%3)<<60|7, tp)
			}
		}
	}
	left := 0
	for hash := range uint64(3) {
		for l := tr.find(hash<<60 | 7); l != nil; l = l.next {
			if !slices.Contains(topics[20:], l.topic) {
				t.Errorf("%s was removed", l.topic.Name)
			}
			left++
		}
	}
	if left != 20 {
		t.Errorf("%d left, want 20", left)
	}
	for i, tp := range topics[20:] {
		tr.drop(e, uint64((i+20)%3)<<60|7, tp)
	}
	if tr.root != nil {
		t.Error("an empty trie keeps branches")
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	d := Empty("c").Edit()
	for i := range 5000 {
		d.AddTopic(fmt.Sprintf("topic-number.%d", i), model.TopicID{1, byte(i >> 8), byte(i)}, false, nil, []*Partition{part(1)})
	}
	im := d.Freeze(1)
	name := []byte("topic-number.1234")
	id := im.TopicNamed(name).ID
	if n := testing.AllocsPerRun(200, func() {
		if im.TopicNamed(name) == nil || im.TopicByID(id).Partition(0).ShardOn(1) < 0 || im.TopicNamed(name[:3]) != nil {
			t.Error("lost")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTopicLike(t *testing.T) {
	d := Empty("c").Edit()
	d.AddTopic("a.b_c", model.TopicID{1}, false, nil, []*Partition{part(1)})
	im := d.Freeze(1)
	for name, want := range map[string]bool{"a.b_c": true, "a_b.c": true, "a_b_c": true, "a-b_c": false, "a.b_d": false, "": false} {
		if got := im.TopicLike(name) != nil; got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	if im.TopicNamed([]byte("a_b_c")) != nil || im.TopicNamed(make([]byte, 300)) != nil {
		t.Error("a lookup by name must be exact")
	}
}

func TestBrokers(t *testing.T) {
	d := Empty("c").Edit()
	for _, id := range []model.NodeID{5, 1, 3, 1} {
		d.SetBroker(&Broker{ID: id, Shards: int32(id)})
	}
	first := d.Freeze(1)
	d.RemoveBroker(3)
	d.SetBrokerConfigs(-1, map[string]string{"a": "1"})
	d.SetBrokerConfigs(1, map[string]string{"b": "1"})
	second := d.Freeze(2)
	d.SetBrokerConfigs(1, nil)
	var got []model.NodeID
	for b := range first.Brokers {
		got = append(got, b.ID)
	}
	if !slices.Equal(got, []model.NodeID{1, 3, 5}) || first.Broker(3) == nil || second.Broker(3) != nil || second.BrokerCount() != 2 {
		t.Error(got)
	}
	if first.BrokerConfigs(-1) != nil || second.BrokerConfigs(1)["b"] != "1" || d.View().BrokerConfigs(1) != nil || d.View().BrokerConfigs(-1) == nil {
		t.Error("broker configurations leaked between images")
	}
}
