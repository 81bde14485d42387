package catalog

import (
	"math"

	"pinion/engine/model"
	"pinion/engine/placement"
)

func (m *Machine) setBrokerConfigs(r *reader, delta *Delta) Result {
	node := model.NodeID(r.int32())
	changes, replace := r.changes()
	if !r.done() {
		return malformed(KindSetBrokerConfigs)
	}
	im := m.draft.View()
	if node != -1 && im.Broker(node) == nil {
		return refused(UnknownBroker, "No broker with id %d is registered.", node)
	}
	values, err := merge(im.BrokerConfigs(node), changes, replace)
	if err != nil {
		return Result{Err: err}
	}
	m.draft.SetBrokerConfigs(node, values)
	delta.BrokerConfigs = append(delta.BrokerConfigs, node)
	return Result{}
}

func (m *Machine) alterBrokerConfigs(r *reader, delta *Delta) Result {
	node, before := model.NodeID(r.int32()), r.id()
	changes, replace := r.changes()
	if !r.done() || replace {
		return malformed(KindAlterBrokerConfigs)
	}
	im := m.draft.View()
	if node != -1 && im.Broker(node) == nil {
		return refused(UnknownBroker, "No broker with id %d is registered.", node)
	}
	if digest(im.BrokerConfigs(node)) != before {
		return refused(Changed, "The dynamic configuration was changed by somebody else.")
	}
	values, err := merge(im.BrokerConfigs(node), changes, false)
	if err != nil {
		return Result{Err: err}
	}
	m.draft.SetBrokerConfigs(node, values)
	delta.BrokerConfigs = append(delta.BrokerConfigs, node)
	return Result{}
}

func (m *Machine) registerBroker(r *reader, delta *Delta) Result {
	reg := Registration{Node: model.NodeID(r.int32()), Incarnation: r.id(), Shards: r.int32(),
		Rack: r.string(labelBytesMax), Listeners: r.listeners()}
	if !r.done() {
		return malformed(KindRegisterBroker)
	}
	if reg.Node < 0 || reg.Node == math.MaxInt32 || reg.Shards < 1 || reg.Shards > shardsMax || reg.Incarnation == [16]byte{} {
		return refused(InvalidRegistration, "broker %d with %d shards (1 to %d) and incarnation %x", reg.Node, reg.Shards, shardsMax, reg.Incarnation)
	}
	im := m.draft.View()
	before := im.Broker(reg.Node)
	if before == nil && im.BrokerCount() >= brokersMax {
		return refused(LimitReached, "%d brokers are registered already", brokersMax)
	}
	b := &placement.Broker{ID: reg.Node, Epoch: int64(m.applied), Incarnation: reg.Incarnation, Shards: reg.Shards,
		Listeners: reg.Listeners, Rack: reg.Rack}
	reborn := before == nil || before.Incarnation != reg.Incarnation
	if !reborn {
		b.Epoch = before.Epoch
	}
	if before != nil {
		b.Directories = before.Directories
	}
	m.draft.SetBroker(b)
	delta.Brokers = append(delta.Brokers, b.ID)
	if before == nil {
		m.loads[b.ID] = newLoad(b.Shards)
		return Result{BrokerEpoch: b.Epoch}
	}
	if before.Shards != b.Shards {
		m.reshard(b, before.Shards, delta)
	}
	if reborn {
		m.bumpLeader(b.ID, delta)
	}
	return Result{BrokerEpoch: b.Epoch}
}

// bumpLeader starts a new leader epoch for every partition that n leads: what the dead process had under way must not be
// taken for the new one's. A leaderless partition whose ISR holds n gets its leader back.
func (m *Machine) bumpLeader(n model.NodeID, delta *Delta) {
	for _, tp := range m.topics() {
		for i := range tp.Partitions() {
			p := tp.Partition(i)
			orphan := p.Leader == placement.NoLeader && p.InSync(n)
			if p.Leader != n && !orphan {
				continue
			}
			next := *p
			next.Leader = n
			next.LeaderEpoch++
			next.PartitionEpoch++
			tp = m.set(tp, i, &next, delta)
		}
	}
}

// set replaces a partition and keeps loads and delta in step.
func (m *Machine) set(tp *placement.Topic, i int32, p *placement.Partition, delta *Delta) *placement.Topic {
	m.loads.add(tp.Partition(i), -1)
	m.loads.add(p, 1)
	delta.Partitions = append(delta.Partitions, model.Partition{Topic: tp.ID, Index: i})
	return m.draft.SetPartition(tp, i, p)
}

