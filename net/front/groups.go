package front

import (
	"time"

	"pinion/engine/coordinator"
	"pinion/engine/group"
	"pinion/engine/model"
	"pinion/engine/shard"
	"pinion/net/admin"
)

// Groups yields the groups of this node and how far they have read. Each shard is visited for the offsets of its groups, seat by seat, and then for the
// ends of its partitions; one that does not answer in time is left out of this scrape.
func (g *Gauge) Groups() admin.GroupSeq {
	return func(yield func(admin.GroupStats) bool) {
		b := g.front.brokerNow()
		if b == nil {
			return
		}
		topic := b.Control.Image().TopicCalled(coordinator.Topic)
		if topic == nil {
			return
		}
		ends := g.ends()
		for i := range topic.Partitions() {
			owner := topic.Partition(i).ShardOn(b.Config.NodeID)
			if owner < 0 || int(owner) >= len(b.Groups) {
				continue
			}
			var list []admin.GroupStats
			done := g.front.shard(int(owner)).Visit(func(t *shard.Turn) {
				b.Groups[owner].Each(t, i, func(v group.View) { list = append(list, viewed(&v)) })
			})
			if !soon(done) {
				continue
			}
			for j := range list {
				for k := range list[j].Read {
					r := &list[j].Read[k]
					r.Lag = -1
					if end, ok := ends[placeName{r.Topic, r.Partition}]; ok {
						r.Lag = max(0, int64(end)-r.Committed)
					}
				}
				if !yield(list[j]) {
					return
				}
			}
		}
	}
}

func soon(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-time.After(visitMax):
		return false
	}
}

func viewed(v *group.View) admin.GroupStats {
	st := admin.GroupStats{Name: v.Group, Members: v.Members}
	for i := range v.Read {
		st.Read = append(st.Read, admin.ReadStats{Topic: v.Read[i].Topic, Partition: v.Read[i].Partition, Committed: v.Read[i].Offset})
	}
	return st
}

// placeName is a partition as groups name it.
type placeName struct {
	topic     string
	partition int32
}

// ends are the high watermarks of this node's partitions.
func (g *Gauge) ends() map[placeName]model.Offset {
	b, ends := g.front.broker, map[placeName]model.Offset{}
	image := b.Control.Image()
	for i := range b.Sets {
		var names []model.Partition
		var marks []model.Offset
		done := g.front.shard(i).Visit(func(t *shard.Turn) { names, marks = b.Sets[i].Highs(t) })
		if !soon(done) {
			continue
		}
		for j, name := range names {
			if topic := image.TopicByID(name.Topic); topic != nil {
				ends[placeName{topic.Name, name.Index}] = marks[j]
			}
		}
	}
	return ends
}
