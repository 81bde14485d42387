package partition

// lobby is who waits for the partition itself: until it is open, until its folder says something, until it is back. It is there while somebody is in it.
type lobby struct {
	stalled   []*FetchPart // of fetches that arrived before the partition was open
	asked     []*QueryAsk  // questions that did
	trims     []*QueryAsk  // deletions whose start is not stored yet
	returning asks         // appends routed here by a later image, while it is still leaving
}

// hall is the lobby, for somebody to enter.
func (p *Partition) hall() *lobby {
	if p.lobby == nil {
		p.lobby = &lobby{}
	}
	return p.lobby
}

// tidyLobby gives it up once the last has left.
func (p *Partition) tidyLobby() {
	if l := p.lobby; l != nil && len(l.stalled)+len(l.asked)+len(l.trims) == 0 && l.returning.empty() {
		p.lobby = nil
	}
}

// trims are the deletions whose start is not stored yet.
func (p *Partition) trims() []*QueryAsk {
	if p.lobby == nil {
		return nil
	}
	return p.lobby.trims
}

// take empties one of the lobby's queues.
func take[Q any](p *Partition, queue func(l *lobby) *Q) (all Q) {
	if p.lobby == nil {
		return all
	}
	var none Q
	q := queue(p.lobby)
	all, *q = *q, none
	p.tidyLobby()
	return all
}

func (p *Partition) takeStalled() []*FetchPart {
	return take(p, func(l *lobby) *[]*FetchPart { return &l.stalled })
}

func (p *Partition) takeAsked() []*QueryAsk {
	return take(p, func(l *lobby) *[]*QueryAsk { return &l.asked })
}

func (p *Partition) takeTrims() []*QueryAsk {
	return take(p, func(l *lobby) *[]*QueryAsk { return &l.trims })
}

func (p *Partition) takeReturning() asks {
	return take(p, func(l *lobby) *asks { return &l.returning })
}
