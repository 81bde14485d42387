package group

import (
	"container/heap"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pinion/engine/clock"
)

// A simulation of one group: clients that crash, pause, leave, come back under another id and see their requests and answers delayed, lost and
// repeated; a coordinator that is killed and started from what was durable, compacted or not, and whose records are sometimes refused.
//
// What must hold, whatever happens:
//
//	a commit that was answered is in every later state; offsets move back by nothing but a repeated commit of the same generation, or from where one
//	has moved them
//	a partition has one owner in a generation, and only that owner commits it
//	generations that have an assignment increase
//	every request is answered, and once everybody is well the group is stable and reads everything

var (
	simSeeds = flag.Int("sim.seeds", 60, "seeds to run")
	simSeed  = flag.Uint64("sim.seed", 0, "the one seed to run; 0: from 1 on")
	simTrace = flag.Bool("sim.trace", false, "print what happens")
)

const (
	simPartitions = 5
	simMembers    = 4
	simSession    = 6 * time.Second
	simRebalance  = 8 * time.Second
	simFaults     = 3 * time.Minute // of trouble, then everything heals
	simHeals      = 2 * time.Minute
)

func TestSimulation(t *testing.T) {
	marks := map[string]int{}
	var seeds []uint64
	for seed := uint64(1); seed <= uint64(*simSeeds); seed++ {
		seeds = append(seeds, seed)
	}
	for _, seed := range simTold {
		if seed > uint64(*simSeeds) {
			seeds = append(seeds, seed)
		}
	}
	if *simSeed != 0 {
		seeds = []uint64{*simSeed}
	}
	for _, seed := range seeds {
		w := newWorld(t, seed)
		w.run()
		if t.Failed() {
			t.Fatalf("seed %d; again: go test ./engine/group -run TestSimulation -sim.seed %d -sim.trace", seed, seed)
		}
		for mark, n := range w.marks {
			marks[mark] += n
		}
	}
	t.Logf("%d seeds: %v", len(seeds), marks)
	if *simSeed == 0 {
		for _, mark := range simMarks {
			if marks[mark] == 0 {
				t.Errorf("%q never happened", mark)
			}
		}
	}
}

// simTold are seeds that have told something, and are run whatever the number is. In 1200 one repeated commit moves an offset back, its client goes on from
// there, and another moves it forward again: what the client commits then is behind.
var simTold = []uint64{1200}

// simMarks are what must have happened in some seed.
var simMarks = []string{"commit", "commit refused: generation", "commit refused: member", "commit refused: rebalance", "session over", "restart", "compacted", "lost in a crash",
	"refused by the disk", "static member replaced", "fenced", "assigned", "handed over", "repeated commit", "left"}

// world is one run.
type world struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	now    clock.Now
	events eventHeap
	order  uint64

	c         *Coordinator
	life      int
	log       []Record  // durable
	flying    []*Append // of this life, not durable yet
	waiting   map[Request]*call
	clients   []*client
	healed    bool
	ids       uint64
	marks     map[string]int
	committed [simPartitions]mark            // the last commit in the log
	backs     [simPartitions]int             // how often a repeated commit moved the offset back
	answered  [simPartitions]heard           // the largest commit that was answered
	stored    map[*Commit][simPartitions]int // backs, when it was
	owners    map[[2]int32]ownership         // by generation and partition
	stable    int32                          // the last generation with an assignment
	repeats   map[*Append]bool               // of commits that were sent before
	authors   map[*Append]*Commit
}

type mark struct {
	offset     int64
	generation int32
	repeated   bool // by a repeated commit: its client need not be there
}

// heard is a commit's answer, which holds until a repeated commit moves the offset back.
type heard struct {
	offset int64
	backs  int
}

type ownership struct{ member, instance string }

// event is something that will happen.
type event struct {
	at    clock.Mono
	order uint64
	run   func()
}

