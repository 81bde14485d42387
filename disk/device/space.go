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

// Scarce reports whether a file system has so little left that reservations are refused soon (KeepFree), or are already: half again of
// what is kept free, or of a twentieth of it where that is less, is all there is.
func Scarce(path string, keep int64) (bool, error) {
	total, free, err := Space(path)
	least := min(keep, total/20)
	return err == nil && keep > 0 && free < least+least/2, err
}
