// Package faulty is a log directory in memory that fails as real ones do: for tests and simulations of what must survive. It is a
// device.Dir like the one on a real disk, with these ways to go wrong, each repeatable from a seed:
//
//	power     CutAt switches it off in the middle of a change; AfterCut is what the next start finds
//	death     Killed is what the next process finds when only this one died: everything written is there
//	errors    Fail decides call by call. A failed sync marks its pages clean without storing them, as Linux does: the next
//	          sync succeeds and the bytes are lost all the same (fsyncgate), and with LoseNames so are names. A failed write may have written a part
//	space     Limit bounds it, and KeepFree some of it; reservations count, and files that are deleted but open
//	time      Slow charges calls with a delay, which Waited adds up: a simulator makes the owner wait that long
//	memory    Cool makes ranges cold, so that PreadNowait and Resident refuse them
//	damage    Damage changes bytes behind everyone's back
//
// What a disk remembers is kept beside what readers see. Bytes become durable with Sync of their file: until then a power cut
// keeps, loses or tears every dirty page (4 KiB) by itself, in sectors (512 bytes), in no order. Names become durable with
// SyncDir of their folder: until then a power cut keeps any prefix of the changes to names, in the order they were made, as a
// journalling file system does. A length is durable with the bytes.
//
// Safe for use by several goroutines, like a real directory; what they do at once has no fixed order, so a run that must repeat
// has one. Hooks run in the calling goroutine before the call, and may block. The package refuses to share anything with a real disk,
// and has no descriptors to give to sendfile.
package faulty

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"pinion/disk/device"
)

// ErrCut is what every call returns once the power is off.
var ErrCut = errors.New("power is off")

// EIO is the error of a broken disk, for hooks.
const EIO = unix.EIO

// Op names a kind of call for hooks.
type Op string

// The kinds of call. All from Create to Trim change something and count as steps.
const (
	Create  Op = "create"
	Mkdir   Op = "mkdir"
	Rename  Op = "rename" // the path is the new name
	Remove  Op = "remove"
	SyncDir Op = "syncdir"
	SyncAll Op = "syncall"
	Write   Op = "write"
	Sync    Op = "sync"
	Cut     Op = "cut"
	Reserve Op = "reserve"
	Trim    Op = "trim"

	Open Op = "open"
	Read Op = "read" // also ReadFile
	List Op = "list"
)

// Dir is the directory. New makes one.
type Dir struct {
	// Immutable after New.
	path string

	names device.Names

	mu sync.Mutex // guards everything below, and every node
	// top is the tree as readers see it; what is durable of it hangs in its nodes.
	top     *node
	pending []change // to names, not yet durable, in order
	opened  map[*node]int
	locked  map[string]bool
	rand    *rand.Rand

	steps   int
	limit   int // the step of this number fails half done, and every call after it; 0: never
	off     bool
	space   int64 // bytes; 0: no bound
	keep    int64 // of the space, for what is not reserved
	waited  time.Duration
	forgets bool // see LoseNames
	fail    func(op Op, path string) error
	slow    func(op Op, path string) time.Duration
	cold    func(path string, pos, length int64) bool
	mapping map[*byte]*node // of each mapping's first byte
	now     func() int64
}

// New returns an empty directory. The seed decides how writes are cut short.
func New(seed uint64) *Dir {
	return &Dir{path: "faulty", top: newFolder(), opened: map[*node]int{}, locked: map[string]bool{}, mapping: map[*byte]*node{},
		rand: rand.New(rand.NewPCG(seed, 1))}
}

// CutAt switches the power off in the middle of step number n, counted from now on; 0 means never.
func (d *Dir) CutAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps, d.limit = 0, n
}

// Steps counts the steps, calls that change something, since CutAt.
func (d *Dir) Steps() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.steps
}

// Off reports whether the power is off.
func (d *Dir) Off() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off
}

