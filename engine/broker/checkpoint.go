package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"pinion/disk/device"
	"pinion/disk/log"
	"pinion/engine/model"
)

// recoveryFile is Kafka's: a version, a count, then "topic partition offset" a line. Below the offset a log is synced.
const recoveryFile = "recovery-point-offset-checkpoint"

const recoveryBytesMax = 64 << 20

func readRecoveryPoints(dir device.Dir) (map[string]model.Offset, error) {
	text, err := dir.ReadFile(recoveryFile, recoveryBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]model.Offset{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", recoveryFile, err)
	}
	points := make(map[string]model.Offset)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i, line := range lines {
		if i < 2 {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return map[string]model.Offset{}, nil // a damaged checkpoint costs time, not data: everything is read
		}
		offset, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil || offset < 0 {
			return map[string]model.Offset{}, nil
		}
		points[fields[0]+"-"+fields[1]] = model.Offset(offset)
	}
	return points, nil
}

func writeRecoveryPoints(dir device.Dir, points map[string]model.Offset) error {
	return writeCheckpoint(dir, recoveryFile, points)
}

// startFile is Kafka's: the log starts that DeleteRecords moved, in the same form. It is written by a clean stop for a Kafka broker that takes
// the directory over; our own logs have each theirs. A start removes it, because what it says would be wrong after a crash: a topic that is
// deleted and created again would begin at an offset of its predecessor.
const startFile = "log-start-offset-checkpoint"

func removeStarts(dir device.Dir) error {
	if err := dir.Remove(startFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", startFile, err)
	}
	return nil
}

func writeCheckpoint(dir device.Dir, file string, points map[string]model.Offset) error {
	var b strings.Builder
	fmt.Fprintf(&b, "0\n%d\n", len(points))
	for _, name := range slices.Sorted(maps.Keys(points)) {
		cut := strings.LastIndexByte(name, '-')
		fmt.Fprintf(&b, "%s %s %d\n", name[:cut], name[cut+1:], points[name])
	}
	if err := dir.Replace(file, []byte(b.String())); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

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
