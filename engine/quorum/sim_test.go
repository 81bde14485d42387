package quorum_test

import (
	"bytes"
	"container/heap"
	"errors"
	"flag"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"pinion/disk/entries"
	"pinion/disk/faulty"
	"pinion/engine/catalog"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/quorum"
	"pinion/raft"
)

// The simulation runs whole members of the quorum, with their real log, their real catalogue and a faulty disk each, in one
// goroutine from one seed: three voters, and up to three more that join. Time is virtual. First everything fails (the safety part), then
// everything heals and must converge (the liveness part). Invariants are checked after every turn of a member:
//
//	one leader per term; a leader has every agreed entry; an index and a term name one entry, and one entry before it; all members
//	apply the same at an index, and then have the same state; the agreed part of each log is a prefix of the one history; a state is
//	never older than the index it claims, after any crash; an acknowledged proposal is in the history at its index; at most one change
//	of members is not yet agreed.
//
// A failing seed is replayed with: go test ./engine/quorum -run TestSimulation -sim.seed N -sim.trace
var (
	seedFlag  = flag.Int64("sim.seed", -1, "run this seed only")
	seedsFlag = flag.Int("sim.seeds", 350, "how many seeds to run")
	firstFlag = flag.Int("sim.first", 0, "the first of them")
	traceFlag = flag.Bool("sim.trace", false, "print what happens")
)

const (
	tick      = 100 * time.Millisecond
	faultTime = 14 * time.Second
	healTime  = 60 * time.Second
	nodesMax  = 6
)

// event is something due.
type event struct {
	at  time.Duration
	tie uint64 // drawn: what is due at once happens in any order
	run func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].tie < e[j].tie
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// entry is what the history knows of an index and a term.
type entry struct {
	data     string
	kind     uint8
	previous uint64 // term of the entry before
}

// world is one run.
type world struct {
	seed  uint64
	now   time.Duration
	queue events
	trace hash.Hash64
	print func(format string, args ...any)
	marks map[string]int
	count int // events

	// One stream of random numbers per subject, so that one does not disturb the others.
	order, network, disk, work, fault *rand.Rand

	nodes [nodesMax]*node
	// What is wrong with the world, drawn per seed; all zero after healing.
	loss, repeat float64
	delay        time.Duration
	faults       bool

	history []entry  // agreed, by index
	terms   []uint64 // by index: the term of the member that first applied it; it was agreed in that term or before
	hashes  [][32]byte
	oracle  *catalog.Machine
	known   map[[2]uint64]entry // (index, term), of every log ever seen
	leaders map[uint64]int      // by term
	removed map[uint64]bool     // by Raft's id: the removal is agreed
	acked   map[uint64]string   // by index: what the proposer was told is agreed
	topics  int
	changes int
	err     error
}

// node is one machine: a disk that outlives the process, and the process.
type node struct {
	w       *world
	id      int
	disk    *faulty.Dir
	member  *quorum.Member // nil: down
	life    int            // counts processes
	joiner  bool
	gone    bool // removed for ever
	paused  bool
	waiting []func() // what arrived during a pause
	cutIn   [2]bool  // isolated: nothing comes in, nothing goes out
	applied uint64   // checked so far in this life
	led     bool
}

func newWorld(seed uint64, print func(string, ...any)) *world {
	stream := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }
	w := &world{seed: seed, trace: fnv.New64a(), print: print, marks: map[string]int{}, order: stream(1), network: stream(2), disk: stream(3),
		work: stream(4), fault: stream(5), known: map[[2]uint64]entry{}, leaders: map[uint64]int{}, removed: map[uint64]bool{}, acked: map[uint64]string{}, faults: true}
	w.loss, w.repeat = w.fault.Float64()*0.3*float64(w.fault.IntN(2)), w.fault.Float64()*0.3
	w.delay = time.Duration(1+w.fault.IntN(60)) * time.Millisecond
	w.oracle = catalog.New("sim")
	w.oracle.Apply(1, nil)
	w.history, w.hashes, w.terms = make([]entry, 2), make([][32]byte, 2), make([]uint64, 2)
	w.hashes[1] = w.oracle.Hash()
	for i := range w.nodes {
		w.nodes[i] = &node{w: w, id: i, joiner: i >= 3, disk: faulty.New(seed*10 + uint64(i))}
	}
	return w
}

