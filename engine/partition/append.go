package partition

import (
	"errors"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/mutant"
	"pinion/engine/producer"
	"pinion/engine/shard"
)

// append takes an ask from a home shard: it is staged now, or waits in order behind what the log is not ready for.
func (s *Set) append(t *shard.Turn, ask *AppendAsk) {
	p, code := s.find(t, ask.Partition)
	if code == OK {
		code = p.verdict()
	}
	switch {
	case code == Moved && p != nil && ask.Moves > p.leftAt && p.state != failed:
		// It comes back before it is gone. Turned away, the ask would be back at once, and again until the log is closed.
		p.hall().returning.push(ask)
		return
	case code == OK && ask.Moves < p.since:
		// Sent before the partition came here. An earlier ask of the same connection may have been turned away by then, and must not be passed.
		code = Moved
	}
	if code != OK {
		ask.reply(t, code)
		return
	}
	p.held.push(ask)
	if p.held.first == ask && p.state == open {
		p.drain(t)
	}
}

// drain stages held appends as far as the log is ready.
func (p *Partition) drain(t *shard.Turn) {
	for p.held.first != nil && p.state == open && !p.preparing && !p.crowded && !p.closing && !p.leaving && !p.frozen {
		if !p.stage(t, p.held.first) {
			return
		}
	}
}

// stage takes the first held ask: it is answered, or staged for this turn's write, or false: it must wait.
func (p *Partition) stage(t *shard.Turn, ask *AppendAsk) bool {
	h := &ask.Header
	if h.HasProducer() {
		outcome, dup := p.producers.Check(h.ProducerID, h.ProducerEpoch, h.BaseSequence, h.LastSequence(), h.Records)
		if outcome != producer.OK {
			p.held.pop()
			p.answerSequence(t, ask, outcome, dup)
			return true
		}
	}
	now := t.Now()
	maxTimestamp := h.MaxTimestamp
	if ask.AppendTime >= 0 {
		ask.AppendTime = int64(now.Wall)
		maxTimestamp = ask.AppendTime
	}
	if !p.log.Fits(len(ask.Batch)) {
		p.held.pop()
		ask.reply(t, TooLarge)
		return true
	}
	if p.journalHomeless(len(ask.Batch)) {
		p.turnAway(t, NoSpace)
		return true
	}
	if !p.journalRoom(t, len(ask.Batch)) {
		p.set.delayed = append(p.set.delayed, p) // a commit that comes home drains again, and OpenRest
		return false
	}
	if need := p.log.Need(len(ask.Batch), now, maxTimestamp); need != log.NeedNone {
		// What is staged must be written first: a roll seals the segment behind it.
		if p.staged.first == nil {
			p.prepare(t, need)
		}
		return false
	}
	p.held.pop()
	if ask.AppendTime >= 0 {
		batch.StampAppendTime(ask.Batch, ask.AppendTime)
		*h, _ = batch.ReadHeader(ask.Batch)
	}
	base := p.log.End()
	batch.Stamp(ask.Batch, base, p.epoch)
	h.BaseOffset, h.Epoch = base, p.epoch
	p.log.Stage(ask.Batch, *h, now)
	ask.Base, ask.Epoch, ask.target = base, p.epoch, h.LastOffset()+1
	p.secure(ask)
	if h.HasProducer() {
		if p.producers == nil {
			p.producers = producer.NewTable()
		}
		p.producers.Add(producer.Batch{
			ProducerID: h.ProducerID, Epoch: h.ProducerEpoch, First: h.BaseSequence, Last: h.LastSequence(),
			Base: base, LastOffset: h.LastOffset(), Timestamp: h.MaxTimestamp,
		}, now.Wall)
	}
	p.staged.push(ask)
	p.touch()
	return true
}

// touch puts the partition on the list of this turn's writes.
func (p *Partition) touch() {
	if !p.dirty {
		p.dirty = true
		p.set.dirty = append(p.set.dirty, p)
	}
}

// answerSequence answers an ask the producer window does not let in. A duplicate waits for what its original waits for: it must
// not be acknowledged before the original is.
func (p *Partition) answerSequence(t *shard.Turn, ask *AppendAsk, outcome producer.Outcome, dup producer.Batch) {
	switch outcome {
	case producer.Duplicate:
		ask.Base, ask.Epoch, ask.target = dup.Base, p.epoch, dup.LastOffset+1
		if ask.AppendTime >= 0 {
			ask.AppendTime = dup.Timestamp
		}
		if !mutant.On(mutant.DuplicateFirst) && (ask.Acks == AcksAll && ask.target > p.marks.Promised() || ask.target > p.marks.End) {
			p.park(t, ask)
			return
		}
		p.acknowledge(t, ask)
	case producer.StaleEpoch:
		ask.reply(t, StaleProducer)
	default:
		ask.reply(t, OutOfOrderSequence)
	}
}

