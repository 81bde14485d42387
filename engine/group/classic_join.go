package group

import "time"

// join lets somebody into the next generation of a group: a new member, a static one that comes back with a new id, or one that is in
// the group already.
func (c *Coordinator) join(r *Join) {
	known := r.Member != ""
	switch {
	case r.Group == "":
		c.failJoin(r, r.Member, InvalidGroup)
		return
	case r.Session < c.config.SessionMin || r.Session > c.config.SessionMax:
		c.failJoin(r, r.Member, InvalidSession)
		return
	case !known && len(r.called())+idBytes > textBytesMax:
		c.failJoin(r, "", Failed) // no record could hold its id
		return
	}
	g := c.groups[r.Group]
	switch {
	case g == nil && known:
		c.failJoin(r, r.Member, UnknownMember)
		return
	case !known && !c.room(weightGroup+weightMember+len(r.Group)+weightOf(r.Protocols)):
		c.failJoin(r, "", NotAvailable)
		return
	case g == nil:
		g = c.create(r.Group)
	case g.state == Dead:
		c.failJoin(r, r.Member, NotAvailable)
		return
	}
	switch {
	case !c.admits(g, r.Member):
		c.drop(g, r.Member)
		if m := g.byID[r.Member]; m != nil {
			c.remove(g, m)
			c.gone(g)
		}
		c.failJoin(r, "", SizeReached)
	case !g.speaks(r.Type, r.Protocols):
		c.failJoin(r, r.Member, InconsistentProtocol)
	case known:
		c.rejoin(g, r)
	case r.Instance != nil && g.byInstance[*r.Instance] != nil:
		c.replace(g, r, g.byInstance[*r.Instance])
	case r.Instance == nil && r.TwoSteps:
		c.expect(g, r)
	default:
		c.enter(g, r, c.memberID(r))
	}
}

// failJoin answers a join that led nowhere.
func (c *Coordinator) failJoin(r *Join, member string, code Code) {
	r.Assigned, r.Generation = member, -1
	c.answer(r, code)
}

// dismiss is failJoin for a member's join that waits, if one does.
func (c *Coordinator) dismiss(g *group, m *member, id string, code Code) {
	if r := m.join; r != nil {
		m.join = nil
		g.awaiting--
		c.failJoin(r, id, code)
	}
}

// admits reports whether a group has room for who joins. While members are being waited for, those count that have come: whoever is
// last to come back to a group that was made smaller finds no room.
func (c *Coordinator) admits(g *group, id string) bool {
	switch m := g.byID[id]; g.state {
	case Preparing:
		return m != nil && m.join != nil || g.awaiting < c.config.SizeMax
	case Completing, Stable:
		return m != nil || len(g.members) < c.config.SizeMax
	}
	return true
}

// expect gives a new member its id and waits for it to come back with it, for as long as a session is.
func (c *Coordinator) expect(g *group, r *Join) {
	id := c.memberID(r)
	n := &newcomer{}
	g.pending[id] = n
	c.deadlines.set(&n.session, c.moment().Add(r.Session), func() {
		c.drop(g, id)
		c.gone(g)
	})
	c.failJoin(r, id, MemberRequired)
}

// gone looks whether the join phase ends now that somebody is not waited for any more.
func (c *Coordinator) gone(g *group) {
	if g.state == Preparing && g.everybodyJoined() {
		c.complete(g)
	}
}

// enter adds a member.
func (c *Coordinator) enter(g *group, r *Join, id string) {
	m := &member{id: id, instance: r.Instance, client: r.ClientID, host: r.ClientHost, rebalance: r.Rebalance, session: r.Session,
		protocols: r.Protocols, join: r, fresh: true}
	c.drop(g, id)
	if g.state == Preparing && g.previous == Empty {
		g.came = true
	}
	g.add(m)
	c.expectHeartbeat(g, m, newMemberPatience)
	c.rebalance(g)
}

// rejoin takes a join of a member that has an id.
func (c *Coordinator) rejoin(g *group, r *Join) {
	if g.pending[r.Member] != nil {
		if r.Instance != nil {
			c.failJoin(r, r.Member, Failed) // an id that was given to be asked for again is no static member's
			return
		}
		c.enter(g, r, r.Member)
		return
	}
	m, code := g.validate(r.Member, r.Instance)
	if code != OK {
		c.failJoin(r, r.Member, code)
		return
	}
	changed := !m.same(r.Protocols)
	switch {
	case g.state == Preparing, g.state == Completing && changed, g.state == Stable && (changed || g.leader == m):
		// A leader that joins again has seen something that changes the assignment, though it says the same about itself.
		c.update(g, m, r)
		c.rebalance(g)
	case g.state == Completing, g.state == Stable:
		// It missed the answer: the generation is the one that was begun with it.
		if g.leader == m {
			r.Members = g.subscribers()
		}
		g.tell(m, r)
		c.answer(r, OK)
	default:
		c.failJoin(r, r.Member, UnknownMember)
	}
}