func (w *world) hit(mark string) { w.marks[mark]++ }

func (w *world) say(format string, args ...any) {
	fmt.Fprintf(w.trace, format+"\n", args...)
	if w.print != nil {
		w.print("%8.3fs "+format, append([]any{w.now.Seconds()}, args...)...)
	}
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("at %v: "+format, append([]any{w.now}, args...)...)
	}
}

func (w *world) after(d time.Duration, f func()) {
	heap.Push(&w.queue, event{w.now + d, w.order.Uint64(), f})
}

// runUntil runs events until a time, an error, or until done says so.
func (w *world) runUntil(limit time.Duration, done func() bool) {
	for w.err == nil && len(w.queue) > 0 && w.queue[0].at <= limit && !(done != nil && done()) {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		w.count++
		e.run()
	}
	w.now = max(w.now, min(limit, w.now))
}

// start begins a process.
func (n *node) start() {
	w := n.w
	if n.member != nil || n.gone {
		return
	}
	n.life++
	if w.faults && w.disk.IntN(3) == 0 {
		n.disk.CutAt(1 + w.disk.IntN(60)) // the power goes in the middle of a change, now or later
	}
	n.arm()
	m, err := quorum.Open(quorum.Config{Node: model.NodeID(n.id), Dir: n.disk, Cluster: "sim", Run: uint64(n.id)<<32 | uint64(n.life),
		Voters: []model.NodeID{0, 1, 2}, Transport: n, SnapshotEntries: 12, SnapshotBytes: 1 << 20, SegmentBytes: 900,
		OnImage: func(old, new *placement.Image, d catalog.Delta) {
			if new.Revision() <= old.Revision() {
				w.fail("node %d: image %d after %d", n.id, new.Revision(), old.Revision())
			}
		}})
	if err != nil {
		w.say("node %d does not start: %v", n.id, err)
		if errors.Is(err, raft.ErrNotMember) && w.removed[uint64(n.id)+1] {
			w.hit("removed member does not start")
			n.gone = true
			return
		}
		if !w.excused(err) {
			w.fail("node %d does not start: %v", n.id, err)
			return
		}
		w.hit("crash during start")
		n.fell(err)
		return
	}
	n.member, n.applied, n.led, n.paused, n.waiting = m, 0, false, false, nil
	w.say("node %d starts, applied %d of %d", n.id, m.Applied(), m.Log().Last())
	if n.life > 1 {
		w.hit("restart")
	}
	n.check()
	life := n.life
	var ticks func()
	ticks = func() {
		if n.life != life || n.member == nil {
			return
		}
		n.do(func() { n.member.Tick() })
		w.after(tick, ticks)
	}
	w.after(time.Duration(w.order.Int64N(int64(tick))), ticks)
}

// arm makes the disk fail now and then: an error of a sync or a write, or no space.
func (n *node) arm() {
	w := n.w
	n.disk.Fail(func(op faulty.Op, _ string) error {
		if !w.faults {
			return nil
		}
		switch {
		case op == faulty.Sync && w.disk.IntN(300) == 0:
			w.hit("failed sync")
			return faulty.EIO
		case op == faulty.Write && w.disk.IntN(600) == 0:
			w.hit("failed write")
			return faulty.EIO
		case op == faulty.SyncDir && w.disk.IntN(600) == 0:
			w.hit("failed directory sync")
			return faulty.EIO
		case op == faulty.Create && w.disk.IntN(400) == 0:
			w.hit("disk full")
			n.disk.Limit(1)
		}
		return nil
	})
}

