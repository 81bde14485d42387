package listen

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawAddr receives a peer's address from the kernel; x/sys would put it in a newly allocated interface value.
//
//	0       2        4              8                    24
//	+-------+--------+--------------+--------------------+
//	|family |port BE | IPv4 address |                    |  AF_INET
//	|family |port BE | flow label   | IPv6 address       |  AF_INET6
//	+-------+--------+--------------+--------------------+
//
// family is in host order; the scope id after the IPv6 address is not read.
type rawAddr [unix.SizeofSockaddrAny]byte

// accept4 is raw: the listener is non-blocking, so the call never waits and the scheduler need not be told.
func accept4(fd int, sa *rawAddr) (int, unix.Errno) {
	size := uint32(len(sa))
	conn, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(sa)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(conn), errno
}

func (sa *rawAddr) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16(sa[2:])
	switch binary.NativeEndian.Uint16(sa[0:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(sa[4:8])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(sa[8:24])).Unmap(), port)
	default:
		return netip.AddrPort{}
	}
}