// tell puts the generation into the answer of a join.
func (g *group) tell(m *member, r *Join) {
	r.Assigned, r.Generation, r.Chosen = m.id, g.generation, g.chosen()
	if g.leader != nil {
		r.Leader = g.leader.id
	}
}

// update takes over what a member says with a join, which waits. One that waited already is from before the client lost its connection.
func (c *Coordinator) update(g *group, m *member, r *Join) {
	c.dismiss(g, m, m.id, Rebalancing)
	g.count(m, -1)
	c.scale.grown += weightOf(r.Protocols) // for what is there already there is always room, and it counts
	m.protocols, m.rebalance, m.session = r.Protocols, r.Rebalance, r.Session
	g.count(m, 1)
	m.join = r
	g.awaiting++
}

// replace gives a static member that comes back without its id a new one. The old one is fenced. A stable group goes on as it is, if the
// protocol stays.
func (c *Coordinator) replace(g *group, r *Join, old *member) {
	c.dismiss(g, old, old.id, FencedInstance)
	c.endSync(old, FencedInstance)
	c.deadlines.cancel(&old.alive)
	m := &member{id: c.memberID(r), instance: old.instance, client: old.client, host: old.host, rebalance: old.rebalance, session: old.session,
		protocols: old.protocols, assignment: old.assignment}
	for i := range g.members {
		if g.members[i] == old {
			g.members[i] = m
		}
	}
	delete(g.byID, old.id)
	g.byID[m.id], g.byInstance[*m.instance] = m, m
	leads := g.leader == old
	if leads {
		g.leader = m
	}
	g.paid(old)
	c.expectHeartbeat(g, m, r.Session)
	before := *m
	c.update(g, m, r)
	switch {
	case g.state == Stable && (g.protocol == nil || g.vote() != *g.protocol):
		c.rebalance(g)
	case g.state == Stable:
		c.storeReplaced(g, m, old, before, leads)
	case g.state == Completing:
		// The leader may have been told of the old id, so its assignment would miss the new one.
		c.prepare(g)
	default:
		c.maybeComplete(g)
	}
}

// storeReplaced stores the new id and answers then.
func (c *Coordinator) storeReplaced(g *group, m, old *member, before member, leads bool) {
	r := m.join
	record := g.record(func(m *member) []byte { return m.assignment })
	c.append(g, []Record{record}, func(code Code) {
		if m.join != r {
			return // somebody else has taken its place, or a rebalance has answered
		}
		if code != OK {
			c.restore(g, m, old, before, code)
			return
		}
		m.join = nil
		g.awaiting--
		g.tell(m, r)
		switch {
		case !r.MaySkip && leads:
			r.Leader = old.id // who does not know better would assign, and a rebalance is not under way
		case r.MaySkip && g.leader == m:
			r.Members, r.Skip = g.subscribers(), true
		}
		c.answer(r, OK)
	})
}

// restore puts the old id back: the log knows no other.
func (c *Coordinator) restore(g *group, m, old *member, before member, code Code) {
	c.dismiss(g, m, "", code)
	if g.byID[m.id] != m {
		return
	}
	g.count(m, -1)
	delete(g.byID, m.id)
	c.deadlines.cancel(&m.alive)
	m.id, m.protocols, m.rebalance, m.session = old.id, before.protocols, before.rebalance, before.session
	g.byID[m.id] = m
	g.count(m, 1)
	c.expectHeartbeat(g, m, m.session)
}

// expectHeartbeat removes a member that is not heard of for so long.
func (c *Coordinator) expectHeartbeat(g *group, m *member, patience time.Duration) {
	if m.alive.fire == nil {
		m.alive.fire = func() { c.fail(g, m) }
	}
	c.deadlines.putOff(&m.alive, c.moment(), patience, m.alive.fire)
}

// fail ends the session of a member that was not heard of in time.
func (c *Coordinator) fail(g *group, m *member) {
	if !m.fresh && (m.join != nil || m.sync != nil) {
		return // it waits for us; what it is answered sets the next deadline
	}
	c.remove(g, m)
	if g.state == Stable || g.state == Completing {
		c.rebalance(g)
	} else {
		c.gone(g)
	}
}
