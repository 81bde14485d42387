// Package placement is the immutable, revisioned picture of the cluster that every shard reads without a lock: which topics
// exist, where each replica lives (node and shard), who leads, which brokers are there. It owns no state of its own: an Image
// never changes once frozen, and a Draft, held by the one machine that edits, turns one Image into the next by copying only
// the paths that changed. It refuses to decide anything: validation, choice of replicas and epochs belong to engine/catalog.
//
// An Image is four persistent structures that share what they do not change:
//
//	names   hash trie, 32 wide   name (with '.' read as '_') -> *Topic     the hot lookup, no allocation
//	ids     hash trie, 32 wide   topic id                    -> *Topic     the hot lookup, no allocation
//	order   treap of names       ascending iteration; changes only when a topic comes or goes
//	Topic   spine, 32 wide       partition index -> *Partition
//
// A change of one partition copies one Topic, its spine's path and two trie paths: O(log n). Edits of one Draft between two
// freezes share an edit mark, so that a path is copied once per freeze, not once per change.
package placement

import (
	"pinion/engine/model"
)

// NoLeader stands where a partition has no leader.
const NoLeader model.NodeID = -1

// Image is one revision of the cluster. It is immutable and may be read from any goroutine.
type Image struct {
	revision   model.Revision
	moves      uint64
	cluster    string
	names      trie
	ids        trie
	order      *order
	topics     int
	partitions int
	brokers    []*Broker      // ascending by id
	configs    []brokerConfig // ascending by id; node -1 is the cluster-wide default
	resources  []resourceConfig
	quotas     *Quotas
}

// Empty is the image of a cluster before its first command.
func Empty(cluster string) *Image { return &Image{cluster: cluster} }

// Topic is one incarnation of a topic. All fields are read only.
type Topic struct {
	Name     string
	ID       model.TopicID
	Internal bool
	Configs  map[string]string // never mutated; nil when there are none

	parts spine
	edit  *edit // which draft may still write to this copy
}

// Partition is one partition's state. All fields and slices are read only.
type Partition struct {
	Leader         model.NodeID // NoLeader when there is none
	LeaderEpoch    model.Epoch
	PartitionEpoch int32
	Replicas       []Replica      // preferred leader first
	ISR            []model.NodeID // in sync, a subset of Replicas' nodes
}

// Replica says on which shard of which node a copy lives, and in which of its log directories.
type Replica struct {
	Node      model.NodeID
	Shard     model.ShardID
	Directory model.DirectoryID // zero where the node has never said that it has more than one
}

// Broker is one registered process. All fields are read only.
type Broker struct {
	ID          model.NodeID
	Epoch       int64    // Kafka's broker epoch: the log index of the registration
	Incarnation [16]byte // identity of the process that registered
	Shards      int32
	Listeners   []Listener
	Rack        string // "" = none
	Fenced      bool
	Directories []Directory // in the node's order; nil where it has never had more than one. Whatever a replica names is among them
}

// Directory is one log directory of a broker.
type Directory struct {
	ID    model.DirectoryID
	Path  string // where it was seen last, for people
	State DirectoryState
}

// DirectoryState says what a log directory is good for. Values are on disk.
type DirectoryState byte

// The states.
const (
	DirectoryOpen    DirectoryState = 0 // new partitions go there
	DirectoryFull    DirectoryState = 1 // serves what it has; new partitions go there when there is no other
	DirectoryOffline DirectoryState = 2 // missing, or out of service after an error of its disk

	// DirectoryCordoned serves what it has, and takes no new partition as long as there is any other (KIP-1066).
	DirectoryCordoned DirectoryState = 3
)

// Listener is one advertised endpoint.
type Listener struct {
	Name string
	Host string
	Port int32
}

// Directory returns the log directory of that id, or nil.
func (b *Broker) Directory(id model.DirectoryID) *Directory {
	for i := range b.Directories {
		if b.Directories[i].ID == id {
			return &b.Directories[i]
		}
	}
	return nil
}

type brokerConfig struct {
	node   model.NodeID
	values map[string]string
}

// Partitions is the number of partitions, counted from 0.
func (tp *Topic) Partitions() int32 { return int32(tp.parts.len) }

// Partition returns partition i, or nil when there is no such partition.
func (tp *Topic) Partition(i int32) *Partition {
	if i < 0 || int(i) >= tp.parts.len {
		return nil
	}
	return tp.parts.get(uint32(i))
}

// ShardOn returns the shard that holds node n's replica, or model.NoShard when n holds none.
func (p *Partition) ShardOn(n model.NodeID) model.ShardID {
	for _, r := range p.Replicas {
		if r.Node == n {
			return r.Shard
		}
	}
	return model.NoShard
}

