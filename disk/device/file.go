package device

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// file is a File on a real file system.
type file struct {
	fd      int
	name    string // for messages
	root    *root
	durable bool // writes wait for the disk
}

func (f *file) Fd() int { return f.fd }

// Pwritev writes everything, iovPerCall buffers at a time. A short write goes on behind the last byte that went.
func (f *file) Pwritev(bufs [][]byte, pos int64) (int, error) {
	done, skip := 0, 0 // skip counts bytes of bufs[0] already written
	for len(bufs) > 0 {
		if len(bufs[0]) == skip {
			bufs, skip = bufs[1:], 0
			continue
		}
		write := pwritev
		if f.durable {
			write = pwritevWaits
		}
		n, errno := write(f.fd, bufs, skip, pos+int64(done))
		if errno == unix.EINTR || errno == unix.EINVAL && f.undirect() {
			continue
		}
		if errno != 0 {
			return done, fmt.Errorf("write %s at %d: %w", f.name, pos+int64(done), errno)
		}
		if n == 0 {
			return done, fmt.Errorf("write %s at %d: %w", f.name, pos+int64(done), io.ErrShortWrite)
		}
		done += n
		for n > 0 {
			left := len(bufs[0]) - skip
			if n < left {
				skip += n
				break
			}
			n -= left
			bufs, skip = bufs[1:], 0
		}
	}
	return done, nil
}

// undirect has a file that takes no such write past the page cache written through it from now on. It is false when it was already.
func (f *file) undirect() bool {
	flags, err := unix.FcntlInt(uintptr(f.fd), unix.F_GETFL, 0)
	if !f.durable || err != nil || flags&unix.O_DIRECT == 0 {
		return false
	}
	_, err = unix.FcntlInt(uintptr(f.fd), unix.F_SETFL, flags&^unix.O_DIRECT)
	return err == nil
}

func (f *file) Pread(b []byte, pos int64) (int, error) { return f.readFull(b, pos, 0) }

// dontCache is cleared by the first kernel that refuses RWF_DONTCACHE (before 6.14, or a file system without it). It is a
// hint only, so it orders nothing.
var dontCache atomic.Bool

func init() { dontCache.Store(true) }

func (f *file) ReadCold(b []byte, pos int64) (int, error) {
	if dontCache.Load() {
		n, err := f.readFull(b, pos, unix.RWF_DONTCACHE)
		if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
			return n, err
		}
		dontCache.Store(false)
	}
	return f.readFull(b, pos, 0)
}

func (f *file) readFull(b []byte, pos int64, flags int) (int, error) {
	done := 0
	for done < len(b) {
		n, errno := pread(f.fd, b[done:], pos+int64(done), flags)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return done, fmt.Errorf("read %s at %d: %w", f.name, pos+int64(done), errno)
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

func (f *file) PreadNowait(b []byte, pos int64) (int, error) {
	for {
		n, errno := preadNow(f.fd, b, pos)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN || errno == unix.EOPNOTSUPP || errno == unix.ENOSYS:
			return 0, ErrCold // a file system that cannot promise not to wait is always cold
		case errno != 0:
			return 0, fmt.Errorf("read %s at %d: %w", f.name, pos, errno)
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (f *file) Reserve(from, length int64) error { return f.reserve(from, length, 1) }

func (f *file) ReserveSpare(from, length int64) error { return f.reserve(from, length, 2) }

// reserve leaves one part of so many of what KeepFree keeps.
func (f *file) reserve(from, length, parts int64) error {
	if length <= 0 {
		return nil
	}
	if !f.root.keeps(f.fd, length, parts) {
		return fmt.Errorf("reserve %d bytes at %d of %s: %w: the disk is full but for its reserve", length, from, f.name, ErrNoSpace)
	}
	err := againErr(func() error { return unix.Fallocate(f.fd, unix.FALLOC_FL_KEEP_SIZE, from, length) })
	if err == nil || err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		return nil
	}
	return fmt.Errorf("reserve %d bytes at %d of %s: %w", length, from, f.name, noSpace(err))
}

// Trim sets the length to what it is: the kernel then frees the blocks behind it, and no byte of the file changes.
func (f *file) Trim(size int64) error {
	now, err := f.Size()
	if err != nil {
		return err
	}
	if now != size {
		return fmt.Errorf("trim %s to %d bytes, but it has %d: %w", f.name, size, now, unix.EINVAL)
	}
	return f.truncate(size)
}

func (f *file) Cut(size int64) error {
	now, err := f.Size()
	if err != nil {
		return err
	}
	if size > now {
		return fmt.Errorf("cut %s to %d bytes, but it has %d: %w", f.name, size, now, unix.EINVAL)
	}
	return f.truncate(size)
}

func (f *file) truncate(size int64) error {
	if err := againErr(func() error { return unix.Ftruncate(f.fd, size) }); err != nil {
		return fmt.Errorf("set length of %s to %d: %w", f.name, size, err)
	}
	return nil
}

func (f *file) Sync() error {
	if err := againErr(func() error { return syncBy(unix.SYS_FDATASYNC, f.fd) }); err != nil {
		return fmt.Errorf("sync %s: %w", f.name, err)
	}
	return nil
}

func (f *file) Push(pos, length int64) {
	startSync(f.fd, pos, length) // without it Sync has more to do
}

func (f *file) Date(modified int64) {
	at := unix.NsecToTimeval(modified * 1e6)
	_ = unix.Futimes(f.fd, []unix.Timeval{at, at})
}

func (f *file) Map(length int64) ([]byte, error) {
	if length <= 0 || length > math.MaxInt {
		return nil, fmt.Errorf("map %d bytes of %s: %w", length, f.name, unix.EINVAL)
	}
	b, errno := mapShared(f.fd, int(length))
	if errno != 0 {
		return nil, fmt.Errorf("map %d bytes of %s: %w", length, f.name, errno)
	}
	return b, nil
}

func (f *file) Unmap(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if errno := unmap(b); errno != 0 {
		return fmt.Errorf("unmap %s: %w", f.name, errno)
	}
	return nil
}

func (f *file) Size() (int64, error) {
	var stat unix.Stat_t
	if err := againErr(func() error { return unix.Fstat(f.fd, &stat) }); err != nil {
		return 0, fmt.Errorf("stat %s: %w", f.name, err)
	}
	return stat.Size, nil
}

// Close must not be retried: Linux has freed the descriptor even when it reports an interruption.
func (f *file) Close() error {
	if f.fd < 0 {
		return nil
	}
	err := unix.Close(f.fd)
	f.fd = -1
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("close %s: %w", f.name, err)
	}
	return nil
}
