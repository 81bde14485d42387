package shard

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Both are the runtime's own words for a call that is going to wait, kept for those who name them so (go.dev/issue/67401).

//go:linkname entersyscallblock runtime.entersyscallblock
func entersyscallblock()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// epollSleep waits for ms at most, and gives the runtime its processor before. An ordinary call only lends it: the runtime's monitor has to take it,
// which it is then awake for, every 20 us at first, and a shard that wakes meanwhile is interrupted as one that has had its processor for too long.
// Nothing between the two calls may look at the size of the stack.
//
//go:nosplit
//go:norace
func epollSleep(epfd int, events []unix.EpollEvent, ms int) (int, syscall.Errno) {
	first, room := unsafe.Pointer(unsafe.SliceData(events)), uintptr(len(events))
	entersyscallblock()
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(first), room, uintptr(ms), 0, 0)
	exitsyscall()
	return int(n), errno
}
