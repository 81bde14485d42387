package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/clock"
	"pinion/engine/model"
)

// small is a log of one segment with n one-record batches, and the byte where each begins.
func small(t *testing.T, n int) (r *rig, at []int64) {
	r = newRig(t, testConfig())
	for range n {
		at = append(at, r.l.Size())
		r.append(1, 20)
	}
	return r, append(at, r.l.Size())
}

// TestCutAnywhere cuts the file at every byte: what remains are the whole batches before.
func TestCutAnywhere(t *testing.T) {
	r, at := small(t, 4)
	data := mustRead(t, r.file(0, logSuffix))
	path := copyTree(t, r.path)
	for cut := range len(data) + 1 {
		c := &rig{t: t, path: path, cfg: r.cfg, now: r.now}
		mustWrite(t, c.file(0, logSuffix), data[:cut])
		c.open(OpenFrom{})
		whole := 0
		for whole+1 < len(at) && at[whole+1] <= int64(cut) {
			whole++
		}
		if c.l.End() != model.Offset(whole) || c.rec.Truncated != int64(cut)-at[whole] || (c.rec.Truncated > 0) != (c.rec.Reason != "") {
			t.Fatalf("cut at %d: end %d, want %d; %+v", cut, c.l.End(), whole, c.rec)
		}
		if got := mustRead(t, c.file(0, logSuffix)); !bytes.Equal(got, data[:at[whole]]) {
			t.Fatalf("cut at %d: %d bytes remain, want %d", cut, len(got), at[whole])
		}
	}
}

// TestTails damages what lies above the recovery point in every way we know of, and wants it cut there.
func TestTails(t *testing.T) {
	b := func(base model.Offset, epoch model.Epoch) []byte { return stamped(base, epoch, 5, 1, 20) }
	edit := func(change func(raw []byte)) []byte {
		raw := b(4, 0)
		change(raw)
		return raw
	}
	for name, tail := range map[string][]byte{
		"zeros":               make([]byte, 8192),
		"few zeros":           make([]byte, 3),
		"garbage":             bytes.Repeat([]byte{0xa5}, 300),
		"header alone":        b(4, 0)[:batch.HeaderSize],
		"length too long":     edit(func(raw []byte) { raw[8] = 0x7f }),
		"length negative":     edit(func(raw []byte) { raw[8] = 0xff }),
		"length zero":         edit(func(raw []byte) { binary.BigEndian.PutUint32(raw[8:], 0) }),
		"length one short":    edit(func(raw []byte) { raw[11]-- }),
		"bad CRC":             edit(func(raw []byte) { raw[17]++ }),
		"bad payload":         edit(func(raw []byte) { raw[len(raw)-1]++ }),
		"magic 1":             edit(func(raw []byte) { raw[16] = 1 }),
		"offset seen before":  b(3, 0),
		"offset gap":          b(6, 0),
		"offset negative":     edit(func(raw []byte) { raw[0] = 0xff }),
		"offset out of reach": b(1<<40, 0),
		"good, then zeros":    append(b(4, 0), make([]byte, 100)...),
		"bad, then good":      append(make([]byte, 100), b(4, 0)...),
	} {
		t.Run(name, func(t *testing.T) {
			r, at := small(t, 4)
			mustWrite(t, r.file(0, logSuffix), append(mustRead(t, r.file(0, logSuffix)), tail...))
			end, cut := model.Offset(4), int64(len(tail))
			if name == "good, then zeros" {
				end, cut = 5, 100
			}
			c := r.crash(OpenFrom{RecoveryPoint: 2})
			if c.l.End() != end || c.rec.Truncated != cut || c.rec.Reason == "" {
				t.Fatalf("end %d, %+v", c.l.End(), c.rec)
			}
			if c.l.Size() < at[4] {
				t.Fatal("good batches were cut")
			}
			c.append(2, 10)
			c.verify()
			d := c.crash(OpenFrom{RecoveryPoint: 2})
			if d.l.End() != end+2 || d.rec.Truncated != 0 {
				t.Fatalf("after another start: end %d, %+v", d.l.End(), d.rec)
			}
		})
	}
}

func TestEpochMustNotFall(t *testing.T) {
	r := newRig(t, testConfig())
	r.stage(stamped(0, 5, 1, 1, 10))
	if err := r.l.Write(); err != nil {
		t.Fatal(err)
	}
	name := r.file(0, logSuffix)
	mustWrite(t, name, append(mustRead(t, name), stamped(1, 4, 1, 1, 10)...))
	c := r.crash(OpenFrom{})
	if c.l.End() != 1 || !strings.Contains(c.rec.Reason, "leader epoch 4 after 5") {
		t.Fatalf("end %d, %+v", c.l.End(), c.rec)
	}
}

