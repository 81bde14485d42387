package entries_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinion/disk/entries"
	"pinion/disk/faulty"
)

// picture is what a log holds, to compare before and after a cut.
type picture struct {
	Snapshot entries.Snapshot
	List     []entries.Entry
	State    entries.State // as of the last synced append
}

func (p picture) clone() picture {
	p.List = append([]entries.Entry(nil), p.List...)
	return p
}

func (p picture) last() uint64 { return p.Snapshot.Index + uint64(len(p.List)) }

// op changes a log and tells what the log then holds.
type op func(l *entries.Log, p *picture) error

func randomOps(r *rand.Rand, n int) []op {
	ops := make([]op, 0, n)
	for range n {
		seed := r.Uint64()
		switch k := r.IntN(10); {
		case k < 6:
			ops = append(ops, func(l *entries.Log, p *picture) error { return appendSome(l, p, rand.New(rand.NewPCG(seed, 2))) })
		case k < 8:
			ops = append(ops, func(l *entries.Log, p *picture) error { return stateOnly(l, p, seed%2 == 0) })
		default:
			ops = append(ops, func(l *entries.Log, p *picture) error { return snapshotSome(l, p, rand.New(rand.NewPCG(seed, 3))) })
		}
	}
	return ops
}

func appendSome(l *entries.Log, p *picture, r *rand.Rand) error {
	from := p.last() + 1
	if len(p.List) > 0 && r.IntN(4) == 0 { // a new leader replaces a suffix that was never agreed
		from = max(from-uint64(r.IntN(len(p.List)))-1, p.State.Commit+1)
	}
	st := p.State
	if st.Term += uint64(r.IntN(2)); from <= p.last() {
		st.Term++ // index and term name one entry: what replaces it is of a later term
	}
	st.Vote = st.Term % 3
	var list []entries.Entry
	for i := range uint64(1 + r.IntN(3)) {
		data := make([]byte, r.IntN(400))
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		list = append(list, entries.Entry{Index: from + i, Term: st.Term, Kind: uint8(i), Data: data})
	}
	st.Commit = max(st.Commit, from-1)
	p.List = append(p.List[:from-p.Snapshot.Index-1], list...)
	p.State = st
	return l.Append(list, st, true)
}

func stateOnly(l *entries.Log, p *picture, sync bool) error {
	st := p.State
	st.Commit = p.last()
	if sync {
		st.Term++
		p.State = st
	}
	return l.Append(nil, st, sync)
}

func snapshotSome(l *entries.Log, p *picture, r *rand.Rand) error {
	s := entries.Snapshot{Index: p.Snapshot.Index + 1 + uint64(r.IntN(len(p.List)+3)), Members: []byte("m"), Data: make([]byte, r.IntN(900))}
	if s.Index <= p.last() {
		s.Term = p.List[s.Index-p.Snapshot.Index-1].Term
		p.List = append([]entries.Entry(nil), p.List[s.Index-p.Snapshot.Index:]...)
	} else { // from another member
		s.Term = p.State.Term + 1
		p.List = nil
	}
	p.Snapshot = s
	p.State.Term = max(p.State.Term, s.Term)
	p.State.Commit = max(p.State.Commit, s.Index)
	return l.SaveSnapshot(s)
}

const folder = "meta"

var (
	firstSnapshot = entries.Snapshot{Index: 1, Term: 1, Members: []byte("me"), Data: []byte("empty")}
	small         = entries.Config{SegmentBytes: 1500}
)

// run founds or opens a log and does ops until one fails. It returns what the log held before and after the op that failed;
// acked is false when even founding did not come to its end.
func run(d *faulty.Dir, ops []op) (before, after picture, acked bool, err error) {
	if err = entries.Found(d, folder, firstSnapshot); err != nil {
		return
	}
	l, err := entries.Open(d, folder, small)
	p := picture{Snapshot: firstSnapshot, State: entries.State{Term: 1, Commit: 1}}
	before, after, acked = p, p, true
	if err != nil {
		return
	}
	for _, o := range ops {
		next := p.clone()
		err = o(l, &next)
		before, after = p, next
		if err != nil {
			return
		}
		p, before = next, next
	}
	err = l.Close()
	return
}

