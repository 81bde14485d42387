package device

import (
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pinion/engine/blocking"
	"pinion/engine/clock"
)

// iovPerCall is how many buffers one pwritev takes: the array lies on the stack, 1 KiB. A write that waits for the disk waits once for as many
// as the kernel takes (IOV_MAX), by an array of 16 KiB, which is nothing beside the wait.
const (
	iovPerCall = 64
	iovMax     = 1024
)

// fill makes a vector of as many buffers as it has room for, without the first skip bytes of the first; count is how many.
func fill(iov []unix.Iovec, bufs [][]byte, skip int) (count int) {
	for i := 0; i < len(bufs) && count < len(iov); i++ {
		b := bufs[i]
		if i == 0 {
			b = b[skip:]
		}
		if len(b) == 0 {
			continue
		}
		iov[count].Base = unsafe.SliceData(b)
		iov[count].SetLen(len(b))
		count++
	}
	return count
}

// pwritevWaits is pwritev to a file whose writes wait for the disk.
func pwritevWaits(fd int, bufs [][]byte, skip int, pos int64) (int, unix.Errno) {
	var iov [iovMax]unix.Iovec
	count := fill(iov[:], bufs, skip)
	n, errno := blocking.SyscallOn(unix.SYS_PWRITEV, fd, unsafe.Pointer(&iov[0]), uintptr(count), uintptr(pos), 0, 0)
	return int(n), errno
}

// syncBy is fdatasync(2) or syncfs(2).
func syncBy(trap uintptr, fd int) error {
	if _, errno := blocking.Syscall(trap, uintptr(fd), 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// startSync is sync_file_range(2) with SYNC_FILE_RANGE_WRITE, which waits where the disk has much to do.
func startSync(fd int, pos, length int64) {
	_, _ = blocking.Syscall(unix.SYS_SYNC_FILE_RANGE, uintptr(fd), uintptr(pos), uintptr(length), unix.SYNC_FILE_RANGE_WRITE)
}

// pwritev writes bufs at pos, without the first skip bytes of bufs[0]; it may write less than all.
func pwritev(fd int, bufs [][]byte, skip int, pos int64) (int, unix.Errno) {
	var iov [iovPerCall]unix.Iovec
	count := fill(iov[:], bufs, skip)
	now := clock.Real{}.Now().Mono
	if now < clock.Mono(slowWrites.Load()) {
		n, _, errno := unix.Syscall6(unix.SYS_PWRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(count), uintptr(pos), 0, 0)
		return int(n), errno
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_PWRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(count), uintptr(pos), 0, 0)
	if end := (clock.Real{}).Now().Mono; end.Sub(now) > slowWrite {
		slowWrites.Store(int64(end.Add(slowWritesLast)))
	}
	return int(n), errno
}

// A write into the page cache is over in microseconds and is a raw call: an ordinary one costs a thread that is never scheduled its processor
// time and again. Where the kernel lets writers wait for the disk, though, the runtime must be able to stop the world without them: after one slow
// write all are ordinary calls for a while.
const (
	slowWrite      = 2 * time.Millisecond
	slowWritesLast = time.Second
)

// slowWrites is until when, in monotonic nanoseconds. It orders nothing.
var slowWrites atomic.Int64

// pread reads into b at pos, and may wait; with flags 0 by pread64, which every kernel and filter knows.
func pread(fd int, b []byte, pos int64, flags int) (int, unix.Errno) {
	if len(b) == 0 {
		return 0, 0
	}
	if flags == 0 {
		n, _, errno := unix.Syscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(pos), 0, 0)
		return int(n), errno
	}
	iov := unix.Iovec{Base: unsafe.SliceData(b)}
	iov.SetLen(len(b))
	n, _, errno := unix.Syscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 1, uintptr(pos), 0, uintptr(flags))
	return int(n), errno
}

// preadNow reads what is in memory, and does not wait.
func preadNow(fd int, b []byte, pos int64) (int, unix.Errno) {
	if len(b) == 0 {
		return 0, 0
	}
	iov := unix.Iovec{Base: unsafe.SliceData(b)}
	iov.SetLen(len(b))
	n, _, errno := syscall.RawSyscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 1, uintptr(pos), 0, unix.RWF_NOWAIT)
	return int(n), errno
}

// cachedPages is cachestat(2): how many pages of the range are in the page cache.
func cachedPages(fd int, pos, length int64) (uint64, unix.Errno) {
	span := unix.CachestatRange{Off: uint64(pos), Len: uint64(length)}
	var stat unix.Cachestat_t
	_, _, errno := syscall.RawSyscall6(unix.SYS_CACHESTAT, uintptr(fd), uintptr(unsafe.Pointer(&span)), uintptr(unsafe.Pointer(&stat)), 0, 0, 0)
	return stat.Cache, errno
}

func mapShared(fd, length int) ([]byte, unix.Errno) {
	p, err := unix.MmapPtr(fd, 0, nil, uintptr(length), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, errnoOf(err)
	}
	return unsafe.Slice((*byte)(p), length), 0
}

func unmap(b []byte) unix.Errno {
	return errnoOf(unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b))))
}

func errnoOf(err error) unix.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := err.(unix.Errno); ok {
		return errno
	}
	return unix.EIO
}