// excused errors are those the simulated disk made.
func (w *world) excused(err error) bool {
	return errors.Is(err, faulty.ErrCut) || errors.Is(err, faulty.EIO) || errors.Is(err, unix.ENOSPC)
}

// do runs something in the process of a node, and all the work that follows.
func (n *node) do(f func()) {
	if n.member == nil {
		return
	}
	if n.paused {
		n.waiting = append(n.waiting, func() { n.do(f) })
		return
	}
	f()
	for n.member != nil && n.member.HasWork() && n.w.err == nil {
		err := n.turn()
		if err != nil {
			if !n.w.excused(err) {
				n.w.fail("node %d: %v", n.id, err)
			}
			n.w.hit("crash in a change of the disk")
			n.fell(err)
			return
		}
	}
}

func (n *node) turn() (err error) {
	snapshot, last := n.member.Log().Snapshot().Index, n.member.Log().Last()
	if err := n.member.Turn(); err != nil {
		return err
	}
	if now := n.member.Log().Snapshot().Index; now > snapshot {
		n.w.say("node %d installs a snapshot at %d", n.id, now)
		n.w.hit("snapshot installed")
		if n.member.Log().Last() < last {
			n.w.hit("snapshot replaced a log")
		}
	}
	n.check()
	before := n.member.Log().Snapshot().Index
	if err := n.member.Compact(); err != nil {
		return err
	}
	if n.member.Log().Snapshot().Index > before {
		n.w.hit("compaction")
		if n.member.Log().Last() > n.member.Applied() {
			n.w.hit("compaction below entries not agreed")
		}
	}
	return nil
}

// fell ends a process whose disk failed. What the next one finds depends on whether only the process died or the power went.
func (n *node) fell(err error) {
	n.crash(n.w.disk.IntN(2) == 0 || n.disk.Off() && n.w.disk.IntN(4) > 0)
	n.w.after(time.Duration(100+n.w.fault.IntN(1500))*time.Millisecond, n.start)
}

func (n *node) crash(power bool) {
	w := n.w
	w.say("node %d crashes, power cut %v", n.id, power)
	seed := w.disk.Uint64()
	if power {
		w.hit("power cut")
		n.disk = n.disk.AfterCut(seed)
	} else {
		w.hit("killed")
		n.disk = n.disk.Killed(seed)
	}
	n.member, n.waiting = nil, nil
	n.life++
}

// Send implements raft.Transport.
func (n *node) Send(messages []*raft.Message) {
	for _, m := range messages {
		n.send(proto.Clone(m).(*raft.Message))
	}
}

func (n *node) send(m *raft.Message) {
	w, to, life := n.w, int(m.GetTo())-1, n.life
	w.say("node %d to %d: %v term %d index %d entries %d commit %d reject %v", n.id, to, m.GetType(), m.GetTerm(), m.GetIndex(), len(m.GetEntries()), m.GetCommit(), m.GetReject())
	snapshot := m.GetType() == raftpb.MsgSnap
	if to >= nodesMax {
		w.fail("message to node %d", to)
		return
	}
	if snapshot {
		w.hit("snapshot sent")
	}
	report := func(arrived bool) {
		if n.life == life && snapshot {
			n.do(func() { n.member.SnapshotSent(model.NodeID(to), arrived) })
		}
	}
	target := w.nodes[to]
	lost := n.cutIn[1] || target.cutIn[0] || w.network.Float64() < w.loss
	if lost {
		w.hit("message lost")
		if snapshot {
			w.hit("snapshot lost")
		}
		w.after(300*time.Millisecond, func() { report(false) })
		return
	}
	deliver := func() {
		if target.member == nil {
			report(false)
			return
		}
		target.do(func() { _ = target.member.Step(proto.Clone(m).(*raft.Message)) }) // what it ignores is the network's business
		report(true)
	}
	w.after(w.latency(), deliver)
	if w.network.Float64() < w.repeat {
		w.hit("message repeated")
		w.after(w.latency()*5, deliver)
	}
}

