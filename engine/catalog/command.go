package catalog

import (
	"crypto/sha256"
	"maps"
	"slices"

	"pinion/engine/model"
	"pinion/engine/placement"
)

// A command on the log:
//
//	byte 0   version of the encoding: 1, or 2 where an assignment says on which shards replicas go
//	byte 1   kind
//	rest     the kind's fields in the order of its constructor: integers as unsigned varints, strings and lists with a
//	         varint count in front, ids as 16 raw bytes, flags as one byte; nothing may follow
//
// Version 2 has a replica of an assignment as node and shard + 1, 0 for "choose"; version 1 has the node alone. A build that knows only
// version 1 must stop at a 2, and does.
const (
	commandVersion       = 1
	commandVersionShards = 2

	// commandVersionCordoned is that of RegisterDirectories where one is cordoned, for the same reason.
	commandVersionCordoned = 2
)

// Kind says what a command does. Values are on disk: never reuse one.
type Kind byte

// The kinds of command.
const (
	KindCreateTopic         Kind = 1
	KindDeleteTopic         Kind = 2
	KindCreatePartitions    Kind = 3
	KindSetTopicConfigs     Kind = 4
	KindSetBrokerConfigs    Kind = 5
	KindRegisterBroker      Kind = 6
	KindMoveReplica         Kind = 7
	KindAllocateProducerIDs Kind = 8
	KindAlterTopicConfigs   Kind = 9
	KindAlterBrokerConfigs  Kind = 10

	KindAlterResourceConfigs Kind = 11
	KindAlterQuotas          Kind = 12

	KindRegisterDirectories Kind = 13
	KindAssignDirectory     Kind = 14
)

// Command is one encoded change, ready to be proposed. The constructors below make it; the zero Command is refused.
type Command struct{ b []byte }

// Bytes is the encoding. Read only.
func (c Command) Bytes() []byte { return c.b }

// Kind says what the command does; 0 for the zero Command.
func (c Command) Kind() Kind {
	if len(c.b) < 2 {
		return 0
	}
	return Kind(c.b[1])
}

// TopicSpec describes a topic to be created. The id is chosen by the proposer (random), because Apply must not be.
type TopicSpec struct {
	Name              string
	ID                model.TopicID
	Internal          bool
	Configs           map[string]string
	Partitions        int32      // ignored when Assignment is given
	ReplicationFactor int16      // ignored when Assignment is given
	Assignment        Assignment // nil: Apply chooses
}

// Assignment places replicas by hand: those of the first partition, of the second, ...; preferred leader first. A replica whose shard is
// model.NoShard goes where Apply chooses on its node.
type Assignment [][]placement.Replica

// OnNodes is the assignment that leaves the shards to Apply.
func OnNodes(nodes ...[]model.NodeID) Assignment {
	all := make(Assignment, len(nodes))
	for i := range nodes {
		for _, n := range nodes[i] {
			all[i] = append(all[i], placement.Replica{Node: n, Shard: model.NoShard})
		}
	}
	return all
}

// onShards reports whether any replica's shard is given.
func (a Assignment) onShards() bool {
	for _, replicas := range a {
		for _, r := range replicas {
			if r.Shard != model.NoShard {
				return true
			}
		}
	}
	return false
}

// CreateTopic creates one topic (CreateTopics, API key 19). Result.Topic is the new topic.
func CreateTopic(spec TopicSpec) Command {
	w := begin(KindCreateTopic)
	w.string(spec.Name)
	w.id(spec.ID)
	w.flag(spec.Internal)
	w.configs(spec.Configs)
	w.number(int64(spec.Partitions))
	w.number(int64(spec.ReplicationFactor))
	w.assignment(spec.Assignment)
	return w.command()
}

// DeleteTopic deletes one incarnation (DeleteTopics, API key 20); with a zero id, whatever has the name. Result.Topic is the
// topic as it was.
func DeleteTopic(name string, id model.TopicID) Command {
	w := begin(KindDeleteTopic)
	w.string(name)
	w.id(id)
	return w.command()
}

// CreatePartitions grows a topic to count partitions (CreatePartitions, API key 37). Assignment, when given, is that of the
// new partitions only. Result.Topic is the grown topic.
func CreatePartitions(name string, count int32, assignment Assignment) Command {
	w := begin(KindCreatePartitions)
	w.string(name)
	w.number(int64(count))
	w.assignment(assignment)
	return w.command()
}

// ConfigChange sets one key, or removes it.
type ConfigChange struct {
	Key, Value string
	Delete     bool
}

// SetTopicConfigs changes a topic's configuration (IncrementalAlterConfigs, API key 44). With replace, what is not named is
// removed (AlterConfigs, API key 33). A later change of the same key wins.
func SetTopicConfigs(name string, changes []ConfigChange, replace bool) Command {
	w := begin(KindSetTopicConfigs)
	w.string(name)
	w.changes(changes, replace)
	return w.command()
}

// SetBrokerConfigs does the same for a broker's dynamic configuration; node -1 is the cluster-wide default.
func SetBrokerConfigs(node model.NodeID, changes []ConfigChange, replace bool) Command {
	w := begin(KindSetBrokerConfigs)
	w.number(int64(node))
	w.changes(changes, replace)
	return w.command()
}

