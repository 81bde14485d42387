package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"pinion/disk/cell"
	"pinion/engine/catalog"
	"pinion/engine/model"
	"pinion/engine/mutant"
	"pinion/raft"
)

// An entry of ours on the log:
//
//	byte  0      version of the envelope (1)
//	bytes 1-8    run: random number of the proposing process, little-endian
//	bytes 9-16   sequence of the proposal in that run
//	rest         the catalogue's command; nothing in the note of a change of members
//
// Run and sequence tell the proposer which of its calls an entry answers; they are not part of the state.
const (
	envelopeVersion = 1
	envelopeBytes   = 17
)

func (m *Member) seal(cmd []byte) []byte {
	b := make([]byte, 0, envelopeBytes+len(cmd))
	b = append(b, envelopeVersion)
	b = binary.LittleEndian.AppendUint64(b, m.config.Run)
	b = binary.LittleEndian.AppendUint64(b, m.sequence)
	return append(b, cmd...)
}

// Proposal is a command and who wants to know what became of it.
type Proposal struct {
	Command catalog.Command
	Done    func(catalog.Result)
}

// Propose offers commands as one run of entries and one durable write. Each Done is called exactly once: at once with NotLeader where
// nothing was taken, in a Turn after the image with the effect is published, or by Abandon. An error is that of the disk.
func (m *Member) Propose(list []Proposal) error {
	batch := make([][]byte, 0, len(list))
	from := m.sequence + 1
	for _, p := range list {
		m.sequence++
		m.waiting[m.sequence] = p.Done
		batch = append(batch, m.seal(p.Command.Bytes()))
	}
	err := m.node.Propose(batch)
	if errors.Is(err, raft.ErrDropped) {
		refusal := catalog.Result{Err: &catalog.Error{Code: catalog.NotLeader, Message: "this node does not lead the metadata quorum"}}
		for s, last := from, m.sequence; s <= last; s++ {
			m.answer(s, refusal)
		}
		return nil
	}
	return err
}

// ProposeMembership offers a change of one member; with raft.ErrDropped and raft.ErrChanging it was not taken, and done is not called.
func (m *Member) ProposeMembership(change raft.Change, node model.NodeID, done func(catalog.Result)) error {
	m.sequence++
	if err := m.node.ProposeMembership(change, raftID(node), m.seal(nil)); err != nil {
		return err
	}
	m.waiting[m.sequence] = done
	return nil
}

// answer calls the done of a proposal, once.
func (m *Member) answer(sequence uint64, r catalog.Result) {
	done := m.waiting[sequence]
	delete(m.waiting, sequence)
	if done != nil {
		done(r)
	}
}

// Abandon answers every proposal under way, in order.
func (m *Member) Abandon(r catalog.Result) {
	for _, s := range slices.Sorted(maps.Keys(m.waiting)) {
		m.answer(s, r)
	}
}

// outcome is a result that waits for its image to be published.
type outcome struct {
	sequence uint64
	result   catalog.Result
}

// Turn does one round of Raft's work.
func (m *Member) Turn() error {
	led := m.node.Leads()
	work, err := m.node.Ready()
	if err != nil {
		return err
	}
	if len(work.Messages) > 0 && m.config.Transport != nil {
		m.config.Transport.Send(work.Messages)
	}
	var delta catalog.Delta
	if work.Snapshot != nil {
		if err := m.install(work.Snapshot, &delta); err != nil {
			return err
		}
	}
	var outcomes []outcome
	for _, e := range work.Committed {
		o, mine, err := m.apply(e, &delta)
		if err != nil {
			return err
		}
		if mine {
			outcomes = append(outcomes, o)
		}
	}
	if mutant.On(mutant.AppliedApart) {
		if err := m.saveApplied(); err != nil {
			return err
		}
	}
	m.publish(delta)
	for _, o := range outcomes {
		m.answer(o.sequence, o.result)
	}
	if led && !m.node.Leads() {
		// What is under way may or may not be agreed by another leader.
		m.Abandon(catalog.Result{Err: &catalog.Error{Code: catalog.Stopped, Message: "leadership of the metadata quorum was lost"}})
	}
	return nil
}

// install puts a snapshot from another member, which is on disk already, in place of the state.
func (m *Member) install(s *raft.Snapshot, delta *catalog.Delta) error {
	old := m.machine.Image()
	if err := m.restore(s.Data, s.Index); err != nil {
		return fmt.Errorf("snapshot from another member at index %d: %w", s.Index, err)
	}
	delta.Add(catalog.Difference(old, m.machine.Image()))
	return nil
}

func (m *Member) apply(e raft.Entry, delta *catalog.Delta) (o outcome, mine bool, err error) {
	if len(e.Data) == 0 {
		m.machine.Apply(e.Index, nil)
		return o, false, nil
	}
	if len(e.Data) < envelopeBytes || e.Data[0] != envelopeVersion {
		return o, false, fmt.Errorf("metadata entry %d: envelope version %d of %d bytes, this build reads version %d",
			e.Index, e.Data[0], len(e.Data), envelopeVersion)
	}
	mine = binary.LittleEndian.Uint64(e.Data[1:]) == m.config.Run
	o.sequence = binary.LittleEndian.Uint64(e.Data[9:])
	if e.Kind != raft.Normal {
		o.result, _ = m.machine.Apply(e.Index, nil)
		return o, mine, nil
	}
	var d catalog.Delta
	o.result, d = m.machine.Apply(e.Index, e.Data[envelopeBytes:])
	if o.result.Err != nil && o.result.Err.Code == catalog.Unsupported {
		return o, false, fmt.Errorf("metadata entry %d: %w", e.Index, o.result.Err)
	}
	delta.Add(d)
	return o, mine, nil
}

// publish freezes the catalogue and tells the node, when anything changed.
func (m *Member) publish(delta catalog.Delta) {
	old := m.image
	if old == nil { // still opening
		return
	}
	next := m.machine.Image()
	if next == old {
		return
	}
	delta.Settle(old, next)
	m.image = next
	if m.config.OnImage != nil {
		m.config.OnImage(old, next, delta)
	}
}

// appliedCell is where a mutant keeps the applied index; nothing else does.
const appliedCell = "applied"

func (m *Member) saveApplied() error {
	return cell.Write(m.config.Dir, appliedCell, 1, binary.LittleEndian.AppendUint64(nil, m.machine.Applied()))
}

func (m *Member) skipToApplied() {
	if _, b, err := cell.Read(m.config.Dir, appliedCell); err == nil && len(b) == 8 {
		m.machine.Apply(binary.LittleEndian.Uint64(b), nil)
	}
}
