package raft

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"testing"
	"testing/cryptotest"
)

// memory is a Storage that forgets in a crash what it was not told to sync.
type memory struct {
	snap    Snapshot
	list    []Entry
	state   State
	durable State
	fail    error
	syncs   int
}

func (m *memory) State() State { return m.state }
func (m *memory) Snapshot() Snapshot {
	s := m.snap
	s.Data = nil
	return s
}
func (m *memory) SnapshotData() ([]byte, error) { return m.snap.Data, nil }
func (m *memory) Last() uint64                  { return m.snap.Index + uint64(len(m.list)) }
func (m *memory) Term(index uint64) (uint64, bool) {
	if index == m.snap.Index {
		return m.snap.Term, true
	}
	if index < m.snap.Index || index > m.Last() {
		return 0, false
	}
	return m.list[index-m.snap.Index-1].Term, true
}
func (m *memory) Entries(from, to, bytesMax uint64) []Entry {
	return m.list[from-m.snap.Index-1 : to-m.snap.Index-1]
}
func (m *memory) Append(list []Entry, state State, sync bool) error {
	if m.fail != nil {
		return m.fail
	}
	m.state = state
	if sync {
		m.syncs++
		m.durable = state
	}
	if len(list) > 0 {
		if !sync {
			return errors.New("entries without a sync")
		}
		m.list = append(m.list[:list[0].Index-m.snap.Index-1], list...)
	}
	return nil
}
func (m *memory) SaveSnapshot(s Snapshot) error {
	if m.fail != nil {
		return m.fail
	}
	var kept []Entry
	if term, ok := m.Term(s.Index); ok && term == s.Term {
		kept = slices.Clone(m.list[s.Index-m.snap.Index:])
	}
	m.snap, m.list = s, kept
	m.state.Commit, m.durable.Commit = max(m.state.Commit, s.Index), max(m.durable.Commit, s.Index)
	m.state.Term, m.durable.Term = max(m.state.Term, s.Term), max(m.durable.Term, s.Term)
	return nil
}

// crash forgets what was not synced.
func (m *memory) crash() { m.state = m.durable }

// group is three members, their state machines (a running digest per index) and a network that loses and repeats.
type group struct {
	t       *testing.T
	rand    *mrand.Rand
	stores  []*memory
	nodes   []*Node
	applied []uint64
	digest  []uint64
	agreed  map[uint64]uint64 // index -> digest, over all members for ever
	leaders map[uint64]uint64 // term -> member
	wire    []*Message
	lossy   bool
	next    uint64
}

func newGroup(t *testing.T, seed uint64, size int) *group {
	g := &group{t: t, rand: mrand.New(mrand.NewPCG(seed, 0)), agreed: map[uint64]uint64{}, leaders: map[uint64]uint64{}, lossy: true,
		nodes: make([]*Node, size), applied: make([]uint64, size), digest: make([]uint64, size)}
	var voters []uint64
	for i := range size {
		voters = append(voters, uint64(i+1))
	}
	for range size {
		g.stores = append(g.stores, &memory{snap: Snapshot{Index: 1, Term: 1, Members: Members{Voters: voters}, Data: make([]byte, 8)},
			state: State{Term: 1, Commit: 1}, durable: State{Term: 1, Commit: 1}})
	}
	for i := range size {
		g.start(i)
	}
	return g
}

func (g *group) start(i int) {
	n, err := Open(g.stores[i], Config{ID: uint64(i + 1), ElectionTicks: 10})
	if err != nil {
		g.t.Fatal(err)
	}
	g.nodes[i] = n
	g.restore(i, g.stores[i].snap)
}

func (g *group) restore(i int, s Snapshot) {
	g.applied[i], g.digest[i] = s.Index, binary.LittleEndian.Uint64(s.Data)
}

