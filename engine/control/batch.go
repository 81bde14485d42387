package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"pinion/engine/catalog"
	"pinion/engine/model"
	"pinion/raft"
)

// An entry of ours on the log:
//
//	byte  0      version of the envelope (1)
//	bytes 1-8    run: random number of the proposing process, little-endian
//	bytes 9-16   sequence of the proposal in that run
//	rest         the catalogue's command
//
// Run and sequence tell the proposer which of its calls an entry answers; they are not part of the state.
const (
	envelopeVersion = 1
	envelopeBytes   = 17
)

func (c *Control) seal(sequence uint64, cmd []byte) []byte {
	b := make([]byte, 0, envelopeBytes+len(cmd))
	b = append(b, envelopeVersion)
	b = binary.LittleEndian.AppendUint64(b, c.run)
	b = binary.LittleEndian.AppendUint64(b, sequence)
	return append(b, cmd...)
}

// take drains the queue, beginning with first, into one proposal to Raft.
func (c *Control) take(first ask) error {
	batch := make([][]byte, 0, 16)
	from := c.sequence + 1
	size := 0
	for a, ok := first, true; ok; {
		size += len(a.command.Bytes())
		batch = c.admit(a, batch)
		if len(batch) >= batchMax || size >= batchBytesMax {
			break
		}
		select {
		case a = <-c.queue:
		default:
			ok = false
		}
	}
	if cmd, ok := c.ids.need(c.opts.Node); ok {
		batch = c.propose(cmd, c.refill, batch)
	}
	if len(batch) == 0 {
		return nil
	}
	err := c.node.Propose(batch)
	if errors.Is(err, raft.ErrDropped) {
		refusal := catalog.Result{Err: &catalog.Error{Code: catalog.NotLeader, Message: "this node does not lead the metadata quorum"}}
		for s := from; s <= c.sequence; s++ {
			c.answer(s, refusal)
		}
		return nil
	}
	return err
}

// admit turns one ask into an entry, or answers it on the spot.
func (c *Control) admit(a ask, batch [][]byte) [][]byte {
	if a.producer != nil {
		c.ids.ask(a.producer)
		return batch
	}
	if len(a.command.Bytes()) > catalog.CommandBytesMax {
		a.done(catalog.Result{Err: &catalog.Error{Code: catalog.TooLarge, Message: "command too large"}})
		return batch
	}
	return c.propose(a.command, a.done, batch)
}

func (c *Control) propose(cmd catalog.Command, done func(catalog.Result), batch [][]byte) [][]byte {
	c.sequence++
	c.waiting[c.sequence] = done
	return append(batch, c.seal(c.sequence, cmd.Bytes()))
}

// answer calls the done of a proposal, once.
func (c *Control) answer(sequence uint64, r catalog.Result) {
	done := c.waiting[sequence]
	delete(c.waiting, sequence)
	if done != nil {
		done(r)
	}
}

// abandon answers every proposal under way, in order.
func (c *Control) abandon(r catalog.Result) {
	for _, s := range slices.Sorted(maps.Keys(c.waiting)) {
		c.answer(s, r)
	}
	c.ids.abandon()
}

// outcome is a result that waits for its image to be published.
type outcome struct {
	sequence uint64
	result   catalog.Result
}

// turn does one round of Raft's work: apply what is agreed, publish, answer, and compact when the log has grown.
func (c *Control) turn() error {
	led := c.node.Leads()
	work, err := c.node.Ready()
	if err != nil {
		return err
	}
	var delta catalog.Delta
	if work.Snapshot != nil {
		return fmt.Errorf("snapshot from another member at index %d: this node has no peers", work.Snapshot.Index)
	}
	var outcomes []outcome
	for _, e := range work.Committed {
		sequence, mine, result, err := c.apply(e, &delta)
		if err != nil {
			return err
		}
		if mine {
			outcomes = append(outcomes, outcome{sequence, result})
		}
	}
	c.publish(delta)
	for _, o := range outcomes {
		c.answer(o.sequence, o.result)
	}
	if led && !c.node.Leads() {
		// What is under way may or may not be agreed by another leader.
		c.abandon(catalog.Result{Err: &catalog.Error{Code: catalog.Stopped, Message: "leadership of the metadata quorum was lost"}})
	}
	return c.maybeCompact()
}

