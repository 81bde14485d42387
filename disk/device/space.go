package device

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Space is how large the file system of a directory is and how much of it this process may still use, in bytes. It may wait, for a
// network file system for ever: run it on a helper.
func Space(path string) (total, free int64, err error) {
	var st unix.Statfs_t
	err = againErr(func() error { return unix.Statfs(path, &st) })
	if err != nil {
		return 0, 0, fmt.Errorf("size of the file system of %s: %w", path, err)
	}
	return int64(st.Blocks) * int64(st.Frsize), int64(st.Bavail) * int64(st.Frsize), nil
}
