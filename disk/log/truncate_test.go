package log

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"pinion/engine/model"
)

// TestTruncateUnderALease: a reader that holds a span, and a socket that sendfile has filled but nobody has read, see the old bytes
// after the log was truncated and written anew.
func TestTruncateUnderALease(t *testing.T) {
	r := newRig(t, testConfig())
	for range 30 {
		r.append(1, 1000)
	}
	span, state := r.read(0, r.l.Written(), 1<<20, true)
	if state != ReadOK || span.Len < 30_000 {
		t.Fatalf("state %d, %d bytes", state, span.Len)
	}
	want := bytes.Clone(span.Bytes())
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	_ = unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	pos := span.Pos
	sent, err := unix.Sendfile(pair[0], span.Fd(), &pos, span.Len)
	if err != nil || sent == 0 {
		t.Fatalf("sent %d: %v", sent, err)
	}
	var before, after unix.Stat_t
	_ = unix.Fstat(span.Fd(), &before)

	r.run(r.l.Truncate(10))
	if r.l.End() != 10 || r.l.Written() != 10 || r.l.LatestEpoch() != 0 {
		t.Fatalf("end %d, written %d", r.l.End(), r.l.Written())
	}
	for i := range 40 {
		b := stamped(r.l.End(), 1, 77, 1, 500+i)
		r.stage(b)
		if err := r.l.Write(); err != nil {
			t.Fatal(err)
		}
	}
	r.sweep()
	_ = unix.Fstat(span.Fd(), &after)
	if before.Ino != after.Ino || before.Size != after.Size {
		t.Fatalf("the leased file was inode %d of %d bytes, is %d of %d", before.Ino, before.Size, after.Ino, after.Size)
	}
	if !bytes.Equal(span.Bytes(), want) {
		t.Fatal("the mapping changed under a lease")
	}
	cold := make([]byte, span.Len)
	if n, err := span.ReadCold(cold, 0); n != span.Len || err != nil || !bytes.Equal(cold, want) {
		t.Fatalf("read %d under a lease: %v", n, err)
	}
	got := make([]byte, sent)
	if _, err := io.ReadFull(fdReader(pair[1]), got); err != nil || !bytes.Equal(got, want[:sent]) {
		t.Fatalf("what sendfile queued has changed (%v)", err)
	}
	open := r.files.Open()
	r.l.Release(span)
	r.sweep()
	if r.files.Open() != open-1 {
		t.Fatalf("%d segments open after the lease went home, %d before", r.files.Open(), open)
	}
	if e, end := r.l.EpochEnd(0); e != 0 || end != 10 {
		t.Fatalf("epoch 0 ends at %d", end)
	}
	checkReads(t, r)
	checkReads(t, r.crash(OpenFrom{}))
	r.close()
	r.verify()
}

// checkReads reads every offset there is.
func checkReads(t *testing.T, r *rig) {
	t.Helper()
	r.all()
	for at := r.l.Start(); at < r.l.Written(); at++ {
		s, state := r.read(at, r.l.Written(), 1, true)
		if state != ReadOK || s.Offset > at || s.Len != s.First {
			t.Fatalf("read at %d: state %d, offset %d", at, state, s.Offset)
		}
		r.l.Release(s)
	}
}

type fdReader int

func (r fdReader) Read(b []byte) (int, error) { return unix.Read(int(r), b) }

// TestTruncateEverywhere cuts a log of several segments at every offset, also inside batches.
func TestTruncateEverywhere(t *testing.T) {
	cfg := testConfig()
	cfg.SegmentBytes = 6 << 10
	cfg.IndexIntervalBytes = 1000
	r := newRig(t, cfg)
	var ends []model.Offset
	for i := range 16 {
		b := stamped(r.l.End(), model.Epoch(i/3), int64(1000-i), 2, 400)
		r.stage(b)
		if err := r.l.Write(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, r.l.End())
	}
	all := r.all()
	end := r.l.End()
	for to := range end + 1 {
		c := r.crash(OpenFrom{})
		if to%3 == 0 {
			c.all() // opens everything
		}
		c.run(c.l.Truncate(to))
		want := model.Offset(0)
		for _, e := range ends {
			if e <= to {
				want = e
			}
		}
		if c.l.End() != want || c.l.Written() != want {
			t.Fatalf("truncated to %d: end %d, want %d", to, c.l.End(), want)
		}
		if got := c.all(); !bytes.Equal(got, all[:len(got)]) || int64(len(got)) != c.l.Size() {
			t.Fatalf("truncated to %d: %d bytes differ", to, len(got))
		}
		if want > 0 && c.l.LatestEpoch() != model.Epoch((want/2-1)/3) {
			t.Fatalf("truncated to %d: epoch %d", to, c.l.LatestEpoch())
		}
		c.append(2, 300)
		size, maxTime := c.l.Size(), c.l.last().maxTime
		d := c.crash(OpenFrom{RecoveryPoint: c.l.RecoveryPoint()})
		if d.l.End() != want+2 || d.l.Size() != size || d.rec.Truncated != 0 {
			t.Fatalf("truncated to %d, started again: end %d, %d bytes of %d, %+v", to, d.l.End(), d.l.Size(), size, d.rec)
		}
		if d.l.last().maxTime != maxTime {
			t.Fatalf("truncated to %d: largest timestamp %d, after a start %d", to, maxTime, d.l.last().maxTime)
		}
		c.close()
		c.verify()
	}
}

