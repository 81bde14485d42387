package conn

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"pinion/engine/shard"
)

// A peer that sends its last bytes and the end together is told of once, in one edge: it gets its answers and the end, at once.
func TestAnEndThatComesWithTheLastBytesIsSeen(t *testing.T) {
	whole := metadataRequest(1)
	for name, sent := range map[string][]byte{
		"nothing": nil, "a request": whole, "two requests": append(metadataRequest(0), whole...),
		"half a header": whole[:3], "half a request": whole[:11], "a request and a half": append(metadataRequest(0), whole[:11]...),
	} {
		t.Run(name, func(t *testing.T) {
			s := startShard(t)
			r := &replier{rnd: rand.New(rand.NewPCG(1, 1))}
			h := newHub(t, s, r)
			on(t, s, func(*shard.Turn) { r.log = newLog(t, true, 100, 5000) })
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fds[1])
			for _, err := range []error{
				unix.SetNonblock(fds[0], true),
				unix.SetsockoptTimeval(fds[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience.Seconds())}),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := unix.Write(fds[1], sent); err != nil {
				t.Fatal(err)
			}
			if err := unix.Shutdown(fds[1], unix.SHUT_WR); err != nil {
				t.Fatal(err)
			}
			on(t, s, func(turn *shard.Turn) { h.adopt(turn, &door{hub: h}, fds[0], localhost) })
			var got []byte
			b := make([]byte, 64<<10)
			for {
				n, err := unix.Read(fds[1], b)
				if err != nil {
					t.Fatalf("no end after %d bytes: %v", len(got), err)
				}
				if n == 0 {
					break
				}
				got = append(got, b[:n]...)
			}
			on(t, s, func(*shard.Turn) {
				if want := len(sent) / len(whole); r.begun != want || string(got) != string(r.want) {
					t.Errorf("%d requests begun, want %d; %d bytes of answers, want %d", r.begun, want, len(got), len(r.want))
				}
				if len(h.conns) != 0 {
					t.Errorf("%d connections are left", len(h.conns))
				}
			})
		})
	}
}
