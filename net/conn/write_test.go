package conn

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// replier answers every request at once with random pieces, and keeps what it answered.
type replier struct {
	rnd    *rand.Rand
	log    *log.Log
	want   []byte
	begun  int
	leases int

	answered int
}

func (r *replier) Admit(*shard.Turn, *Conn) Attachment { return r }
func (r *replier) Closed(*shard.Turn)                  {}
func (*replier) Still() bool                           { return true }
func (*replier) Release(*shard.Turn, Attachment)       {}
func (*replier) Adopt(*shard.Turn, Attachment)         {}
func (r *replier) Generation() uint64                  { return 0 }
func (r *replier) Handle(t *shard.Turn, request *Request) {
	r.begun++
	request.Done(t, &mixed{replier: r})
}

// mixed is one such answer.
type mixed struct {
	*replier
	spans []log.Span
}

func (m *mixed) Emit(t *shard.Turn, w *Writer) {
	m.answered++
	head := make([]byte, 1+m.rnd.IntN(200))
	for i := range head {
		head[i] = byte(m.rnd.Uint32())
	}
	buffer := w.Room(t, len(head))
	buffer.Bytes = append(buffer.Bytes, head...)
	from := 0
	for range m.rnd.IntN(4) {
		to := from + m.rnd.IntN(len(head)-from+1)
		span, state := m.log.Read(model.Offset(m.rnd.IntN(int(m.log.End()))), m.log.End(), 1+m.rnd.IntN(60_000), true)
		if state != log.ReadOK {
			continue
		}
		m.leases++
		m.spans = append(m.spans, span)
		w.Cut(t, buffer, from, to, span)
		m.want = append(m.want, head[from:to]...)
		content := make([]byte, span.Len)
		if _, err := span.ReadCold(content, 0); err != nil {
			panic(err)
		}
		m.want = append(m.want, content...)
		from = to
	}
	w.Close(buffer, from)
	m.want = append(m.want, head[from:]...)
}

func (m *mixed) Sent(*shard.Turn) { m.giveBack() }
func (m *mixed) Drop(*shard.Turn) { m.giveBack() }

func (m *mixed) giveBack() {
	for _, span := range m.spans {
		m.log.Release(span)
		m.leases--
	}
	m.spans = nil
}

// metadataRequest is a frame that is served alone, so that every answer finds earlier ones still in the output.
func metadataRequest(correlation int32) []byte {
	frame := binary.BigEndian.AppendUint32(nil, 14)
	frame = append(frame, 0, 3, 0, 0)
	frame = binary.BigEndian.AppendUint32(frame, uint32(correlation))
	return append(frame, 0xff, 0xff, 0, 0, 0, 0)
}

// Many pipelined requests, a socket that holds little, and a peer that reads in dribs and drabs: everything arrives as it was queued, by gathering
// writes, by sendfile, and where the kernel refused a mapping; and every lease and block comes home.
func TestRepliesLeaveWholeThroughAShortSocket(t *testing.T) {
	for name, mapped := range map[string]bool{"mapped": true, "without a mapping": false} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			const requests = 150
			s := startShard(t)
			r := &replier{rnd: rand.New(rand.NewPCG(seed, 0))}
			h := newHub(t, s, r)
			on(t, s, func(*shard.Turn) { r.log = newLog(t, mapped, 100, 5000, 20_000, 300, 70_000, 15_000, 10, 40_000) })
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fds[1])
			for _, err := range []error{
				unix.SetNonblock(fds[0], true), unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<10),
				unix.SetsockoptTimeval(fds[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			on(t, s, func(turn *shard.Turn) { h.adopt(turn, &door{hub: h}, fds[0], localhost) })
			for i := range requests {
				if _, err := unix.Write(fds[1], metadataRequest(int32(i))); err != nil {
					t.Fatal(err)
				}
			}
			got := readSlowly(t, s, r, fds[1], requests, seed)
			on(t, s, func(*shard.Turn) {
				if string(got) != string(r.want) {
					t.Errorf("seed %d: %d bytes arrived, not the %d that were queued", seed, len(got), len(r.want))
				}
				if r.leases != 0 {
					t.Errorf("seed %d: %d leases are still out", seed, r.leases)
				}
			})
			on(t, s, func(turn *shard.Turn) {
				h.CloseAll(turn)
				if used := h.response.Used(); used != 0 {
					t.Errorf("seed %d: %d bytes of response memory are still out", seed, used)
				}
			})
		})
	}
}

// readSlowly reads until every request is answered and all answers are in.
func readSlowly(t *testing.T, s *shard.Shard, r *replier, fd, requests int, seed uint64) []byte {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	var got []byte
	buffer := make([]byte, 64<<10)
	for end := time.Now().Add(patience); ; {
		n, err := unix.Read(fd, buffer[:1+rnd.IntN(len(buffer))])
		if err != nil && err != unix.EAGAIN || n == 0 || time.Now().After(end) {
			t.Fatalf("seed %d: read %d after %d bytes: %v", seed, n, len(got), err)
		}
		got = append(got, buffer[:max(n, 0)]...)
		done := false
		if n < 2048 { // nothing more, perhaps
			on(t, s, func(*shard.Turn) { done = r.begun == requests && len(got) >= len(r.want) && r.leases == 0 })
		}
		if done {
			return got
		}
	}
}

// lostEnd answers with spans of a log that has lost the last of them, and hears of it.
type lostEnd struct {
	replier
	spans   []log.Span
	spoiled chan log.Span
}

func (l *lostEnd) Admit(*shard.Turn, *Conn) Attachment { return l }
func (l *lostEnd) Handle(t *shard.Turn, r *Request)    { r.Done(t, l) }
func (l *lostEnd) Spoil(span log.Span, _ int)          { l.spoiled <- span }
func (l *lostEnd) Sent(*shard.Turn)                    {}
func (l *lostEnd) Drop(*shard.Turn)                    {}
func (l *lostEnd) Emit(t *shard.Turn, w *Writer) {
	b := w.Room(t, 0)
	for _, span := range l.spans {
		span.Fresh = t.Now().Mono.Add(time.Hour) // nobody looks whether it is in memory
		w.Cut(t, b, 0, 0, span)
	}
	w.Close(b, 0)
}

// A write that ends before a page that cannot be read is short as well, and the socket takes more: the rest is gone into at once.
func TestAShortWriteBeforeAnUnreadablePage(t *testing.T) {
	s := startShard(t)
	l := &lostEnd{spoiled: make(chan log.Span, 1)}
	h := newHub(t, s, l)
	on(t, s, func(*shard.Turn) {
		sizes := []int{15_000, 15_000, 15_000, 15_000, 15_000, 15_000, 15_000, 15_000}
		orders := newLog(t, true, sizes...)
		for offset := range sizes {
			span, state := orders.Read(model.Offset(offset), orders.End(), 1, true)
			if state != log.ReadOK {
				t.Fatal(state)
			}
			l.spans = append(l.spans, span)
		}
		last := l.spans[len(l.spans)-1]
		if err := unix.Ftruncate(last.Fd(), last.Pos); err != nil {
			t.Fatal(err)
		}
	})
	peer := joined(t, s, h)
	defer on(t, s, h.CloseAll)
	if _, err := peer.Write(metadataRequest(1)); err != nil {
		t.Fatal(err)
	}
	select {
	case span := <-l.spoiled:
		if want := l.spans[len(l.spans)-1]; !span.Begins(want) {
			t.Errorf("offset %d could not be read, want %d", span.Offset, want.Offset)
		}
	case <-time.After(patience / 4):
		t.Error("nobody hears of what cannot be read")
	}
}