// work does everything a member has to do.
func (g *group) work(i int) {
	n := g.nodes[i]
	for n.HasWork() {
		w, err := n.Ready()
		if err != nil {
			g.t.Fatal(err)
		}
		if w.Snapshot != nil {
			g.restore(i, *w.Snapshot)
		}
		for _, e := range w.Committed {
			if e.Index != g.applied[i]+1 {
				g.t.Fatalf("member %d applies %d after %d", i+1, e.Index, g.applied[i])
			}
			g.applied[i] = e.Index
			g.digest[i] = g.digest[i]*1099511628211 + e.Term
			for _, b := range e.Data {
				g.digest[i] = g.digest[i]*1099511628211 + uint64(b)
			}
			if want, ok := g.agreed[e.Index]; ok && want != g.digest[i] {
				g.t.Fatalf("member %d disagrees at index %d", i+1, e.Index)
			}
			g.agreed[e.Index] = g.digest[i]
		}
		if n.Leads() {
			if other, ok := g.leaders[n.Term()]; ok && other != uint64(i+1) {
				g.t.Fatalf("members %d and %d lead term %d", other, i+1, n.Term())
			}
			g.leaders[n.Term()] = uint64(i + 1)
		}
		g.wire = append(g.wire, w.Messages...)
	}
}

func (g *group) step() {
	i := g.rand.IntN(len(g.nodes))
	switch r := g.rand.IntN(100); {
	case r < 30:
		g.nodes[i].Tick()
	case r < 40 && g.nodes[i].Leads():
		g.next++
		data := []byte(fmt.Sprint("command ", g.next))
		if err := g.nodes[i].Propose([][]byte{data, {}}); err != nil && !errors.Is(err, ErrDropped) {
			g.t.Fatal(err)
		}
	case r == 41 && g.lossy:
		g.stores[i].crash()
		g.start(i)
	case r == 42:
		if err := g.nodes[i].Compact(g.applied[i], binary.LittleEndian.AppendUint64(nil, g.digest[i])); err != nil {
			g.t.Fatal(err)
		}
	case len(g.wire) > 0:
		k := g.rand.IntN(min(len(g.wire), 5)) // late by a few
		m := g.wire[k]
		lost := g.lossy && g.rand.IntN(10) == 0
		if repeat := g.lossy && g.rand.IntN(10) == 0; !repeat {
			g.wire = slices.Delete(g.wire, k, k+1)
		}
		if !lost {
			_ = g.nodes[m.GetTo()-1].Step(m) // ignored messages are the network's business
		}
	}
	g.work(i)
	for j := range g.nodes {
		g.work(j)
	}
}

// TestThreeMembers runs a lossy network with crashes and compactions, then heals it: no two members ever apply different
// entries at an index nor lead the same term, and in the end all have applied everything.
func TestThreeMembers(t *testing.T) {
	for seed := range uint64(30) {
		cryptotest.SetGlobalRandom(t, seed)
		g := newGroup(t, seed, 3)
		for range 2500 {
			g.step()
		}
		g.lossy = false
		for range 2500 {
			g.step()
		}
		// Quiet: no more proposals, only time and delivery.
		for range 400 {
			for i := range g.nodes {
				g.nodes[i].Tick()
				g.work(i)
			}
			for len(g.wire) > 0 {
				m := g.wire[0]
				g.wire = g.wire[1:]
				_ = g.nodes[m.GetTo()-1].Step(m)
				g.work(int(m.GetTo() - 1))
			}
		}
		if g.applied[0] != g.applied[1] || g.applied[1] != g.applied[2] || g.digest[0] != g.digest[1] || g.digest[1] != g.digest[2] {
			t.Fatalf("seed %d: applied %v", seed, g.applied)
		}
		if g.applied[0] < 40 {
			t.Errorf("seed %d: only %d entries were agreed", seed, g.applied[0])
		}
	}
}

// TestSameSeedSameHistory: a simulation of this package repeats exactly.
func TestSameSeedSameHistory(t *testing.T) {
	var last string
	for range 2 {
		cryptotest.SetGlobalRandom(t, 7)
		g := newGroup(t, 7, 3)
		for range 3000 {
			g.step()
		}
		got := fmt.Sprint(g.applied, g.digest, len(g.wire), g.leaders)
		if last != "" && got != last {
			t.Fatalf("%s\n%s", last, got)
		}
		last = got
	}
}

