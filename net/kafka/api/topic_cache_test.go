package api

import (
	"encoding/binary"
	"fmt"
	"testing"

	"pinion/engine/model"
	"pinion/engine/placement"
)

// Topics that come and go do not stay in the cache, and those that stay are not taken out for them.
func TestTopicCacheForgetsDeletedTopics(t *testing.T) {
	image := &placement.Image{}
	made := uint64(0)
	change := func(f func(d *placement.Draft)) {
		d := image.Edit()
		f(d)
		image = d.Freeze(image.Revision() + 1)
	}
	create := func() (tp *placement.Topic) {
		made++
		var id model.TopicID
		binary.BigEndian.PutUint64(id[:], made)
		change(func(d *placement.Draft) {
			tp = d.AddTopic(fmt.Sprint("topic-", made), id, false, nil, []*placement.Partition{{}})
		})
		return tp
	}
	c := topicCache{}
	var stay []model.TopicID
	for range 400 {
		tp := create()
		c.put(&topicEntry{topic: tp}, image)
		stay = append(stay, tp.ID)
	}
	for range 2000 {
		tp := create()
		c.put(&topicEntry{topic: tp}, image)
		change(func(d *placement.Draft) { d.RemoveTopic(d.View().TopicByID(tp.ID)) })
	}
	if most := len(stay) + max(topicsGone, len(stay)/4) + 1; len(c) > most {
		t.Errorf("%d entries for %d topics", len(c), len(stay))
	}
	for _, id := range stay {
		if c[id] == nil {
			t.Fatal("a topic that is there was forgotten")
		}
	}
	for len(c) < topicsCached {
		c.put(&topicEntry{topic: create()}, image)
	}
	if c.put(&topicEntry{topic: create()}, image); len(c) != 1 {
		t.Errorf("%d entries beyond the bound", len(c))
	}
}
