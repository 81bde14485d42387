package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"pinion/disk/device"
	"pinion/disk/log"
	"pinion/engine/placement"
)

// straySuffix marks a folder whose topic the catalogue does not know, as Kafka does.
const straySuffix = "-stray"

// setStraysAside renames partition folders of topics that are not in the catalogue: a deletion that was agreed on but cut short,
// or a catalogue that was lost. They are never removed here, because of the second case.
func setStraysAside(dir device.Dir, image *placement.Image, logger *slog.Logger) error {
	entries, err := dir.List(".")
	if err != nil {
		return fmt.Errorf("list log directory: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir || !isStray(dir, image, e.Name) {
			continue
		}
		to := e.Name + straySuffix
		for n := 1; ; n++ {
			if _, err := dir.List(to); errors.Is(err, fs.ErrNotExist) {
				break
			}
			to = fmt.Sprintf("%s.%d%s", e.Name, n, straySuffix)
		}
		if err := dir.Rename(e.Name, to); err != nil {
			return fmt.Errorf("set %s aside: %w", e.Name, err)
		}
		logger.Warn("partition of an unknown topic set aside; remove the folder if the topic was deleted", "folder", e.Name, "now", to)
	}
	return nil
}

// isStray reports whether a folder is a partition's, but of no topic the catalogue has. One that does not say whose it is gets the benefit
// of the doubt: opening it tells more.
func isStray(dir device.Dir, image *placement.Image, folder string) bool {
	name, index, ok := log.ParseFolder(folder)
	if !ok {
		return false
	}
	topic := image.TopicCalled(name)
	if topic == nil || index >= topic.Partitions() {
		return true
	}
	id, err := log.FolderTopic(dir, folder)
	return err == nil && !id.IsZero() && id != topic.ID
}