// TestDamageBelowRecoveryPoint: what was durable is refused, at the start or before anybody is sent a byte of it, and nothing on disk changes.
func TestDamageBelowRecoveryPoint(t *testing.T) {
	r, at := small(t, 6)
	r.close()
	name := r.file(0, logSuffix)
	good := mustRead(t, name)
	for _, tc := range []struct {
		what    string
		change  func(raw []byte) []byte
		atStart bool
	}{
		{"payload", func(raw []byte) []byte { raw[at[3]-1]++; return raw }, false},
		{"last payload", func(raw []byte) []byte { raw[at[6]-1]++; return raw }, false},
		{"torn", func(raw []byte) []byte { return raw[:at[6]-3] }, true},
		{"zeroed", func(raw []byte) []byte { clear(raw[at[4]:]); return raw }, true},
		{"length", func(raw []byte) []byte { raw[at[2]+11]++; return raw }, true},
		{"offset", func(raw []byte) []byte { raw[at[2]+7]++; return raw }, true},
	} {
		t.Run(tc.what, func(t *testing.T) {
			bad := tc.change(bytes.Clone(good))
			mustWrite(t, name, bad)
			c := &rig{t: t, path: r.path, cfg: r.cfg, now: r.now}
			err := c.tryOpen(OpenFrom{RecoveryPoint: 6})
			var damage *Damage
			if tc.atStart != errors.As(err, &damage) || (err != nil && damage.Offset >= 6) {
				t.Fatalf("opened with %v", err)
			}
			if !tc.atStart {
				c.refusesDamage(bad)
			}
			if got := mustRead(t, name); !bytes.Equal(got, bad) {
				t.Fatal("the damaged file was changed")
			}
		})
	}
	mustWrite(t, name, good[:at[4]])
	c := rigAt(t, r.path, r.cfg, OpenFrom{RecoveryPoint: 6})
	if c.rec.Short != 2 || c.l.End() != 4 || c.l.RecoveryPoint() != 4 {
		t.Fatalf("end %d, recovery %d, %+v", c.l.End(), c.l.RecoveryPoint(), c.rec)
	}
}

// refusesDamage wants reads and appends refused that would open the segment in which damage waits, each time anew, and a close that leaves
// it as it is.
func (r *rig) refusesDamage(bad []byte) {
	r.t.Helper()
	refused := func(what string, w *Work) {
		r.t.Helper()
		var damage *Damage
		if err := r.try(w); !errors.As(err, &damage) || damage.Offset >= 6 {
			r.t.Fatalf("%s with %v", what, err)
		}
		if !errors.As(r.l.Damaged(), &damage) || r.l.Err() != nil {
			r.t.Fatalf("after %s: damaged %v, error %v", what, r.l.Damaged(), r.l.Err())
		}
	}
	for range 2 {
		if _, st := r.l.Read(5, 6, 100, true); st != ReadNeedsWork {
			r.t.Fatalf("read: %v", st)
		}
		refused("read", r.l.PrepareRead(5))
		if need := r.l.Need(100, r.now, 1); need != NeedActive {
			r.t.Fatalf("append: %v", need)
		}
		refused("append", r.l.Prepare(NeedActive))
	}
	r.close()
	if got := mustRead(r.t, r.file(0, logSuffix)); !bytes.Equal(got, bad) {
		r.t.Fatal("a close has changed the damaged file")
	}
}

// TestProof reads what was taken for sound once, when it is first used, and not again.
func TestProof(t *testing.T) {
	r, _ := small(t, 6)
	r.close()
	c := rigAt(t, r.path, r.cfg, OpenFrom{RecoveryPoint: 6})
	if c.rec.Scanned != 0 || c.l.past().unproven.to != c.l.Size() {
		t.Fatalf("scanned %d bytes, unproven to %d of %d", c.rec.Scanned, c.l.past().unproven.to, c.l.Size())
	}
	c.append(1, 20)
	if c.l.past().unproven != (unproven{}) || c.l.Damaged() != nil {
		t.Fatalf("unproven %+v, damaged %v", c.l.past().unproven, c.l.Damaged())
	}
	c.verify()
}

