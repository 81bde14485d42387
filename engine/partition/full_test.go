package partition

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pinion/engine/shard"
)

// noMoreJournals has the disk refuse further files of the journal.
func (r *rig) noMoreJournals() {
	r.dir.fail(func(op, path string) error {
		if op == "create" && strings.HasPrefix(path, "journal/") {
			return fmt.Errorf("%s: %w", path, errNoSpace)
		}
		return nil
	})
}

// Where the disk has no space for another journal file the ones there are must do: what they hold is synced, and they are used again.
func TestJournalOfFewFilesIsUsedAgain(t *testing.T) {
	r := newFsyncRig(t, 1)
	r.noMoreJournals()
	for i := range 700 { // more than the two files that there are
		c := r.safeAppend(&trace{}, "small", 0, 1600)
		c.ask.Timeout = 2 * time.Second
		if n := len(c.ask.Batch); n >= r.journal.Options().SyncMin {
			t.Fatalf("%d bytes", n)
		}
		r.post(c)
		r.await(c.done, "append")
		if c.ask.Code != OK {
			t.Fatalf("append %d: code %d; %+v", i, c.ask.Code, r.journal.Stats())
		}
	}
}

// A journal that waited for a disk that was full goes on when that has space again, though everybody who was told of it has given up meanwhile.
func TestJournalGoesOnWhenTheDiskHasSpace(t *testing.T) {
	r := newFsyncRig(t, 1)
	r.noMoreJournals()
	var calls []*appendCall
	for range 60 { // more than the files there are and all that a shard gathers
		var some []*appendCall
		for range 10 {
			c := r.safeAppend(&trace{}, "small", 0, 1600)
			c.ask.Timeout = 100 * time.Millisecond
			some = append(some, c)
		}
		r.post(some...)
		r.on(owner, func(*shard.Turn) {})
		calls = append(calls, some...)
	}
	r.until("nobody waits for an acknowledgement any more", func(*shard.Turn) bool { return len(r.set.parked) == 0 })
	r.dir.fail(nil)
	for i, c := range calls {
		select {
		case <-c.done:
		case <-time.After(5 * time.Second):
			t.Fatalf("append %d never comes home", i)
		}
	}
}

// Where there is no space for the first file of the journal small appends are refused, before anything of them is stored, until there is.
func TestAppendsAreRefusedWhereTheJournalHasNoSpace(t *testing.T) {
	r := newRigWith(t, 8, memory)
	r.createWith("safe", durableID, 1, map[string]string{"pinion.durability": "fsync"})
	r.noMoreJournals()
	first := r.safeAppend(&trace{}, "first", 0, 1)
	first.ask.Timeout = patience // it is stored, and waits
	r.post(first)
	r.until("the journal has found no space", func(*shard.Turn) bool { return r.journal.Homeless() })
	end := r.marks(0).End
	for range 3 {
		c := r.safeAppend(&trace{}, "refused", 0, 1)
		c.ask.Timeout = patience
		r.post(c)
		r.await(c.done, "the refusal")
		if c.ask.Code != NoSpace {
			t.Fatalf("code %d", c.ask.Code)
		}
	}
	if got := r.marks(0).End; got != end {
		t.Errorf("ends at %d, was %d", got, end)
	}
	r.dir.fail(nil)
	r.await(first.done, "the first append")
	if first.ask.Code != OK {
		t.Errorf("the first append: code %d", first.ask.Code)
	}
	c := r.safeAppend(&trace{}, "next", 0, 1)
	r.post(c)
	r.await(c.done, "the next append")
	if c.ask.Code != OK {
		t.Errorf("code %d", c.ask.Code)
	}
}
