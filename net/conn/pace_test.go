package conn

import (
	"testing"

	"golang.org/x/sys/unix"

	"pinion/engine/shard"
)

// calmer answers everything with nothing; what it is told to be calm about is.
type calmer struct{ calm bool }

func (c *calmer) Handle(t *shard.Turn, r *Request) {
	if c.calm {
		r.Calm()
	}
	r.DoneSilent(t)
}

func (*calmer) Generation() uint64 { return 0 }

func (c *calmer) Admit(*shard.Turn, *Conn) Attachment { return c }

func (*calmer) Closed(*shard.Turn)              {}
func (*calmer) Still() bool                     { return true }
func (*calmer) Release(*shard.Turn, Attachment) {}
func (*calmer) Adopt(*shard.Turn, Attachment)   {}

// A connection is slow after some requests in a row that nobody waits for, is served then as before, and is fast again with the next other one.
func TestCalmConnectionsAreSlow(t *testing.T) {
	s := startShard(t)
	handler := &calmer{}
	h := newHub(t, s, handler)
	peer := joined(t, s, h)
	var c *Conn
	on(t, s, func(turn *shard.Turn) {
		c = h.conns[0]
	})
	served := uint64(0)
	for i, step := range []struct {
		calm bool
		slow bool // afterwards
	}{
		{true, false}, {true, false}, {true, false}, {false, false}, {true, false}, {true, false}, {true, false}, {true, true}, {true, true},
		{false, false}, {true, false}, {true, false}, {true, false}, {true, true},
	} {
		on(t, s, func(*shard.Turn) { handler.calm = step.calm })
		if _, err := peer.Write(metadataRequest(int32(i))); err != nil {
			t.Fatal(err)
		}
		served++
		for count := uint64(0); count < served; {
			on(t, s, func(*shard.Turn) {
				count = 0
				for _, n := range h.stats.Requests {
					count += n
				}
				if count == served && c.pace.slow != step.slow {
					t.Errorf("after request %d slow is %v, want %v", i, c.pace.slow, step.slow)
				}
			})
		}
	}
	if err := unix.Shutdown(int(peer.Fd()), unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	for left := 1; left > 0; { // a slow one is told of the end as well
		on(t, s, func(*shard.Turn) { left = len(h.conns) })
	}
}