// TestLoneVoter: one member leads at once, hands out what it persisted, and after a crash everything again from its snapshot.
func TestLoneVoter(t *testing.T) {
	_, _ = rand.Read(nil)
	g := newGroup(t, 1, 1)
	if err := g.nodes[0].Propose([][]byte{{1}}); !errors.Is(err, ErrDropped) {
		t.Fatalf("a follower took a proposal: %v", err)
	}
	if err := g.nodes[0].Campaign(); err != nil {
		t.Fatal(err)
	}
	g.work(0)
	if !g.nodes[0].Leads() || !g.nodes[0].Alone() {
		t.Fatal("does not lead")
	}
	before := g.stores[0].syncs
	var batch [][]byte
	for i := range 300 {
		batch = append(batch, []byte{byte(i)})
	}
	if err := g.nodes[0].Propose(batch); err != nil {
		t.Fatal(err)
	}
	g.work(0)
	if got := g.stores[0].syncs - before; got != 1 {
		t.Errorf("%d syncs for one batch", got)
	}
	if g.applied[0] != 302 { // snapshot 1, the term's entry 2, 300 commands
		t.Fatalf("applied %d", g.applied[0])
	}
	if err := g.nodes[0].Compact(200, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	g.agreed = map[uint64]uint64{}
	g.stores[0].crash()
	g.start(0)
	if err := g.nodes[0].Campaign(); err != nil {
		t.Fatal(err)
	}
	g.work(0)
	if g.applied[0] != 303 {
		t.Fatalf("applied %d after a crash", g.applied[0])
	}
}

// TestStorageErrorIsFinal: nothing leaves a node whose write failed.
func TestStorageErrorIsFinal(t *testing.T) {
	g := newGroup(t, 1, 3)
	broken := errors.New("input/output error")
	g.stores[0].fail = broken
	if err := g.nodes[0].Campaign(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // pre-vote asks come first and need no write
		for g.nodes[0].HasWork() {
			w, err := g.nodes[0].Ready()
			if err != nil {
				if !errors.Is(err, broken) || len(w.Messages)+len(w.Committed) > 0 {
					t.Fatalf("%v with %+v", err, w)
				}
				break
			}
			for _, m := range w.Messages {
				_ = g.nodes[m.GetTo()-1].Step(m)
				for g.nodes[m.GetTo()-1].HasWork() {
					w, _ := g.nodes[m.GetTo()-1].Ready()
					for _, back := range w.Messages {
						if back.GetTo() == 1 {
							_ = g.nodes[0].Step(back)
						}
					}
				}
			}
		}
	}
	g.stores[0].fail = nil
	if err := g.nodes[0].Propose([][]byte{{1}}); !errors.Is(err, broken) {
		t.Errorf("propose after a failed write: %v", err)
	}
	if _, err := g.nodes[0].Ready(); !errors.Is(err, broken) {
		t.Errorf("ready after a failed write: %v", err)
	}
}

// TestMembership adds a learner and makes it a voter; the membership survives in a snapshot.
func TestMembership(t *testing.T) {
	g := newGroup(t, 1, 1)
	if err := g.nodes[0].Campaign(); err != nil {
		t.Fatal(err)
	}
	g.work(0)
	if err := g.nodes[0].ProposeMembership(AddLearner, 2, nil); err != nil {
		t.Fatal(err)
	}
	if err := g.nodes[0].ProposeMembership(AddLearner, 3, nil); !errors.Is(err, ErrChanging) {
		t.Fatalf("a second change beside the first: %v", err)
	}
	g.work(0)
	if m := g.nodes[0].Members(); !slices.Equal(m.Learners, []uint64{2}) || g.nodes[0].Alone() {
		t.Fatalf("%+v", m)
	}
	if err := g.nodes[0].Compact(g.applied[0], make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	b, err := AppendMembers(nil, g.stores[0].snap.Members)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadMembers(b)
	if err != nil || !slices.Equal(got.Learners, []uint64{2}) || !slices.Equal(got.Voters, []uint64{1}) {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestStrangerIsRefused(t *testing.T) {
	g := newGroup(t, 1, 1)
	if _, err := Open(g.stores[0], Config{ID: 9}); err == nil {
		t.Error("a node outside the group was opened")
	}
	if _, err := Open(&memory{}, Config{ID: 1}); err == nil {
		t.Error("storage without members was opened")
	}
}
