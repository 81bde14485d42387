package log

import (
	"bytes"
	"fmt"
	"testing"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/model"
)

// TestFilesAreBounded works on many logs with few open files.
func TestFilesAreBounded(t *testing.T) {
	dir, err := device.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const logs, most = 40, 4
	files := NewFiles(most)
	rigs := make([]*rig, logs)
	want := make([][]byte, logs)
	for i := range rigs {
		r := &rig{t: t, path: dir.Path(), dir: dir, cfg: testConfig(), files: files}
		if r.l, _, err = Open(dir, fmt.Sprintf("t-%d", i), testID, r.cfg, OpenFrom{}, nil); err != nil {
			t.Fatal(err)
		}
		r.l.Attach(files)
		rigs[i] = r
	}
	var leased Span
	var leasedBytes []byte
	peak := 0
	for round := range 12 {
		for i, r := range rigs {
			want[i] = append(want[i], r.append(1, 3000+i)...)
			if round == 3 && i == 0 {
				var state ReadState
				if leased, state = r.read(1, 2, 10000, true); state != ReadOK {
					t.Fatal(state)
				}
				leasedBytes = bytes.Clone(leased.Bytes())
			}
			if files.Over() {
				r.sweep()
			}
			peak = max(peak, files.Open())
		}
	}
	if peak > most+1 || files.Open() > most {
		t.Fatalf("%d open at most, %d now, bound %d", peak, files.Open(), most)
	}
	if leased.seg.log != rigs[0].l || !bytes.Equal(leased.Bytes(), leasedBytes) {
		t.Fatal("a leased segment was closed")
	}
	rigs[0].l.Release(leased)
	for i, r := range rigs {
		if got := r.all(); !bytes.Equal(got, want[i]) {
			t.Fatalf("log %d: %d bytes of %d", i, len(got), len(want[i]))
		}
		r.sweep()
		if e := r.l.last(); e.indexed == 0 || e.timed == 0 {
			t.Fatalf("log %d: closing did not write the index", i)
		}
		r.run(r.l.Close())
		r.sweep()
	}
	if files.Open() != 0 {
		t.Fatalf("%d open after all are closed", files.Open())
	}
	for i := range rigs {
		base := fmt.Sprintf("%s/t-%d/%020d", dir.Path(), i, 0)
		verifySegment(t, 0, mustRead(t, base+logSuffix), mustRead(t, base+indexSuffix), mustRead(t, base+timeSuffix))
		if l, rec, err := Open(dir, fmt.Sprintf("t-%d", i), testID, testConfig(), OpenFrom{RecoveryPoint: 12}, nil); err != nil || l.End() != 12 || rec.Reason != "" {
			t.Fatalf("log %d: %+v, %v", i, rec, err)
		}
	}
}

// TestEvictionWaits: a segment that is staged to, or under work, stays open.
func TestEvictionWaits(t *testing.T) {
	r := newRig(t, testConfig())
	r.files.max = 0
	r.stage(stamped(0, 0, 1, 1, 10))
	if r.files.Sweep() != nil {
		t.Fatal("a segment with staged bytes is closed")
	}
	if err := r.l.Write(); err != nil {
		t.Fatal(err)
	}
	w := r.l.SyncWork()
	if r.files.Sweep() != nil {
		t.Fatal("a segment that is being synced is closed")
	}
	r.run(w)
	sweep := r.files.Sweep()
	if sweep == nil || r.l.Need(10, r.now, 1) != NeedWait || r.l.SyncWork() != nil || r.l.Truncate(0) != nil {
		t.Fatal("work starts on a segment that is being closed")
	}
	if _, state := r.l.Read(0, 1, 10, true); state != ReadNeedsWork {
		t.Fatalf("state %d", state)
	}
	sweep.Do()
	if err := r.files.Finish(sweep); err != nil {
		t.Fatal(err)
	}
	if r.l.Need(10, r.now, 1) != NeedActive {
		t.Fatal("no need to open")
	}
	r.files.max = 10
	r.append(1, 10)
	checkReads(t, r)
}