// latency is mostly short and now and then very long, so that messages overtake each other.
func (w *world) latency() time.Duration {
	d := time.Duration(w.network.ExpFloat64() * float64(w.delay))
	if w.faults && w.network.IntN(50) == 0 {
		d += time.Duration(w.network.IntN(1500)) * time.Millisecond
	}
	return d
}

// check holds a member against everything seen so far.
func (n *node) check() {
	w, m := n.w, n.member
	log := m.Log()
	n.checkLog(log)
	applied := m.Applied()
	if applied < n.applied {
		w.fail("node %d: applied went from %d to %d", n.id, n.applied, applied)
	}
	for index := uint64(len(w.history)); index <= applied && w.err == nil; index++ {
		if index <= log.Snapshot().Index {
			w.fail("node %d has index %d from a snapshot that nobody applied", n.id, index)
			return
		}
		w.agree(index, m.Term(), log)
	}
	if w.err == nil && m.Hash() != w.hashes[applied] {
		w.fail("node %d: state at index %d is not what its log says", n.id, applied)
	}
	n.applied = applied
	if leads := m.Leads(); leads != n.led {
		n.led = leads
		if !leads {
			w.say("node %d leads no more", n.id)
			w.hit("leader stepped down")
		} else {
			n.checkLeader()
		}
	}
}

func (n *node) checkLog(log *entries.Log) {
	w := n.w
	first, changes := log.Snapshot().Index, 0
	before := log.Snapshot().Term
	for _, e := range log.Entries(first+1, log.Last()+1, 1<<40) {
		now := entry{string(e.Data), e.Kind, before}
		key := [2]uint64{e.Index, e.Term}
		if known, ok := w.known[key]; ok && known != now {
			w.fail("node %d: index %d of term %d is two entries", n.id, e.Index, e.Term)
		}
		w.known[key] = now
		if e.Index <= n.member.Applied() && e.Index < uint64(len(w.history)) && w.history[e.Index] != now {
			w.fail("node %d: index %d differs from what was agreed", n.id, e.Index)
		}
		if raft.Kind(e.Kind) != raft.Normal && e.Index > log.State().Commit {
			changes++
		}
		before = e.Term
	}
	if changes > 1 {
		w.fail("node %d: %d changes of members are not agreed", n.id, changes)
	}
	if log.State().Commit > log.Last() {
		w.fail("node %d: agreed up to %d of %d", n.id, log.State().Commit, log.Last())
	}
}

// agree takes an entry into the history: the first member has applied it.
func (w *world) agree(index, term uint64, log *entries.Log) {
	e := log.Entries(index, index+1, 1<<40)[0]
	before, _ := log.Term(index - 1)
	w.history = append(w.history, entry{string(e.Data), e.Kind, before})
	if raft.Kind(e.Kind) == raft.Normal && len(e.Data) > 0 {
		w.oracle.Apply(index, e.Data[17:])
	} else {
		w.oracle.Apply(index, nil)
	}
	var change raftpb.ConfChangeV2
	if raft.Kind(e.Kind) == raft.MembershipChange && proto.Unmarshal(e.Data, &change) == nil {
		for _, c := range change.GetChanges() {
			w.removed[c.GetNodeId()] = w.removed[c.GetNodeId()] || c.GetType() == raftpb.ConfChangeRemoveNode
		}
	}
	w.hashes = append(w.hashes, w.oracle.Hash())
	w.terms = append(w.terms, term)
	fmt.Fprintln(w.trace, "agreed", index, e.Term)
}

func (n *node) checkLeader() {
	w, term := n.w, n.member.Term()
	w.say("node %d leads term %d", n.id, term)
	w.hit("election won")
	if other, ok := w.leaders[term]; ok && other != n.id {
		w.fail("nodes %d and %d lead term %d", other, n.id, term)
	}
	w.leaders[term] = n.id
	// One that was elected long ago and learns of it only now may lack what later leaders got agreed.
	for index := len(w.history) - 1; index > 0 && n.member.Log().Last() < uint64(index); index-- {
		if w.terms[index] < term {
			w.fail("node %d leads term %d with entries up to %d, but %d was agreed in term %d", n.id, term, n.member.Log().Last(), index, w.terms[index])
			return
		}
	}
}

