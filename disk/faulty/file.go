package faulty

import (
	"fmt"
	"io"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"pinion/disk/device"
)

// file is an open node.
type file struct {
	dir    *Dir
	name   string // it was opened under
	node   *node
	closed bool

	durable bool // writes are stored when they return
}

// begin tells the hooks of a call, then takes the lock; on an error it holds none.
func (f *file) begin(op Op) error {
	if err := f.dir.begin(op, f.name); err != nil {
		return err
	}
	f.dir.mu.Lock()
	if f.closed {
		f.dir.mu.Unlock()
		return fmt.Errorf("%s %s: %w", op, f.name, fs.ErrClosed)
	}
	return nil
}

// Pwritev implements device.File. An error, of the hook, of the power or of the space, may leave a part written. Of a file that was opened for
// durable writes it is a write and a sync: what can happen between the two can happen to a device that is half done.
func (f *file) Pwritev(bufs [][]byte, pos int64) (int, error) {
	n, err := f.write(bufs, pos)
	if f.durable && err == nil {
		err = f.Sync()
	}
	return n, err
}

func (f *file) write(bufs [][]byte, pos int64) (int, error) {
	b := slices.Concat(bufs...)
	if err := f.begin(Write); err != nil {
		f.dir.mu.Lock()
		defer f.dir.mu.Unlock()
		if !f.dir.off && !f.closed {
			f.node.write(b[:f.dir.rand.IntN(len(b)+1)], pos)
		}
		return 0, err
	}
	defer f.dir.mu.Unlock()
	half, err := f.dir.step(Write, f.name)
	switch {
	case half:
		b = b[:f.dir.rand.IntN(len(b)+1)]
	case err != nil:
		return 0, err
	}
	if room := f.room(pos + int64(len(b))); room < pos+int64(len(b)) {
		b = b[:max(0, room-pos)]
		err = fmt.Errorf("write %s at %d: %w", f.name, pos+int64(len(b)), unix.ENOSPC)
	}
	f.node.write(b, pos)
	f.dir.touch(f.node)
	return len(b), err
}

// room is how far the file can reach, at most end.
func (f *file) room(end int64) int64 {
	has := f.node.allocated()
	if f.dir.space == 0 || end <= has {
		return end
	}
	return min(end, has+max(0, f.dir.space-f.dir.used())/pageBytes*pageBytes)
}

// Pread implements device.File.
func (f *file) Pread(b []byte, pos int64) (int, error) {
	if err := f.begin(Read); err != nil {
		return 0, err
	}
	defer f.dir.mu.Unlock()
	return f.read(b, pos)
}

