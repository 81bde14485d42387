package sim

import (
	"errors"
	"fmt"
	"io/fs"

	"pinion/disk/device"
	"pinion/disk/log"
)

// sound reads the files of a partition as a check of a directory does: CRCs, offsets, epochs, indexes. What a start mends is no fault of
// files that are being written.
func sound(dir device.Dir, folder string) error {
	in, err := log.Inspect(dir, folder, false, log.OpenFrom{}, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &violation{"C13 files", err.Error()}
	}
	for _, f := range in.Findings {
		if !f.Mended {
			return &violation{"C13 files", fmt.Sprintf("%s, byte %d, offset %d: %s", f.File, f.Pos, f.Offset, f.Reason)}
		}
	}
	return nil
}
