package log

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"pinion/disk/batch"
	"pinion/disk/codec"
	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/must"
)

// told is one record as it was appended.
type told struct {
	key, value string
	tombstone  bool
	time       int64
}

// ledger is all a log was ever told, by offset: what compaction is held against. One batch of each producer is remembered, the last.
type ledger struct {
	records map[model.Offset]told
	last    map[int64]model.Offset // by producer: last offset of its last batch
	keys    int
	random  *rand.Rand
}

func newLedger(seed uint64) *ledger {
	return &ledger{records: map[model.Offset]told{}, last: map[int64]model.Offset{}, keys: 40, random: rand.New(rand.NewPCG(seed, 99))}
}

// batch makes a batch of one to six records at the end of the log, and notes them.
func (g *ledger) batch(base model.Offset, epoch model.Epoch, ts int64) []byte {
	b := batch.NewBuilder()
	b.Codec = codec.Codec(g.random.IntN(5))
	if producer := g.random.Int64N(6); producer > 0 {
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = producer, 1, int32(base)
	}
	n := 1 + g.random.IntN(6)
	for i := range n {
		r := told{key: fmt.Sprintf("key-%d", g.random.IntN(g.keys)), value: fmt.Sprintf("%d:%0*d", int(base)+i, g.random.IntN(300), 0), time: ts + int64(i)}
		if r.tombstone = g.random.IntN(5) == 0; r.tombstone {
			r.value = ""
			b.Add(r.time, []byte(r.key), nil)
		} else {
			b.Add(r.time, []byte(r.key), []byte(r.value))
		}
		g.records[base+model.Offset(i)] = r
	}
	b.BaseOffset, b.Epoch = base, epoch
	if b.ProducerID > 0 {
		g.last[b.ProducerID] = base + model.Offset(n) - 1
	}
	return b.Bytes()
}

// cut forgets what lies at end or behind.
func (g *ledger) cut(end model.Offset) {
	for o := range g.records {
		if o >= end {
			delete(g.records, o)
		}
	}
	for id, last := range g.last {
		if last >= end {
			delete(g.last, id)
		}
	}
}

// check holds the log's content in [start, end) against the ledger: below the clean point a key stands once, and from where gaps may be on
// nothing is missing. With tombstones none of those that count may be gone.
func (g *ledger) check(raw []byte, start, end model.Offset, point cleanPoint, tombstones bool) error {
	have := map[model.Offset]bool{}
	newest := map[string]model.Offset{}
	twice := map[string]bool{}
	batches := map[int64]model.Offset{}
	var it batch.Iterator
	next := model.Offset(0)
	for len(raw) > 0 {
		h, _ := batch.ReadHeader(raw)
		if h.BaseOffset < next {
			return fmt.Errorf("batch at %d behind %d", h.BaseOffset, next)
		}
		at := h.BaseOffset
		for it.Reset(raw[:h.Size()], 1<<20); it.Next(); {
			r := it.Record()
			was, known := g.records[r.Offset]
			if !known || was.key != string(r.Key) || was.value != string(r.Value) || was.tombstone != (r.Value == nil) || was.time != r.Timestamp {
				return fmt.Errorf("record at %d is %q=%q at %d, told was %+v", r.Offset, r.Key, r.Value, r.Timestamp, was)
			}
			if r.Offset < at || r.Offset > h.LastOffset() {
				return fmt.Errorf("record at %d in batch [%d, %d]", r.Offset, h.BaseOffset, h.LastOffset())
			}
			at = r.Offset + 1
			if _, before := newest[was.key]; before && r.Offset < point.clean {
				twice[was.key] = true
			}
			newest[was.key] = r.Offset
			have[r.Offset] = true
		}
		if it.Err() != nil {
			return it.Err()
		}
		if h.HasProducer() {
			batches[h.ProducerID] = h.LastOffset()
			if h.BaseSequence != int32(h.BaseOffset) {
				return fmt.Errorf("batch at %d has sequence %d", h.BaseOffset, h.BaseSequence)
			}
		}
		next = h.LastOffset() + 1
		raw = raw[h.Size():]
	}
	latest := map[string]model.Offset{}
	for o, r := range g.records {
		if o < end {
			latest[r.key] = max(latest[r.key], o)
		}
		if o >= max(point.gaps, start) && o < end && !have[o] {
			return fmt.Errorf("record at %d is gone, %+v", o, point)
		}
	}
	for key, o := range latest {
		r := g.records[o]
		switch {
		case o < start, have[o]:
		case !r.tombstone || tombstones:
			return fmt.Errorf("the last record of %s, at %d, is gone: %+v", key, o, r)
		default:
			if before, left := newest[key]; left {
				return fmt.Errorf("tombstone of %s at %d is gone, and %d is not", key, o, before)
			}
		}
	}
	if len(twice) > 0 {
		return fmt.Errorf("keys that stand twice below %d: %v", point.clean, twice)
	}
	for id, last := range g.last {
		if last >= start && last < end && batches[id] != last {
			return fmt.Errorf("last batch of producer %d, at %d, is gone", id, last)
		}
	}
	return nil
}

func (g *ledger) kept() map[int64]model.Offset {
	kept := map[int64]model.Offset{}
	for id, last := range g.last {
		kept[id] = last
	}
	return kept
}

