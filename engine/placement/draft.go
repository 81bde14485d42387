package placement

import (
	"slices"

	"pinion/engine/model"
	"pinion/engine/must"
)

// Draft edits an image towards its next revision. One owner at a time. What it returns (topics, partitions) is valid until
// the next edit; after Freeze it is immutable.
type Draft struct {
	image Image // working copy; shares everything not yet edited
	edit  *edit
	dirty bool

	// Which edit copied these lists; while it is under way they are changed in place.
	quotas, resources *edit
}

// Edit starts a draft that holds what im holds.
func (im *Image) Edit() *Draft { return &Draft{image: *im, edit: new(edit)} }

// View reads the draft as it stands. The pointer stays the draft's own: never publish it, Freeze instead.
func (d *Draft) View() *Image { return &d.image }

// Dirty reports whether anything changed since the last freeze.
func (d *Draft) Dirty() bool { return d.dirty }

// Freeze returns the draft as an immutable image of the given revision. The draft can go on from there.
func (d *Draft) Freeze(revision model.Revision) *Image {
	d.image.revision = revision
	d.edit = new(edit) // whatever was copied so far is published now and must be copied again
	d.dirty = false
	frozen := d.image
	return &frozen
}

// AddTopic adds a topic with the given partitions. Neither its name nor its id may exist; slices and maps are given away.
func (d *Draft) AddTopic(name string, id model.TopicID, internal bool, configs map[string]string, parts []*Partition) *Topic {
	if d.image.TopicCalled(name) != nil || d.image.TopicByID(id) != nil || len(parts) == 0 {
		must.Failf("topic %q (%s) with %d partitions added twice or empty", name, id, len(parts))
	}
	tp := &Topic{Name: name, ID: id, Internal: internal, Configs: configs, edit: d.edit}
	for _, p := range parts {
		tp.parts.push(d.edit, p)
	}
	d.image.names.put(d.edit, hashString(name), nil, tp)
	d.image.ids.put(d.edit, hashID(id), nil, tp)
	d.image.order = d.image.order.with(name, weigh(name))
	d.image.topics++
	d.image.partitions += len(parts)
	d.dirty = true
	return tp
}

// RemoveTopic removes a topic that the draft holds.
func (d *Draft) RemoveTopic(tp *Topic) {
	d.image.names.drop(d.edit, hashString(tp.Name), tp)
	d.image.ids.drop(d.edit, hashID(tp.ID), tp)
	d.image.order = d.image.order.without(tp.Name)
	d.image.topics--
	d.image.partitions -= tp.parts.len
	d.dirty = true
	if must.Deep && (d.image.TopicCalled(tp.Name) != nil || d.image.TopicByID(tp.ID) != nil) {
		must.Failf("topic %q is still there after its removal", tp.Name)
	}
}

// own returns a copy of tp that this draft may write to, already linked into the image.
func (d *Draft) own(tp *Topic) *Topic {
	d.dirty = true
	if tp.edit == d.edit {
		return tp
	}
	c := *tp
	c.edit = d.edit
	d.image.names.put(d.edit, hashString(tp.Name), tp, &c)
	d.image.ids.put(d.edit, hashID(tp.ID), tp, &c)
	return &c
}

// SetPartition replaces partition i of tp and returns the topic as it now stands. A replica whose shard differs counts as a move.
func (d *Draft) SetPartition(tp *Topic, i int32, p *Partition) *Topic {
	before := tp.Partition(i)
	if before == nil {
		must.Failf("partition %d of topic %q does not exist", i, tp.Name)
	}
	if moved(before, p) {
		d.image.moves++
	}
	tp = d.own(tp)
	tp.parts.set(d.edit, uint32(i), p)
	return tp
}

// moved reports whether any node's replica changed its shard, came or went.
func moved(before, after *Partition) bool {
	if len(before.Replicas) != len(after.Replicas) {
		return true
	}
	for _, r := range after.Replicas {
		if before.ShardOn(r.Node) != r.Shard {
			return true
		}
	}
	return false
}

// AddPartition appends one partition to tp and returns the topic as it now stands.
func (d *Draft) AddPartition(tp *Topic, p *Partition) *Topic {
	tp = d.own(tp)
	tp.parts.push(d.edit, p)
	d.image.partitions++
	return tp
}

// SetConfigs replaces the topic's configuration; the map is given away.
func (d *Draft) SetConfigs(tp *Topic, configs map[string]string) *Topic {
	tp = d.own(tp)
	tp.Configs = configs
	return tp
}

// SetBroker adds or replaces a broker; the value is given away.
func (d *Draft) SetBroker(b *Broker) {
	at, found := searchBroker(d.image.brokers, b.ID)
	next := slices.Clone(d.image.brokers)
	if found {
		next[at] = b
	} else {
		next = slices.Insert(next, at, b)
	}
	d.image.brokers = next
	d.dirty = true
}

// RemoveBroker forgets a broker.
func (d *Draft) RemoveBroker(id model.NodeID) {
	if at, found := searchBroker(d.image.brokers, id); found {
		d.image.brokers = slices.Delete(slices.Clone(d.image.brokers), at, at+1)
		d.dirty = true
	}
}

// SetBrokerConfigs replaces the dynamic configuration of a broker (-1: the default of all); an empty map removes it.
func (d *Draft) SetBrokerConfigs(id model.NodeID, values map[string]string) {
	at, found := searchConfig(d.image.configs, id)
	next := slices.Clone(d.image.configs)
	switch {
	case found && len(values) == 0:
		next = slices.Delete(next, at, at+1)
	case found:
		next[at].values = values
	case len(values) > 0:
		next = slices.Insert(next, at, brokerConfig{node: id, values: values})
	}
	d.image.configs = next
	d.dirty = true
}

// SetMoves restores the move counter from a snapshot.
func (d *Draft) SetMoves(n uint64) { d.image.moves = n }

func searchBroker(brokers []*Broker, id model.NodeID) (int, bool) {
	return slices.BinarySearchFunc(brokers, id, func(b *Broker, id model.NodeID) int { return int(b.ID) - int(id) })
}

func searchConfig(configs []brokerConfig, id model.NodeID) (int, bool) {
	return slices.BinarySearchFunc(configs, id, func(c brokerConfig, id model.NodeID) int { return int(c.node) - int(id) })
}
