package log

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/clock"
	"pinion/engine/model"
)

// journaled is a log whose appends are kept in a list as a journal would keep them: what is acknowledged is there.
type journaled struct {
	l       *Log
	files   *Files
	cfg     Config
	now     clock.Now
	rand    *rand.Rand
	tail    []TailBatch
	start   model.Offset // where the log begins, of which nothing before is left
	acked   model.Offset
	content map[model.Offset][]byte
	err     error
}

func (j *journaled) work(w *Work) {
	if w != nil && j.err == nil {
		w.Do()
		j.err = j.l.Finish(w)
	}
}

func (j *journaled) append() {
	b := stamped(j.l.End(), model.Epoch(j.l.End()/20), int64(j.now.Wall), 1+j.rand.IntN(3), j.rand.IntN(900))
	h, _ := batch.ReadHeader(b)
	for j.err == nil {
		need := j.l.NeedFor(h, j.now)
		if need == NeedNone {
			break
		}
		if need == NeedFailed { // the power went during a sweep
			j.err = j.l.Err()
			return
		}
		j.work(j.l.Prepare(need))
	}
	if j.err != nil {
		return
	}
	j.l.Stage(b, h, j.now)
	segment, pos := j.l.Place()
	j.content[h.BaseOffset] = b
	if j.err = j.l.Write(); j.err != nil {
		return
	}
	j.tail = append(j.tail, TailBatch{Base: h.BaseOffset, End: h.LastOffset() + 1, Segment: segment, Pos: pos, Bytes: b})
	j.acked = j.l.Written()
	j.now.Wall++
}

// run lives until the power goes: appends, and syncs of either kind after which the journal forgets.
func (j *journaled) run(dir device.Dir) {
	j.l, _, j.err = Open(dir, "orders-0", testID, j.cfg, OpenFrom{Start: j.start}, nil)
	if j.err != nil {
		return
	}
	j.l.Attach(j.files)
	for i := 0; i < 60 && j.err == nil; i++ {
		j.append()
		switch j.rand.IntN(12) {
		case 0:
			j.work(j.l.SyncWork())
		case 1:
			j.work(j.l.SyncData())
		case 2:
			j.work(j.l.SyncSealed())
		case 3:
			if w := j.files.Sweep(); w != nil {
				w.Do()
				_ = j.files.Finish(w)
			}
		case 4: // a checkpoint: what is synced is forgotten
			for len(j.tail) > 0 && j.tail[0].End <= j.l.Durable() {
				j.tail = j.tail[1:]
			}
		}
	}
}

// TestRefillAfterPowerCut cuts the power at every change of the disk: what the segments kept and the journal together hold everything
// that was acknowledged, as it was, and a second recovery finds nothing to do.
func TestRefillAfterPowerCut(t *testing.T) {
	for _, compact := range []bool{false, true} {
		for _, start := range []model.Offset{0, 7} {
			t.Run(fmt.Sprintf("compact=%v/start=%d", compact, start), func(t *testing.T) { refillAfterPowerCut(t, compact, start) })
		}
	}
}

// In a compacted log offsets may be missing, but not because a segment lost its end. One whose records are all deleted goes on at its start.
func refillAfterPowerCut(t *testing.T, compact bool, start model.Offset) {
	cfg := testConfig()
	cfg.SegmentBytes = 9 << 10
	cfg.IndexIntervalBytes = 1000
	cfg.Compact = compact
	refilled := 0
	for n := 1; ; n++ {
		dir := faulty.New(uint64(n))
		dir.CutAt(n)
		j := &journaled{files: NewFiles(2), cfg: cfg, start: start, now: clock.Now{Wall: 1_000_000}, rand: rand.New(rand.NewPCG(5, 5)), content: map[model.Offset][]byte{}}
		j.run(dir)
		recovery := model.Offset(0)
		if j.l != nil {
			recovery = j.l.RecoveryPoint()
		}
		cuts := []*faulty.Dir{dir.Killed(0)}
		for seed := range uint64(5) {
			cuts = append(cuts, dir.AfterCut(seed))
		}
		for i, cut := range cuts {
			from := OpenFrom{Start: start, RecoveryPoint: recovery, Tail: j.tail, Durable: j.acked}
			if i%2 == 1 { // the next start is cut short as well
				cut.CutAt(1 + n%17)
				_, _, _ = openOwn(cut, cfg, from, nil)
				cut = cut.AfterCut(uint64(n))
			}
			refilled += j.check(t, n, i, cut, from)
		}
		if j.err == nil {
			if n < 100 || refilled < 100 {
				t.Fatalf("the script has %d operations, %d batches were refilled", n, refilled)
			}
			break
		}
	}
}

