package api

import (
	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// Emit writes the response: header bytes from a buffer, record bytes as spans of the log.
func (c *fetchCall) Emit(t *shard.Turn, w *conn.Writer) {
	topics, names, parts := c.shape()
	buffer := w.Room(t, wire.FetchRoom(topics, names, parts))
	var out wire.FetchWriter
	out.Start(buffer.Bytes, c.version, c.corr, c.head, topics)
	cuts := c.desk.cuts[:0]
	var hinted []model.BrokerID
	for i := 0; i < len(c.parts); {
		end, shown := c.run(i)
		if shown > 0 {
			p := &c.parts[i]
			out.TopicNamed(p.topicName(), p.id, shown)
			for j := i; j < end; j++ {
				if part := &c.parts[j]; !part.mute {
					at, leader := c.write(&out, part)
					hinted = hint(hinted, leader)
					if part.bytes > 0 {
						cuts = append(cuts, fetchCut{at: at, part: part})
					}
				}
			}
		}
		i = end
	}
	var nodes []wire.Endpoint
	if len(hinted) > 0 {
		nodes = c.desk.endpoints(c.request, hinted)
	}
	buffer.Bytes = out.Finish(nodes)
	c.queue(t, w, buffer, cuts)
	clear(cuts)
	c.desk.cuts = cuts[:0]
}

// fetchCut says where in the header bytes a part's records belong.
type fetchCut struct {
	at   int
	part *fetchPart
}

// queue hands the pieces to the connection, headers and spans in turn.
func (c *fetchCall) queue(t *shard.Turn, w *conn.Writer, buffer conn.Buffer, cuts []fetchCut) {
	if len(cuts) == 0 {
		w.Commit(buffer)
		return
	}
	from := 0
	for _, cut := range cuts {
		span := c.answer(cut.part).Span.Slice(cut.part.bytes)
		w.Cut(t, buffer, from, cut.at, span)
		from = cut.at
	}
	w.Close(buffer, from)
}

// run finds the parts of one topic from i on, and how many of them are shown.
func (c *fetchCall) run(i int) (end, shown int) {
	first := &c.parts[i]
	for end = i; end < len(c.parts); end++ {
		p := &c.parts[end]
		if p.id != first.id || p.topic != first.topic || p.name != first.name {
			break
		}
		if !p.mute {
			shown++
		}
	}
	return end, shown
}

// shape counts what the response holds.
func (c *fetchCall) shape() (topics, names, parts int) {
	for i := 0; i < len(c.parts); {
		end, shown := c.run(i)
		if shown > 0 {
			topics++
			names += len(c.parts[i].topicName())
			parts += shown
		}
		i = end
	}
	return topics, names, parts
}

func (p *fetchPart) topicName() string {
	if p.topic != nil {
		return p.topic.Name
	}
	return p.name
}

// write adds one partition's answer and returns where its records belong, and the leader it hints at.
func (c *fetchCall) write(out *wire.FetchWriter, p *fetchPart) (int, wire.LeaderHint) {
	result := wire.FetchResult{Index: p.index, Code: p.code, HighWatermark: -1, LastStable: -1, LogStart: -1}
	a := c.answer(p)
	switch {
	case a != nil:
		result.Code = byID(partitionError(a.Code), c.version >= 13)
		if a.Code == partition.OK {
			result.HighWatermark, result.LastStable, result.LogStart = a.High, a.Stable, a.LogStart
		}
		if a.Diverging {
			result.Diverging = wire.DivergingEpoch{Known: true, Epoch: a.DivergeAt, End: a.DivergeEnd}
		}
	case p.code == wire.CodeNone:
		// The owner did not answer in time. The client retries after a look at the metadata.
		result.Code = wire.CodeOffsetNotAvailable
	}
	switch result.Code {
	case wire.CodeNotLeaderOrFollower, wire.CodeFencedLeaderEpoch:
		if p.topic != nil {
			result.Leader = c.desk.leaderHint(model.Partition{Topic: p.topic.ID, Index: p.index})
		}
	}
	result.Preferred = wire.ReplicaHint{}
	return out.Partition(&result, p.bytes), result.Leader
}

// Sent leaves what the next poll can use, and gives the rest back.
func (c *fetchCall) Sent(t *shard.Turn) {
	client := c.client
	for i, leg := range c.legs {
		if leg != nil {
			c.legs[i] = nil
			leg.keep(t, client)
		}
	}
	c.end(t)
}

// Spoil notes for the owner that a span could not be read: whoever asks for it next gets an error in place of a connection that ends.
func (c *fetchCall) Spoil(span log.Span, at int) {
	for _, leg := range c.legs {
		if leg == nil || leg.state != legHeld {
			continue
		}
		for i := range leg.ask.Parts {
			if part := &leg.ask.Parts[i]; part.Leased && part.Span.Begins(span) {
				part.Spoiled, part.SpoiledAt = true, at
			}
		}
	}
}

// Drop gives the spans back of a connection that is gone.
func (c *fetchCall) Drop(t *shard.Turn) {
	for i, leg := range c.legs {
		if leg != nil {
			c.legs[i] = nil
			leg.abandon(t)
		}
	}
	c.end(t)
}

func (c *fetchCall) end(t *shard.Turn) {
	d := c.desk
	if c.reserved > 0 {
		d.parked.Return(t, c.reserved)
	}
	d.freeFetch(c)
}

func (d *Desk) takeFetch() *fetchCall {
	c := d.fetches
	if c == nil {
		return &fetchCall{desk: d, legs: make([]*fetchLeg, len(d.node.Sets))}
	}
	d.fetches, c.next = c.next, nil
	return c
}

func (d *Desk) freeFetch(c *fetchCall) {
	if cap(c.parts) > keepParts {
		return
	}
	clear(c.parts)
	*c = fetchCall{desk: d, parts: c.parts[:0], legs: c.legs, next: d.fetches}
	d.fetches = c
}
