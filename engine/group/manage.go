package group

import "pinion/engine/clock"

// deleteGroup removes a group without members.
func (c *Coordinator) deleteGroup(r *Delete) {
	g := c.groups[r.Group]
	switch {
	case g == nil || g.state == Dead:
		c.answer(r, NotFound)
		return
	case g.state != Empty:
		c.answer(r, NonEmpty)
		return
	}
	c.bury(g, func(code Code) { c.answer(r, code) })
}

// bury stores that a group and its offsets are gone. Nobody gets into it meanwhile.
func (c *Coordinator) bury(g *group, done func(code Code)) {
	previous := g.state
	g.state = Dead
	keys := g.keys()
	for _, a := range g.storing {
		keys = append(keys, a.keys...) // they come before it in the log
	}
	c.removeOffsets(g, keys, []Record{{Key: appendGroupKey(nil, g.id)}}, func(code Code) {
		if code == OK {
			c.forget(g)
		} else {
			g.state = previous
		}
		done(code)
	})
}

// describe tells what a group is. One that is not there is Dead.
func (c *Coordinator) describe(r *Describe) {
	g := c.groups[r.Group]
	if g == nil || g.state == Dead {
		r.State = Dead
		c.answer(r, NotFound)
		return
	}
	r.State, r.Type = g.state, g.kind
	stable := g.state == Stable
	if stable && g.protocol != nil {
		r.Protocol = *g.protocol
	}
	for _, m := range g.members {
		d := Described{Member: m.id, Instance: m.instance, ClientID: m.client, ClientHost: m.host}
		if stable {
			d.Metadata, d.Assignment = m.metadata(g.protocol), m.assignment
		}
		r.Members = append(r.Members, d)
	}
	c.answer(r, OK)
}

// list tells which groups there are.
func (c *Coordinator) list(r *List) {
	for _, id := range c.ids() {
		if g := c.groups[id]; g.state != Dead {
			r.Groups = append(r.Groups, Listed{Group: id, Type: g.kind, State: g.state})
		}
	}
	c.answer(r, OK)
}

// Expire forgets the offsets nobody has used for long, and the groups that are left with nothing. wall is the time to delete by.
func (c *Coordinator) Expire(now clock.Now, wall clock.Wall) {
	c.now = now
	for _, id := range c.ids() {
		if g := c.groups[id]; len(g.storing) == 0 && g.state != Dead {
			c.expire(g, int64(wall))
		}
	}
}

func (c *Coordinator) expire(g *group, wall int64) {
	var gone []offsetKey
	for _, key := range g.keys() {
		if v := g.offsets[key]; c.expired(g, key, &v, wall) {
			gone = append(gone, key)
		}
	}
	c.stats.Expired += uint64(len(gone))
	done := func(Code) {} // what could not be stored is tried again at the next look
	switch {
	case len(gone) < len(g.offsets) || g.state != Empty || len(g.pending) > 0:
		if len(gone) > 0 {
			c.removeOffsets(g, gone, nil, done)
		}
	case len(g.offsets) == 0 && !g.recorded:
		c.forget(g) // a name somebody mentioned
	default:
		c.bury(g, done)
	}
}

// expired reports whether nobody has used an offset for the time offsets are kept: since the group became empty, since it was committed where
// the group never had members or its consumers do not read the topic, never while they might.
func (c *Coordinator) expired(g *group, key offsetKey, v *committed, wall int64) bool {
	from := v.at
	switch {
	case g.kind == "":
	case g.state == Empty && g.since >= 0:
		from = g.since
	case g.state == Empty:
	case g.state != Stable || g.kind != consumers || g.topics == nil:
		return false
	}
	if g.reads(key.topic) {
		return false
	}
	if v.expires >= 0 {
		return wall >= v.expires
	}
	return wall-from >= c.config.OffsetsRetention.Milliseconds()
}

// View is a group as it is looked at from outside: how far it has read.
type View struct {
	Group   string
	Members int
	Read    []ViewRead // in order of topic and partition
}

// ViewRead is one committed offset.
type ViewRead struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Each calls f with every group, in order.
func (c *Coordinator) Each(f func(v View)) {
	for _, id := range c.ids() {
		g := c.groups[id]
		v := View{Group: id, Members: len(g.members)}
		for _, key := range g.keys() {
			v.Read = append(v.Read, ViewRead{key.topic, key.partition, g.offsets[key].offset})
		}
		if g.state != Dead {
			f(v)
		}
	}
}
