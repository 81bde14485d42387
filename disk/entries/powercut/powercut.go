// Package powercut is a log directory in memory that loses power: for tests of what must survive. It keeps, beside what
// readers see, what would be left: bytes per 512-byte sector, lengths and names, each only as far as it was synced. One owner
// at a time. It refuses to be fast, to map files and to share anything with a real disk.
package powercut

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"

	"pinion/disk/device"
)

const sector = 512

// ErrCut is what every call returns once the power is off.
var ErrCut = errors.New("power is off")

// Dir is the directory. The zero value is not ready; New makes one.
type Dir struct {
	names   map[string]*inode // files and folders as readers see them
	durable map[string]*inode // names that survive
	pending []change          // since then, in order

	steps int // calls that change anything, so far
	limit int // the call of this number fails half done, and all after it; 0: never
	fault func(op, path string) error
	rand  *rand.Rand
}

type inode struct {
	dir     bool
	mem     []byte
	durable []byte
}

// change is one pending operation on names: from or to may be empty.
type change struct {
	from, to string
	node     *inode
}

// New returns an empty directory. The seed decides how the cuts tear.
func New(seed uint64) *Dir {
	top := &inode{dir: true}
	return &Dir{names: map[string]*inode{".": top}, durable: map[string]*inode{".": top}, rand: rand.New(rand.NewPCG(seed, 1))}
}

// CutAt switches the power off in the middle of change number n, counted from now on; 0 means never.
func (d *Dir) CutAt(n int) { d.steps, d.limit = 0, n }

// Steps counts the changes since CutAt.
func (d *Dir) Steps() int { return d.steps }

// Fail installs a function that may fail a call by name ("sync", "write", "rename", ...) and path.
func (d *Dir) Fail(f func(op, path string) error) { d.fault = f }

// step counts one change. It returns ErrCut from the limit on; half says that the change itself may be half done.
func (d *Dir) step(op, name string) (half bool, err error) {
	if d.fault != nil {
		if err := d.fault(op, name); err != nil {
			return false, fmt.Errorf("%s %s: %w", op, name, err)
		}
	}
	if d.limit == 0 {
		d.steps++
		return false, nil
	}
	if d.steps >= d.limit {
		return false, ErrCut
	}
	d.steps++
	if d.steps == d.limit {
		return true, ErrCut
	}
	return false, nil
}

// Killed returns the directory as the next process finds it when only this one died: everything written is there.
func (d *Dir) Killed(seed uint64) *Dir {
	next := New(seed)
	next.names, next.durable, next.pending = maps.Clone(d.names), maps.Clone(d.durable), slices.Clone(d.pending)
	return next
}

// AfterCut returns the directory as a power cut leaves it: of the pending names a prefix; of each file any length between the
// synced and the written one, and of its dirty sectors any choice. What is not kept is as it was, or zero.
func (d *Dir) AfterCut(seed uint64) *Dir {
	next := New(seed)
	r := next.rand
	names := maps.Clone(d.durable)
	for _, c := range d.pending[:r.IntN(len(d.pending)+1)] {
		c.apply(names)
	}
	copies := map[*inode]*inode{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old := names[name]
		if copies[old] == nil {
			kept := old.tear(r)
			copies[old] = &inode{dir: old.dir, mem: kept, durable: slices.Clone(kept)}
		}
		next.names[name], next.durable[name] = copies[old], copies[old]
	}
	return next
}

func (n *inode) tear(r *rand.Rand) []byte {
	length := len(n.durable)
	switch {
	case len(n.mem) > length && r.IntN(3) > 0:
		length += r.IntN(len(n.mem) - length + 1)
		if r.IntN(2) == 0 {
			length = len(n.mem)
		}
	case len(n.mem) < length && r.IntN(2) == 0:
		length = len(n.mem)
	}
	out := make([]byte, length)
	copy(out, n.durable)
	for at := 0; at < length; at += sector {
		if at < len(n.mem) && r.IntN(2) == 0 {
			copy(out[at:min(at+sector, length)], n.mem[at:])
		}
	}
	return out
}

func (c change) apply(names map[string]*inode) {
	if c.from != "" {
		delete(names, c.from)
		if c.to != "" && c.node.dir {
			for name, n := range names {
				if rest, inside := strings.CutPrefix(name, c.from+"/"); inside {
					delete(names, name)
					names[c.to+"/"+rest] = n
				}
			}
		}
	}
	if c.to != "" {
		names[c.to] = c.node
	}
}

func (d *Dir) change(c change) {
	c.apply(d.names)
	d.pending = append(d.pending, c)
}

func notExist(op, name string) error { return fmt.Errorf("%s %s: %w", op, name, fs.ErrNotExist) }

func (d *Dir) Create(name string) (device.File, error) {
	name = path.Clean(name)
	if d.names[name] != nil {
		return nil, fmt.Errorf("create %s: %w", name, fs.ErrExist)
	}
	if d.names[path.Dir(name)] == nil {
		return nil, notExist("create", name)
	}
	half, err := d.step("create", name)
	if err == nil || half {
		d.change(change{to: name, node: &inode{}})
	}
	if err != nil {
		return nil, err
	}
	return d.Open(name)
}

func (d *Dir) Open(name string) (device.File, error) {
	name = path.Clean(name)
	n := d.names[name]
	if n == nil || n.dir {
		return nil, notExist("open", name)
	}
	return &file{dir: d, name: name, node: n}, nil
}

