package group

import "time"

// rebalance begins a rebalance, or sees whether the one under way is complete.
func (c *Coordinator) rebalance(g *group) {
	if g.state == Stable || g.state == Completing || g.state == Empty {
		c.prepare(g)
		return
	}
	c.maybeComplete(g)
}

// maybeComplete ends the join phase when everybody has joined, but for the first of a group, which lasts its time.
func (c *Coordinator) maybeComplete(g *group) {
	if g.state == Preparing && g.previous != Empty && g.everybodyJoined() {
		c.complete(g)
	}
}

// prepare begins to wait for everybody to join.
func (c *Coordinator) prepare(g *group) {
	if g.state == Completing {
		for _, m := range g.members {
			m.assignment = nil
			c.endSyncAlive(g, m, Rebalancing)
		}
	}
	c.forgiveSyncs(g)
	g.assigning = false
	first := g.state == Empty
	g.is(Preparing, c.now)
	switch {
	case first:
		// Others will come in a moment: the group begins with them rather than with a rebalance for each.
		delay := c.config.InitialDelay
		c.delay(g, delay, max(0, g.rebalanceTimeout()-delay))
	case g.everybodyJoined():
		c.complete(g)
	default:
		c.deadlines.set(&g.joining, c.moment().Add(g.rebalanceTimeout()), func() { c.complete(g) })
	}
}

// delay waits for the first members of a group, and longer while new ones come.
func (c *Coordinator) delay(g *group, wait, left time.Duration) {
	c.deadlines.set(&g.joining, c.moment().Add(wait), func() {
		if !g.came || left == 0 {
			c.complete(g)
			return
		}
		g.came = false
		c.delay(g, min(c.config.InitialDelay, left), max(0, left-wait))
	})
}

// complete ends the join phase: who has not joined is out, and who has begins the next generation. Static members stay.
func (c *Coordinator) complete(g *group) {
	c.deadlines.cancel(&g.joining)
	if g.state != Preparing {
		return
	}
	for i := len(g.members) - 1; i >= 0; i-- {
		if m := g.members[i]; m.join == nil && m.instance == nil {
			c.remove(g, m)
		}
	}
	if !g.elect() && len(g.members) > 0 {
		// Only static members are left, and none of them came: they have until their sessions end.
		c.deadlines.set(&g.joining, c.moment().Add(g.rebalanceTimeout()), func() { c.complete(g) })
		return
	}
	g.generation++
	g.came = false
	if len(g.members) == 0 {
		c.empty(g)
		return
	}
	name := g.vote()
	g.protocol = &name
	g.readTopics()
	g.is(Completing, c.now)
	for _, m := range g.members {
		if r := m.join; r != nil {
			m.join = nil
			g.awaiting--
			if g.leader == m {
				r.Members = g.subscribers()
			}
			g.tell(m, r)
			c.answer(r, OK)
		}
		c.expectHeartbeat(g, m, m.session)
		m.fresh = false
		if !m.owes {
			m.owes = true
			g.owing++
		}
	}
	generation := g.generation
	c.deadlines.set(&g.syncing, c.moment().Add(g.rebalanceTimeout()), func() { c.expireSyncs(g, generation) })
}

// empty ends the last generation of a group without members. Whether that is stored changes nothing now: a coordinator that starts from the
// record before waits for members in vain, and empties the group again.
func (c *Coordinator) empty(g *group) {
	g.protocol, g.leader = nil, nil
	g.readTopics()
	g.is(Empty, c.now)
	c.append(g, []Record{g.record(nil)}, func(Code) {})
}

// elect sees to it that the leader is one of those who joined.
func (g *group) elect() bool {
	if g.leader == nil {
		return false
	}
	if g.leader.join != nil {
		return true
	}
	for _, m := range g.members {
		if m.join != nil {
			g.leader = m
			return true
		}
	}
	return false
}

// forgiveSyncs ends the wait for Syncs.
func (c *Coordinator) forgiveSyncs(g *group) {
	for _, m := range g.members {
		g.paid(m)
	}
	c.deadlines.cancel(&g.syncing)
}

// expireSyncs removes the members that took their generation and never asked for their assignment.
func (c *Coordinator) expireSyncs(g *group, generation int32) {
	if g.generation != generation || g.state != Completing && g.state != Stable || g.owing == 0 {
		return
	}
	for i := len(g.members) - 1; i >= 0; i-- {
		if m := g.members[i]; m.owes {
			c.remove(g, m)
		}
	}
	c.prepare(g)
}
