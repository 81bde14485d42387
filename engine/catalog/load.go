package catalog

import (
	"maps"
	"slices"

	"pinion/engine/model"
	"pinion/engine/placement"
)

// count is how many replicas sit somewhere and how many of them lead.
type count struct{ replicas, leaders int }

func (c *count) add(by int, leads bool) {
	c.replicas += by
	if leads {
		c.leaders += by
	}
}

// load is what one node carries.
type load struct {
	count
	shards      []count                   // by shard; as many as the node has
	directories map[model.DirectoryID]int // replicas in each log directory; nil where the node names none
}

func newLoad(shards int32) *load { return &load{shards: make([]count, shards)} }

func (l *load) add(r placement.Replica, by int, leads bool) {
	l.count.add(by, leads)
	if int(r.Shard) < len(l.shards) {
		l.shards[r.Shard].add(by, leads)
	}
	if r.Directory.IsZero() {
		return
	}
	if l.directories == nil {
		l.directories = map[model.DirectoryID]int{}
	}
	if l.directories[r.Directory] += by; l.directories[r.Directory] == 0 {
		delete(l.directories, r.Directory)
	}
}

// loads is the load of every registered node, over all topics or over one.
type loads map[model.NodeID]*load

// emptyLoads has a zero entry for every broker of the image.
func emptyLoads(im *placement.Image) loads {
	all := loads{}
	for b := range im.Brokers {
		all[b.ID] = newLoad(b.Shards)
	}
	return all
}

func loadsOf(im *placement.Image) loads {
	all := emptyLoads(im)
	for tp := range im.Topics {
		all.addTopic(tp, 1)
	}
	return all
}

func (ls loads) addTopic(tp *placement.Topic, by int) {
	for i := range tp.Partitions() {
		ls.add(tp.Partition(i), by)
	}
}

func (ls loads) add(p *placement.Partition, by int) {
	for _, r := range p.Replicas {
		if l := ls[r.Node]; l != nil {
			l.add(r, by, r.Node == p.Leader)
		}
	}
}

func (ls loads) equal(other loads) bool {
	if len(ls) != len(other) {
		return false
	}
	for n, l := range ls {
		o := other[n]
		if o == nil || l.count != o.count || !slices.Equal(l.shards, o.shards) || !maps.Equal(l.directories, o.directories) {
			return false
		}
	}
	return true
}
