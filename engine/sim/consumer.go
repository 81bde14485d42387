package sim

import (
	"bytes"
	"errors"

	"pinion/disk/batch"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
)

// consumer reads one partition from its start on, and now and then from there again. It keeps what it is lent for a while and then looks
// again: the bytes must not have changed. Of a compacted log it must have met, by its end, of every key at least the last value.
type consumer struct {
	world *World
	home  int
	book  *book
	at    model.Offset // next offset to read
	state consumerState
	ask   *partition.FetchAsk
	lent  []byte // what the span held when it came

	start, high model.Offset           // as the owner said last
	from        model.Offset           // where found begins
	found       map[model.Offset]value // what was read, for an audit and of compacted logs; else nil
	auditing    bool
}

type consumerState uint8

const (
	resting consumerState = iota
	asking
	enlisted // a waiter stays with the owner
	cancelling
	holding // a span
	releasing
)

const outputMax = 1 << 20

// act takes the consumer's next step.
func (c *consumer) act(n *node) {
	r := c.world.chance.load
	switch c.state {
	case resting:
		if !c.book.ended {
			if oneIn(r, 20) && c.at >= c.high {
				c.begin(0)
			}
			c.poll(n, oneIn(r, 2), int32(between(r, 1, 100_000)))
		}
	case enlisted:
		if oneIn(r, 4) {
			c.state = cancelling
			n.on(c.ask.Home, func(t *shard.Turn) { c.ask.Cancel(t) })
		}
	case holding:
		if oneIn(r, 2) || c.book.ended {
			c.giveBack(n)
		} else if c.unchanged() {
			c.poll(n, oneIn(r, 2), int32(between(r, 1, 100_000)))
		}
	}
}

// begin reads on from an offset, as somebody who has read nothing yet.
func (c *consumer) begin(at model.Offset) {
	c.at, c.from = at, at
	if c.found != nil || c.book.keys > 0 {
		c.found = map[model.Offset]value{}
	}
}

func (c *consumer) poll(n *node, wait bool, bytesMax int32) {
	home := model.ShardID(c.home % len(n.sets))
	last := c.ask
	c.lent = nil
	c.ask = &partition.FetchAsk{Home: home, Caller: c, BytesMax: 1 << 20, BytesMin: 1, Wait: wait, Parts: []partition.FetchPart{{FetchWant: partition.FetchWant{
		Partition: c.book.name, From: c.at, BytesMax: bytesMax, Epoch: model.NoEpoch, LastFetched: model.NoEpoch}}}}
	if c.state == holding {
		// What it was lent goes back along with what it asks next.
		c.world.marks.hit("fetch.along")
		c.ask.Back, c.ask.To, c.ask.Owner = last, last.To, last.Owner
		c.state = asking
		n.on(home, func(t *shard.Turn) { t.Ask(last.Owner, c.ask) })
		return
	}
	c.state = asking
	n.on(home, func(t *shard.Turn) {
		set, owner, ok := n.owner(c.world.catalogue.Image(), c.book.name)
		if !ok {
			c.state = resting
			return
		}
		c.ask.To, c.ask.Owner = set, owner
		t.Ask(owner, c.ask)
	})
}

// Fetched takes the owner's answer: the one asked for, or that of the waiter.
func (c *consumer) Fetched(t *shard.Turn, ask *partition.FetchAsk) {
	w, part := c.world, &ask.Parts[0]
	switch c.state {
	case enlisted:
		w.marks.hit("fetch.woken")
	case cancelling:
		w.marks.hit("fetch.crossed")
		return // Cancelled follows
	}
	w.trace.add("fetched", int64(part.Code), int64(ask.Bytes))
	w.marks.hit("fetch." + codeNames[part.Code])
	c.state, c.start, c.high = resting, part.LogStart, part.High
	switch part.Code {
	case partition.OK:
		c.book.seen = max(c.book.seen, part.LogStart)
	case partition.OutOfRange:
		switch {
		case c.at < part.LogStart:
			c.begin(part.LogStart)
		case c.book.lost > 0:
			c.begin(part.High)
		default:
			w.fail(c.book.broken("C5 poll", "offset %d was visible, and the high watermark is %d now", c.at-1, part.High))
		}
		return
	default:
		return
	}
	if !part.Leased {
		return
	}
	c.state = holding
	lent := make([]byte, part.Span.Len)
	if _, err := part.Span.ReadCold(lent, 0); err != nil {
		c.unread(err)
		return
	}
	if w.limit > 0 {
		w.marks.hit("full.fetch.ok")
	}
	c.lent = lent
	w.fail(c.take(lent, part.High))
	if c.found != nil && !c.auditing && c.at >= part.High && w.err == nil {
		w.marks.hit("compaction.read")
		w.fail(c.book.whole(max(c.from, part.LogStart), c.at, c.found, w.clock.Now().Mono))
		c.begin(c.at)
	}
}

