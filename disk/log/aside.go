package log

import (
	"fmt"

	"pinion/disk/device"
)

// straySuffix marks a folder that no topic has, as Kafka does.
const straySuffix = "-stray"

// SetAside renames a partition's folder that is not to be opened, and gives its new name. Nothing in it is removed: it may be the catalogue
// that is wrong. It blocks.
func SetAside(dir device.Dir, folder string) (string, error) {
	to := folder + straySuffix
	for n := 1; ; n++ {
		_, err := dir.List(to)
		if isNotExist(err) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("set %s aside: %w", folder, err)
		}
		to = fmt.Sprintf("%s.%d%s", folder, n, straySuffix)
	}
	if err := dir.Rename(folder, to); err != nil {
		return "", fmt.Errorf("set %s aside: %w", folder, err)
	}
	return to, nil // not synced: what a power cut brings back is set aside again
}