func (w *world) leader() *node {
	var best *node
	for _, n := range w.nodes {
		if n.member != nil && n.member.Leads() && !n.paused && (best == nil || n.member.Term() > best.member.Term()) {
			best = n
		}
	}
	return best
}

// propose has a leader, mostly the newest, create a topic or two.
func (w *world) propose() {
	n := w.leader()
	if w.work.IntN(10) == 0 {
		n = w.nodes[w.work.IntN(nodesMax)]
	}
	if n == nil || n.member == nil {
		return
	}
	var batch []quorum.Proposal
	for range 1 + w.work.IntN(3) {
		w.topics++
		var cmd catalog.Command
		if w.topics%4 == 1 {
			cmd = catalog.RegisterBroker(catalog.Registration{Node: 0, Incarnation: [16]byte{byte(w.topics), byte(w.topics >> 8)}, Shards: 2,
				Listeners: []placement.Listener{{Name: "PLAINTEXT", Host: "h", Port: 9092}}})
		} else if w.topics%4 == 2 {
			cmd = catalog.AllocateProducerIDs(model.NodeID(n.id))
		} else {
			cmd = catalog.SetBrokerConfigs(-1, []catalog.ConfigChange{{Key: fmt.Sprint("k", w.topics%20), Value: fmt.Sprint(w.topics)}}, false)
		}
		batch = append(batch, quorum.Proposal{Command: cmd, Done: w.answered(cmd.Bytes())})
	}
	n.do(func() {
		if err := n.member.Propose(batch); err != nil && !w.excused(err) {
			w.fail("propose: %v", err)
		}
	})
}

// answered remembers what an answer promises.
func (w *world) answered(cmd []byte) func(catalog.Result) {
	called := false
	return func(r catalog.Result) {
		if called {
			w.fail("a proposal was answered twice")
		}
		called = true
		switch {
		case r.Err == nil:
			if r.Index >= uint64(len(w.history)) {
				w.acked[r.Index] = string(cmd) // agreed in this very turn: check looks at it right after
			} else if !bytes.HasSuffix([]byte(w.history[r.Index].data), cmd) {
				w.fail("index %d was acknowledged for another entry", r.Index)
			}
			w.acked[r.Index] = string(cmd)
			w.hit("acknowledged")
		case r.Err.Code == catalog.NotLeader:
			w.hit("refused by a follower")
		case r.Err.Code == catalog.Stopped:
			w.hit("unknown outcome")
		}
	}
}

// change asks the leader for a change of members: a joiner comes in as a learner, is promoted, or a voter leaves for ever.
func (w *world) change() {
	l := w.leader()
	if l == nil {
		return
	}
	members := l.member.Members()
	try := func(change raft.Change, id int, mark string, then func()) {
		l.do(func() {
			err := l.member.ProposeMembership(change, model.NodeID(id), func(r catalog.Result) {
				if r.Err == nil {
					w.say("%s: node %d", mark, id)
					w.hit(mark)
					then()
				}
			})
			if errors.Is(err, raft.ErrChanging) {
				w.hit("change refused beside another")
			} else if err != nil && !errors.Is(err, raft.ErrDropped) && !w.excused(err) {
				w.fail("change of members: %v", err)
			}
		})
	}
	nothing := func() {}
	for range 1 + w.work.IntN(2) { // now and then two at once
		if l.member == nil {
			return
		}
		switch w.work.IntN(3) {
		case 0:
			for id := 3; id < nodesMax; id++ {
				n := w.nodes[id]
				if n.gone || w.removed[uint64(id+1)] || slices.Contains(members.Voters, uint64(id+1)) || slices.Contains(members.Learners, uint64(id+1)) {
					continue
				}
				n.start()
				try(raft.AddLearner, id, "learner added", nothing)
				break
			}
		case 1:
			if len(members.Learners) > 0 {
				id := int(members.Learners[0]) - 1
				if n := w.nodes[id]; n.member != nil && n.member.Applied()+5 > l.member.Applied() {
					try(raft.Promote, id, "learner promoted", nothing)
				}
			}
		case 2:
			if len(members.Voters) > 3 {
				id := int(members.Voters[w.work.IntN(len(members.Voters))]) - 1
				try(raft.RemoveMember, id, "voter removed", func() { w.after(time.Second, func() { w.remove(id) }) })
			}
		}
	}
}

