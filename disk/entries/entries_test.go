package entries_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path"
	"testing"

	"pinion/disk/device"
	"pinion/disk/entries"
	"pinion/disk/faulty"
)

// filled makes a log with a few batches of data without long runs of zeros.
func filled(t *testing.T) *faulty.Dir {
	t.Helper()
	d := faulty.New(1)
	must(t, entries.Found(d, folder, firstSnapshot))
	l, err := entries.Open(d, folder, small)
	must(t, err)
	for i := range uint64(6) {
		list := []entries.Entry{{Index: 2 + i, Term: 2, Data: bytes.Repeat([]byte{byte(i) + 1}, 300)}}
		must(t, l.Append(list, entries.State{Term: 2, Vote: 1, Commit: 1 + i}, true))
	}
	must(t, l.Close())
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryFlippedBitIsSeen damages each byte of each file in turn: the log must refuse, and must not cut anything.
func TestEveryFlippedBitIsSeen(t *testing.T) {
	d := filled(t)
	names, err := d.List(folder)
	must(t, err)
	if len(names) < 3 {
		t.Fatalf("want a snapshot and two segments, have %v", names)
	}
	for _, e := range names {
		name := path.Join(folder, e.Name)
		whole, err := d.ReadFile(name, 1<<20)
		must(t, err)
		for i := range whole {
			d.Damage(name, func([]byte) []byte {
				b := bytes.Clone(whole)
				b[i] ^= 1 << (i % 8)
				return b
			})
			if _, err := entries.Open(d, folder, small); err == nil {
				t.Fatalf("%s: byte %d of %d is damaged and nobody noticed", e.Name, i, len(whole))
			}
		}
		d.Damage(name, func([]byte) []byte { return whole })
	}
	_, err = entries.Open(d, folder, small)
	must(t, err)
}

// TestMissingFilesAreSeen removes each file in turn.
func TestMissingFilesAreSeen(t *testing.T) {
	names, err := filled(t).List(folder)
	must(t, err)
	for i, e := range names {
		d := filled(t)
		must(t, d.Remove(path.Join(folder, e.Name)))
		founded, err := entries.Founded(d, folder)
		if err == nil && founded {
			_, err = entries.Open(d, folder, small)
		}
		// The last segment of several can vanish unseen only if nothing tells of it; here the state before it does not.
		lastSegment := i == len(names)-1
		if err == nil && !lastSegment {
			t.Errorf("%s is missing and nobody noticed", e.Name)
		}
	}
}

// TestZeroTailIsTorn: a length that was written without its data is a torn tail, the same bytes with data behind are not.
func TestZeroTailIsTorn(t *testing.T) {
	d := filled(t)
	names, _ := d.List(folder)
	name := path.Join(folder, names[len(names)-1].Name)
	whole, err := d.ReadFile(name, 1<<20)
	must(t, err)
	d.Damage(name, func([]byte) []byte { return append(bytes.Clone(whole), make([]byte, 700)...) })
	l, err := entries.Open(d, folder, small)
	must(t, err)
	if l.Last() != 7 {
		t.Fatalf("log ends at %d, want 7", l.Last())
	}
	if cut, _ := d.ReadFile(name, 1<<20); len(cut) != len(whole) {
		t.Fatalf("tail of %d bytes left, want %d", len(cut), len(whole))
	}
}

// TestFailedSyncIsFinal: after an error no later append may succeed (fsyncgate).
func TestFailedSyncIsFinal(t *testing.T) {
	for _, op := range []faulty.Op{faulty.Write, faulty.Sync, faulty.Rename, faulty.SyncDir, faulty.Create} {
		d := filled(t)
		l, err := entries.Open(d, folder, entries.Config{SegmentBytes: 1})
		must(t, err)
		broken := errors.New("input/output error")
		d.Fail(func(o faulty.Op, _ string) error {
			if o == op {
				return broken
			}
			return nil
		})
		next := []entries.Entry{{Index: l.Last() + 1, Term: 2}}
		if err := l.Append(next, l.State(), true); !errors.Is(err, broken) {
			t.Fatalf("%s: %v", op, err)
		}
		d.Fail(nil)
		if err := l.Append(next, l.State(), true); !errors.Is(err, broken) {
			t.Fatalf("%s: a later append was taken: %v", op, err)
		}
		if err := l.SaveSnapshot(entries.Snapshot{Index: l.Last(), Term: 2}); !errors.Is(err, broken) {
			t.Fatalf("%s: a later snapshot was taken: %v", op, err)
		}
	}
}

// TestFullDisk: the log goes on for a while where others have taken all space, in the life that finds the disk full and in the next.
func TestFullDisk(t *testing.T) {
	d := filled(t)
	d.Limit(d.Used() + 4<<20)
	l, err := entries.Open(d, folder, entries.Config{})
	must(t, err)
	for range 2 {
		d.Limit(d.Used())
		for range 100 {
			must(t, l.Append([]entries.Entry{{Index: l.Last() + 1, Term: 2, Data: make([]byte, 1000)}}, l.State(), true))
		}
		must(t, l.Close())
		last := l.Last()
		if l, err = entries.Open(d, folder, entries.Config{}); err != nil || l.Last() != last {
			t.Fatalf("opened again: %v", err)
		}
	}
	must(t, l.Close())
}

// TestFoundedWithoutSpare: a disk that has room for a new log, and none ahead of it, takes it.
func TestFoundedWithoutSpare(t *testing.T) {
	d := faulty.New(1)
	d.Limit(64 << 10)
	must(t, entries.Found(d, folder, firstSnapshot))
	l, err := entries.Open(d, folder, small)
	must(t, err)
	must(t, l.Close())
}

// TestFullDiskTakesNoNewFile: a segment that should be followed grows on, and a snapshot waits, at whichever of its steps the disk is full.
func TestFullDiskTakesNoNewFile(t *testing.T) {
	const block = 4096 // of what files take
	for _, room := range []int64{0, 1, block, 2 * block, 64 * block, 2 << 20} {
		d := filled(t)
		d.Limit(d.Used() + 4<<20)
		l, err := entries.Open(d, folder, small)
		must(t, err)
		d.Limit(d.Used() + room)
		for range 20 {
			must(t, l.Append([]entries.Entry{{Index: l.Last() + 1, Term: 2, Data: make([]byte, 1000)}}, l.State(), true))
		}
		full := 0
		for range 3 {
			state := l.State()
			state.Commit = l.Last()
			must(t, l.Append(nil, state, true))
			if err := l.SaveSnapshot(entries.Snapshot{Index: l.Last(), Term: 2, Members: []byte("m"), Data: make([]byte, 3000)}); errors.Is(err, device.ErrNoSpace) {
				full++
			} else {
				must(t, err)
			}
			must(t, l.Append([]entries.Entry{{Index: l.Last() + 1, Term: 2, Data: make([]byte, 1000)}}, l.State(), true))
			at, state, last := l.Snapshot().Index, l.State(), l.Last()
			must(t, l.Close())
			if l, err = entries.Open(d, folder, small); err != nil || l.Last() != last || l.State() != state || l.Snapshot().Index < at {
				t.Fatalf("room for %d bytes: opened again: %v", room, err)
			}
		}
		if (full > 0) != (room < block) {
			t.Errorf("room for %d bytes: %d snapshots found none", room, full)
		}
		d.Limit(0)
		must(t, l.SaveSnapshot(entries.Snapshot{Index: l.Last(), Term: 2, Members: []byte("m"), Data: make([]byte, 3000)}))
		must(t, l.Close())
		if names, err := d.List(folder); err != nil || len(names) != 2 {
			t.Errorf("room for %d bytes: with space again %v, %v", room, names, err)
		}
	}
}

// TestOneSyncPerAppend: a group commit is one durable write, however many entries it carries.
func TestOneSyncPerAppend(t *testing.T) {
	d := filled(t)
	l, err := entries.Open(d, folder, entries.Config{})
	must(t, err)
	syncs := 0
	d.Fail(func(o faulty.Op, _ string) error {
		if o == faulty.Sync {
			syncs++
		}
		return nil
	})
	var list []entries.Entry
	for i := range uint64(500) {
		list = append(list, entries.Entry{Index: l.Last() + 1 + i, Term: 2, Data: []byte("x")})
	}
	must(t, l.Append(list, l.State(), true))
	st := l.State()
	st.Commit = l.Last()
	must(t, l.Append(nil, st, false)) // a commit index alone is not worth a sync
	if syncs != 1 {
		t.Errorf("%d syncs, want 1", syncs)
	}
}

// TestRealDisk runs the same code on a real directory.
func TestRealDisk(t *testing.T) {
	d, err := device.OpenDir(t.TempDir())
	must(t, err)
	must(t, entries.Found(d, folder, firstSnapshot))
	p := picture{Snapshot: firstSnapshot, State: entries.State{Term: 1, Commit: 1}}
	l, err := entries.Open(d, folder, small)
	must(t, err)
	for i, o := range randomOps(rand.New(rand.NewPCG(4, 4)), 30) {
		must(t, o(l, &p))
		if i%7 == 0 {
			must(t, l.Close())
			l, err = entries.Open(d, folder, small)
			must(t, err)
		}
	}
	if l.Last() != p.last() || l.Snapshot().Index != p.Snapshot.Index {
		t.Fatalf("log is (%d, %d], want (%d, %d]", l.Snapshot().Index, l.Last(), p.Snapshot.Index, p.last())
	}
}

func TestEntriesAreCutBySize(t *testing.T) {
	l, err := entries.Open(filled(t), folder, small)
	must(t, err)
	for _, row := range []struct {
		bytes uint64
		want  int
	}{{0, 1}, {299, 1}, {600, 2}, {601, 2}, {1 << 20, 6}} {
		if got := len(l.Entries(2, 8, row.bytes)); got != row.want {
			t.Errorf("%d bytes: %d entries, want %d", row.bytes, got, row.want)
		}
	}
	if got := len(l.Entries(5, 5, 10)); got != 0 {
		t.Errorf("empty range: %d entries", got)
	}
}

// FuzzOpen feeds arbitrary segments and snapshots: an error or a log, never a panic.
func FuzzOpen(f *testing.F) {
	d := faulty.New(1)
	_ = entries.Found(d, folder, firstSnapshot)
	seg, _ := d.ReadFile(folder+"/00000000000000000001.entries", 1<<20)
	snap, _ := d.ReadFile(folder+"/00000000000000000001.snapshot", 1<<20)
	f.Add(seg, snap)
	f.Add(seg[:len(seg)-1], snap)
	f.Add([]byte{}, snap)
	f.Fuzz(func(t *testing.T, seg, snap []byte) {
		d := faulty.New(1)
		must(t, entries.Found(d, folder, firstSnapshot))
		d.Damage(folder+"/00000000000000000001.entries", func([]byte) []byte { return seg })
		d.Damage(folder+"/00000000000000000001.snapshot", func([]byte) []byte { return snap })
		if l, err := entries.Open(d, folder, small); err == nil {
			_, _ = l.SnapshotData()
		}
	})
}

// TestLostSectorBelowTheEndIsDamage zeroes each sector of a segment in turn, as a device that forgot a write would: what lies
// behind proves that it had been synced.
func TestLostSectorBelowTheEndIsDamage(t *testing.T) {
	d := faulty.New(1)
	must(t, entries.Found(d, folder, firstSnapshot))
	l, err := entries.Open(d, folder, entries.Config{})
	must(t, err)
	for i := range uint64(30) { // of all sizes, so that sectors cut headers and bodies everywhere
		list := []entries.Entry{{Index: 2 + i, Term: 2, Data: bytes.Repeat([]byte{byte(i) + 1}, int(i)*13%400)}}
		must(t, l.Append(list, entries.State{Term: 2}, true))
	}
	must(t, l.Close())
	const name = folder + "/00000000000000000001.entries"
	whole, err := d.ReadFile(name, 1<<20)
	must(t, err)
	for at := 0; at+1024 < len(whole); at += 512 {
		d.Damage(name, func([]byte) []byte {
			b := bytes.Clone(whole)
			clear(b[at : at+512])
			return b
		})
		if _, err := entries.Open(d, folder, small); !errors.Is(err, entries.ErrDamaged) {
			t.Errorf("sector at %d of %d is gone: %v", at, len(whole), err)
		}
	}
}
