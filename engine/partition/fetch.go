package partition

import (
	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// fetch answers a poll's ask with spans, after preparing what is cold or still opening.
func (s *Set) fetch(t *shard.Turn, ask *FetchAsk) {
	s.own.Check(t)
	ask.Bytes, ask.pending, ask.got, ask.reading = 0, 0, 0, true
	ask.loans = s.files.Loans()
	ask.broke = ask.loans == 0
	for i := range ask.Parts {
		part := &ask.Parts[i]
		part.ask, part.FetchFound = ask, FetchFound{}
		p, code := s.find(t, part.Partition)
		if code != OK {
			part.refuse(code)
			continue
		}
		p.read(t, part)
	}
	if ask.pending == 0 {
		s.fetched(t, ask)
	}
}

// refuse marks the part as answered with an error; marks are unknown then (-1, as Kafka answers).
func (part *FetchPart) refuse(code Code) {
	part.Code, part.High, part.Stable, part.LogStart = code, -1, -1, -1
}

// read bounds one partition's read and takes its span on loan.
func (p *Partition) read(t *shard.Turn, part *FetchPart) {
	if p.state == opening {
		if again := p.set.known(p.name); again != nil {
			p = again // it lies in another directory by now
		}
	}
	if (p.state == opening || p.frozen) && p.verdict() == OK {
		part.ask.pending++
		l := p.hall()
		l.stalled = append(l.stalled, part)
		return
	}
	if code := p.verdict(); code != OK {
		if !p.keeps(part.From) {
			part.refuse(code)
			return
		}
		part.Offline = true
	}
	part.High, part.Stable, part.LogStart, part.LeaderEpoch = p.marks.High, p.marks.Stable, p.log.Start(), p.epoch
	part.Since = p.since
	if code := p.epochCode(max(part.Epoch, model.NoEpoch)); code != OK { // to Kafka any negative one is none in a Fetch, and in no other request
		part.refuse(code)
		return
	}
	if part.LastFetched >= 0 {
		at, end := p.epochEnd(part.LastFetched)
		if at == model.NoEpoch || part.From < p.log.Start() {
			// Kafka says this too. A place where epochs part that is nowhere would be passed over by clients, which ask again for ever.
			part.Code = OutOfRange
			return
		}
		if at != part.LastFetched || end < part.From {
			part.Diverging, part.DivergeAt, part.DivergeEnd = true, at, end
			return
		}
	}
	if part.From < p.log.Start() || part.From > p.marks.End { // what is not visible yet is waited for
		part.Code = OutOfRange
		return
	}
	ask := part.ask
	limit := p.readable(ask.Committed)
	if part.From >= limit {
		return
	}
	if ask.loans == 0 {
		if ask.broke {
			p.queueRead(t, part) // others have it all; the first who returns some lets it in
		}
		return // else the ask has its share of bytes, and what is here goes with the next
	}
	span, st := p.log.Read(part.From, limit, int(min(int64(part.BytesMax), ask.BytesMax)), true)
	switch st {
	case log.ReadOK:
		span.Fresh = p.fresh.until(span.Offset)
		part.Span, part.Leased, part.log = span, true, p.log
		ask.Bytes += int64(span.Len)
		ask.loans--
	case log.ReadNeedsWork:
		p.helpRead(t, part)
	case log.ReadEmpty:
		part.Nothing = !part.Offline // else the limit may lie within a batch
	default:
		part.Code = OutOfRange
	}
}

// fetched sends the ask home, or has it wait for more.
func (s *Set) fetched(t *shard.Turn, ask *FetchAsk) {
	if ask.cancelled {
		s.giveUp(t, ask)
		return
	}
	if ask.Wait && ask.Bytes < ask.BytesMin && !ask.Refused() {
		// Too little: what there is goes back, its size stays known, and it is read again when there is more.
		s.release(t, ask)
		if s.outdated(ask) {
			s.fetch(t, ask)
			return
		}
		s.enlist(t, ask)
		return
	}
	ask.reading = false
	t.Reply(ask.Home, (*FetchReply)(ask))
}

// enlist has the ask wait for its partitions' bytes, and says so once.
func (s *Set) enlist(t *shard.Turn, ask *FetchAsk) {
	ask.got, ask.reading = ask.Bytes, false
	for i := range ask.Parts {
		part := &ask.Parts[i]
		if p := s.known(part.Partition); p != nil {
			p.enlist(part)
		}
	}
	if ask.enlisted {
		return
	}
	ask.enlisted, ask.Had, ask.Short = true, ask.Bytes, ask.Short[:0]
	for i := range ask.Parts {
		ask.Short = append(ask.Short, ask.Parts[i].FetchFound)
	}
	ask.waiting.ask = ask
	// Home has mostly nothing to do but wait, too. Either it sees the mail before it sleeps, or it is seen here to be in a hurry.
	t.Leave(ask.Home, &ask.waiting)
	if ask.Hurry.Load() {
		t.Wake(ask.Home)
	}
}

// cancel sends home an ask whose waiter nobody wants any more, once no helper is away for it.
func (s *Set) cancel(t *shard.Turn, ask *FetchAsk) {
	s.own.Check(t)
	if ask.reading {
		ask.cancelled = true
		return
	}
	s.forget(ask)
	s.giveUp(t, ask)
}

// giveUp takes back what an ask has on loan that nobody waits for; an answer may have crossed its cancelling.
func (s *Set) giveUp(t *shard.Turn, ask *FetchAsk) {
	s.release(t, ask)
	ask.reading, ask.cancelled = false, false
	ask.cancel.home = true
	t.Reply(ask.Home, &ask.cancel)
}

// outdated reports whether a partition changed since the ask read it: a helper was away meanwhile, for it or for another of the ask's
// partitions, and what came then found no waiter to wake.
func (s *Set) outdated(ask *FetchAsk) bool {
	for i := range ask.Parts {
		part := &ask.Parts[i]
		p := s.known(part.Partition)
		if p == nil || p.verdict() != OK || p.marks.High != part.High || p.marks.Stable != part.Stable {
			return true
		}
	}
	return false
}

// readable is the first offset a reader may not have.
func (p *Partition) readable(committed bool) model.Offset {
	limit := p.marks.Visible(committed)
	if p.state == failed {
		limit = min(limit, p.certain())
	}
	return limit
}

// certain is where a partition that is offline ends for readers: below it everything is durable, and is what was written. A record that only
// the journal has made durable is also in the page cache, but where a write or a sync of the log itself has failed the kernel may drop the
// page, and show what was on the disk before.
func (p *Partition) certain() model.Offset {
	switch {
	case p.log == nil:
		return 0
	case p.log.Err() != nil || !p.fsync():
		return p.log.Durable()
	}
	return p.marks.Durable
}

// keeps reports whether a partition that is offline still has the record at an offset for readers. What lies behind is refused, not out of
// range: it may be there again after the next start. A log that was closed to be moved, when its disk failed, keeps nothing: its segments would be opened
// again for every read.
func (p *Partition) keeps(at model.Offset) bool {
	return p.state == failed && !p.leaving && !p.closing && p.log != nil && !p.log.Closed() && at >= p.log.Start() && at < p.readable(false)
}

// Refused reports whether any part has an answer that ends a poll at once.
func (a *FetchAsk) Refused() bool {
	for i := range a.Parts {
		if a.Parts[i].Code != OK || a.Parts[i].Diverging || a.Parts[i].Offline {
			return true
		}
	}
	return false
}

// waiters are the polls that wait for a partition's bytes, in order of arrival.
type waiters struct{ first, last *FetchPart }

func (p *Partition) enlist(part *FetchPart) {
	q := &p.waiters
	part.prev, part.next, part.queue = q.last, nil, q
	if q.last == nil {
		q.first = part
	} else {
		q.last.next = part
	}
	q.last = part
}

func (part *FetchPart) delist() {
	q := part.queue
	if q == nil {
		return
	}
	if part.prev == nil {
		q.first = part.next
	} else {
		part.prev.next = part.next
	}
	if part.next == nil {
		q.last = part.prev
	} else {
		part.next.prev = part.prev
	}
	part.prev, part.next, part.queue = nil, nil, nil
}

// wake tells polls that so many bytes became visible; one with enough is answered.
func (p *Partition) wake(t *shard.Turn, bytes int64) {
	for part := p.waiters.first; part != nil; {
		next := part.next
		ask := part.ask
		ask.got += bytes
		if ask.got >= ask.BytesMin {
			// It is unlinked from all its partitions, which may include the next one here only if a request names a
			// partition twice; then the walk starts over.
			again := next != nil && next.ask == ask
			p.set.forget(ask)
			ask.again.ask, ask.reading = ask, true
			t.Ask(p.set.id, &ask.again)
			if again {
				next = p.waiters.first
			}
		}
		part = next
	}
}

// forget unlinks an ask from all its partitions.
func (s *Set) forget(ask *FetchAsk) {
	for i := range ask.Parts {
		ask.Parts[i].delist()
	}
}

// release takes the ask's spans back.
func (s *Set) release(t *shard.Turn, ask *FetchAsk) {
	s.own.Check(t)
	for i := range ask.Parts {
		part := &ask.Parts[i]
		if part.Leased {
			part.Leased = false
			if part.Spoiled {
				part.Spoiled = false
				part.log.Doubt(part.Span, part.SpoiledAt)
			}
			part.log.Release(part.Span)
			part.Span = log.Span{}
		}
	}
}

// resumeFetches reads for the polls that waited for the partition to open.
func (p *Partition) resumeFetches(t *shard.Turn) {
	for _, part := range p.takeStalled() {
		p.read(t, part)
		p.set.settle(t, part.ask)
	}
}

// settle counts one preparation of an ask as done.
func (s *Set) settle(t *shard.Turn, ask *FetchAsk) {
	ask.pending--
	if ask.pending == 0 {
		s.fetched(t, ask)
	}
}

// readWork prepares one cold read on a helper.
type readWork struct {
	shard.Letter
	work *log.Work
	p    *Partition
	part *FetchPart
}

// Run does the blocking part.
func (w *readWork) Run() { w.work.Do() }

// Deliver reads again, back on the owner.
func (w *readWork) Deliver(t *shard.Turn) {
	p, part := w.p, w.part
	p.caring--
	part.ask.loans++
	switch err := p.log.Finish(w.work); {
	case err == nil:
		p.read(t, part)
	case p.log.Damaged() != nil:
		p.fail(t, p.log.Damaged())
		part.refuse(StorageFailed)
	case p.log.Err() != nil && p.state != failed:
		p.failDirectory(t, err)
		part.refuse(StorageFailed)
	case log.IsDamage(err):
		p.fail(t, err)
		part.refuse(StorageFailed)
	default:
		p.set.options.Log.Warn("read", "partition", p.dir, "offset", part.From, "err", err)
		part.refuse(StorageFailed)
	}
	p.set.settle(t, part.ask)
	p.drain(t)
	p.buried(t)
}

func (p *Partition) helpRead(t *shard.Turn, part *FetchPart) {
	if p.log.Opens(part.From) && !p.roomToRead(t, part) {
		return
	}
	work := p.log.PrepareRead(part.From)
	if work == nil {
		// Somebody else's work has just made it ready.
		p.read(t, part)
		return
	}
	part.ask.pending++
	part.ask.loans-- // kept for when the segment is there
	p.caring++
	t.HelpBulk(&readWork{work: work, p: p, part: part})
}