func compactConfig() Config {
	cfg := testConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 8<<10, 1000
	cfg.Delete, cfg.Compact = false, true
	cfg.DeleteRetentionMs, cfg.MaxCompactionLagMs = 1000, 1<<62
	return cfg
}

// put appends one batch of the ledger.
func (r *rig) put(g *ledger) {
	r.t.Helper()
	r.stage(g.batch(r.l.End(), max(r.l.LatestEpoch(), 0), int64(r.now.Wall)))
	if err := r.l.Write(); err != nil {
		r.t.Fatal(err)
	}
	r.now.Wall += 10
}

func (r *rig) compactFrom(g *ledger) CompactFrom {
	return CompactFrom{Now: r.now.Wall, Stable: r.l.Written(), Kept: g.kept(), Keys: 1 << 16, Load: 0.9, Read: 512, StepMax: 4 << 10}
}

// compact runs one pass; false when there is nothing to do.
func (r *rig) compact(from CompactFrom) (CompactStats, bool) {
	r.t.Helper()
	if w := r.l.SyncSealed(); w != nil {
		r.run(w)
	}
	c := r.l.Compact(from)
	if c == nil {
		return CompactStats{}, false
	}
	for !c.Done() {
		r.run(c.Step())
		if c.Done() {
			break
		}
	}
	if c.Err() != nil {
		r.t.Fatal(c.Err())
	}
	r.sweep()
	return c.Stats(), true
}

func (r *rig) checkLedger(g *ledger, tombstones bool) {
	r.t.Helper()
	if err := g.check(r.all(), r.l.Start(), r.l.End(), r.l.point, tombstones); err != nil {
		r.t.Fatal(err)
	}
}

// checkGapReads reads at every offset: the answer begins with the batch that holds it, or the first behind.
func checkGapReads(t *testing.T, r *rig) {
	t.Helper()
	before := r.l.Start() - 1 // last offset of the batch before
	all := r.all()
	for at := r.l.Start(); at < r.l.End(); at++ {
		h, _ := batch.ReadHeader(all)
		s, state := r.read(at, r.l.Written(), 1, true)
		if state != ReadOK || s.Offset != h.BaseOffset || s.Len != h.Size() {
			t.Fatalf("read at %d: state %d, batch at %d, want that at %d behind %d", at, state, s.Offset, h.BaseOffset, before)
		}
		r.l.Release(s)
		if at == h.LastOffset() {
			before, all = at, all[h.Size():]
		}
	}
}

func TestCompact(t *testing.T) {
	r, g := newRig(t, compactConfig()), newLedger(1)
	for range 400 {
		r.put(g)
	}
	before, segments := r.l.Size(), r.l.Segments()
	span, state := r.read(0, r.l.Written(), 4096, true)
	if state != ReadOK {
		t.Fatalf("state %d", state)
	}
	leased := bytes.Clone(span.Bytes())
	stats, ok := r.compact(r.compactFrom(g))
	if !ok || stats.To != r.l.last().base || r.l.point.clean != stats.To || stats.Dropped == 0 || stats.Keys != g.keys || stats.Keyless != 0 {
		t.Fatalf("%+v, clean to %d", stats, r.l.point.clean)
	}
	if r.l.Size() > before/2 {
		t.Fatalf("%d bytes in %d segments, before %d in %d", r.l.Size(), r.l.Segments(), before, segments)
	}
	r.checkLedger(g, true)
	if !bytes.Equal(span.Bytes(), leased) {
		t.Fatal("leased bytes changed")
	}
	r.l.Release(span)
	r.sweep()
	checkGapReads(t, r)
	if _, ok := r.compact(r.compactFrom(g)); ok {
		t.Fatal("a second pass finds something to do")
	}
	content := r.all()
	// Once their horizon has passed the tombstones go, though nothing was written meanwhile.
	if r.l.Dirt(r.now.Wall+999, r.l.Written()).Purge {
		t.Fatal("tombstones are due too early")
	}
	r.now.Wall += 1000
	if stats, ok = r.compact(r.compactFrom(g)); !ok || stats.Dropped == 0 {
		t.Fatalf("tombstones stay: %+v", stats)
	}
	r.checkLedger(g, false)
	if len(r.all()) >= len(content) || r.l.point.purge != never {
		t.Fatalf("%d bytes after %d, purge at %d", len(r.all()), len(content), r.l.point.purge)
	}
	// What is small now is put together by the pass after the next writing.
	for range 20 {
		r.put(g)
	}
	if r.compact(r.compactFrom(g)); r.l.Segments() > segments/2 {
		t.Fatalf("%d segments, before %d", r.l.Segments(), segments)
	}
	r.checkLedger(g, false)
	content = r.all()
	for _, from := range []OpenFrom{{}, {RecoveryPoint: r.l.RecoveryPoint()}} {
		c := r.crash(from)
		if !bytes.Equal(c.all(), content) || c.l.point != r.l.point || c.rec.Truncated != 0 {
			t.Fatalf("after a start %+v: %+v, %d bytes", c.rec, c.l.point, len(c.all()))
		}
		// The policy was altered: the gaps are still no damage.
		c = &rig{t: t, path: copyTree(t, r.path), cfg: testConfig(), now: r.now}
		c.open(from)
		if !bytes.Equal(c.all(), content) {
			t.Fatalf("as a log that is not compacted: %+v", c.rec)
		}
	}
	r.close()
	r.verify()
	r.verifyIndexes()
}