func (d *Dir) Mkdir(name string) error {
	name = path.Clean(name)
	if d.names[name] != nil {
		return nil
	}
	if err := d.Mkdir(path.Dir(name)); err != nil {
		return err
	}
	half, err := d.step("mkdir", name)
	if err == nil || half {
		d.change(change{to: name, node: &inode{dir: true}})
	}
	return err
}

func (d *Dir) Rename(from, to string) error {
	from, to = path.Clean(from), path.Clean(to)
	n := d.names[from]
	if n == nil {
		return notExist("rename", from)
	}
	half, err := d.step("rename", to)
	if err == nil || half {
		d.change(change{from: from, to: to, node: n})
	}
	return err
}

func (d *Dir) Remove(name string) error {
	name = path.Clean(name)
	if d.names[name] == nil {
		return notExist("remove", name)
	}
	half, err := d.step("remove", name)
	if err == nil || half {
		d.change(change{from: name})
	}
	return err
}

func (d *Dir) RemoveAll(name string) error {
	name = path.Clean(name)
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(d.names))) {
		if n == name || strings.HasPrefix(n, name+"/") {
			if err := d.Remove(n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Dir) List(name string) ([]device.Entry, error) {
	name = path.Clean(name)
	if n := d.names[name]; n == nil || !n.dir {
		return nil, notExist("list", name)
	}
	var out []device.Entry
	for _, full := range slices.Sorted(maps.Keys(d.names)) {
		if full != "." && path.Dir(full) == name {
			n := d.names[full]
			out = append(out, device.Entry{Name: path.Base(full), IsDir: n.dir, Size: int64(len(n.mem))})
		}
	}
	return out, nil
}

// SyncDir makes every pending name up to the last one in this folder durable, as a journalling file system does.
func (d *Dir) SyncDir(name string) error {
	if _, err := d.step("syncdir", name); err != nil {
		return err
	}
	name = path.Clean(name)
	last := -1
	for i, c := range d.pending {
		if c.from != "" && path.Dir(c.from) == name || c.to != "" && path.Dir(c.to) == name {
			last = i
		}
	}
	for _, c := range d.pending[:last+1] {
		c.apply(d.durable)
	}
	d.pending = d.pending[last+1:]
	return nil
}

func (d *Dir) Replace(name string, data []byte) error {
	temp := name + ".tmp"
	if d.names[path.Clean(temp)] != nil {
		if err := d.Remove(temp); err != nil {
			return err
		}
	}
	f, err := d.Create(temp)
	if err != nil {
		return err
	}
	if _, err := f.Pwritev([][]byte{data}, 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := d.Rename(temp, name); err != nil {
		return err
	}
	return d.SyncDir(path.Dir(name))
}

func (d *Dir) ReadFile(name string, max int64) ([]byte, error) {
	n := d.names[path.Clean(name)]
	if n == nil || n.dir {
		return nil, notExist("read", name)
	}
	if int64(len(n.mem)) > max {
		return nil, fmt.Errorf("read %s: %w", name, device.ErrTooLarge)
	}
	return slices.Clone(n.mem), nil
}

// Damage lets a test change bytes of a file behind everyone's back.
func (d *Dir) Damage(name string, change func(b []byte) []byte) {
	n := d.names[path.Clean(name)]
	n.mem = change(n.mem)
	n.durable = slices.Clone(n.mem)
}

func (d *Dir) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (d *Dir) Path() string { return "powercut" }

// file is an open inode.
type file struct {
	dir  *Dir
	name string
	node *inode
}

func (f *file) Pwritev(bufs [][]byte, pos int64) (int, error) {
	b := slices.Concat(bufs...)
	half, err := f.dir.step("write", f.name)
	if half {
		b = b[:f.dir.rand.IntN(len(b)+1)]
	} else if err != nil {
		return 0, err
	}
	if grow := int(pos) + len(b) - len(f.node.mem); grow > 0 {
		f.node.mem = append(f.node.mem, make([]byte, grow)...)
	}
	copy(f.node.mem[pos:], b)
	return len(b), err
}

func (f *file) Pread(b []byte, pos int64) (int, error) {
	if pos >= int64(len(f.node.mem)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.mem[pos:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Sync() error {
	if _, err := f.dir.step("sync", f.name); err != nil {
		return err
	}
	f.node.durable = slices.Clone(f.node.mem)
	return nil
}

func (f *file) Cut(size int64) error {
	half, err := f.dir.step("cut", f.name)
	if err == nil || half {
		f.node.mem = f.node.mem[:size:size]
	}
	return err
}

func (f *file) PreadNowait(b []byte, pos int64) (int, error) { return f.Pread(b, pos) }
func (f *file) ReadCold(b []byte, pos int64) (int, error)    { return f.Pread(b, pos) }
func (f *file) Reserve(int64, int64) error                   { return nil }
func (f *file) Trim(int64) error                             { return nil }
func (f *file) Resident(int64, int64) bool                   { return true }
func (f *file) Map(int64) ([]byte, error)                    { return nil, errors.ErrUnsupported }
func (f *file) Unmap([]byte) error                           { return nil }
func (f *file) Size() (int64, error)                         { return int64(len(f.node.mem)), nil }
func (f *file) Fd() int                                      { return -1 }
func (f *file) Close() error                                 { return nil }
