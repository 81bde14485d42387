package log

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/must"
)

// faultDir is a device whose operations that change something fail from the nth on, as if the process had died there: what
// happened before stays.
type faultDir struct {
	device.Dir
	left *atomic.Int64 // operations that still work
	err  error
	// synced is what a power cut would leave of each segment, in bytes; nil where nobody asks.
	synced map[string]int64
}

var errCut = errors.New("cut here")

func (d *faultDir) spend() error {
	if d.left.Add(-1) < 0 {
		return d.err
	}
	return nil
}

func (d *faultDir) wrap(p string, f device.File, err error) (device.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultFile{File: f, d: d, name: p}, nil
}

// cutPower takes off every segment what was never synced. Names survive: the harder case, lost names, is a log that ends earlier.
func (d *faultDir) cutPower() error {
	names, err := filepath.Glob(filepath.Join(d.Path(), "orders-0", "*"+logSuffix))
	for _, name := range names {
		info, statErr := os.Stat(name)
		if statErr != nil {
			return statErr
		}
		left := min(info.Size(), d.synced["orders-0/"+filepath.Base(name)])
		err = errors.Join(err, os.Truncate(name, left))
	}
	return err
}

func (d *faultDir) Create(p string) (device.File, error) {
	if err := d.spend(); err != nil {
		return nil, err
	}
	delete(d.synced, p)
	f, err := d.Dir.Create(p)
	return d.wrap(p, f, err)
}

func (d *faultDir) Open(p string) (device.File, error) {
	f, err := d.Dir.Open(p)
	return d.wrap(p, f, err)
}

func (d *faultDir) change(op func() error) error {
	if err := d.spend(); err != nil {
		return err
	}
	return op()
}

func (d *faultDir) Mkdir(p string) error { return d.change(func() error { return d.Dir.Mkdir(p) }) }
func (d *faultDir) Rename(a, b string) error {
	return d.change(func() error {
		if d.synced != nil {
			d.synced[b] = d.synced[a]
		}
		return d.Dir.Rename(a, b)
	})
}

func (d *faultDir) Remove(p string) error { return d.change(func() error { return d.Dir.Remove(p) }) }
func (d *faultDir) RemoveAll(p string) error {
	return d.change(func() error { return d.Dir.RemoveAll(p) })
}
func (d *faultDir) SyncDir(p string) error { return d.change(func() error { return nil }) }

// Replace happens in steps, each of which can be the last.
func (d *faultDir) Replace(p string, data []byte) error {
	for _, part := range [][]byte{nil, data[:len(data)/2], data} {
		if err := d.spend(); err != nil {
			return err
		}
		if err := os.WriteFile(d.Path()+"/"+p+".tmp", part, 0o600); err != nil {
			return err
		}
	}
	return d.change(func() error { return d.Dir.Rename(p+".tmp", p) })
}

type faultFile struct {
	device.File
	d    *faultDir
	name string
}

// Pwritev may die in the middle.
func (f *faultFile) Pwritev(bufs [][]byte, pos int64) (int, error) {
	if err := f.d.spend(); err != nil {
		_, _ = f.File.Pwritev([][]byte{bufs[0][:len(bufs[0])/2]}, pos)
		return 0, err
	}
	return f.File.Pwritev(bufs, pos)
}

func (f *faultFile) Reserve(from, length int64) error {
	return f.d.change(func() error { return f.File.Reserve(from, length) })
}
func (f *faultFile) Trim(size int64) error {
	return f.d.change(func() error { return f.File.Trim(size) })
}
func (f *faultFile) Cut(size int64) error {
	return f.d.change(func() error { return f.File.Cut(size) })
}

func (f *faultFile) Sync() error {
	return f.d.change(func() error {
		size, err := f.File.Size()
		if f.d.synced != nil {
			f.d.synced[f.name] = size
		}
		return err
	})
}

// life is a scripted life of a log; it stops at the first error. low is what must survive, high what may.
type life struct {
	l         *Log
	files     *Files
	cfg       Config
	now       clock.Now
	err       error
	content   [][]byte // batches by offset, one record each
	low, high model.Offset
	minStart  model.Offset
}

func (s *life) work(w *Work) {
	if s.err != nil || w == nil {
		return
	}
	w.Do()
	s.err = s.l.Finish(w)
}

func (s *life) sweep() {
	if w := s.files.Sweep(); w != nil && s.err == nil {
		w.Do()
		s.err = s.files.Finish(w)
	}
}

