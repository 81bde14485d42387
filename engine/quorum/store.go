package quorum

import (
	"errors"
	"fmt"

	"pinion/disk/device"
	"pinion/disk/entries"
	"pinion/raft"
)

// store shows the log on disk to Raft. The two rooms do not know each other; this is where they meet.
type store struct {
	log     *entries.Log
	members raft.Members // of the newest snapshot, decoded
}

func newStore(log *entries.Log) (*store, error) {
	members, err := raft.ReadMembers(log.Snapshot().Members)
	if err != nil {
		return nil, err
	}
	return &store{log: log, members: members}, nil
}

func (s *store) State() raft.State { return raft.State(s.log.State()) }

func (s *store) Snapshot() raft.Snapshot {
	snap := s.log.Snapshot()
	return raft.Snapshot{Index: snap.Index, Term: snap.Term, Members: s.members}
}

func (s *store) SnapshotData() ([]byte, error) { return s.log.SnapshotData() }

func (s *store) Last() uint64 { return s.log.Last() }

func (s *store) Term(index uint64) (uint64, bool) { return s.log.Term(index) }

func (s *store) Entries(from, to, bytesMax uint64) []raft.Entry {
	in := s.log.Entries(from, to, bytesMax)
	out := make([]raft.Entry, 0, len(in))
	for _, e := range in {
		out = append(out, raft.Entry{Index: e.Index, Term: e.Term, Kind: raft.Kind(e.Kind), Data: e.Data})
	}
	return out
}

func (s *store) Append(list []raft.Entry, state raft.State, sync bool) error {
	out := make([]entries.Entry, 0, len(list))
	for _, e := range list {
		out = append(out, entries.Entry{Index: e.Index, Term: e.Term, Kind: uint8(e.Kind), Data: e.Data})
	}
	return s.log.Append(out, entries.State(state), sync)
}

func (s *store) SaveSnapshot(snap raft.Snapshot) error {
	members, err := raft.AppendMembers(nil, snap.Members)
	if err != nil {
		return err
	}
	err = s.log.SaveSnapshot(entries.Snapshot{Index: snap.Index, Term: snap.Term, Members: members, Data: snap.Data})
	if errors.Is(err, device.ErrNoSpace) {
		return fmt.Errorf("%w: %w", raft.ErrNoSpace, err)
	}
	if err != nil {
		return err
	}
	s.members = snap.Members
	return nil
}
