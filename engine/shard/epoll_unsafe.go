package shard

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// epollNow collects what is ready without waiting. The call cannot block, so it may be raw; the loop around it always makes
// ordinary calls, which is what lets the runtime stop this thread.
func epollNow(epfd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return int(n), errno
}

// ring wakes a sleeping shard by its eventfd. A full counter already means "awake".
func ring(fd int) {
	one := uint64(1)
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), 8)
}

// unring empties an eventfd.
func unring(fd int) {
	var n uint64
	_, _, _ = syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&n)), 8)
}
