package hostile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"time"
)

const (
	// hangMax is how long the broker may leave a frame alone. Machines that run this are busy; a hang lasts for ever.
	hangMax = 60 * time.Second
	// pollWait is how long an attacker stays with a long poll before it leaves.
	pollWait = 5 * time.Millisecond
	// streamsMax is how many streams a connection carries at most; it may have been closed upon long before.
	streamsMax = 16
	// checkedOften is one in how many answers that are decoded whole.
	checkedOften = 8
)

// attacker is one connection after another. One goroutine owns it; its counts are read by others.
type attacker struct {
	// Immutable.
	seed    uint64
	number  int
	addr    string
	ids     map[[16]byte][16]byte // of topics: stand-in to true
	met     *atomic.Int64         // frames of all attackers, up to limit
	limit   int64
	stop    chan struct{}
	mutator mutator

	conn        net.Conn
	in          *bufio.Reader
	connections uint64
	session     int32
	correlation uint32
	dice        *rand.Rand // for what must not change what is sent; nil: check every answer
	hurried     bool       // the deadline is that of a poll
	untouched   []span     // the valid requests of the stream being made
	polite      bool       // nothing was sent on this connection that may end it
	sent        [][]byte
	sentN       int
	expected    []expected // sent, and not answered yet
	wire        []byte     // the stream as it is sent
	body        []byte

	tally tally
}

// errClosed says that the broker closed the connection, as it may.
var errClosed = errors.New("closed")

// run attacks until enough frames were met, or something is wrong.
func (a *attacker) run() error {
	for a.met.Load() < a.limit {
		select {
		case <-a.stop:
			return nil
		default:
		}
		if err := a.connection(); err != nil {
			return err
		}
	}
	return nil
}

// connection lives through one connection. What it sends follows from the seed, the attacker's number and the connection's.
func (a *attacker) connection() error {
	a.connections++
	a.mutator.Rand = rand.New(rand.NewPCG(a.seed, uint64(a.number)<<40|a.connections))
	a.correlation = a.mutator.Uint32() &^ 0xffff
	if err := a.connect(); err != nil {
		return a.wrong(err)
	}
	defer a.drop()
	for range 1 + a.mutator.IntN(streamsMax) {
		over, err := a.send(a.make())
		if errors.Is(err, errClosed) {
			return a.closedUpon()
		}
		if err != nil {
			return a.wrong(err)
		}
		if over {
			return nil
		}
	}
	if a.mutator.IntN(4) == 0 {
		return nil // gone without a word
	}
	return a.halfClose()
}

func (a *attacker) connect() error {
	conn, err := net.DialTimeout("tcp", a.addr, hangMax)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	a.conn, a.polite, a.sentN, a.expected = conn, true, 0, a.expected[:0]
	if a.in == nil {
		a.in = bufio.NewReaderSize(nil, 64<<10)
	}
	a.in.Reset(conn)
	return nil
}

// drop ends the connection with a reset, which leaves no port behind.
func (a *attacker) drop() {
	_ = a.conn.(*net.TCPConn).SetLinger(0)
	a.conn.Close()
}

// send sends a stream as mutants do and reads the answers. It is over when the connection is of no further use.
func (a *attacker) send(stream []byte) (over bool, err error) {
	open := a.stage(stream)
	if a.mutator.IntN(100) == 0 { // leaves in the middle of it all
		_ = a.write(a.wire[:a.mutator.IntN(len(a.wire))])
		a.tally.abandoned += int64(len(a.expected))
		return true, nil
	}
	return a.settle(open, a.write(a.wire))
}

// push is send of a stream that was written down: whole.
func (a *attacker) push(stream []byte) (over bool, err error) {
	open := a.stage(stream)
	_, err = a.conn.Write(a.wire)
	return a.settle(open, err)
}

// stage makes a stream ready for the wire and notes what is to be expected of it. It is open when the broker will wait for more.
func (a *attacker) stage(stream []byte) (open bool) {
	before := len(a.expected)
	a.deadline(hangMax)
	a.expected, open = deliver(a.mutator.Rand, stream, a.expected)
	a.judgeUntouched(before)
	a.polite = a.polite && !open // a frame may be refused for what its beginning says
	a.sent[a.sentN] = stream
	a.sentN++
	a.substitute(stream)
	return open
}

