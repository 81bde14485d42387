package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// image is an ext4 file system in a file, which can lose power: the ioctl below ends it without writing back, as xfstests do. What was not
// synced is gone then, as far as the kernel had not written it by itself.
type image struct {
	dir  string // holds everything of ours
	file string
	at   string // where it is mounted
	up   bool
}

const imageBytes = 1 << 30 // sparse

// errNoImage says why power cuts cannot be made here.
type errNoImage struct{ why string }

func (e *errNoImage) Error() string { return "power cuts are not possible here: " + e.why }

// newImage makes and mounts a file system of so many bytes below dir.
func newImage(dir string, bytes int64) (*image, error) {
	if os.Geteuid() != 0 {
		return nil, &errNoImage{"not root"}
	}
	for _, tool := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, &errNoImage{tool + " is missing"}
		}
	}
	m := &image{dir: dir, file: filepath.Join(dir, "disk.img"), at: filepath.Join(dir, "mnt")}
	f, err := os.Create(m.file)
	if err == nil {
		err = errors.Join(f.Truncate(bytes), f.Close())
	}
	if err == nil {
		err = os.Mkdir(m.at, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("make disk image: %w", err)
	}
	if err := run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", m.file); err != nil {
		return nil, err
	}
	if err := m.mount(); err != nil {
		return nil, &errNoImage{err.Error()}
	}
	return m, nil
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (m *image) mount() error {
	err := run("mount", "-o", "loop", m.file, m.at)
	m.up = err == nil
	return err
}

func (m *image) unmount() error {
	if !m.up {
		return nil
	}
	if err := run("umount", m.at); err != nil {
		return err
	}
	m.up = false
	return nil
}

func (m *image) close() error { return errors.Join(m.unmount(), os.Remove(m.file)) }

const extShutdown = 0x8004587d // EXT4_IOC_SHUTDOWN

// The ways the power goes: with the file system's own journal written out first, so that names and sizes survive without their
// bytes, or without.
const (
	cutLogFlushed uint32 = 1
	cutAtOnce     uint32 = 2
)

// cut ends the file system now. Whoever has files open gets errors from here on; unmount and mount show what is left.
func (m *image) cut(how uint32) error {
	d, err := os.Open(m.at)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.Fd(), extShutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		return &errNoImage{"ext4 shutdown: " + errno.Error()}
	}
	return nil
}
