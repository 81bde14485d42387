package device

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// root is a Dir on a real file system. Its descriptor is never closed before the process ends: helpers may still be at work.
type root struct {
	fd    int
	path  string
	reads bool         // see OpenToRead
	free  atomic.Int64 // see KeepFree; orders nothing
	names Names
}

// KeepFree has reservations refused (ErrNoSpace) that would leave less than so many bytes of the file system, or less than a twentieth of it
// where that is less: what has no reservation (indexes, checkpoints, the journal, the metadata log) needs room to go on, and so do offsets, for which
// half of it may be reserved (ReserveSpare).
func KeepFree(d Dir, bytes int64) {
	if k, ok := d.(interface{ KeepFree(bytes int64) }); ok {
		k.KeepFree(bytes)
	}
}

// KeepFree is what the function of this name asks for.
func (r *root) KeepFree(bytes int64) { r.free.Store(bytes) }

// keeps reports whether so much can be reserved where one part of so many of what is kept free has to be left.
func (r *root) keeps(fd int, length, parts int64) bool {
	keep := r.free.Load()
	if keep <= 0 {
		return true
	}
	var st unix.Statfs_t
	if err := againErr(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return true // the reservation itself will tell
	}
	total, free := int64(st.Blocks)*int64(st.Frsize), int64(st.Bavail)*int64(st.Frsize)
	return free-length >= min(keep, total/20)/parts
}

// OpenDir opens a log directory and makes it, mode 0700, when it does not exist.
func OpenDir(dir string) (Dir, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", dir, err)
	}
	if err := mkdirSynced(abs); err != nil {
		return nil, fmt.Errorf("make directory %s: %w", dir, err)
	}
	return OpenExisting(abs)
}

// OpenExisting opens a log directory that must be there: fs.ErrNotExist.
func OpenExisting(dir string) (Dir, error) { return openRoot(dir, false) }

// OpenToRead is OpenExisting for those who change nothing: files can only be read, also where the file system allows no more.
func OpenToRead(dir string) (Dir, error) { return openRoot(dir, true) }