func (s *life) append(n, size int, epoch model.Epoch) {
	for range n {
		b := stamped(s.l.End(), epoch, int64(s.now.Wall), 1, size)
		h, _ := batch.ReadHeader(b)
		for s.err == nil {
			need := s.l.NeedFor(h, s.now)
			if need == NeedNone {
				break
			}
			s.work(s.l.Prepare(need))
		}
		if s.err != nil {
			return
		}
		s.content = append(s.content[:s.l.End()], b)
		s.l.Stage(b, h, s.now)
		s.high = s.l.End()
		if s.err = s.l.Write(); s.err == nil {
			s.low = s.l.Written()
		}
		s.now.Wall++
	}
}

func (s *life) truncate(to model.Offset) {
	if s.err != nil {
		return
	}
	s.low = min(s.low, to) // from here on either end is right
	s.work(s.l.Truncate(to))
	if s.err == nil {
		s.high = to
	}
}

func (s *life) expire() {
	if s.err != nil {
		return
	}
	s.work(s.l.Expire(s.now, s.l.Written()))
	s.minStart = max(s.minStart, s.l.Start())
}

func (s *life) script() {
	s.append(12, 1500, 0)
	s.work(s.l.SyncWork())
	s.append(10, 1500, 1)
	s.work(s.l.SyncSealed())
	s.truncate(17)
	s.append(6, 1500, 2)
	s.sweep()
	s.work(s.l.Prepare(NeedIndex))
	s.truncate(8)
	s.append(14, 1500, 3)
	s.cfg.RetentionBytes = 14_000
	s.l.SetConfig(s.cfg)
	s.expire()
	s.append(5, 1500, 3)
	s.files.max = 0
	s.sweep()
	s.append(2, 1500, 4)
	s.work(s.l.SyncWork())
	s.expire()
	s.work(s.l.Close())
	s.sweep()
}

// TestDeathAtEveryOperation ends a log's life at each operation that changes the disk, and opens what is there; then what a power cut
// would have left. Outside the checks build it takes every fourth operation, from a random one on.
func TestDeathAtEveryOperation(t *testing.T) {
	cfg := testConfig()
	cfg.SegmentBytes = 9 << 10
	cfg.IndexIntervalBytes = 1000
	n, step := int64(0), int64(1)
	if !must.Deep {
		n, step = rand.Int64N(4), 4
	}
	for ; ; n += step {
		path := t.TempDir()
		s, dir := live(t, path, cfg, n, errCut)
		if s.err != nil && !errors.Is(s.err, errCut) {
			t.Fatalf("operation %d: %v", n, s.err)
		}
		recovery := min(s.l.RecoveryPoint(), s.low)
		cut := copyTree(t, path)
		s.checkOpen(t, n, rigAt(t, path, cfg, OpenFrom{RecoveryPoint: recovery}), s.low)
		dir.Dir, _ = device.OpenDir(cut)
		if err := dir.cutPower(); err != nil {
			t.Fatal(err)
		}
		s.checkOpen(t, n, rigAt(t, cut, cfg, OpenFrom{RecoveryPoint: recovery}), recovery)
		if s.err == nil {
			break
		}
	}
	if n < 100 {
		t.Fatalf("the script has only %d operations", n)
	}
}

// checkOpen wants a log with everything up to low, nothing invented, and fit to go on.
func (s *life) checkOpen(t *testing.T, n int64, r *rig, low model.Offset) {
	t.Helper()
	if r.l.End() < low || r.l.End() > s.high || r.rec.Short != 0 {
		t.Fatalf("operation %d: end %d, want [%d, %d]; %+v", n, r.l.End(), low, s.high, r.rec)
	}
	if r.l.Start() > s.minStart {
		t.Fatalf("operation %d: start %d above %d", n, r.l.Start(), s.minStart)
	}
	var want []byte
	for o := r.l.Start(); o < r.l.End(); o++ {
		want = append(want, s.content[o]...)
		h, _ := batch.ReadHeader(s.content[o])
		if e := r.l.EpochAt(o); e != h.Epoch {
			t.Fatalf("operation %d: epoch %d at %d, want %d", n, e, o, h.Epoch)
		}
	}
	if got := r.all(); !bytes.Equal(got, want) {
		t.Fatalf("operation %d: offsets [%d, %d) read as %d bytes, want %d", n, r.l.Start(), r.l.End(), len(got), len(want))
	}
	if r.l.LatestEpoch() > r.l.EpochAt(r.l.End()-1) && r.l.End() > r.l.Start() {
		t.Fatalf("operation %d: epoch %d has written nothing", n, r.l.LatestEpoch())
	}
	r.append(1, 10)
	r.verify()
}