// TestDamageInTheMiddle: above the recovery point a bad batch ends the log, later segments go as well.
func TestDamageInTheMiddle(t *testing.T) {
	r := newRig(t, testConfig())
	for range 300 {
		r.append(1, 1000)
	}
	if r.l.Segments() < 4 {
		t.Fatal("too few segments")
	}
	second := r.l.extents[1].base
	name := r.file(second, logSuffix)
	raw := mustRead(t, name)
	raw[2000]++
	mustWrite(t, name, raw)
	c := r.crash(OpenFrom{})
	if c.l.Segments() != 2 || c.l.End() <= second || c.l.End() > second+2 || c.rec.Truncated == 0 {
		t.Fatalf("end %d, %d segments, %+v", c.l.End(), c.l.Segments(), c.rec)
	}
	left, _ := filepath.Glob(filepath.Join(c.path, "orders-0", "0*"))
	for _, name := range left {
		if base, _, _ := parseName(filepath.Base(name)); base > second {
			t.Fatalf("%s is left", name)
		}
	}
	c.append(1, 1)
	c.verify()
	if err := os.Remove(r.file(r.l.extents[2].base, logSuffix)); err != nil {
		t.Fatal(err)
	}
	raw[2000]--
	mustWrite(t, name, raw)
	d := r.crash(OpenFrom{})
	if d.l.Segments() != 2 || d.l.End() != r.l.extents[2].base {
		t.Fatalf("missing segment: end %d, %d segments, %+v", d.l.End(), d.l.Segments(), d.rec)
	}
	var damage *Damage
	if err := (&rig{t: t, path: copyTree(t, r.path), cfg: r.cfg}).tryOpen(OpenFrom{RecoveryPoint: r.l.extents[2].base + 1}); err == nil {
		t.Log("a segment missing below the recovery point is told by Short alone")
	} else if !errors.As(err, &damage) {
		t.Fatal(err)
	}
}

// TestStaleIndexes breaks index files in every way; each must be right again after Open, and nothing else change.
func TestStaleIndexes(t *testing.T) {
	breaks := map[string]func(raw []byte, size int) []byte{
		"missing":      nil,
		"empty":        func([]byte, int) []byte { return nil },
		"odd":          func(raw []byte, _ int) []byte { return append(raw, 1, 2, 3) },
		"zeros":        func(raw []byte, _ int) []byte { clear(raw); return raw },
		"preallocated": func(raw []byte, _ int) []byte { return append(raw, make([]byte, 4096*12)...) },
		"reversed":     func(raw []byte, size int) []byte { copy(raw[size:2*size], raw[:size]); return raw },
		"half":         func(raw []byte, size int) []byte { return raw[:len(raw)/size/2*size] },
		"beyond": func(raw []byte, size int) []byte {
			return append(raw, bytes.Repeat([]byte{0x70, 0, 0, 1}, size/4)...)
		},
	}
	for _, suffix := range []string{indexSuffix, timeSuffix} {
		for name, change := range breaks {
			for _, trusted := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s trusted=%v", suffix, name, trusted), func(t *testing.T) {
					testStaleIndex(t, suffix, change, trusted)
				})
			}
		}
	}
}

func testStaleIndex(t *testing.T, suffix string, change func([]byte, int) []byte, trusted bool) {
	r := newRig(t, testConfig())
	for range 200 {
		r.append(1, 1000)
	}
	end := r.l.End()
	r.close()
	want := r.all2(end)
	size := map[string]int{indexSuffix: indexEntryBytes, timeSuffix: timeEntryBytes}[suffix]
	good := map[model.Offset][]byte{}
	for _, e := range r.l.extents {
		name := r.file(e.base, suffix)
		good[e.base] = mustRead(t, name)
		if change == nil {
			_ = os.Remove(name)
		} else {
			mustWrite(t, name, change(bytes.Clone(good[e.base]), size))
		}
	}
	from := OpenFrom{VisitFrom: end}
	if trusted {
		from.RecoveryPoint = end
	}
	c := rigAt(t, r.path, r.cfg, from)
	if c.l.End() != end || c.rec.Truncated != 0 {
		t.Fatalf("end %d of %d, %+v", c.l.End(), end, c.rec)
	}
	if got := c.all(); !bytes.Equal(got, want) {
		t.Fatal("bytes differ")
	}
	c.close()
	c.verify()
	half := change != nil && len(change(bytes.Clone(good[0]), size))*2 <= len(good[0])+size && !bytes.Equal(change(bytes.Clone(good[0]), size), nil)
	for base, b := range good {
		// Half an index of a trusted segment looks like a whole one with a larger interval: searches walk further, no more.
		if got := readOr(c.file(base, suffix)); !bytes.Equal(got, b) && !(trusted && half) {
			t.Fatalf("segment %d: %d bytes, want %d", base, len(got), len(b))
		}
	}
}

