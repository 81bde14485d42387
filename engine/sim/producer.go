package sim

import (
	"slices"
	"time"

	"pinion/disk/batch"
	"pinion/disk/codec"
	"pinion/disk/device"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// producer writes to one partition, a few batches in flight. What is not acknowledged it sends again, as clients do: with its
// sequence numbers when it is idempotent, as something new when it is not.
type producer struct {
	world      *World
	number     int
	home       int // which shard of those there are
	book       *book
	acks       partition.Acks
	idempotent bool
	id         int64
	sequence   int32
	count      value
	image      *placement.Image // that those in flight go by
	flying     []*send
	again      []*send // in order; sent when nothing is in flight any more
	done       []*send // the last that are acknowledged under this id, as many as brokers remember
	rounds     int     // sent again without one acknowledgement
	overtaken  bool    // the first batch of this id was turned away with others behind it: a broker takes an unknown producer at any sequence
}

const inFlightMax = 5 // of an idempotent producer: the window brokers keep

// send is one batch under way, in one attempt.
type send struct {
	ask      partition.AppendAsk
	producer *producer
	id       int64 // of the producer, then
	sequence int32
	values   []value
	pad      int
	codec    codec.Codec
	floor    model.Offset
	rule     int  // changes of durability when it was sent
	probe    bool // it was acknowledged before: nothing may come of it
}

// act sends a new batch, or again what has to be.
func (p *producer) act(n *node) {
	r := p.world.chance.load
	if p.book.ended || len(p.flying) >= inFlightMax {
		return
	}
	// What is in flight goes by one image, as the asks of a connection do.
	if image := p.world.catalogue.Image(); len(p.flying) == 0 {
		p.image = image
	} else if p.image.Moves() != image.Moves() {
		return
	}
	if len(p.again) > 0 {
		if len(p.flying) > 0 {
			return
		}
		again := p.again
		p.again = nil
		p.rounds++
		for _, s := range again {
			p.resend(n, s)
		}
		return
	}
	if len(p.flying) == 0 && len(p.done) > 0 && p.remembered() && oneIn(r, 10) {
		was := pick(r, p.done)
		p.send(n, &send{sequence: was.sequence, values: was.values, pad: was.pad, codec: was.codec, probe: true})
		return
	}
	s := &send{sequence: p.sequence, pad: min(r.IntN(200), p.book.padMax()), codec: pick(r, codecs)}
	if oneIn(r, 20) {
		s.pad = r.IntN(p.book.padMax())
	}
	for range between(r, 1, 4) {
		p.count++
		s.values = append(s.values, value(p.number)*valuesEach+p.count)
	}
	p.sequence = batch.AddSequence(p.sequence, int32(len(s.values)))
	p.send(n, s)
}

var codecs = []codec.Codec{codec.None, codec.None, codec.LZ4, codec.Zstd}

// resend is another attempt at a batch.
func (p *producer) resend(n *node, s *send) {
	next := &send{sequence: s.sequence, values: s.values, pad: s.pad, codec: s.codec}
	if !p.idempotent {
		next.values = nil
		for range s.values {
			p.count++
			next.values = append(next.values, value(p.number)*valuesEach+p.count)
		}
	}
	p.send(n, next)
}

// send has the home shard give the batch to the owner.
func (p *producer) send(n *node, s *send) {
	s.producer, s.id, s.floor, s.rule = p, p.id, p.book.acked, p.book.rule.changes
	if p.idempotent {
		s.floor = 0 // a retry may find its first attempt
	}
	for _, v := range s.values {
		p.book.send(v, p.world.clock.Now().Mono)
	}
	b := batch.NewBuilder()
	b.Codec = s.codec
	if p.idempotent {
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = p.id, 0, s.sequence
	}
	now := int64(p.world.clock.Now().Wall)
	for _, v := range s.values {
		p.book.record(b, now, v, s.pad)
	}
	raw := lie(b.Bytes(), int(s.values[0])*37)
	header, _ := batch.ReadHeader(raw)
	home := model.ShardID(p.home % len(n.sets))
	p.flying = append(p.flying, s)
	s.ask = partition.AppendAsk{Home: home, Caller: s, Partition: p.book.name, Batch: raw, Header: header, Acks: p.acks,
		Timeout: time.Second, AppendTime: -1, Moves: p.image.Moves()}
	image := p.image
	n.on(home, func(t *shard.Turn) {
		set, owner, ok := n.owner(image, p.book.name)
		if !ok {
			s.ask.Code = partition.UnknownPartition
			s.Appended(t, &s.ask)
			return
		}
		s.ask.To = set
		t.Ask(owner, &s.ask)
	})
}

// lie copies a batch to somewhere between two boundaries of memory, which decides what the journal copies of it.
func lie(b []byte, at int) []byte {
	at %= device.Boundary
	return append(device.Aligned(at + len(b))[:at], b...)[at:]
}

// Stored says that the batch's bytes are free; the broker must not look at them any more.
func (s *send) Stored(_ *shard.Turn, ask *partition.AppendAsk) { clear(ask.Batch) }

// Appended takes the answer.
func (s *send) Appended(_ *shard.Turn, ask *partition.AppendAsk) {
	p, w := s.producer, s.producer.world
	clear(ask.Batch)
	at := slices.Index(p.flying, s)
	if at < 0 {
		w.fail(p.book.broken("I asks", "an ask came home twice"))
		return
	}
	p.flying = slices.Delete(p.flying, at, at+1)
	w.trace.add("appended", int64(ask.Code), int64(ask.Base))
	if s.probe {
		p.probed(s)
		return
	}
	w.marks.hit("append." + codeNames[ask.Code])
	if w.node != nil && !w.node.settling && ask.Code == partition.OK && ask.Acks == partition.AcksAll {
		w.marks.hit("start.acknowledged") // before the journal is settled
	}
	switch ask.Code {
	case partition.NoSpace:
		w.node.noSpace = true
		p.overtaken = p.overtaken || len(p.flying) > 0
		p.postpone(s)
	case partition.OK:
		p.rounds = 0
		w.acknowledged++
		if w.relieved {
			w.relieved = false
			w.marks.hit("full.over.append.ok")
		}
		p.remember(s)
		w.fail(p.book.acknowledged(ask.Base, s.values, s.promised(), s.floor))
	case partition.UnknownPartition:
		p.again = nil
	case partition.DuplicateUnknown, partition.StaleProducer, partition.TooLarge:
		w.fail(p.book.broken("C2 duplicate", "%s for sequence %d of producer %d", codeNames[ask.Code], s.sequence, p.number))
	case partition.OutOfOrderSequence:
		if p.rounds > hopeless {
			p.startOver(s)
			return
		}
		p.postpone(s)
	default:
		p.overtaken = p.overtaken || len(p.flying) > 0
		p.postpone(s)
	}
}

// promised reports whether an acknowledgement says all that the topic's durability promises now.
func (s *send) promised() bool {
	return s.ask.Acks == partition.AcksAll && s.rule == s.producer.book.rule.changes
}

// remember keeps what brokers do of a producer.
func (p *producer) remember(s *send) {
	if !p.idempotent || s.id != p.id {
		return
	}
	p.done = append(p.done, s)
	p.sort(p.done) // a connection answers in order, shards do not: one may be through with a batch, and the journal still reads it
	p.done = p.done[max(0, len(p.done)-inFlightMax):]
}

// remembered reports whether the broker must still know everything that it has acknowledged.
func (p *producer) remembered() bool {
	return p.book.lost == 0 && (p.book.durable && p.book.rule.changes == 0 || p.book.cuts == 0) && !p.overtaken && !p.world.believed
}

// probed takes the answer to a batch that was sent again though it had been acknowledged: compaction, retention or a start must not have
// made the broker forget it.
func (p *producer) probed(s *send) {
	w := p.world
	w.marks.hit("probe." + codeNames[s.ask.Code])
	switch s.ask.Code {
	case partition.OK:
		w.fail(p.book.acknowledged(s.ask.Base, s.values, s.promised(), 0))
	case partition.OutOfOrderSequence, partition.DuplicateUnknown, partition.StaleProducer, partition.TooLarge:
		w.fail(p.book.broken("I12 sequence", "sequence %d of producer %d was acknowledged, and is %s when it comes again", s.sequence, p.number,
			codeNames[s.ask.Code]))
	}
}

// hopeless is after how many rounds of OutOfOrderSequence a producer believes that its past is gone.
const hopeless = 10

// startOver begins with a new producer id, as clients do; what was in flight may be in the log or not.
func (p *producer) startOver(s *send) {
	if p.remembered() && p.acks == partition.AcksAll {
		p.world.fail(p.book.broken("I12 sequence", "sequence %d of producer %d is refused for ever, and nothing of it was lost", s.sequence, p.number))
		return
	}
	p.world.marks.hit("producer.starts-over")
	p.id, p.sequence, p.again, p.rounds, p.done = p.world.newProducerID(), 0, nil, 0, nil
	p.overtaken = false
}

// postpone keeps a batch for the next round, in order.
func (p *producer) postpone(s *send) {
	if s.id != p.id || s.probe {
		return // the producer has started over since, or has its answer
	}
	p.again = append(p.again, s)
	p.sort(p.again)
}

// sort puts batches in the order they were first sent in.
func (p *producer) sort(list []*send) {
	slices.SortFunc(list, func(a, b *send) int { return int(a.values[0] - b.values[0]) })
}

// died tells that the node is gone with all that was in flight.
func (p *producer) died() {
	for _, s := range p.flying {
		p.postpone(s)
	}
	p.flying = nil
	p.rounds = 0
	if !p.idempotent {
		p.again = nil // whether they are in the log nobody knows; this client does not ask
	}
}

// waiting reports whether anything is not acknowledged.
func (p *producer) waiting() bool { return !p.book.ended && len(p.flying)+len(p.again) > 0 }