func (w *world) remove(id int) {
	n := w.nodes[id]
	n.gone = true
	if n.member != nil {
		n.crash(false)
	}
}

// trouble does one thing to somebody.
func (w *world) trouble() {
	n := w.nodes[w.fault.IntN(nodesMax)]
	if n.member == nil {
		return
	}
	long := time.Duration(200+w.fault.IntN(3000)) * time.Millisecond
	life := n.life
	switch w.fault.IntN(7) {
	case 0, 1:
		n.crash(w.fault.IntN(2) == 0)
		w.after(long/2, n.start)
	case 2:
		for i, other := range w.nodes { // all at once
			if other.member != nil {
				other.crash(true)
				w.after(long/4+time.Duration(i), other.start)
			}
		}
		w.hit("power cut of all")
	case 3:
		w.hit("pause")
		n.paused = true
		w.after(long, func() {
			if n.life == life {
				n.resume()
			}
		})
	case 4, 5:
		n.cutIn = [2]bool{w.fault.IntN(3) > 0, w.fault.IntN(3) > 0}
		if n.cutIn[0] != n.cutIn[1] {
			w.hit("one-way isolation")
		} else if n.cutIn[0] {
			w.hit("isolation")
		}
		w.after(long, func() { n.cutIn = [2]bool{} })
	case 6:
		n.disk.CutAt(1 + w.disk.IntN(12))
	}
}

func (n *node) resume() {
	n.paused = false
	waiting := n.waiting
	n.waiting = nil
	for _, f := range waiting {
		f()
	}
}

// every runs f about every d until the world heals.
func (w *world) every(d time.Duration, r *rand.Rand, f func()) {
	w.after(time.Duration(r.ExpFloat64()*float64(d)), func() {
		if w.faults {
			f()
			w.every(d, r, f)
		}
	})
}

// run is a whole life of the world. It returns what went wrong.
func (w *world) run() error {
	for _, n := range w.nodes[:3] {
		n.start()
	}
	w.every(60*time.Millisecond, w.work, w.propose)
	w.every(700*time.Millisecond, w.work, w.change)
	w.every(800*time.Millisecond, w.fault, w.trouble)
	w.runUntil(faultTime, nil)
	if w.err != nil {
		return w.err
	}
	w.heal()
	return w.err
}

func (w *world) heal() {
	w.say("healing")
	w.faults, w.loss, w.repeat = false, 0, 0
	for _, n := range w.nodes {
		n.cutIn = [2]bool{}
		n.disk.CutAt(0)
		n.disk.Limit(0)
		if n.paused {
			n.resume()
		}
		if n.life > 0 && n.member == nil {
			w.after(time.Second, n.start)
		}
	}
	final := uint64(0)
	limit := w.now + healTime
	w.after(4*time.Second, func() { w.lastProposal(&final) })
	w.runUntil(limit, func() bool { return final > 0 && w.converged(final) })
	if w.err == nil && !w.converged(final) {
		w.fail("no convergence in %v: %s", healTime, w.state())
	}
	for index, cmd := range w.acked {
		if w.err == nil && (index >= uint64(len(w.history)) || !bytes.HasSuffix([]byte(w.history[index].data), []byte(cmd))) {
			w.fail("acknowledged entry %d is lost", index)
		}
	}
}

