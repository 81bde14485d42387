package conn

import (
	"io"
	"os"
	"testing"
	"time"

	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/shard"
)

// doubtful joins a peer whose fetches are answered with one span that helpers read, as if it were not in memory.
func doubtful(t *testing.T, s *shard.Shard) (*Hub, *os.File, log.Span) {
	t.Helper()
	l := &lostEnd{spoiled: make(chan log.Span, 1)}
	h := newHub(t, s, l)
	on(t, s, func(*shard.Turn) {
		orders := newLog(t, true, 150_000)
		span, state := orders.Read(0, orders.End(), 1, true)
		if state != log.ReadOK {
			t.Fatal(state)
		}
		l.spans = []log.Span{span}
	})
	peer := joined(t, s, h)
	on(t, s, func(*shard.Turn) { h.conns[0].out.doubt = true })
	return h, peer, l.spans[0]
}

// fetchRequest is one that memory that is spent does not keep from beginning.
func fetchRequest() []byte {
	request := metadataRequest(1)
	copy(request[4:], []byte{0, 1, 0, 4})
	return request
}

// Whoever waits for memory to read cold records into holds next to none, and the peer takes whatever comes: others are not helped by its end, and
// it is not to blame however long that takes.
func TestWaitingForMemoryIsNotDawdling(t *testing.T) {
	s := startShard(t)
	h, peer, span := doubtful(t, s)
	defer on(t, s, h.CloseAll)
	on(t, s, func(*shard.Turn) {
		h.response.Force(h.response.Limit)
		h.step.Force(h.step.Limit)
	})
	if _, err := peer.Write(fetchRequest()); err != nil {
		t.Fatal(err)
	}
	wait := func() {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			waits := false
			on(t, s, func(*shard.Turn) { waits = len(h.conns) == 1 && h.conns[0].parched && !h.conns[0].out.empty() })
			if waits {
				return
			}
			if time.Now().After(end) {
				t.Fatal("it does not wait for memory")
			}
		}
	}
	wait()
	on(t, s, func(turn *shard.Turn) { h.conns[0].out.moved = turn.Now().Mono }) // as if some of the answer had left
	time.Sleep(reliefAfter + 3*reliefEvery)
	wait()
	on(t, s, func(turn *shard.Turn) {
		c := h.conns[0]
		c.out.moved -= clock.Mono(time.Hour)
		if c.lookAt(turn); c.closed {
			t.Fatal("taken for one that does not read")
		}
		h.response.Return(turn, h.response.Limit)
	})
	if _, err := io.ReadFull(peer, make([]byte, span.Len)); err != nil {
		t.Fatal(err)
	}
}

// What lies before cold records and behind them can take all response memory: then helpers still read, for one connection at a time.
func TestColdRecordsLeaveWhateverWaits(t *testing.T) {
	s := startShard(t)
	h, peer, span := doubtful(t, s)
	defer on(t, s, h.CloseAll)
	on(t, s, func(*shard.Turn) { h.response.Force(2 * h.response.Limit) }) // by answers that wait for memory, too
	if _, err := peer.Write(fetchRequest()); err != nil {
		t.Fatal(err)
	}
	if err := peer.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.ReadFull(peer, make([]byte, span.Len)); err != nil {
		t.Fatalf("%d bytes of %d: %v", n, span.Len, err)
	}
}

// Memory may be refused by the kernel although the budget has it: nothing comes back then that would tell those who wait.
func TestWhoTheKernelRefusedTriesAgain(t *testing.T) {
	s := startShard(t)
	k := &keeper{}
	h := newHub(t, s, k)
	peer := joined(t, s, h)
	on(t, s, func(turn *shard.Turn) {
		h.conns[0].thirst(turn, &h.small) // as where Pool.Take gives nothing
	})
	defer on(t, s, h.CloseAll)
	if _, err := peer.Write(metadataRequest(1)); err != nil {
		t.Fatal(err)
	}
	k.answer(t, s, 1)
}
