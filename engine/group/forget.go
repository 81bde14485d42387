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

// keysOf are the keys of offsets, committed or being committed, of topics that are gone.
func (g *group) keysOf(gone func(topic string, id model.TopicID) bool) []offsetKey {
	var keys []offsetKey
	for key, v := range g.offsets {
		if gone(key.topic, v.topic) {
			keys = append(keys, key)
		}
	}
	for _, a := range g.storing {
		for _, key := range a.keys {
			if gone(key.topic, model.TopicID{}) {
				keys = append(keys, key)
			}
		}
	}
	slices.SortFunc(keys, func(a, b offsetKey) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return slices.Compact(keys)
}