// Cordoned reports whether a broker takes no new partitions: it has named its log directories, and all are cordoned.
func (b *Broker) Cordoned() bool {
	for i := range b.Directories {
		if b.Directories[i].State != DirectoryCordoned {
			return false
		}
	}
	return len(b.Directories) > 0
}

// DirectoryOn returns the log directory of node n's replica: zero where it has none, or nobody has said.
func (p *Partition) DirectoryOn(n model.NodeID) model.DirectoryID {
	for _, r := range p.Replicas {
		if r.Node == n {
			return r.Directory
		}
	}
	return model.DirectoryID{}
}

// InSync reports whether n is in the ISR.
func (p *Partition) InSync(n model.NodeID) bool {
	for _, m := range p.ISR {
		if m == n {
			return true
		}
	}
	return false
}

// Revision is the log index of the last command the image contains. A later revision wins.
func (im *Image) Revision() model.Revision { return im.revision }

// Moves counts changes of any replica's shard; a home shard that caches owners compares it.
func (im *Image) Moves() uint64 { return im.moves }

// Cluster is the cluster id.
func (im *Image) Cluster() string { return im.cluster }

// TopicNamed returns the topic of that name, or nil. It does not allocate and does not keep name.
func (im *Image) TopicNamed(name []byte) *Topic {
	if len(name) == 0 || len(name) > nameBytesMax {
		return nil
	}
	for l := im.names.find(hashName(name)); l != nil; l = l.next {
		if l.topic.Name == string(name) {
			return l.topic
		}
	}
	return nil
}

// TopicCalled is TopicNamed for callers that hold a string.
func (im *Image) TopicCalled(name string) *Topic {
	if len(name) == 0 || len(name) > nameBytesMax {
		return nil
	}
	for l := im.names.find(hashString(name)); l != nil; l = l.next {
		if l.topic.Name == name {
			return l.topic
		}
	}
	return nil
}

// TopicLike returns the topic whose name equals name when '.' and '_' are taken as one character, as Kafka's metric names
// do, or nil. The catalogue lets at most one such topic exist.
func (im *Image) TopicLike(name string) *Topic {
	if len(name) == 0 || len(name) > nameBytesMax {
		return nil
	}
	for l := im.names.find(hashString(name)); l != nil; l = l.next {
		if alike(l.topic.Name, name) {
			return l.topic
		}
	}
	return nil
}

// TopicByID returns the topic with that id, or nil. It does not allocate.
func (im *Image) TopicByID(id model.TopicID) *Topic {
	for l := im.ids.find(hashID(id)); l != nil; l = l.next {
		if l.topic.ID == id {
			return l.topic
		}
	}
	return nil
}

// Partition finds a partition by identity, or nil when the topic or the index is gone.
func (im *Image) Partition(p model.Partition) *Partition {
	tp := im.TopicByID(p.Topic)
	if tp == nil {
		return nil
	}
	return tp.Partition(p.Index)
}

// Topics yields every topic, ascending by name, until yield returns false. It is a range-over-func iterator.
func (im *Image) Topics(yield func(*Topic) bool) {
	im.order.walk(func(name string) bool { return yield(im.TopicCalled(name)) })
}

// TopicCount is the number of topics.
func (im *Image) TopicCount() int { return im.topics }

// PartitionCount is the number of partitions of all topics.
func (im *Image) PartitionCount() int { return im.partitions }

// Brokers yields every broker, ascending by id, until yield returns false.
func (im *Image) Brokers(yield func(*Broker) bool) {
	for _, b := range im.brokers {
		if !yield(b) {
			return
		}
	}
}

// BrokerCount is the number of registered brokers.
func (im *Image) BrokerCount() int { return len(im.brokers) }

// Broker returns the broker with that id, or nil.
func (im *Image) Broker(id model.NodeID) *Broker {
	at, ok := searchBroker(im.brokers, id)
	if !ok {
		return nil
	}
	return im.brokers[at]
}

// BrokerConfigs returns the dynamic configuration of a broker (node -1: the cluster-wide default), or nil. Never mutate it.
func (im *Image) BrokerConfigs(id model.NodeID) map[string]string {
	at, ok := searchConfig(im.configs, id)
	if !ok {
		return nil
	}
	return im.configs[at].values
}

// EachBrokerConfig yields every dynamic broker configuration, ascending by node id.
func (im *Image) EachBrokerConfig(yield func(model.NodeID, map[string]string) bool) {
	for _, c := range im.configs {
		if !yield(c.node, c.values) {
			return
		}
	}
}