func look(d *faulty.Dir) (picture, error) {
	l, err := entries.Open(d, folder, small)
	if err != nil {
		return picture{}, err
	}
	p := picture{Snapshot: l.Snapshot(), State: l.State()}
	if p.Snapshot.Data, err = l.SnapshotData(); err != nil {
		return p, err
	}
	if l.Last() > p.Snapshot.Index {
		p.List = l.Entries(p.Snapshot.Index+1, l.Last()+1, 1<<30)
	}
	// The log must also be fit to go on.
	if err := l.Append([]entries.Entry{{Index: l.Last() + 1, Term: p.State.Term}}, p.State, true); err != nil {
		return p, err
	}
	again, err := entries.Open(d, folder, small)
	if err != nil {
		return p, fmt.Errorf("after going on: %w", err)
	}
	if again.Last() != p.last()+1 {
		return p, fmt.Errorf("after going on the log ends at %d, not %d", again.Last(), p.last()+1)
	}
	return p, nil
}

func equal(got, want picture) bool {
	if got.State.Commit < want.State.Commit || got.State.Commit > want.last() { // commit alone may be newer than was synced
		return false
	}
	got.State.Commit = want.State.Commit
	normal := func(p picture) picture {
		if len(p.List) == 0 {
			p.List = nil
		}
		return p
	}
	same := cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) || len(a)+len(b) == 0 })
	return cmp.Equal(normal(got), normal(want), same)
}

// TestPowerCutAtEveryChange cuts the power in the middle of each write, sync, rename and removal of a random history. What is
// found afterwards must be what was acknowledged, or that and the whole operation under way: nothing less, nothing in between.
func TestPowerCutAtEveryChange(t *testing.T) {
	torn := 0
	for seed := range uint64(40) {
		ops := randomOps(rand.New(rand.NewPCG(seed, 0)), 14)
		d := faulty.New(seed)
		if _, _, _, err := run(d, ops); err != nil {
			t.Fatalf("seed %d without a cut: %v", seed, err)
		}
		for at := 1; at <= d.Steps(); at++ {
			for tear := range uint64(3) {
				cut := faulty.New(seed)
				cut.CutAt(at)
				before, after, acked, err := run(cut, ops)
				if !errors.Is(err, faulty.ErrCut) {
					t.Fatalf("seed %d cut at %d: %v", seed, at, err)
				}
				left := cut.AfterCut(seed*1000 + tear)
				if tear == 2 {
					left = cut.Killed(seed)
				}
				founded, err := entries.Founded(left, folder)
				if err != nil || !founded && acked {
					t.Fatalf("seed %d cut at %d tear %d: founded %v, %v", seed, at, tear, founded, err)
				}
				if !founded {
					if _, _, _, err := run(left, ops); err != nil {
						t.Fatalf("seed %d cut at %d tear %d: founding again: %v", seed, at, tear, err)
					}
					continue
				}
				if !acked {
					before = picture{Snapshot: firstSnapshot, State: entries.State{Term: 1, Commit: 1}}
					after = before
				}
				got, err := look(left)
				if err != nil {
					t.Fatalf("seed %d cut at %d tear %d: %v", seed, at, tear, err)
				}
				if !equal(got, before) && !equal(got, after) {
					t.Fatalf("seed %d cut at %d tear %d: neither before nor after\n%s", seed, at, tear, cmp.Diff(before, got))
				}
				if !equal(got, after) {
					torn++
				}
			}
		}
	}
	if torn < 100 {
		t.Errorf("only %d cuts took the operation under way back; the test does not reach torn tails", torn)
	}
}

