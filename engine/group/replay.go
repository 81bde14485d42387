package group

import (
	"encoding/binary"
	"fmt"
	"time"

	"pinion/engine/clock"
)

// Replay takes in one record of the log, in the order of the log, before Loaded. What it does not know, such as records of other kinds of groups, it
// passes over and reports as not known. An error means that the log holds what no coordinator writes.
func (c *Coordinator) Replay(key, value []byte) (known bool, err error) {
	if len(key) < 2 {
		return false, fmt.Errorf("key of %d bytes: %w", len(key), ErrRecord)
	}
	k := cursor{b: key[2:]}
	kind := binary.BigEndian.Uint16(key)
	switch kind {
	case keyOffsetOld, keyOffset:
		id, at := k.text(), offsetKey{k.text(), k.int32()}
		if k.bad {
			return true, fmt.Errorf("key of an offset: %w", ErrRecord)
		}
		return true, c.replayOffset(id, at, value)
	case keyGroup:
		id := k.text()
		if k.bad {
			return true, fmt.Errorf("key of a group: %w", ErrRecord)
		}
		return true, c.replayGroup(id, value)
	}
	return false, nil
}

func (c *Coordinator) replayOffset(id string, key offsetKey, value []byte) error {
	g := c.groups[id]
	if value == nil {
		if g != nil {
			delete(g.offsets, key)
		}
		return nil
	}
	v, err := parseOffsetValue(value)
	if err != nil {
		return fmt.Errorf("group %s: %w", id, err)
	}
	if g == nil {
		g = c.create(id)
	}
	g.offsets[key] = v
	return nil
}

// replayGroup makes the group what its record says and keeps its offsets.
func (c *Coordinator) replayGroup(id string, value []byte) error {
	old := c.groups[id]
	if value == nil {
		if old != nil && len(old.offsets) == 0 {
			delete(c.groups, id)
		} else if old != nil {
			g := c.create(id) // offsets without a group, as a standalone consumer's
			g.offsets = old.offsets
		}
		return nil
	}
	r, err := parseGroupValue(value)
	if err != nil {
		return fmt.Errorf("group %s: %w", id, err)
	}
	g := c.create(id)
	if old != nil {
		g.offsets = old.offsets
	}
	g.kind, g.generation, g.protocol, g.since, g.recorded = r.kind, r.generation, r.protocol, r.since, true
	for i := range r.members {
		m := &r.members[i]
		if m.rebalance < 0 {
			m.rebalance = m.session
		}
		if g.byID[m.id] != nil || m.instance != nil && g.byInstance[*m.instance] != nil {
			return fmt.Errorf("group %s has member %s twice: %w", id, m.id, ErrRecord)
		}
		into := &member{id: m.id, instance: m.instance, client: m.client, host: m.host, rebalance: millis(m.rebalance), session: millis(m.session), assignment: m.assignment}
		if g.protocol != nil {
			into.protocols = []Protocol{{Name: *g.protocol, Metadata: m.subscription}}
		}
		g.add(into)
		g.state = Stable
	}
	g.leader = nil
	if r.leader != nil {
		g.leader = g.byID[*r.leader]
	}
	if g.leader == nil && len(g.members) > 0 {
		g.leader = g.members[0]
	}
	g.readTopics()
	return nil
}

func millis(n int32) time.Duration { return time.Duration(n) * time.Millisecond }

// Loaded begins the work after the last record: every member gets a session timeout to be heard of.
func (c *Coordinator) Loaded(now clock.Now) {
	c.now = now
	c.scale.weighed = c.weigh()
	for _, id := range c.ids() {
		g := c.groups[id]
		for _, m := range g.members {
			c.expectHeartbeat(g, m, m.session)
		}
		if len(g.members) > c.config.SizeMax {
			c.prepare(g)
		}
	}
}
