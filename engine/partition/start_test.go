package partition

import (
	"maps"
	"testing"

	"golang.org/x/sys/unix"

	"pinion/engine/model"
	"pinion/engine/shard"
)

// stopped is a rig whose four partitions were filled with a batch more each, and closed.
func stopped(t *testing.T) (r *rig, points map[model.Partition]model.Offset) {
	r = newRig(t)
	for i := range int32(4) {
		r.fill(i, int(i)+1)
	}
	return r, Points(r.close(), r.directory)
}

// begin starts a second set that opens nothing unasked.
func (r *rig) begin(points map[model.Partition]model.Offset) {
	r.t.Helper()
	r.directory.Points, r.options.Folders = points, &Folders{}
	r.on(owner, func(t *shard.Turn) {
		r.set = NewSet(t, r.options)
		r.shards.Shard(owner).AtEnd(r.set)
		r.set.Open(t, r.image.Load())
	})
}

func (r *rig) opening() (n int) {
	r.on(owner, func(t *shard.Turn) { n = r.set.Stats(t).Opening })
	return n
}

// What is asked for opens at once, the rest behind and not before it may.
func TestAskedForIsOpenedFirst(t *testing.T) {
	r, points := stopped(t)
	r.begin(points)
	if n := r.opening(); n != 4 {
		t.Fatalf("%d partitions wait", n)
	}
	c := r.newAppend(&trace{}, "a", 2, batchOf(1, -1, 0))
	r.post(c)
	r.await(c.done, "the append")
	if c.ask.Code != OK || c.ask.Base != 3 {
		t.Fatalf("append: code %d at %d", c.ask.Code, c.ask.Base)
	}
	f := r.newFetch(0, 1, 3)
	r.send(&f.ask)
	r.expect(f, "fetched")
	if f.ask.Bytes == 0 || f.ask.Parts[0].High != 4 {
		t.Errorf("fetch: %d bytes, high watermark %d", f.ask.Bytes, f.ask.Parts[0].High)
	}
	r.send((*Release)(&f.ask))
	r.expect(f, "released")
	if n := r.opening(); n != 2 {
		t.Errorf("%d partitions wait after two were asked for", n)
	}
	if done, all := r.set.Progress(); done != 2 || all != 4 {
		t.Errorf("%d of %d are open", done, all)
	}
	r.on(owner, r.set.OpenRest)
	r.until("all are open", func(t *shard.Turn) bool { return r.set.Stats(t).Opening == 0 })
	for i := range int32(4) {
		if p := r.opened(i); p.Marks().End < model.Offset(i)+1 {
			t.Errorf("partition %d ends at %d", i, p.Marks().End)
		}
	}
}

// A stop does not open what nobody has asked for, and leaves it the recovery point it had.
func TestStopBeforeAllAreOpen(t *testing.T) {
	r, points := stopped(t)
	r.begin(points)
	r.fill(1, 3)
	r.dir.fail(func(op, path string) error {
		if op == "list" {
			t.Errorf("%s %s while stopping", op, path)
		}
		return nil
	})
	left := Points(r.close(), r.directory)
	points[at(1)] += 3
	if !maps.Equal(left, points) {
		t.Errorf("left %v, want %v", left, points)
	}
	r.dir.fail(nil)
	r.begin(left)
	for i := range int32(4) {
		if p := r.opened(i); p.Marks().End != points[at(i)] {
			t.Errorf("partition %d ends at %d, want %d", i, p.Marks().End, points[at(i)])
		}
	}
}

// A topic that is deleted, and one of the same name that is made, while its partitions wait: the folders go, and none is mixed up.
func TestDropBeforeItIsOpened(t *testing.T) {
	r, points := stopped(t)
	r.begin(points)
	r.remove(topicID)
	r.createWith("orders", model.TopicID{2}, 4, nil)
	next := model.Partition{Topic: model.TopicID{2}, Index: 3}
	r.until("the new one opens, empty", func(t *shard.Turn) bool {
		p, _ := r.set.find(t, next)
		return p != nil && p.state == open && p.marks.End == 0
	})
}

// A partition that moves away before it was opened arrives with what it has.
func TestMoveBeforeItIsOpened(t *testing.T) {
	r, points := stopped(t)
	r.begin(points)
	r.move(3, home)
	r.until("it is handed on", func(*shard.Turn) bool {
		handed := maps.Collect(r.options.Folders.Points(r.directory))
		return handed[at(3)] == 4 && r.set.known(at(3)) == nil
	})
}

// Where many logs are dirty, one sync of everything takes the place of theirs; when that fails no recovery point moves.
func TestClosedTogether(t *testing.T) {
	for _, broken := range []bool{false, true} {
		r := newRig(t)
		r.set.options.Together = 2
		for i := range int32(3) {
			r.fill(i, int(i)+1)
		}
		syncs := map[string]int{}
		r.dir.fail(func(op, path string) error {
			if op == "sync" || op == "syncall" {
				syncs[op]++
			}
			if broken && op == "syncall" {
				return unix.EIO
			}
			return nil
		})
		left := Points(r.close(), r.directory)
		r.dir.fail(nil)
		if syncs["syncall"] != 1 || syncs["sync"] != 0 {
			t.Errorf("broken %v: %v", broken, syncs)
		}
		for i := range int32(3) {
			want := model.Offset(i) + 1
			if broken {
				want = 0
			}
			if left[at(i)] != want {
				t.Errorf("broken %v: recovery point %d of partition %d, want %d", broken, left[at(i)], i, want)
			}
		}
		if broken != (r.directory.Fenced() != nil) {
			t.Errorf("broken %v: fence %v", broken, r.directory.Fenced())
		}
	}
}

// A log in which nothing has changed is closed without a call of the disk.
func TestCloseOfWhatIsClean(t *testing.T) {
	r, points := stopped(t)
	r.begin(points)
	r.on(owner, r.set.OpenRest)
	r.until("all are open", func(t *shard.Turn) bool { return r.set.Stats(t).Opening == 0 })
	r.dir.fail(func(op, path string) error {
		t.Errorf("%s %s", op, path)
		return nil
	})
	left := Points(r.close(), r.directory)
	r.dir.fail(nil)
	if !maps.Equal(left, points) {
		t.Errorf("left %v, want %v", left, points)
	}
}
