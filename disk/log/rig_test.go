package log

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/clock"
	"pinion/engine/model"
)

// rig runs a log as a shard would, with every Work done on the spot.
type rig struct {
	t     testing.TB
	path  string
	disk  device.Dir // to open instead of path
	dir   device.Dir
	cfg   Config
	files *Files
	l     *Log
	rec   Recovery
	now   clock.Now
	seen  []batch.Header
}

var testID = model.TopicID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

func testConfig() Config {
	return Config{
		SegmentBytes: 64 << 10, SegmentMs: 7 * 24 * 3600 * 1000, IndexIntervalBytes: 4096, IndexBytesMax: 10 << 20,
		RetentionMs: -1, RetentionBytes: -1, Delete: true,
	}
}

func newRig(t testing.TB, cfg Config) *rig {
	return rigAt(t, t.TempDir(), cfg, OpenFrom{})
}

func rigAt(t testing.TB, path string, cfg Config, from OpenFrom) *rig {
	t.Helper()
	r := &rig{t: t, path: path, cfg: cfg, now: clock.Now{Mono: 1, Wall: 1_700_000_000_000}}
	r.open(from)
	return r
}

func (r *rig) open(from OpenFrom) {
	r.t.Helper()
	if err := r.tryOpen(from); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) tryOpen(from OpenFrom) error {
	dir, err := r.disk, error(nil)
	if dir == nil {
		dir, err = device.OpenDir(r.path)
	}
	if err != nil {
		return err
	}
	r.dir, r.files, r.seen = dir, NewFiles(64), nil
	r.l, r.rec, err = Open(dir, "orders-0", testID, r.cfg, from, func(h batch.Header) { r.seen = append(r.seen, h) })
	if err == nil {
		r.l.Attach(r.files)
	}
	return err
}

// run does a Work and finishes it.
func (r *rig) run(w *Work) {
	r.t.Helper()
	if err := r.try(w); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) try(w *Work) error {
	r.t.Helper()
	if w == nil {
		r.t.Fatal("no work")
	}
	w.Do()
	return r.l.Finish(w)
}

func (r *rig) sweep() {
	r.t.Helper()
	for {
		w := r.files.Sweep()
		if w == nil {
			return
		}
		w.Do()
		if err := r.files.Finish(w); err != nil {
			r.t.Fatal(err)
		}
	}
}

// stamped is a batch of count records of size bytes each, stamped for the end of the log.
func stamped(base model.Offset, epoch model.Epoch, ts int64, count, size int) []byte {
	b := batch.NewBuilder()
	for i := range count {
		value := make([]byte, size)
		for j := range value {
			value[j] = byte(int(base) + i + j)
		}
		b.Add(ts+int64(i), nil, value)
	}
	raw := b.Bytes()
	batch.Stamp(raw, base, epoch)
	return raw
}

// stage prepares what is needed and stages b.
func (r *rig) stage(b []byte) {
	r.t.Helper()
	h, ok := batch.ReadHeader(b)
	if !ok {
		r.t.Fatal("short batch")
	}
	for range 10 {
		need := r.l.NeedFor(h, r.now)
		if need == NeedNone {
			r.l.Stage(b, h, r.now)
			return
		}
		if need == NeedRoll || need == NeedActive {
			if err := r.l.Write(); err != nil {
				r.t.Fatal(err)
			}
		}
		r.run(r.l.Prepare(need))
	}
	r.t.Fatal("needs never end")
}

// append stores one batch of count records at the end, in epoch 0 or the latest.
func (r *rig) append(count, size int) []byte {
	r.t.Helper()
	b := stamped(r.l.End(), max(r.l.LatestEpoch(), 0), int64(r.now.Wall), count, size)
	r.stage(b)
	if err := r.l.Write(); err != nil {
		r.t.Fatal(err)
	}
	r.now.Wall += 10
	return b
}

// read reads with work where needed.
func (r *rig) read(from, limit model.Offset, maxBytes int, minOne bool) (Span, ReadState) {
	r.t.Helper()
	for range 5 {
		s, state := r.l.Read(from, limit, maxBytes, minOne)
		if state != ReadNeedsWork {
			return s, state
		}
		r.run(r.l.PrepareRead(from))
	}
	r.t.Fatal("read never gets what it needs")
	return Span{}, ReadEmpty
}

