package conn

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pinion/engine/shard"
)

// TestEveryConnectionIsLookedAt has more connections than one turn looks at: all that are idle go, those that are not stay, and the next one after
// a time without any is looked at as well.
func TestEveryConnectionIsLookedAt(t *testing.T) {
	s := startShard(t)
	h := newHub(t, s, &hearer{})
	h.options.IdleMax = 50 * time.Millisecond
	var peers []int
	t.Cleanup(func() {
		on(t, s, h.CloseAll)
		for _, fd := range peers {
			_ = unix.Close(fd)
		}
	})
	open := func(turn *shard.Turn) *Conn {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return nil
		}
		peers = append(peers, fds[1])
		h.adopt(turn, &door{hub: h}, fds[0], localhost)
		return h.conns[len(h.conns)-1]
	}
	const all, busy = 2*lookStep + 100, 100
	kept := map[*Conn]bool{}
	on(t, s, func(turn *shard.Turn) {
		for i := range all {
			if c := open(turn); i%(all/busy) == 0 && len(kept) < busy {
				c.heard = turn.Now().Mono.Add(time.Hour)
				kept[c] = true
			}
		}
	})
	left := func(want int) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			n := 0
			on(t, s, func(turn *shard.Turn) {
				n = len(h.conns)
				for i, c := range h.conns {
					if int(c.at) != i || !kept[c] && n == want {
						t.Errorf("connection %d knows place %d, busy %v", i, c.at, kept[c])
					}
				}
			})
			if n == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d connections are left, want %d", n, want)
			}
		}
	}
	left(busy)
	on(t, s, h.CloseAll)
	left(0)
	on(t, s, func(turn *shard.Turn) { open(turn) })
	left(0)
}
