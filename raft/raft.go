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
)

// Message is what nodes of a group send each other.
type Message = raftpb.Message

// Entry is one element of the log.
type Entry struct {
	Index uint64
	Term  uint64
	Kind  Kind
	Data  []byte // nil for the entry that opens a term
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
	if !slices.Contains(slices.Concat(snap.Members.Voters, snap.Members.VotersOutgoing, snap.Members.Learners, snap.Members.LearnersNext), c.ID) &&
		storage.Last() == snap.Index {
		return nil, fmt.Errorf("open raft member %d: the group has %v", c.ID, snap.Members.Voters)
	}
	n := &Node{storage: storage, members: snap.Members, state: storage.State()}
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

// ProposeMembership offers a change of members.
func (n *Node) ProposeMembership(change raftpb.ConfChangeI) error {
	if n.err != nil {
		return n.err
	}
	err := n.raw.ProposeConfChange(change)
	if errors.Is(err, etcd.ErrProposalDropped) {
		return ErrDropped
	}
	return err
}

// HasWork reports whether Ready would return anything.
func (n *Node) HasWork() bool { return n.err == nil && n.raw.HasReady() }

// Ready persists what is new and returns what follows from it. The caller does all of the Work before it calls again.
func (n *Node) Ready() (Work, error) {
	if n.err != nil {
		return Work{}, n.err
	}
	if !n.raw.HasReady() {
		return Work{}, nil
	}
	rd := n.raw.Ready()
	if rd.SoftState != nil {
		n.leads, n.lead = rd.RaftState == etcd.StateLeader, rd.Lead
	}
	work := Work{Messages: rd.Messages}
	if err := n.persist(&rd, &work); err != nil {
		n.err = fmt.Errorf("raft storage: %w", err)
		return Work{}, n.err
	}
	for _, e := range rd.CommittedEntries {
		entry, err := n.settle(e)
		if err != nil {
			n.err = err
			return Work{}, err
		}
		work.Committed = append(work.Committed, entry)
	}
	n.raw.Advance(rd)
	return work, nil
}

func (n *Node) persist(rd *etcd.Ready, work *Work) error {
	if !etcd.IsEmptySnap(rd.Snapshot) {
		snap := snapshotFrom(rd.Snapshot)
		if err := n.storage.SaveSnapshot(snap); err != nil {
			return err
		}
		n.members = snap.Members
		work.Snapshot = &snap
	}
	if rd.HardState != nil && !etcd.IsEmptyHardState(rd.HardState) {
		n.state = State{Term: rd.HardState.GetTerm(), Vote: rd.HardState.GetVote(), Commit: rd.HardState.GetCommit()}
		n.term = n.state.Term
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
		entry.Data = nil
	case raftpb.EntryConfChangeV2:
		var change raftpb.ConfChangeV2
		if err := unmarshal(e.GetData(), &change); err != nil {
			return Entry{}, fmt.Errorf("membership change at index %d: %w", entry.Index, err)
		}
		n.members = membersFrom(n.raw.ApplyConfChange(&change))
		entry.Data = nil
	}
	return entry, nil
}

// Compact replaces the entries up to index by the caller's state at exactly that index, which must have been applied, with
// every Work so far done.
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
	if err := n.storage.SaveSnapshot(snap); err != nil {
		n.err = fmt.Errorf("raft storage: %w", err)
	}
	return n.err
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