type eventHeap []*event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(*event)) }
func (h *eventHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// call is a request on its way, or waiting at the coordinator.
type call struct {
	from *client
	life int // of the client, to which the answer belongs
	done func()
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 7)), waiting: map[Request]*call{}, marks: map[string]int{}, owners: map[[2]int32]ownership{},
		repeats: map[*Append]bool{}, authors: map[*Append]*Commit{}, stored: map[*Commit][simPartitions]int{}}
	w.now.Wall = 1_700_000_000_000
	w.boot()
	for i := range simMembers {
		c := &client{w: w, name: fmt.Sprintf("c%d", i)}
		if i == 0 || w.random.IntN(3) == 0 {
			c.instance = &c.name
		}
		w.clients = append(w.clients, c)
		w.after(w.until(2*time.Second), c.start)
	}
	return w
}

func (w *world) until(d time.Duration) time.Duration { return time.Duration(w.random.Int64N(int64(d))) }
func (w *world) one(in int) bool                     { return !w.healed && w.random.IntN(in) == 0 }

func (w *world) trace(format string, args ...any) {
	if *simTrace {
		w.t.Logf("%8.3f %s", float64(w.now.Mono)/1e9, fmt.Sprintf(format, args...))
	}
}

func (w *world) fail(format string, args ...any) {
	w.t.Errorf("seed %d at %.3f s: %s", w.seed, float64(w.now.Mono)/1e9, fmt.Sprintf(format, args...))
}

func (w *world) after(d time.Duration, run func()) {
	w.order++
	heap.Push(&w.events, &event{w.now.Mono.Add(d), w.order, run})
}

func (w *world) run() {
	for !w.t.Failed() {
		at, timer := w.c.Next()
		var next *event
		if len(w.events) > 0 {
			next = w.events[0]
		}
		due := clock.Mono(simFaults + simHeals)
		if next != nil {
			due = min(due, next.at)
		}
		if timer {
			due = min(due, at)
		}
		if due = max(due, w.now.Mono); due >= clock.Mono(simFaults+simHeals) {
			break
		}
		w.now.Wall += clock.Wall(due.Sub(w.now.Mono).Milliseconds())
		w.now.Mono = due
		if !w.healed && due >= clock.Mono(simFaults) {
			w.heal()
		}
		if timer && at <= due {
			w.c.Tick(w.now)
		} else if next != nil && next.at <= due {
			heap.Pop(&w.events)
			next.run()
		}
		w.carry()
		w.check()
		if w.one(1500) {
			w.restart()
		}
	}
	w.settled()
}

// heal ends all trouble: everybody is there and the network works.
func (w *world) heal() {
	w.trace("healed")
	w.healed = true
	for _, c := range w.clients {
		if !c.running {
			c.start()
		}
	}
}

// settled is what must be true some time after everything healed.
func (w *world) settled() {
	if w.t.Failed() {
		return
	}
	g := w.c.groups["g"]
	if g == nil || g.state != Stable || len(g.members) != simMembers {
		w.fail("the group is not stable: %+v", g)
		return
	}
	owned := 0
	for _, c := range w.clients {
		owned += len(c.parts)
	}
	if owned != simPartitions {
		w.fail("%d of %d partitions are owned", owned, simPartitions)
	}
	for p := range w.committed {
		if w.committed[p].offset == 0 {
			w.fail("nothing was committed for partition %d", p)
		}
	}
	for r, call := range w.waiting {
		if call.from.life == call.life {
			continue // the one thing its client waits for
		}
		w.fail("%T of %s is not answered", r, call.from.name)
	}
}

// boot starts a coordinator from what is durable.
func (w *world) boot() {
	w.life++
	w.c = New(Config{SessionMin: simSession, SessionMax: simSession, InitialDelay: time.Second, SizeMax: 100, MetadataMax: 100, OffsetsRetention: time.Hour}, w.id)
	for _, r := range w.log {
		if known, err := w.c.Replay(r.Key, r.Value); !known || err != nil {
			w.fail("replay: %v %v", known, err)
		}
	}
	w.c.Loaded(w.now)
	w.flying = nil
}

func (w *world) id() (id [16]byte) {
	w.ids++
	binary.BigEndian.PutUint64(id[:], w.ids)
	return id
}