// TestCompactMapFull: with room for a few keys it takes more passes, each of which gets on, also past a batch with more keys than that.
func TestCompactMapFull(t *testing.T) {
	r, g := newRig(t, compactConfig()), newLedger(2)
	for range 300 {
		r.put(g)
	}
	from := r.compactFrom(g)
	from.Keys = 3
	passes := 0
	for at := model.Offset(-1); ; passes++ {
		stats, ok := r.compact(from)
		if !ok {
			break
		}
		if r.l.point.clean <= at {
			t.Fatalf("pass %d ends at %d like the one before: %+v", passes, r.l.point.clean, stats)
		}
		at = r.l.point.clean
		r.checkLedger(g, true)
	}
	if passes < 20 || r.l.point.clean != r.l.last().base {
		t.Fatalf("%d passes, to %d of %d", passes, r.l.point.clean, r.l.last().base)
	}
}

// TestCompactHoldsBack: what is young, not stable or not durable stays as it is; what has waited for too long is due.
func TestCompactHoldsBack(t *testing.T) {
	r, g := newRig(t, compactConfig()), newLedger(3)
	for range 200 {
		r.put(g)
	}
	if r.l.Compact(r.compactFrom(g)) != nil {
		t.Fatal("segments are compacted before they are durable")
	}
	r.run(r.l.SyncSealed())
	third := r.l.extents[3]
	from := r.compactFrom(g)
	from.Stable = third.base + 1
	if d := r.l.Dirt(r.now.Wall, from.Stable); d.To != third.base || d.Clean != 0 || d.Ratio() != 1 {
		t.Fatalf("%+v", d)
	}
	cfg := r.cfg
	cfg.MinCompactionLagMs = int64(r.now.Wall) - third.maxTime
	r.l.SetConfig(cfg)
	if d := r.l.Dirt(r.now.Wall, r.l.Written()); d.To != r.l.extents[4].base {
		t.Fatalf("to %d, segments %+v", d.To, r.l.extents[:6])
	}
	cfg.MinCompactionLagMs++
	r.l.SetConfig(cfg)
	if d := r.l.Dirt(r.now.Wall, r.l.Written()); d.To != third.base {
		t.Fatalf("to %d, want %d", d.To, third.base)
	}
	r.compact(r.compactFrom(g))
	r.checkLedger(g, true)
	first := int64(1_700_000_000_000)
	cfg.MinCompactionLagMs = 0
	for _, c := range []*rig{r, r.crash(OpenFrom{RecoveryPoint: r.l.RecoveryPoint()})} {
		c.l.SetConfig(cfg)
		oldest := c.l.extents[c.l.extentFor(c.l.point.clean)].firstTime()
		cfg.MaxCompactionLagMs = int64(r.now.Wall) - oldest
		c.l.SetConfig(cfg)
		if d := c.l.Dirt(r.now.Wall, c.l.Written()); d.Overdue != 0 || oldest <= first {
			t.Fatalf("%+v", d)
		}
		if d := c.l.Dirt(r.now.Wall+5, c.l.Written()); d.Overdue != 5 {
			t.Fatalf("%+v", d)
		}
	}
	// The active segment is sealed once its first record has waited.
	age := int64(r.now.Wall) - r.l.tail.firstTime
	cfg.MaxCompactionLagMs = age
	r.l.SetConfig(cfg)
	if r.l.RollStale(r.now.Wall) != nil {
		t.Fatal("rolled too early")
	}
	r.run(r.l.RollStale(r.now.Wall + 1))
	if r.l.last().base != r.l.End() || r.l.RollStale(r.now.Wall+1<<40) != nil {
		t.Fatal("not rolled, or an empty segment is")
	}
}

// TestCompactKeepsMarkers: nothing of a transaction is touched, and its records outlast none.
func TestCompactKeepsMarkers(t *testing.T) {
	r, g := newRig(t, compactConfig()), newLedger(4)
	g.keys = 3
	for range 150 {
		r.put(g)
	}
	middle := r.l.End()
	b := batch.NewBuilder()
	b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.Transactional = 77, 0, 0, true
	b.Add(int64(r.now.Wall), []byte("key-0"), []byte("perhaps aborted"))
	b.Add(int64(r.now.Wall), []byte("key-9"), []byte("nor outlived"))
	raw := b.Bytes()
	batch.Stamp(raw, middle, 0)
	r.stage(raw)
	m := batch.NewBuilder()
	m.ProducerID, m.ProducerEpoch, m.Transactional, m.Control = 77, 0, true, true
	m.Add(int64(r.now.Wall), []byte{0, 0, 0, 0}, []byte{0, 0, 0, 0, 0, 0})
	marker := m.Bytes()
	batch.Stamp(marker, middle+2, 0)
	r.stage(marker)
	g.records[middle+3] = told{}
	for range 150 {
		r.put(g)
	}
	delete(g.records, middle+3)
	r.now.Wall += 1 << 30
	r.compact(r.compactFrom(g))
	all := r.all()
	at := bytes.Index(all, raw)
	if at < 0 || !bytes.HasPrefix(all[at+len(raw):], marker) {
		t.Fatal("a transaction was touched")
	}
	if err := g.check(append(bytes.Clone(all[:at]), all[at+len(raw)+len(marker):]...), 0, r.l.End(), r.l.point, true); err != nil {
		t.Fatal(err)
	}
}

