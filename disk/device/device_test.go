package device

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func openTemp(t *testing.T) *root {
	t.Helper()
	d, err := OpenDir(filepath.Join(t.TempDir(), "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	return d.(*root)
}

func create(t *testing.T, d Dir, name string) File {
	t.Helper()
	f, err := d.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestOpenDirIsPrivate(t *testing.T) {
	d := openTemp(t)
	info, err := os.Stat(d.Path())
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	create(t, d, "f")
	if info, _ = os.Stat(d.Path() + "/f"); info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v", info.Mode())
	}
	if _, err := OpenDir(d.Path() + "/f"); err == nil {
		t.Fatal("a file opens as a directory")
	}
}

// TestPathsStayInside: no path leads out, not over a link either.
func TestPathsStayInside(t *testing.T) {
	d := openTemp(t)
	outside := filepath.Dir(d.Path())
	if err := os.WriteFile(outside+"/secret", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, d.Path()+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"../secret", "/etc/passwd", "link/secret", "a/../../secret", "..", "", "link/new/deep"} {
		for what, call := range map[string]func() error{
			"create":  func() error { _, err := d.Create(p); return err },
			"open":    func() error { _, err := d.Open(p); return err },
			"read":    func() error { _, err := d.ReadFile(p, 100); return err },
			"remove":  func() error { return d.Remove(p) },
			"rename":  func() error { return d.Rename(p, "x") },
			"replace": func() error { return d.Replace(p, nil) },
			"lock":    func() error { _, err := d.Lock(p); return err },
		} {
			if err := call(); err == nil {
				t.Errorf("%s %q passes", what, p)
			}
		}
	}
	if _, err := os.Stat(outside + "/secret"); err != nil {
		t.Fatal("the file outside is gone")
	}
}

func TestNames(t *testing.T) {
	d := openTemp(t)
	if err := d.Mkdir("x/y/z"); err != nil {
		t.Fatal(err)
	}
	if err := d.Mkdir("x/y/z"); err != nil {
		t.Fatal(err)
	}
	create(t, d, "x/one")
	if _, err := d.Create("x/one"); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("create again: %v", err)
	}
	if _, err := d.Open("x/two"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("open: %v", err)
	}
	if err := d.Rename("x/one", "x/y/two"); err != nil {
		t.Fatal(err)
	}
	if err := d.SyncDir("x/y"); err != nil {
		t.Fatal(err)
	}
	list, err := d.List("x/y")
	if err != nil || len(list) != 2 || list[0].Name != "two" || list[0].IsDir || list[1].Name != "z" || !list[1].IsDir {
		t.Fatalf("%+v %v", list, err)
	}
	if err := d.Remove("x"); err == nil {
		t.Fatal("a full folder is removed")
	}
	if err := d.RemoveAll("x"); err != nil {
		t.Fatal(err)
	}
	if err := d.RemoveAll("x"); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove("x"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("remove: %v", err)
	}
	if _, err := d.List("x"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("list: %v", err)
	}
	if err := os.Symlink("/etc", d.Path()+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := d.RemoveAll("link"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/etc/passwd"); err != nil {
		t.Fatal("RemoveAll followed a link")
	}
}

func TestReplace(t *testing.T) {
	d := openTemp(t)
	if err := os.WriteFile(d.Path()+"/cell.tmp", bytes.Repeat([]byte("left over"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "", "three and more"} {
		if err := d.Replace("cell", []byte(want)); err != nil {
			t.Fatal(err)
		}
		got, err := d.ReadFile("cell", 100)
		if err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if _, err := d.ReadFile("cell", 3); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("read of too much: %v", err)
	}
	if list, _ := d.List("."); len(list) != 1 {
		t.Fatalf("%+v", list)
	}
}

const lockEnv = "PINION_TEST_LOCK"

// TestLockChild tries to take the lock another process holds.
func TestLockChild(t *testing.T) {
	dir := os.Getenv(lockEnv)
	if dir == "" {
		t.Skip("runs as the child of TestLock")
	}
	d, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Lock(".lock")
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("lock: %v", err)
	}
	t.Log(err)
}

func TestLock(t *testing.T) {
	d := openTemp(t)
	held, err := d.Lock(".lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lock(".lock"); !errors.Is(err, ErrLocked) {
		t.Fatalf("twice: %v", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestLockChild$", "-test.v")
	cmd.Env = append(os.Environ(), lockEnv+"="+d.Path())
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "held by process") {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if held, err = d.Lock(".lock"); err != nil {
		t.Fatal(err)
	}
	_ = held.Close()
}

// TestReadOnlyFileSystem: whoever only reads can do so, unless somebody works in the directory over another mount.
func TestReadOnlyFileSystem(t *testing.T) {
	writable, path := openTemp(t), t.TempDir()
	if err := unix.Mount(writable.Path(), path, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	defer func() { _ = unix.Unmount(path, unix.MNT_DETACH) }()
	if err := unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	d, err := OpenToRead(path)
	if err != nil {
		t.Fatal(err)
	}
	free := func(when string) {
		t.Helper()
		held, err := d.Lock(".lock")
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
	}
	free("without a lock file")
	held, err := writable.Lock(".lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lock(".lock"); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path+" (held by process") {
		t.Fatalf("beside who writes: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	free("with a lock file")
	if err := writable.Replace("f", []byte("text")); err != nil {
		t.Fatal(err)
	}
	if b, err := d.ReadFile("f", 10); err != nil || string(b) != "text" {
		t.Fatalf("%q, %v", b, err)
	}
	broker, err := OpenExisting(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := broker.Lock(".lock"); !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), path) {
		t.Fatalf("who writes: %v", err)
	}
}

// TestPwritev writes lists of every length, with empty buffers among them.
func TestPwritev(t *testing.T) {
	d := openTemp(t)
	random := rand.New(rand.NewPCG(1, 1))
	f := create(t, d, "f")
	var want []byte
	for _, count := range []int{0, 1, 2, iovPerCall - 1, iovPerCall, iovPerCall + 1, 300, 3000} {
		var bufs [][]byte
		var flat []byte
		for range count {
			b := make([]byte, random.IntN(40))
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			bufs = append(bufs, b)
			flat = append(flat, b...)
		}
		n, err := f.Pwritev(bufs, int64(len(want)))
		if n != len(flat) || err != nil {
			t.Fatalf("%d buffers: %d bytes of %d, %v", count, n, len(flat), err)
		}
		want = append(want, flat...)
	}
	got := make([]byte, len(want)+1)
	if n, err := f.Pread(got, 0); n != len(want) || err != io.EOF || !bytes.Equal(got[:n], want) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if n, err := f.ReadCold(got[:100], 50); n != 100 || err != nil || !bytes.Equal(got[:n], want[50:150]) {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// TestDurableWrites: whole boundaries, many buffers in one call, and what only the page cache takes.
func TestDurableWrites(t *testing.T) {
	d := openTemp(t)
	if _, err := create(t, d, "f").Pwritev([][]byte{make([]byte, 1<<20)}, 0); err != nil {
		t.Fatal(err)
	}
	f, err := d.OpenDurable("f")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	var bufs [][]byte
	for i := range iovMax + 1 {
		bufs = append(bufs, append(Aligned(Boundary), bytes.Repeat([]byte{byte(i)}, Boundary)...))
	}
	want := bytes.Join(bufs, nil)
	if n, err := f.Pwritev(bufs, Boundary); n != len(want) || err != nil {
		t.Fatalf("%d bytes of %d, %v", n, len(want), err)
	}
	odd := append(Aligned(700)[:1], make([]byte, 600)...)[1:]
	if n, err := f.Pwritev([][]byte{odd, {7}}, Boundary+3); n != 601 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	copy(want[3:], odd)
	want[603] = 7
	got := make([]byte, len(want))
	if _, err := f.Pread(got, Boundary); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read back something else, %v", err)
	}
}

// TestWhole: the largest part between boundaries, for every place and length.
func TestWhole(t *testing.T) {
	block := Aligned(4 * Boundary)
	for at := range Boundary + 1 {
		for _, n := range []int{0, 1, Boundary - 1, Boundary, Boundary + 1, 2*Boundary + 7, 3 * Boundary} {
			b := block[at : at+n]
			first := (at + Boundary - 1) / Boundary * Boundary
			last := (at + n) / Boundary * Boundary
			from, to := Whole(b)
			if last <= first && to != 0 || last > first && (from != first-at || to != last-at) {
				t.Fatalf("%d bytes at %d: [%d, %d)", n, at, from, to)
			}
		}
	}
}

// TestShortWrites: the limit on file sizes makes the kernel write a part, and then nothing.
func TestShortWrites(t *testing.T) {
	if os.Getenv("PINION_TEST_FSIZE") == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestShortWrites$")
		cmd.Env = append(os.Environ(), "PINION_TEST_FSIZE=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	d := openTemp(t)
	f := create(t, d, "f")
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 150, Max: 150}); err != nil {
		t.Fatal(err)
	}
	n, err := f.Pwritev([][]byte{make([]byte, 100), make([]byte, 100)}, 0)
	if n != 150 || !errors.Is(err, unix.EFBIG) {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

func TestReserveKeepsSize(t *testing.T) {
	d := openTemp(t)
	f := create(t, d, "f")
	if _, err := f.Pwritev([][]byte{[]byte("hello")}, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Reserve(5, 1<<20); err != nil {
		t.Fatal(err)
	}
	blocks := func() int64 {
		var stat unix.Stat_t
		if err := unix.Fstat(f.Fd(), &stat); err != nil {
			t.Fatal(err)
		}
		if stat.Size != 5 {
			t.Fatalf("size %d", stat.Size)
		}
		return stat.Blocks
	}
	reserved := blocks()
	if err := f.Trim(4); err == nil {
		t.Fatal("trim below the end")
	}
	if err := f.Trim(6); err == nil {
		t.Fatal("trim beyond the end")
	}
	if err := f.Trim(5); err != nil {
		t.Fatal(err)
	}
	if after := blocks(); reserved >= 2048 && after >= reserved {
		t.Fatalf("%d blocks after trim, %d before", after, reserved)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Cut(6); err == nil {
		t.Fatal("cut makes the file longer")
	}
	if err := f.Cut(2); err != nil {
		t.Fatal(err)
	}
	if size, _ := f.Size(); size != 2 {
		t.Fatalf("size %d", size)
	}
	if err := f.Reserve(0, 1<<60); err == nil {
		t.Fatal("an exabyte is reserved")
	}
}

// TestNoSpace fills a file system of 1 MiB.
func TestNoSpace(t *testing.T) {
	path := t.TempDir()
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	defer func() { _ = unix.Unmount(path, unix.MNT_DETACH) }()
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	f := create(t, d, "f")
	if err := f.Reserve(0, 2<<20); !errors.Is(err, ErrNoSpace) || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("reserve: %v", err)
	}
	if err := f.Reserve(0, 512<<10); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}

func TestColdAndResident(t *testing.T) {
	d := openTemp(t)
	f := create(t, d, "f")
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i * 7)
	}
	if _, err := f.Pwritev([][]byte{data}, 0); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if !f.Resident(0, 1<<20) || !f.Resident(5, 0) {
		t.Fatal("fresh pages are not resident")
	}
	if n, err := f.PreadNowait(b, 1<<20-50); n != 50 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if _, err := f.PreadNowait(b, 1<<20); err != io.EOF {
		t.Fatalf("at the end: %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	evict := func() { _ = unix.Fadvise(f.Fd(), 0, 0, unix.FADV_DONTNEED) }
	evict()
	if _, err := f.PreadNowait(b, 4096); err == nil {
		t.Skip("the file system keeps pages in memory")
	} else if !errors.Is(err, ErrCold) {
		t.Fatal(err)
	}
	for _, fallback := range []bool{false, true} {
		noCachestat.Store(fallback)
		evict()
		if f.Resident(100, 10) || f.Resident(0, 1<<20) {
			t.Fatalf("cold pages are resident (fallback %v)", fallback)
		}
		if n, err := f.ReadCold(b, 8192); n != 100 || err != nil || !bytes.Equal(b, data[8192:8292]) {
			t.Fatalf("%d bytes, %v", n, err)
		}
		all := make([]byte, 1<<20)
		if _, err := f.Pread(all, 0); err != nil || !bytes.Equal(all, data) {
			t.Fatal(err)
		}
		if !f.Resident(0, 1<<20) || !f.Resident(4095, 2) {
			t.Fatalf("read pages are not resident (fallback %v)", fallback)
		}
	}
	noCachestat.Store(false)
}

// TestGuard touches a mapping beyond the end of its file.
func TestGuard(t *testing.T) {
	d := openTemp(t)
	f := create(t, d, "f")
	if _, err := f.Pwritev([][]byte{[]byte("hello")}, 0); err != nil {
		t.Fatal(err)
	}
	m, err := f.Map(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if n, err := CopyMapped(b, m, 0); n != 5 || err != nil || string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	var fault *Fault
	if _, err := CopyMapped(b, m, 20_000); !errors.As(err, &fault) || fault.Offset/4096 != 20_000/4096 {
		t.Fatalf("a copy from beyond the file: %v", err)
	}
	if _, err := f.Pwritev([][]byte{[]byte("later")}, 20_000); err != nil {
		t.Fatal(err)
	}
	if _, err := CopyMapped(b, m, 20_000); err != nil || string(b) != "later" {
		t.Fatalf("%q, %v", b, err)
	}
	func() {
		defer func() {
			if r := recover(); r != "mine" {
				t.Errorf("another panic came out as %v", r)
			}
		}()
		_ = Guarded(m, func() { panic("mine") })
	}()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a fault elsewhere is swallowed")
			}
		}()
		_ = Guarded(m[:4096], func() { b[0] = m[40_000] })
	}()
	if err := f.Unmap(m); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Map(0); err == nil {
		t.Fatal("an empty mapping")
	}
}

func TestShardCallsDoNotAllocate(t *testing.T) {
	d := openTemp(t)
	var f File = create(t, d, "f")
	bufs := make([][]byte, 100)
	for i := range bufs {
		bufs[i] = make([]byte, 50)
	}
	b := make([]byte, 1000)
	best := 1.0
	for range 5 {
		best = min(best, testing.AllocsPerRun(50, func() {
			if _, err := f.Pwritev(bufs, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := f.PreadNowait(b, 0); err != nil {
				t.Fatal(err)
			}
			if !f.Resident(0, 5000) {
				t.Fatal("not resident")
			}
		}))
	}
	if best != 0 {
		t.Errorf("%v allocations", best)
	}
}

func TestSyncAll(t *testing.T) {
	d := openTemp(t)
	f := create(t, d, "f")
	if _, err := f.Pwritev([][]byte{make([]byte, 1<<20)}, 0); err != nil {
		t.Fatal(err)
	}
	if err := d.SyncAll(); err != nil {
		t.Fatal(err)
	}
}

// TestDirty sees a file that was written and not synced, unless the kernel was faster: it has some of a hundred tries.
func TestDirty(t *testing.T) {
	if _, err := os.Stat("/proc/meminfo"); err != nil {
		t.Skip("the kernel shows no /proc/meminfo")
	}
	d := openTemp(t)
	f := create(t, d, "f")
	for range 100 {
		if _, err := f.Pwritev([][]byte{make([]byte, 4<<20)}, 0); err != nil {
			t.Fatal(err)
		}
		if Dirty() > 0 {
			return
		}
	}
	t.Error("nothing was ever dirty")
}

// The kernel tells a failed sync of a folder once; whoever asks next is told here.
func TestNoSyncOfNamesBehindAFailedOne(t *testing.T) {
	d := openTemp(t)
	for _, folder := range []string{"a", "b"} {
		if err := errors.Join(d.Mkdir(folder), d.SyncDir(folder), d.SyncAll()); err != nil {
			t.Fatal(err)
		}
	}
	first := d.names.Lose(&FolderError{Folder: "a", Err: unix.EIO})
	for what, err := range map[string]error{
		"the folder": d.SyncDir("a"), "another folder": d.SyncDir("b"), "everything": d.SyncAll(), "another failure": d.names.Lose(&FolderError{Folder: "b", Err: unix.ENOSPC}),
	} {
		if err != first {
			t.Errorf("%s: %v", what, err)
		}
	}
}
