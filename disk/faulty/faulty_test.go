package faulty_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pinion/disk/device"
	"pinion/disk/faulty"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func made(t testing.TB, d device.Dir, name string) device.File {
	t.Helper()
	f, err := d.Create(name)
	must(t, err)
	return f
}

func put(t testing.TB, f device.File, s string, pos int64) {
	t.Helper()
	if n, err := f.Pwritev([][]byte{[]byte(s)[:len(s)/2], []byte(s)[len(s)/2:]}, pos); err != nil || n != len(s) {
		t.Fatalf("wrote %d of %d: %v", n, len(s), err)
	}
}

func read(t testing.TB, d device.Dir, name string) string {
	t.Helper()
	b, err := d.ReadFile(name, 1<<30)
	must(t, err)
	return string(b)
}

// class is what callers may look at in an error.
func class(err error) string {
	for _, known := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrInvalid, io.EOF, unix.ENOTEMPTY, unix.EISDIR, unix.ENOTDIR, unix.EINVAL,
		device.ErrTooLarge, device.ErrLocked, device.ErrNoSpace} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return "other: " + err.Error()
	}
	return "ok"
}

// TestLikeARealDisk does the same random calls to a real directory and to one in memory: the answers must be the same.
func TestLikeARealDisk(t *testing.T) {
	names := []string{"a", "b", "c/d", "c/e", "c", "f/g/h", "f/g", "f", "../out", "c/d/x"}
	for seed := range uint64(15) {
		real, err := device.OpenDir(t.TempDir())
		must(t, err)
		dirs := [2]device.Dir{real, faulty.New(seed)}
		var files [2][]device.File
		r := rand.New(rand.NewPCG(seed, 7))
		var history []string
		for range 300 {
			op, name, other, at, size := r.IntN(13), names[r.IntN(len(names))], names[r.IntN(len(names))], int64(r.IntN(9000)), r.IntN(9000)
			which := 0
			if len(files[0]) > 0 {
				which = r.IntN(len(files[0]))
			} else if op > 7 {
				continue
			}
			var got [2]string
			for i, d := range dirs {
				got[i] = call(d, &files[i], which, op, name, other, at, size)
			}
			history = append(history, fmt.Sprintf("%d %s %s %d %d: %.60s", op, name, other, at, size, got[0]))
			if got[0] != got[1] {
				t.Fatalf("seed %d: the real one says %.200s, the other %.200s, after\n%s", seed, got[0], got[1], strings.Join(history, "\n"))
			}
		}
	}
}

func call(d device.Dir, files *[]device.File, which, op int, name, other string, at int64, size int) string {
	switch op {
	case 0, 1:
		f, err := d.Create(name)
		if err == nil {
			*files = append(*files, f)
		}
		return class(err)
	case 2:
		f, err := d.Open(name)
		if err == nil {
			*files = append(*files, f)
		}
		// A real folder can be opened for writing no more than a missing file; the reasons differ.
		return fmt.Sprint(err == nil)
	case 3:
		if name == "../out" || name == "c/d/x" { // the real one says ENOTDIR or ENOENT, by kernel
			return ""
		}
		return fmt.Sprint(d.Mkdir(name) == nil)
	case 4:
		if strings.HasPrefix(other, name+"/") || strings.HasPrefix(name, other+"/") {
			return "" // into itself
		}
		return fmt.Sprint(d.Rename(name, other) == nil)
	case 5:
		return fmt.Sprint(d.Remove(name) == nil)
	case 6:
		list, err := d.List(name)
		for i := range list {
			list[i].Modified = 0 // this one has no clock
			if list[i].IsDir {
				list[i].Size = 0
			}
		}
		return fmt.Sprint(list, err == nil)
	case 7:
		b, err := d.ReadFile(name, 10_000)
		return fmt.Sprint(len(b), bytes.Count(b, []byte{0}), err == nil, errors.Is(err, device.ErrTooLarge))
	}
	f := (*files)[which]
	switch op {
	case 8, 9:
		b := bytes.Repeat([]byte{byte(size)}, size)
		n, err := f.Pwritev([][]byte{b[:size/3], b[size/3:]}, at)
		return fmt.Sprint(n, class(err))
	case 10:
		b := make([]byte, size+1)
		n, err := f.Pread(b, at)
		m, err2 := f.PreadNowait(make([]byte, size+1), at)
		return fmt.Sprint(n, crc32.ChecksumIEEE(b[:n]), class(err), m, class(err2), f.Resident(at, 1) || true)
	case 11:
		return class(f.Cut(at))
	default:
		n, err := f.Size()
		return fmt.Sprint(n, class(err), class(f.Trim(n)), class(f.Trim(n+1)), class(f.Sync()), class(f.Reserve(at, int64(size))))
	}
}