// TestCompactDamage: a broken batch ends the pass with its place, and leaves nothing behind; no new CRC covers it up.
func TestCompactDamage(t *testing.T) {
	r, g := newRig(t, compactConfig()), newLedger(5)
	for range 200 {
		r.put(g)
	}
	r.run(r.l.SyncSealed())
	second := r.l.extents[1].base
	raw := mustRead(t, r.file(second, logSuffix))
	raw[200] ^= 1
	mustWrite(t, r.file(second, logSuffix), raw)
	for range 2 {
		c := r.l.Compact(r.compactFrom(g))
		var err error
		for err == nil && !c.Done() {
			w := c.Step()
			w.Do()
			err = r.l.Finish(w)
		}
		var damage *Damage
		if !errors.As(err, &damage) || damage.Segment != fileName("orders-0", second, logSuffix) || !c.Done() || c.Err() == nil {
			t.Fatalf("%v", err)
		}
		if r.l.Err() != nil {
			t.Fatalf("the log has failed: %v", r.l.Err())
		}
	}
	if left, _ := filepath.Glob(filepath.Join(r.path, "orders-0", "*"+cleanedSuffix)); len(left) > 0 {
		t.Fatalf("left over: %v", left)
	}
	r.put(g)
	r.close()
}

// TestCompactBesideOthers: appends, rolls, retention and readers go on between the steps of a pass; closing waits for its end.
func TestCompactBesideOthers(t *testing.T) {
	for seed := range uint64(6) {
		cfg := compactConfig()
		cfg.Delete = true
		r, g := newRig(t, cfg), newLedger(seed)
		for range 300 {
			r.put(g)
		}
		r.run(r.l.SyncSealed())
		c := r.l.Compact(r.compactFrom(g))
		if r.l.Close() != nil || r.l.Truncate(5) != nil || r.l.Drop() != nil {
			t.Fatal("a log that is being compacted can be closed, cut or dropped")
		}
		abandonAt := g.random.IntN(60)
		for n := 0; !c.Done(); n++ {
			w := c.Step()
			if n == abandonAt {
				w.Do()
				if err := r.l.Finish(w); err != nil {
					t.Fatal(err)
				}
				if w = c.Abandon(); w == nil {
					break
				}
			}
			// What happens while the helper is away: reads that open files by name, and retention.
			at := model.Offset(g.random.Int64N(int64(r.l.End()-r.l.Start()))) + r.l.Start()
			read := r.l.PrepareRead(at)
			done := g.random.IntN(2) == 0
			if done {
				w.Do()
			}
			read.Do()
			if err := r.l.Finish(read); err != nil {
				t.Fatalf("seed %d: read during a step: %v", seed, err)
			}
			if g.random.IntN(8) == 0 {
				cfg.RetentionBytes = r.l.Size() - 10_000
				r.l.SetConfig(cfg)
				if e := r.l.Expire(r.now, r.l.Written()); e != nil {
					r.run(e)
				}
			}
			r.put(g)
			if !done {
				w.Do()
			}
			if err := r.l.Finish(w); err != nil {
				t.Fatalf("seed %d: step %d: %v", seed, n, err)
			}
			r.sweep()
		}
		r.checkLedger(g, true)
		checkGapReads(t, r)
		r.close()
		r.verify()
		if left, _ := filepath.Glob(filepath.Join(r.path, "orders-0", "*.*.*")); len(left) > 0 {
			t.Fatalf("left over: %v", left)
		}
	}
}

// TestCompactDeathAtEveryOperation ends two passes at each operation that changes the disk, and opens what is there, as a log that is compacted
// and as one that is not any more.
func TestCompactDeathAtEveryOperation(t *testing.T) {
	cfg := compactConfig()
	r, g := newRig(t, cfg), newLedger(7)
	for range 150 {
		r.put(g)
	}
	r.close()
	step := int64(1)
	if !must.Deep {
		step = 5
	}
	operations := 0
	for n := rand.Int64N(step); ; n += step {
		path := copyTree(t, r.path)
		real, err := device.OpenDir(path)
		if err != nil {
			t.Fatal(err)
		}
		dir := &faultDir{Dir: real, left: &atomic.Int64{}, err: errCut}
		dir.left.Store(n)
		from := OpenFrom{RecoveryPoint: r.l.End()}
		c := &rig{t: t, path: path, cfg: cfg, now: r.now, dir: dir, files: NewFiles(64)}
		if c.l, _, err = Open(dir, "orders-0", testID, cfg, from, nil); err != nil {
			t.Fatal(err)
		}
		c.l.Attach(c.files)
		err = c.live(g)
		if err != nil && !errors.Is(err, errCut) {
			t.Fatalf("operation %d: %v", n, err)
		}
		for i, after := range []Config{cfg, testConfig()} {
			if !must.Deep && int64(i) == n%2 {
				continue
			}
			a := &rig{t: t, path: copyTree(t, path), cfg: after, now: c.now}
			if n%3 == 0 {
				a.open(OpenFrom{})
			} else {
				a.open(from)
			}
			if a.l.End() != r.l.End() || a.l.Start() != 0 || a.rec.Truncated != 0 {
				t.Fatalf("operation %d: [%d, %d), %+v", n, a.l.Start(), a.l.End(), a.rec)
			}
			a.checkLedger(g, false)
			a.close()
			a.verify()
			if left, _ := filepath.Glob(filepath.Join(a.path, "orders-0", "*.*.*")); len(left) > 0 {
				t.Fatalf("operation %d: left over: %v", n, left)
			}
		}
		operations++
		if err == nil {
			break
		}
	}
	if operations < 20 {
		t.Fatalf("only %d operations", operations)
	}
}