// restart kills the coordinator, or has it hand its groups over, and starts the next.
func (w *world) restart() {
	w.marks["restart"]++
	offsets, backs := w.offsets(), w.backs
	if w.random.IntN(2) == 0 {
		w.marks["handed over"]++
		w.c.Abandon(NotCoordinator)
		w.carry()
	} else if len(w.flying) > 0 { // a part of what was under way survives
		for n := w.random.IntN(len(w.flying) + 1); n > 0; n-- {
			w.persist(w.flying[0])
			w.flying = w.flying[1:]
		}
		if len(w.flying) > 0 {
			w.marks["lost in a crash"]++
		}
	}
	w.trace("restart")
	w.waiting = map[Request]*call{} // connections break: nobody hears anything
	if w.random.IntN(2) == 0 {
		w.compact()
	}
	w.boot()
	for key, before := range offsets { // a repeated commit may be of what survived: persist has judged it
		if now := w.offsets()[key]; now < before && w.backs[key.partition] == backs[key.partition] {
			w.fail("partition %d was at %d before the restart and is at %d", key.partition, before, now)
		}
	}
	for _, c := range w.clients {
		c.disconnected()
	}
}

func (w *world) offsets() map[offsetKey]int64 {
	offsets := map[offsetKey]int64{}
	if g := w.c.groups["g"]; g != nil {
		for key, v := range g.offsets {
			offsets[key] = v.offset
		}
	}
	return offsets
}

// compact keeps the last record of each key in a part of the log.
func (w *world) compact() {
	w.marks["compacted"]++
	end := w.random.IntN(len(w.log) + 1)
	last := map[string]int{}
	for i, r := range w.log[:end] {
		last[string(r.Key)] = i
	}
	var kept []Record
	for i, r := range w.log {
		if i >= end || last[string(r.Key)] == i {
			kept = append(kept, r)
		}
	}
	w.log = kept
}

// carry takes what the coordinator decided to where it belongs.
func (w *world) carry() {
	for _, a := range w.c.Appends() {
		w.flying = append(w.flying, a)
		life := w.life
		w.after(w.until(20*time.Millisecond), func() { w.store(life) })
	}
	for _, r := range w.c.Answers() {
		call := w.waiting[r]
		delete(w.waiting, r)
		if call == nil {
			continue // of a connection that broke
		}
		if w.one(30) {
			w.trace("answer to %s's %T is lost", call.from.name, r)
			continue
		}
		w.after(w.until(50*time.Millisecond), func() {
			if call.from.life == call.life {
				call.done()
			}
		})
	}
}

// store makes the next append durable, or refuses it.
func (w *world) store(life int) {
	if life != w.life || len(w.flying) == 0 {
		return
	}
	a := w.flying[0]
	w.flying = w.flying[1:]
	if w.one(60) {
		w.marks["refused by the disk"]++
		w.c.Stored(w.now, a, NotAvailable)
		return
	}
	w.persist(a)
	w.c.Stored(w.now, a, OK)
}

// persist adds records to the log, and holds them against what came before.
func (w *world) persist(a *Append) {
	w.log = append(w.log, a.Records...)
	for _, r := range a.Records {
		if r.Value == nil || r.Key[1] != keyGroup {
			continue
		}
		g, err := parseGroupValue(r.Value)
		if err != nil {
			w.fail("group record: %v", err)
			continue
		}
		if len(g.members) > 0 && g.generation < w.stable {
			w.fail("generation %d is assigned after %d", g.generation, w.stable)
		}
		w.stable = max(w.stable, g.generation)
	}
	commit := w.authors[a]
	for i, key := range a.keys {
		v, err := parseOffsetValue(a.Records[i].Value)
		if err != nil {
			w.fail("offset record: %v", err)
			continue
		}
		last := &w.committed[key.partition]
		w.trace("offset %d of partition %d stored for %s, generation %d, repeated %v", v.offset, key.partition, commit.Member, commit.Generation, w.repeats[a])
		if commit.Generation < last.generation {
			w.fail("partition %d is committed by generation %d after %d", key.partition, commit.Generation, last.generation)
		}
		if v.offset < last.offset && !((w.repeats[a] || last.repeated) && commit.Generation == last.generation) {
			w.fail("partition %d moves back from %d to %d in generation %d", key.partition, last.offset, v.offset, commit.Generation)
		}
		if owner := w.owners[[2]int32{commit.Generation, key.partition}]; owner.member != commit.Member && (commit.Instance == nil || owner.instance != *commit.Instance) {
			w.fail("partition %d of %+v is committed by %s in generation %d", key.partition, owner, commit.Member, commit.Generation)
		}
		if v.offset < last.offset {
			w.backs[key.partition]++
		}
		*last = mark{v.offset, commit.Generation, w.repeats[a]}
	}
	if commit != nil {
		w.stored[commit] = w.backs
	}
}

