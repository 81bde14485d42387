// Package device is the only one that opens, writes, syncs or deletes files. A Dir is one log directory; every path is
// relative to it and cannot leave it, not even over a symbolic link. A File is one open file.
//
// Whoever opens a File owns its descriptor; one owner at a time, except that reads and Sync may run beside a write. Calls
// that can wait for a disk do wait (they are ordinary system calls, never raw ones): run them on a helper. The ones a shard may
// make itself say so. The package retries interrupted calls and short transfers, and nothing else: a failed write or sync is
// reported once and is final for the directory, because the kernel marks the lost pages clean (fsyncgate).
//
// It refuses to cache, to buffer, to start goroutines and to know what the bytes mean.
package device

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// Dir is one log directory. The second implementation is in memory, tears and forgets.
type Dir interface {
	// Create makes a new file, mode 0600, open for reading and writing. It fails with fs.ErrExist if the name is taken, and
	// with ErrNoSpace if the disk is full.
	// The name is durable after SyncDir of its folder.
	Create(path string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(path string) (File, error)
	// OpenDurable opens an existing file whose Pwritev waits until the bytes are durable, and is final when it fails, as Sync is. Buffers
	// from Aligned that are written whole boundaries at a time (see Boundary) go past the page cache where the file system can do that.
	// The file must not grow by it. Such a Pwritev is for a helper.
	OpenDurable(path string) (File, error)
	// Mkdir makes a folder, mode 0700, and its parents; one that exists is fine.
	Mkdir(path string) error
	// Rename moves a file or folder, replacing a file that has the new name.
	Rename(from, to string) error
	// Remove deletes a file or an empty folder.
	Remove(path string) error
	// RemoveAll deletes a folder with all it holds; one that does not exist is fine.
	RemoveAll(path string) error
	// List returns the entries of a folder in ascending order of name.
	List(path string) ([]Entry, error)
	// SyncDir makes the names in a folder durable. Once one has failed, each fails, and SyncAll: it would say nothing of the names that one has lost.
	SyncDir(path string) error
	// SyncAll makes everything durable that any process has done in the file system so far: bytes, lengths and names, by one call that
	// costs as much as what is dirty there, whosever it is. For many files at once.
	SyncAll() error
	// Replace writes a small file as a whole: a reader, and a start after a power cut, sees the old or the new one. ErrNoSpace when the
	// disk is full: the old one stands.
	Replace(path string, data []byte) error
	// ReadFile returns a whole file of at most max bytes; a larger one is an error.
	ReadFile(path string, max int64) ([]byte, error)
	// Lock takes the exclusive lock of a file, which is made when missing; ErrLocked, with the holder where known, when
	// another process has it. The lock ends with Close or with the process.
	Lock(path string) (io.Closer, error)
	// Path is where the directory lies, for messages.
	Path() string
}

// File is one open file.
type File interface {
	// Pwritev writes all buffers, one behind the other, at pos: everything or an error. The shard may call it: it goes to the
	// page cache.
	Pwritev(bufs [][]byte, pos int64) (int, error)
	// Pread fills b from pos. It returns io.EOF with the bytes there are when the file ends before.
	Pread(b []byte, pos int64) (int, error)
	// PreadNowait is Pread of what memory holds: never waits for the disk. It returns ErrCold when the first byte is not in
	// memory; fewer bytes without an error when the rest is not, or when the file ends. At the end of the file it returns io.EOF.
	PreadNowait(b []byte, pos int64) (int, error)
	// ReadCold is Pread that leaves nothing behind in the page cache where the kernel can do that (6.14, RWF_DONTCACHE).
	ReadCold(b []byte, pos int64) (int, error)
	// Reserve makes sure that writes to [from, from+length) find space, without moving the end of the file. ErrNoSpace when
	// there is none: admission control, not a failed write. A file system that cannot reserve is not an error.
	Reserve(from, length int64) error
	// ReserveSpare is Reserve that may take half of what KeepFree keeps.
	ReserveSpare(from, length int64) error
	// Trim gives back what is reserved behind size, which must be the size of the file: a file is never cut (see Cut).
	Trim(size int64) error
	// Cut shortens a file that nobody has been sent a byte of. Recovery alone calls it.
	Cut(size int64) error
	// Sync makes the bytes and the length durable (fdatasync).
	Sync() error
	// Push has the kernel begin to store [pos, pos+length), so that the next Sync finds little left and does not crowd the disk. Nothing is
	// durable by it, and what fails in it the next Sync reports. It may wait for room in the disk's queue.
	Push(pos, length int64)
	// Date sets Entry.Modified, for a file that takes the place of an older one. A file system that cannot do that is no error: the file passes for younger.
	Date(modified int64)
	// Resident reports whether all of [pos, pos+length) is in memory. The shard may call it; it costs about 1 us.
	Resident(pos, length int64) bool
	// Map shares the first length bytes, read only. It may reach beyond the end of the file, but a touch there is a fault.
	Map(length int64) ([]byte, error)
	// Unmap ends a mapping that Map returned.
	Unmap(b []byte) error
	// Size is the length of the file in bytes.
	Size() (int64, error)
	// Fd is the descriptor, for sendfile; -1 where there is none.
	Fd() int
	// Close closes the descriptor. Mappings live on.
	Close() error
}

// Entry is one name in a folder.
type Entry struct {
	Name  string
	IsDir bool
	Size  int64 // bytes; of a folder, meaningless
	// Modified is when a file's content last changed, by the wall clock of then, in milliseconds since the Unix epoch; 0 where nobody knows.
	Modified int64
}

// FolderError is a failed sync of a folder. Names that were made or removed in it may not survive a power cut, whoever made them, and no later
// sync of it will say so.
type FolderError struct {
	Folder string
	Err    error
}

func (e *FolderError) Error() string { return fmt.Sprintf("sync folder %s: %v", e.Folder, e.Err) }
func (e *FolderError) Unwrap() error { return e.Err }

// Names is whether the names of a Dir can still be made durable. The zero value says yes. Safe for use by several goroutines.
type Names struct{ lost atomic.Pointer[FolderError] }

// Lose notes a failed sync of a folder, and returns the first there was.
func (n *Names) Lose(e *FolderError) error {
	n.lost.CompareAndSwap(nil, e)
	return n.Lost()
}

// Lost is the first failed sync of a folder, nil if there was none.
func (n *Names) Lost() error {
	if e := n.lost.Load(); e != nil {
		return e
	}
	return nil
}

var (
	// ErrCold says that bytes are on the disk only; a helper must read them.
	ErrCold = errors.New("not in memory")
	// ErrNoSpace says that the disk or a quota is full, where nothing is lost by it: a reservation, a new name, or a file that is to
	// take the place of another. A write that meets it is a failed write like any other.
	ErrNoSpace = errors.New("no space left")
	// ErrLocked says that another process works in the directory.
	ErrLocked = errors.New("locked by another process")
	// ErrTooLarge says that a file is larger than its reader allows.
	ErrTooLarge = errors.New("file too large")
)
