package group

import (
	"strings"
	"testing"
	"time"
)

// Two members join, the leader assigns, each gets its part once it is durable.
func TestAssignmentIsGivenWhenItIsDurable(t *testing.T) {
	r := newRig(t)
	a, b := joinOf(""), joinOf("")
	r.do(a)
	r.do(b)
	r.waits("the first join", a)
	r.pass(0)
	r.expect("the first join", a, OK)
	r.expect("the second join", b, OK)
	if a.Leader != a.Assigned || len(a.Members) != 2 || b.Leader != a.Assigned || b.Members != nil || a.Generation != 1 || *a.Chosen.Name != "range" {
		t.Fatalf("leader %+v, follower %+v", a, b)
	}
	follower, leader := syncOf(b), syncOf(a, a, b)
	r.do(follower)
	r.hold = true
	r.do(leader)
	r.waits("the leader's sync", leader)
	r.waits("the follower's sync", follower)
	r.release()
	r.expect("the leader's sync", leader, OK)
	r.expect("the follower's sync", follower, OK)
	if string(leader.Assignment) != "part 0" || string(follower.Assignment) != "part 1" {
		t.Fatalf("assigned %q and %q", leader.Assignment, follower.Assignment)
	}
	again := syncOf(b)
	r.do(again)
	if r.expect("a sync again", again, OK); string(again.Assignment) != "part 1" {
		t.Fatalf("assigned %q the second time", again.Assignment)
	}
}

// An assignment that cannot be stored is nobody's: everybody joins again.
func TestAssignmentThatIsNotStoredIsTakenBack(t *testing.T) {
	r := newRig(t)
	a, b := joinOf(""), joinOf("")
	r.do(a)
	r.do(b)
	r.pass(0)
	follower, leader := syncOf(b), syncOf(a, a, b)
	r.do(follower)
	r.refuse = NotAvailable
	r.do(leader)
	r.expect("the leader's sync", leader, NotAvailable)
	r.expect("the follower's sync", follower, NotAvailable)
	if d := r.describe(); d.State != Preparing {
		t.Fatalf("the group is %s", d.State)
	}
}

// A new member asks twice; who does not come back is not waited for longer than a session, nor in the way of others.
func TestMemberAsksTwice(t *testing.T) {
	r := newRig(t)
	first := joinOf("")
	first.TwoSteps = true
	r.do(first)
	r.expect("the first", first, MemberRequired)
	lost := joinOf("")
	lost.TwoSteps = true
	r.do(lost)
	second := joinOf(first.Assigned)
	second.TwoSteps = true
	r.do(second)
	r.pass(0) // the first delay is over: the one that did not come back is not waited for
	r.expect("the second", second, OK)
	r.do(syncOf(second, second))
	late := joinOf(second.Assigned, "range", "sticky")
	r.do(late) // a rebalance, in which the newcomer is waited for
	r.waits("a join while a newcomer is awaited", late)
	r.pass(10 * time.Second)
	r.expect("a join after its session", late, OK)
	gone := joinOf(lost.Assigned)
	r.do(gone)
	r.expect("the newcomer, too late", gone, UnknownMember)
}

// The first members of a group wait for others, longer while more come, and no longer than they would wait for a rebalance.
func TestFirstDelay(t *testing.T) {
	r := newRig(t)
	config := plain
	config.InitialDelay = 3 * time.Second
	r.c.Configure(config)
	var joins []*Join
	for range 5 {
		j := joinOf("")
		joins = append(joins, j)
		r.do(j)
		r.pass(2 * time.Second)
	}
	r.waits("the first", joins[0])
	r.pass(4 * time.Second)
	for i, j := range joins {
		if r.expect("a join", j, OK); j.Generation != 1 {
			t.Errorf("member %d is in generation %d", i, j.Generation)
		}
	}
}