// flush writes what was staged this turn and answers what that completes.
func (p *Partition) flush(t *shard.Turn) {
	p.own.Check(t)
	p.dirty = false
	if p.state != open {
		return
	}
	if p.staged.first != nil {
		before := p.log.Size()
		if err := p.log.Write(); err != nil {
			p.failDirectory(t, err)
			return
		}
		p.fresh.wrote(t.Now().Mono, p.marks.End)
		if p.fsync() {
			p.marks.Appended(p.log.End())
		} else {
			p.marks.Written(p.log.End())
		}
		grown := p.log.Size() - before
		p.set.stats.BytesIn += uint64(grown)
		for a := p.staged.pop(); a != nil; a = p.staged.pop() {
			p.set.stats.Batches++
			p.set.stats.Records += uint64(a.Header.Records)
			if a.Acks == AcksAll && a.target > p.marks.Promised() {
				p.park(t, a)
				continue
			}
			p.acknowledge(t, a)
		}
		p.wrote(t, grown)
	}
	if !p.ahead && !p.preparing {
		if need := p.log.Ahead(); need != log.NeedNone {
			if work := p.log.Prepare(need); work != nil {
				p.ahead = true
				p.help(t, work, workAhead)
			}
		}
	}
	p.drain(t)
}

func (p *Partition) acknowledge(t *shard.Turn, ask *AppendAsk) {
	if p.site.Fenced() != nil {
		ask.reply(t, StorageFailed)
		return
	}
	ask.LogStart = p.log.Start()
	ask.reply(t, OK)
}

// park keeps an acknowledgement until what is promised passes it, and sends the batch bytes home.
func (p *Partition) park(t *shard.Turn, ask *AppendAsk) {
	ask.deadline = t.Now().Mono.Add(ask.Timeout)
	p.acks.push(ask)
	if !p.parking {
		p.parking = true
		p.set.parked = append(p.set.parked, p)
	}
	if !ask.lent {
		ask.stored.ask = ask
		t.Reply(ask.Home, &ask.stored)
	}
	if !p.set.ackTimer.Armed() {
		t.Arm(&p.set.ackTimer, ackCheckInterval, p.set)
	}
}

// advanced tells acknowledgements and readers that the marks moved over so many bytes.
func (p *Partition) advanced(t *shard.Turn, bytes int64) {
	for a := p.acks.pop(p.marks.Promised()); a != nil; a = p.acks.pop(p.marks.Promised()) {
		p.acknowledge(t, a)
	}
	p.wake(t, bytes)
}

// prepare sends the log's work to a helper; appends wait until it is home.
func (p *Partition) prepare(t *shard.Turn, need log.Need) {
	if need == log.NeedFailed {
		p.failDirectory(t, p.log.Err())
		return
	}
	if need.Opens() && !p.room() {
		return
	}
	work := p.log.Prepare(need)
	if work == nil {
		// Work that comes first is under way; every work that comes home drains again.
		p.set.delayed = append(p.set.delayed, p)
		return
	}
	p.preparing = true
	if need == log.NeedRoll {
		p.snapshotProducers(t)
	}
	p.help(t, work, workPrepare)
}

// prepared takes work home that appends waited for. What failed before anything was accepted lost nothing (admission control): those
// who wait are refused, and the next ask tries again.
func (p *Partition) prepared(t *shard.Turn, err error) {
	switch {
	case err == nil:
	case p.log.Damaged() != nil:
		p.fail(t, p.log.Damaged())
		return
	case p.log.Err() != nil:
		p.failDirectory(t, err)
		return
	case errors.Is(err, device.ErrNoSpace):
		p.turnAway(t, NoSpace)
	case log.IsDamage(err):
		p.fail(t, err)
		return
	default:
		p.set.options.Log.Warn("appends refused", "partition", p.dir, "err", err)
		p.turnAway(t, StorageFailed)
	}
	p.drain(t)
}

// turnAway answers the appends that wait for the log.
func (p *Partition) turnAway(t *shard.Turn, code Code) {
	for a := p.held.pop(); a != nil; a = p.held.pop() {
		a.reply(t, code)
	}
}

// ackLot holds parked acknowledgements in offset order.
type ackLot struct{ asks }

func (l *ackLot) pop(promised model.Offset) *AppendAsk {
	if l.first == nil || l.first.target > promised {
		return nil
	}
	return l.asks.pop()
}

func (l *ackLot) refuse(t *shard.Turn, code Code) {
	for a := l.asks.pop(); a != nil; a = l.asks.pop() {
		a.reply(t, code)
	}
}

// refuseFrom answers those whose batches are cut off at end: other batches get their offsets, and must not be taken for them.
func (l *ackLot) refuseFrom(t *shard.Turn, end model.Offset, code Code) {
	var left asks
	for a := l.asks.pop(); a != nil; a = l.asks.pop() {
		if a.target > end {
			a.reply(t, code)
			continue
		}
		left.push(a)
	}
	l.asks = left
}

// expire answers what waited longer than its request allows. The batches stay in the log.
func (l *ackLot) expire(t *shard.Turn) {
	var left asks
	for a := l.asks.pop(); a != nil; a = l.asks.pop() {
		if t.Now().Mono >= a.deadline {
			a.reply(t, TimedOut)
			continue
		}
		left.push(a)
	}
	l.asks = left
}