// settle reads what a stream that was written is owed.
func (a *attacker) settle(open bool, writeErr error) (over bool, err error) {
	if err := a.read(); err != nil {
		return true, err
	}
	if writeErr != nil {
		return true, a.closeOf(writeErr)
	}
	if len(a.expected) > 0 && a.expected[0].fate == polls {
		a.tally.abandoned += int64(len(a.expected))
		return true, nil
	}
	if open {
		return true, a.halfClose()
	}
	return false, nil
}

// room is a buffer for a stream, kept for whoever wants to send it again.
func (a *attacker) room() []byte {
	if a.sentN == len(a.sent) {
		a.sent = append(a.sent, nil)
	}
	return a.sent[a.sentN][:0]
}

// make is a stream of one to many mutants.
func (a *attacker) make() []byte {
	b := a.room()
	n := 1
	switch a.mutator.IntN(8) {
	case 0:
	case 1:
		n = 1 + a.mutator.IntN(64)
	default:
		n = 1 + a.mutator.IntN(8)
	}
	a.untouched = a.untouched[:0]
	for range n {
		a.correlation++
		start := len(b)
		var t *template
		var untouched bool
		b, t, untouched = a.mutator.frame(b, a.correlation)
		if untouched && !t.silent {
			a.untouched = append(a.untouched, span{start, len(b)})
		}
	}
	return b
}

// substitute copies a stream to the wire and puts what is only known now in place of what stands for it.
func (a *attacker) substitute(stream []byte) {
	a.wire = append(a.wire[:0], stream...)
	b := a.wire
	for from, to := range a.ids {
		for i := bytes.Index(b, from[:]); i >= 0; i = bytes.Index(b, from[:]) {
			copy(b[i:], to[:])
		}
	}
	var standIn, session [4]byte
	binary.BigEndian.PutUint32(standIn[:], uint32(sessionID))
	binary.BigEndian.PutUint32(session[:], uint32(a.session))
	if a.session != sessionID {
		for i := bytes.Index(b, standIn[:]); i >= 0; i = bytes.Index(b, standIn[:]) {
			copy(b[i:], session[:])
		}
	}
}

// judgeUntouched finds the valid requests among the frames as they are delivered.
func (a *attacker) judgeUntouched(from int) {
	next := 0
	for i := from; i < len(a.expected); i++ {
		e := &a.expected[i]
		for next < len(a.untouched) && a.untouched[next].from < e.frame.from {
			next++
		}
		e.untouched = next < len(a.untouched) && a.untouched[next] == e.frame
		a.polite = a.polite && e.untouched
	}
}

// write sends a stream: at once, in a few parts, or byte by byte.
func (a *attacker) write(b []byte) error {
	parts := 1
	switch a.mutator.IntN(40) {
	case 0, 1, 2, 3, 4, 5:
		parts = 2 + a.mutator.IntN(4)
	case 6:
		if len(b) < 300 {
			parts = len(b)
		}
	}
	for ; parts > 1 && len(b) > 1; parts-- {
		n := 1
		if parts < len(b) {
			n = 1 + a.mutator.IntN(len(b)-1)
		}
		if _, err := a.conn.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	_, err := a.conn.Write(b)
	return err
}

// read reads answers until none is owed but those of long polls, and what lies behind them.
func (a *attacker) read() error {
	for a.owed() {
		var head [8]byte
		if _, err := io.ReadFull(a.in, head[:4]); err != nil {
			return a.closeOf(err)
		}
		size := int32(binary.BigEndian.Uint32(head[:4]))
		if size < 4 || size > answerMax {
			return fmt.Errorf("an answer of %d bytes", size)
		}
		if _, err := io.ReadFull(a.in, head[4:]); err != nil {
			return a.closeOf(err)
		}
		e, err := a.match(binary.BigEndian.Uint32(head[4:]))
		if err != nil {
			return err
		}
		if err := a.answer(e, int(size)-4); err != nil {
			return err
		}
	}
	return nil
}

// owed reports whether an answer must come, or the end.
func (a *attacker) owed() bool {
	for i := range a.expected {
		switch a.expected[i].fate {
		case answered, refused:
			if a.hurried {
				a.deadline(hangMax)
			}
			return true
		case polls:
			a.deadline(pollWait)
			return true
		}
	}
	return false
}

func (a *attacker) deadline(d time.Duration) {
	a.hurried = d < hangMax
	_ = a.conn.SetDeadline(time.Now().Add(d))
}

// match finds the frame that an answer belongs to: the next one that is owed an answer.
func (a *attacker) match(correlation uint32) (expected, error) {
	for i, e := range a.expected {
		if e.fate == silent { // also where another frame's correlation id was changed to this one's
			continue
		}
		if e.fate == refused || e.correlation != correlation {
			return e, fmt.Errorf("an answer with correlation id %d where %d (%s, key %d v%d) is next", correlation, e.correlation, e.fate, e.key, e.version)
		}
		for _, s := range a.expected[:i] {
			a.tally.of(s.key).silent++
		}
		a.met.Add(int64(i) + 1)
		a.tally.of(e.key).answered++
		a.expected = a.expected[:copy(a.expected, a.expected[i+1:])]
		return e, nil
	}
	return expected{}, fmt.Errorf("an answer with correlation id %d that nobody waits for", correlation)
}

// answer reads the body of an answer, and some of them closely.
func (a *attacker) answer(e expected, size int) error {
	if cap(a.body) < size {
		a.body = make([]byte, size)
	}
	body := a.body[:size]
	if _, err := io.ReadFull(a.in, body); err != nil {
		return fmt.Errorf("an answer of %d bytes ends early: %w", size, err)
	}
	if id := sessionOf(e, body); id != 0 {
		a.session = id
	}
	if a.dice != nil && a.dice.IntN(checkedOften) > 0 {
		return nil
	}
	return wellFormed(e, body)
}

// closeOf makes of a broken connection what it means.
func (a *attacker) closeOf(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		if len(a.expected) > 0 && a.waitsForPoll() {
			return nil
		}
		return fmt.Errorf("neither answered nor closed in %s", hangMax)
	case a.polite:
		return fmt.Errorf("closed upon valid requests: %w", err)
	}
	return errClosed
}