// Sessions are counted by the clock that never steps.
func TestSessionEndsByMonotonicTime(t *testing.T) {
	r := newRig(t)
	a, b := joinOf(""), joinOf("")
	r.stable(a, b)
	r.clock.SetWall(r.clock.Now().Wall + 3_600_000)
	r.do(beatOf(a))
	beat := beatOf(b)
	r.do(beat)
	r.expect("a heartbeat an hour later by the wall clock", beat, OK)
	r.clock.SetWall(0)
	for range 3 {
		r.pass(4 * time.Second)
		r.do(beatOf(a))
	}
	if d := r.describe(); d.State != Preparing || len(d.Members) != 1 {
		t.Fatalf("after 12 seconds without a heartbeat: %s, %d members", d.State, len(d.Members))
	}
	dead := beatOf(b)
	r.do(dead)
	r.expect("a heartbeat of the dead", dead, UnknownMember)
	alive := beatOf(a)
	r.do(alive)
	r.expect("a heartbeat of the other", alive, Rebalancing)
}

// Who does not join again in time is out, and so is who never asks for its part.
func TestRebalanceWaitsOnlySoLong(t *testing.T) {
	r := newRig(t)
	a, b := joinOf(""), joinOf("")
	r.stable(a, b)
	again := joinOf(a.Assigned)
	r.do(again)
	for range 8 { // b is alive and does not join
		r.pass(8 * time.Second)
		r.do(beatOf(b))
	}
	r.expect("the one who joined", again, OK)
	if again.Generation != 2 || len(again.Members) != 1 {
		t.Fatalf("generation %d of %d", again.Generation, len(again.Members))
	}
	c := joinOf("")
	r.do(syncOf(again, again))
	r.do(c)
	third := joinOf(a.Assigned)
	r.do(third)
	r.expect("the third generation", third, OK)
	r.do(syncOf(third, third, c))
	for range 8 { // c is alive and never asks for its part
		r.pass(8 * time.Second)
		r.do(beatOf(third))
		r.do(beatOf(c))
	}
	if d := r.describe(); d.State != Preparing || len(d.Members) != 1 {
		t.Fatalf("%s with %d members", d.State, len(d.Members))
	}
}

// A static member that comes back with a new id takes its place in a stable group without a rebalance; the old id is fenced.
func TestStaticMemberComesBack(t *testing.T) {
	r := newRig(t)
	a, b := joinOf("").static("one"), joinOf("").static("two")
	r.stable(a, b)
	back := joinOf("").static("one")
	back.MaySkip = true
	r.do(back)
	r.expect("the leader that came back", back, OK)
	if !back.Skip || back.Leader != back.Assigned || len(back.Members) != 2 || back.Generation != 1 || back.Assigned == a.Assigned {
		t.Fatalf("answered %+v", back)
	}
	part := syncOf(back)
	r.do(part)
	if r.expect("its sync", part, OK); string(part.Assignment) != "part 0" {
		t.Fatalf("it got %q", part.Assignment)
	}
	old := beatOf(a)
	r.do(old)
	r.expect("a heartbeat with the old id", old, FencedInstance)
	r.restart()
	beat := beatOf(back)
	r.do(beat)
	r.expect("a heartbeat to the next coordinator", beat, OK)
	// A leader that does not know how to skip is told that another leads.
	plainly := joinOf("").static("one")
	r.do(plainly)
	r.expect("the leader that came back again", plainly, OK)
	if plainly.Skip || plainly.Leader != back.Assigned || plainly.Members != nil {
		t.Fatalf("answered %+v", plainly)
	}
	// One that cannot be stored leaves the old one in its place.
	r.refuse = NotAvailable
	failed := joinOf("").static("one")
	r.do(failed)
	r.expect("one that is not stored", failed, NotAvailable)
	r.refuse = OK
	still := beatOf(plainly)
	r.do(still)
	r.expect("a heartbeat of the one before", still, OK)
}

// Members that leave are not waited for; the last one leaves an empty group.
func TestLeaving(t *testing.T) {
	r := newRig(t)
	a, b := joinOf(""), joinOf("").static("two")
	r.stable(a, b)
	two := "two"
	leave := &Leave{Common: Common{Group: "g"}, Members: []Leaver{{Instance: &two}, {Member: "nobody"}, {Member: a.Assigned}}}
	r.do(leave)
	r.expect("leave", leave, OK)
	for i, want := range []Code{OK, UnknownMember, OK} {
		if leave.Members[i].Code != want {
			t.Errorf("member %d: code %d, want %d", i, leave.Members[i].Code, want)
		}
	}
	if d := r.describe(); d.State != Empty || len(d.Members) != 0 {
		t.Fatalf("%s with %d members", d.State, len(d.Members))
	}
	r.restart()
	if d := r.describe(); d.State != Empty || d.Type != consumers {
		t.Fatalf("%s of type %q after a restart", d.State, d.Type)
	}
}

