package front

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"pinion/disk/device"
)

// unnamed is a log directory whose names cannot be synced any more.
type unnamed struct{ device.Dir }

func (u unnamed) Replace(name string, _ []byte) error {
	return fmt.Errorf("replace %s: %w", name, &device.FolderError{Folder: ".", Err: unix.EIO})
}

// A checkpoint whose sync of the log directory's names fails may have lost the names of others' folders: nothing is acknowledged there any more.
func TestACheckpointThatLosesNamesFences(t *testing.T) {
	n := startNode(t, 1)
	d := n.broker.Directories.All[0]
	d.Dir, n.broken = unnamed{d.Dir}, true
	if err := n.broker.Checkpoint(); err == nil || d.Fenced() == nil {
		t.Errorf("checkpoint: %v, fence: %v", err, d.Fenced())
	}
}
