// Package catalog is the cluster's metadata as a deterministic machine: what the Raft log applies to. It owns the rules of
// topics, brokers and assignments; the state itself is a placement.Image plus the next producer id. The same commands in the
// same order give the same state, bit for bit, on every node: there is no clock, no randomness and no map order in here.
// It refuses to do I/O, to know Raft beyond a log index, and to judge configuration values (engine/config does, before a
// command is proposed).
//
// A command refused by a rule changes nothing and is an ordinary Result. A command that this version cannot read at all
// (Unsupported) must stop the node: skipping it would let nodes differ silently.
package catalog

import (
	"crypto/sha256"

	"pinion/engine/model"
	"pinion/engine/must"
	"pinion/engine/placement"
)

// Bounds of what a catalogue may hold. Everything a command or a snapshot claims is held against them.
const (
	// Fixed by Kafka.
	nameBytesMax               = 249    // Topic.MAX_NAME_LENGTH
	commandPartitionsMax       = 10_000 // ReplicationControlManager.MAX_PARTITIONS_PER_BATCH
	producerIDBlock      int64 = 1000   // ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE

	// Chosen.
	CommandBytesMax    = 4 << 20 // 10,000 explicit assignments of 32 replicas at 5 bytes fit twice over
	partitionsMax      = 1_000_000
	topicPartitionsMax = 100_000
	brokersMax         = 10_000
	replicasMax        = 32
	shardsMax          = 1024
	listenersMax       = 64
	configsMax         = 256
	configKeyMax       = 255
	configValueMax     = 32 << 10 // Kafka's listener and quota strings stay far below; a metadata image must stay small
	hostBytesMax       = 255
	directoriesMax     = 64 // log directories of a node, those included that are gone and have partitions
	pathBytesMax       = 4096
	labelBytesMax      = 249 // rack, listener name, cluster id
	resourcesMax       = 10_000
	ResourceNameMax    = 1 << 10 // of a group or subscription; of a user or client id with a quota
	quotasMax          = 10_000
	quotaKeysMax       = 16
)

// Machine applies commands. One owner at a time; images it returns may be read by anyone.
type Machine struct {
	draft   *placement.Draft
	image   *placement.Image // the last frozen draft
	applied uint64           // invariant: grows; every command at or below it is in the state

	nextProducerID int64
	loads          loads // derived from the image: how many replicas and leaders sit where
}

// New returns the machine of a cluster that has seen no command.
func New(cluster string) *Machine {
	image := placement.Empty(cluster)
	return &Machine{draft: image.Edit(), image: image, loads: loads{}}
}

// Applied is the log index of the last command in the state.
func (m *Machine) Applied() uint64 { return m.applied }

// Image freezes what was applied so far. Its revision is Applied. It costs nothing when nothing changed.
func (m *Machine) Image() *placement.Image {
	if m.draft.Dirty() {
		m.image = m.draft.Freeze(model.Revision(m.applied))
	}
	return m.image
}

// Apply runs the command at a log index. A nil command only moves the index (Raft's own entries). An index at or below
// Applied is a replay and changes nothing, so that a log that overlaps the snapshot is harmless.
func (m *Machine) Apply(index uint64, cmd []byte) (Result, Delta) {
	if index <= m.applied {
		return Result{Index: m.applied}, Delta{}
	}
	m.applied = index
	if cmd == nil {
		return Result{Index: index}, Delta{}
	}
	var delta Delta
	result := m.dispatch(cmd, &delta)
	result.Index = index
	if must.Deep {
		m.check()
	}
	return result, delta
}

func (m *Machine) dispatch(cmd []byte, delta *Delta) Result {
	if len(cmd) > CommandBytesMax {
		return refused(TooLarge, "command of %d bytes, at most %d", len(cmd), CommandBytesMax)
	}
	r := reader{b: cmd}
	version, kind := r.byte(), Kind(r.byte())
	if r.bad || version < commandVersion || version > commandVersionShards {
		return refused(Unsupported, "command version %d, this build reads %d and %d", version, commandVersion, commandVersionShards)
	}
	switch r.shards = version == commandVersionShards; {
	case !r.shards || kind == KindCreateTopic || kind == KindCreatePartitions || kind == KindRegisterDirectories:
	default:
		return refused(Unsupported, "command kind %d has no version %d in this build", kind, version)
	}
	switch kind {
	case KindCreateTopic:
		return m.createTopic(&r, delta)
	case KindDeleteTopic:
		return m.deleteTopic(&r, delta)
	case KindCreatePartitions:
		return m.createPartitions(&r, delta)
	case KindSetTopicConfigs:
		return m.setTopicConfigs(&r, delta)
	case KindSetBrokerConfigs:
		return m.setBrokerConfigs(&r, delta)
	case KindRegisterBroker:
		return m.registerBroker(&r, delta)
	case KindMoveReplica:
		return m.moveReplica(&r, delta)
	case KindAlterTopicConfigs:
		return m.alterTopicConfigs(&r, delta)
	case KindAlterBrokerConfigs:
		return m.alterBrokerConfigs(&r, delta)
	case KindAlterResourceConfigs:
		return m.alterResourceConfigs(&r)
	case KindAlterQuotas:
		return m.alterQuotas(&r)
	case KindRegisterDirectories:
		return m.registerDirectories(&r, delta)
	case KindAssignDirectory:
		return m.assignDirectory(&r, delta)
	case KindAllocateProducerIDs:
		return m.allocateProducerIDs(&r)
	}
	return refused(Unsupported, "command kind %d is not known to this build", kind)
}

// allocateProducerIDs hands out the next block (AllocateProducerIds, API key 67). Ids are never given twice: a block lost
// with a crash stays lost.
func (m *Machine) allocateProducerIDs(r *reader) Result {
	r.uvarint(1 << 31) // the asking node, for whoever reads the log
	if !r.done() {
		return malformed(KindAllocateProducerIDs)
	}
	const last = 1<<63 - 1
	if m.nextProducerID > last-producerIDBlock {
		return refused(LimitReached, "no producer ids are left")
	}
	first := m.nextProducerID
	m.nextProducerID += producerIDBlock
	return Result{FirstProducerID: first, ProducerIDs: producerIDBlock}
}

// Hash is a digest of the whole state, the applied index included. Equal histories give equal hashes on every node.
func (m *Machine) Hash() [sha256.Size]byte { return sha256.Sum256(m.AppendSnapshot(nil)) }

// check recomputes what is derived and compares; the checks build runs it after every command.
func (m *Machine) check() {
	if fresh := loadsOf(m.draft.View()); !fresh.equal(m.loads) {
		must.Failf("loads drifted from the image at index %d", m.applied)
	}
}
