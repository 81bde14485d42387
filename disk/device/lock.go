package device

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lock is a held lock file. Both kinds of lock are taken: flock, which tools look at, and a record lock of the open file, which is
// what a Kafka broker on the same directory would collide with.
type lock struct{ fd int }

// Lock takes the exclusive lock of a file and writes the process id into it. What is only to be read and lies on a read-only file system is locked
// against those who write to it over another mount, if it has a lock file.
func (r *root) Lock(name string) (io.Closer, error) {
	flock, record := unix.LOCK_EX, unix.F_WRLCK
	fd, err := r.openAt(name, unix.O_RDWR|unix.O_CREAT, 0o600)
	if r.reads && err == unix.EROFS {
		flock, record = unix.LOCK_SH, unix.F_RDLCK
		if fd, err = r.openAt(name, unix.O_RDONLY, 0); err == unix.ENOENT {
			return &lock{fd: -1}, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s in %s: %w", name, r.path, err)
	}
	if err := takeLocks(fd, flock, record); err != nil {
		holder := ""
		if err == unix.EWOULDBLOCK || err == unix.EACCES {
			holder, err = lockHolder(fd), ErrLocked
		}
		unix.Close(fd)
		return nil, fmt.Errorf("lock %s in %s%s: %w", name, r.path, holder, err)
	}
	// Only for the message of the next one who tries; that it may fail on a full disk is no reason not to start. It is as long whoever writes it: to cut
	// the file would wait for the disk, behind whatever the last one left it to write.
	_, _ = unix.Pwrite(fd, fmt.Appendf(nil, "%-*d\n", pidWidth, os.Getpid()), 0)
	return &lock{fd: fd}, nil
}

func takeLocks(fd, flock, record int) error {
	if err := againErr(func() error { return unix.Flock(fd, flock|unix.LOCK_NB) }); err != nil {
		return err
	}
	whole := unix.Flock_t{Type: int16(record), Whence: 0, Start: 0, Len: 0}
	return againErr(func() error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &whole) })
}

// pidWidth is how wide a process id is in a lock file: no kernel has longer ones.
const pidWidth = 10

// lockHolder reads who wrote the file, as " (held by process 4711, pinion)", or nothing.
func lockHolder(fd int) string {
	var b [32]byte
	n, err := unix.Pread(fd, b[:], 0)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b[:max(n, 0)]), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 0 {
		return ""
	}
	name := ""
	if comm, err := os.ReadFile(procPath(pid)); err == nil {
		name = ", " + strings.TrimSpace(string(comm))
	}
	return fmt.Sprintf(" (held by process %d%s)", pid, name)
}

func (l *lock) Close() error {
	if l.fd < 0 {
		return nil
	}
	err := unix.Close(l.fd)
	l.fd = -1
	return err
}
