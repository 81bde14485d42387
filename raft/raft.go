// Package raft drives one etcd RawNode: it owns the node's protocol state and keeps the order that makes Raft safe, which is
// where integrations fail, not the core (RELIABILITY B25 to B27):
//
//	Tick, Step, Propose ─> RawNode ─> Ready ─> 1. snapshot, entries, hard state to Storage, synced
//	                                           2. membership changes to the RawNode
//	                                           3. Work to the caller: messages to send, entries to apply
//
// Nothing reaches the caller before step 1 is durable. The applied index is not kept here: it is part of the state that the
// caller snapshots, and whatever is above the snapshot is handed out again after a restart.
//
// The package starts no goroutine, reads no clock, opens no file and knows no topics: a simulation drives it as production
// does. One owner at a time. The first error of Storage is final; every later call returns it.
package raft

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	etcd "go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"pinion/engine/mutant"
)

// Message is what nodes of a group send each other.
type Message = raftpb.Message

// Entry is one element of the log.
type Entry struct {
	Index uint64
	Term  uint64
	Kind  Kind
	Data  []byte // nil for the entry that opens a term; of a change of members, the note that was proposed with it
}

// Kind says who an entry is for. The values are on disk.
type Kind uint8

// The kinds of entry. All but Normal are Raft's own and are handled here before the caller sees them.
const (
	Normal           Kind = 0
	MembershipV1     Kind = 1
	MembershipChange Kind = 2
)

// State is what Raft must not forget (its hard state).
type State struct {
	Term   uint64
	Vote   uint64
	Commit uint64
}

// Members is a membership.
type Members struct {
	Voters         []uint64
	VotersOutgoing []uint64 // set only inside a joint change
	Learners       []uint64
	LearnersNext   []uint64
	AutoLeave      bool
}

// Snapshot stands for all entries up to Index.
type Snapshot struct {
	Index   uint64
	Term    uint64
	Members Members
	Data    []byte
}

// Config fixes a node's identity and pace.
type Config struct {
	ID             uint64 // never 0, never used again after its removal
	ElectionTicks  int    // silence after which a follower campaigns; default 10
	HeartbeatTicks int    // default 1
	Joining        bool   // the group is about to learn of this member: that storage does not name it is no mistake
	Log            *slog.Logger
}

// Bounds of what is under way at once.
const (
	messageBytesMax     = 1 << 20  // entries of one message; a follower that lags gets many
	inflightMessages    = 64       // messages to one follower not yet acknowledged
	uncommittedBytesMax = 64 << 20 // proposals beyond are dropped; larger than any batch that control proposes
	committedBytesMax   = 8 << 20  // entries of one Work
)

// ErrDropped says that a proposal was not taken: this node does not lead, or too much is uncommitted. It changed nothing.
var ErrDropped = errors.New("proposal dropped")

// ErrChanging says that a change of members was not taken because another is under way, or this leader is too new to know.
var ErrChanging = errors.New("another change of members is under way")

// ErrNoSpace says that a snapshot of one's own was not taken because there is no room for it. It changed nothing, and can be tried again.
var ErrNoSpace = errors.New("no space for a snapshot")

// ErrNotMember says that the group does not have this member (any more).
var ErrNotMember = errors.New("not a member of the group")

// Node is one member of a group.
type Node struct {
	raw     *etcd.RawNode
	storage Storage
	members Members
	state   State
	leads   bool
	lead    uint64
	term    uint64
	err     error

	// One change of members at a time (a second could take quorums that do not overlap): the next may be proposed once everything up
	// to settled is applied, and no other waits to be persisted.
	applied uint64
	settled uint64
	offered bool

	owed *etcd.Ready // sent but not persisted; only a mutant owes anything
}

// Work is what one Ready asks of the caller, in this order: restore Snapshot if there is one, apply Committed, send Messages.
// Everything the messages speak of is durable already.
type Work struct {
	Snapshot  *Snapshot
	Committed []Entry // ascending; of Kind Normal, or with nil Data where Raft used the index itself
	Messages  []*Message
}