// check holds the machine's own numbers together.
func (w *world) check() {
	for id, g := range w.c.groups {
		awaiting, owing := 0, 0
		for _, m := range g.members {
			if m.join != nil {
				awaiting++
			}
			if m.owes {
				owing++
			}
			if g.byID[m.id] != m || m.instance != nil && g.byInstance[*m.instance] != m {
				w.fail("member %s is not found by its id", m.id)
			}
			if m.alive.slot == 0 && m.join == nil && m.sync == nil {
				w.fail("nobody looks whether member %s is alive (%s)", m.id, g.state)
			}
		}
		if awaiting != g.awaiting || owing != g.owing || len(g.byID) != len(g.members) || (g.leader == nil) != (len(g.members) == 0) {
			w.fail("group %s: %d awaited and %d counted, %d owing and %d counted, leader %v of %d", id, awaiting, g.awaiting, owing, g.owing, g.leader, len(g.members))
		}
		if (g.state == Empty) != (len(g.members) == 0) && g.state != Preparing {
			w.fail("group %s is %s with %d members", id, g.state, len(g.members))
		}
		if g.state == Preparing && g.joining.slot == 0 {
			w.fail("group %s is waited for without end", id)
		}
	}
}

// client is one consumer.
type client struct {
	w        *world
	name     string
	instance *string
	running  bool
	life     int // answers of an earlier one are not for us

	member     string
	generation int32
	parts      []int32
	position   map[int32]int64
	beating    bool
}

func (c *client) start() {
	c.life++
	c.running, c.member, c.generation, c.parts = true, "", -1, nil
	c.w.trace("%s starts", c.name)
	c.join()
}

// crash forgets everything; the coordinator is not told.
func (c *client) crash() {
	c.life++
	c.running, c.parts = false, nil
	c.w.trace("%s crashes", c.name)
	c.w.after(c.w.until(15*time.Second), func() {
		if !c.running {
			c.start()
		}
	})
}

// disconnected has the client ask again from where it is.
func (c *client) disconnected() {
	if c.running {
		c.again(c.join)
	}
}

// again goes on somewhat later; whatever was asked before is not waited for.
func (c *client) again(step func()) {
	c.life++
	life := c.life
	c.w.after(100*time.Millisecond+c.w.until(200*time.Millisecond), func() {
		if c.life == life && c.running {
			step()
		}
	})
}

// send puts a request on its way; done runs with the answer, lost if there is none for too long.
func (c *client) send(r Request, patience time.Duration, done, lost func()) {
	w, life := c.w, c.life
	if !w.one(40) {
		w.after(w.until(50*time.Millisecond), func() { w.arrive(r, &call{c, life, done}) })
	}
	if again := repeat(r); again != nil && w.one(25) { // and once more, much later
		w.after(w.until(12*time.Second), func() {
			if commit, ok := again.(*Commit); ok {
				w.marks["repeated commit"]++
				w.arriveCommit(commit, &call{c, -1, func() {}}, true)
				return
			}
			w.arrive(again, &call{c, -1, func() {}})
		})
	}
	w.after(patience, func() {
		if c.life == life && c.running && !answered(r) || c.life == life && c.running && w.waiting[r] == nil && !c.beating {
			lost()
		}
	})
}

// repeat is the same request as another packet.
func repeat(r Request) Request {
	switch r := r.(type) {
	case *Join:
		again := *r
		return &again
	case *Sync:
		again := *r
		return &again
	case *Heartbeat:
		again := *r
		return &again
	case *Leave:
		return &Leave{Common: r.Common, Members: slices.Clone(r.Members)}
	case *Commit:
		again := *r
		if len(r.Topics) == 0 {
			return nil
		}
		again.Topics = []CommitTopic{{Topic: r.Topics[0].Topic, Partitions: slices.Clone(r.Topics[0].Partitions)}}
		return &again
	}
	return nil
}

