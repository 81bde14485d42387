package conn

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pinion/engine/model"
	"pinion/engine/shard"
	"pinion/net/listen"
)

// wanderer is one shard's handler: its requests ask the shard that all want to go to, and are answered with their number and where that was.
type wanderer struct {
	to    *atomic.Int32
	calm  bool
	moved atomic.Int64
}

func (w *wanderer) Admit(*shard.Turn, *Conn) Attachment { return w }
func (w *wanderer) Closed(*shard.Turn)                  {}
func (w *wanderer) Still() bool                         { return true }
func (w *wanderer) Release(*shard.Turn, Attachment)     { w.moved.Add(1) }
func (w *wanderer) Adopt(*shard.Turn, Attachment)       {}
func (w *wanderer) Generation() uint64                  { return 0 }

func (w *wanderer) Handle(t *shard.Turn, r *Request) {
	r.Conn().Asking(t, model.ShardID(w.to.Load()))
	if w.calm {
		r.Calm()
	}
	answer := binary.BigEndian.AppendUint32(nil, uint32(r.Correlation))
	r.Done(t, &numbered{append(answer, byte(t.Shard()))})
}

// numbered is such an answer.
type numbered struct{ bytes []byte }

func (n *numbered) Emit(_ *shard.Turn, w *Writer) { w.Lend(n.bytes) }
func (n *numbered) Sent(*shard.Turn)              {}
func (n *numbered) Drop(*shard.Turn)              {}

// crowded starts hubs on two shards, between which connections move.
func crowded(t *testing.T) (set *shard.Set, hubs [2]*Hub, handlers [2]*wanderer) {
	t.Helper()
	set = startShards(t, len(hubs))
	limits, err := listen.NewLimits(-1, -1, nil)
	if err != nil {
		t.Fatal(err)
	}
	crowd, to := NewCrowd(set), &atomic.Int32{}
	for i := range hubs {
		s := set.Shard(model.ShardID(i))
		handlers[i] = &wanderer{to: to}
		on(t, s, func(turn *shard.Turn) {
			hubs[i] = NewHub(turn, Options{
				RequestBytesMax: 100 << 20, RequestBudget: 8 << 20, ResponseBudget: 8 << 20, IdleMax: -1, Limits: limits, Crowd: crowd,
				Log: slog.New(slog.DiscardHandler),
			}, handlers[i])
			s.AtEnd(hubs[i])
		})
	}
	return set, hubs, handlers
}

// Connections that ask one other shard for everything go there while they are used, hear every answer once and in order, and come back when they ask for
// the first again; ones that close on their way leave nothing behind.
func TestConnectionsGoWhereTheyAsk(t *testing.T) {
	t.Run("in a hurry", func(t *testing.T) { goWhereTheyAsk(t, false) })
	t.Run("calm", func(t *testing.T) { goWhereTheyAsk(t, true) })
}

func goWhereTheyAsk(t *testing.T, calm bool) {
	const peers = 3 // as many as may go where nobody is
	set, hubs, handlers := crowded(t)
	handlers[0].calm, handlers[1].calm = calm, calm
	to := handlers[0].to
	to.Store(1)
	var clients sync.WaitGroup
	var homes [peers]atomic.Int32 // where the last answer came from
	deadline := time.Now().Add(patience)
	reached := func(home int32) bool {
		for i := range homes {
			if homes[i].Load() != home {
				return false
			}
		}
		return true
	}
	stop := make(chan struct{})
	for i := range peers {
		homes[i].Store(-1)
		peer := joined(t, set.Shard(0), hubs[0])
		rnd := rand.New(rand.NewPCG(uint64(i), 7))
		clients.Go(func() {
			defer peer.Close()
			_ = peer.SetDeadline(deadline)
			answer := make([]byte, 5)
			for next := int32(0); ; {
				select {
				case <-stop:
					return
				default:
				}
				// A few together, cut anywhere, so that some arrive in pieces.
				count := 1 + rnd.Int32N(3)
				var burst []byte
				for n := range count {
					burst = append(burst, metadataRequest(next+n)...)
				}
				cut := rnd.IntN(len(burst))
				for _, part := range [][]byte{burst[:cut], burst[cut:]} {
					if _, err := peer.Write(part); err != nil {
						t.Errorf("peer %d: %v", i, err)
						return
					}
				}
				for range count {
					if _, err := io.ReadFull(peer, answer); err != nil {
						t.Errorf("peer %d, request %d: %v", i, next, err)
						return
					}
					if !bytes.Equal(answer[:4], binary.BigEndian.AppendUint32(nil, uint32(next))) {
						t.Errorf("peer %d: answer %x where that of request %d was due", i, answer, next)
						return
					}
					homes[i].Store(int32(answer[4]))
					next++
				}
				time.Sleep(time.Duration(rnd.IntN(2)) * time.Millisecond) // a connection moves between two requests
			}
		})
	}
	for _, home := range []int32{1, 0} {
		to.Store(home)
		for !reached(home) && !t.Failed() {
			if time.Now().After(deadline) {
				t.Fatalf("not all are on shard %d", home)
			}
			time.Sleep(time.Millisecond) // looks again, until the deadline
		}
	}
	to.Store(1)
	time.Sleep(leanAfter) // some are under way when they close
	close(stop)
	clients.Wait()
	for i, h := range hubs {
		for left := -1; left != 0; {
			on(t, set.Shard(model.ShardID(i)), func(*shard.Turn) { left = len(h.conns) })
			if time.Now().After(deadline) {
				t.Fatalf("%d connections are left on shard %d", left, i)
			}
		}
	}
	if moved := handlers[0].moved.Load() + handlers[1].moved.Load(); moved < 2*peers {
		t.Errorf("%d moves of %d connections there and back", moved, peers)
	}
}

// Where far more connections are than at home none is taken in, nor is one that has come to the port of its shard.
func TestConnectionsThatStay(t *testing.T) {
	set, hubs, handlers := crowded(t)
	handlers[0].to.Store(1)
	const crowd, asking = 12, 3
	for range crowd {
		joined(t, set.Shard(1), hubs[1])
	}
	var peers []*os.File
	for range asking {
		peers = append(peers, joined(t, set.Shard(0), hubs[0]))
	}
	ask := func() {
		for began := time.Now(); time.Since(began) < 2*leanAfter; time.Sleep(5 * time.Millisecond) {
			for i, p := range peers {
				_ = p.SetDeadline(time.Now().Add(patience))
				if _, err := p.Write(metadataRequest(1)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(p, make([]byte, 5)); err != nil {
					t.Fatalf("peer %d: %v", i, err)
				}
			}
		}
	}
	ask()
	if n := handlers[0].moved.Load(); n != 0 {
		t.Fatalf("%d of %d went where %d are", n, asking, crowd)
	}
	on(t, set.Shard(1), func(turn *shard.Turn) { hubs[1].CloseAll(turn) })
	on(t, set.Shard(0), func(*shard.Turn) {
		hubs[0].conns[0].endpoint = &Endpoint{Core: true}
		hubs[0].conns[1].endpoint = &Endpoint{Core: true}
	})
	ask()
	if n := handlers[0].moved.Load(); n != 1 {
		t.Errorf("%d of %d went, of which one was free to", n, asking)
	}
}