// live is two passes: the second removes the tombstones.
func (r *rig) live(g *ledger) error {
	for range 2 {
		from := r.compactFrom(g)
		from.StepMax = 1 << 20
		c := r.l.Compact(from)
		for c != nil && !c.Done() {
			w := c.Step()
			w.Do()
			if err := r.l.Finish(w); err != nil {
				return err
			}
		}
		r.now.Wall += clock.Wall(r.cfg.DeleteRetentionMs)
	}
	return nil
}

// TestSwapResumed: whatever mixture of the two forms a power cut leaves, in whatever order the names became durable, Open makes one of it.
func TestSwapResumed(t *testing.T) {
	cfg := compactConfig()
	small := cfg
	small.SegmentBytes = 2 << 10 // several of which make one
	r, g := newRig(t, small), newLedger(8)
	for range 120 {
		r.put(g)
	}
	r.close()
	old := copyTree(t, r.path)
	r.cfg = cfg
	r.open(OpenFrom{RecoveryPoint: r.l.End()})
	if _, ok := r.compact(r.compactFrom(g)); !ok {
		t.Fatal("nothing to do")
	}
	r.close()
	at := func(root, name string) string { return filepath.Join(root, "orders-0", name) }
	base := fmt.Sprintf("%020d", 0)
	end := r.l.extents[1].base // of the group the first new segment stands for
	grouped := 0
	entries, _ := os.ReadDir(filepath.Join(old, "orders-0"))
	for _, e := range entries {
		if b, suffix, ok := parseName(e.Name()); ok && suffix == logSuffix && b < end {
			grouped++
		}
	}
	if grouped < 3 {
		t.Fatalf("the group has %d segments", grouped)
	}
	for mixture := range 1 << 5 {
		path := copyTree(t, old)
		// The committed state: the new files under their .swap names. Each bit is one name that went on, in any order.
		for i, suffix := range swapped {
			raw := mustRead(t, at(r.path, base+suffix))
			if mixture>>i&1 == 1 {
				mustWrite(t, at(path, base+suffix), raw)
			} else {
				mustWrite(t, at(path, base+suffix+swapSuffix), raw)
			}
		}
		mustWrite(t, at(path, pointFile), mustRead(t, at(r.path, pointFile)))
		entries, _ := os.ReadDir(filepath.Join(path, "orders-0"))
		for _, e := range entries {
			b, suffix, ok := parseName(e.Name())
			gone := mixture>>2&1 == 1 // removals are durable before the .log has its name
			gone = gone || mixture>>3&1 == 1 && suffix == logSuffix || mixture>>4&1 == 1 && strings.HasSuffix(suffix, "index")
			if ok && b > 0 && b < end && gone {
				if err := os.Remove(at(path, e.Name())); err != nil {
					t.Fatal(err)
				}
			}
		}
		from := OpenFrom{RecoveryPoint: r.l.End()}
		dir, err := device.OpenDir(path)
		if err != nil {
			t.Fatal(err)
		}
		in, err := Inspect(dir, "orders-0", true, from, nil)
		if err != nil || slices.ContainsFunc(in.Findings, func(f Finding) bool { return !f.Mended }) {
			t.Fatalf("mixture %05b: inspection: %v, %+v", mixture, err, in)
		}
		c := &rig{t: t, path: path, cfg: cfg, now: r.now}
		c.open(from)
		if c.l.extents[1].base != end || c.l.End() != r.l.End() {
			t.Fatalf("mixture %05b: segments %v", mixture, c.l.extents)
		}
		c.l.point.clean = 0 // only the first group was swapped
		c.checkLedger(g, true)
		c.close()
		c.verify()
	}
	// A .swap that is not whole, or whose bytes have changed: refused, whatever else there is. It would take the place of what is good.
	raw := mustRead(t, at(r.path, base+logSuffix))
	changed := bytes.Clone(raw)
	changed[len(raw)-1] ^= 1
	for _, bad := range [][]byte{raw[:len(raw)-1], nil, changed} {
		path := copyTree(t, old)
		mustWrite(t, at(path, base+logSuffix+swapSuffix), bad)
		dir, err := device.OpenDir(path)
		if err != nil {
			t.Fatal(err)
		}
		in, err := Inspect(dir, "orders-0", true, OpenFrom{}, nil)
		if err != nil || !slices.ContainsFunc(in.Findings, func(f Finding) bool { return f.Damage() && strings.HasSuffix(f.File, swapSuffix) }) {
			t.Errorf("inspection: %v, %+v", err, in.Findings)
		}
		var damage *Damage
		if err := (&rig{t: t, path: path, cfg: cfg}).tryOpen(OpenFrom{}); !errors.As(err, &damage) {
			t.Fatalf("%v", err)
		}
	}
}