// openOwn opens the log as its owner does: what nobody knows the topic of is set aside.
func openOwn(dir device.Dir, cfg Config, from OpenFrom, visit func(batch.Header)) (*Log, Recovery, error) {
	l, rec, err := Open(dir, "orders-0", testID, cfg, from, visit)
	if !errors.Is(err, ErrNobodys) {
		return l, rec, err
	}
	if _, err := SetAside(dir, "orders-0"); err != nil {
		return nil, rec, err
	}
	return Open(dir, "orders-0", testID, cfg, from, visit)
}

func (j *journaled) check(t *testing.T, n, i int, dir device.Dir, from OpenFrom) int {
	t.Helper()
	in, err := Inspect(dir, "orders-0", false, from, nil)
	if err != nil && !isNotExist(err) {
		t.Fatalf("operation %d, cut %d: inspect: %v", n, i, err)
	}
	if in != nil {
		for _, f := range in.Findings {
			if !f.Mended {
				t.Fatalf("operation %d, cut %d: inspection finds damage: %+v", n, i, f)
			}
		}
	}
	var seen []batch.Header
	l, rec, err := openOwn(dir, j.cfg, from, func(h batch.Header) { seen = append(seen, h) })
	if err != nil {
		t.Fatalf("operation %d, cut %d: %v", n, i, err)
	}
	if in != nil && in.Tail != rec.Refilled {
		t.Fatalf("operation %d, cut %d: inspection says that %d batches are missing, %d were", n, i, in.Tail, rec.Refilled)
	}
	if l.End() < j.acked {
		t.Fatalf("operation %d, cut %d: ends at %d, acknowledged up to %d; %+v", n, i, l.End(), j.acked, rec)
	}
	l.Attach(NewFiles(8))
	r := &rig{t: t, dir: dir, cfg: j.cfg, l: l}
	at := from.Start
	for k, h := range seen {
		want := j.content[h.BaseOffset]
		if h.BaseOffset != at || want == nil {
			t.Fatalf("operation %d, cut %d: visit %d is of %d, expected %d", n, i, k, h.BaseOffset, at)
		}
		if got := r.bytesAt(h.BaseOffset); !bytes.Equal(got, want) {
			t.Fatalf("operation %d, cut %d: batch at %d is not what was appended", n, i, at)
		}
		at = h.LastOffset() + 1
	}
	if at != l.End() {
		t.Fatalf("operation %d, cut %d: visited up to %d, ends at %d", n, i, at, l.End())
	}
	again, second, err := Open(dir, "orders-0", testID, j.cfg, from, nil)
	if err != nil || second.Refilled != 0 || second.Truncated != 0 || again.End() != l.End() {
		t.Fatalf("operation %d, cut %d: second recovery: %v, %+v, ends at %d, first at %d", n, i, err, second, again.End(), l.End())
	}
	return rec.Refilled
}

// TestInspectTail damages what a power cut left of a log, or what the journal has of it: where an inspection finds nothing a start must have
// everything, and where a start refuses an inspection must say why.
func TestInspectTail(t *testing.T) {
	cfg := testConfig()
	cfg.SegmentBytes = 9 << 10
	cfg.IndexIntervalBytes = 1000
	refused, lost, mended := 0, 0, 0
	for seed := range uint64(600) {
		random := rand.New(rand.NewPCG(seed, 9))
		dir := faulty.New(seed)
		dir.CutAt(40 + random.IntN(120))
		j := &journaled{files: NewFiles(2), cfg: cfg, now: clock.Now{Wall: 1_000_000}, rand: rand.New(rand.NewPCG(seed, 5)), content: map[model.Offset][]byte{}}
		j.run(dir)
		from := OpenFrom{RecoveryPoint: j.l.RecoveryPoint(), Tail: j.tail, Durable: j.l.RecoveryPoint()}
		cut := dir.AfterCut(seed)
		switch kind := random.IntN(5); {
		case kind == 0 && len(from.Tail) > 0: // an entry that is not what was appended
			i := random.IntN(len(from.Tail))
			from.Tail[i].Bytes = bytes.Clone(from.Tail[i].Bytes)
			from.Tail[i].Bytes[random.IntN(len(from.Tail[i].Bytes))] ^= 1 << random.IntN(8)
		case kind == 1 && len(from.Tail) > 0: // one that is missing
			i := random.IntN(len(from.Tail))
			from.Tail = append(append([]TailBatch{}, from.Tail[:i]...), from.Tail[i+1:]...)
			from.Durable = j.acked
		case kind == 2 && len(from.Tail) > 0: // one that says another place
			from.Tail[random.IntN(len(from.Tail))].Pos += 512
		case kind == 3: // a segment that lost its end
			if in, err := cut.List("orders-0"); err == nil {
				for _, e := range in {
					if _, suffix, ok := parseName(e.Name); ok && suffix == logSuffix && e.Size > 0 && random.IntN(2) == 0 {
						cut.Damage("orders-0/"+e.Name, func(b []byte) []byte { return b[:random.IntN(len(b))] })
					}
				}
			}
		}
		in, err := Inspect(cut, "orders-0", false, from, nil)
		if isNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		sound := true
		for _, f := range in.Findings {
			sound = sound && f.Mended
		}
		l, rec, err := Open(cut, "orders-0", testID, cfg, from, nil)
		switch {
		case err != nil && sound:
			t.Errorf("seed %d: the inspection finds %+v, and a start refuses: %v", seed, in.Findings, err)
		case err != nil:
			refused++
		case !sound:
			lost++ // below the recovery point, which a start does not read, or cut off
		case l.End() < max(from.Durable, from.RecoveryPoint) || rec.Refilled != in.Tail:
			t.Errorf("seed %d: sound, but the log ends at %d, refilled %d of %d; %+v", seed, l.End(), rec.Refilled, in.Tail, rec)
		default:
			mended++
		}
	}
	if refused < 30 || lost == 0 || mended < 100 {
		t.Errorf("%d refused, %d not sound, %d sound", refused, lost, mended)
	}
}