// lastProposal goes on until one proposal is acknowledged.
func (w *world) lastProposal(final *uint64) {
	if *final > 0 {
		return
	}
	if l := w.leader(); l != nil {
		cmd := catalog.AllocateProducerIDs(0)
		told := w.answered(cmd.Bytes())
		l.do(func() {
			_ = l.member.Propose([]quorum.Proposal{{Command: cmd, Done: func(r catalog.Result) {
				told(r)
				if r.Err == nil {
					*final = r.Index
				}
			}}})
		})
	}
	w.after(500*time.Millisecond, func() { w.lastProposal(final) })
}

// converged: every member of the group has applied the last proposal.
func (w *world) converged(final uint64) bool {
	l := w.leader()
	if l == nil || final == 0 {
		return false
	}
	m := l.member.Members()
	for _, id := range slices.Concat(m.Voters, m.Learners) {
		if n := w.nodes[id-1]; !n.gone && (n.member == nil || n.member.Applied() < final) {
			return false
		}
	}
	return true
}

func (w *world) state() string {
	var b bytes.Buffer
	for _, n := range w.nodes {
		if n.member != nil {
			fmt.Fprintf(&b, "node %d applied %d of %d, term %d, leads %v, members %+v; ", n.id, n.member.Applied(), n.member.Log().Last(), n.member.Term(),
				n.member.Leads(), n.member.Members())
		} else {
			fmt.Fprintf(&b, "node %d down, gone %v; ", n.id, n.gone)
		}
	}
	return b.String()
}

// simulate runs one seed.
func simulate(t *testing.T, seed uint64) *world {
	cryptotest.SetGlobalRandom(t, seed)
	var print func(string, ...any)
	if *traceFlag {
		print = t.Logf
	}
	w := newWorld(seed, print)
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("seed %d at %v: %v; replay: go test ./engine/quorum -run TestSimulation -sim.seed %d -sim.trace -v", seed, w.now, r, seed)
			panic(r)
		}
	}()
	if err := w.run(); err != nil {
		t.Errorf("seed %d: %v; replay: go test ./engine/quorum -run TestSimulation -sim.seed %d -sim.trace -v", seed, err, seed)
	}
	return w
}

// coverage lists what a long run must have met; a mark that is never hit is a part of the simulation that tests nothing.
var coverage = []string{"election won", "leader stepped down", "restart", "power cut", "killed", "power cut of all", "pause", "isolation",
	"one-way isolation", "crash in a change of the disk", "crash during start", "failed sync", "failed write", "failed directory sync", "disk full",
	"message lost", "message repeated", "snapshot sent", "snapshot lost", "snapshot installed", "snapshot replaced a log", "compaction",
	"compaction below entries not agreed", "acknowledged", "refused by a follower", "unknown outcome", "learner added", "learner promoted", "voter removed",
	"change refused beside another", "removed member does not start"}

func TestSimulation(t *testing.T) {
	if *seedFlag >= 0 {
		simulate(t, uint64(*seedFlag))
		return
	}
	marks, total := map[string]int{}, 0
	for seed := *firstFlag; seed < *firstFlag+*seedsFlag && !t.Failed(); seed++ {
		w := simulate(t, uint64(seed))
		total += w.count
		for mark, n := range w.marks {
			marks[mark] += n
		}
	}
	t.Logf("%d seeds, %d events", *seedsFlag, total)
	for _, mark := range coverage {
		t.Logf("%8d  %s", marks[mark], mark)
		if marks[mark] == 0 && *seedsFlag >= 350 && !t.Failed() {
			t.Errorf("never met: %s", mark)
		}
	}
}

// TestSameSeedSameTrace runs seeds twice: a simulation that does not repeat cannot be replayed.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := range uint64(20) {
		first, second := simulate(t, seed), simulate(t, seed)
		if first.trace.Sum64() != second.trace.Sum64() || first.count != second.count {
			t.Errorf("seed %d: %d events, then %d, trace %x, then %x", seed, first.count, second.count, first.trace.Sum64(), second.trace.Sum64())
		}
	}
}