// Open starts a member from what storage holds. Storage must have been founded with a snapshot that names the members.
func Open(storage Storage, c Config) (*Node, error) {
	if c.ElectionTicks == 0 {
		c.ElectionTicks = 10
	}
	if c.HeartbeatTicks == 0 {
		c.HeartbeatTicks = 1
	}
	snap := storage.Snapshot()
	if snap.Index == 0 || len(snap.Members.Voters) == 0 {
		return nil, fmt.Errorf("open raft member %d: storage names no members", c.ID)
	}
	if !c.Joining && !slices.Contains(snap.Members.all(), c.ID) && storage.Last() == snap.Index {
		return nil, fmt.Errorf("open raft member %d, the group has %v: %w", c.ID, snap.Members.Voters, ErrNotMember)
	}
	n := &Node{storage: storage, members: snap.Members, state: storage.State(), applied: snap.Index}
	raw, err := etcd.NewRawNode(&etcd.Config{
		ID:                        c.ID,
		ElectionTick:              c.ElectionTicks,
		HeartbeatTick:             c.HeartbeatTicks,
		Storage:                   view{storage},
		Applied:                   snap.Index,
		MaxSizePerMsg:             messageBytesMax,
		MaxCommittedSizePerReady:  committedBytesMax,
		MaxUncommittedEntriesSize: uncommittedBytesMax,
		MaxInflightMsgs:           inflightMessages,
		CheckQuorum:               true, // a leader cut off from its quorum steps down
		PreVote:                   true, // a member that returns does not depose a healthy leader
		ReadOnlyOption:            etcd.ReadOnlySafe,
		DisableProposalForwarding: true, // whoever proposes wants to know that this node leads
		StepDownOnRemoval:         true,
		Logger:                    newLogger(c.Log),
	})
	if err != nil {
		return nil, fmt.Errorf("open raft member %d: %w", c.ID, err)
	}
	n.raw = raw
	n.term = raw.BasicStatus().HardState.GetTerm()
	return n, nil
}

// Tick passes one unit of time.
func (n *Node) Tick() {
	if n.err == nil {
		n.raw.Tick()
	}
}

// Campaign stands for election now instead of after a silence. A lone voter wins at once.
func (n *Node) Campaign() error {
	if n.err != nil {
		return n.err
	}
	return n.raw.Campaign()
}

// Step takes a message from another member. An error means that the message was ignored.
func (n *Node) Step(m *Message) error {
	if n.err != nil {
		return n.err
	}
	return n.raw.Step(m)
}

// Propose offers entries, which become one run of the log and one durable write. ErrDropped: none was taken. The slices are
// given away. An entry taken can still be lost with a change of leader; it is agreed once a Work hands it out.
func (n *Node) Propose(batch [][]byte) error {
	if n.err != nil {
		return n.err
	}
	m := &Message{Type: raftpb.MsgProp.Enum(), Entries: make([]*raftpb.Entry, 0, len(batch))}
	for _, data := range batch {
		m.Entries = append(m.Entries, &raftpb.Entry{Data: data})
	}
	err := n.raw.Step(m)
	if errors.Is(err, etcd.ErrProposalDropped) {
		return ErrDropped
	}
	return err
}

// Change is what can happen to a member.
type Change uint8

// The changes. A member that joins is a learner first, until it has caught up: a voter that lags costs availability.
const (
	AddLearner Change = iota + 1
	Promote           // a learner becomes a voter
	RemoveMember
)

// ProposeMembership offers a change of one member. ErrDropped and ErrChanging: it was not taken. The note comes back as the data of the
// entry once it is agreed.
func (n *Node) ProposeMembership(change Change, id uint64, note []byte) error {
	switch {
	case n.err != nil:
		return n.err
	case !n.leads:
		return ErrDropped
	case n.offered || n.applied < n.settled:
		return ErrChanging
	}
	kind := map[Change]raftpb.ConfChangeType{AddLearner: raftpb.ConfChangeAddLearnerNode, Promote: raftpb.ConfChangeAddNode,
		RemoveMember: raftpb.ConfChangeRemoveNode}[change]
	err := n.raw.ProposeConfChange(&raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{{Type: &kind, NodeId: &id}}, Context: note})
	if errors.Is(err, etcd.ErrProposalDropped) {
		return ErrDropped
	}
	n.offered = err == nil
	return err
}

// SnapshotSent tells what became of a message with a snapshot: without it the leader sends that member nothing more. The transport
// owes one for each.
func (n *Node) SnapshotSent(to uint64, arrived bool) {
	status := etcd.SnapshotFinish
	if !arrived {
		status = etcd.SnapshotFailure
	}
	if n.err == nil {
		n.raw.ReportSnapshot(to, status)
	}
}

// Unreachable tells that messages to a member are not arriving, so that the leader tries one at a time.
func (n *Node) Unreachable(id uint64) {
	if n.err == nil {
		n.raw.ReportUnreachable(id)
	}
}

// HasWork reports whether Ready would return anything.
func (n *Node) HasWork() bool { return n.err == nil && (n.owed != nil || n.raw.HasReady()) }

