package conn

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"pinion/engine/shard"
	"pinion/net/kafka/wire"
)

// hearer notes what each request said and answers with nothing.
type hearer struct{ heard []string }

func (h *hearer) Admit(*shard.Turn, *Conn) Attachment { return h }
func (h *hearer) Closed(*shard.Turn)                  {}
func (*hearer) Still() bool                           { return true }
func (*hearer) Release(*shard.Turn, Attachment)       {}
func (*hearer) Adopt(*shard.Turn, Attachment)         {}
func (h *hearer) Generation() uint64                  { return 0 }
func (h *hearer) Handle(t *shard.Turn, r *Request) {
	h.heard = append(h.heard, said(&r.Header))
	r.DoneSilent(t)
}

func said(h *wire.Header) string {
	return fmt.Sprintf("%d %d %d %q %q", h.Key, h.Version, h.Correlation, h.ClientID, h.Body)
}

// framesOf is what a stream says, one frame after the other until one that ends the connection.
func framesOf(stream []byte, requestBytesMax int) (all []string) {
	for len(stream) >= peekBytes {
		size := int(int32(binary.BigEndian.Uint32(stream)))
		key := int16(binary.BigEndian.Uint16(stream[4:]))
		if size < peekBytes-4 || size > wire.FrameBytesMax(key, requestBytesMax) || size > len(stream)-4 {
			break
		}
		h, err := wire.ParseHeader(stream[4 : 4+size])
		if err != nil {
			break
		}
		all = append(all, said(&h))
		stream = stream[4+size:]
	}
	return all
}

// FuzzFrames: whatever comes, and in whatever pieces, the requests begun are the frames in it, in order and up to the first impossible one, and
// nothing is kept of the connection.
func FuzzFrames(f *testing.F) {
	large := binary.BigEndian.AppendUint32(nil, 70_000)
	large = append(large, 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff)
	large = append(large, make([]byte, 70_004-len(large))...)
	two := append(metadataRequest(1), metadataRequest(2)...)
	for _, stream := range [][]byte{nil, two[:3], two, append(two, two[:9]...), large, append(large, two...), large[:40_000],
		{0, 0, 0, 3, 0, 3, 0, 0}, {0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0}, {0xff, 0xff, 0xff, 0xff, 0, 3}, []byte("GET / HTTP/1.1\r\n\r\n"), {0, 0, 0, 4, 0, 99, 0, 0}} {
		f.Add(stream, uint64(1))
	}
	s := startShard(f)
	heard := &hearer{}
	h := newHub(f, s, heard)
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fds[1])
		for _, err := range []error{
			unix.SetNonblock(fds[0], true),
			unix.SetsockoptTimeval(fds[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience.Seconds())}),
			unix.SetsockoptTimeval(fds[1], unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: int64(patience.Seconds())}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		want := framesOf(stream, h.options.RequestBytesMax)
		on(t, s, func(turn *shard.Turn) {
			heard.heard = nil
			h.adopt(turn, &door{hub: h}, fds[0], localhost)
		})
		for rest := stream; len(rest) > 0; {
			n, err := unix.Write(fds[1], rest[:1+rnd.IntN(min(len(rest), 1<<rnd.IntN(17)))])
			if err == unix.EPIPE || err == unix.ECONNRESET {
				break // refused before the end
			}
			if err != nil {
				t.Fatalf("%d bytes not taken: %v", len(rest), err)
			}
			rest = rest[n:]
		}
		_ = unix.Shutdown(fds[1], unix.SHUT_WR) // of a connection that may be gone
		for b := make([]byte, 1024); ; {
			if n, err := unix.Read(fds[1], b); err == unix.EAGAIN {
				t.Fatal("the connection did not end")
			} else if n <= 0 {
				break
			}
		}
		on(t, s, func(*shard.Turn) {
			if fmt.Sprint(heard.heard) != fmt.Sprint(want) {
				t.Errorf("begun: %q\nsent:  %q", heard.heard, want)
			}
			arrival := int64(0)
			if h.arrival != nil {
				arrival = arrivalBytes // the shard's own, for whoever sends next
			}
			if len(h.conns) != 0 || h.small.Used() != arrival || h.large.Used() != 0 || h.response.Used() != 0 {
				t.Errorf("%d connections are left, %d and %d bytes of requests, %d of answers", len(h.conns), h.small.Used(), h.large.Used(), h.response.Used())
			}
		})
	})
}
