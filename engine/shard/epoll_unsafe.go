package shard

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"pinion/engine/blocking"
)

// epollRaw collects what is ready, and waits for it for ms at most: the runtime takes this thread to be running. A signal ends the wait, and the
// loop around it always makes ordinary calls, which is what lets the runtime stop the thread.
func epollRaw(epfd int, events []unix.EpollEvent, ms int) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(ms), 0, 0)
	return int(n), errno
}

// epollSleep is epollRaw without a processor of the runtime's: a shard that wakes would else be interrupted as one that has had its own for too long.
func epollSleep(epfd int, events []unix.EpollEvent, ms int) (int, syscall.Errno) {
	n, errno := blocking.SyscallOn(unix.SYS_EPOLL_PWAIT, epfd, unsafe.Pointer(unsafe.SliceData(events)), uintptr(len(events)), uintptr(ms), 0, 0)
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
