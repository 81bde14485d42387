package group

import (
	"cmp"
	"slices"

	"pinion/engine/clock"
	"pinion/engine/model"
)

// Forget removes the offsets of topics that are gone, and of what is being committed to them: whoever reads a topic of the same name later must
// not begin where somebody stopped in another. gone is asked with the id a commit named, or none where it is not known. failed is called
// for every group whose removal could not be stored.
func (c *Coordinator) Forget(now clock.Now, gone func(topic string, id model.TopicID) bool, failed func()) {
	c.now = now
	for _, id := range c.ids() {
		g := c.groups[id]
		if g.state == Dead {
			continue
		}
		keys := g.keysOf(gone)
		if len(keys) == 0 {
			continue
		}
		c.removeOffsets(g, keys, nil, func(code Code) {
			if code != OK {
				failed()
			}
		})
	}
}

// keysOf are the keys of offsets of topics that are gone: as they will be when what is being committed is stored.
func (g *group) keysOf(gone func(topic string, id model.TopicID) bool) []offsetKey {
	var keys []offsetKey
	coming := map[offsetKey]model.TopicID{}
	for _, a := range g.storing {
		for i, key := range a.keys {
			coming[key] = a.values[i].topic
		}
	}
	for key, id := range coming {
		if gone(key.topic, id) {
			keys = append(keys, key)
		}
	}
	for key, v := range g.offsets {
		if _, replaced := coming[key]; !replaced && gone(key.topic, v.topic) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b offsetKey) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return keys
}