// TestWhatACutLeaves: what was synced is there, what was not is there in any mixture of sectors, and names go in their order.
func TestWhatACutLeaves(t *testing.T) {
	d := faulty.New(1)
	must(t, d.Mkdir("x"))
	f := made(t, d, "x/f")
	old, fresh := strings.Repeat("o", 3*4096), strings.Repeat("n", 2*4096)
	put(t, f, old, 0)
	must(t, f.Sync())
	must(t, d.SyncDir("x"))
	must(t, d.SyncDir("."))
	put(t, f, fresh, 4096)
	g := made(t, d, "x/g")
	put(t, g, "g", 0)
	must(t, d.Rename("x/g", "x/h"))
	must(t, d.Mkdir("y"))
	seen := map[string]bool{}
	for seed := range uint64(300) {
		left := d.AfterCut(seed)
		got := read(t, left, "x/f")
		if len(got) != len(old) || got[:4096] != old[:4096] {
			t.Fatalf("seed %d: what was synced is gone", seed)
		}
		for page := 1; page < 3; page++ {
			b := got[page*4096 : (page+1)*4096]
			news := strings.Count(b, "n")
			for at := 0; at < 4096; at += 512 {
				if c := strings.Count(b[at:at+512], "n"); c != 0 && c != 512 {
					t.Fatalf("seed %d: torn inside a sector", seed)
				}
			}
			switch news {
			case 0:
				seen["old page"] = true
			case 4096:
				seen["new page"] = true
			default:
				seen["torn page"] = true
			}
		}
		names, err := left.List("x")
		must(t, err)
		_, err = left.List("y")
		state := fmt.Sprintf("%d %s %v", len(names), names[len(names)-1].Name, err == nil)
		seen[state] = true
		if err == nil && names[len(names)-1].Name != "h" {
			t.Fatalf("seed %d: a later name survived an earlier one: %v", seed, names)
		}
		if again := read(t, d.AfterCut(seed), "x/f"); again != got {
			t.Fatalf("seed %d leaves two things", seed)
		}
	}
	for _, want := range []string{"old page", "new page", "torn page", "1 f false", "2 g false", "2 h false", "2 h true"} {
		if !seen[want] {
			t.Errorf("never left: %s; seen %v", want, seen)
		}
	}
	if got := read(t, d.Killed(1), "x/f"); got != old[:4096]+fresh {
		t.Error("a killed process lost what it had written")
	}
	lost, kept := d.Lost(1), d.Kept(1)
	if got := read(t, lost, "x/f"); got != old {
		t.Error("something that was not synced survived the loss of all of it")
	}
	if got := read(t, kept, "x/f"); got != old[:4096]+fresh {
		t.Error("something was lost where all was written back")
	}
	for _, c := range []struct {
		d    *faulty.Dir
		x, y int
	}{{lost, 1, -1}, {kept, 2, 0}} {
		names, err := c.d.List("x")
		must(t, err)
		below, err := c.d.List("y")
		if len(names) != c.x || c.y < 0 != (err != nil) || len(below) != max(c.y, 0) {
			t.Errorf("%v in x, %v in y (%v)", names, below, err)
		}
	}
}

