package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/model"
)

var small = Options{FileBytes: 16 << 10, FilesMax: 4}

var topic = model.TopicID{1, 2, 3}

func part(i int32) model.Partition { return model.Partition{Topic: topic, Index: i} }

// payload is recognisable by partition and offset, and where it is long enough has what a batch has outside of its CRC, and that.
func payload(p int32, base model.Offset, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(int(p)*31 + int(base)*7 + i)
	}
	if size >= batch.HeaderSize {
		binary.BigEndian.PutUint64(b, uint64(base))
		binary.BigEndian.PutUint32(b[8:], uint32(size-12))
		binary.BigEndian.PutUint32(b[12:], 0)
		b[16] = 2
		binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	}
	return b
}

// lie copies a payload to somewhere between two boundaries of memory.
func lie(b []byte, at int) []byte { return append(device.Aligned(len(b) + boundary)[:at], b...)[at:] }

// life writes what several partitions append, and knows what was acknowledged.
type life struct {
	dir    device.Dir
	w      *Writer
	rand   *rand.Rand
	next   [5]model.Offset
	acked  [5]model.Offset
	synced [5]model.Offset // segments hold everything below
	since  [5]uint64       // generation of the oldest entry that is needed; 0: none
	err    error
}

func (l *life) oldest() uint64 {
	oldest := l.w.Generation()
	for _, g := range l.since {
		if g > 0 {
			oldest = min(oldest, g)
		}
	}
	return oldest
}

// turn fills a few buffers and commits them.
func (l *life) turn() {
	buffers := make([]*Buffer, 1+l.rand.IntN(3))
	for i := range buffers {
		buffers[i] = NewBuffer()
		for range 1 + l.rand.IntN(4) {
			p := l.rand.IntN(len(l.next))
			if l.since[p] == 0 {
				l.since[p] = l.w.Generation()
			}
			n := model.Offset(1 + l.rand.IntN(3))
			b := payload(int32(p), l.next[p], 20+l.rand.IntN(1200))
			e := &Entry{Kind: Append, Partition: part(int32(p)), Base: l.next[p], End: l.next[p] + n, Bytes: b}
			if len(b) >= batch.HeaderSize && l.rand.IntN(2) == 0 {
				e.Bytes = lie(b, l.rand.IntN(boundary)*l.rand.IntN(2))
				buffers[i].Lend(e)
			} else {
				buffers[i].Add(e)
			}
			l.next[p] += n
		}
	}
	for len(buffers) > 0 && l.err == nil {
		n, err := l.w.Write(buffers, l.oldest())
		if errors.Is(err, ErrFull) {
			l.release()
			continue
		}
		l.err = err
		buffers = buffers[n:]
	}
	if l.err == nil {
		l.acked = l.next
	}
}

// release syncs the segments of whoever is oldest.
func (l *life) release() {
	oldest := l.oldest()
	for p := range l.since {
		if l.since[p] == oldest {
			l.since[p], l.synced[p] = 0, l.acked[p]
			if l.next[p] > l.acked[p] {
				l.since[p] = l.w.Generation() // in the buffers that wait
			}
		}
	}
}

func (l *life) run(turns int) {
	found, err := Read(l.dir, small)
	if err == nil {
		l.w, err = Open(l.dir, small, found)
	}
	l.err = err
	for i := 0; i < turns && l.err == nil; i++ {
		l.turn()
		if l.err == nil && l.rand.IntN(3) == 0 {
			_, l.err = l.w.Prepare(l.oldest())
		}
		if l.rand.IntN(4) == 0 {
			l.release()
		}
	}
}

// check wants everything acknowledged that the segments may lack, contiguous and unchanged, and nothing that was never appended.
func (l *life) check(dir device.Dir) error {
	found, err := Read(dir, small)
	if err != nil {
		return err
	}
	for p := range l.next {
		at := l.synced[p]
		if tail := found.Tail(part(int32(p))); tail != nil {
			for i, e := range tail.Appends {
				if !bytes.Equal(e.Bytes, payload(int32(p), e.Base, len(e.Bytes))) || e.End > l.next[p] {
					return fmt.Errorf("partition %d: [%d, %d) was never appended", p, e.Base, e.End)
				}
				if i > 0 && e.Base != tail.Appends[i-1].End {
					return fmt.Errorf("partition %d: %d follows %d", p, e.Base, tail.Appends[i-1].End)
				}
				if e.Base <= at {
					at = max(at, e.End)
				}
			}
		}
		if at < l.acked[p] {
			return fmt.Errorf("partition %d: acknowledged up to %d, found up to %d (%s)", p, l.acked[p], at, found.Torn)
		}
	}
	return nil
}