// TestSecondCutDuringRecovery cuts the power again while the first cut is being recovered from.
func TestSecondCutDuringRecovery(t *testing.T) {
	for seed := range uint64(20) {
		ops := randomOps(rand.New(rand.NewPCG(seed, 9)), 10)
		d := faulty.New(seed)
		d.CutAt(25 + int(seed))
		before, after, acked, err := run(d, ops)
		if !errors.Is(err, faulty.ErrCut) || !acked {
			t.Fatalf("seed %d: %v", seed, err)
		}
		left := d.AfterCut(seed)
		for at := 1; at < 5; at++ {
			left.CutAt(at)
			if _, err := look(left); err != nil && !errors.Is(err, faulty.ErrCut) {
				t.Fatalf("seed %d, second cut at %d: %v", seed, at, err)
			}
			left = left.AfterCut(seed + uint64(at))
			l, err := entries.Open(left, folder, small)
			if err != nil {
				t.Fatalf("seed %d, after a second cut at %d: %v", seed, at, err)
			}
			if l.Last() < before.last() && l.Last() < after.last() {
				t.Fatalf("seed %d, after a second cut at %d: log ends at %d, acknowledged %d", seed, at, l.Last(), before.last())
			}
		}
	}
}

// TestTwoCutsAroundSnapshotsOfOthers cuts the power in each of two snapshots that another member sent, at every pair of changes: what the
// first leaves behind must not be taken for a part of the log when the second is cut short. (Found by the simulation of the quorum.)
func TestTwoCutsAroundSnapshotsOfOthers(t *testing.T) {
	for first := 1; first < 20; first++ {
		for second := 1; second < 20; second++ {
			d := faulty.New(1)
			must(t, entries.Found(d, folder, firstSnapshot))
			last := uint64(1)
			for i, at := range []int{first, second} {
				l, err := entries.Open(d, folder, small)
				must(t, err)
				if l.Snapshot().Index > last {
					last = l.Snapshot().Index
				}
				must(t, l.Append([]entries.Entry{{Index: l.Last() + 1, Term: l.State().Term}}, l.State(), true))
				d.CutAt(at)
				s := entries.Snapshot{Index: uint64(100 * (i + 1)), Term: uint64(5 * (i + 1)), Members: []byte("m")}
				if err := l.SaveSnapshot(s); err == nil {
					last = s.Index
				} else if !errors.Is(err, faulty.ErrCut) {
					t.Fatal(err)
				}
				d = d.Killed(1)
			}
			l, err := entries.Open(d, folder, small)
			if err != nil {
				t.Fatalf("cut at %d, then at %d: %v", first, second, err)
			}
			if l.Snapshot().Index < last {
				t.Fatalf("cut at %d, then at %d: snapshot %d, saved %d", first, second, l.Snapshot().Index, last)
			}
		}
	}
}

// TestRestartAfterFailedSync: what a process finds after its predecessor died of a failed sync must survive a power cut once it was
// shown, although the kernel believes that it is stored. (Found by the simulation of the quorum.)
func TestRestartAfterFailedSync(t *testing.T) {
	d := filled(t)
	l, err := entries.Open(d, folder, entries.Config{})
	must(t, err)
	d.Fail(func(op faulty.Op, _ string) error {
		if op == faulty.Sync {
			return faulty.EIO
		}
		return nil
	})
	last := l.Last() + 1
	if err := l.Append([]entries.Entry{{Index: last, Term: 2, Data: make([]byte, 5000)}}, l.State(), true); !errors.Is(err, faulty.EIO) {
		t.Fatal(err)
	}
	d = d.Killed(1)
	l, err = entries.Open(d, folder, entries.Config{})
	must(t, err)
	if l.Last() != last {
		t.Fatalf("the next process sees entries up to %d, want %d", l.Last(), last)
	}
	for seed := range uint64(20) {
		l, err := entries.Open(d.AfterCut(seed), folder, entries.Config{})
		must(t, err)
		if l.Last() != last {
			t.Fatalf("seed %d: entries up to %d after a power cut, %d were shown", seed, l.Last(), last)
		}
	}
}