// TestFailedSyncLosesQuietly: the sync after a failed one succeeds, readers see everything, and a power cut shows that it is lost.
func TestFailedSyncLosesQuietly(t *testing.T) {
	d := faulty.New(1)
	f := made(t, d, "f")
	put(t, f, "first", 0)
	must(t, f.Sync())
	must(t, d.SyncDir("."))
	put(t, f, strings.Repeat("lost", 2048), 5)
	fails := 1
	d.Fail(func(op faulty.Op, name string) error {
		if op == faulty.Sync && name == "f" && fails > 0 {
			fails--
			return faulty.EIO
		}
		return nil
	})
	if err := f.Sync(); !errors.Is(err, unix.EIO) {
		t.Fatal(err)
	}
	must(t, f.Sync())
	if got := read(t, d, "f"); len(got) != 5+8192 {
		t.Fatalf("readers see %d bytes", len(got))
	}
	killed := d.Killed(9)
	for seed := range uint64(20) {
		if got := read(t, killed.AfterCut(seed), "f"); got != "first" {
			t.Fatalf("%d bytes survived", len(got))
		}
	}
	// Written again, it is stored.
	g, err := killed.Open("f")
	must(t, err)
	put(t, g, strings.Repeat("lost", 2048), 5)
	must(t, g.Sync())
	if got := read(t, killed.AfterCut(1), "f"); got != "first"+strings.Repeat("lost", 2048) {
		t.Fatalf("%d bytes after writing them again", len(got))
	}
}

func TestFullDisk(t *testing.T) {
	d := faulty.New(1)
	d.Limit(5 * 4096)
	f := made(t, d, "f")
	put(t, f, "x", 0)
	if err := f.Reserve(0, 6*4096); !errors.Is(err, device.ErrNoSpace) {
		t.Fatalf("reserve: %v", err)
	}
	must(t, f.Reserve(0, 3*4096))
	g := made(t, d, "g")
	n, err := g.Pwritev([][]byte{make([]byte, 3*4096)}, 0)
	if n != 2*4096 || !errors.Is(err, unix.ENOSPC) || errors.Is(err, device.ErrNoSpace) {
		t.Fatalf("a failed write wrote %d: %v", n, err)
	}
	put(t, f, strings.Repeat("y", 3*4096), 0) // reserved
	if _, err := d.Create("h"); !errors.Is(err, device.ErrNoSpace) {
		t.Fatalf("create: %v", err)
	}
	must(t, d.Remove("g"))
	if d.Used() != 5*4096 {
		t.Fatalf("an open file without a name takes no space: %d", d.Used())
	}
	must(t, g.Close())
	if d.Used() != 3*4096 {
		t.Fatalf("%d bytes used", d.Used())
	}
	must(t, f.Cut(10))
	if d.Used() != 4096 {
		t.Fatalf("%d bytes used after a cut", d.Used())
	}
	d.Limit(0)
	must(t, made(t, d, "h").Reserve(0, 1<<40))
}

// TestKeepFree: what is kept free is refused to reservations that would take it, and given to writes.
func TestKeepFree(t *testing.T) {
	d := faulty.New(1)
	d.Limit(5 * 4096)
	device.KeepFree(d, 2*4096)
	f := made(t, d, "f")
	if err := f.Reserve(0, 4*4096); !errors.Is(err, device.ErrNoSpace) {
		t.Fatalf("reserve: %v", err)
	}
	must(t, f.Reserve(0, 3*4096))
	must(t, f.Reserve(4096, 4096)) // takes nothing
	if err := f.ReserveSpare(0, 5*4096); !errors.Is(err, device.ErrNoSpace) {
		t.Fatalf("reserve of what is spare: %v", err)
	}
	spare := made(t, d, "spare")
	must(t, spare.ReserveSpare(0, 4096))
	must(t, spare.Close())
	must(t, d.Remove("spare"))
	put(t, made(t, d, "g"), strings.Repeat("z", 2*4096), 0)
}