// AlterTopicConfigs is SetTopicConfigs on condition that the topic is the same and has the configuration it has in before; otherwise it is
// refused with Changed. Whoever judges a whole configuration, or adds to a list, does so against one it has read: two who do it at once
// would otherwise undo or spoil each other's change. Result.Topic is the topic with its new configuration.
func AlterTopicConfigs(before *placement.Topic, changes []ConfigChange) Command {
	w := begin(KindAlterTopicConfigs)
	w.id(before.ID)
	w.id(digest(before.Configs))
	w.changes(changes, false)
	return w.command()
}

// AlterBrokerConfigs does the same for a broker's dynamic configuration; node -1 is the cluster-wide default.
func AlterBrokerConfigs(node model.NodeID, before map[string]string, changes []ConfigChange) Command {
	w := begin(KindAlterBrokerConfigs)
	w.number(int64(node))
	w.id(digest(before))
	w.changes(changes, false)
	return w.command()
}

// digest tells configurations apart.
func digest(values map[string]string) [16]byte {
	var w writer
	w.configs(values)
	sum := sha256.Sum256(w.b)
	return [16]byte(sum[:16])
}

// Registration is what a starting broker says about itself.
type Registration struct {
	Node        model.NodeID
	Incarnation [16]byte // random per process start; the same one again only refreshes the endpoints
	Shards      int32
	Listeners   []placement.Listener
	Rack        string
}

// RegisterBroker announces a process (BrokerRegistration, API key 62). A new incarnation gets a new broker epoch, bumps the
// leader epoch of every partition it leads, and its replicas are dealt anew where the number of shards asks for it.
// Result.BrokerEpoch is the epoch.
func RegisterBroker(reg Registration) Command {
	w := begin(KindRegisterBroker)
	w.number(int64(reg.Node))
	w.id(reg.Incarnation)
	w.number(int64(reg.Shards))
	w.string(reg.Rack)
	w.listeners(reg.Listeners)
	return w.command()
}

// MoveReplica hands a replica to another shard of its node. bumpLeader starts a new leader epoch too, as core mode needs
// where the shard is a broker of its own.
func MoveReplica(p model.Partition, node model.NodeID, shard model.ShardID, bumpLeader bool) Command {
	w := begin(KindMoveReplica)
	w.id(p.Topic)
	w.number(int64(p.Index))
	w.number(int64(node))
	w.number(int64(shard))
	w.flag(bumpLeader)
	return w.command()
}

// RegisterDirectories says which log directories a node has, in its order, and what each is good for. Those that are not named any more stay,
// offline, as long as a replica is in them. Replicas of which nobody has said where they are get home: the only directory there was. A node
// that has always had one directory says nothing, so that builds from before there were several go on reading its log.
func RegisterDirectories(node model.NodeID, home model.DirectoryID, directories []placement.Directory) Command {
	w := begin(KindRegisterDirectories)
	for i := range directories {
		if directories[i].State == placement.DirectoryCordoned {
			w.b[0] = commandVersionCordoned
		}
	}
	w.number(int64(node))
	w.id(home)
	w.directories(directories)
	return w.command()
}

// AssignDirectory says that a node's replica is in another of its log directories by now (AssignReplicasToDirs, API key 73).
func AssignDirectory(p model.Partition, node model.NodeID, directory model.DirectoryID) Command {
	w := begin(KindAssignDirectory)
	w.id(p.Topic)
	w.number(int64(p.Index))
	w.number(int64(node))
	w.id(directory)
	return w.command()
}

// AllocateProducerIDs reserves the next block of producer ids for a node (API key 67).
func AllocateProducerIDs(node model.NodeID) Command {
	w := begin(KindAllocateProducerIDs)
	w.uvarint(uint64(uint32(node)))
	return w.command()
}

func begin(kind Kind) *writer { return &writer{b: []byte{commandVersion, byte(kind)}} }

func (w *writer) command() Command { return Command{b: w.b} }

// configs writes a map in ascending key order: equal maps have one encoding.
func (w *writer) configs(values map[string]string) {
	w.uvarint(uint64(len(values)))
	for _, k := range slices.Sorted(maps.Keys(values)) {
		w.string(k)
		w.string(values[k])
	}
}

func (w *writer) changes(changes []ConfigChange, replace bool) {
	w.flag(replace)
	w.uvarint(uint64(len(changes)))
	for _, c := range changes {
		w.string(c.Key)
		w.flag(c.Delete)
		w.string(c.Value)
	}
}

// assignment may raise the version of the command it is a part of.
func (w *writer) assignment(assignment Assignment) {
	shards := assignment.onShards()
	if shards {
		w.b[0] = commandVersionShards
	}
	w.uvarint(uint64(len(assignment)))
	for _, replicas := range assignment {
		w.uvarint(uint64(len(replicas)))
		for _, r := range replicas {
			w.number(int64(r.Node))
			if shards {
				w.number(int64(r.Shard) + 1)
			}
		}
	}
}

func (w *writer) directories(directories []placement.Directory) {
	w.uvarint(uint64(len(directories)))
	for _, d := range directories {
		w.id(d.ID)
		w.string(d.Path)
		w.byte(byte(d.State))
	}
}

func (w *writer) listeners(listeners []placement.Listener) {
	w.uvarint(uint64(len(listeners)))
	for _, l := range listeners {
		w.string(l.Name)
		w.string(l.Host)
		w.number(int64(l.Port))
	}
}
