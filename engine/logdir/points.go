package logdir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pinion/disk/device"
	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/model"
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

// Prepare makes a log directory ready for its partitions to be opened: deletions that were cut short are finished, folders of topics that
// the image does not have are set aside, and what the last life has left is read. It opens no partition.
func (d *Directory) Prepare(image *placement.Image, logger *slog.Logger) error {
	entries, err := d.Dir.List(".")
	if err != nil {
		return fmt.Errorf("list the log directory: %w", err)
	}
	if _, err := log.RemoveDropped(d.Dir, entries); err != nil {
		return fmt.Errorf("finish deletions: %w", err)
	}
	if err := setStraysAside(d.Dir, image, entries, logger); err != nil {
		return err
	}
	if d.Seen, err = lastSeen(d.Dir, entries); err != nil {
		return err
	}
	if d.Points, err = RecoveryPoints(d.Dir, image); err != nil {
		return err
	}
	for _, file := range []string{recoveryFile, startFile} {
		if err := d.Dir.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", file, err)
		}
	}
	return nil
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
func (d *Directory) WriteRecoveryPoints(points map[model.Partition]model.Offset, believed clock.Wall) error {
	b := []byte("1\n")
	if believed > 0 {
		b = fmt.Appendf(b, "%s%d\n", believedPrefix, believed)
	}
	for _, p := range slices.SortedFunc(maps.Keys(points), model.Partition.Compare) {
		b = fmt.Appendf(b, "%s %d %d\n", p.Topic, p.Index, points[p])
	}
	if err := d.Dir.Replace(pointsFile, b); err != nil {
		return fmt.Errorf("write %s: %w", pointsFile, err)
	}
	return nil
}

// LeaveToKafka writes what a Kafka broker would look for after a clean stop: by folder, below which offset all is synced, and where
// DeleteRecords has moved the start.
func (d *Directory) LeaveToKafka(points, starts map[string]model.Offset) error {
	return errors.Join(writeCheckpoint(d.Dir, recoveryFile, points), writeCheckpoint(d.Dir, startFile, starts))
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