// all reads everything from start to the end and returns the bytes.
func (r *rig) all() []byte {
	r.t.Helper()
	var out []byte
	at := r.l.Start()
	for at < r.l.Written() {
		s, state := r.read(at, r.l.Written(), 1<<20, true)
		if state != ReadOK {
			r.t.Fatalf("read at %d: %d", at, state)
		}
		b := s.Bytes()
		if b == nil && r.disk != nil { // what is in memory is not mapped
			b = make([]byte, s.Len)
			if _, err := s.ReadCold(b, 0); err != nil {
				r.t.Fatal(err)
			}
		}
		if len(b) != s.Len {
			r.t.Fatalf("span of %d bytes maps %d", s.Len, len(b))
		}
		out = append(out, b...)
		for len(b) > 0 {
			h, _ := batch.ReadHeader(b)
			if !batch.CheckCRC(b[:h.Size()]) {
				r.t.Fatalf("batch at %d has a bad CRC", h.BaseOffset)
			}
			at = h.LastOffset() + 1
			b = b[h.Size():]
		}
		r.l.Release(s)
	}
	return out
}

func (r *rig) close() {
	r.t.Helper()
	r.run(r.l.Close())
	r.sweep()
	if n := r.files.Open(); n != 0 {
		r.t.Fatalf("%d segments open after close", n)
	}
}

// crash leaves the log as kill -9 would and opens a copy of the directory.
func (r *rig) crash(from OpenFrom) *rig {
	r.t.Helper()
	return rigAt(r.t, copyTree(r.t, r.path), r.cfg, from)
}

