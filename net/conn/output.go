package conn

import (
	"time"

	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/must"
	"pinion/engine/shard"
	"pinion/engine/slab"
)

// piece is one part of a response: bytes, or a span of a log, or the mark that ends a response.
type piece struct {
	bytes []byte
	block *slab.Block // what bytes lie in, released once they have left; nil if someone else keeps them
	span  log.Span
	left  int  // bytes of the span not yet sent
	at    int  // bytes of the span already sent
	warm  bool // the rest of the span is in memory
	cold  bool // it was not
	reply Reply
	heap  int64 // bytes on the heap, charged to the response budget as if they lay in a block
}

// output is what a connection has to send, oldest first.
type output struct {
	pieces []piece
	head   int // pieces before it are gone
	bytes  int // unsent
	moved  clock.Mono
	cold   bool // a helper is reading for the first piece
	doubt  bool // records could not be read on the way to the socket: until all has left, helpers read them
	hub    *Hub // lends the memory of pieces
}

func (o *output) empty() bool { return o.head == len(o.pieces) }

func (o *output) push(p piece) {
	if o.pieces == nil {
		o.pieces = o.hub.takePieces()
	}
	if o.head > 0 && len(o.pieces) == cap(o.pieces) {
		n := copy(o.pieces, o.pieces[o.head:])
		clear(o.pieces[n:])
		o.pieces, o.head = o.pieces[:n], 0
	}
	o.pieces = append(o.pieces, p)
	o.bytes += len(p.bytes) + p.left
}

const (
	piecesKept = 64  // lists of pieces a hub keeps for whoever answers next: connections that answer in one turn
	piecesMost = 512 // pieces of a list that is kept
)

// takePieces lends a list to a connection that begins to answer: one that is idle has none.
func (h *Hub) takePieces() []piece {
	n := len(h.pieces)
	if n == 0 {
		return nil
	}
	p := h.pieces[n-1]
	h.pieces[n-1] = nil
	h.pieces = h.pieces[:n-1]
	return p
}

// keepPieces takes a list back whose pieces are all finished.
func (h *Hub) keepPieces(p []piece) {
	if cap(p) > 0 && cap(p) <= piecesMost && len(h.pieces) < piecesKept {
		h.pieces = append(h.pieces, p[:0])
	}
}

// chill forgets which spans are in memory, because what comes first has to wait.
func (o *output) chill() {
	for i := o.head; i < len(o.pieces); i++ {
		o.pieces[i].warm = false
	}
}

// end marks the end of a reply's pieces.
func (o *output) end(r Reply) { o.push(piece{reply: r}) }

// stuck reports that the peer has taken nothing for too long. A reader that makes no progress may not keep a lease on the log.
func (o *output) stuck(now clock.Mono, limit time.Duration) bool {
	return !o.empty() && !o.cold && o.moved != 0 && now.Sub(o.moved) > limit
}

// sent takes n bytes off the front and finishes what that completes.
func (o *output) sent(t *shard.Turn, n int) {
	o.bytes -= n
	if n > 0 {
		o.moved = t.Now().Mono
	}
	for o.head < len(o.pieces) {
		p := &o.pieces[o.head]
		if took := min(n, len(p.bytes)); took > 0 {
			p.bytes = p.bytes[took:]
			n -= took
		}
		if took := min(n, p.left); took > 0 {
			p.left -= took
			p.at += took
			n -= took
		}
		if len(p.bytes) > 0 || p.left > 0 {
			break
		}
		o.finish(t, p)
		o.head++
	}
	if n != 0 {
		must.Failf("%d bytes sent that were never queued", n)
	}
	if o.empty() {
		o.hub.keepPieces(o.pieces)
		o.pieces, o.head, o.moved, o.doubt = nil, 0, 0, false
	}
}

// finish lets go of a piece that has left.
func (o *output) finish(t *shard.Turn, p *piece) {
	if p.block != nil {
		p.block.Release(t)
	}
	if p.heap > 0 {
		o.hub.response.Return(t, p.heap)
	}
	reply := p.reply
	*p = piece{}
	if reply != nil {
		reply.Sent(t)
	}
}

// drop lets go of everything unsent.
func (o *output) drop(t *shard.Turn) {
	pieces := o.pieces[o.head:]
	o.pieces, o.head, o.bytes = nil, 0, 0
	for i := range pieces {
		p := &pieces[i]
		if p.block != nil {
			p.block.Release(t)
		}
		if p.heap > 0 {
			o.hub.response.Return(t, p.heap)
		}
		if p.reply != nil {
			p.reply.Drop(t)
		}
	}
}

// spoil tells the reply whose span comes first that it could not be read.
func (o *output) spoil(span log.Span, at int) {
	for i := o.head; i < len(o.pieces); i++ {
		if reply := o.pieces[i].reply; reply != nil {
			if s, ok := reply.(Spoiled); ok {
				s.Spoil(span, at)
			}
			return
		}
	}
}

// Writer collects one response's pieces.
type Writer struct {
	conn *Conn
	owed int64 // bytes the request has charged for what it will Lend
}

// Room lends a buffer of at least n bytes, length 0, to build a part of the response in; Commit or Close ends the loan.
func (w *Writer) Room(t *shard.Turn, n int) Buffer {
	h := w.conn.hub
	if tail, block := w.conn.out.tail(n); block != nil {
		block.Retain()
		return Buffer{Bytes: tail, block: block}
	}
	block := h.pool.Take(t, n, &h.response)
	if block == nil {
		// Responses that must leave still do: they are what gives memory back. The heap takes what the budget does not.
		h.response.Force(int64(n))
		return Buffer{Bytes: make([]byte, 0, n), heap: int64(n)}
	}
	return Buffer{Bytes: block.Bytes()[:0], block: block}
}

// Buffer is a part of a response under construction. Bytes may be appended to; if they outgrow the room they move to the heap.
type Buffer struct {
	Bytes []byte
	block *slab.Block // one reference belongs to the buffer
	heap  int64       // charged for it if it has no block
}

// tail returns free space behind the last bytes queued and the block it lies in, so that many small responses share one.
func (o *output) tail(n int) ([]byte, *slab.Block) {
	for i := len(o.pieces) - 1; i >= o.head && i >= len(o.pieces)-2; i-- {
		p := &o.pieces[i]
		if p.block == nil || p.left > 0 {
			continue
		}
		if cap(p.bytes)-len(p.bytes) < n {
			break // what lies before it may share its block: the space behind that is taken
		}
		return p.bytes[len(p.bytes):], p.block
	}
	return nil, nil
}

// Commit queues what was built.
func (w *Writer) Commit(b Buffer) { w.Close(b, 0) }

// Cut queues the bytes [from, to) of a buffer and then a span: record bytes go between header bytes.
func (w *Writer) Cut(t *shard.Turn, b Buffer, from, to int, span log.Span) {
	if b.block != nil {
		b.block.Retain()
	}
	w.conn.out.push(piece{bytes: b.Bytes[from:to:to], block: b.block})
	w.conn.out.push(piece{span: span, left: span.Len, warm: t.Now().Mono < span.Fresh})
}

// Close ends a buffer of which parts were queued by Cut: the bytes from on are queued with the buffer's own reference.
func (w *Writer) Close(b Buffer, from int) {
	w.conn.out.push(piece{bytes: b.Bytes[from:], block: b.block, heap: b.heap})
}

// Lend queues bytes that the reply keeps alive until Sent or Drop. What the request Owes for them is settled when they have left.
func (w *Writer) Lend(b []byte) {
	w.conn.out.push(piece{bytes: b, heap: w.owed})
	w.owed = 0
}