func TestCleanPointFile(t *testing.T) {
	r, g := newRig(t, compactConfig()), newLedger(9)
	for range 200 {
		r.put(g)
	}
	r.compact(r.compactFrom(g))
	want := r.l.point
	if want.clean == 0 || want.gaps != want.clean || want.purge <= 0 {
		t.Fatalf("%+v", want)
	}
	file := filepath.Join("orders-0", pointFile)
	good := string(mustRead(t, filepath.Join(r.path, file)))
	for _, text := range []string{"", "1\n" + good[2:], good[:len(good)-1], good + "7\n", "0\n9\n8\n-1\n", "0\n-1\n8\n-1\n", "0\nx\n8\n-1\n"} {
		mustWrite(t, filepath.Join(r.path, file), []byte(text))
		c := r.crash(OpenFrom{RecoveryPoint: r.l.RecoveryPoint()})
		if c.l.point.clean != 0 || c.l.point.gaps != c.l.End() || !strings.Contains(c.rec.Reason, pointFile) {
			t.Fatalf("%q: %+v, %+v", text, c.l.point, c.rec)
		}
	}
	mustWrite(t, filepath.Join(r.path, file), []byte(good))
	// A cut that would take what outlived others is refused, and changes nothing; one above takes no key its last record.
	to, end := want.clean/2, r.l.End()
	if err := r.try(r.l.Truncate(to)); !errors.Is(err, ErrCompacted) || r.l.Err() != nil || r.l.End() != end {
		t.Fatalf("cut at %d of a log that is compacted to %d: %v, ends at %d", to, want.clean, err, r.l.End())
	}
	r.run(r.l.Truncate(r.l.CutLimit()))
	if g.cut(r.l.End()); r.l.End() != want.gaps || r.l.point != want {
		t.Fatalf("cut at %d: ends at %d, %+v", want.gaps, r.l.End(), r.l.point)
	}
	r.checkLedger(g, true)
	// A log that ends before the point is compacted no further than to its end, also after a start.
	r.run(r.l.Reset(to))
	g.cut(0)
	if r.l.point.clean > r.l.End() || r.l.point.gaps > r.l.End() {
		t.Fatalf("%+v of a log that ends at %d", r.l.point, r.l.End())
	}
	for range 100 {
		r.put(g)
	}
	if c := r.crash(OpenFrom{}); c.l.point != r.l.point {
		t.Fatalf("%+v after a start, before %+v", c.l.point, r.l.point)
	}
	r.compact(r.compactFrom(g))
	r.checkLedger(g, true)
	r.run(r.l.Reset(3))
	if c := r.crash(OpenFrom{}); c.l.point != r.l.point || c.l.point.clean > 3 {
		t.Fatalf("%+v after a start, before %+v", c.l.point, r.l.point)
	}
}

// TestReadInAGapBetweenSegments: compaction by a Kafka broker may leave nothing at the end of a segment. Reading there goes on in the next one,
// whichever of the two is open.
func TestReadInAGapBetweenSegments(t *testing.T) {
	d := faulty.New(1)
	r := &rig{t: t, disk: d, cfg: compactConfig()}
	mustPut(t, d, "orders-0/"+metadataFile, appendMetadata(nil, testID))
	mustPut(t, d, fileName("orders-0", 0, logSuffix), stamped(0, 0, 1, 5, 30))
	mustPut(t, d, fileName("orders-0", 10, logSuffix), stamped(10, 0, 2, 1, 5))
	mustPut(t, d, fileName("orders-0", 20, logSuffix), stamped(20, 0, 3, 1, 5))
	r.open(OpenFrom{})
	for _, from := range []model.Offset{7, 15, 7} {
		tries := 0
		for ; tries < 4; tries++ {
			s, state := r.l.Read(from, r.l.End(), 1000, true)
			if state == ReadOK {
				if want := (from + 9) / 10 * 10; s.Offset != want {
					t.Fatalf("read at %d gives %d, want %d", from, s.Offset, want)
				}
				r.l.Release(s)
				break
			}
			if state != ReadNeedsWork {
				t.Fatalf("read at %d: state %d", from, state)
			}
			r.run(r.l.PrepareRead(from))
		}
		if tries == 4 {
			t.Fatalf("reading at %d never ends", from)
		}
	}
	if err := d.Discard(); err != nil {
		t.Fatal(err)
	}
}

