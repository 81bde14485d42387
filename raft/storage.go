package raft

import (
	"fmt"

	etcd "go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Storage is the durable log. Reads are from memory and cannot fail; an error of a write is final.
type Storage interface {
	// State returns the last hard state appended.
	State() State
	// Snapshot returns the newest snapshot without its data.
	Snapshot() Snapshot
	// SnapshotData reads the newest snapshot's data.
	SnapshotData() ([]byte, error)
	// Last is the index of the last entry, the snapshot's when there is none above it.
	Last() uint64
	// Term returns the term of an entry in [snapshot index, Last].
	Term(index uint64) (uint64, bool)
	// Entries returns [from, to), at least one, cut where bytesMax of data is passed. Both ends lie in (snapshot index, Last+1].
	Entries(from, to, bytesMax uint64) []Entry
	// Append writes entries, which replace everything at and above the first of them, and the state. With sync both are
	// durable on return; without, the state may be forgotten in a crash.
	Append(entries []Entry, state State, sync bool) error
	// SaveSnapshot makes a snapshot durable and then forgets the entries up to its index; all of them where the log does not
	// hold an entry of the snapshot's index and term. ErrNoSpace: there is no room for it, and nothing has changed.
	SaveSnapshot(s Snapshot) error
}

// Transport carries messages to other members. It may lose, delay, repeat and reorder them, but owes Node.SnapshotSent for each that
// carries a snapshot.
type Transport interface {
	Send(messages []*Message)
}

// view shows a Storage to the RawNode.
type view struct{ s Storage }

func (v view) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	st := v.s.State()
	return &raftpb.HardState{Term: &st.Term, Vote: &st.Vote, Commit: &st.Commit}, v.s.Snapshot().Members.state(), nil
}

func (v view) FirstIndex() (uint64, error) { return v.s.Snapshot().Index + 1, nil }

func (v view) LastIndex() (uint64, error) { return v.s.Last(), nil }

func (v view) Term(index uint64) (uint64, error) {
	if index < v.s.Snapshot().Index {
		return 0, etcd.ErrCompacted
	}
	if term, ok := v.s.Term(index); ok {
		return term, nil
	}
	return 0, etcd.ErrUnavailable
}

func (v view) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if lo <= v.s.Snapshot().Index {
		return nil, etcd.ErrCompacted
	}
	if hi > v.s.Last()+1 {
		return nil, etcd.ErrUnavailable
	}
	entries := v.s.Entries(lo, hi, maxSize)
	out := make([]*raftpb.Entry, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		kind := raftpb.EntryType(e.Kind)
		out = append(out, &raftpb.Entry{Index: &e.Index, Term: &e.Term, Type: &kind, Data: e.Data})
	}
	return out, nil
}

func (v view) Snapshot() (*raftpb.Snapshot, error) {
	data, err := v.s.SnapshotData()
	if err != nil {
		// The RawNode asks only to help a follower; it tries again later, and the next write will report the disk.
		return nil, etcd.ErrSnapshotTemporarilyUnavailable
	}
	s := v.s.Snapshot()
	return &raftpb.Snapshot{Data: data, Metadata: &raftpb.SnapshotMetadata{Index: &s.Index, Term: &s.Term, ConfState: s.Members.state()}}, nil
}

func entryFrom(e *raftpb.Entry) Entry {
	return Entry{Index: e.GetIndex(), Term: e.GetTerm(), Kind: Kind(e.GetType()), Data: e.GetData()}
}

func entriesFrom(in []*raftpb.Entry) []Entry {
	out := make([]Entry, 0, len(in))
	for _, e := range in {
		out = append(out, entryFrom(e))
	}
	return out
}

func snapshotFrom(s *raftpb.Snapshot) Snapshot {
	meta := s.GetMetadata()
	return Snapshot{Index: meta.GetIndex(), Term: meta.GetTerm(), Members: membersFrom(meta.GetConfState()), Data: s.GetData()}
}

func membersFrom(c *raftpb.ConfState) Members {
	return Members{Voters: c.GetVoters(), VotersOutgoing: c.GetVotersOutgoing(), Learners: c.GetLearners(),
		LearnersNext: c.GetLearnersNext(), AutoLeave: c.GetAutoLeave()}
}

func (m Members) state() *raftpb.ConfState {
	return &raftpb.ConfState{Voters: m.Voters, VotersOutgoing: m.VotersOutgoing, Learners: m.Learners,
		LearnersNext: m.LearnersNext, AutoLeave: &m.AutoLeave}
}

// AppendMembers appends the encoding of a membership (the protocol's own ConfState).
func AppendMembers(dst []byte, m Members) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, m.state())
}

// ReadMembers reads what AppendMembers wrote.
func ReadMembers(b []byte) (Members, error) {
	var c raftpb.ConfState
	if err := unmarshal(b, &c); err != nil {
		return Members{}, fmt.Errorf("membership: %w", err)
	}
	return membersFrom(&c), nil
}

func unmarshal(b []byte, m proto.Message) error { return proto.Unmarshal(b, m) }
