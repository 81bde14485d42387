package partition

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pinion/disk/faulty"
	"pinion/disk/journal"
	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// folders lists the partition folders of a topic that are left, those being deleted included.
func (r *rig) foldersOf(topic string) []string {
	r.t.Helper()
	entries, err := r.dir.Dir.List(".")
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name, topic+"-") {
			names = append(names, e.Name)
		}
	}
	return names
}

// gone waits until nothing is left of a topic: no folder, and no claim on one.
func (r *rig) gone(topic string) {
	r.t.Helper()
	r.until("folders of "+topic+" gone", func(*shard.Turn) bool {
		claims := 0
		r.folders.claims.Range(func(name, _ any) bool {
			if strings.HasPrefix(name.(string), topic+"-") {
				claims++
			}
			return true
		})
		return len(r.foldersOf(topic)) == 0 && claims == 0
	})
}

// The topic is deleted while a helper is away for one of its partitions. Whoever waits is told at once, the helper's result is taken home,
// and then the files go.
func TestDropWhileAHelperIsAway(t *testing.T) {
	for name, op := range map[string]string{"recovering": "list", "making the segment": "create", "reserving": "reserve"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if op != "list" {
				r.opened(0)
			}
			r.dir.hold(only(op, "orders-0"))
			tr := &trace{}
			a, b := r.newAppend(tr, "a", 0, batchOf(1, -1, 0)), r.newAppend(tr, "b", 0, batchOf(1, -1, 0))
			r.post(a, b)
			r.awaitHeld(1)
			var poll *fetchCall
			if op == "list" {
				poll = r.newFetch(0, 1, 0)
				r.send(&poll.ask)
				r.on(owner, func(*shard.Turn) {})
			}
			r.remove(topicID)
			r.await(a.done, "a")
			r.await(b.done, "b")
			if a.ask.Code != UnknownPartition || b.ask.Code != UnknownPartition {
				t.Errorf("codes %d, %d", a.ask.Code, b.ask.Code)
			}
			if poll != nil {
				r.expect(poll, "fetched")
				if code := poll.ask.Parts[0].Code; code != UnknownPartition {
					t.Errorf("fetch: code %d", code)
				}
			}
			r.dir.open()
			r.gone("orders")
		})
	}
}

// A reader holds spans while the topic goes: its bytes stay readable until it gives them back, then the file is closed.
func TestSpansOutliveTheirTopic(t *testing.T) {
	r := newRig(t)
	r.opened(0)
	r.fill(0, 5)
	f := r.newFetch(0, 0, 0)
	r.send(&f.ask)
	r.expect(f, "fetched")
	span := f.ask.Parts[0].Span
	before := make([]byte, span.Len)
	if _, err := span.ReadCold(before, 0); err != nil {
		t.Fatal(err)
	}
	poll := r.newFetch(5, 1, 0)
	r.send(&poll.ask)
	r.expect(poll, "waiting")
	r.remove(topicID)
	r.expect(poll, "fetched")
	if code := poll.ask.Parts[0].Code; code != UnknownPartition {
		t.Errorf("code %d", code)
	}
	r.gone("orders")
	after := make([]byte, span.Len)
	if _, err := span.ReadCold(after, 0); err != nil || string(after) != string(before) {
		t.Errorf("bytes on loan changed: %v", err)
	}
	r.send((*Release)(&f.ask))
	r.expect(f, "released")
	r.until("the file is closed", func(*shard.Turn) bool { return r.set.files.Open() == 0 })
}

// A topic is deleted and made again under its name, over and over, while the old incarnation's helpers dawdle: no record of an old one is ever
// seen, and none of the new one is lost with the old one's folder.
func TestNewIncarnationGetsAFolderOfItsOwn(t *testing.T) {
	r := newRig(t)
	r.opened(0)
	id := topicID
	for round := range 8 {
		op := []string{"create", "reserve", "list"}[round%3]
		r.dir.hold(only(op, "orders-0"))
		c := r.newAppend(&trace{}, "old", 0, batchOf(3, -1, 0))
		c.ask.Partition.Topic = id
		r.post(c)
		r.remove(id)
		next := model.TopicID{2, byte(round)}
		r.create("orders", next, 4)
		fresh := r.newAppend(&trace{}, "new", 0, batchOf(1, -1, 0))
		fresh.ask.Partition.Topic = next
		r.post(fresh)
		r.dir.open()
		r.await(c.done, "the old one's append")
		r.await(fresh.done, "the new one's append")
		if fresh.ask.Code != OK || fresh.ask.Base != 0 {
			t.Fatalf("round %d: code %d at %d", round, fresh.ask.Code, fresh.ask.Base)
		}
		id = next
	}
	r.until("one folder", func(*shard.Turn) bool {
		names := r.foldersOf("orders")
		return len(names) == 1 && names[0] == "orders-0"
	})
}