func live(t *testing.T, path string, cfg Config, operations int64, fault error) (*life, *faultDir) {
	t.Helper()
	real, err := device.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	left := &atomic.Int64{}
	left.Store(operations)
	dir := &faultDir{Dir: real, left: left, err: fault, synced: map[string]int64{}}
	l, _, err := Open(dir, "orders-0", testID, cfg, OpenFrom{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &life{l: l, files: NewFiles(8), cfg: cfg, now: clock.Now{Wall: 1_000_000}}
	l.Attach(s.files)
	s.script()
	return s, dir
}

// TestFailureIsFinal: after a failed write or sync nothing is accepted, and reads go on. A refused reservation is not a failure.
func TestFailureIsFinal(t *testing.T) {
	broken := errors.New("bad sector")
	setup := func(t *testing.T) (*rig, *faultDir) {
		r := newRig(t, testConfig())
		d := &faultDir{Dir: r.dir, left: &atomic.Int64{}, err: broken}
		d.left.Store(1 << 40)
		l, _, err := Open(d, "orders-0", testID, r.cfg, OpenFrom{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.l = l
		l.Attach(r.files)
		r.append(3, 1000)
		return r, d
	}
	checkFenced := func(t *testing.T, r *rig, err error) {
		t.Helper()
		if !errors.Is(err, broken) || !errors.Is(r.l.Err(), broken) {
			t.Fatalf("error %v, final %v", err, r.l.Err())
		}
		if need := r.l.Need(10, r.now, 1); need != NeedFailed {
			t.Fatalf("need %v", need)
		}
		if r.l.SyncWork() != nil || r.l.Truncate(1) != nil {
			t.Fatal("work on a failed log")
		}
		if s, state := r.read(1, 3, 10, true); state != ReadOK || s.Offset != 0 {
			t.Fatalf("read: state %d", state)
		}
	}
	t.Run("write", func(t *testing.T) {
		r, d := setup(t)
		r.stage(stamped(3, 0, 1, 1, 10))
		d.left.Store(0)
		err := r.l.Write()
		checkFenced(t, r, err)
		if r.l.Written() != 3 {
			t.Fatalf("written %d", r.l.Written())
		}
	})
	t.Run("sync", func(t *testing.T) {
		r, d := setup(t)
		w := r.l.SyncWork()
		d.left.Store(0)
		checkFenced(t, r, r.try(w))
		if r.l.RecoveryPoint() != 0 {
			t.Fatalf("recovery point %d", r.l.RecoveryPoint())
		}
	})
	t.Run("reserve", func(t *testing.T) {
		r, d := setup(t)
		if need := r.l.Need(40_000, r.now, 1); need != NeedSpace {
			t.Fatalf("need %v", need)
		}
		d.err = fmt.Errorf("%w: disk full", device.ErrNoSpace)
		d.left.Store(0)
		if err := r.try(r.l.Prepare(NeedSpace)); !errors.Is(err, device.ErrNoSpace) || r.l.Err() != nil {
			t.Fatalf("error %v, final %v", err, r.l.Err())
		}
		d.left.Store(1 << 40)
		r.append(1, 40_000)
	})
	t.Run("make and roll", func(t *testing.T) {
		r, d := setup(t)
		d.err = fmt.Errorf("%w: disk full", device.ErrNoSpace)
		d.left.Store(0)
		if need := r.l.Need(int(r.cfg.SegmentBytes), r.now, 1); need != NeedRoll {
			t.Fatalf("need %v", need)
		}
		for ops := range int64(2) {
			d.left.Store(ops)
			if err := r.try(r.l.Prepare(NeedRoll)); !errors.Is(err, device.ErrNoSpace) || r.l.Err() != nil {
				t.Fatalf("error %v, final %v", err, r.l.Err())
			}
		}
		d.left.Store(1 << 40)
		r.stage(stamped(3, 0, int64(r.now.Wall), 1, 64_000))
		r.append(3, 10)
		if r.l.Segments() != 2 {
			t.Fatalf("%d segments", r.l.Segments())
		}
		checkReads(t, r)
	})
}

// TestRecoveryPoint: it moves to what was written when the Work was prepared, never further.
func TestRecoveryPoint(t *testing.T) {
	r := newRig(t, testConfig())
	r.append(5, 100)
	w := r.l.SyncWork()
	r.append(5, 100)
	r.run(w)
	if r.l.RecoveryPoint() != 5 || !r.l.Dirty() {
		t.Fatalf("recovery point %d, dirty %v", r.l.RecoveryPoint(), r.l.Dirty())
	}
	for r.l.Segments() < 3 {
		r.append(1, 9000)
	}
	r.append(1, 9000)
	if !r.l.SealedDirty() {
		t.Fatal("rolled segments need no sync")
	}
	r.run(r.l.SyncSealed())
	if r.l.RecoveryPoint() != r.l.last().base || r.l.SealedDirty() || r.l.SyncSealed() != nil {
		t.Fatalf("recovery point %d, active segment from %d", r.l.RecoveryPoint(), r.l.last().base)
	}
	r.run(r.l.SyncWork())
	if r.l.RecoveryPoint() != r.l.End() || r.l.Dirty() || r.l.SyncWork() != nil {
		t.Fatalf("recovery point %d of %d", r.l.RecoveryPoint(), r.l.End())
	}
}

// TestAFailedSyncIsNotInherited: after a failed sync the kernel calls pages clean that no disk has. The next process sees them, and what it
// says is durable survives a power cut all the same.
func TestAFailedSyncIsNotInherited(t *testing.T) {
	syncs := map[string]func(*Log) *Work{"all": (*Log).SyncWork, "data": (*Log).SyncData, "sealed": (*Log).SyncSealed}
	for name, sync := range syncs {
		t.Run(name, func(t *testing.T) {
			r := &rig{t: t, disk: faulty.New(1), cfg: testConfig(), now: clock.Now{Mono: 1, Wall: 1_700_000_000_000}}
			r.open(OpenFrom{})
			r.append(5, 1000)
			r.run(r.l.SyncWork())
			point := r.l.RecoveryPoint()
			for r.l.Segments() < 3 {
				r.append(1, 9000)
			}
			disk := r.disk.(*faulty.Dir)
			disk.Fail(func(op faulty.Op, _ string) error {
				if op == faulty.Sync {
					return syscall.EIO
				}
				return nil
			})
			if w := r.l.SyncWork(); r.try(w) == nil || r.l.RecoveryPoint() != point {
				t.Fatalf("the sync did not fail, recovery point %d", r.l.RecoveryPoint())
			}
			for _, e := range r.l.extents { // each was tried: the pages of all are lost
				f, err := disk.Open(fileName("orders-0", e.base, logSuffix))
				if err != nil || f.Sync() == nil {
					t.Fatal("a sync that should fail did not", err)
				}
			}

			disk = disk.Killed(2)
			r.disk = disk
			r.open(OpenFrom{RecoveryPoint: point})
			inherited := r.l.End()
			r.append(1, 9000) // and the first sync must not write again what it knows to be its own
			r.run(sync(r.l))
			durable := r.l.Durable()
			if durable < r.l.last().base || (name != "sealed" && durable <= inherited) {
				t.Fatalf("durable to %d of %d", durable, r.l.End())
			}

			r.disk = disk.AfterCut(3)
			r.open(OpenFrom{RecoveryPoint: point, Durable: durable})
			if r.l.End() < durable {
				t.Fatalf("the log ends at %d, %d was durable", r.l.End(), durable)
			}
			checkReads(t, r)
		})
	}
}

const killEnv = "PINION_TEST_KILLED_LOG"

// TestKilledWriter is the child of TestKill: it appends for ever, says what Write has returned for, and is killed.
func TestKilledWriter(t *testing.T) {
	path := os.Getenv(killEnv)
	if path == "" {
		t.Skip("runs as the child of TestKill")
	}
	cfg := testConfig()
	dir, err := device.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	l, _, err := Open(dir, "orders-0", testID, cfg, OpenFrom{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &life{l: l, files: NewFiles(2), cfg: cfg, now: clock.Now{Wall: 1_000_000}}
	l.Attach(s.files)
	s.content = make([][]byte, l.End())
	for i := 0; s.err == nil; i++ {
		s.append(1, 100+i%3000, model.Epoch(i/1000))
		if i%100 == 99 {
			s.work(l.SyncWork())
			s.sweep()
		}
		fmt.Printf("acked %d %d\n", l.Written(), l.RecoveryPoint())
		s.content = s.content[:len(s.content):len(s.content)]
	}
	t.Fatal(s.err)
}

// TestKill sends SIGKILL to a writer at odd moments: everything that Write has returned for is there.
func TestKill(t *testing.T) {
	for i := range 4 {
		path := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledWriter$")
		cmd.Env = append(os.Environ(), killEnv+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Duration(150+130*i)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		acked, recovery := 0, 0
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "acked" {
				acked, _ = strconv.Atoi(fields[1])
				recovery, _ = strconv.Atoi(fields[2])
			}
		}
		_ = cmd.Wait()
		if acked == 0 {
			t.Fatal("the child wrote nothing")
		}
		for _, from := range []OpenFrom{{RecoveryPoint: model.Offset(recovery)}, {}} {
			r := rigAt(t, path, testConfig(), from)
			if int(r.l.End()) < acked || int(r.l.End()) > acked+1 || r.rec.Short != 0 {
				t.Fatalf("%d acknowledged, the log ends at %d, recovery point %d; %+v", acked, r.l.End(), recovery, r.rec)
			}
			r.all()
			r.close()
			r.verify()
		}
	}
}
