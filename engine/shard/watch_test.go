package shard

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[0], p[1]
}

func poke(t *testing.T, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, []byte{1}); err != nil {
		t.Error(err)
	}
}

type source func(t *Turn, events uint32)

func (s source) Ready(t *Turn, events uint32) { s(t, events) }

// Two descriptors are ready in one turn. The first one's source forgets the second and watches a third, which gets the second's place: the
// second's event must reach nobody.
func TestEventOfAForgottenDescriptorReachesNobody(t *testing.T) {
	set := startSet(t, 1)
	aRead, aWrite := pipe(t)
	bRead, bWrite := pipe(t)
	cRead, cWrite := pipe(t)
	var a, b, c Handle
	var calls []string
	woken, done := make(chan struct{}), make(chan struct{})
	on(t, set, 0, func(turn *Turn) {
		var err error
		forget := source(func(turn *Turn, _ uint32) {
			calls = append(calls, "a")
			turn.Unwatch(bRead, b)
			if c, err = turn.Watch(cRead, source(func(*Turn, uint32) { calls = append(calls, "c"); close(done) })); err != nil {
				t.Error(err)
			}
			if uint32(c) != uint32(b) || c == b {
				t.Errorf("handle %x after %x: the place is not taken over, the test proves nothing", c, b)
			}
			close(woken)
		})
		if a, err = turn.Watch(aRead, forget); err != nil {
			t.Error(err)
		}
		if b, err = turn.Watch(bRead, source(func(*Turn, uint32) { calls = append(calls, "b") })); err != nil {
			t.Error(err)
		}
		poke(t, aWrite)
		poke(t, bWrite)
	})
	await(t, woken)
	on(t, set, 0, func(*Turn) {
		if got := strings.Join(calls, ""); got != "a" {
			t.Errorf("called %q", got)
		}
	})
	poke(t, cWrite)
	await(t, done)
	on(t, set, 0, func(turn *Turn) {
		turn.Unwatch(aRead, a)
		turn.Unwatch(cRead, c)
		defer func() {
			if r := recover(); r == nil {
				t.Error("a descriptor was forgotten twice and nobody noticed")
			}
		}()
		turn.Unwatch(cRead, c)
	})
}

// A descriptor that cannot be watched leaves no trace: its place is free for the next.
func TestFailedWatchGivesItsPlaceBack(t *testing.T) {
	set := startSet(t, 1)
	r, _ := pipe(t)
	on(t, set, 0, func(turn *Turn) {
		if _, err := turn.Watch(-1, source(func(*Turn, uint32) {})); err == nil {
			t.Error("watched descriptor -1")
		}
		h, err := turn.Watch(r, source(func(*Turn, uint32) {}))
		if err != nil || uint32(h) != 0 {
			t.Errorf("handle %x, %v", h, err)
		}
		turn.Unwatch(r, h)
	})
}