func (w *world) arrive(r Request, call *call) {
	if commit, ok := r.(*Commit); ok {
		w.arriveCommit(commit, call, false)
		return
	}
	w.waiting[r] = call
	w.c.Do(w.now, r)
}

func (w *world) arriveCommit(r *Commit, call *call, repeated bool) {
	w.waiting[r] = call
	w.c.Do(w.now, r)
	for _, a := range w.c.appends.filling {
		if w.authors[a] == nil && len(a.keys) > 0 {
			w.authors[a] = r
			if repeated {
				w.repeats[a] = true
			}
		}
	}
}

func (c *client) join() {
	c.life++
	c.beating = false
	r := &Join{Common: Common{Group: "g"}, Member: c.member, Instance: c.instance, ClientID: c.name, Type: consumers, Session: simSession, Rebalance: simRebalance,
		Protocols: []Protocol{{Name: "range", Metadata: subscription("topic")}}, TwoSteps: true, MaySkip: true}
	if c.w.one(10) {
		r.Protocols[0].Metadata = subscription("topic", fmt.Sprint(c.life))
	}
	c.w.trace("%s joins as %q", c.name, c.member)
	c.send(r, simRebalance+5*time.Second, func() { c.joined(r) }, c.join)
}

func (c *client) joined(r *Join) {
	w := c.w
	w.trace("%s joined: %d, member %q, generation %d", c.name, r.Code, r.Assigned, r.Generation)
	switch r.Code {
	case OK:
		if c.instance != nil && c.member == "" && r.Generation == w.stable {
			w.marks["static member replaced"]++
		}
		c.member, c.generation = r.Assigned, r.Generation
		s := &Sync{Common: Common{Group: "g"}, Member: c.member, Instance: c.instance, Generation: c.generation}
		if r.Leader == c.member && !r.Skip {
			for p := range simPartitions {
				m := &r.Members[p%len(r.Members)]
				if p < len(r.Members) {
					s.Assignments = append(s.Assignments, Assignment{Member: m.Member})
				}
				at := &s.Assignments[p%len(r.Members)]
				at.Bytes = append(at.Bytes, byte(p))
			}
		}
		if w.one(20) { // before it knows what is its own
			early := &Commit{Common: Common{Group: "g"}, Member: c.member, Instance: c.instance, Generation: c.generation, Retention: -1}
			c.send(early, simSession, func() { w.commitMark(early.Code) }, func() {})
		}
		c.send(s, simSession, func() { c.synced(s) }, c.join)
	case MemberRequired:
		c.member = r.Assigned
		c.join()
	case UnknownMember:
		c.member, c.parts = "", nil
		c.again(c.join)
	case FencedInstance:
		w.marks["fenced"]++
		c.crash()
	default:
		c.again(c.join)
	}
}

func (c *client) synced(r *Sync) {
	w := c.w
	w.trace("%s synced: %d %v", c.name, r.Code, r.Assignment)
	c.parts = nil
	switch r.Code {
	case OK:
		w.marks["assigned"]++
		for _, p := range r.Assignment {
			key := [2]int32{r.Generation, int32(p)}
			owner := ownership{member: c.member}
			if c.instance != nil {
				owner.instance = *c.instance
			}
			if other, ok := w.owners[key]; ok && other.member != owner.member && (owner.instance == "" || other.instance != owner.instance) {
				w.fail("partition %d has owners %+v and %+v in generation %d", p, other, owner, r.Generation)
			}
			w.owners[key] = owner
			c.parts = append(c.parts, int32(p))
		}
		c.fetch()
	case UnknownMember:
		c.member = ""
		c.again(c.join)
	case FencedInstance:
		w.marks["fenced"]++
		c.crash()
	default:
		c.again(c.join)
	}
}

// fetch begins where the group has read to.
func (c *client) fetch() {
	f := &Fetch{Common: Common{Group: "g"}, Stable: c.w.random.IntN(2) == 0, Topics: []FetchTopic{{Topic: "topic"}}}
	for _, p := range c.parts {
		f.Topics[0].Partitions = append(f.Topics[0].Partitions, FetchPartition{Partition: p})
	}
	before := c.w.answered
	c.send(f, simSession, func() {
		c.position = map[int32]int64{}
		for _, p := range f.Topics[0].Partitions {
			last := before[p.Partition]
			if at := max(p.Offset, 0); at < last.offset && last.backs == c.w.backs[p.Partition] {
				c.w.fail("partition %d is fetched at %d, and %d was committed before", p.Partition, at, last.offset)
			} else {
				c.position[p.Partition] = at
			}
		}
		c.beating = true
		c.beat()
	}, c.join)
}

