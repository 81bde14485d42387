// Package quorum is one member of the metadata quorum as a machine: it owns the Raft member, its log on disk and the catalogue that
// the log applies to, and keeps the order in which they may change:
//
//	Tick, Step, Propose ─> HasWork ─> Turn: persist ─> send ─> install a snapshot ─> apply ─> publish ─> answer
//	                                  Compact: a snapshot of the catalogue in place of the entries it holds
//
// It starts no goroutine and reads no clock; a goroutine drives it in production (engine/control), an event heap in the simulation.
// Whoever drives it calls Turn while HasWork, and Compact after. It refuses to judge commands (engine/catalog does) and to know
// what lies on the disk (disk/entries does) or how messages travel (Transport). One owner at a time; what waits for the disk waits here.
// The first error of the disk is final.
package quorum

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"pinion/disk/device"
	"pinion/disk/entries"
	"pinion/engine/catalog"
	"pinion/engine/loggers"
	"pinion/engine/model"
	"pinion/engine/mutant"
	"pinion/engine/placement"
	"pinion/raft"
)

// Folder is where the metadata log lives inside the log directory. It cannot be taken for a partition: those end in a number.
const Folder = "pinion-metadata"

const (
	snapshotEntries = 10_000  // entries replayed at a start, and kept in memory until the next snapshot, at most about this many
	snapshotBytes   = 4 << 20 // log that must have grown before a snapshot is worth its writing
	snapshotRetries = 16      // a snapshot that finds no space is tried again after this part of the entries it waits for
	openSteps       = 10_000  // rounds that replay may take before we call it a bug
)

// Config says who the member is and where it keeps its log.
type Config struct {
	Node    model.NodeID
	Dir     device.Dir
	Cluster string // cluster id; fixed at the first start
	Run     uint64 // random: tells this process's proposals from those of its former lives

	Voters    []model.NodeID // who founded the group, the same for every member and for ever; nil: this node alone
	Transport raft.Transport // nil where there are no peers

	// OnImage runs after a turn that changed something, before the answers of its proposals. The delta says what differs. It is
	// not called for what Open replays.
	OnImage func(old, new *placement.Image, delta catalog.Delta)
	Log     *slog.Logger

	// These let tests make rare things common; 0 means the constants above, or those of disk/entries.
	SnapshotEntries uint64
	SnapshotBytes   int64
	SegmentBytes    int64
}

// Member is one node's share of the quorum.
type Member struct {
	config    Config
	log       *entries.Log
	node      *raft.Node
	machine   *catalog.Machine
	image     *placement.Image // the last published; nil while opening
	waiting   map[uint64]func(catalog.Result)
	sequence  uint64 // of the last proposal; the key of waiting
	snapBytes int64  // size of the last snapshot, 0 when not known
	putOff    uint64 // no snapshot before this index: the last one found no space
}

// ErrCluster says that the directory belongs to another cluster.
var ErrCluster = errors.New("directory belongs to another cluster")

// Open replays the log. A lone voter elects itself, and its image is current on return; others wait for their peers.
func Open(c Config) (*Member, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.SnapshotEntries == 0 {
		c.SnapshotEntries = snapshotEntries
	}
	if c.SnapshotBytes == 0 {
		c.SnapshotBytes = snapshotBytes
	}
	if c.Voters == nil {
		c.Voters = []model.NodeID{c.Node}
	}
	m := &Member{config: c, waiting: map[uint64]func(catalog.Result){}}
	if err := m.open(); err != nil {
		if m.log != nil {
			err = errors.Join(err, m.log.Close())
		}
		return nil, fmt.Errorf("open metadata: %w", err)
	}
	return m, nil
}

func (m *Member) open() error {
	founded, err := entries.Founded(m.config.Dir, Folder)
	if err != nil {
		return err
	}
	if !founded {
		if err := m.found(); err != nil {
			return err
		}
	}
	if m.log, err = entries.Open(m.config.Dir, Folder, entries.Config{SegmentBytes: m.config.SegmentBytes}); err != nil {
		return err
	}
	data, err := m.log.SnapshotData()
	if err != nil {
		return err
	}
	if err := m.restore(data, m.log.Snapshot().Index); err != nil {
		return err
	}
	if mutant.On(mutant.AppliedApart) {
		m.skipToApplied()
	}
	store, err := newStore(m.log)
	if err != nil {
		return err
	}
	// A member that joins founds its log as the others did and is named by a later entry.
	joining := !slices.Contains(m.config.Voters, m.config.Node)
	if m.node, err = raft.Open(store, raft.Config{ID: raftID(m.config.Node), Joining: joining, Log: loggers.Part(m.config.Log, loggers.Raft)}); err != nil {
		return err
	}
	return m.elect()
}

// found writes the first snapshot: an empty catalogue and the voters the group began with. It is one atomic replacement, so a power
// cut leaves either nothing or a founded log.
func (m *Member) found() error {
	var voters []uint64
	for _, n := range m.config.Voters {
		voters = append(voters, raftID(n))
	}
	members, err := raft.AppendMembers(nil, raft.Members{Voters: voters})
	if err != nil {
		return err
	}
	machine := catalog.New(m.config.Cluster)
	machine.Apply(foundIndex, nil)
	return entries.Found(m.config.Dir, Folder, entries.Snapshot{Index: foundIndex, Term: foundTerm, Members: members,
		Data: machine.AppendSnapshot(nil)})
}

