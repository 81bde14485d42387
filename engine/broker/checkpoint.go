package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"pinion/disk/device"
	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
)

// pointsFile says below which offset each log is synced: a version, then "topic-id partition offset" a line. Kafka's file of the same purpose
// goes by names, and would say of a topic that was deleted and created again what was true of its predecessor.
const pointsFile = "pinion-recovery-points"

// The files a clean stop leaves for a Kafka broker that takes the directory over: a version, a count, then "topic partition offset" a line.
// The first is what pointsFile is, the second where DeleteRecords moved a log's start; our own logs have each theirs. A start removes
// them, because they would be wrong after a crash.
const (
	recoveryFile = "recovery-point-offset-checkpoint"
	startFile    = "log-start-offset-checkpoint"
)

const pointsBytesMax = 64 << 20

// Prepare makes a log directory ready for its partitions to be opened: deletions that were cut short are finished, and folders of topics that
// the image does not have are set aside. It opens none of them.
func Prepare(dir device.Dir, image *placement.Image, logger *slog.Logger) (Found, error) {
	entries, err := dir.List(".")
	if err != nil {
		return Found{}, fmt.Errorf("list the log directory: %w", err)
	}
	if _, err := log.RemoveDropped(dir, entries); err != nil {
		return Found{}, fmt.Errorf("finish deletions: %w", err)
	}
	if err := setStraysAside(dir, image, entries, logger); err != nil {
		return Found{}, err
	}
	var found Found
	if found.Seen, err = lastSeen(dir, entries); err != nil {
		return Found{}, err
	}
	if found.Points, err = RecoveryPoints(dir, image); err != nil {
		return Found{}, err
	}
	for _, file := range []string{recoveryFile, startFile} {
		if err := dir.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Found{}, fmt.Errorf("remove %s: %w", file, err)
		}
	}
	return found, nil
}

// Found is what the last life left in a log directory.
type Found struct {
	Points map[model.Partition]model.Offset // recovery points
	Seen   clock.Wall                       // the latest time it left a trace of, 0 if it left none
}

// readPoints reads a file of recovery points, whose lines begin with what partition makes one of. What is damaged costs time, not data:
// logs without a point are read from their start.
func readPoints(dir device.Dir, file string, partition func(topic, index string) (model.Partition, bool)) (map[model.Partition]model.Offset, error) {
	text, err := dir.ReadFile(file, pointsBytesMax)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	points := make(map[model.Partition]model.Offset)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue // version and count
		}
		p, ok := partition(fields[0], fields[1])
		offset, err := strconv.ParseInt(fields[2], 10, 64)
		if ok && err == nil && offset > 0 {
			points[p] = model.Offset(offset)
		}
	}
	return points, nil
}

// WriteRecoveryPoints stores recovery points for the next Prepare, and the time it is as far as this life believes the clock.
func WriteRecoveryPoints(dir device.Dir, points map[model.Partition]model.Offset, believed clock.Wall) error {
	b := []byte("1\n")
	if believed > 0 {
		b = fmt.Appendf(b, "%s%d\n", believedPrefix, believed)
	}
	for _, p := range slices.SortedFunc(maps.Keys(points), model.Partition.Compare) {
		b = fmt.Appendf(b, "%s %d %d\n", p.Topic, p.Index, points[p])
	}
	if err := dir.Replace(pointsFile, b); err != nil {
		return fmt.Errorf("write %s: %w", pointsFile, err)
	}
	return nil
}

// leaveToKafka writes what a Kafka broker would look for after a clean stop.
func leaveToKafka(dir device.Dir, closed []partition.Closed) error {
	points, starts := make(map[string]model.Offset), make(map[string]model.Offset)
	for _, c := range closed {
		points[c.Dir] = c.Recovery
		if c.Start > 0 {
			starts[c.Dir] = c.Start
		}
	}
	return errors.Join(writeCheckpoint(dir, recoveryFile, points), writeCheckpoint(dir, startFile, starts))
}

func writeCheckpoint(dir device.Dir, file string, points map[string]model.Offset) error {
	var b strings.Builder
	fmt.Fprintf(&b, "0\n%d\n", len(points))
	for _, name := range slices.Sorted(maps.Keys(points)) {
		topic, index, _ := log.ParseFolder(name)
		fmt.Fprintf(&b, "%s %d %d\n", topic, index, points[name])
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

// RecoveryPoints is what the last stop, or the last checkpoint before a crash, left in a log directory: below which offset all was durable.
func RecoveryPoints(dir device.Dir, image *placement.Image) (map[model.Partition]model.Offset, error) {
	points, err := readPoints(dir, pointsFile, func(id, index string) (p model.Partition, ok bool) {
		n, err := strconv.ParseInt(index, 10, 32)
		p.Index = int32(n)
		if err == nil {
			p.Topic, err = model.ParseTopicID(id)
		}
		return p, err == nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		points, err = readPoints(dir, recoveryFile, func(name, index string) (p model.Partition, ok bool) {
			n, err := strconv.ParseInt(index, 10, 32)
			topic := image.TopicCalled(name)
			if err != nil || topic == nil {
				return p, false
			}
			return model.Partition{Topic: topic.ID, Index: int32(n)}, true
		})
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return points, nil
}

// believedPrefix begins the line of pointsFile that says what time the last life believed it was. When the file was modified does not tell:
// a clock that is wrong stamps files too, and the next start would believe it.
const believedPrefix = "believed "

// lastSeen is when the last life of this node left something in the log directory: the recovery points are written every minute.
func lastSeen(dir device.Dir, entries []device.Entry) (clock.Wall, error) {
	at := slices.IndexFunc(entries, func(e device.Entry) bool { return e.Name == pointsFile })
	if at < 0 {
		return 0, nil
	}
	text, err := dir.ReadFile(pointsFile, pointsBytesMax)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", pointsFile, err)
	}
	for line := range strings.Lines(string(text)) {
		if said, ok := strings.CutPrefix(line, believedPrefix); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(said), 10, 64); err == nil && n > 0 {
				return clock.Wall(n), nil
			}
		}
	}
	return clock.Wall(entries[at].Modified), nil
}
