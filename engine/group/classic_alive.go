package group

// heartbeat keeps a member's session, and tells it when it has to join again.
func (c *Coordinator) heartbeat(r *Heartbeat) {
	g := c.groups[r.Group]
	switch {
	case r.Group == "":
		c.answer(r, InvalidGroup)
		return
	case g == nil:
		c.answer(r, UnknownMember)
		return
	case g.state == Dead:
		c.answer(r, NotAvailable)
		return
	}
	m, code := g.validate(r.Member, r.Instance)
	if code == OK && r.Generation != g.generation {
		code = IllegalGeneration
	}
	if code != OK {
		c.answer(r, code)
		return
	}
	c.expectHeartbeat(g, m, m.session)
	if g.state == Preparing {
		code = Rebalancing
	}
	c.answer(r, code)
}

// leave removes members at their wish, or at an administrator's.
func (c *Coordinator) leave(r *Leave) {
	g := c.groups[r.Group]
	switch {
	case r.Group == "":
		c.answer(r, InvalidGroup)
		return
	case g == nil:
		for i := range r.Members {
			r.Members[i].Code = UnknownMember
		}
		c.answer(r, OK)
		return
	case g.state == Dead:
		c.answer(r, NotAvailable)
		return
	}
	left := false
	for i := range r.Members {
		l := &r.Members[i]
		l.Code = c.leaveOne(g, l)
		left = left || l.Code == OK
	}
	c.answer(r, OK)
	switch {
	case !left:
	case g.state == Stable || g.state == Completing:
		c.rebalance(g)
	default:
		c.maybeComplete(g)
	}
}

func (c *Coordinator) leaveOne(g *group, l *Leaver) Code {
	if l.Member == "" {
		if l.Instance == nil || g.byInstance[*l.Instance] == nil {
			return UnknownMember
		}
		c.remove(g, g.byInstance[*l.Instance])
		return OK
	}
	if g.pending[l.Member] != nil {
		c.drop(g, l.Member)
		return OK
	}
	m, code := g.validate(l.Member, l.Instance)
	if code == OK {
		c.remove(g, m)
	}
	return code
}
