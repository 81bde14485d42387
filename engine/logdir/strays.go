package logdir

import (
	"log/slog"

	"pinion/disk/device"
	"pinion/disk/log"
	"pinion/engine/placement"
)

// setStraysAside renames partition folders of topics that are not in the catalogue: a deletion that was agreed on but cut short,
// or a catalogue that was lost. They are never removed here, because of the second case. A folder of an earlier topic of the same name is met
// when it is opened.
func setStraysAside(dir device.Dir, image *placement.Image, entries []device.Entry, logger *slog.Logger) error {
	for _, e := range entries {
		if !e.IsDir || !isStray(image, e.Name) {
			continue
		}
		to, err := log.SetAside(dir, e.Name)
		if err != nil {
			return err
		}
		logger.Warn("partition of an unknown topic set aside; remove the folder if the topic was deleted", "folder", e.Name, "now", to)
	}
	return nil
}

// isStray reports whether a folder is a partition's, but of no topic the catalogue has.
func isStray(image *placement.Image, folder string) bool {
	name, index, ok := log.ParseFolder(folder)
	if !ok {
		return false
	}
	topic := image.TopicCalled(name)
	return topic == nil || index >= topic.Partitions()
}
