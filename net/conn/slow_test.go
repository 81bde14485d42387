package conn

import (
	"slices"
	"testing"
	"time"

	"pinion/engine/clock"
	"pinion/engine/shard"
)

// keeper holds every request until it is told to answer.
type keeper struct {
	replier
	held []*Request
}

func (k *keeper) Admit(*shard.Turn, *Conn) Attachment { return k }
func (k *keeper) Handle(_ *shard.Turn, r *Request)    { k.held = append(k.held, r) }

// answer waits for the request with a number, from one on, and answers it.
func (k *keeper) answer(t *testing.T, s *shard.Shard, number int) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		begun := false
		on(t, s, func(turn *shard.Turn) {
			if begun = len(k.held) == number; begun {
				k.held[number-1].DoneSilent(turn)
			}
		})
		if begun {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("request %d is never begun", number)
		}
	}
}

// A frame that came in two pieces and is whole waits for the answer to the one before it. That is not its sender's doing, however long it takes.
func TestAWholeFrameIsNotSlow(t *testing.T) {
	s := startShard(t)
	k := &keeper{}
	h := newHub(t, s, k)
	h.options.StallMax = 40 * time.Millisecond
	peer := joined(t, s, h)
	defer on(t, s, h.CloseAll)
	send := func(b []byte) {
		if _, err := peer.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	second := metadataRequest(2)
	send(slices.Concat(metadataRequest(1), second[:11]))
	time.Sleep(5 * time.Millisecond)
	send(second[11:])
	time.Sleep(10 * h.options.StallMax)
	on(t, s, func(*shard.Turn) {
		if len(h.conns) != 1 {
			t.Error("the connection is gone")
		}
	})
	k.answer(t, s, 1)
	k.answer(t, s, 2)
}

// Memory that a frame waits for is not its sender's to have: the time until it is there does not count.
func TestAFrameThatWaitsForMemoryIsNotSlow(t *testing.T) {
	s := startShard(t)
	k := &keeper{}
	h := newHub(t, s, k)
	peer := joined(t, s, h)
	defer on(t, s, h.CloseAll)
	frame := slices.Concat(metadataRequest(1), make([]byte, 100))
	frame[3] = byte(len(frame) - 4)
	send := func(b []byte) {
		if _, err := peer.Write(b); err != nil {
			t.Fatal(err)
		}
		on(t, s, func(*shard.Turn) {})
	}
	send(frame[:5])
	on(t, s, func(*shard.Turn) {
		h.small.Force(h.small.Limit)
		h.last.Force(h.last.Limit)
	})
	send(frame[5:50])
	on(t, s, func(turn *shard.Turn) {
		c := h.conns[0]
		if !c.parched || c.frame.earlyN == 0 {
			t.Fatalf("waits for memory: %v, %d bytes are known", c.parched, c.frame.earlyN)
		}
		c.frame.since -= clock.Mono(time.Hour) // and has for an hour
		c.lookAt(turn)
		if c.closed {
			t.Fatal("taken for slow")
		}
		h.small.Return(turn, h.small.Limit)
	})
	send(frame[50:])
	k.answer(t, s, 1)
}