// Truncation waits for what is being written, cuts the log and the marks, and appends go on behind it.
func TestTruncateInTheTurnOfAnAppend(t *testing.T) {
	r := newRig(t)
	p := r.opened(0)
	r.fill(0, 5)
	c := r.newAppend(&trace{}, "with it", 0, batchOf(1, -1, 0))
	parked := r.newAppend(&trace{}, "not replicated", 0, batchOf(1, -1, 0))
	parked.ask.target = 7
	done := make(chan struct{})
	r.on(owner, func(turn *shard.Turn) {
		p.park(turn, &parked.ask)
		r.set.append(turn, &c.ask) // staged, not written
		p.Truncate(turn, 2, func(_ *shard.Turn, err error) {
			if err != nil {
				t.Error(err)
			}
			close(done)
		})
	})
	r.await(c.done, "append")
	r.await(done, "truncation")
	r.await(parked.done, "the parked acknowledgement")
	if parked.ask.Code != NotLeader {
		t.Errorf("parked: code %d", parked.ask.Code)
	}
	r.on(owner, func(*shard.Turn) {
		if p.marks != (Marks{2, 2, 2, 2}) {
			t.Errorf("%+v", p.marks)
		}
	})
	again := r.newAppend(&trace{}, "behind it", 0, batchOf(1, -1, 0))
	r.post(again)
	r.await(again.done, "append")
	if again.ask.Code != OK || again.ask.Base != 2 {
		t.Errorf("code %d at %d", again.ask.Code, again.ask.Base)
	}
}

// A partition that cannot be truncated any more says so.
func TestTruncateOfAFailedPartitionEnds(t *testing.T) {
	r := newRig(t)
	p := r.opened(0)
	r.fill(0, 2)
	r.dir.fail(failing("write", errBroken))
	c := r.newAppend(&trace{}, "fails", 0, batchOf(1, -1, 0))
	r.post(c)
	r.await(c.done, "append")
	done := make(chan struct{})
	r.on(owner, func(turn *shard.Turn) {
		p.Truncate(turn, 1, func(_ *shard.Turn, err error) {
			if err == nil {
				t.Error("truncated a failed partition")
			}
			close(done)
		})
	})
	r.await(done, "the refusal")
}

// The set is closed in the very turn of an append, and while helpers are away: what was accepted is answered and on disk, the rest is refused,
// and the recovery point covers everything.
func TestCloseInTheTurnOfAnAppend(t *testing.T) {
	r := newRig(t)
	r.opened(0)
	r.opened(2)
	r.fill(0, 3)
	r.fill(1, 1)
	r.dir.hold(only("create", "orders-2"))
	waiting := r.newAppend(&trace{}, "waiting", 2, batchOf(1, -1, 0))
	r.post(waiting)
	r.awaitHeld(1)
	c := r.newAppend(&trace{}, "with it", 0, batchOf(1, 9, 0))
	closed := make(chan []Closed, 1)
	r.on(owner, func(t *shard.Turn) {
		r.set.append(t, &c.ask)
		r.set.Close(t, func(_ *shard.Turn, list []Closed) { closed <- list })
	})
	r.await(c.done, "append")
	r.dir.open()
	r.await(waiting.done, "the waiting append")
	points := Points(<-closed, r.directory)
	if c.ask.Code == OK && points[at(0)] != 4 || c.ask.Code != OK && points[at(0)] != 3 {
		t.Errorf("code %d, closed at %d", c.ask.Code, points[at(0)])
	}
	if points[at(1)] != 1 || waiting.ask.Code != NotLeader && waiting.ask.Code != OK {
		t.Errorf("%v, waiting: code %d", points, waiting.ask.Code)
	}
	late := r.newAppend(&trace{}, "late", 0, batchOf(1, -1, 0))
	r.post(late)
	r.await(late.done, "the late append")
	if late.ask.Code == OK {
		t.Error("accepted after closing")
	}
}

