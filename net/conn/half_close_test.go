package conn

import (
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"pinion/engine/shard"
)

// A peer that sends its last bytes and the end together is told of once, in one edge: it gets its answers and the end, at once.
func TestAnEndThatComesWithTheLastBytesIsSeen(t *testing.T) {
	whole := metadataRequest(1)
	produce, unknown := metadataRequest(2), metadataRequest(3)
	copy(produce[4:], []byte{0, 0, 0, 9, 0, 0, 0, 2, 0xff, 0xff, 0}) // version 9: flexible
	copy(unknown[4:], []byte{0, 0, 0, 99})                           // a version that is not served
	for name, row := range map[string]struct {
		sent  []byte
		begun int
	}{
		"nothing": {nil, 0}, "a request": {whole, 1}, "two requests": {slices.Concat(whole, whole), 2},
		"half a header": {whole[:3], 0}, "half a request": {whole[:11], 0}, "a request and a half": {slices.Concat(whole, whole[:11]), 1},
		// What ends a connection is found while requests before it are being served: they are answered, what follows is not looked at.
		"a request and an impossible length":              {slices.Concat(whole, []byte{0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0}, whole), 1},
		"a request and the start of an impossible length": {slices.Concat(whole, []byte{0x7f, 0xff, 0xff, 0xff, 0}), 1},
		"two produces and one of an unknown version":      {slices.Concat(produce, produce, unknown, produce), 2},
	} {
		sent := row.sent
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
				if want := row.begun; r.begun != want || r.answered != want || string(got) != string(r.want) {
					t.Errorf("%d requests begun, want %d, %d answered; %d bytes of answers, want %d", r.begun, want, r.answered, len(got), len(r.want))
				}
				if len(h.conns) != 0 {
					t.Errorf("%d connections are left", len(h.conns))
				}
			})
		})
	}
}
