package shard

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pinion/engine/clock"
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

// News of slow descriptors comes in one turn, and comes: also of one that was ready when it became slow, that is fast again, or that is
// forgotten while it is slow.
func TestSlowDescriptorsAreLookedAtTogether(t *testing.T) {
	set := startSet(t, 1)
	const count = 5
	var handles [count]Handle
	var reads, writes [count]int
	for i := range count {
		reads[i], writes[i] = pipe(t)
	}
	turns := make(chan clock.Mono, 4*count)
	on(t, set, 0, func(turn *Turn) {
		for i := range count {
			var err error
			handles[i], err = turn.Watch(reads[i], source(func(turn *Turn, _ uint32) { turns <- turn.Now().Mono }))
			if err != nil {
				t.Error(err)
			}
			if i == 0 {
				poke(t, writes[i]) // it is ready before it is slow
			}
			turn.Slow(reads[i], handles[i], true)
			turn.Slow(reads[i], handles[i], true) // says nothing new
		}
	})
	told := func(what string) clock.Mono {
		t.Helper()
		select {
		case at := <-turns:
			return at
		case <-time.After(patience):
			t.Fatalf("%s: nobody was told", what)
			return 0
		}
	}
	told("ready before it was slow")
	on(t, set, 0, func(*Turn) { // the shard collects nothing before this turn is over
		for i := range count {
			poke(t, writes[i])
		}
	})
	first := told("slow")
	for range count - 1 {
		if at := told("slow"); at != first {
			t.Errorf("told in turns %v apart", at.Sub(first))
		}
	}
	on(t, set, 0, func(turn *Turn) {
		turn.Slow(reads[1], handles[1], false)
		turn.Unwatch(reads[2], handles[2])
	})
	told("fast again, and still ready") // a descriptor that changes its place is told of again
	poke(t, writes[2])
	poke(t, writes[1])
	told("fast again")
	poke(t, writes[3])
	told("slow, after others went")
	if len(turns) != 0 {
		t.Error("somebody was told of a descriptor that is not watched")
	}
	on(t, set, 0, func(turn *Turn) {
		for _, i := range []int{0, 1, 3, 4} {
			turn.Unwatch(reads[i], handles[i])
		}
	})
}