// TestCompactWhatIsUnproven: a pass reads what a start trusted, and the new form of the segment has nothing left to prove.
func TestCompactWhatIsUnproven(t *testing.T) {
	g := newLedger(3)
	r := newRig(t, compactConfig())
	for r.l.Segments() < 3 {
		r.put(g)
	}
	r.run(r.l.SyncWork())
	at := r.l.extents[1].base - 1
	r.close()
	r.open(OpenFrom{RecoveryPoint: at})
	if r.l.past().unproven.base != 0 || r.l.past().unproven.to == 0 {
		t.Fatalf("%+v", r.l.past().unproven)
	}
	r.run(r.l.SyncWork())
	if _, ok := r.compact(r.compactFrom(g)); !ok {
		t.Fatal("nothing compacted")
	}
	r.all()
	if err := r.l.Damaged(); err != nil {
		t.Fatal(err)
	}
}

// keyed appends one batch of one record.
func (r *rig) keyed(key, value string, ts int64) {
	r.t.Helper()
	b := batch.NewBuilder()
	b.Add(ts, []byte(key), []byte(value))
	r.putBatch(b)
}

// putBatch appends what was built.
func (r *rig) putBatch(b *batch.Builder) {
	r.t.Helper()
	raw := b.Bytes()
	batch.Stamp(raw, r.l.End(), 0)
	r.stage(raw)
	if err := r.l.Write(); err != nil {
		r.t.Fatal(err)
	}
}

// wholePass is a pass of few steps over everything.
func (r *rig) wholePass() CompactFrom {
	return CompactFrom{Now: r.now.Wall, Stable: r.l.Written(), Keys: 1 << 16, Load: 0.9, Read: 512, StepMax: 4 << 20}
}

// TestStaleRollsAreCounted: a roll for the sake of max.compaction.lag.ms opens a segment as any other does.
func TestStaleRollsAreCounted(t *testing.T) {
	cfg := compactConfig()
	cfg.MaxCompactionLagMs = 1000
	r := newRig(t, cfg)
	for range 5 {
		r.keyed("key", "value", int64(r.now.Wall))
		r.now.Wall += 2000
		w := r.l.RollStale(r.now.Wall)
		if w == nil {
			t.Fatal("nothing is rolled")
		}
		r.run(w)
		if r.files.coming != 0 {
			t.Errorf("%d segments are coming, and no work is away", r.files.coming)
		}
	}
}

// TestNothingToPurge: where retention has removed the tombstones nothing is due for them.
func TestNothingToPurge(t *testing.T) {
	cfg := compactConfig()
	cfg.Delete, cfg.RetentionMs, cfg.RetentionBytes, cfg.DeleteRetentionMs = true, 500, -1, 1000
	r := newRig(t, cfg)
	b := batch.NewBuilder()
	b.Add(int64(r.now.Wall), []byte("key"), nil)
	r.putBatch(b)
	r.run(r.l.Prepare(NeedRoll))
	r.keyed("other", "value", int64(r.now.Wall))
	if _, ok := r.compact(r.wholePass()); !ok || r.l.point.purge == never {
		t.Fatalf("no tombstone: %+v", r.l.point)
	}
	r.now.Wall += 800
	r.expireAll(r.l.Written())
	r.now.Wall += 1000
	if d := r.l.Dirt(r.now.Wall, r.l.Written()); d.Purge && r.l.Compact(r.wholePass()) == nil {
		t.Errorf("%+v: tombstones are due, and no pass can be made", d)
	}
}

// TestRetentionDuringAPass: what retention leaves of a group is compacted with the rest of the log, or tombstones outlive it.
func TestRetentionDuringAPass(t *testing.T) {
	cfg := compactConfig()
	cfg.Delete, cfg.RetentionMs, cfg.RetentionBytes, cfg.DeleteRetentionMs = true, -1, -1, 1000
	r := newRig(t, cfg)
	roll := func() { r.run(r.l.Prepare(NeedRoll)) }
	r.keyed("other", "v", int64(r.now.Wall))
	roll()
	r.keyed("key", "old", int64(r.now.Wall))
	roll()
	b := batch.NewBuilder()
	b.Add(int64(r.now.Wall), []byte("key"), nil)
	r.putBatch(b)
	r.keyed("more", fmt.Sprintf("%07980d", 0), int64(r.now.Wall)) // the tombstone's segment is full, so that it is in no group with the others
	roll()
	r.keyed("last", "v", int64(r.now.Wall))
	r.run(r.l.SyncWork())
	c := r.l.Compact(r.wholePass())
	for c.phase == phaseMap {
		r.run(c.Step())
	}
	if len(c.groups[0]) != 2 {
		t.Fatalf("groups %+v", c.groups)
	}
	r.l.AdvanceStart(1) // as DeleteRecords does, or retention
	r.expireAll(r.l.Written())
	for !c.Done() {
		if w := c.Step(); w != nil {
			r.run(w)
		}
	}
	if c.Err() != nil {
		t.Fatal(c.Err())
	}
	has := func(key string) (found []string) {
		var it batch.Iterator
		for raw := r.all(); len(raw) > 0; {
			h, _ := batch.ReadHeader(raw)
			for it.Reset(raw[:h.Size()], 1<<20); it.Next(); {
				if rec := it.Record(); string(rec.Key) == key {
					found = append(found, fmt.Sprintf("%d %q", rec.Offset, rec.Value))
				}
			}
			raw = raw[h.Size():]
		}
		return found
	}
	r.now.Wall += 2000
	r.compact(r.wholePass())
	if found := has("key"); len(found) > 0 {
		t.Errorf("a key that was deleted is back: %v", found)
	}
}

