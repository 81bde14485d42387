package device

import (
	"os"
	"strconv"
	"strings"
)

// Dirty is how many bytes memory holds for files of this machine that no disk has yet, whosever they are and on whatever file system: what
// SyncAll may have to wait for. 0 where the kernel does not say.
func Dirty() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	sum := int64(0)
	for line := range strings.Lines(string(text)) {
		for _, name := range []string{"Dirty:", "Writeback:"} {
			value, found := strings.CutPrefix(line, name)
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if found && err == nil {
				sum += kilobytes << 10
			}
		}
	}
	return sum
}