// waitsForPoll drops what was silent before a long poll and tells whether one is next.
func (a *attacker) waitsForPoll() bool {
	for len(a.expected) > 0 && a.expected[0].fate == silent {
		a.tally.of(a.expected[0].key).silent++
		a.met.Add(1)
		a.expected = a.expected[1:]
	}
	return len(a.expected) > 0 && a.expected[0].fate == polls
}

// closedUpon counts a connection that the broker ended: the first frame without an answer was why.
func (a *attacker) closedUpon() error {
	for len(a.expected) > 1 && a.expected[0].fate == silent {
		a.tally.of(a.expected[0].key).silent++
		a.met.Add(1)
		a.expected = a.expected[1:]
	}
	if len(a.expected) == 0 {
		a.tally.of(-1).closed++
		a.met.Add(1)
		return nil
	}
	a.tally.of(a.expected[0].key).closed++
	a.met.Add(1)
	a.tally.unseen += int64(len(a.expected)) - 1
	return nil
}

// halfClose says that nothing more will come. The broker then owes its answers, all of which were read, and the end.
func (a *attacker) halfClose() error {
	if err := a.conn.(*net.TCPConn).CloseWrite(); err != nil {
		return nil // it is closed already
	}
	n, err := io.Copy(io.Discard, a.in)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return a.wrong(fmt.Errorf("not closed in %s after a half-close", hangMax))
	case n > 0:
		return a.wrong(fmt.Errorf("%d bytes that nobody asked for after a half-close", n))
	}
	for _, e := range a.expected { // silent ones
		a.tally.of(e.key).silent++
		a.met.Add(1)
	}
	a.tally.halfClosed++
	return nil
}

// wrong is an error with what makes it happen again.
func (a *attacker) wrong(err error) error {
	return &Wrong{Seed: a.seed, Attacker: a.number, Connection: a.connections, Streams: a.sent[:a.sentN], Err: err}
}

// Wrong is a broken promise, and all that the connection had sent until then.
type Wrong struct {
	Seed       uint64
	Attacker   int
	Connection uint64
	Streams    [][]byte
	Err        error
}

func (w *Wrong) Error() string {
	return fmt.Sprintf("seed %d, attacker %d, connection %d: %v\n%s", w.Seed, w.Attacker, w.Connection, w.Err, w.Transcript())
}

func (w *Wrong) Unwrap() error { return w.Err }

// Transcript is what was sent in hex, a line for each stream: what testdata holds.
func (w *Wrong) Transcript() string {
	var text bytes.Buffer
	for _, s := range w.Streams {
		fmt.Fprintf(&text, "%x\n", s)
	}
	return text.String()
}
