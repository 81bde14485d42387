package broker

import (
	"golang.org/x/sys/unix"

	"pinion/disk/log"
)

// filesPerShard divides a third of the descriptors this process may open among the shards' segment files; the rest is for connections, which
// cannot be closed and opened again as files can.
func (b *Broker) filesPerShard() int {
	const most = 16_000 // mappings: vm.max_map_count is 65530 by default
	room := min(descriptors()/3, most) / b.Shards.Len()
	return max(64, (room-8)*8/9) // so that log.MostOpen of it is the room
}

// descriptorsAside are for what is neither a segment nor a client: the metadata log, small files while they are read or written,
// listeners, epoll, the admin server.
const descriptorsAside = 64

// ConnectionsRoom is how many clients the process has descriptors for. If they could take those of the files as well, a partition whose
// segment cannot be opened would go offline.
func (b *Broker) ConnectionsRoom() int {
	return max(8, descriptors()-log.MostOpen(b.filesPerShard())*b.Shards.Len()-descriptorsAside)
}

// descriptors is how many this process may open. The runtime has raised the soft limit to the hard one.
func descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur == 0 {
		return 1024
	}
	return int(min(limit.Cur, 1<<30))
}