// all2 is the bytes of all segments, from the files.
func (r *rig) all2(end model.Offset) []byte {
	c := rigAt(r.t, copyTree(r.t, r.path), r.cfg, OpenFrom{RecoveryPoint: end})
	return c.all()
}

func TestInventory(t *testing.T) {
	r, _ := small(t, 3)
	r.run(r.l.SyncWork())
	folder := filepath.Join(r.path, "orders-0")
	for _, name := range []string{
		"00000000000000000099.index", "00000000000000000099.timeindex", "00000000000000000000.log.kept",
		"00000000000000000007.log.deleted", "leader-epoch-checkpoint.tmp",
	} {
		mustWrite(t, filepath.Join(folder, name), []byte("left over"))
	}
	mustWrite(t, filepath.Join(folder, "notes.txt"), []byte("not ours"))
	c := r.crash(OpenFrom{})
	var names []string
	entries, _ := os.ReadDir(filepath.Join(c.path, "orders-0"))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	want := "00000000000000000000.index 00000000000000000000.log 00000000000000000000.timeindex leader-epoch-checkpoint notes.txt partition.metadata"
	if got := strings.Join(names, " "); got != want || c.l.End() != 3 {
		t.Fatalf("end %d, files %s", c.l.End(), got)
	}

	mustWrite(t, filepath.Join(folder, "00000000000000000000.log.swap"), nil)
	if err := (&rig{t: t, path: r.path, cfg: r.cfg}).tryOpen(OpenFrom{}); err == nil || !strings.Contains(err.Error(), "compaction") {
		t.Fatalf("swap file: %v", err)
	}
	if err := os.Remove(filepath.Join(folder, "00000000000000000000.log.swap")); err != nil {
		t.Fatal(err)
	}
	_, _, err := Open(r.dir, "orders-0", model.TopicID{9}, r.cfg, OpenFrom{}, nil)
	if !errors.Is(err, ErrWrongTopic) {
		t.Fatalf("another topic id: %v", err)
	}
	for _, text := range []string{"", "\x00\x00\x00", "\n"} {
		mustWrite(t, filepath.Join(folder, metadataFile), []byte(text))
		r.open(OpenFrom{RecoveryPoint: 3})
		if r.l.hasMetadata {
			t.Fatalf("%q counts as metadata", text)
		}
		if err := r.tryOpen(OpenFrom{}); !errors.Is(err, ErrNobodys) {
			t.Fatalf("%q, and no record was durable: %v", text, err)
		}
	}
	mustWrite(t, filepath.Join(folder, metadataFile), []byte("version: 1\n"))
	if err := r.tryOpen(OpenFrom{}); err == nil {
		t.Fatal("metadata of version 1 passes")
	}
}

// TestWhoseRecords: a log whose partition.metadata a power cut took is opened where something in it was durable, and then says whose it is before
// it gets more; where nothing was, it is nobody's, and stays as it is.
func TestWhoseRecords(t *testing.T) {
	r, _ := small(t, 3)
	whole := mustRead(t, filepath.Join(r.path, "orders-0", metadataFile))
	before := mustRead(t, r.file(0, logSuffix))
	for cut := range len(whole) {
		for _, torn := range [][]byte{whole[:cut], append(bytes.Clone(whole[:cut]), make([]byte, len(whole)-cut)...)} {
			c := &rig{t: t, path: copyTree(t, r.path), cfg: r.cfg, now: r.now}
			mustWrite(t, filepath.Join(c.path, "orders-0", metadataFile), torn)
			if err := c.tryOpen(OpenFrom{}); !errors.Is(err, ErrNobodys) {
				t.Fatalf("%q: %v", torn, err)
			}
			if got := mustRead(t, c.file(0, logSuffix)); !bytes.Equal(got, before) {
				t.Fatalf("%q: the records have changed", torn)
			}
			if id, err := Whose(c.dir, "orders-0"); !id.IsZero() || err != nil {
				t.Fatalf("%q: said to be of topic %s, %v", torn, id, err)
			}
			c.open(OpenFrom{RecoveryPoint: 3})
			c.append(1, 20)
			if got := mustRead(t, filepath.Join(c.path, "orders-0", metadataFile)); !bytes.Equal(got, whole) {
				t.Fatalf("%q becomes %q", torn, got)
			}
		}
	}
}

