package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"

	"pinion/disk/device"
	"pinion/engine/model"
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

// isStray reports whether a folder is a partition's, but of no topic the catalogue has.
func isStray(dir device.Dir, image *placement.Image, folder string) bool {
	cut := strings.LastIndexByte(folder, '-')
	if cut <= 0 {
		return false
	}
	index, err := strconv.ParseInt(folder[cut+1:], 10, 32)
	if err != nil || index < 0 {
		return false
	}
	topic := image.TopicCalled(folder[:cut])
	if topic == nil || int32(index) >= topic.Partitions() {
		return true
	}
	id, known := folderTopic(dir, folder)
	return known && id != topic.ID
}

// folderTopic reads the topic id in a folder's partition.metadata.
func folderTopic(dir device.Dir, folder string) (model.TopicID, bool) {
	text, err := dir.ReadFile(folder+"/partition.metadata", 4<<10)
	if err != nil {
		return model.TopicID{}, false
	}
	_, value, found := strings.Cut(string(text), "topic_id: ")
	if !found {
		return model.TopicID{}, false
	}
	id, err := model.ParseTopicID(strings.TrimSpace(value))
	return id, err == nil
}