// TestPowerCutAtEveryOperation cuts the power at every call that changes the disk: all unsynced lost, all kept, and random parts of it.
func TestPowerCutAtEveryOperation(t *testing.T) {
	for n := 1; ; n++ {
		dir := faulty.New(uint64(n))
		dir.CutAt(n)
		l := &life{dir: dir, rand: rand.New(rand.NewPCG(7, 7))}
		l.run(150)
		if l.err != nil && !errors.Is(l.err, faulty.ErrCut) {
			t.Fatalf("operation %d: %v", n, l.err)
		}
		cuts := []*faulty.Dir{dir.Killed(0)}
		for seed := range uint64(6) {
			cuts = append(cuts, dir.AfterCut(seed))
		}
		for i, cut := range cuts {
			if err := l.check(cut); err != nil {
				t.Fatalf("operation %d, cut %d: %v", n, i, err)
			}
			if n%7 == 0 { // the next life, which is cut short too
				next := &life{dir: cut, rand: rand.New(rand.NewPCG(uint64(n), uint64(i))), next: l.next, acked: l.acked, synced: l.next}
				next.acked = l.next
				cut.CutAt(1 + n%40)
				next.run(40)
				if err := next.check(cut.AfterCut(9)); err != nil {
					t.Fatalf("operation %d, cut %d, second life: %v", n, i, err)
				}
			}
		}
		if l.err == nil {
			if n < 300 {
				t.Fatalf("the script has only %d operations", n)
			}
			break
		}
	}
}

// TestSecondReadChangesNothing: reading is not writing.
func TestSecondReadChangesNothing(t *testing.T) {
	dir := faulty.New(1)
	l := &life{dir: dir, rand: rand.New(rand.NewPCG(1, 2))}
	l.run(60)
	first, err := Read(dir, small)
	if err != nil || first.Records == 0 {
		t.Fatalf("%v, %+v", err, first)
	}
	second, err := Read(dir, small)
	if err != nil || second.Records != first.Records || second.Sequence != first.Sequence {
		t.Fatalf("%v, %+v then %+v", err, first, second)
	}
}