// A second set over the same directory finds records and producers, and a retry from before is still a duplicate.
func TestReopenedSetKnowsItsProducers(t *testing.T) {
	r := newRig(t)
	r.opened(0)
	for i := range int32(7) {
		c := r.newAppend(&trace{}, "", 0, batchOf(2, 7, 2*i))
		r.post(c)
		r.await(c.done, "append")
	}
	closed := make(chan []Closed, 1)
	r.on(owner, func(t *shard.Turn) {
		r.set.Close(t, func(_ *shard.Turn, list []Closed) { closed <- list })
	})
	r.directory.Points = Points(<-closed, r.directory)
	r.options.Folders = &Folders{}
	r.on(owner, func(t *shard.Turn) {
		r.set = NewSet(t, r.options)
		r.shards.Shard(owner).AtEnd(r.set)
		r.set.Open(t, r.image.Load())
	})
	for i, want := range []struct {
		code Code
		base model.Offset
	}{{OutOfOrderSequence, 0}, {OutOfOrderSequence, 0}, {OK, 4}, {OK, 6}, {OK, 8}, {OK, 10}, {OK, 12}, {OK, 14}} {
		c := r.newAppend(&trace{}, fmt.Sprint(i), 0, batchOf(2, 7, int32(2*i)))
		r.post(c)
		r.await(c.done, "append")
		if c.ask.Code != want.code || want.code == OK && c.ask.Base != want.base {
			t.Errorf("batch %d: code %d at %d, want %d at %d", i, c.ask.Code, c.ask.Base, want.code, want.base)
		}
	}
}

// A log is not cut below what compaction has relied on, and the journal is not told to forget what stays.
func TestTruncateOfACompactedLogIsRefused(t *testing.T) {
	disk := faulty.New(1)
	r := newRigOn(t, disk, 64, map[string]string{"cleanup.policy": "compact", "segment.ms": "1", "pinion.durability": "fsync"})
	p := r.opened(0)
	r.fill(0, 40)
	r.until("a pass is over", func(t *shard.Turn) bool {
		if r.set.cleaning == nil && p.log.CutLimit() == 0 {
			r.set.clean(t)
		}
		return r.set.cleaning == nil && p.log.CutLimit() > 0
	})
	cut := func(to model.Offset) (err error) {
		done := make(chan struct{})
		r.on(owner, func(turn *shard.Turn) {
			p.Truncate(turn, to, func(_ *shard.Turn, e error) {
				err = e
				close(done)
			})
		})
		r.await(done, "truncation")
		return err
	}
	if err := cut(1); !errors.Is(err, log.ErrCompacted) {
		t.Fatalf("cut at 1: %v", err)
	}
	r.fill(0, 1)
	found, err := journal.Read(disk, journal.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	if a := found.Tail(at(0)).Appends; len(a) != 41 || a[40].End != 41 {
		t.Fatalf("the journal holds %d batches", len(a))
	}
	if err := cut(40); err != nil {
		t.Fatalf("cut at 40: %v", err)
	}
	r.fill(0, 1)
	r.on(owner, func(*shard.Turn) {
		if p.marks.High != 41 || p.halting || p.preparing {
			t.Errorf("%+v, halting %v, preparing %v", p.marks, p.halting, p.preparing)
		}
	})
}

// TestMaxTimeBesideAnAppend: a search for the largest timestamp that comes in the turn of an append finds the one or the other.
func TestMaxTimeBesideAnAppend(t *testing.T) {
	r := newRigWith(t, 64, memory)
	r.opened(0)
	r.fill(0, 3)
	misses := 0
	for range 50 {
		time.Sleep(2 * time.Millisecond) // the next timestamp is larger
		c := r.newAppend(&trace{}, "append", 0, batchOf(1, -1, 0))
		a := &asked{done: make(chan struct{})}
		a.ask = QueryAsk{Home: home, To: r.set, Caller: a, Partition: at(0), Query: QueryMaxTime, Epoch: model.NoEpoch}
		r.on(home, func(t *shard.Turn) {
			t.Ask(owner, &c.ask)
			t.Ask(owner, &a.ask)
		})
		r.await(c.done, "append")
		r.await(a.done, "answer")
		if a.ask.Code != OK || a.ask.Offset < 0 {
			misses++
		}
	}
	if misses > 0 {
		t.Errorf("%d of 50 searches found no record in a log that has three and more", misses)
	}
}
