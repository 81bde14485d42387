package conn

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// send is sendmsg of the vectors without the checks and the garbage of the library's wrapper. more tells the kernel that the rest
// of the frame follows at once, so that it does not send a small packet first. A mapped page that cannot be read gives EFAULT.
func send(fd int, vectors [][]byte, more bool) (int, error) {
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
	sent, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), uintptr(flags))
	if errno != 0 {
		return 0, errno
	}
	return int(sent), nil
}
