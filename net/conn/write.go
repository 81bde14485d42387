package conn

import (
	"golang.org/x/sys/unix"

	"pinion/disk/log"
	"pinion/engine/mutant"
	"pinion/engine/shard"
	"pinion/engine/slab"
)

const (
	// spanSendfile is the length from which a span leaves by sendfile. Below it the extra call for the header costs more than
	// copying from the mapping saves (crossover measured between 8 and 16 KiB).
	spanSendfile = 16 << 10
	vectorsMax   = 256      // of one gathering write; the kernel's limit is 1024
	gatherMax    = 1 << 20  // bytes of one gathering write
	sendfileMax  = 4 << 20  // bytes of one sendfile: a connection's share of a turn
	coldStep     = 64 << 10 // bytes of one read of a span that is not in memory
)

// write sends as much as the socket takes.
func (c *Conn) write(t *shard.Turn) {
	spent := 0
	for !c.closed && c.writable && !c.out.empty() && !c.out.cold {
		if spent >= sendfileMax {
			c.nextTurn(t)
			return
		}
		p := &c.out.pieces[c.out.head]
		var n int
		var ok bool
		switch {
		case p.left > 0 && (c.out.doubt || p.isCold()):
			c.warm(t, p)
			return
		case p.long():
			n, ok = c.sendfile(p)
		default:
			n, ok = c.gather(t)
		}
		if !ok {
			c.Close(t)
			return
		}
		spent += n
		c.hub.stats.BytesOut += uint64(n)
		c.out.sent(t, n)
	}
	if !c.out.empty() && c.out.moved == 0 {
		c.out.moved = t.Now().Mono
	}
}

// isCold reports whether a helper reads what is left of the span, because some of it is not in memory. Where all is, that stays so until the
// connection is written to again; what was cold once stays with helpers to its end.
func (p *piece) isCold() bool {
	p.cold = p.cold || !p.warm && !p.span.Resident(p.at)
	p.warm = !p.cold
	return p.cold
}

// long reports that what is left of a span leaves by sendfile: because of its length, or because the kernel refused a mapping.
func (p *piece) long() bool { return p.left >= spanSendfile || p.left > 0 && p.span.Bytes() == nil }

// unreadable reports whether an error is the disk's, not the socket's.
func unreadable(err error) bool {
	switch err {
	case unix.EIO, unix.EFAULT, unix.ENODATA, unix.EUCLEAN, unix.EBADMSG, unix.EREMOTEIO:
		return true
	}
	return false
}

// sendfile sends a long span without touching its bytes. What cannot be read on the way a helper reads: it knows what to say of it. So it
// does where the file has lost bytes that a lease protects, and the kernel finds nothing to send.
func (c *Conn) sendfile(p *piece) (int, bool) {
	at := p.span.Pos + int64(p.at)
	n, err := sendfile(c.fd, p.span.Fd(), &at, min(p.left, sendfileMax))
	switch {
	case err == unix.EAGAIN:
		c.writable = false
		return 0, true
	case err == unix.EINTR:
		return 0, true
	case unreadable(err), err == nil && n <= 0:
		c.out.doubt = true
		return 0, true
	case err != nil:
		return 0, false
	}
	if mutant.On(mutant.ShortSendfile) {
		n = min(p.left, sendfileMax)
	}
	c.hub.stats.Sendfile += uint64(n)
	return n, true
}

// gather sends bytes and short spans together, up to the first long or cold span.
func (c *Conn) gather(t *shard.Turn) (int, bool) {
	h := c.hub
	vectors := h.vectors[:0]
	total, mapped := 0, 0
	more := false
	for i := c.out.head; i < len(c.out.pieces) && len(vectors) < vectorsMax && total < gatherMax; i++ {
		p := &c.out.pieces[i]
		if len(p.bytes) > 0 {
			vectors = append(vectors, p.bytes)
			total += len(p.bytes)
		}
		if p.left == 0 {
			continue
		}
		if p.long() || c.out.doubt || p.isCold() {
			more = true
			break
		}
		vectors = append(vectors, p.span.Bytes()[p.at:])
		total += p.left
		mapped += p.left
	}
	h.vectors = vectors
	if total == 0 {
		return 0, true
	}
	n, err := sendmsg(c.fd, vectors, more)
	clear(vectors)
	switch {
	case err == unix.EAGAIN:
		c.writable = false
		return 0, true
	case err == unix.EINTR:
		return 0, true
	case unreadable(err) && mapped > 0:
		c.out.doubt = true
		return 0, true
	case err != nil:
		return 0, false
	}
	if n < total && mapped == 0 { // else it may be a page that ended it, and the socket will not tell of room it always had
		c.writable = false
	}
	h.stats.Mapped += uint64(min(mapped, n))
	return n, true
}

// coldRead is a helper's errand: the next step of a span whose pages are not in memory. It is the writer for everything that
// cannot leave the page cache directly.
type coldRead struct {
	shard.Letter
	conn  *Conn
	span  log.Span
	at    int
	block *slab.Block
	n     int
	keep  bool // others have read it, too
	err   error
}

// Run reads, waiting for the disk.
func (r *coldRead) Run() {
	read := log.Span.ReadCold
	if r.keep {
		read = log.Span.ReadKeep
	}
	r.n, r.err = read(r.span, r.block.Bytes()[:r.n], r.at)
}

// warm sends a helper for the next bytes of a cold span. The span's lease stays with the reply, which the connection keeps until
// the helper is home.
func (c *Conn) warm(t *shard.Turn, p *piece) {
	h := c.hub
	block := h.pool.Take(t, coldStep, &h.response)
	if block == nil { // answers that wait for this may have it all
		block = h.pool.Take(t, coldStep, &h.step)
	}
	if block == nil {
		c.thirst(t, &h.step)
		return
	}
	c.slake(t)
	c.out.cold = true
	c.out.chill()
	n := min(p.left, coldStep)
	t.HelpBulk(&coldRead{conn: c, span: p.span, at: p.at, block: block, n: n, keep: p.span.Again(p.at, n, t.Now().Mono)})
}

// Deliver puts what was read in front of the rest of its span.
func (r *coldRead) Deliver(t *shard.Turn) {
	c := r.conn
	c.out.cold = false
	if c.closed {
		r.block.Release(t)
		c.out.drop(t) // what Close left for us
		return
	}
	if r.err != nil || r.n <= 0 {
		c.hub.options.Log.Error("records cannot be read", "peer", c.peer, "offset", r.span.Offset, "err", r.err)
		c.out.spoil(r.span, r.at+max(0, r.n))
		r.block.Release(t)
		c.Close(t)
		return
	}
	c.out.prepend(piece{bytes: r.block.Bytes()[:r.n], block: r.block}, r.n)
	c.hub.stats.Copied += uint64(r.n)
	c.hub.stats.ColdReads++
	c.out.moved = t.Now().Mono
	c.enqueue()
}

// prepend puts bytes that replace the next n of the first span in front of it.
func (o *output) prepend(p piece, n int) {
	span := &o.pieces[o.head]
	span.left -= n
	span.at += n
	if o.head == 0 {
		o.pieces = append(o.pieces, piece{})
		copy(o.pieces[1:], o.pieces)
	} else {
		o.head--
	}
	o.pieces[o.head] = p
}
