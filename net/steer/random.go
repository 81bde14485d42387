package steer

import (
	"golang.org/x/sys/unix"
)

// Classic BPF reads the kernel's ancillary values at negative offsets (linux/filter.h).
const (
	adOffset = -0x1000 // SKF_AD_OFF
	adRandom = 56      // SKF_AD_RANDOM
)

// attachRandom draws a listener by lot for each connection. Classic BPF has no memory, so it cannot take turns. Dealing by the
// CPU that received the SYN (SKF_AD_CPU) was rejected: on loopback, and behind a network card with fewer queues than shards, one CPU
// receives everything and one shard would serve it all. Against the kernel's hash the gain is that a client that reconnects
// draws again.
func attachRandom(fd, listeners int) error {
	at := int32(adOffset + adRandom)
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(at)},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(listeners)},
		{Code: unix.BPF_RET | unix.BPF_A},
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}
