package catalog

import (
	"slices"

	"pinion/engine/model"
	"pinion/engine/placement"
)

func (m *Machine) registerDirectories(r *reader, delta *Delta) Result {
	node, home, named := model.NodeID(r.int32()), model.DirectoryID(r.id()), r.directories()
	if !r.done() {
		return malformed(KindRegisterDirectories)
	}
	before := m.draft.View().Broker(node)
	if before == nil {
		return refused(UnknownBroker, "No broker with id %d is registered.", node)
	}
	if at(named, home) < 0 {
		return refused(InvalidRegistration, "broker %d does not have the log directory %s among those it names", node, home)
	}
	for _, d := range before.Directories {
		if at(named, d.ID) < 0 && m.loads[node].directories[d.ID] > 0 {
			d.State = placement.DirectoryOffline
			named = append(named, d)
		}
	}
	if len(named) > directoriesMax {
		return refused(LimitReached, "broker %d has partitions in %d log directories, and may in %d", node, len(named), directoriesMax)
	}
	b := *before
	b.Directories = named
	m.draft.SetBroker(&b)
	delta.Brokers = append(delta.Brokers, node)
	if before.Directories == nil {
		m.house(node, home, delta)
	}
	return Result{}
}

// house gives a directory to all replicas of a node of which nobody has said where they are.
func (m *Machine) house(n model.NodeID, home model.DirectoryID, delta *Delta) {
	for _, tp := range m.topics() {
		for i := range tp.Partitions() {
			if p := tp.Partition(i); p.ShardOn(n) != model.NoShard && p.DirectoryOn(n).IsZero() {
				tp = m.rehouse(tp, i, n, home, delta)
			}
		}
	}
}

func (m *Machine) assignDirectory(r *reader, delta *Delta) Result {
	id, index, node, directory := model.TopicID(r.id()), r.int32(), model.NodeID(r.int32()), model.DirectoryID(r.id())
	if !r.done() {
		return malformed(KindAssignDirectory)
	}
	tp, err := m.find("", id)
	if id.IsZero() || err != nil {
		return refused(UnknownTopicID, "This server does not host this topic ID.")
	}
	p := tp.Partition(index)
	if p == nil {
		return refused(UnknownPartition, "Topic %s has no partition %d.", tp.Name, index)
	}
	b := m.draft.View().Broker(node)
	if b == nil || b.Directory(directory) == nil || p.ShardOn(node) == model.NoShard {
		return refused(InvalidAssignment, "Broker %d has no log directory %s, or no replica of %s-%d.", node, directory, tp.Name, index)
	}
	if p.DirectoryOn(node) == directory {
		return Result{Topic: tp}
	}
	return Result{Topic: m.rehouse(tp, index, node, directory, delta)}
}

// rehouse says that a node's replica is in another directory.
func (m *Machine) rehouse(tp *placement.Topic, i int32, n model.NodeID, to model.DirectoryID, delta *Delta) *placement.Topic {
	next := *tp.Partition(i)
	next.Replicas = slices.Clone(next.Replicas)
	for j := range next.Replicas {
		if next.Replicas[j].Node == n {
			next.Replicas[j].Directory = to
		}
	}
	return m.set(tp, i, &next, delta)
}

// directory chooses where on a node a new replica goes: as in Kafka to the log directory with the fewest, of those that take any; zero where
// the node has never named one.
func (d *dealer) directory(n model.NodeID) model.DirectoryID {
	b := d.im.Broker(n)
	best := -1
	for i := range b.Directories {
		if best < 0 || d.before(b, i, best) {
			best = i
		}
	}
	if best < 0 {
		return model.DirectoryID{}
	}
	return b.Directories[best].ID
}

// before reports whether a new replica rather goes to directory i than to j, which stands further to the front.
func (d *dealer) before(b *placement.Broker, i, j int) bool {
	one, other := &b.Directories[i], &b.Directories[j]
	if one.State != other.State {
		return rank(one.State) < rank(other.State)
	}
	held := d.all[b.ID].directories
	return held[one.ID] < held[other.ID]
}

// rank orders states by how much a directory is to be had for new partitions. One that is offline serves none at all.
func rank(s placement.DirectoryState) int {
	switch s {
	case placement.DirectoryOpen:
		return 0
	case placement.DirectoryFull:
		return 1
	case placement.DirectoryCordoned:
		return 2
	}
	return 3
}

// at is the place of a directory in a list, or -1.
func at(directories []placement.Directory, id model.DirectoryID) int {
	return slices.IndexFunc(directories, func(d placement.Directory) bool { return d.ID == id })
}