// TestTailNeedsNoDisk: what was appended last is found without reading a header.
func TestTailNeedsNoDisk(t *testing.T) {
	r := newRig(t, testConfig())
	for range 40 {
		r.append(2, 50)
	}
	s := r.l.open(r.l.last())
	for at := r.l.End() - 2*ringSize; at < r.l.End(); at++ {
		if _, ok := s.recent.find(uint32(at)); !ok {
			t.Fatalf("offset %d is not in the ring", at)
		}
	}
	if _, ok := s.recent.find(uint32(r.l.End() - 2*ringSize - 1)); ok {
		t.Fatal("the ring knows more than it holds")
	}
}

// TestReadLimits walks every pair of from and limit over batches of three.
func TestReadLimits(t *testing.T) {
	cfg := testConfig()
	cfg.SegmentBytes = 2 << 10
	cfg.IndexIntervalBytes = 100
	r := newRig(t, cfg)
	sizes := map[model.Offset]int{}
	for range 10 {
		sizes[r.l.End()] = len(r.append(3, 100))
	}
	// The second has no batches in its ring: every place is walked to.
	for _, r := range []*rig{r, r.crash(OpenFrom{})} {
		checkAllReads(t, r, sizes)
	}
}

func checkAllReads(t *testing.T, r *rig, sizes map[model.Offset]int) {
	t.Helper()
	end := r.l.Written()
	for from := end + 1; from >= 0; from-- {
		for limit := model.Offset(0); limit <= end+2; limit++ {
			first := from / 3 * 3
			for _, most := range []int{0, 1, sizes[first], sizes[first] + 1, 1 << 20} {
				for _, minOne := range []bool{true, false} {
					checkRead(t, r, sizes, from, limit, most, minOne)
				}
			}
		}
	}
}

func checkRead(t *testing.T, r *rig, sizes map[model.Offset]int, from, limit model.Offset, most int, minOne bool) {
	t.Helper()
	s, state := r.read(from, limit, most, minOne)
	end := r.l.Written()
	first := from / 3 * 3
	switch {
	case from > end:
		if state != ReadBeyondEnd {
			t.Fatalf("read at %d: state %d", from, state)
		}
	case from >= min(limit, end) || first+3 > limit || (most == 0 && !minOne):
		if state != ReadEmpty {
			t.Fatalf("read at %d to %d, %d bytes %v: state %d", from, limit, most, minOne, state)
		}
	default:
		i := r.l.extentFor(from)
		want := 0
		for base := first; base+3 <= min(limit, r.l.extentEnd(i)); base += 3 {
			want += sizes[base]
		}
		want = min(want, most)
		if minOne {
			want = max(want, sizes[first])
		}
		if state != ReadOK || s.Offset != first || s.First != sizes[first] || s.Len != want {
			t.Fatalf("read at %d to %d, %d bytes %v: state %d, offset %d, first %d, %d bytes, want %d", from, limit, most, minOne, state, s.Offset, s.First, s.Len, want)
		}
		if h, ok := batch.ReadHeader(s.Bytes()); s.Len >= batch.HeaderSize && (!ok || h.BaseOffset != first) {
			t.Fatalf("read at %d: the bytes begin at %d", from, h.BaseOffset)
		}
		if s.Len > 0 && s.Slice(s.Len-1).Len != s.Len-1 {
			t.Fatal("slice")
		}
		r.l.Release(s)
	}
}

