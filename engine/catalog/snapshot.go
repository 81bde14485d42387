package catalog

import (
	"errors"
	"fmt"
	"math"

	"pinion/engine/model"
	"pinion/engine/placement"
)

// A snapshot of the machine, in the commands' encoding; everything in ascending order, so that equal states are equal bytes:
//
//	version (1) | applied | next producer id | moves | cluster id
//	brokers:  count, then id, epoch, incarnation, shards, rack, fenced, listeners
//	configs:  count, then node, key/value pairs
//	topics:   count, then name, id, internal, configs, partitions:
//	          count, then leader, leader epoch, partition epoch, replicas (node, shard), ISR
//
// Version 2 ends with two more, and is written where either is not empty, so that a build that knows only version 1 reads what it knows:
//
//	resources: count, then kind, name, key/value pairs
//	quotas:    count, then entity (user, client id, address: how, and a name), key/value pairs
//
// Version 3 has those two as well, empty or not, and is written where a node has named its log directories, for the same reason: a broker ends with
// them (count, then id, path, state), and a replica with its directory's place among them, counted from 1, 0 for none.
//
// Version 4 is the same where one of the directories is cordoned, which is a state that builds of before do not know.
//
// The applied index is part of the state it describes and is never stored anywhere else (RELIABILITY B25).
const (
	snapshotVersion            = 1
	snapshotVersionQuotas      = 2
	snapshotVersionDirectories = 3
	snapshotVersionCordoned    = 4
)

// AppendSnapshot appends the whole state.
func (m *Machine) AppendSnapshot(dst []byte) []byte {
	im := m.draft.View()
	w := &writer{b: dst}
	version := versionFor(im)
	w.byte(version)
	w.uvarint(m.applied)
	w.number(m.nextProducerID)
	w.uvarint(im.Moves())
	w.string(im.Cluster())
	w.uvarint(uint64(im.BrokerCount()))
	for b := range im.Brokers {
		w.broker(b)
		if version >= snapshotVersionDirectories {
			w.directories(b.Directories)
		}
	}
	configs := 0
	for range im.EachBrokerConfig {
		configs++
	}
	w.uvarint(uint64(configs))
	for node, values := range im.EachBrokerConfig {
		w.number(int64(node))
		w.configs(values)
	}
	w.uvarint(uint64(im.TopicCount()))
	for tp := range im.Topics {
		w.topic(im, tp, version >= snapshotVersionDirectories)
	}
	if version > snapshotVersion {
		w.resources(im)
		w.quotas(im.Quotas())
	}
	return w.b
}

// cordoned reports whether any log directory is.
func cordoned(im *placement.Image) bool {
	for b := range im.Brokers {
		for i := range b.Directories {
			if b.Directories[i].State == placement.DirectoryCordoned {
				return true
			}
		}
	}
	return false
}

// versionFor is the first version that can hold a state.
func versionFor(im *placement.Image) byte {
	switch {
	case cordoned(im):
		return snapshotVersionCordoned
	case directed(im):
		return snapshotVersionDirectories
	case im.ResourceCount() > 0 || im.Quotas() != nil:
		return snapshotVersionQuotas
	}
	return snapshotVersion
}

// directed reports whether any node has named its log directories.
func directed(im *placement.Image) bool {
	for b := range im.Brokers {
		if b.Directories != nil {
			return true
		}
	}
	return false
}

func (w *writer) broker(b *placement.Broker) {
	w.number(int64(b.ID))
	w.number(b.Epoch)
	w.id(b.Incarnation)
	w.number(int64(b.Shards))
	w.string(b.Rack)
	w.flag(b.Fenced)
	w.listeners(b.Listeners)
}

func (w *writer) topic(im *placement.Image, tp *placement.Topic, directories bool) {
	w.string(tp.Name)
	w.id(tp.ID)
	w.flag(tp.Internal)
	w.configs(tp.Configs)
	w.uvarint(uint64(tp.Partitions()))
	for i := range tp.Partitions() {
		p := tp.Partition(i)
		w.number(int64(p.Leader))
		w.number(int64(p.LeaderEpoch))
		w.number(int64(p.PartitionEpoch))
		w.uvarint(uint64(len(p.Replicas)))
		for _, r := range p.Replicas {
			w.number(int64(r.Node))
			w.number(int64(r.Shard))
			if directories {
				place := -1
				if b := im.Broker(r.Node); b != nil {
					place = at(b.Directories, r.Directory)
				}
				w.uvarint(uint64(place + 1))
			}
		}
		w.uvarint(uint64(len(p.ISR)))
		for _, n := range p.ISR {
			w.number(int64(n))
		}
	}
}