func (f *file) read(b []byte, pos int64) (int, error) {
	n := 0
	if pos < int64(len(f.node.mem)) {
		n = copy(b, f.node.mem[pos:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// PreadNowait implements device.File.
func (f *file) PreadNowait(b []byte, pos int64) (int, error) {
	if !f.Resident(pos, int64(len(b))) {
		return 0, fmt.Errorf("read %s at %d: %w", f.name, pos, device.ErrCold)
	}
	n, err := f.Pread(b, pos)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadCold implements device.File.
func (f *file) ReadCold(b []byte, pos int64) (int, error) { return f.Pread(b, pos) }

// Reserve implements device.File.
func (f *file) Reserve(from, length int64) error { return f.reserve(from, length, 1) }

// ReserveSpare implements device.File.
func (f *file) ReserveSpare(from, length int64) error { return f.reserve(from, length, 2) }

func (f *file) reserve(from, length, parts int64) error {
	if length <= 0 {
		return nil
	}
	if err := f.begin(Reserve); err != nil {
		return err
	}
	defer f.dir.mu.Unlock()
	half, err := f.dir.step(Reserve, f.name)
	if err != nil && !half {
		return err
	}
	if grows := wholePages(from+length) - f.node.allocated(); f.room(from+length) < from+length ||
		grows > 0 && f.dir.space > 0 && f.dir.space-f.dir.used()-grows < f.dir.keep/parts {
		return fmt.Errorf("reserve %d bytes at %d of %s: %w: %w", length, from, f.name, device.ErrNoSpace, unix.ENOSPC)
	}
	f.node.reserved = max(f.node.reserved, from+length)
	return err
}

// Trim implements device.File.
func (f *file) Trim(size int64) error {
	if err := f.begin(Trim); err != nil {
		return err
	}
	defer f.dir.mu.Unlock()
	if int64(len(f.node.mem)) != size {
		return fmt.Errorf("trim %s to %d bytes, but it has %d: %w", f.name, size, len(f.node.mem), unix.EINVAL)
	}
	half, err := f.dir.step(Trim, f.name)
	if err == nil || half {
		f.node.reserved = size
	}
	return err
}

// Cut implements device.File.
func (f *file) Cut(size int64) error {
	if err := f.begin(Cut); err != nil {
		return err
	}
	defer f.dir.mu.Unlock()
	if size > int64(len(f.node.mem)) {
		return fmt.Errorf("cut %s to %d bytes, but it has %d: %w", f.name, size, len(f.node.mem), unix.EINVAL)
	}
	half, err := f.dir.step(Cut, f.name)
	if err == nil || half {
		f.node.resize(size)
		f.node.reserved = size
	}
	return err
}

// Date implements device.File.
func (f *file) Date(modified int64) {
	f.dir.mu.Lock()
	defer f.dir.mu.Unlock()
	f.node.modified = modified
}

// Sync implements device.File. One that a hook fails marks the pages clean without storing them.
func (f *file) Sync() error {
	if err := f.begin(Sync); err != nil {
		f.dir.mu.Lock()
		defer f.dir.mu.Unlock()
		if !f.dir.off {
			f.node.forget()
		}
		return err
	}
	defer f.dir.mu.Unlock()
	if _, err := f.dir.step(Sync, f.name); err != nil {
		return err
	}
	f.node.store()
	return nil
}

// Push implements device.File. What is stored before a sync is the power's choice in any case.
func (f *file) Push(pos, length int64) {}

// Resident implements device.File.
func (f *file) Resident(pos, length int64) bool {
	f.dir.mu.Lock()
	cold := f.dir.cold
	f.dir.mu.Unlock()
	return cold == nil || !cold(f.name, pos, length)
}

// Map implements device.File with memory of its own that later writes reach as well. A touch behind the end of the file reads zeros
// where a real mapping faults.
func (f *file) Map(length int64) ([]byte, error) {
	if err := f.begin(Read); err != nil {
		return nil, err
	}
	defer f.dir.mu.Unlock()
	b, err := unix.Mmap(-1, 0, int(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of %s: %w", length, f.name, err)
	}
	copy(b, f.node.mem)
	f.node.maps = append(f.node.maps, b)
	f.dir.mapping[&b[0]] = f.node
	return b, nil
}

// Unmap implements device.File.
func (f *file) Unmap(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	f.dir.mu.Lock()
	defer f.dir.mu.Unlock()
	return f.dir.unmap(b)
}

func (d *Dir) unmap(b []byte) error {
	n := d.mapping[&b[0]]
	if n == nil {
		return fmt.Errorf("unmap: %w", unix.EINVAL)
	}
	delete(d.mapping, &b[0])
	n.maps = slices.DeleteFunc(n.maps, func(m []byte) bool { return &m[0] == &b[0] })
	return unix.Munmap(b)
}

// Discard unmaps what is still mapped: for a simulated process that died without. Nothing may look at its mappings any more.
func (d *Dir) Discard() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.mapping {
		for len(n.maps) > 0 {
			if err := d.unmap(n.maps[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Size implements device.File.
func (f *file) Size() (int64, error) {
	f.dir.mu.Lock()
	defer f.dir.mu.Unlock()
	return int64(len(f.node.mem)), nil
}

// Fd implements device.File.
func (f *file) Fd() int { return -1 }

// Close implements device.File.
func (f *file) Close() error {
	f.dir.mu.Lock()
	defer f.dir.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	if f.dir.opened[f.node]--; f.dir.opened[f.node] == 0 {
		delete(f.dir.opened, f.node)
	}
	return nil
}