// bytesAt reads the batch at an offset.
func (r *rig) bytesAt(at model.Offset) []byte {
	s, state := r.read(at, r.l.Written(), 0, true)
	if state != ReadOK {
		r.t.Fatalf("read at %d: %d", at, state)
	}
	b := make([]byte, s.First)
	if _, err := s.ReadCold(b, 0); err != nil {
		r.t.Fatal(err)
	}
	r.l.Release(s)
	return b
}

// TestShortOfWhatWasDurable: a log that ends before what it is known to have held is damaged, not short.
func TestShortOfWhatWasDurable(t *testing.T) {
	r := newRig(t, testConfig())
	r.append(3, 100)
	r.close()
	err := r.tryOpen(OpenFrom{Durable: 4})
	if err == nil {
		t.Fatal("a log that lost durable offsets opens")
	}
}

// TestSyncData moves the durable end by one sync where only the active segment has grown, and leaves the recovery point.
func TestSyncData(t *testing.T) {
	dir := faulty.New(1)
	l, _, err := Open(dir, "orders-0", testID, testConfig(), OpenFrom{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir, cfg: testConfig(), l: l, files: NewFiles(8), now: clock.Now{Wall: 1_000_000}}
	l.Attach(r.files)
	r.append(1, 100)
	r.run(l.SyncData())
	if l.Durable() != 1 || l.RecoveryPoint() != 0 {
		t.Fatalf("durable %d, recovery point %d", l.Durable(), l.RecoveryPoint())
	}
	r.append(1, 100)
	syncs := 0
	dir.Fail(func(op faulty.Op, _ string) error {
		if op == "sync" || op == "syncdir" || op == "write" {
			syncs++
		}
		return nil
	})
	w := l.SyncData()
	r.append(1, 100) // written after the work was prepared: not covered
	syncs = 0
	r.run(w)
	if l.Durable() != 2 || syncs != 1 {
		t.Fatalf("durable %d after %d operations", l.Durable(), syncs)
	}
}

// A refilled segment is scanned a second time, from its last index entry on. What the first time has shown of the epochs before that entry
// stays, although a visit has begun in an earlier segment: else the history that the file has would give way to one with a hole.
func TestRefillKeepsEpochs(t *testing.T) {
	cfg := testConfig()
	cfg.SegmentBytes = 9 << 10
	cfg.IndexIntervalBytes = 1000
	dir := faulty.New(1)
	j := &journaled{files: NewFiles(8), cfg: cfg, now: clock.Now{Wall: 1_000_000}, rand: rand.New(rand.NewPCG(5, 5)), content: map[model.Offset][]byte{}}
	if j.l, _, j.err = Open(dir, "orders-0", testID, cfg, OpenFrom{}, nil); j.err != nil {
		t.Fatal(j.err)
	}
	j.l.Attach(j.files)
	for e := j.l.last(); e == nil || e.base == 0 || e.size < 7<<10; e = j.l.last() { // an epoch lasts 20 offsets, a third of a segment
		if j.append(); j.err != nil {
			t.Fatal(j.err)
		}
	}
	j.work(j.l.SyncWork())
	recovery, killed := j.l.RecoveryPoint(), dir.Killed(0)
	if j.append(); j.err != nil {
		t.Fatal(j.err)
	}
	l, rec, err := Open(killed, "orders-0", testID, cfg, OpenFrom{RecoveryPoint: recovery, VisitFrom: 1, Tail: j.tail[len(j.tail)-1:], Durable: j.acked}, nil)
	if err != nil || rec.Refilled != 1 || l.End() != j.l.End() {
		t.Fatalf("%+v, %v", rec, err)
	}
	if !slices.Equal(l.epochs.entries, j.l.epochs.entries) {
		t.Errorf("epochs are %v, they were %v", l.epochs.entries, j.l.epochs.entries)
	}
}