var errSnapshot = errors.New("snapshot is malformed")

// Restore rebuilds the machine from a snapshot. Nothing in it is believed: an error means damage or a newer format.
func Restore(data []byte) (*Machine, error) {
	r := &reader{b: data}
	version := r.byte()
	if r.bad || version < snapshotVersion || version > snapshotVersionCordoned {
		return nil, fmt.Errorf("restore catalogue: format %d, this build reads %d to %d", version, snapshotVersion, snapshotVersionCordoned)
	}
	r.directed = version >= snapshotVersionDirectories
	applied, producers, moves := r.uvarint(math.MaxUint64), r.number(), r.uvarint(math.MaxUint64)
	m := New(r.string(labelBytesMax))
	m.applied, m.nextProducerID = applied, producers
	m.draft.SetMoves(moves)
	for range r.count(brokersMax) {
		m.restoreBroker(r)
	}
	for range r.count(brokersMax + 1) {
		node, values := model.NodeID(r.int32()), r.configs()
		if values == nil || m.draft.View().BrokerConfigs(node) != nil {
			r.fail()
			break
		}
		m.draft.SetBrokerConfigs(node, values)
	}
	for range r.count(partitionsMax) {
		m.restoreTopic(r)
	}
	if version > snapshotVersion {
		m.restoreResources(r)
		m.restoreQuotas(r)
	}
	if version != versionFor(m.draft.View()) {
		r.fail() // a state has one encoding
	}
	if !r.done() || producers < 0 {
		return nil, fmt.Errorf("restore catalogue: %w", errSnapshot)
	}
	m.loads = loadsOf(m.draft.View())
	m.image = m.draft.Freeze(model.Revision(applied))
	return m, nil
}

func (m *Machine) restoreBroker(r *reader) {
	b := &placement.Broker{ID: model.NodeID(r.int32()), Epoch: r.number(), Incarnation: r.id(), Shards: r.int32(),
		Rack: r.string(labelBytesMax), Fenced: r.flag(), Listeners: r.listeners()}
	if r.directed {
		b.Directories = r.directories()
	}
	if r.bad || b.ID < 0 || b.Shards < 1 || b.Shards > shardsMax || m.draft.View().Broker(b.ID) != nil {
		r.fail()
		return
	}
	m.draft.SetBroker(b)
}

func (m *Machine) restoreTopic(r *reader) {
	name, id, internal, configs := r.string(nameBytesMax), model.TopicID(r.id()), r.flag(), r.configs()
	im := m.draft.View()
	n := r.count(topicPartitionsMax)
	if r.bad || n == 0 || CheckName(name) != nil || im.TopicLike(name) != nil || id.IsZero() || im.TopicByID(id) != nil {
		r.fail()
		return
	}
	parts := make([]*placement.Partition, 0, n)
	var same alike
	for range n {
		p := r.partition(im)
		if r.bad {
			return
		}
		parts = append(parts, same.one(p))
	}
	if im.PartitionCount()+n > partitionsMax {
		r.fail()
		return
	}
	m.draft.AddTopic(name, id, internal, configs, parts)
}

func (r *reader) partition(im *placement.Image) *placement.Partition {
	p := &placement.Partition{Leader: model.NodeID(r.int32()), LeaderEpoch: model.Epoch(r.int32()), PartitionEpoch: r.int32()}
	replicas := r.count(replicasMax)
	p.Replicas = make([]placement.Replica, 0, replicas)
	for range replicas {
		replica := placement.Replica{Node: model.NodeID(r.int32()), Shard: model.ShardID(r.int32())}
		if p.ShardOn(replica.Node) != model.NoShard || replica.Shard < 0 {
			r.fail()
		}
		if r.directed {
			replica.Directory = r.directory(im.Broker(replica.Node))
		}
		p.Replicas = append(p.Replicas, replica)
	}
	isr := r.count(replicasMax)
	p.ISR = make([]model.NodeID, 0, isr)
	for range isr {
		n := model.NodeID(r.int32())
		if p.ShardOn(n) == model.NoShard || p.InSync(n) {
			r.fail()
		}
		p.ISR = append(p.ISR, n)
	}
	if replicas == 0 || p.Leader != placement.NoLeader && p.ShardOn(p.Leader) == model.NoShard {
		r.fail()
	}
	return p
}

// directory reads which of a broker's log directories a replica is in.
func (r *reader) directory(b *placement.Broker) (id model.DirectoryID) {
	place := int(r.uvarint(directoriesMax))
	if place == 0 {
		return id
	}
	if b == nil || place > len(b.Directories) {
		r.fail()
		return id
	}
	return b.Directories[place-1].ID
}