// The log begins behind a snapshot at index 1, so that the members are known before the first entry.
const foundIndex, foundTerm = 1, 1

// raftID maps node ids, which start at 0, to Raft's, where 0 means nobody.
func raftID(n model.NodeID) uint64 { return uint64(n) + 1 }

// restore makes a snapshot's state the state.
func (m *Member) restore(data []byte, index uint64) error {
	machine, err := catalog.Restore(data)
	if err != nil {
		return err
	}
	if got := machine.Image().Cluster(); got != m.config.Cluster {
		return fmt.Errorf("cluster id %q here, %q there: %w", m.config.Cluster, got, ErrCluster)
	}
	if machine.Applied() != index {
		return fmt.Errorf("snapshot at index %d holds a state that has applied %d: %w", index, machine.Applied(), entries.ErrDamaged)
	}
	m.machine, m.snapBytes = machine, int64(len(data))
	return nil
}

// elect makes a lone voter the leader of a new term and applies everything the log holds; the entry that opens the term
// commits all that came before it. Others apply what they know to be agreed.
func (m *Member) elect() error {
	if m.node.Alone() {
		if err := m.node.Campaign(); err != nil {
			return err
		}
	}
	for range openSteps {
		if !m.node.HasWork() {
			break
		}
		if err := m.Turn(); err != nil {
			return err
		}
		if err := m.Compact(); err != nil {
			return err
		}
	}
	if m.node.Alone() && (!m.node.Leads() || m.machine.Applied() != m.log.Last()) {
		return fmt.Errorf("lone voter did not reach the end of its log: applied %d of %d", m.machine.Applied(), m.log.Last())
	}
	m.image = m.machine.Image()
	return nil
}

// Image is the newest published image.
func (m *Member) Image() *placement.Image { return m.image }

// Applied is the log index up to which commands are in the state.
func (m *Member) Applied() uint64 { return m.machine.Applied() }

// Hash is a digest of the state; equal on all members that have applied as much.
func (m *Member) Hash() [32]byte { return m.machine.Hash() }

// Log is the member's log, to be looked at.
func (m *Member) Log() *entries.Log { return m.log }

// Alone reports whether the member is the only voter, so that time need not pass.
func (m *Member) Alone() bool { return m.node.Alone() }

// Leads reports whether the member leads.
func (m *Member) Leads() bool { return m.node.Leads() }

// Term is the current term.
func (m *Member) Term() uint64 { return m.node.Term() }

// Leader is the node believed to lead, -1 when none is.
func (m *Member) Leader() model.NodeID { return model.NodeID(int64(m.node.Lead()) - 1) }

// Nodes are the voters and the learners, as far as applied.
func (m *Member) Nodes() (voters, learners []model.NodeID) {
	members := m.node.Members()
	nodes := func(ids []uint64) (list []model.NodeID) {
		for _, id := range ids {
			list = append(list, model.NodeID(id-1))
		}
		return list
	}
	return nodes(members.Voters), nodes(members.Learners)
}

// Members is the membership as far as applied, in Raft's ids.
func (m *Member) Members() raft.Members { return m.node.Members() }

// Tick passes one unit of time.
func (m *Member) Tick() { m.node.Tick() }

// Step takes a message from another member; one that makes no sense is ignored.
func (m *Member) Step(msg *raft.Message) error { return m.node.Step(msg) }

// SnapshotSent tells what became of a message with a snapshot that went to a node (see raft.Transport).
func (m *Member) SnapshotSent(to model.NodeID, arrived bool) {
	m.node.SnapshotSent(raftID(to), arrived)
}

// Unreachable tells that messages to a node are not arriving.
func (m *Member) Unreachable(to model.NodeID) { m.node.Unreachable(raftID(to)) }

// HasWork reports whether Turn has anything to do.
func (m *Member) HasWork() bool { return m.node.HasWork() }

// Close closes the log. Proposals under way stay unanswered: see Abandon.
func (m *Member) Close() error { return m.log.Close() }

// Compact snapshots the catalogue when replaying the log would cost more than reading the snapshot, or when somebody has joined. Where the disk
// is full the log serves for longer.
func (m *Member) Compact() error {
	count := m.machine.Applied() - m.log.Snapshot().Index
	grown := m.log.Bytes()
	if !m.node.MustCompact() && count < m.config.SnapshotEntries && grown < max(m.config.SnapshotBytes, 2*m.snapBytes) {
		return nil
	}
	if count == 0 || m.machine.Applied() < m.putOff {
		return nil
	}
	data := m.machine.AppendSnapshot(nil)
	m.snapBytes = int64(len(data))
	err := m.node.Compact(m.machine.Applied(), data)
	if err != nil && !errors.Is(err, raft.ErrNoSpace) {
		return err
	}
	if m.log.Bytes() >= grown { // there is no room for the snapshot, or for the segment behind it
		m.putOff = m.machine.Applied() + max(1, m.config.SnapshotEntries/snapshotRetries)
		m.config.Log.Warn("the disk is full: the metadata log stays as long as it is", "bytes", grown, "err", err)
	}
	return nil
}
