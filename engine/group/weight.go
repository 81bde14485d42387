package group

import (
	"time"

	"pinion/engine/clock"
)

// What a coordinator keeps is bounded: names that are mentioned once, newcomers that never come back and commits of a million partitions would
// otherwise fill memory, each for as long as a session or offsets last. Chosen here: far above what honest groups of one partition need.
const bytesMax = 64 << 20

// What things weigh beside their texts, in bytes: measured sizes of the structures, rounded up, with their places in maps.
const (
	weightGroup    = 1024
	weightMember   = 768
	weightNewcomer = 256
	weightOffset   = 256
)

// weighEvery is how often the whole is weighed at most while it is full.
const weighEvery = time.Second

// scale knows about how much a coordinator keeps.
type scale struct {
	weighed int // when it was weighed last
	grown   int // at most, since then
	at      clock.Mono
	full    bool
}

// room reports whether so much more may be kept. What was added is counted at once and taken for growth; what is gone is found when the bound
// seems to be reached and everything is weighed again.
func (c *Coordinator) room(bytes int) bool {
	limit := c.config.BytesMax
	if limit == 0 {
		limit = bytesMax
	}
	s := &c.scale
	if s.weighed+s.grown+bytes > limit {
		if s.full && c.now.Mono.Sub(s.at) < weighEvery {
			return false
		}
		s.weighed, s.grown, s.at = c.weigh(), 0, c.now.Mono
		if s.full = s.weighed+bytes > limit; s.full {
			return false
		}
	}
	s.grown += bytes
	return true
}

// weigh adds up everything.
func (c *Coordinator) weigh() int {
	sum := 0
	for _, g := range c.groups {
		sum += weightGroup + len(g.id) + len(g.pending)*weightNewcomer
		for _, m := range g.members {
			sum += weightMember + weightOf(m.protocols) + len(m.assignment)
		}
		for key, v := range g.offsets {
			sum += weightOffset + len(key.topic) + len(v.metadata)
		}
	}
	return sum
}

func weightOf(protocols []Protocol) int {
	sum := 0
	for i := range protocols {
		sum += len(protocols[i].Name) + len(protocols[i].Metadata)
	}
	return sum
}

// roomFor reports whether a commit fits: of what replaces an offset counts only by how much its words are more.
func (c *Coordinator) roomFor(r *Commit) bool {
	g, more := c.groups[r.Group], 0
	if g == nil {
		more = weightGroup + len(r.Group)
	}
	for i := range r.Topics {
		topic := &r.Topics[i]
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			if g != nil {
				if v, ok := g.offsets[offsetKey{topic.Topic, p.Partition}]; ok {
					more += max(0, len(p.Metadata)-len(v.metadata))
					continue
				}
			}
			more += weightOffset + len(topic.Topic) + len(p.Metadata)
		}
	}
	return more == 0 || c.room(more)
}
