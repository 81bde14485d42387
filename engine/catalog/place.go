package catalog

import (
	"pinion/engine/model"
	"pinion/engine/placement"
)

// dealer chooses nodes and shards for the partitions of one topic. Every choice goes to the candidate that carries least:
// first of this topic, so that each topic is spread evenly; then of everything, so that many small topics are; then the
// lowest id, so that all nodes choose alike. Nodes are chosen before shards: replicas spread over nodes, never over the
// cores of one.
type dealer struct {
	brokers []*placement.Broker // candidates: registered, neither fenced nor cordoned, ascending by id
	all     loads               // the machine's; kept up to date by record
	topic   loads               // this topic's
	im      *placement.Image
	alike   alike
}

func (m *Machine) dealer(tp *placement.Topic) *dealer {
	im := m.draft.View()
	d := &dealer{all: m.loads, topic: emptyLoads(im), im: im}
	for b := range im.Brokers {
		if !b.Fenced && !b.Cordoned() {
			d.brokers = append(d.brokers, b)
		}
	}
	if tp != nil {
		d.topic.addTopic(tp, 1)
	}
	return d
}

// record counts a partition that was placed.
func (d *dealer) record(p *placement.Partition) {
	d.all.add(p, 1)
	d.topic.add(p, 1)
}

// nodes chooses rf nodes for the next partition, the leader first. The caller has checked that there are enough.
func (d *dealer) nodes(rf int) []model.NodeID {
	chosen := make([]model.NodeID, 0, rf)
	racks := make(map[string]int, rf)
	for len(chosen) < rf {
		var best *placement.Broker
		var bestKey [5]int
		for _, b := range d.brokers {
			if holds(chosen, b.ID) {
				continue
			}
			key := d.nodeKey(b, racks[b.Rack], len(chosen) == 0)
			if best == nil || less(key, bestKey) {
				best, bestKey = b, key
			}
		}
		chosen = append(chosen, best.ID)
		racks[best.Rack]++
	}
	return chosen
}

func (d *dealer) nodeKey(b *placement.Broker, rackUsed int, leads bool) [5]int {
	topic, all := d.topic[b.ID].count, d.all[b.ID].count
	if leads {
		return [5]int{rackUsed, topic.leaders, topic.replicas, all.leaders, all.replicas}
	}
	return [5]int{rackUsed, topic.replicas, all.replicas, 0, 0}
}

// shard chooses the shard of a node for a replica.
func (d *dealer) shard(n model.NodeID, leads bool) model.ShardID {
	topic, all := d.topic[n].shards, d.all[n].shards
	best, bestKey := 0, [5]int{}
	for s := range all {
		key := [5]int{topic[s].replicas, all[s].replicas}
		if leads {
			key = [5]int{topic[s].leaders, topic[s].replicas, all[s].leaders, all[s].replicas}
		}
		if s == 0 || less(key, bestKey) {
			best, bestKey = s, key
		}
	}
	return model.ShardID(best)
}

// partition places one new partition, the leader first; all replicas are in sync, because it is empty. Shards that are not given are
// chosen.
func (d *dealer) partition(replicas []placement.Replica) *placement.Partition {
	p := &placement.Partition{Replicas: make([]placement.Replica, 0, len(replicas)), ISR: make([]model.NodeID, 0, len(replicas)), Leader: placement.NoLeader}
	for _, r := range replicas {
		p.ISR = append(p.ISR, r.Node)
		if b := d.im.Broker(r.Node); p.Leader == placement.NoLeader && !b.Fenced {
			p.Leader = r.Node
		}
	}
	for _, r := range replicas {
		if r.Shard == model.NoShard {
			r.Shard = d.shard(r.Node, r.Node == p.Leader)
		}
		r.Directory = d.directory(r.Node)
		p.Replicas = append(p.Replicas, r)
	}
	d.record(p)
	return d.alike.one(p)
}

func less(a, b [5]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

func holds(nodes []model.NodeID, n model.NodeID) bool {
	for _, m := range nodes {
		if m == n {
			return true
		}
	}
	return false
}