// TestDamageIsNotTheEnd: a record that was durable, because later writes follow it, must not be taken for a torn one.
func TestDamageIsNotTheEnd(t *testing.T) {
	build := func(lent bool) *faulty.Dir {
		dir := faulty.New(1)
		w, err := Open(dir, small, &Contents{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range model.Offset(6) {
			b := NewBuffer()
			e := &Entry{Kind: Append, Partition: part(0), Base: i, End: i + 1, Bytes: payload(0, i, 100)}
			if b.Add(e); lent && i > 0 {
				b.Reset()
				e.Bytes = lie(payload(0, i, 2*boundary), 10)
				b.Lend(e)
			}
			if _, err := w.Write([]*Buffer{b}, 1); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	for at := range 7 {
		dir := build(false)
		dir.Damage("journal/0000.journal", func(b []byte) []byte { b[at*boundary+70] ^= 1; b[at*boundary+20] ^= 1; return b })
		found, err := Read(dir, small)
		var damage *Damage
		if last := at == 6; last && (err != nil || len(found.Tail(part(0)).Appends) != 5) || !last && !errors.As(err, &damage) {
			t.Errorf("record %d damaged: %v", at, err)
		}
	}
	dir := build(false)
	dir.Damage("journal/0000.journal", func(b []byte) []byte { clear(b[boundary : 3*boundary]); return b })
	if _, err := Read(dir, small); err == nil {
		t.Error("two records zeroed in the middle are taken for the end")
	}
	// Of a batch that stands behind its record any byte counts: after the first two records come five of a block and three behind it, with
	// the batch from byte 10 of the first to byte 9 of the last.
	for at := range 5 {
		for _, inside := range []int{10, 17, 21, 26, 27, boundary, 2*boundary + 9} {
			dir := build(true)
			dir.Damage("journal/0000.journal", func(b []byte) []byte { b[(2+4*at+1)*boundary+inside] ^= 1; return b })
			found, err := Read(dir, small)
			var damage *Damage
			if last := at == 4; last && (err != nil || len(found.Tail(part(0)).Appends) != 5) || !last && !errors.As(err, &damage) {
				t.Errorf("batch %d damaged at %d: %v", at, inside, err)
			}
		}
	}
}

// TestOldBytesNeverCount: what an earlier use of a file left behind the new records is no record.
func TestOldBytesNeverCount(t *testing.T) {
	dir := faulty.New(1)
	l := &life{dir: dir, rand: rand.New(rand.NewPCG(3, 2))}
	l.run(400)
	if l.err != nil || l.w.Generation() < 6 || l.w.Files() > small.FilesMax {
		t.Fatalf("%v: generation %d, %d files", l.err, l.w.Generation(), l.w.Files())
	}
	if err := l.check(dir); err != nil {
		t.Fatal(err)
	}
}

// TestTruncation: what was cut off does not come back, what was written in its place does.
func TestTruncation(t *testing.T) {
	dir := faulty.New(1)
	w, err := Open(dir, small, &Contents{})
	if err != nil {
		t.Fatal(err)
	}
	b := NewBuffer()
	for i := range model.Offset(5) {
		b.Add(&Entry{Kind: Append, Partition: part(0), Base: i, End: i + 1, Bytes: payload(0, i, 10)})
	}
	b.Add(&Entry{Kind: Synced, Partition: part(0), End: 4})
	b.Add(&Entry{Kind: Truncate, Partition: part(0), Base: 3})
	b.Add(&Entry{Kind: Append, Partition: part(0), Base: 3, End: 9, Bytes: payload(0, 3, 11)})
	if _, err := w.Write([]*Buffer{b}, 1); err != nil {
		t.Fatal(err)
	}
	found, err := Read(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	tail := found.Tail(part(0))
	if n := len(tail.Appends); n != 4 || tail.Appends[3].End != 9 || tail.Appends[2].End != 3 || tail.Synced != 3 {
		t.Fatalf("%+v", tail)
	}
}

// TestFinishEmpties: after a clean stop nothing is read again, and generations go on.
func TestFinishEmpties(t *testing.T) {
	dir := faulty.New(1)
	l := &life{dir: dir, rand: rand.New(rand.NewPCG(3, 2))}
	l.run(100)
	was := l.w.Generation()
	if err := l.w.Finish(); err != nil {
		t.Fatal(err)
	}
	found, err := Read(dir, small)
	if err != nil || found.Generation <= was || len(found.tails) != 0 {
		t.Fatalf("%v, %+v", err, found)
	}
}

// TestFailureIsFinal: after a failed write or sync nothing is accepted any more, even if the device has recovered.
func TestFailureIsFinal(t *testing.T) {
	for _, op := range []faulty.Op{"write", "sync"} {
		dir := faulty.New(1)
		w, err := Open(dir, small, &Contents{})
		if err != nil {
			t.Fatal(err)
		}
		broken := errors.New("bad sector")
		dir.Fail(func(o faulty.Op, _ string) error {
			if o == op {
				return broken
			}
			return nil
		})
		b := NewBuffer()
		b.Add(&Entry{Kind: Append, Partition: part(0), End: 1})
		if _, err := w.Write([]*Buffer{b}, 1); !errors.Is(err, broken) {
			t.Fatalf("%s: %v", op, err)
		}
		dir.Fail(nil)
		if _, err := w.Write([]*Buffer{b}, 1); !errors.Is(err, broken) {
			t.Fatalf("%s, tried again: %v", op, err)
		}
	}
}

// TestSteadyStateAllocatesNothing counts what filling a buffer and writing it costs.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	dir, err := device.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(dir, small, &Contents{})
	if err != nil {
		t.Fatal(err)
	}
	b, group, bytes := NewBuffer(), make([]*Buffer, 1), payload(0, 0, 300)
	best := 1e9
	for range 5 {
		best = min(best, testing.AllocsPerRun(20, func() {
			b.Reset()
			b.Add(&Entry{Kind: Append, Partition: part(0), End: 1, Bytes: bytes})
			group[0] = b
			if _, err := w.Write(group, w.Generation()); err != nil {
				t.Fatal(err)
			}
		}))
	}
	if best > 0 {
		t.Fatalf("%v allocations a write", best)
	}
}

// TestKept: what a partition that cannot be opened has in the journal outlives the journal's files.
func TestKept(t *testing.T) {
	dir := faulty.New(1)
	l := &life{dir: dir, rand: rand.New(rand.NewPCG(3, 2))}
	l.run(20)
	before, err := Read(dir, small)
	if err != nil || before.Tail(part(2)) == nil {
		t.Fatal(err)
	}
	want := *before.Tail(part(2))
	if err := before.Keep(dir, part(2)); err != nil {
		t.Fatal(err)
	}
	next := &life{dir: dir, rand: rand.New(rand.NewPCG(3, 3)), next: l.next, acked: l.next, synced: l.next}
	next.run(200)
	if next.err != nil {
		t.Fatal(next.err)
	}
	after, err := Read(dir.AfterCut(3), small)
	if err != nil {
		t.Fatal(err)
	}
	got := after.Tail(part(2)).Appends
	if len(got) < len(want.Appends) {
		t.Fatalf("%d entries, %d were kept", len(got), len(want.Appends))
	}
	for i, e := range want.Appends {
		if got[i].Base != e.Base || !bytes.Equal(got[i].Bytes, e.Bytes) {
			t.Fatalf("entry %d: [%d, %d), want [%d, %d)", i, got[i].Base, got[i].End, e.Base, e.End)
		}
	}
	if err := after.Release(dir, part(2)); err != nil {
		t.Fatal(err)
	}
	if names, _ := dir.List(Folder); len(names) != next.w.Files() {
		t.Fatalf("%d files in the folder", len(names))
	}
}

// TestFullDiskIsTriedAgain: a journal that finds no room for its first file leaves none behind, and begins when there is.
func TestFullDiskIsTriedAgain(t *testing.T) {
	dir := faulty.New(1)
	writes := 0
	dir.Fail(func(op faulty.Op, _ string) error {
		if op == faulty.Write {
			if writes++; writes < 4 {
				return device.ErrNoSpace
			}
		}
		return nil
	})
	for range 3 {
		if _, err := Open(dir, small, &Contents{}); !device.IsFull(err) {
			t.Fatal(err)
		}
		if names, err := dir.List(Folder); err != nil || len(names) != 0 {
			t.Fatalf("%v, %d files left", err, len(names))
		}
	}
	if _, err := Open(dir, small, &Contents{}); err != nil {
		t.Fatal(err)
	}
}

// TestNextFileIsReadyInTime: however large the writes are, the next file is made when one is full. What is missing then is made while everybody waits.
func TestNextFileIsReadyInTime(t *testing.T) {
	o := Options{FileBytes: 4 << 20, FilesMax: 8}
	w, err := Open(faulty.New(1), o, &Contents{})
	if err != nil {
		t.Fatal(err)
	}
	b := NewBuffer()
	for base := model.Offset(0); len(w.slots) < o.FilesMax; base++ {
		b.Reset()
		b.Add(&Entry{Kind: Append, Partition: part(0), Base: base, End: base + 1, Bytes: payload(0, base, 700<<10)})
		if w.pos+b.Bytes() > o.FileBytes-spare && w.free(w.told) < 0 {
			t.Fatalf("file %d is full and %d bytes of the next are made", len(w.slots), w.slots[len(w.slots)-1].zeroed)
		}
		if _, err := w.Write([]*Buffer{b}, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Prepare(1); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFilesLargerThanTheirHeads: which files are read is decided by their first bytes; nothing is missed by it, and a clean stop leaves one.
func TestFilesLargerThanTheirHeads(t *testing.T) {
	was := small
	small = Options{FileBytes: 160 << 10, FilesMax: 4}
	defer func() { small = was }()
	dir := faulty.New(1)
	l := &life{dir: dir, rand: rand.New(rand.NewPCG(11, 2))}
	l.run(700)
	if l.err != nil || l.w.Generation() < 8 {
		t.Fatalf("%v, generation %d", l.err, l.w.Generation())
	}
	for seed := range uint64(4) {
		if err := l.check(dir.AfterCut(seed)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.w.Finish(); err != nil {
		t.Fatal(err)
	}
	found, err := Read(dir, small)
	if err != nil || found.Records != 1 || len(found.tails) != 0 {
		t.Fatalf("%v, %+v", err, found)
	}
	next := &life{dir: dir, rand: rand.New(rand.NewPCG(12, 2)), next: l.next, acked: l.next, synced: l.next}
	next.run(300)
	if next.err != nil {
		t.Fatal(next.err)
	}
	if err := next.check(dir.AfterCut(9)); err != nil {
		t.Fatal(err)
	}
}
