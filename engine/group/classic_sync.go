package group

// sync gives a member its assignment, or waits for the leader's.
func (c *Coordinator) sync(r *Sync) {
	g := c.groups[r.Group]
	switch {
	case r.Group == "":
		c.answer(r, InvalidGroup)
		return
	case g == nil || g.state == Empty:
		c.answer(r, UnknownMember)
		return
	case g.state == Dead:
		c.answer(r, NotAvailable)
		return
	}
	m, code := g.validate(r.Member, r.Instance)
	switch {
	case code != OK:
	case r.Generation != g.generation:
		code = IllegalGeneration
	case r.Type != nil && *r.Type != g.kind, r.Name != nil && g.protocol != nil && *r.Name != *g.protocol:
		code = InconsistentProtocol
	case g.state == Preparing:
		code = Rebalancing
	}
	if code != OK {
		c.answer(r, code)
		return
	}
	g.paid(m)
	if g.owing == 0 {
		c.deadlines.cancel(&g.syncing)
	}
	if g.state == Stable {
		c.give(g, m, r)
		return
	}
	c.endSync(m, Rebalancing) // of a connection the client has given up
	m.sync = r
	if g.leader == m && !g.assigning {
		c.assign(g, r)
	}
}

// give answers a Sync with the assignment.
func (c *Coordinator) give(g *group, m *member, r *Sync) {
	r.Chosen, r.Assignment = g.chosen(), m.assignment
	c.answer(r, OK)
}

// endSync answers a member's Sync that waits, if one does, with an error.
func (c *Coordinator) endSync(m *member, code Code) {
	if r := m.sync; r != nil {
		m.sync = nil
		c.answer(r, code)
	}
}

// endSyncAlive is endSync for a member that stays: it has been waiting for us, so its session begins anew.
func (c *Coordinator) endSyncAlive(g *group, m *member, code Code) {
	if m.sync != nil {
		c.endSync(m, code)
		c.expectHeartbeat(g, m, m.session)
	}
}

// assign stores what the leader assigned. When it is durable the group is stable.
func (c *Coordinator) assign(g *group, r *Sync) {
	g.assigning = true
	assigned := make(map[string][]byte, len(r.Assignments))
	for i := range r.Assignments {
		assigned[r.Assignments[i].Member] = r.Assignments[i].Bytes
		c.scale.grown += len(r.Assignments[i].Bytes) // as what members say when they join again
	}
	record := g.record(func(m *member) []byte { return assigned[m.id] })
	generation := g.generation
	c.append(g, []Record{record}, func(code Code) {
		if g.state != Completing || g.generation != generation || !g.assigning {
			return // somebody came or went: there is a new generation to be assigned
		}
		g.assigning = false
		for _, m := range g.members {
			m.assignment = nil
			if code == OK {
				m.assignment = assigned[m.id]
			}
		}
		if code != OK {
			for _, m := range g.members {
				c.endSyncAlive(g, m, code)
			}
			c.rebalance(g)
			return
		}
		for _, m := range g.members {
			if r := m.sync; r != nil {
				m.sync = nil
				c.give(g, m, r)
				c.expectHeartbeat(g, m, m.session)
			}
		}
		g.is(Stable, c.now)
		c.stats.Rebalances++
	})
}