// topics lists the topics as they stand, so that the draft can be edited meanwhile.
func (m *Machine) topics() []*placement.Topic {
	im := m.draft.View()
	all := make([]*placement.Topic, 0, im.TopicCount())
	for tp := range im.Topics {
		all = append(all, tp)
	}
	return all
}

// reshard deals the replicas of a broker anew after its number of shards changed from had to b.Shards: those of shards that
// are gone always move; after growth each topic gives up what exceeds its even share, and then whole shards do.
func (m *Machine) reshard(b *placement.Broker, had int32, delta *Delta) {
	// Counts of shards that are gone are dropped; their replicas are subtracted from the node's total only as they move.
	fresh := newLoad(b.Shards)
	fresh.count, fresh.directories = m.loads[b.ID].count, m.loads[b.ID].directories
	copy(fresh.shards, m.loads[b.ID].shards)
	m.loads[b.ID] = fresh
	for _, tp := range m.topics() {
		m.reshardTopic(tp, b, had, delta)
	}
	if b.Shards > had {
		m.level(b, delta)
	}
}

func (m *Machine) reshardTopic(tp *placement.Topic, b *placement.Broker, had int32, delta *Delta) {
	d := m.dealer(tp)
	mine := d.topic[b.ID]
	share := (mine.replicas + int(b.Shards) - 1) / int(b.Shards)
	for i := range tp.Partitions() {
		p := tp.Partition(i)
		from := p.ShardOn(b.ID)
		if from == model.NoShard {
			continue
		}
		lost := int32(from) >= b.Shards
		if lost || b.Shards > had && mine.shards[from].replicas > share {
			tp = m.move(tp, i, b.ID, d.shard(b.ID, p.Leader == b.ID), d, delta)
		}
	}
}

// move gives a replica to another shard of its node.
func (m *Machine) move(tp *placement.Topic, i int32, n model.NodeID, to model.ShardID, d *dealer, delta *Delta) *placement.Topic {
	p := tp.Partition(i)
	next := *p
	next.PartitionEpoch++
	next.Replicas = append([]placement.Replica(nil), p.Replicas...)
	for j := range next.Replicas {
		if next.Replicas[j].Node == n {
			next.Replicas[j].Shard = to
		}
	}
	if d != nil {
		d.topic.add(p, -1)
		d.topic.add(&next, 1)
	}
	return m.set(tp, i, &next, delta)
}

// level moves replicas from shards above the even share to the emptiest one, wherever that does not crowd a topic: it is
// what spreads many topics of one partition.
func (m *Machine) level(b *placement.Broker, delta *Delta) {
	shards := m.loads[b.ID].shards
	share := (m.loads[b.ID].replicas + int(b.Shards) - 1) / int(b.Shards)
	for _, tp := range m.topics() {
		d := m.dealer(tp)
		mine := d.topic[b.ID].shards
		for i := range tp.Partitions() {
			from := tp.Partition(i).ShardOn(b.ID)
			if from == model.NoShard || shards[from].replicas <= share {
				continue
			}
			to := emptiest(shards)
			if mine[from].replicas > mine[to].replicas {
				tp = m.move(tp, i, b.ID, to, d, delta)
			}
		}
	}
}

func emptiest(shards []count) model.ShardID {
	best := 0
	for s := range shards {
		if shards[s].replicas < shards[best].replicas {
			best = s
		}
	}
	return model.ShardID(best)
}

func (m *Machine) moveReplica(r *reader, delta *Delta) Result {
	id, index, node, shard := model.TopicID(r.id()), r.int32(), model.NodeID(r.int32()), model.ShardID(r.int32())
	bump := r.flag()
	if !r.done() {
		return malformed(KindMoveReplica)
	}
	tp, err := m.find("", id)
	if id.IsZero() || err != nil {
		return refused(UnknownTopicID, "This server does not host this topic ID.")
	}
	p := tp.Partition(index)
	if p == nil {
		return refused(UnknownPartition, "Topic %s has no partition %d.", tp.Name, index)
	}
	from := p.ShardOn(node)
	if from == model.NoShard {
		return refused(InvalidAssignment, "Broker %d holds no replica of %s-%d.", node, tp.Name, index)
	}
	b := m.draft.View().Broker(node)
	if b == nil || shard < 0 || int32(shard) >= b.Shards {
		return refused(InvalidAssignment, "Broker %d has no shard %d.", node, shard)
	}
	if from == shard {
		return Result{Topic: tp}
	}
	tp = m.move(tp, index, node, shard, nil, delta)
	if bump {
		next := *tp.Partition(index)
		next.LeaderEpoch++
		tp = m.set(tp, index, &next, delta)
	}
	return Result{Topic: tp}
}