func copyTree(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func (r *rig) file(base model.Offset, suffix string) string {
	return filepath.Join(r.path, fileName("orders-0", base, suffix))
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustWrite(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// verify checks every index entry against the segments: each names a batch, and times are the running maximum.
func (r *rig) verify() {
	r.t.Helper()
	bases, err := filepath.Glob(filepath.Join(r.path, "orders-0", "*.log"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, name := range bases {
		base, _, ok := parseName(filepath.Base(name))
		if !ok {
			r.t.Fatalf("name %s", name)
		}
		verifySegment(r.t, base, mustRead(r.t, name), readOr(r.file(base, indexSuffix)), readOr(r.file(base, timeSuffix)))
	}
}

// verifyIndexes wants every .index file to be what recovery makes of the segment alone. The log must be closed.
func (r *rig) verifyIndexes() {
	r.t.Helper()
	c := &rig{t: r.t, path: copyTree(r.t, r.path), cfg: r.cfg, now: r.now}
	for _, e := range r.l.extents {
		_ = os.Remove(c.file(e.base, indexSuffix))
		_ = os.Remove(c.file(e.base, timeSuffix))
	}
	c.open(OpenFrom{})
	for _, e := range r.l.extents {
		if got, want := readOr(r.file(e.base, indexSuffix)), readOr(c.file(e.base, indexSuffix)); !bytes.Equal(got, want) {
			r.t.Fatalf("segment %d: %d index entries, recovery makes %d", e.base, len(got)/indexEntryBytes, len(want)/indexEntryBytes)
		}
	}
}

func readOr(path string) []byte {
	b, _ := os.ReadFile(path)
	return b
}

func verifySegment(t testing.TB, base model.Offset, data, index, times []byte) {
	t.Helper()
	lastAt := map[uint32]uint32{}
	maxTime := map[uint32]int64{}
	running := int64(-1)
	for pos := 0; pos < len(data); {
		h, ok := batch.ReadHeader(data[pos:])
		if !ok || pos+h.Size() > len(data) || !batch.CheckCRC(data[pos:pos+h.Size()]) {
			t.Fatalf("segment %d: bad batch at %d", base, pos)
		}
		running = max(running, h.MaxTimestamp)
		lastAt[uint32(pos)] = uint32(h.LastOffset() - base)
		maxTime[uint32(h.LastOffset()-base)] = running
		pos += h.Size()
	}
	if len(index)%indexEntryBytes != 0 || len(times)%timeEntryBytes != 0 {
		t.Fatalf("segment %d: index of %d, time index of %d bytes", base, len(index), len(times))
	}
	for n := range len(index) / indexEntryBytes {
		m := indexEntry(index, n)
		if last, ok := lastAt[m.pos]; !ok || last != m.last {
			t.Fatalf("segment %d: index entry %d %+v, batch there ends at %d (%v)", base, n, m, last, ok)
		}
	}
	before := int64(-1)
	for n := range len(times) / timeEntryBytes {
		m := timeEntry(times, n)
		if maxTime[m.last] != m.time || m.time <= before {
			t.Fatalf("segment %d: time index entry %d %+v, largest timestamp there %d, before %d", base, n, m, maxTime[m.last], before)
		}
		before = m.time
	}
}

func TestAppendReadReopen(t *testing.T) {
	r := newRig(t, testConfig())
	if r.l.Start() != 0 || r.l.End() != 0 || r.l.Segments() != 0 {
		t.Fatal("a missing folder is not an empty log")
	}
	if _, err := os.Stat(filepath.Join(r.path, "orders-0")); err == nil {
		t.Fatal("opening made the folder")
	}
	var want []byte
	random := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		want = append(want, r.append(1+random.IntN(5), random.IntN(900))...)
	}
	if r.l.Segments() < 5 {
		t.Fatalf("%d segments", r.l.Segments())
	}
	if got := r.all(); !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, wrote %d", len(got), len(want))
	}
	end := r.l.End()
	for name, from := range map[string]OpenFrom{"scan": {}, "visit none": {VisitFrom: end}, "half": {RecoveryPoint: 300, VisitFrom: 500}} {
		t.Run("crash "+name, func(t *testing.T) {
			c := &rig{t: t, path: copyTree(t, r.path), cfg: r.cfg, now: r.now}
			if from.RecoveryPoint > 0 {
				r.run(r.l.SyncWork())
				c.path = copyTree(t, r.path)
			}
			c.open(from)
			checkSame(t, c, want, end)
			if c.rec.Truncated != 0 || c.rec.Short != 0 {
				t.Fatalf("%+v", c.rec)
			}
			checkVisited(t, c, from.VisitFrom)
			c.append(3, 10)
			c.verify()
		})
	}
	r.close()
	r.verify()
	r.verifyIndexes()
	c := rigAt(t, r.path, r.cfg, OpenFrom{RecoveryPoint: end, VisitFrom: end})
	checkSame(t, c, want, end)
	if c.rec.Scanned > 8192 || c.rec.Reason != "" || len(c.seen) != 0 || c.l.Dirty() {
		t.Fatalf("clean reopen: %+v, %d visited, dirty %v", c.rec, len(c.seen), c.l.Dirty())
	}
	more := c.append(2, 100)
	c.close()
	c.verify()
	d := rigAt(t, r.path, r.cfg, OpenFrom{RecoveryPoint: end})
	checkSame(t, d, append(want, more...), end+2)
}

func checkSame(t *testing.T, c *rig, want []byte, end model.Offset) {
	t.Helper()
	if c.l.End() != end || c.l.Start() != 0 {
		t.Fatalf("offsets [%d, %d), want [0, %d)", c.l.Start(), c.l.End(), end)
	}
	if got := c.all(); !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, wrote %d", len(got), len(want))
	}
}

// checkVisited: every batch that ends at or behind from, once, in order.
func checkVisited(t *testing.T, c *rig, from model.Offset) {
	t.Helper()
	var next model.Offset
	all := c.all()
	n := 0
	for len(all) > 0 {
		h, _ := batch.ReadHeader(all)
		all = all[h.Size():]
		if h.LastOffset() < from {
			continue
		}
		if n >= len(c.seen) || c.seen[n] != h || (n > 0 && h.BaseOffset != next) {
			t.Fatalf("visit %d of %d is not batch %d", n, len(c.seen), h.BaseOffset)
		}
		next = h.LastOffset() + 1
		n++
	}
	if n != len(c.seen) {
		t.Fatalf("%d visits, want %d", len(c.seen), n)
	}
}

func TestFormatOnDisk(t *testing.T) {
	r := newRig(t, testConfig())
	b := r.append(1, 10)
	r.run(r.l.SyncWork())
	if got := mustRead(t, r.file(0, logSuffix)); !bytes.Equal(got, b) {
		t.Fatal("segment is not the batch")
	}
	if got, want := string(mustRead(t, filepath.Join(r.path, "orders-0", metadataFile))), fmt.Sprintf("version: 0\ntopic_id: %s\n", testID); got != want {
		t.Fatalf("metadata %q, want %q", got, want)
	}
	if got := string(mustRead(t, filepath.Join(r.path, "orders-0", epochFile))); got != "0\n1\n0 0\n" {
		t.Fatalf("epochs %q", got)
	}
}