func (c *Control) apply(e raft.Entry, delta *catalog.Delta) (sequence uint64, mine bool, r catalog.Result, err error) {
	if e.Data == nil || e.Kind != raft.Normal || len(e.Data) == 0 {
		c.machine.Apply(e.Index, nil)
		return 0, false, r, nil
	}
	if len(e.Data) < envelopeBytes || e.Data[0] != envelopeVersion {
		return 0, false, r, fmt.Errorf("metadata entry %d: envelope version %d of %d bytes, this build reads version %d",
			e.Index, e.Data[0], len(e.Data), envelopeVersion)
	}
	run := binary.LittleEndian.Uint64(e.Data[1:])
	sequence = binary.LittleEndian.Uint64(e.Data[9:])
	r, d := c.machine.Apply(e.Index, e.Data[envelopeBytes:])
	if r.Err != nil && r.Err.Code == catalog.Unsupported {
		return 0, false, r, fmt.Errorf("metadata entry %d: %w", e.Index, r.Err)
	}
	delta.Add(d)
	return sequence, run == c.run, r, nil
}

// publish freezes the catalogue and tells the node, when anything changed.
func (c *Control) publish(delta catalog.Delta) {
	old := c.image.Load()
	if old == nil { // still opening
		return
	}
	next := c.machine.Image()
	if next == old {
		return
	}
	delta.Settle(old, next)
	c.image.Store(next)
	if c.opts.OnImage != nil {
		c.opts.OnImage(old, next, delta)
	}
}

// maybeCompact snapshots the catalogue when replaying the log would cost more than reading the snapshot.
func (c *Control) maybeCompact() error {
	count := c.machine.Applied() - c.log.Snapshot().Index
	grown := c.log.Bytes()
	if count < c.opts.SnapshotEntries && grown < max(c.opts.SnapshotBytes, 2*c.snapBytes) {
		return nil
	}
	if count == 0 {
		return nil
	}
	data := c.machine.AppendSnapshot(nil)
	c.snapBytes = int64(len(data))
	return c.node.Compact(c.machine.Applied(), data)
}

// producerIDs hands out ids from a block that the catalogue gave to this node alone.
type producerIDs struct {
	next, limit int64 // [next, limit) are ours to give
	asked       bool  // a block is on its way
	parked      []func(id int64, err error)
}

// parkedMax bounds who may wait for a block: as many as may wait in the queue.
const parkedMax = queueMax

var errBusy = errors.New("too many requests for producer ids")

func (p *producerIDs) ask(done func(id int64, err error)) {
	switch {
	case p.next < p.limit:
		p.next++
		done(p.next-1, nil)
	case len(p.parked) >= parkedMax:
		done(0, errBusy)
	default:
		p.parked = append(p.parked, done)
	}
}

// need returns the command that fetches a block when somebody waits for one.
func (p *producerIDs) need(n model.NodeID) (catalog.Command, bool) {
	if len(p.parked) == 0 || p.asked {
		return catalog.Command{}, false
	}
	p.asked = true
	return catalog.AllocateProducerIDs(n), true
}

func (p *producerIDs) abandon() {
	p.asked = false
	parked := p.parked
	p.parked = nil
	for _, done := range parked {
		done(0, ErrStopped)
	}
}

// refill takes a new block and serves who waited.
func (c *Control) refill(r catalog.Result) {
	p := &c.ids
	p.asked = false
	parked := p.parked
	p.parked = nil
	if r.Err != nil {
		for _, done := range parked {
			done(0, r.Err)
		}
		return
	}
	p.next, p.limit = r.FirstProducerID, r.FirstProducerID+r.ProducerIDs
	for _, done := range parked {
		p.ask(done)
	}
	if cmd, ok := p.need(c.opts.Node); ok { // more waited than a block holds
		if err := c.node.Propose(c.propose(cmd, c.refill, nil)); err != nil {
			c.answer(c.sequence, catalog.Result{Err: &catalog.Error{Code: catalog.NotLeader, Message: err.Error()}})
		}
	}
}