// Fail installs a function that may fail a call; nil removes it. It is told every call before it happens.
func (d *Dir) Fail(f func(op Op, path string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

// Slow installs a function that says how long a call takes; nil removes it.
func (d *Dir) Slow(f func(op Op, path string) time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = f
}

// Waited returns how long the calls since the last Waited took. Nothing has slept for it.
func (d *Dir) Waited() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.waited
	d.waited = 0
	return w
}

// Cool installs a function that says which ranges are not in memory; nil makes everything resident.
func (d *Dir) Cool(f func(path string, pos, length int64) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cold = f
}

// Limit bounds the space, in bytes; 0 takes the bound away. Names cost nothing, files whole pages.
func (d *Dir) Limit(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.space = bytes
}

// KeepFree has reservations refused that would leave less than so many bytes of the space. It is carried over no more than the space is.
func (d *Dir) KeepFree(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep = bytes
}

// Clock installs the time files are modified at, in milliseconds; without one Entry.Modified is 0. Files keep theirs.
func (d *Dir) Clock(now func() int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = now
}

// touch notes that a file is modified now, with the lock held.
func (d *Dir) touch(n *node) {
	if d.now != nil {
		n.modified = d.now()
	}
}

// Used is how much of the space is taken.
func (d *Dir) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

func (d *Dir) used() int64 {
	sum := d.top.usedBelow()
	for n := range d.opened {
		if n.unlinked {
			sum += n.allocated()
		}
	}
	return sum
}

// Damage lets a test change bytes of a file, also the durable ones, behind everyone's back.
func (d *Dir) Damage(name string, change func(b []byte) []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.lookup(name)
	if n == nil || n.folder {
		panic("no file " + name + " to damage")
	}
	n.replace(change(n.mem))
}

// begin tells the hooks of a call and refuses it where they say so, or where the power is off.
func (d *Dir) begin(op Op, name string) error {
	d.mu.Lock()
	fail, slow, off := d.fail, d.slow, d.off
	d.mu.Unlock()
	if off {
		return fmt.Errorf("%s %s: %w", op, name, ErrCut)
	}
	if slow != nil {
		delay := slow(op, name)
		d.mu.Lock()
		d.waited += delay
		d.mu.Unlock()
	}
	if fail != nil {
		if err := fail(op, name); err != nil {
			return fmt.Errorf("%s %s: %w", op, name, err)
		}
	}
	return nil
}

// step counts one change, with the lock held. It returns ErrCut when the power goes; half says that the change itself may be half done.
func (d *Dir) step(op Op, name string) (half bool, err error) {
	if !d.off {
		d.steps++
		if d.steps != d.limit {
			return false, nil
		}
		d.off, half = true, true
	}
	return half, fmt.Errorf("%s %s: %w", op, name, ErrCut)
}

// lookup finds a node by its path; nil when there is none.
func (d *Dir) lookup(name string) *node {
	n := d.top
	clean := path.Clean(name)
	if clean == "." {
		return n
	}
	for part := range strings.SplitSeq(clean, "/") {
		if n == nil || !n.folder {
			return nil
		}
		n = n.names[part]
	}
	return n
}

// parent finds the folder that holds, or would hold, a name.
func (d *Dir) parent(op Op, name string) (folder *node, last string, err error) {
	clean := path.Clean(name)
	if !filepath.IsLocal(clean) || clean == "." {
		return nil, "", fmt.Errorf("%s %q: %w", op, name, fs.ErrInvalid)
	}
	folder = d.top
	for part := range strings.SplitSeq(path.Dir(clean), "/") {
		if part != "." {
			folder = folder.names[part]
		}
		if folder == nil {
			return nil, "", fmt.Errorf("%s %s: %w", op, name, fs.ErrNotExist)
		}
		if !folder.folder {
			return nil, "", fmt.Errorf("%s %s: %w", op, name, unix.ENOTDIR)
		}
	}
	return folder, path.Base(clean), nil
}

// rename makes a change to names, now for readers and later for the disk.
func (d *Dir) rename(c change) {
	if c.to != nil {
		if old := c.to.names[c.toName]; old != nil {
			old.unlinked = true
		}
	} else if c.from != nil {
		c.node.unlinked = true
	}
	c.apply(func(n *node) map[string]*node { return n.names })
	d.pending = append(d.pending, c)
}

// Create implements device.Dir.
func (d *Dir) Create(name string) (device.File, error) {
	if err := d.begin(Create, name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	folder, last, err := d.parent(Create, name)
	if err != nil {
		return nil, err
	}
	if folder.names[last] != nil {
		return nil, fmt.Errorf("create %s: %w", name, fs.ErrExist)
	}
	if d.space > 0 && d.used() >= d.space {
		return nil, fmt.Errorf("create %s: %w: %w", name, device.ErrNoSpace, unix.ENOSPC)
	}
	half, err := d.step(Create, name)
	if err != nil && !half {
		return nil, err
	}
	n := &node{dirty: map[int]struct{}{}}
	d.touch(n)
	d.rename(change{to: folder, toName: last, node: n})
	if err != nil {
		return nil, err
	}
	return d.open(name, n), nil
}

// Open implements device.Dir.
func (d *Dir) Open(name string) (device.File, error) {
	if err := d.begin(Open, name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.lookup(name)
	if n == nil || n.folder {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return d.open(name, n), nil
}

// OpenDurable implements device.Dir.
func (d *Dir) OpenDurable(name string) (device.File, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	f.(*file).durable = true
	return f, nil
}

func (d *Dir) open(name string, n *node) *file {
	d.opened[n]++
	return &file{dir: d, name: name, node: n}
}

// Mkdir implements device.Dir.
func (d *Dir) Mkdir(name string) error {
	d.mu.Lock()
	there := d.lookup(name)
	d.mu.Unlock()
	if there != nil {
		return nil
	}
	if parent := path.Dir(path.Clean(name)); parent != "." {
		if err := d.Mkdir(parent); err != nil {
			return err
		}
	}
	if err := d.begin(Mkdir, name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	folder, last, err := d.parent(Mkdir, name)
	if err != nil {
		return err
	}
	half, err := d.step(Mkdir, name)
	if err == nil || half {
		d.rename(change{to: folder, toName: last, node: newFolder()})
	}
	return err
}

// Rename implements device.Dir.
func (d *Dir) Rename(from, to string) error {
	if err := d.begin(Rename, to); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	source, sourceName, err := d.parent(Rename, from)
	if err != nil {
		return err
	}
	target, targetName, err := d.parent(Rename, to)
	if err != nil {
		return err
	}
	n, old := source.names[sourceName], target.names[targetName]
	switch {
	case n == nil:
		return fmt.Errorf("rename %s to %s: %w", from, to, fs.ErrNotExist)
	case n == old:
		return nil
	case old != nil && old.folder && !n.folder:
		return fmt.Errorf("rename %s to %s: %w", from, to, unix.EISDIR)
	case old != nil && old.folder && len(old.names) > 0:
		return fmt.Errorf("rename %s to %s: %w", from, to, unix.ENOTEMPTY)
	case old != nil && !old.folder && n.folder:
		return fmt.Errorf("rename %s to %s: %w", from, to, unix.ENOTDIR)
	}
	half, err := d.step(Rename, to)
	if err == nil || half {
		d.rename(change{from: source, fromName: sourceName, to: target, toName: targetName, node: n})
	}
	return err
}

// Remove implements device.Dir.
func (d *Dir) Remove(name string) error {
	if err := d.begin(Remove, name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	folder, last, err := d.parent(Remove, name)
	if err != nil {
		return err
	}
	n := folder.names[last]
	if n == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	if n.folder && len(n.names) > 0 {
		return fmt.Errorf("remove %s: %w", name, unix.ENOTEMPTY)
	}
	half, err := d.step(Remove, name)
	if err == nil || half {
		d.rename(change{from: folder, fromName: last, node: n})
	}
	return err
}

// RemoveAll implements device.Dir.
func (d *Dir) RemoveAll(name string) error {
	d.mu.Lock()
	n := d.lookup(name)
	var below []string
	if n != nil && n.folder {
		below = slices.Sorted(maps.Keys(n.names))
	}
	d.mu.Unlock()
	if n == nil {
		return nil
	}
	for _, last := range below {
		if err := d.RemoveAll(path.Join(name, last)); err != nil {
			return err
		}
	}
	return d.Remove(name)
}

// List implements device.Dir.
func (d *Dir) List(name string) ([]device.Entry, error) {
	if err := d.begin(List, name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.lookup(name)
	if n == nil || !n.folder {
		return nil, fmt.Errorf("list %s: %w", name, fs.ErrNotExist)
	}
	out := make([]device.Entry, 0, len(n.names))
	for _, last := range slices.Sorted(maps.Keys(n.names)) {
		below := n.names[last]
		out = append(out, device.Entry{Name: last, IsDir: below.folder, Size: int64(len(below.mem)), Modified: below.modified})
	}
	return out, nil
}

// LoseNames has a failed SyncDir lose the changes in its folder, as a file system may that goes on without its journal; others end with that.
func (d *Dir) LoseNames() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forgets = true
}

// SyncDir implements device.Dir: every pending change up to the last one in this folder becomes durable, as in a journal.
func (d *Dir) SyncDir(name string) error {
	if err := d.begin(SyncDir, name); err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if n := d.lookup(name); n != nil && d.forgets && !d.off {
			d.pending = slices.DeleteFunc(d.pending, func(c change) bool { return c.from == n || c.to == n })
		}
		return d.names.Lose(&device.FolderError{Folder: name, Err: err})
	}
	if err := d.names.Lost(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.lookup(name)
	if n == nil || !n.folder {
		return fmt.Errorf("sync folder %s: %w", name, fs.ErrNotExist)
	}
	if _, err := d.step(SyncDir, name); err != nil {
		return err
	}
	last := -1
	for i, c := range d.pending {
		if c.from == n || c.to == n {
			last = i
		}
	}
	for _, c := range d.pending[:last+1] {
		c.apply(func(n *node) map[string]*node { return n.durableNames })
	}
	d.pending = slices.Clone(d.pending[last+1:])
	return nil
}

// SyncAll implements device.Dir. Where it fails some files were stored, and of the others the pages are clean all the same.
func (d *Dir) SyncAll() error {
	failed := d.begin(SyncAll, ".")
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return failed
	}
	half, err := false, error(nil)
	if failed == nil {
		half, err = d.step(SyncAll, ".")
	}
	names := len(d.pending)
	if half || failed != nil {
		names = d.rand.IntN(names + 1)
	}
	for _, c := range d.pending[:names] {
		c.apply(func(n *node) map[string]*node { return n.durableNames })
	}
	d.pending = slices.Clone(d.pending[names:])
	for _, n := range d.files() {
		switch {
		case !half && failed == nil, d.rand.IntN(2) == 0:
			n.store()
		case failed != nil:
			n.forget()
		}
	}
	return errors.Join(failed, err, d.names.Lost())
}

// files are all there are, in a fixed order, but for those without a name, which no cut leaves.
func (d *Dir) files() []*node {
	var all []*node
	seen := map[*node]bool{}
	var walk func(n *node)
	walk = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		if !n.folder {
			all = append(all, n)
			return
		}
		for _, names := range []map[string]*node{n.names, n.durableNames} {
			for _, name := range slices.Sorted(maps.Keys(names)) {
				walk(names[name])
			}
		}
	}
	walk(d.top)
	return all
}

// Replace implements device.Dir by the steps of the real one.
func (d *Dir) Replace(name string, data []byte) error { return device.ReplaceIn(d, name, data) }

// ReadFile implements device.Dir.
func (d *Dir) ReadFile(name string, max int64) ([]byte, error) {
	return device.ReadFileIn(d, name, max)
}

// Lock implements device.Dir. Killed and AfterCut leave no locks behind.
func (d *Dir) Lock(name string) (io.Closer, error) {
	d.mu.Lock()
	held, there := d.locked[path.Clean(name)], d.lookup(name) != nil
	d.mu.Unlock()
	if held {
		return nil, fmt.Errorf("lock %s: %w", name, device.ErrLocked)
	}
	if !there {
		f, err := d.Create(name)
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.locked[path.Clean(name)] = true
	return &lock{dir: d, name: path.Clean(name)}, nil
}

type lock struct {
	dir  *Dir
	name string
}

// Close ends the lock.
func (l *lock) Close() error {
	l.dir.mu.Lock()
	defer l.dir.mu.Unlock()
	delete(l.dir.locked, l.name)
	return nil
}

// Path implements device.Dir.
func (d *Dir) Path() string { return d.path }