func TestReset(t *testing.T) {
	r := newRig(t, testConfig())
	for range 100 {
		r.append(1, 1000)
	}
	span, _ := r.read(0, 50, 1000, true)
	want := bytes.Clone(span.Bytes())
	r.run(r.l.Reset(1000))
	if r.l.Start() != 1000 || r.l.End() != 1000 || r.l.Size() != 0 || r.l.LatestEpoch() != model.NoEpoch {
		t.Fatalf("offsets [%d, %d)", r.l.Start(), r.l.End())
	}
	if _, state := r.l.Read(5, 10, 1, true); state != ReadBelowStart {
		t.Fatalf("state %d", state)
	}
	if c := r.crash(OpenFrom{RecoveryPoint: 1000}); c.l.Start() != 1000 || c.l.End() != 1000 {
		t.Fatalf("after a start [%d, %d)", c.l.Start(), c.l.End())
	}
	r.append(3, 10)
	if !bytes.Equal(span.Bytes(), want) {
		t.Fatal("leased bytes changed")
	}
	r.l.Release(span)
	checkReads(t, r)
	r.run(r.l.Truncate(0)) // below the start
	if r.l.Start() != 0 || r.l.End() != 0 {
		t.Fatalf("offsets [%d, %d)", r.l.Start(), r.l.End())
	}
	r.append(1, 1)
	r.close()
}

func TestDrop(t *testing.T) {
	r := newRig(t, testConfig())
	for range 100 {
		r.append(1, 1000)
	}
	span, _ := r.read(0, 50, 5000, true)
	want := bytes.Clone(span.Bytes())
	reading := r.l.PrepareRead(70)
	r.run(r.l.Drop())
	if err := r.try(reading); err != nil {
		t.Fatalf("a read that was under way: %v", err)
	}
	if got := r.l.Need(10, r.now, 0); got != NeedFailed {
		t.Fatalf("a dropped log needs %v", got)
	}
	if !bytes.Equal(span.Bytes(), want) {
		t.Fatal("leased bytes changed")
	}
	r.sweep()
	if left, _ := os.ReadDir(r.path); len(left) != 0 {
		t.Fatalf("%d names left", len(left))
	}
	r.l.Release(span)
	r.sweep()
	if r.files.Open() != 0 {
		t.Fatalf("%d segments open", r.files.Open())
	}
	// One that was never written, and one whose removal was cut short.
	r.open(OpenFrom{})
	r.run(r.l.Drop())
	r.open(OpenFrom{})
	r.append(1, 1)
	if err := os.Rename(filepath.Join(r.path, "orders-0"), filepath.Join(r.path, droppedName("orders-0", testID))); err != nil {
		t.Fatal(err)
	}
	entries, err := r.dir.List(".")
	if err != nil {
		t.Fatal(err)
	}
	removed, err := RemoveDropped(r.dir, entries)
	if left, _ := os.ReadDir(r.path); err != nil || len(removed) != 1 || len(left) != 0 {
		t.Fatalf("removed %v, %d left: %v", removed, len(left), err)
	}
}

func TestDroppedName(t *testing.T) {
	if got := droppedName("orders-0", testID); got != "orders-0.0102030405060708090a0b0c0d0e0f10-delete" || !IsDropped(got) {
		t.Fatal(got)
	}
	long := droppedName(string(bytes.Repeat([]byte("n"), 249))+"-12345", testID)
	if len(long) != folderBytesMax || !IsDropped(long) || !bytes.Contains([]byte(long), []byte("n-12345.")) {
		t.Fatal(long)
	}
}