// Ready persists what is new and returns what follows from it. The caller does all of the Work before it calls again.
func (n *Node) Ready() (Work, error) {
	if n.err != nil {
		return Work{}, n.err
	}
	rd, work := n.owed, Work{}
	if n.owed = nil; rd == nil {
		if !n.raw.HasReady() {
			return Work{}, nil
		}
		next := n.raw.Ready()
		rd, work.Messages = &next, next.Messages
		if mutant.On(mutant.RaftSendFirst) {
			n.owed = rd
			return work, nil
		}
	}
	if err := n.persist(rd, &work); err != nil {
		n.err = fmt.Errorf("raft storage: %w", err)
		return Work{}, n.err
	}
	if rd.SoftState != nil {
		if n.leads, n.lead = rd.RaftState == etcd.StateLeader, rd.Lead; n.leads {
			n.settled = n.storage.Last() // changes of earlier terms may be among these
		}
	}
	for _, e := range rd.CommittedEntries {
		entry, err := n.settle(e)
		if err != nil {
			n.err = err
			return Work{}, err
		}
		work.Committed = append(work.Committed, entry)
		n.applied = entry.Index
	}
	n.raw.Advance(*rd)
	return work, nil
}

func (n *Node) persist(rd *etcd.Ready, work *Work) error {
	if !etcd.IsEmptySnap(rd.Snapshot) {
		snap := snapshotFrom(rd.Snapshot)
		if err := n.storage.SaveSnapshot(snap); err != nil {
			return err
		}
		n.members, n.applied = snap.Members, snap.Index
		work.Snapshot = &snap
	}
	if rd.HardState != nil && !etcd.IsEmptyHardState(rd.HardState) {
		n.state = State{Term: rd.HardState.GetTerm(), Vote: rd.HardState.GetVote(), Commit: rd.HardState.GetCommit()}
		n.term = n.state.Term
	}
	n.offered = false
	for _, e := range rd.Entries {
		if e.GetType() != raftpb.EntryNormal {
			n.settled = e.GetIndex()
		}
	}
	if len(rd.Entries) == 0 && !rd.MustSync && rd.HardState == nil {
		return nil
	}
	return n.storage.Append(entriesFrom(rd.Entries), n.state, rd.MustSync)
}

// settle gives membership changes to the RawNode, which must see every one of them, in order.
func (n *Node) settle(e *raftpb.Entry) (Entry, error) {
	entry := entryFrom(e)
	switch e.GetType() {
	case raftpb.EntryConfChange:
		var change raftpb.ConfChange
		if err := unmarshal(e.GetData(), &change); err != nil {
			return Entry{}, fmt.Errorf("membership change at index %d: %w", entry.Index, err)
		}
		n.members = membersFrom(n.raw.ApplyConfChange(&change))
		entry.Data = change.GetContext()
	case raftpb.EntryConfChangeV2:
		var change raftpb.ConfChangeV2
		if err := unmarshal(e.GetData(), &change); err != nil {
			return Entry{}, fmt.Errorf("membership change at index %d: %w", entry.Index, err)
		}
		n.members = membersFrom(n.raw.ApplyConfChange(&change))
		entry.Data = change.GetContext()
	}
	return entry, nil
}

// Compact replaces the entries up to index by the caller's state at exactly that index, which must have been applied, with
// every Work so far done. ErrNoSpace: not now, and the entries stay; any other error is final.
func (n *Node) Compact(index uint64, data []byte) error {
	if n.err != nil {
		return n.err
	}
	if index <= n.storage.Snapshot().Index {
		return nil
	}
	term, ok := n.storage.Term(index)
	if !ok {
		return fmt.Errorf("compact at index %d: no such entry", index)
	}
	snap := Snapshot{Index: index, Term: term, Members: n.members, Data: data}
	err := n.storage.SaveSnapshot(snap)
	if errors.Is(err, ErrNoSpace) {
		return err
	}
	if err != nil {
		n.err = fmt.Errorf("raft storage: %w", err)
	}
	return n.err
}

// MustCompact reports that a member has joined since the last snapshot. A snapshot that does not name it is refused by it, so it could
// never catch up where the entries it lacks are gone.
func (n *Node) MustCompact() bool {
	named := n.storage.Snapshot().Members.all()
	for _, id := range n.members.all() {
		if !slices.Contains(named, id) {
			return true
		}
	}
	return false
}

// all is everybody with a part in the group.
func (m Members) all() []uint64 {
	return slices.Concat(m.Voters, m.VotersOutgoing, m.Learners, m.LearnersNext)
}

// Leads reports whether this node leads, as of the last Ready.
func (n *Node) Leads() bool { return n.leads }

// Lead is the member believed to lead, 0 when none is, as of the last Ready.
func (n *Node) Lead() uint64 { return n.lead }

// Term is the current term, as of the last Ready.
func (n *Node) Term() uint64 { return n.term }

// Members is the membership after every Work so far.
func (n *Node) Members() Members {
	m := n.members
	m.Voters = slices.Clone(m.Voters)
	return m
}

// Alone reports whether this node is the only voter, so that time need not pass for it to lead.
func (n *Node) Alone() bool {
	return len(n.members.Voters) == 1 && len(n.members.VotersOutgoing) == 0 && len(n.members.Learners) == 0
}
