package log

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pinion/engine/clock"
)

// evictPages throws a file's pages out of memory, and skips where the file system keeps them.
func evictPages(t *testing.T, s *Segment) {
	t.Helper()
	if err := s.file.Sync(); err != nil {
		t.Fatal(err)
	}
	// A mapping pins the pages it has touched.
	if err := unix.Madvise(s.data, unix.MADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	// The kernel passes over a page that something else holds at the moment.
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if err := unix.Fadvise(s.file.Fd(), 0, 0, unix.FADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		if !held(t, s) {
			return
		}
		if time.Now().After(end) {
			t.Skip("the file system keeps pages in memory (tmpfs?)")
		}
	}
}

// held reports whether any page of a segment is in memory.
func held(t *testing.T, s *Segment) bool {
	t.Helper()
	size, err := s.file.Size()
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < size; at += 4096 {
		if s.file.Resident(at, 1) {
			return true
		}
	}
	return false
}

// TestColdRead: a header on the disk only makes a read ask for work, and the data can be read without bringing it back.
func TestColdRead(t *testing.T) {
	cfg := testConfig()
	cfg.SegmentBytes = 8 << 20
	cfg.IndexIntervalBytes = 64 << 10
	r := newRig(t, cfg)
	for range 400 {
		r.append(1, 10_000)
	}
	want := mustRead(t, r.file(0, logSuffix))
	s := r.l.open(r.l.last())
	evictPages(t, s)
	if _, state := r.l.Read(5, 200, 50_000, true); state != ReadNeedsWork {
		t.Fatalf("state %d", state)
	}
	r.run(r.l.PrepareRead(5))
	evictPages(t, s) // the places stay known even if the headers leave again
	span, state := r.l.Read(5, 200, 50_000, true)
	if state != ReadOK || span.Offset != 5 || span.Len != 50_000 {
		t.Fatalf("state %d, %+v", state, span)
	}
	if span.Resident(0) {
		t.Fatal("the span is resident")
	}
	got := make([]byte, span.Len)
	if n, err := span.ReadCold(got, 0); n != span.Len || err != nil {
		t.Fatalf("%d bytes: %v", n, err)
	}
	if !bytes.Equal(got, want[span.Pos:span.Pos+int64(span.Len)]) {
		t.Fatal("bytes differ")
	}
	half := make([]byte, span.Len)
	if n, err := span.ReadCold(half, 30_000); n != 20_000 || err == nil || !bytes.Equal(half[:n], got[30_000:]) {
		t.Fatalf("%d bytes: %v", n, err)
	}
	r.l.Release(span)
	// Several readers may ask at once.
	evictPages(t, s)
	a, b := r.l.PrepareRead(20), r.l.PrepareRead(300)
	b.Do()
	a.Do()
	if err := r.l.Finish(b); err != nil {
		t.Fatal(err)
	}
	if err := r.l.Finish(a); err != nil {
		t.Fatal(err)
	}
	if s, state := r.l.Read(300, 400, 10, true); state != ReadOK || s.Offset != 300 {
		t.Fatalf("state %d", state)
	}
}

// TestRecall: whoever passes a place first leaves nothing of it in memory, the second in a minute does, and reads in steps that end within pages are one
// pass, not two.
func TestRecall(t *testing.T) {
	var r recall
	second := clock.Mono(time.Second)
	const start, step = 10_000, 65_537
	at := func(n int) int64 { return start + int64(n)*step }
	for n := range 100 {
		if r.again(at(n), step, second) {
			t.Fatalf("step %d of the first is taken for a second", n)
		}
	}
	for n := range 99 {
		if !r.again(at(n), step, 60*second) {
			t.Fatalf("step %d of the second is taken for a first", n)
		}
	}
	if r.again(at(100), step, 61*second) {
		t.Error("what the first has not reached is taken for read")
	}
	if r.again(at(50), step, 130*second) {
		t.Error("a minute has passed since the stretch grew")
	}
	if r.again(at(3), step, 131*second) || !r.again(at(3), step, 132*second) || r.again(at(50), step, 133*second) {
		t.Error("the stretch is not the latest")
	}
	last := int64(1<<32 - 2*step)
	if r.again(last, step, 200*second) || !r.again(last, step, 200*second) {
		t.Error("the end of the largest segment is not remembered")
	}
}

// TestKeptRead: what is read to be kept is in memory afterwards, and the same bytes.
func TestKeptRead(t *testing.T) {
	r := newRig(t, testConfig())
	for range 100 {
		r.append(1, 10_000)
	}
	span, state := r.l.Read(0, 100, 1<<20, true)
	if state != ReadOK {
		t.Fatalf("state %d", state)
	}
	want := bytes.Clone(span.Bytes())
	evictPages(t, span.seg)
	for _, keep := range []bool{false, true} {
		read := Span.ReadCold
		if span.Again(0, span.Len, clock.Mono(time.Second)) {
			read = Span.ReadKeep
		}
		got := make([]byte, span.Len)
		if n, err := read(span, got, 0); n != span.Len || err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d of %d bytes: %v", n, span.Len, err)
		}
		if held(t, span.seg) != keep {
			t.Fatalf("in memory afterwards: %v, want %v", !keep, keep)
		}
	}
}