func TestModified(t *testing.T) {
	d := faulty.New(1)
	now := int64(0)
	put(t, made(t, d, "old"), "x", 0)
	d.Clock(func() int64 { return now })
	now = 7
	put(t, made(t, d, "new"), "x", 0)
	now = 8
	for _, left := range []*faulty.Dir{d, d.Killed(1), d.Kept(1)} {
		list, err := left.List(".")
		if err != nil || len(list) == 2 && (list[0].Modified != 7 || list[1].Modified != 0) {
			t.Errorf("%v, %v", list, err)
		}
	}
}

// TestMappingFollowsTheFile: a mapping shows later writes and cuts, lives on without its file, and ends with Unmap.
func TestMappingFollowsTheFile(t *testing.T) {
	d := faulty.New(1)
	f := made(t, d, "f")
	put(t, f, "hello", 0)
	m, err := f.Map(10_000)
	must(t, err)
	put(t, f, "world", 5)
	put(t, f, strings.Repeat("z", 9000), 9000) // reaches beyond
	if got := string(m[:10]) + string(m[9999:]); got != "helloworldz" {
		t.Fatalf("mapping shows %q", got)
	}
	must(t, f.Cut(7))
	if !bytes.Equal(m[:10], []byte("hellowo\x00\x00\x00")) || m[9999] != 0 {
		t.Fatalf("mapping shows %q after a cut", m[:10])
	}
	must(t, f.Close())
	must(t, d.Remove("f"))
	if string(m[:5]) != "hello" {
		t.Fatal("the mapping went with its file")
	}
	must(t, f.Unmap(m))
	if err := f.Unmap(make([]byte, 1)); err == nil {
		t.Error("unmapped what was never mapped")
	}
	g := made(t, d, "g")
	_, err = g.Map(4096)
	must(t, err)
	must(t, d.Discard())
}