// A group that is full takes nobody in, and lets those in again that it has.
func TestFullGroup(t *testing.T) {
	r := newRig(t)
	config := plain
	config.SizeMax = 2
	r.c.Configure(config)
	a, b := joinOf(""), joinOf("")
	r.stable(a, b)
	c := joinOf("")
	r.do(c)
	r.expect("a third", c, SizeReached)
	config.SizeMax = 1
	r.c.Configure(config)
	r.restart() // to a smaller size: a rebalance, in which the last to come is turned away
	again := joinOf(a.Assigned)
	r.do(again)
	other := joinOf(b.Assigned)
	r.do(other)
	r.expect("the last to come back", other, SizeReached)
	r.expect("the first to come back", again, OK)
}

// The protocol is one that all speak, the one most like best.
func TestVote(t *testing.T) {
	r := newRig(t)
	a, b, c := joinOf("", "x", "y", "z"), joinOf("", "z", "y", "x"), joinOf("", "q", "z", "y")
	r.stable(a, b, c)
	if *a.Chosen.Name != "z" {
		t.Errorf("chose %s", *a.Chosen.Name)
	}
	d := joinOf("", "x", "q")
	r.do(d)
	r.expect("one who speaks what some speak", d, InconsistentProtocol)
	e := joinOf("", "y")
	e.Type = "connect"
	r.do(e)
	r.expect("one of another type", e, InconsistentProtocol)
}

// A client that lost its connection asks again; whoever asked before is answered, so that nothing waits for ever.
func TestRequestsAreRepeated(t *testing.T) {
	r := newRig(t)
	a, b := joinOf(""), joinOf("")
	r.stable(a, b)
	first, second := joinOf(a.Assigned), joinOf(a.Assigned)
	r.do(first)
	r.do(second)
	r.expect("the join before", first, Rebalancing)
	r.waits("the join again", second)
	r.do(joinOf(b.Assigned))
	r.expect("the join again", second, OK)
	missed := joinOf(b.Assigned)
	r.do(missed)
	r.expect("a join whose answer was lost", missed, OK)
	if missed.Generation != second.Generation {
		t.Errorf("generation %d, want %d", missed.Generation, second.Generation)
	}
	one, two := syncOf(missed), syncOf(missed)
	r.do(one)
	r.do(two)
	r.expect("the sync before", one, Rebalancing)
	r.do(syncOf(second, second, missed))
	r.expect("the sync again", two, OK)
}

// Everything a coordinator that leaves owes an answer for is answered.
func TestAbandon(t *testing.T) {
	r := newRig(t)
	a, b := joinOf(""), joinOf("")
	r.stable(a, b)
	r.hold = true
	commit, join := commitOf(a, 5), joinOf(b.Assigned, "range", "more")
	r.do(commit)
	r.do(join)
	fetch := &Fetch{Common: Common{Group: "g"}, All: true, Stable: true}
	r.do(fetch)
	r.c.Abandon(NotCoordinator)
	for what, req := range map[string]Request{"commit": commit, "join": join, "fetch": fetch} {
		r.expect(what, req, NotCoordinator)
	}
}

// The id of a new member is what it calls itself and more. One that would be too long to be stored is refused: stored, it would make the
// records of all groups of the partition unreadable.
func TestNamesTooLongForAnID(t *testing.T) {
	r := newRig(t)
	long := strings.Repeat("x", textBytesMax)
	short := strings.Repeat("x", textBytesMax-idBytes)
	for what, change := range map[string]func(j *Join, name string){
		"client":   func(j *Join, name string) { j.ClientID = name },
		"instance": func(j *Join, name string) { j.Instance = &name },
	} {
		for _, name := range []string{long, short + "x"} {
			j := joinOf("")
			change(j, name)
			r.do(j)
			r.expect("a "+what+" of so many bytes", j, Failed)
		}
	}
	j := joinOf("")
	j.ClientID = short
	r.stable(j)
	r.restart()
	if d := r.describe(); len(d.Members) != 1 || d.Members[0].Member != j.Assigned {
		t.Fatalf("after a restart %d members", len(d.Members))
	}
}