// beat reads on, commits, keeps the session, and does what real clients do to coordinators.
func (c *client) beat() {
	w := c.w
	switch {
	case w.one(60):
		c.crash()
		return
	case w.one(80):
		c.leave()
		return
	case w.one(80):
		w.trace("%s pauses", c.name)
		w.marks["session over"]++
		c.later(simSession + w.until(10*time.Second))
		return
	case w.one(40):
		c.join() // it has seen a new topic
		return
	}
	life := c.life
	step := func(code Code) {
		if c.life == life {
			c.judge(code)
		}
	}
	if len(c.parts) > 0 && w.random.IntN(2) == 0 {
		r := &Commit{Common: Common{Group: "g"}, Member: c.member, Instance: c.instance, Generation: c.generation, Retention: -1, Topics: []CommitTopic{{Topic: "topic"}}}
		for _, p := range c.parts {
			c.position[p] += 1 + int64(w.random.IntN(5))
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, CommitPartition{Partition: p, Offset: c.position[p], Epoch: -1})
		}
		c.sendOne(r, func() {
			w.commitMark(r.Code)
			if r.Code == OK {
				for _, p := range r.Topics[0].Partitions {
					if at := &w.answered[p.Partition]; w.stored[r][p.Partition] > at.backs || p.Offset > at.offset {
						*at = heard{p.Offset, w.stored[r][p.Partition]}
					}
				}
			}
			step(r.Code)
		})
		return
	}
	r := &Heartbeat{Common: Common{Group: "g"}, Member: c.member, Instance: c.instance, Generation: c.generation}
	c.sendOne(r, func() { step(r.Code) })
}

// sendOne is send for what a client that reads sends, one at a time; where no answer comes it goes on.
func (c *client) sendOne(r Request, done func()) {
	heard := false
	life := c.life
	c.send(r, 2*simSession, func() { heard = true; done() }, func() {})
	c.w.after(3*time.Second, func() {
		if !heard && c.life == life && c.running {
			c.again(c.join)
		}
	})
}

func (w *world) commitMark(code Code) {
	switch code {
	case OK:
		w.marks["commit"]++
	case IllegalGeneration:
		w.marks["commit refused: generation"]++
	case UnknownMember, FencedInstance:
		w.marks["commit refused: member"]++
	case Rebalancing:
		w.marks["commit refused: rebalance"]++
	}
}

// judge goes on after a heartbeat or commit.
func (c *client) judge(code Code) {
	switch code {
	case OK:
		c.later(300 * time.Millisecond)
	case UnknownMember:
		c.member, c.parts = "", nil
		c.join()
	case FencedInstance:
		c.w.marks["fenced"]++
		c.crash()
	case IllegalGeneration:
		c.parts = nil
		c.join()
	case NotAvailable:
		c.later(300 * time.Millisecond)
	default:
		c.parts = nil
		c.again(c.join)
	}
}

func (c *client) later(d time.Duration) {
	life := c.life
	c.w.after(d, func() {
		if c.life == life && c.running {
			c.beat()
		}
	})
}

func (c *client) leave() {
	c.w.trace("%s leaves", c.name)
	c.w.marks["left"]++
	r := &Leave{Common: Common{Group: "g"}, Members: []Leaver{{Member: c.member, Instance: c.instance}}}
	c.send(r, simSession, func() {}, func() {})
	c.crash()
}

// The same seed does the same.
func TestSimulationRepeats(t *testing.T) {
	var logs [2]int
	var marks [2]map[string]int
	for i := range logs {
		w := newWorld(t, 11)
		w.run()
		logs[i], marks[i] = len(w.log), w.marks
	}
	if logs[0] != logs[1] || !maps.Equal(marks[0], marks[1]) {
		t.Errorf("%d and %d records, marks %v and %v", logs[0], logs[1], marks[0], marks[1])
	}
}
