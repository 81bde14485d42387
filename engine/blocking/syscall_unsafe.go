// Package blocking makes system calls that are going to wait, for a disk or for somebody else.
//
// An ordinary call only lends the runtime its processor: the runtime's monitor has to take it, 10 ms later where others seem to be free, and is awake
// for that every 20 us at first. With a few helpers in calls that last milliseconds nobody has a processor for a shard that wakes, and the monitor takes 7 % of
// the process's time. These calls give the processor away before. They cost some 300 ns more: not for what is over in microseconds.
package blocking

import (
	"syscall"
	"time"
	"unsafe"
)

// Both are the runtime's own words for a call that is going to wait, kept for those who name them so (go.dev/issue/67401).

//go:linkname entersyscallblock runtime.entersyscallblock
func entersyscallblock()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// Syscall makes a call without pointers, or with such to the heap.
//
// Nothing between the two calls may look at the size of the stack.
//
//go:nosplit
//go:norace
//go:uintptrescapes
func Syscall(trap, a1, a2, a3, a4 uintptr) (uintptr, syscall.Errno) {
	entersyscallblock()
	r, _, errno := syscall.RawSyscall6(trap, a1, a2, a3, a4, 0, 0)
	exitsyscall()
	return r, errno
}

// SyscallOn makes a call on a file with what p points to, which may lie on the stack.
//
//go:nosplit
//go:norace
func SyscallOn(trap uintptr, fd int, p unsafe.Pointer, a3, a4, a5, a6 uintptr) (uintptr, syscall.Errno) {
	entersyscallblock()
	r, _, errno := syscall.RawSyscall6(trap, uintptr(fd), uintptr(p), a3, a4, a5, a6)
	exitsyscall()
	return r, errno
}

// Sleep is more exact than the runtime's, for which another thread has to notice that it is over.
//
//go:nosplit
//go:norace
func Sleep(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	entersyscallblock()
	for errno := syscall.EINTR; errno == syscall.EINTR; { // the runtime's own signals end a sleep, and say what is left of it
		_, _, errno = syscall.RawSyscall6(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), uintptr(unsafe.Pointer(&ts)), 0, 0, 0, 0)
	}
	exitsyscall()
}