// TestSetAsideEnds: a folder finds a name of its own, and a disk that fails ends the search for one.
func TestSetAsideEnds(t *testing.T) {
	d := faulty.New(1)
	for _, want := range []string{"orders-0-stray", "orders-0.1-stray", "orders-0.2-stray"} {
		if err := d.Mkdir("orders-0"); err != nil {
			t.Fatal(err)
		}
		if got, err := SetAside(d, "orders-0"); err != nil || got != want {
			t.Fatalf("set aside as %q: %v", got, err)
		}
	}
	d.Fail(func(faulty.Op, string) error { return faulty.EIO })
	if _, err := SetAside(d, "orders-0"); !errors.Is(err, faulty.EIO) {
		t.Fatal(err)
	}
}

// TestEpochsSurvive: the history is right after every kind of start, also without its file.
func TestEpochsSurvive(t *testing.T) {
	r := newRig(t, testConfig())
	for i := range 200 {
		r.stage(stamped(r.l.End(), model.Epoch(i/20), 1, 1, 1000))
		if err := r.l.Write(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(t *testing.T, r *rig) {
		t.Helper()
		for epoch := range model.Epoch(10) {
			got, end := r.l.EpochEnd(epoch)
			if want := model.Offset(epoch+1) * 20; got != epoch || end != want {
				t.Fatalf("epoch %d ends at %d as %d, want %d", epoch, end, got, want)
			}
		}
		if e := r.l.EpochAt(45); e != 2 || r.l.LatestEpoch() != 9 {
			t.Fatalf("epoch at 45 is %d, latest %d", e, r.l.LatestEpoch())
		}
	}
	check(t, r)
	check(t, r.crash(OpenFrom{}))
	r.run(r.l.SyncWork())
	t.Run("ahead of the log", func(t *testing.T) {
		c := &rig{t: t, path: copyTree(t, r.path), cfg: r.cfg}
		file := filepath.Join(c.path, "orders-0", epochFile)
		mustWrite(t, file, append(bytes.Replace(mustRead(t, file), []byte("\n10\n"), []byte("\n12\n"), 1), "10 200\n11 230\n"...))
		c.open(OpenFrom{})
		check(t, c)
	})
	for name, text := range map[string]string{"whole": "", "missing": "-", "garbage": "0\n2\n1 1\n0 0\n", "zeros": "\x00\x00"} {
		t.Run(name, func(t *testing.T) {
			c := &rig{t: t, path: copyTree(t, r.path), cfg: r.cfg}
			file := filepath.Join(c.path, "orders-0", epochFile)
			switch text {
			case "":
			case "-":
				_ = os.Remove(file)
			default:
				mustWrite(t, file, []byte(text))
			}
			c.open(OpenFrom{RecoveryPoint: 200, VisitFrom: 200})
			check(t, c)
			c.close()
			c.open(OpenFrom{RecoveryPoint: 200, VisitFrom: 200})
			check(t, c)
		})
	}
}

// A start that reads some segments and trusts others in between, because of an index that is missing or a visit that begins late, has seen
// the history with a hole: the checkpoint stays.
func TestTrustedSegmentsKeepTheirEpochs(t *testing.T) {
	r := newRig(t, testConfig())
	for i := range 200 {
		r.stage(stamped(r.l.End(), model.Epoch(i/20), 1, 1, 1000))
		if err := r.l.Write(); err != nil {
			t.Fatal(err)
		}
	}
	r.run(r.l.SyncWork())
	if r.l.Segments() < 4 {
		t.Fatalf("%d segments", r.l.Segments())
	}
	want := string(r.l.epochs.appendFile(nil))
	for i := range r.l.extents {
		for _, from := range []OpenFrom{{RecoveryPoint: 200, VisitFrom: 200}, {RecoveryPoint: 190, VisitFrom: 195}, {RecoveryPoint: 190, VisitFrom: 130}} {
			c := &rig{t: t, path: copyTree(t, r.path), cfg: r.cfg}
			if err := os.Remove(c.file(r.l.extents[i].base, indexSuffix)); err != nil {
				t.Fatal(err)
			}
			c.open(from)
			if got := string(c.l.epochs.appendFile(nil)); got != want {
				t.Errorf("without the index of segment %d, %+v: epochs are %q, they were %q", i, from, got, want)
			}
		}
	}
}

func TestCompactedLogsHaveGaps(t *testing.T) {
	cfg := testConfig()
	cfg.Compact = true
	r := newRig(t, cfg)
	for _, base := range []model.Offset{3, 10, 11, 500, 2_000_000_000, 4_000_000_000} {
		r.stage(stamped(base, 1, 1, 1, 10))
		if err := r.l.Write(); err != nil {
			t.Fatal(err)
		}
	}
	if r.l.Segments() < 3 {
		t.Fatalf("%d segments for offsets 4 billion apart", r.l.Segments())
	}
	for name, c := range map[string]*rig{"live": r, "crashed": r.crash(OpenFrom{})} {
		for from, want := range map[model.Offset]model.Offset{0: 3, 4: 10, 10: 10, 12: 500, 501: 2_000_000_000, 2_000_000_001: 4_000_000_000} {
			s, state := c.read(from, c.l.End(), 1, true)
			if state != ReadOK || s.Offset != want {
				t.Fatalf("%s: read at %d: state %d, offset %d, want %d", name, from, state, s.Offset, want)
			}
			c.l.Release(s)
		}
		if s, state := c.read(12, 400, 100, true); state != ReadEmpty {
			t.Fatalf("%s: read below a limit in a gap: %d %d", name, state, s.Offset)
		}
	}
	r.cfg.Compact = false
	if c := r.crash(OpenFrom{}); c.l.End() == r.l.End() {
		t.Fatal("gaps pass in a log that is not compacted")
	}
}

// nearlyFull is a log on a disk that can fail, which the next batch of some size has roll.
func nearlyFull(t *testing.T) (*rig, *faulty.Dir) {
	d := faulty.New(1)
	r := &rig{t: t, disk: d, cfg: testConfig(), now: clock.Now{Mono: 1, Wall: 1000}}
	r.cfg.SegmentBytes = 4000
	r.open(OpenFrom{})
	for r.l.Size() < 3000 {
		r.append(1, 100)
	}
	return r, d
}

// TestRefusedRoll: the segment that a full disk did not let begin is nowhere when the log goes on in the one before.
func TestRefusedRoll(t *testing.T) {
	r, d := nearlyFull(t)
	refused := r.l.End()
	d.Limit(d.Used())
	if need := r.l.Need(2000, r.now, int64(r.now.Wall)); need != NeedRoll {
		t.Fatalf("need %d", need)
	}
	if err := r.try(r.l.Prepare(NeedRoll)); !errors.Is(err, device.ErrNoSpace) {
		t.Fatal(err)
	}
	d.Limit(0)
	r.append(3, 10)
	if r.l.Segments() != 1 {
		t.Fatal("the log did not go on in its segment")
	}
	for r.l.Segments() < 2 {
		r.append(1, 100)
	}
	r.run(r.l.SyncWork())
	for _, made := range []bool{false, true} { // by a broker that left it behind
		for _, point := range []model.Offset{0, r.l.RecoveryPoint()} {
			left := d.Killed(1)
			if made {
				mustPut(t, left, fileName("orders-0", refused, logSuffix), nil)
			}
			in, err := Inspect(left, "orders-0", false, OpenFrom{RecoveryPoint: point}, nil)
			if err != nil || slices.ContainsFunc(in.Findings, func(f Finding) bool { return f.Damage() }) {
				t.Errorf("left behind %v, recovery point %d: inspection: %v, %+v", made, point, err, in.Findings)
			}
			l, rec, err := Open(left, "orders-0", testID, r.cfg, OpenFrom{RecoveryPoint: point}, nil)
			if err != nil || l.End() != r.l.End() || l.Segments() != 2 {
				t.Fatalf("left behind %v, recovery point %d: %v, %+v", made, point, err, rec)
			}
		}
	}
	if err := d.Discard(); err != nil {
		t.Fatal(err)
	}
}

// TestLostBeginning: a log whose first segment lost its bytes does not begin with its second.
func TestLostBeginning(t *testing.T) {
	d := faulty.New(1)
	mustPut(t, d, fileName("orders-0", 0, logSuffix), nil)
	mustPut(t, d, fileName("orders-0", 5, logSuffix), stamped(5, 0, 1, 5, 30))
	r := &rig{t: t, disk: d, cfg: testConfig()}
	mustPut(t, d, "orders-0/"+metadataFile, []byte("version: 0\ntopic_id: "+testID.String()+"\n"))
	r.open(OpenFrom{})
	if r.l.Start() != 0 || r.l.End() != 0 {
		t.Fatalf("[%d, %d), %+v", r.l.Start(), r.l.End(), r.rec)
	}
}

// In a compacted log offsets may be missing; the end that a power cut took from a segment is no such gap. Only of a log without a word about
// compaction, as a Kafka broker leaves it, nobody can tell, unless the journal can.
func TestALostEndIsNoGap(t *testing.T) {
	d := faulty.New(1)
	r := &rig{t: t, disk: d, cfg: compactConfig()}
	r.open(OpenFrom{})
	var tail []TailBatch
	for r.l.Segments() < 3 {
		b := r.append(1, 100)
		h, _ := batch.ReadHeader(b)
		segment, pos := r.l.Place()
		tail = append(tail, TailBatch{Base: h.BaseOffset, End: h.LastOffset() + 1, Segment: segment, Pos: pos, Bytes: b})
	}
	second, end := r.l.extents[1].base, r.l.End()
	for _, c := range []struct {
		pointed bool
		tail    []TailBatch
		want    model.Offset
	}{{true, nil, second - 2}, {true, tail, end}, {false, tail, end}, {false, nil, end}} {
		left := d.Killed(1)
		left.Damage(fileName("orders-0", 0, logSuffix), func(b []byte) []byte {
			size := int(tail[0].Pos) + len(tail[0].Bytes)
			return b[:len(b)-2*size]
		})
		if !c.pointed {
			if err := left.Remove("orders-0/" + pointFile); err != nil {
				t.Fatal(err)
			}
		}
		l, rec, err := Open(left, "orders-0", testID, r.cfg, OpenFrom{Tail: c.tail}, nil)
		if err != nil || l.End() != c.want || c.tail != nil && rec.Refilled == 0 {
			t.Errorf("pointed %v, journal of %d: %v, ends at %d, want %d; %+v", c.pointed, len(c.tail), err, l.End(), c.want, rec)
		}
	}
	if err := d.Discard(); err != nil {
		t.Fatal(err)
	}
}

// A checkpoint that was stored before a truncation tells of an epoch that has begun earlier since.
func TestTheBatchesOverruleTheEpochFile(t *testing.T) {
	for text, want := range map[string]string{
		"0\n1\n1 4\n":           "0\n2\n0 0\n1 2\n", // 1 began at 2
		"0\n2\n0 0\n1 2\n":      "0\n2\n0 0\n1 2\n",
		"0\n3\n0 0\n1 2\n7 3\n": "0\n2\n0 0\n1 2\n", // 7 wrote nothing
		"0\n2\n5 0\n6 1\n":      "0\n2\n0 0\n1 2\n",
		"0\n0\n":                "0\n2\n0 0\n1 2\n",
	} {
		d := faulty.New(1)
		r := &rig{t: t, disk: d, cfg: testConfig()}
		mustPut(t, d, fileName("orders-0", 0, logSuffix), append(stamped(0, 0, 1, 2, 30), stamped(2, 1, 2, 1, 5)...))
		mustPut(t, d, "orders-0/"+epochFile, []byte(text))
		mustPut(t, d, "orders-0/"+metadataFile, appendMetadata(nil, testID))
		r.open(OpenFrom{})
		if got := string(r.l.epochs.appendFile(nil)); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
		if err := d.Discard(); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzEpochFile(f *testing.F) {
	f.Add([]byte("0\n2\n0 0\n3 17\n"))
	f.Add([]byte("0\n0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := parseEpochs(text)
		if err != nil {
			return
		}
		again, err := parseEpochs((&epochs{entries: entries}).appendFile(nil))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add(appendMetadata(nil, testID))
	f.Fuzz(func(t *testing.T, text []byte) {
		id, ok, err := parseMetadata(text)
		if err != nil || !ok {
			return
		}
		if again, ok, err := parseMetadata(appendMetadata(nil, id)); err != nil || !ok || again != id {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

// mustPut makes a file of a directory in memory, where a sync costs nothing.
func mustPut(t testing.TB, d device.Dir, name string, b []byte) {
	t.Helper()
	if err := d.Mkdir(path.Dir(name)); err != nil {
		t.Fatal(err)
	}
	f, err := d.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Pwritev([][]byte{b}, 0); err != nil {
		t.Fatal(err)
	}
}

// FuzzOpen opens whatever bytes as segment and indexes: it may refuse or cut, and what it accepts must read back whole.
func FuzzOpen(f *testing.F) {
	good := append(stamped(0, 0, 1, 2, 30), stamped(2, 1, 2, 1, 5)...)
	f.Add(good, []byte{0, 0, 0, 2, 0, 0, 0, 132}, make([]byte, 24), "0\n1\n0 0\n", int64(0))
	f.Add(good, []byte{}, []byte{}, "", int64(3))
	f.Add(append(good, make([]byte, 50)...), []byte{1}, []byte{1}, "x", int64(2))
	f.Fuzz(func(t *testing.T, data, index, times []byte, epochs string, recovery int64) {
		d := faulty.New(1)
		defer func() {
			if err := d.Discard(); err != nil {
				t.Error(err)
			}
		}()
		r := &rig{t: t, disk: d, cfg: testConfig()}
		for suffix, b := range map[string][]byte{logSuffix: data, indexSuffix: index, timeSuffix: times} {
			mustPut(t, d, fileName("orders-0", 0, suffix), b)
		}
		mustPut(t, d, "orders-0/"+epochFile, []byte(epochs))
		if r.tryOpen(OpenFrom{RecoveryPoint: model.Offset(recovery)}) != nil {
			return
		}
		r.all()
		r.append(1, 5)
		r.close()
		end := r.l.End()
		r.open(OpenFrom{RecoveryPoint: end})
		if r.l.End() != end || r.rec.Truncated != 0 {
			t.Fatalf("end %d of %d after reopening", r.l.End(), end)
		}
	})
}

// TestUnreadableIsDamage: a disk that does not give back what a start has to read is damage with its place, above the recovery point too:
// nothing is cut off for it.
func TestUnreadableIsDamage(t *testing.T) {
	dir := faulty.New(1)
	r := &rig{t: t, disk: dir, cfg: testConfig(), now: clock.Now{Mono: 1, Wall: 1_700_000_000_000}}
	r.open(OpenFrom{})
	for range 5 {
		r.append(1, 300)
	}
	r.close()
	name := fileName("orders-0", 0, logSuffix)
	dir.Fail(func(op faulty.Op, path string) error {
		if op == faulty.Read && path == name {
			return faulty.EIO
		}
		return nil
	})
	err := r.tryOpen(OpenFrom{})
	var damage *Damage
	if !errors.As(err, &damage) || damage.Segment != name || damage.Offset != 0 || !errors.Is(err, faulty.EIO) {
		t.Fatalf("opened with %v", err)
	}
	dir.Fail(nil)
	if r.open(OpenFrom{}); r.l.End() != 5 || r.rec.Truncated != 0 {
		t.Fatalf("the log ends at %d, %+v", r.l.End(), r.rec)
	}
}

// TestWhatAFailedSyncLeft: pages of which a sync has failed look whole to the next process, and are stored by no sync but after they are written again;
// also where a segment was begun behind them that got no record.
func TestWhatAFailedSyncLeft(t *testing.T) {
	for _, begun := range []bool{false, true} {
		d := faulty.New(1)
		r := &rig{t: t, disk: d, cfg: testConfig(), now: clock.Now{Mono: 1, Wall: 1000}}
		r.open(OpenFrom{})
		r.append(5, 100)
		end := r.l.End()
		d.Fail(func(op faulty.Op, _ string) error {
			if op == "sync" {
				return errors.New("input/output error")
			}
			return nil
		})
		if r.try(r.l.SyncWork()) == nil {
			t.Fatal("the sync did not fail")
		}
		d = d.Killed(1)
		if begun {
			mustPut(t, d, fileName("orders-0", end, logSuffix), nil)
		}
		l, rec, err := Open(d, "orders-0", testID, r.cfg, OpenFrom{}, nil)
		if err != nil || l.End() != end {
			t.Fatalf("begun %v: %v, ends at %d; %+v", begun, err, l.End(), rec)
		}
		next := &rig{t: t, disk: d, cfg: r.cfg, l: l, files: NewFiles(8)}
		l.Attach(next.files)
		next.run(l.SyncWork())
		if l.RecoveryPoint() != end {
			t.Fatalf("begun %v: recovery point %d", begun, l.RecoveryPoint())
		}
		for seed := range uint64(5) {
			l, rec, err := Open(d.AfterCut(seed), "orders-0", testID, r.cfg, OpenFrom{RecoveryPoint: end}, nil)
			if err != nil {
				t.Fatalf("begun %v, cut %d: %v", begun, seed, err)
			}
			if l.End() != end {
				t.Errorf("begun %v, cut %d: ends at %d, and %d was synced; %+v", begun, seed, l.End(), end, rec)
			}
		}
	}
}