func openRoot(dir string, reads bool) (Dir, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", dir, err)
	}
	fd, err := again(func() (int, error) {
		return unix.Open(abs, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", dir, err)
	}
	return &root{fd: fd, path: abs, reads: reads}, nil
}

// Same reports whether two paths lead to one directory, over symbolic links or not. One that does not exist is none.
func Same(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// mkdirSynced makes a folder and its parents, and the new names durable: a data directory must not vanish in a power cut after
// something inside was synced. One that is there and empty may have been made a moment ago, by somebody who did not see to that.
func mkdirSynced(abs string) error {
	parent := filepath.Dir(abs)
	switch info, err := os.Stat(abs); {
	case err == nil && !info.IsDir():
		return unix.ENOTDIR
	case err == nil && isEmpty(abs):
		if err := syncPath(parent); !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil // a folder that we may not open is not one that we have made this in
	case err == nil:
		return nil
	}
	if parent != abs {
		if err := mkdirSynced(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(abs, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncPath(parent)
}

func isEmpty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	return err == io.EOF
}

func syncPath(dir string) error {
	fd, err := again(func() (int, error) { return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return againErr(func() error { return unix.Fsync(fd) })
}

func (r *root) Path() string { return r.path }

// again repeats a call that a signal interrupted.
func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}

func againErr(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// openAt opens name inside the directory. The kernel refuses every way out (RESOLVE_BENEATH); where openat2 is filtered away
// (some containers) the lexical check alone remains.
func (r *root) openAt(name string, flags int, mode uint32) (int, error) {
	if !filepath.IsLocal(name) {
		return -1, fmt.Errorf("%q leaves the directory: %w", name, fs.ErrInvalid)
	}
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC | unix.O_LARGEFILE),
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := again(func() (int, error) {
		for {
			fd, err := unix.Openat2(r.fd, name, &how)
			if err != unix.EAGAIN { // a rename elsewhere raced with the walk
				return fd, err
			}
		}
	})
	if err == unix.ENOSYS || err == unix.EPERM {
		fd, err = again(func() (int, error) { return unix.Openat(r.fd, name, flags|unix.O_CLOEXEC, mode) })
	}
	return fd, err
}

// at calls f with the folder that holds name, and the last part of name.
func (r *root) at(name string, f func(fd int, last string) error) error {
	clean := path.Clean(name)
	dir, last := path.Split(clean)
	if dir == "" {
		if !filepath.IsLocal(clean) || last == "." {
			return fmt.Errorf("%q leaves the directory: %w", name, fs.ErrInvalid)
		}
		return againErr(func() error { return f(r.fd, last) })
	}
	fd, err := r.openAt(strings.TrimSuffix(dir, "/"), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return againErr(func() error { return f(fd, last) })
}

// IsFull reports whether an error says that the disk or a quota is full: for a file that holds nothing yet, which can be given up.
func IsFull(err error) bool {
	return errors.Is(err, ErrNoSpace) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// IsUnreadable reports whether an error says that a device cannot give back what it holds: bad sectors, a file system that finds itself
// damaged, a device that is gone. Trying again is for a person with another disk.
func IsUnreadable(err error) bool {
	for _, errno := range []unix.Errno{unix.EIO, unix.EREMOTEIO, unix.ENODATA, unix.EBADMSG, unix.EUCLEAN, unix.ENXIO, unix.ENODEV} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// noSpace marks an error that says that the disk or a quota is full.
func noSpace(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

func (r *root) Create(name string) (File, error) {
	fd, err := r.openAt(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, noSpace(err))
	}
	return &file{fd: fd, name: name, root: r}, nil
}

func (r *root) Open(name string) (File, error) {
	flags := unix.O_RDWR
	if r.reads {
		flags = unix.O_RDONLY
	}
	fd, err := r.openAt(name, flags, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return &file{fd: fd, name: name, root: r}, nil
}

func (r *root) OpenDurable(name string) (File, error) {
	flags := unix.O_RDWR | unix.O_DSYNC
	if r.direct(name) {
		flags |= unix.O_DIRECT
	}
	fd, err := r.openAt(name, flags, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return &file{fd: fd, name: name, root: r, durable: true}, nil
}

// direct reports whether writes of a file may go past the page cache with buffers and positions on a Boundary. Where the kernel does not say
// (before 6.1, some file systems) they do not.
func (r *root) direct(name string) bool {
	var stat unix.Statx_t
	err := againErr(func() error { return unix.Statx(r.fd, name, 0, unix.STATX_DIOALIGN, &stat) })
	aligned := func(n uint32) bool { return n > 0 && Boundary%n == 0 }
	return err == nil && stat.Mask&unix.STATX_DIOALIGN != 0 && aligned(stat.Dio_mem_align) && aligned(stat.Dio_offset_align)
}

func (r *root) Mkdir(name string) error {
	clean := path.Clean(name)
	if clean == "." {
		return nil
	}
	err := r.at(clean, func(fd int, last string) error { return unix.Mkdirat(fd, last, 0o700) })
	if errors.Is(err, fs.ErrNotExist) {
		if err := r.Mkdir(path.Dir(clean)); err != nil {
			return err
		}
		err = r.at(clean, func(fd int, last string) error { return unix.Mkdirat(fd, last, 0o700) })
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder %s: %w", name, noSpace(err))
	}
	return nil
}

func (r *root) Rename(from, to string) error {
	err := r.at(from, func(fromDir int, fromName string) error {
		return r.at(to, func(toDir int, toName string) error {
			return unix.Renameat(fromDir, fromName, toDir, toName)
		})
	})
	if err != nil {
		return fmt.Errorf("rename %s to %s: %w", from, to, err)
	}
	return nil
}

func (r *root) Remove(name string) error {
	err := r.at(name, func(fd int, last string) error {
		err := unix.Unlinkat(fd, last, 0)
		if err == unix.EISDIR || err == unix.EPERM {
			return unix.Unlinkat(fd, last, unix.AT_REMOVEDIR)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

func (r *root) RemoveAll(name string) error {
	err := r.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	entries, listErr := r.List(name)
	if errors.Is(listErr, fs.ErrNotExist) {
		return nil
	}
	if listErr != nil {
		return err
	}
	for _, e := range entries {
		if err := r.RemoveAll(path.Join(name, e.Name)); err != nil {
			return err
		}
	}
	if err := r.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (r *root) List(name string) ([]Entry, error) {
	fd, err := r.openAt(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	list, err := f.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", name, err)
	}
	entries := make([]Entry, 0, len(list))
	for _, d := range list {
		e := Entry{Name: d.Name(), IsDir: d.IsDir()}
		if e.IsDir {
			entries = append(entries, e) // twenty thousand partitions
			continue
		}
		var stat unix.Stat_t
		err := againErr(func() error { return unix.Fstatat(fd, e.Name, &stat, unix.AT_SYMLINK_NOFOLLOW) })
		if err == unix.ENOENT {
			continue // removed while we listed
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: stat %s: %w", name, e.Name, err)
		}
		e.Size, e.Modified = stat.Size, stat.Mtim.Nano()/1e6
		entries = append(entries, e)
	}
	sortEntries(entries)
	return entries, nil
}

func (r *root) SyncDir(name string) error {
	fd, err := r.openAt(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("sync folder %s: %w", name, err)
	}
	defer unix.Close(fd)
	if err := againErr(func() error { return unix.Fsync(fd) }); err != nil {
		return r.names.Lose(&FolderError{Folder: name, Err: err})
	}
	return r.names.Lost()
}

// SyncAll relies on syncfs reporting failed writeback since the directory was opened, as Linux does from 5.8 on.
func (r *root) SyncAll() error {
	if err := againErr(func() error { return syncBy(unix.SYS_SYNCFS, r.fd) }); err != nil {
		return fmt.Errorf("sync the file system of %s: %w", r.path, err)
	}
	return r.names.Lost()
}

// procPath is where the kernel tells the name of a process.
func procPath(pid int) string { return "/proc/" + strconv.Itoa(pid) + "/comm" }