// unread takes it that a span cannot be read: then the broker breaks the connection off, and the client asks again.
func (c *consumer) unread(err error) {
	if !errors.Is(err, errBroken) {
		c.world.fail(c.book.broken("I17 bytes", "read of a span at %d: %v", c.ask.Parts[0].Span.Pos, err))
	}
	c.world.marks.hit("fetch.broken-off")
}

// take reads the batches of an answer, the last of which may be cut.
func (c *consumer) take(b []byte, high model.Offset) error {
	first := true
	for len(b) >= batch.HeaderSize {
		h, _ := batch.ReadHeader(b)
		if h.Size() > len(b) {
			if first {
				return c.book.broken("I17 bytes", "the first batch is cut: %d of %d bytes", len(b), h.Size())
			}
			return nil
		}
		if !batch.CheckCRC(b[:h.Size()]) {
			return c.book.broken("I17 bytes", "batch at offset %d does not pass its CRC", h.BaseOffset)
		}
		if h.LastOffset() < c.at {
			return c.book.broken("I17 bytes", "asked for offset %d and got a batch that ends at %d", c.at, h.LastOffset())
		}
		if h.LastOffset() >= high {
			return c.book.broken("R14 visibility", "offset %d is served, and the high watermark is %d", h.LastOffset(), high)
		}
		if err := c.takeBatch(b[:h.Size()]); err != nil {
			return err
		}
		b, first = b[h.Size():], false
	}
	return nil
}

func (c *consumer) takeBatch(b []byte) error {
	var it batch.Iterator
	it.Reset(b, outputMax)
	for it.Next() {
		r := it.Record()
		if r.Offset < c.at {
			continue
		}
		if r.Offset != c.at && c.at >= c.book.seen && c.book.keys == 0 {
			return c.book.broken("C5 poll", "offset %d follows %d", r.Offset, c.at-1)
		}
		v := c.book.read(r)
		if err := c.book.note(r.Offset, v, c.book.durable && r.Offset >= c.book.rule.from); err != nil {
			return err
		}
		if c.found != nil {
			c.found[r.Offset] = v
		}
		c.at = r.Offset + 1
		c.world.polled++
	}
	if last := it.Header().LastOffset(); c.at <= last && it.Err() == nil {
		if c.book.keys == 0 {
			return c.book.broken("C5 poll", "the batch that ends at offset %d has no record behind %d", last, c.at-1)
		}
		c.at = last + 1
	}
	return it.Err()
}

// unchanged looks at the span once more.
func (c *consumer) unchanged() bool {
	again := make([]byte, len(c.lent))
	if _, err := c.ask.Parts[0].Span.ReadCold(again, 0); err != nil {
		c.unread(err)
	} else if !bytes.Equal(again, c.lent) {
		c.world.fail(c.book.broken("I17 bytes", "%d bytes on loan changed", len(again)))
		return false
	}
	return true
}

// giveBack ends the loan.
func (c *consumer) giveBack(n *node) {
	if !c.unchanged() {
		return
	}
	c.state = releasing
	n.on(c.ask.Home, func(t *shard.Turn) { t.Ask(c.ask.Owner, (*partition.Release)(c.ask)) })
}

// Waiting has it wait, until there is something to read.
func (c *consumer) Waiting(*shard.Turn, *partition.FetchAsk) {
	c.world.marks.hit("fetch.waiting")
	c.state = enlisted
}

// Cancelled ends the waiting.
func (c *consumer) Cancelled(_ *shard.Turn, _ *partition.FetchAsk) { c.state = resting }

// Released says that the ask is free.
func (c *consumer) Released(_ *shard.Turn, _ *partition.FetchAsk) { c.state = resting }

// died tells that the node is gone with all that it lent.
func (c *consumer) died() {
	c.state, c.lent, c.high = resting, nil, 0
	c.begin(c.at)
}
