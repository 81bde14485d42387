package limit

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These calls do not wait, or not long, and the runtime is told nothing of them: its monitor would go on every 20 us on account of threads that are
// never scheduled, and be an eighth of what a loop costs. A broker's shards make their calls like this as well.

// rawWait is how long a thread sleeps in a raw call, in milliseconds, before it gives the runtime its processor.
const rawWait = 2

// waitRaw collects events, after a while in an ordinary call.
func waitRaw(epoll int, events []unix.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), rawWait, 0, 0)
	if errno != 0 || n > 0 {
		return result(n, errno)
	}
	return unix.EpollWait(epoll, events, -1)
}

// readRaw reads from a socket that does not wait.
func readRaw(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return result(n, errno)
}

// sendRaw sends what its socket has room for; with MSG_MORE in flags more follows at once.
func sendRaw(fd int, b []byte, flags uintptr) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL|flags, 0, 0)
	return result(n, errno)
}

// pwriteRaw writes to a file: into the page cache, or for a loop that has nothing else to do until the device has it.
func pwriteRaw(fd int, b []byte, at int64) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_PWRITE64, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(at), 0, 0)
	return result(n, errno)
}

// sendfileRaw sends from a file that is in memory to a socket that does not wait.
func sendfileRaw(fd, from int, at *int64, most int) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDFILE, uintptr(fd), uintptr(from), uintptr(unsafe.Pointer(at)), uintptr(most), 0, 0)
	return result(n, errno)
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
