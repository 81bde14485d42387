package main_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// keyVersion is one version of one API key.
type keyVersion struct{ key, version int16 }

// wiretap notes which versions of which keys really went over its connections, and which of them were answered. It reads request
// headers from what the client writes, so it does not depend on what the client says it sends.
type wiretap struct {
	mu       sync.Mutex // guards the maps
	sent     map[keyVersion]int
	answered map[keyVersion]int
}

func newWiretap() *wiretap {
	return &wiretap{sent: map[keyVersion]int{}, answered: map[keyVersion]int{}}
}

// dial is a client's dialer.
func (w *wiretap) dial() kgo.Opt {
	var d net.Dialer
	return kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, host)
		if err != nil {
			return nil, err
		}
		return &tapped{Conn: c, tap: w, out: frames{look: requestHead}, in: frames{look: answerHead}, asked: map[int32]keyVersion{}}, nil
	})
}

func (w *wiretap) count(m map[keyVersion]int, kv keyVersion) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m[kv]++
}

// list writes the versions in m, for people.
func list(m map[keyVersion]int) string {
	var parts []string
	for kv := range m {
		parts = append(parts, fmt.Sprintf("%d v%d", kv.key, kv.version))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// tapped is a connection of a client.
type tapped struct {
	net.Conn
	tap     *wiretap
	out, in frames
	mu      sync.Mutex // guards asked: one goroutine writes, another reads
	asked   map[int32]keyVersion
}

func (c *tapped) Write(b []byte) (int, error) {
	c.out.feed(b, func(head []byte) {
		kv := keyVersion{int16(binary.BigEndian.Uint16(head)), int16(binary.BigEndian.Uint16(head[2:]))}
		c.tap.count(c.tap.sent, kv)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked[int32(binary.BigEndian.Uint32(head[4:]))] = kv
	})
	return c.Conn.Write(b)
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.feed(b[:n], func(head []byte) {
		c.mu.Lock()
		correlation := int32(binary.BigEndian.Uint32(head))
		kv, ok := c.asked[correlation]
		delete(c.asked, correlation)
		c.mu.Unlock()
		if ok {
			c.tap.count(c.tap.answered, kv)
		}
	})
	return n, err
}

// frames finds the first bytes of every frame in a stream.
type frames struct {
	look int // how much of a frame is looked at; no frame is shorter
	head []byte
	left int // of the current frame, once its length is known
}

// What is looked at: key, version and correlation id of a request, the correlation id of an answer.
const (
	requestHead = 8
	answerHead  = 4
)

func (f *frames) feed(b []byte, each func(head []byte)) {
	for len(b) > 0 {
		if f.left > 0 && len(f.head) == 4+f.look {
			n := min(f.left, len(b))
			b, f.left = b[n:], f.left-n
			if f.left == 0 {
				f.head = f.head[:0]
			}
			continue
		}
		n := min(4+f.look-len(f.head), len(b))
		if len(f.head) < 4 {
			n = min(4-len(f.head), len(b))
		}
		f.head, b = append(f.head, b[:n]...), b[n:]
		switch len(f.head) {
		case 4:
			f.left = int(binary.BigEndian.Uint32(f.head))
		case 4 + f.look:
			each(f.head[4:])
			if f.left -= f.look; f.left == 0 {
				f.head = f.head[:0]
			}
		}
	}
}
