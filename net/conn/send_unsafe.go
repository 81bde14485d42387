package conn

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file do not wait: their sockets are non-blocking, and pages are asked for before they are sent. So they are raw: the runtime
// takes the processor away from whoever has not been scheduled for 10 ms, as no shard ever is, in each ordinary call, and its monitor, that
// does it, then goes on every 20 us instead of every 10 ms. The loop around them makes the ordinary calls that let it stop the thread.

// sendmsg sends the vectors without the checks and the garbage of the library's wrapper. more tells the kernel that the
// rest of the frame follows at once, so that it does not send a small packet first. A mapped page that cannot be read gives EFAULT.
func sendmsg(fd int, vectors [][]byte, more bool) (int, error) {
	if len(vectors) == 1 && !more {
		return send(fd, vectors[0])
	}
	var iov [vectorsMax]unix.Iovec
	n := 0
	for _, v := range vectors {
		if n == vectorsMax {
			more = true
			break
		}
		iov[n].Base = unsafe.SliceData(v)
		iov[n].SetLen(len(v))
		n++
	}
	flags := unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT
	if more {
		flags |= unix.MSG_MORE
	}
	msg := unix.Msghdr{Iov: &iov[0]}
	msg.SetIovlen(n)
	sent, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), uintptr(flags))
	if errno != 0 {
		return 0, errno
	}
	return int(sent), nil
}

// send is sendmsg for the answer that is one piece of bytes, as most are: no vectors to make, which the kernel would copy and check.
func send(fd int, b []byte) (int, error) {
	sent, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sent), nil
}

// sendfile sends from a file at a position, which it moves.
func sendfile(fd, from int, at *int64, most int) (int, error) {
	sent, _, errno := syscall.RawSyscall6(unix.SYS_SENDFILE, uintptr(fd), uintptr(from), uintptr(unsafe.Pointer(at)), uintptr(most), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sent), nil
}

// receive fills first, which may be empty, and then second. A read would go through what the kernel has for files first.
func receive(fd int, first, second []byte) (int, error) {
	var n uintptr
	var errno syscall.Errno
	if len(first) > 0 {
		iov := [2]unix.Iovec{{Base: unsafe.SliceData(first)}, {Base: unsafe.SliceData(second)}}
		iov[0].SetLen(len(first))
		iov[1].SetLen(len(second))
		n, _, errno = syscall.RawSyscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&iov)), uintptr(len(iov)))
	} else {
		n, _, errno = syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(second))), uintptr(len(second)), unix.MSG_DONTWAIT, 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