func TestMarksStayBounded(t *testing.T) {
	var m marks
	for i := uint32(1); i <= 300_000; i++ {
		m.add(i*10, i*4096)
	}
	if len(m.list) > marksMax || cap(m.list) > 2*marksMax {
		t.Fatalf("%d marks", len(m.list))
	}
	for _, rel := range []uint32{0, 9, 10, 15, 1_000_005, 2_999_999, 3_000_000, 4_000_000} {
		pos, above := m.around(rel)
		exact := min(rel/10, 300_000) * 4096
		if pos > exact || exact-pos > 4096*400_000/marksMax*2 {
			t.Fatalf("floor of %d is %d, exact %d", rel, pos, exact)
		}
		if rel < 2_999_999 && (above <= int64(exact) || above-int64(exact) > 4096*400_000/marksMax*2) || rel >= 3_000_000 && above != -1 {
			t.Fatalf("the mark above %d is at %d, the batch below at %d", rel, above, exact)
		}
	}
}

// countedReads counts the reads of a segment's headers.
type countedReads struct {
	device.File
	count int
}

func (f *countedReads) PreadNowait(b []byte, pos int64) (int, error) {
	f.count++
	return f.File.PreadNowait(b, pos)
}

// TestOneReadFindsALargeBatch goes through a log as consumers do whose answers end within a batch: each asks next for one that nobody has looked up.
// Where batches are large each has a mark, and the mark is tried first; where they are small it is not.
func TestOneReadFindsALargeBatch(t *testing.T) {
	for _, c := range []struct{ bytes, reads int }{{16_000, 1}, {1_000, 2}} {
		cfg := testConfig()
		cfg.SegmentBytes = 16 << 20
		r := newRig(t, cfg)
		for range 200 {
			r.append(2, c.bytes/2)
		}
		s := r.l.open(r.l.last())
		counted := &countedReads{File: s.file}
		s.file = counted
		for from := model.Offset(2); from < 300; from += 6 {
			counted.count = 0
			span, state := r.l.Read(from, r.l.Written(), 64<<10, true)
			if state != ReadOK || span.Offset != from {
				t.Fatalf("batches of %d B: read at %d: %v, offset %d", c.bytes, from, state, span.Offset)
			}
			r.l.Release(span)
			if counted.count == 0 || counted.count > c.reads {
				t.Errorf("batches of %d B: the batch at %d took %d reads", c.bytes, from, counted.count)
			}
		}
		s.file = counted.File
	}
}

// TestNoMoreThanTheBoundAreOpen keeps asking for Room while Works and a Sweep are away, as many partitions at once do.
func TestNoMoreThanTheBoundAreOpen(t *testing.T) {
	dir, err := device.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const count, most = 100, 16
	files := NewFiles(most)
	logs := make([]*Log, count)
	for i := range logs {
		if logs[i], _, err = Open(dir, fmt.Sprintf("t-%d", i), testID, testConfig(), OpenFrom{}, nil); err != nil {
			t.Fatal(err)
		}
		logs[i].Attach(files)
	}
	var away []*Work
	var sweep *Work
	opened := 0
	for step := 0; opened < count; step++ {
		if step > 100*count {
			t.Fatalf("%d of %d logs opened: room never comes back", opened, count)
		}
		for next := opened + len(away); next < count && files.Room(); next++ {
			away = append(away, logs[next].Prepare(NeedActive))
		}
		if files.Open()+len(away) > MostOpen(most) {
			t.Fatalf("%d open and %d under way, at most %d", files.Open(), len(away), MostOpen(most))
		}
		if files.Over() && sweep == nil {
			sweep = files.Sweep()
		}
		switch {
		case step%3 == 0 && sweep != nil:
			sweep.Do()
			if err := files.Finish(sweep); err != nil {
				t.Fatal(err)
			}
			sweep = nil
		case len(away) > 0:
			away[0].Do()
			if err := logs[opened].Finish(away[0]); err != nil {
				t.Fatal(err)
			}
			away, opened = away[1:], opened+1
		}
	}
}

