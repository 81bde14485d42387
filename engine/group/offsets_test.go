package group

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A commit is answered, and seen, when it is durable; who wants to see what is under way waits.
func TestCommitIsSeenWhenItIsDurable(t *testing.T) {
	r := newRig(t)
	r.do(commitOf(nil, 1))
	r.hold = true
	commit := commitOf(nil, 2)
	r.do(commit)
	r.waits("the commit", commit)
	if got := r.offset(); got != 1 {
		t.Fatalf("offset %d is seen before it is durable", got)
	}
	fetch := &Fetch{Common: Common{Group: "g"}, All: true, Stable: true}
	r.do(fetch)
	r.waits("a fetch of what is stable", fetch)
	later := commitOf(nil, 3)
	r.do(later)
	first := r.held[0]
	r.held = r.held[1:]
	r.c.Stored(r.clock.Now(), first, OK)
	r.expect("the commit", commit, OK)
	r.expect("the fetch", fetch, OK)
	if got := fetch.Topics[0].Partitions[0].Offset; got != 2 {
		t.Fatalf("the fetch has offset %d", got)
	}
	r.waits("the later commit", later)
}

func TestCommitThatIsNotStoredIsNotSeen(t *testing.T) {
	r := newRig(t)
	r.do(commitOf(nil, 1))
	r.refuse = NotAvailable
	commit := commitOf(nil, 2)
	r.do(commit)
	r.expect("the commit", commit, NotAvailable)
	if got := r.offset(); got != 1 {
		t.Errorf("offset %d", got)
	}
}

// What is committed outlives the coordinator, with everything that was said about it.
func TestOffsetsAreReplayed(t *testing.T) {
	r := newRig(t)
	c := commitOf(nil, 77)
	c.Topics[0].ID, c.Topics[0].Partitions[0].Epoch, c.Topics[0].Partitions[0].Metadata = [16]byte{1}, 5, "words"
	c.Topics = append(c.Topics, CommitTopic{Topic: "other", Partitions: []CommitPartition{{Partition: 3, Offset: 9, Epoch: -1}}})
	r.do(c)
	r.restart()
	f := &Fetch{Common: Common{Group: "g"}, All: true}
	r.do(f)
	if len(f.Topics) != 2 || f.Topics[0].Topic != "other" || f.Topics[0].Partitions[0] != (FetchPartition{Partition: 3, Offset: 9, Epoch: -1}) ||
		f.Topics[1].Partitions[0] != (FetchPartition{Offset: 77, Epoch: 5, Metadata: "words", Committed: [16]byte{1}}) {
		t.Fatalf("%+v", f.Topics)
	}
	// The offset of a topic that was deleted is not that of another of its name.
	g := &Fetch{Common: Common{Group: "g"}, Topics: []FetchTopic{{Topic: "topic", ID: [16]byte{2}, Partitions: make([]FetchPartition, 1)}}}
	if r.do(g); g.Topics[0].Partitions[0].Offset != -1 {
		t.Errorf("another topic's offset is %d", g.Topics[0].Partitions[0].Offset)
	}
}

func TestWordyCommit(t *testing.T) {
	r := newRig(t)
	c := commitOf(nil, 1)
	c.Topics[0].Partitions[0].Metadata = strings.Repeat("é", 4096)
	c.Topics[0].Partitions = append(c.Topics[0].Partitions, CommitPartition{Partition: 1, Metadata: strings.Repeat("é", 4097)})
	r.do(c)
	r.expect("the commit", c, OK)
	if c.Topics[0].Partitions[0].Code != OK || c.Topics[0].Partitions[1].Code != MetadataTooLarge {
		t.Errorf("%+v", c.Topics[0].Partitions)
	}
}

// A deletion takes what is being committed with it: the group is not there again after a restart.
func TestDeletionTakesCommitsUnderWay(t *testing.T) {
	r := newRig(t)
	r.do(commitOf(nil, 1))
	r.hold = true
	c := commitOf(nil, 2)
	c.Topics[0].Topic = "another"
	r.do(c)
	d := &Delete{Common{Group: "g"}}
	r.do(d)
	late := commitOf(nil, 3)
	r.do(late)
	r.expect("a commit while the group is being deleted", late, NotAvailable)
	r.release()
	r.expect("the commit before", c, OK)
	r.expect("the deletion", d, OK)
	r.restart()
	if got := r.describe(); got.State != Dead || len(r.c.groups) != 0 {
		t.Errorf("the group is %s, %d groups", got.State, len(r.c.groups))
	}
	r.do(commitOf(nil, 4))
	r.refuse = NotAvailable
	failed := &Delete{Common{Group: "g"}}
	r.do(failed)
	r.expect("a deletion that is not stored", failed, NotAvailable)
	if got := r.describe(); got.State != Empty || r.offset() != 4 {
		t.Errorf("the group is %s, at %d", got.State, r.offset())
	}
}

func TestDeleteOffsets(t *testing.T) {
	r := newRig(t)
	a := joinOf("")
	r.stable(a)
	c := commitOf(a, 1)
	c.Topics = append(c.Topics, CommitTopic{Topic: "unread", Partitions: []CommitPartition{{Offset: 2}}})
	r.do(c)
	d := &DeleteOffsets{Common: Common{Group: "g"}, Topics: []DeleteTopic{{Topic: "topic", Partitions: []int32{0}}, {Topic: "unread", Partitions: []int32{0, 1}}}}
	r.do(d)
	r.expect("the deletion", d, OK)
	if d.Topics[0].Code != Subscribed || d.Topics[1].Code != OK {
		t.Errorf("codes %d and %d", d.Topics[0].Code, d.Topics[1].Code)
	}
	r.restart()
	f := &Fetch{Common: Common{Group: "g"}, All: true}
	if r.do(f); len(f.Topics) != 1 || f.Topics[0].Topic != "topic" {
		t.Errorf("left: %+v", f.Topics)
	}
}