// TestMinLagWithoutTimestamps: records without timestamps are as young as their segment.
func TestMinLagWithoutTimestamps(t *testing.T) {
	cfg := compactConfig()
	cfg.MinCompactionLagMs = 3600_000
	r := newRig(t, cfg)
	r.keyed("key", "old", -1)
	r.run(r.l.Prepare(NeedRoll))
	r.keyed("key", "new", -1)
	r.run(r.l.Prepare(NeedRoll))
	r.keyed("last", "v", -1)
	r.run(r.l.SyncWork())
	if d := r.l.Dirt(r.now.Wall+10, r.l.Written()); d.Dirty > 0 {
		t.Errorf("%+v: written 10 ms ago, and min.compaction.lag.ms is an hour", d)
	}
	if d := r.l.Dirt(r.now.Wall+3700_000, r.l.Written()); d.Dirty == 0 {
		t.Errorf("%+v: never compacted", d)
	}
}

// TestCompactOnAFullDisk: a disk that fills up during a pass ends it, wherever it stands, and harms nothing; one is made when there is space.
func TestCompactOnAFullDisk(t *testing.T) {
	for _, file := range []string{indexSuffix + cleanedSuffix, timeSuffix + cleanedSuffix, pointFile + ".tmp"} {
		for nth := range 3 {
			d := faulty.New(1)
			r, g := &rig{t: t, disk: d, cfg: compactConfig(), now: clock.Now{Mono: 1, Wall: 1_700_000_000_000}}, newLedger(11)
			r.open(OpenFrom{})
			for range 200 {
				r.put(g)
			}
			r.run(r.l.SyncSealed())
			used, met := d.Used(), 0
			d.Fail(func(op faulty.Op, name string) error {
				if op == faulty.Write && strings.HasSuffix(name, file) {
					if met++; met > nth {
						return unix.ENOSPC
					}
				}
				return nil
			})
			c := r.l.Compact(r.compactFrom(g))
			for !c.Done() {
				w := c.Step()
				w.Do()
				_ = r.l.Finish(w)
			}
			r.sweep()
			if met <= nth {
				continue // there are no more
			}
			if !device.IsFull(c.Err()) || r.l.Err() != nil {
				t.Fatalf("%s: %v; the log has failed: %v", file, c.Err(), r.l.Err())
			}
			if d.Used() > used+4096 { // but for the file that was to replace one
				t.Errorf("%s: what is half done takes space: %d bytes, before %d", file, d.Used(), used)
			}
			d.Fail(nil)
			r.checkLedger(g, true)
			r.compact(r.compactFrom(g))
			r.checkLedger(g, true)
			r.close()
			if err := d.Discard(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestNothingIsOverdue: without a max.compaction.lag.ms, which is the largest there is, nothing waits too long, whatever the time of its records.
func TestNothingIsOverdue(t *testing.T) {
	cfg := compactConfig()
	cfg.MaxCompactionLagMs = math.MaxInt64
	r := newRig(t, cfg)
	for _, ahead := range []int64{0, 1, 2, 60_000, 1 << 60} {
		r.keyed("key", "value", int64(r.now.Wall)+ahead)
		r.run(r.l.Prepare(NeedRoll))
	}
	r.run(r.l.SyncWork())
	for r.l.Segments() > 1 {
		if d := r.l.Dirt(r.now.Wall, r.l.Written()); d.Overdue > 0 {
			t.Errorf("%+v, the first record is of %d, now it is %d", d, r.l.extents[0].firstTime(), r.now.Wall)
		}
		r.l.AdvanceStart(r.l.extents[1].base)
		r.expireAll(r.l.Written())
	}
}

// TestMinLagOfWhatIsClean: min.compaction.lag.ms holds back what is to be compacted, as in Kafka; what has been is young for as long as the lag that is set
// since says, or as the clock that went back, and keeps nothing behind it from its pass.
func TestMinLagOfWhatIsClean(t *testing.T) {
	r := newRig(t, compactConfig())
	old := int64(r.now.Wall) - 7200_000
	for _, c := range []struct {
		value string
		at    int64
	}{{"first", int64(r.now.Wall)}, {"second", int64(r.now.Wall)}, {"third", old}} {
		r.keyed("key", c.value, c.at)
		if c.at > old {
			r.run(r.l.Prepare(NeedRoll))
		}
	}
	r.run(r.l.SyncWork())
	if _, ok := r.compact(r.wholePass()); !ok {
		t.Fatal("nothing to compact")
	}
	cfg := r.l.Config()
	cfg.MinCompactionLagMs = 3600_000
	r.l.SetConfig(cfg)
	r.run(r.l.Prepare(NeedRoll))
	r.keyed("last", "v", old)
	r.run(r.l.SyncWork())
	d := r.l.Dirt(r.now.Wall, r.l.Written())
	if _, ok := r.compact(r.wholePass()); !ok || r.l.point.clean != 3 {
		t.Errorf("%+v, a pass %v, clean to %d", d, ok, r.l.point.clean)
	}
	if d := r.l.Dirt(r.now.Wall, r.l.Written()); d.Dirty > 0 {
		t.Errorf("%+v after a pass", d)
	}
}
