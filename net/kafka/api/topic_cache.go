package api

import (
	"maps"

	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/placement"
)

// topicEntry caches what a topic's configuration resolves to; it is good as long as the image shows the same topic value and the
// broker's own configuration is the same.
type topicEntry struct {
	topic  *placement.Topic
	broker *config.Broker // whose defaults it took
	config config.Topic
}

// topicCache is what a desk has resolved. It holds little more than topics that are there: those that were deleted are taken out once there are many,
// as they would keep their topics in memory.
type topicCache map[model.TopicID]*topicEntry

const (
	topicsCached = 10_000 // the most; beyond, the cache starts over
	topicsGone   = 64     // deleted topics that may stay in it, or a quarter of those that are there
)

// put adds an entry of a topic that this image shows.
func (c topicCache) put(e *topicEntry, image *placement.Image) {
	if count := image.TopicCount(); len(c) >= count+max(topicsGone, count/4) {
		maps.DeleteFunc(c, func(id model.TopicID, _ *topicEntry) bool { return image.TopicByID(id) == nil })
	}
	if len(c) >= topicsCached {
		clear(c)
	}
	c[e.topic.ID] = e
}