// Offsets nobody uses are forgotten: of a group that has been empty for the time, of standalone commits by their own age, of topics that a stable
// group does not read; and never what a group reads.
func TestOffsetsExpire(t *testing.T) {
	const day = 24 * time.Hour
	r := newRig(t)
	expire := func() {
		r.c.Expire(r.clock.Now(), r.clock.Now().Wall)
		r.settle()
	}
	r.do(commitOf(nil, 1))
	r.pass(6 * day)
	expire()
	if got := r.offset(); got != 1 {
		t.Fatalf("after six days the offset is %d", got)
	}
	r.pass(day)
	expire()
	if got := r.describe(); got.State != Dead {
		t.Fatalf("after seven days the group is %s", got.State)
	}
	a := joinOf("")
	a.Session = plain.SessionMax
	r.stable(a)
	c := commitOf(a, 1)
	c.Topics = append(c.Topics, CommitTopic{Topic: "unread", Partitions: []CommitPartition{{Offset: 2}}})
	r.do(c)
	for range 2 * 24 * 8 {
		r.pass(30*time.Minute - time.Second)
		r.do(beatOf(a))
	}
	expire()
	f := &Fetch{Common: Common{Group: "g"}, All: true}
	if r.do(f); len(f.Topics) != 1 || f.Topics[0].Topic != "topic" {
		t.Fatalf("left: %+v", f.Topics)
	}
	r.do(&Leave{Common: Common{Group: "g"}, Members: []Leaver{{Member: a.Assigned}}})
	expire()
	if got := r.offset(); got != 1 {
		t.Fatalf("as soon as the group is empty its offset is %d", got)
	}
	r.pass(7 * day)
	expire()
	r.restart()
	if len(r.c.groups) != 0 {
		t.Errorf("%d groups are left", len(r.c.groups))
	}
	brief := commitOf(nil, 3)
	brief.Retention = time.Minute
	r.do(brief)
	r.restart()
	r.pass(time.Minute)
	expire()
	if len(r.c.groups) != 0 {
		t.Errorf("%d groups are left of one that was to be kept for a minute", len(r.c.groups))
	}
	named := joinOf("x")
	named.Member, named.Protocols = "", nil
	r.do(named)
	expire()
	if len(r.c.groups) != 0 {
		t.Errorf("a group that nobody ever was in is kept")
	}
}

// What a coordinator keeps is bounded: names without end are refused, what is there is served, and there is room again when something is gone.
func TestMemoryIsBounded(t *testing.T) {
	const limit, mentions = 256 << 10, 2000
	r := newRig(t)
	config := plain
	config.BytesMax = limit
	r.c.Configure(config)
	kept := commitOf(nil, 1)
	r.do(kept)
	refused := 0
	for i := range mentions {
		j := joinOf("")
		j.Group, j.TwoSteps = fmt.Sprintf("group %d", i), true
		r.do(j)
		c := commitOf(nil, 1)
		c.Group = fmt.Sprintf("other %d", i)
		r.do(c)
		if CodeOf(j) == NotAvailable && CodeOf(c) == NotAvailable {
			refused++
		}
	}
	if weight := r.c.weigh(); weight > limit || refused == 0 || refused == mentions {
		t.Fatalf("%d bytes of %d, %d of %d refused", weight, limit, refused, mentions)
	}
	again := commitOf(nil, 2)
	r.do(again)
	r.expect("a commit that replaces another", again, OK)
	r.pass(plain.OffsetsRetention)
	r.c.Expire(r.clock.Now(), r.clock.Now().Wall)
	r.settle()
	late := commitOf(nil, 3)
	late.Group = "late"
	r.do(late)
	r.expect("a commit when the others are forgotten", late, OK)
}

// TestBoundOfWhatGrows: the words of offsets that are committed again, what members are assigned and what was there at the start count as what is new
// does.
func TestBoundOfWhatGrows(t *testing.T) {
	const limit = 256 << 10
	config := plain
	config.BytesMax = limit
	for _, c := range []struct {
		name string
		grow func(r *rig, i int) Code
	}{
		{"words", func(r *rig, i int) Code {
			c := commitOf(nil, 7)
			c.Topics[0].Partitions[0].Partition = int32(i)
			r.do(c)
			again := commitOf(nil, 8)
			again.Topics[0].Partitions[0].Partition, again.Topics[0].Partitions[0].Metadata = int32(i), strings.Repeat("m", 4000)
			r.do(again)
			return max(CodeOf(c), CodeOf(again))
		}},
		{"assignments", func(r *rig, i int) Code {
			j := joinOf("")
			j.Group = fmt.Sprint("g", i)
			r.do(j)
			r.pass(0) // the first delay
			if CodeOf(j) != OK {
				return CodeOf(j)
			}
			s := syncOf(j)
			s.Group, s.Assignments = j.Group, []Assignment{{Member: j.Assigned, Bytes: make([]byte, 100_000)}}
			r.do(s)
			r.expect("sync", s, OK)
			return OK
		}},
	} {
		r := newRig(t)
		r.c.Configure(config)
		refused := 0
		for i := range 100 {
			if c.grow(r, i) != OK {
				refused++
			}
		}
		// The last assignment may pass it.
		if weight := r.c.weigh(); weight > limit+110_000 || refused == 0 {
			t.Errorf("%s: %d bytes of %d, %d refused", c.name, weight, limit, refused)
		}
		r.restart()
		if code := c.grow(r, 100); code == OK {
			t.Errorf("%s: %d bytes of %d, and after a start there is room", c.name, r.c.weigh(), limit)
		}
	}
}
