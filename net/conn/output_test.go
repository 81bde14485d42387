package conn

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pinion/disk/log"
	"pinion/engine/shard"
	"pinion/engine/slab"
)

// answer is a reply that notes what becomes of it.
type answer struct {
	number int
	events *[]string
}

func (a *answer) Emit(*shard.Turn, *Writer) {}
func (a *answer) Sent(*shard.Turn)          { *a.events = append(*a.events, fmt.Sprintf("sent %d", a.number)) }
func (a *answer) Drop(*shard.Turn) {
	*a.events = append(*a.events, fmt.Sprintf("dropped %d", a.number))
}

// The output against a plain list of bytes: replies of random pieces in blocks, on the heap, lent, or in a log that exists only as positions;
// short writes of any length; helpers that read for a span. What leaves is what was queued, each reply ends after its last byte and in order,
// and every block goes home.
func TestOutputAgainstPlainBytes(t *testing.T) {
	s := startShard(t)
	for round := range 30 {
		seed := rand.Uint64()
		on(t, s, func(turn *shard.Turn) {
			m := newOutputModel(turn, seed)
			m.abandon = round%3 == 0
			if err := m.run(turn); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
}

// What was written a moment ago is in memory: nobody looks, which this span would not survive. Once it has had to wait somebody does.
func TestFreshSpansAreTakenForResident(t *testing.T) {
	s := startShard(t)
	on(t, s, func(turn *shard.Turn) {
		c := newOutputModel(turn, 1).conn
		w := Writer{conn: c}
		b := w.Room(turn, 10)
		b.Bytes = append(b.Bytes, "head"...)
		w.Cut(turn, b, 0, 4, log.Span{Len: 100, Fresh: turn.Now().Mono.Add(time.Hour)})
		w.Close(b, 4)
		span := &c.out.pieces[1]
		if span.left != 100 || span.isCold() {
			t.Errorf("%+v", span)
		}
		if c.out.chill(); span.warm {
			t.Error("still taken for warm after a wait")
		}
		c.out.drop(turn)
	})
}

type outputModel struct {
	rnd     *rand.Rand
	conn    *Conn
	want    []byte // everything queued
	ends    []int  // of each reply, in want
	gone    int    // bytes that left
	events  []string
	abandon bool // the connection closes with bytes unsent
}

func newOutputModel(t *shard.Turn, seed uint64) *outputModel {
	m := &outputModel{rnd: rand.New(rand.NewPCG(seed, 0))}
	h := &Hub{pool: slab.NewPool(t, 1<<20)}
	h.response.Limit = 64 << 10 // a few blocks, then the heap
	m.conn = &Conn{hub: h}
	m.conn.out.hub = h
	return m
}

// logged is the byte at a position of the log that does not exist.
func logged(pos int64) byte { return byte(pos*31 + pos>>8) }

func (m *outputModel) fresh(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.rnd.Uint32())
	}
	return b
}

// reply queues one reply of a few parts.
func (m *outputModel) reply(t *shard.Turn) {
	w := &Writer{conn: m.conn}
	for range 1 + m.rnd.IntN(3) {
		b := m.fresh(m.rnd.IntN(3000))
		switch m.rnd.IntN(4) {
		case 0:
			w.Lend(b)
			m.want = append(m.want, b...)
		case 1: // header, span, header, span, rest
			buffer := w.Room(t, len(b))
			buffer.Bytes = append(buffer.Bytes, b...)
			from := 0
			for range 1 + m.rnd.IntN(2) {
				to := from + m.rnd.IntN(len(b)-from+1)
				span := log.Span{Pos: m.rnd.Int64N(1 << 20), Len: 1 + m.rnd.IntN(20_000)}
				w.Cut(t, buffer, from, to, span)
				m.want = append(m.want, b[from:to]...)
				for i := range span.Len {
					m.want = append(m.want, logged(span.Pos+int64(i)))
				}
				from = to
			}
			w.Close(buffer, from)
			m.want = append(m.want, b[from:]...)
		default: // asks for some room and may need more
			buffer := w.Room(t, len(b)/(1+m.rnd.IntN(2)))
			buffer.Bytes = append(buffer.Bytes, b...)
			w.Commit(buffer)
			m.want = append(m.want, b...)
		}
	}
	m.conn.out.end(&answer{len(m.ends), &m.events})
	m.ends = append(m.ends, len(m.want))
}

// front is what the socket would be given next, up to most bytes.
func (m *outputModel) front(most int) []byte {
	var b []byte
	o := &m.conn.out
	for i := o.head; i < len(o.pieces) && len(b) < most; i++ {
		p := &o.pieces[i]
		b = append(b, p.bytes...)
		for k := range p.left {
			b = append(b, logged(p.span.Pos+int64(p.at+k)))
		}
	}
	return b[:min(len(b), most)]
}

// send lets the socket take some bytes.
func (m *outputModel) send(t *shard.Turn) error {
	b := m.front(m.rnd.IntN(1 << m.rnd.IntN(17)))
	if !bytes.Equal(b, m.want[m.gone:m.gone+len(b)]) {
		return fmt.Errorf("bytes at %d are not what was queued", m.gone)
	}
	m.gone += len(b)
	m.conn.out.sent(t, len(b))
	return nil
}

// read puts what a helper read of the first span in front of its rest.
func (m *outputModel) read(t *shard.Turn) {
	o := &m.conn.out
	if o.empty() || o.pieces[o.head].left == 0 {
		return
	}
	p := &o.pieces[o.head]
	block := m.conn.hub.pool.Take(t, coldStep, &m.conn.hub.response)
	if block == nil {
		return
	}
	n := 1 + m.rnd.IntN(min(p.left, coldStep))
	for i := range n {
		block.Bytes()[i] = logged(p.span.Pos + int64(p.at+i))
	}
	o.prepend(piece{bytes: block.Bytes()[:n], block: block}, n)
}

func (m *outputModel) run(t *shard.Turn) error {
	for range 200 {
		switch m.rnd.IntN(5) {
		case 0, 1:
			if len(m.want)-m.gone < 200_000 {
				m.reply(t)
			}
		case 2:
			m.read(t)
		default:
			if err := m.send(t); err != nil {
				return err
			}
		}
		if err := m.check(); err != nil {
			return err
		}
	}
	for !m.abandon && !m.conn.out.empty() {
		if err := m.send(t); err != nil {
			return err
		}
	}
	m.conn.out.drop(t)
	return m.checkEnd()
}

// check compares what was told so far.
func (m *outputModel) check() error {
	o := &m.conn.out
	if o.bytes != len(m.want)-m.gone {
		return fmt.Errorf("%d bytes counted, %d unsent", o.bytes, len(m.want)-m.gone)
	}
	if o.empty() != (len(m.events) == len(m.ends)) {
		return fmt.Errorf("empty %v with %d of %d replies ended", o.empty(), len(m.events), len(m.ends))
	}
	for i, e := range m.events {
		if e != fmt.Sprintf("sent %d", i) || m.ends[i] > m.gone {
			return fmt.Errorf("event %d is %q with %d bytes gone, the reply ends at %d", i, e, m.gone, m.ends[i])
		}
	}
	return nil
}

// checkEnd verifies that everything came home.
func (m *outputModel) checkEnd() error {
	for i, e := range m.events {
		want := "dropped"
		if m.ends[i] <= m.gone {
			want = "sent" // or dropped, if it ended where another began and nothing was sent since
		}
		if e != fmt.Sprintf("%s %d", want, i) && e != fmt.Sprintf("dropped %d", i) {
			return fmt.Errorf("reply %d: %q with %d bytes gone, it ends at %d", i, e, m.gone, m.ends[i])
		}
	}
	if len(m.events) != len(m.ends) {
		return fmt.Errorf("%d replies ended of %d", len(m.events), len(m.ends))
	}
	if used := m.conn.hub.response.Used(); used != 0 {
		return fmt.Errorf("%d bytes of response memory did not come home", used)
	}
	return nil
}

// A piece at the end of a full list moves what is left to the front instead of growing for ever.
func TestOutputDoesNotGrowWithWhatHasLeft(t *testing.T) {
	s := startShard(t)
	on(t, s, func(turn *shard.Turn) {
		o := output{hub: &Hub{}}
		for range 8 {
			o.push(piece{bytes: []byte("seven..")})
		}
		for range 10_000 {
			o.push(piece{bytes: []byte("seven..")})
			o.sent(turn, 7)
		}
		if cap(o.pieces) > 64 {
			t.Errorf("%d places for 8 pieces", cap(o.pieces))
		}
	})
}

func TestSendingWhatWasNeverQueuedIsCaught(t *testing.T) {
	s := startShard(t)
	on(t, s, func(turn *shard.Turn) {
		defer func() {
			if recover() == nil {
				t.Error("went unnoticed")
			}
		}()
		var o output
		o.push(piece{bytes: []byte("abc")})
		o.sent(turn, 4)
	})
}