// TestReadersLeaveRoomForAppends: however many readers take what Loans allows, some segments can be closed.
func TestReadersLeaveRoomForAppends(t *testing.T) {
	for _, aim := range []int{0, 1, 2, 3, 4, 8, 64, 1000} {
		f, most := NewFiles(aim), MostOpen(aim)
		for reader := range 100 {
			loans := f.Loans()
			if reader == 0 && loans < 1 {
				t.Fatalf("of %d the first reader gets none", most)
			}
			f.leased += loans
		}
		if f.leased > most-most/4 || f.Loans() != 0 {
			t.Fatalf("of %d, %d are leased and %d more may be", most, f.leased, f.Loans())
		}
	}
}

// untimedRig has a log whose newest record, of 1003, is in no time index yet: the next batch of 1,600 bytes seals its segment.
func untimedRig(t *testing.T) *rig {
	t.Helper()
	cfg := testConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 2<<10, 400
	r := newRig(t, cfg)
	for i := range int64(4) {
		r.stage(stamped(r.l.End(), 0, 1000+i, 1, 200))
		if err := r.l.Write(); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// TestSealedWhileClosed: the last time index entry of a segment that was closed when it was sealed reaches the file, whether or not a reader has
// opened the segment again before the next flush. Without it retention takes the segment for older than it is after a restart.
func TestSealedWhileClosed(t *testing.T) {
	for _, again := range []bool{false, true} {
		r := untimedRig(t)
		r.files.max = 0
		r.sweep()
		if r.l.open(r.l.last()) != nil {
			t.Fatal("the segment is open still")
		}
		need := r.l.Need(1600, r.now, 2000)
		if need != NeedRoll {
			t.Fatalf("need %v", need)
		}
		r.run(r.l.Prepare(need))
		if again {
			span, state := r.read(0, r.l.Written(), 100, true)
			if state != ReadOK {
				t.Fatal(state)
			}
			r.l.Release(span)
		}
		r.run(r.l.SyncWork())
		c := r.crash(OpenFrom{RecoveryPoint: r.l.End()})
		if got := c.l.extents[0].maxTime; got != 1003 {
			t.Errorf("read again %v: the newest record is of %d after a restart, want 1003", again, got)
		}
	}
}

// TestSealedAtTheRecoveryPoint: a segment that was the active one when everything was made durable, and was sealed before a crash, has no last time
// index entry in its file. A start does not take the file's word for how new its records are.
func TestSealedAtTheRecoveryPoint(t *testing.T) {
	r := untimedRig(t)
	r.run(r.l.SyncWork())
	point := r.l.RecoveryPoint()
	if point != r.l.End() {
		t.Fatalf("recovery point %d, end %d", point, r.l.End())
	}
	r.run(r.l.Prepare(r.l.Need(1600, r.now, 2000)))
	if r.l.Segments() != 2 {
		t.Fatalf("%d segments", r.l.Segments())
	}
	if got := r.crash(OpenFrom{RecoveryPoint: point}).l.extents[0].maxTime; got != 1003 {
		t.Errorf("the newest record is of %d after a restart, want 1003", got)
	}
}

// TestSealedWhileSynced: a flush that was under way when its segment was sealed does not make it clean.
func TestSealedWhileSynced(t *testing.T) {
	r := untimedRig(t)
	r.files.max = 0
	r.sweep()
	flush := r.l.SyncWork()
	r.run(r.l.Prepare(r.l.Need(1600, r.now, 2000)))
	flush.Do()
	if err := r.l.Finish(flush); err != nil {
		t.Fatal(err)
	}
	r.stage(stamped(r.l.End(), 0, 3000, 1, 200))
	if err := r.l.Write(); err != nil {
		t.Fatal(err)
	}
	r.run(r.l.SyncWork())
	if got := r.crash(OpenFrom{RecoveryPoint: r.l.RecoveryPoint()}).l.extents[0].maxTime; got != 1003 {
		t.Errorf("the newest record is of %d after a restart, want 1003", got)
	}
}