// TestCutAtEveryStep: the step of the cut is half done, and nothing works after it.
func TestCutAtEveryStep(t *testing.T) {
	script := func(d *faulty.Dir) error {
		if err := d.Mkdir("a/b"); err != nil {
			return err
		}
		f, err := d.Create("a/b/f")
		if err != nil {
			return err
		}
		_, err = f.Pwritev([][]byte{[]byte("content")}, 0)
		return errors.Join(err, f.Reserve(0, 100), f.Trim(7), f.Sync(), f.Cut(3), d.Rename("a/b", "a/c"), d.SyncDir("a"), d.RemoveAll("a"))
	}
	whole := faulty.New(1)
	must(t, script(whole))
	if list, err := whole.List("."); err != nil || len(list) != 0 {
		t.Fatalf("%v, %v", list, err)
	}
	for at := 1; at <= whole.Steps(); at++ {
		d := faulty.New(1)
		d.CutAt(at)
		if err := script(d); !errors.Is(err, faulty.ErrCut) || d.Steps() != at || !d.Off() {
			t.Fatalf("cut at %d: %v after %d steps", at, err, d.Steps())
		}
		if _, err := d.List("."); !errors.Is(err, faulty.ErrCut) {
			t.Fatalf("cut at %d: the directory still answers: %v", at, err)
		}
		if _, err := d.AfterCut(1).List("."); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Killed(1).List("."); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHooks(t *testing.T) {
	d := faulty.New(1)
	var told []string
	d.Fail(func(op faulty.Op, name string) error {
		told = append(told, fmt.Sprint(op, " ", name))
		return nil
	})
	d.Slow(func(op faulty.Op, _ string) time.Duration {
		if op == faulty.Sync {
			return time.Second
		}
		return time.Millisecond
	})
	must(t, d.Replace("v", []byte("value")))
	want := []string{"remove v.tmp", "create v.tmp", "write v.tmp", "sync v.tmp", "rename v", "syncdir ."}
	if !slices.Equal(told, want) {
		t.Errorf("hooks were told %q, want %q", told, want)
	}
	if w := d.Waited(); w != time.Second+5*time.Millisecond || d.Waited() != 0 {
		t.Errorf("waited %v", w)
	}
	d.Cool(func(_ string, pos, length int64) bool { return pos+length > 3 })
	f, err := d.Open("v")
	must(t, err)
	if _, err := f.PreadNowait(make([]byte, 5), 0); !errors.Is(err, device.ErrCold) || f.Resident(0, 4) || !f.Resident(0, 3) {
		t.Errorf("cold range: %v", err)
	}
	l, err := d.Lock("lock")
	must(t, err)
	if _, err := d.Lock("lock"); !errors.Is(err, device.ErrLocked) {
		t.Errorf("second lock: %v", err)
	}
	must(t, l.Close())
	if _, err := d.Killed(1).Lock("lock"); err != nil {
		t.Error(err)
	}
}

// TestSeveralGoroutines is for the race detector: reads and a sync beside writes, and other files.
func TestSeveralGoroutines(t *testing.T) {
	d := faulty.New(1)
	must(t, d.Mkdir("x"))
	var wait sync.WaitGroup
	for g := range 4 {
		wait.Go(func() {
			name := path.Join("x", fmt.Sprint(g))
			f, err := d.Create(name)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 200 {
				_, err := f.Pwritev([][]byte{[]byte("0123456789")}, int64(i*10))
				if err := errors.Join(err, f.Sync(), d.SyncDir("x")); err != nil {
					t.Error(err)
				}
				if _, err := d.List("x"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	left := d.AfterCut(3)
	for g := range 4 {
		if got := read(t, left, path.Join("x", fmt.Sprint(g))); got != strings.Repeat("0123456789", 200) {
			t.Errorf("file %d has %d bytes", g, len(got))
		}
	}
}

// TestSyncAll: everything written and every name is durable after it, a cut in it leaves some, and one that failed has lost some for good.
func TestSyncAll(t *testing.T) {
	filled := func() *faulty.Dir {
		d := faulty.New(1)
		must(t, d.Mkdir("x/y"))
		for i := range 20 {
			put(t, made(t, d, fmt.Sprintf("x/y/%02d", i)), strings.Repeat("z", 5000), 0)
		}
		return d
	}
	left := func(d *faulty.Dir, seed uint64) (whole int) {
		d = d.AfterCut(seed)
		for i := range 20 {
			if b, err := d.ReadFile(fmt.Sprintf("x/y/%02d", i), 1<<20); err == nil && string(b) == strings.Repeat("z", 5000) {
				whole++
			}
		}
		return whole
	}
	d := filled()
	must(t, d.SyncAll())
	for seed := range uint64(20) {
		if n := left(d, seed); n != 20 {
			t.Fatalf("%d of 20 files survive", n)
		}
	}
	d = filled()
	d.CutAt(1)
	if err := d.SyncAll(); !errors.Is(err, faulty.ErrCut) {
		t.Fatal(err)
	}
	most := 0
	for seed := range uint64(20) {
		most = max(most, left(d, seed))
	}
	if most == 0 || most == 20 {
		t.Fatalf("at most %d of 20 files survive a cut in the middle", most)
	}
	d = filled()
	d.Fail(func(op faulty.Op, _ string) error {
		if op == faulty.SyncAll {
			return faulty.EIO
		}
		return nil
	})
	if err := d.SyncAll(); !errors.Is(err, faulty.EIO) {
		t.Fatal(err)
	}
	d.Fail(nil)
	must(t, d.SyncAll())
	if n := left(d, 1); n == 0 || n == 20 {
		t.Fatalf("%d of 20 files survive a sync after a failed one", n)
	}
}
