package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// touchKept is how much memory is left alone: for the processes that run.
const touchKept = 512 << 20

// TouchMemory uses every free page of memory once, by writing and removing a file in dir, and gives the number of bytes. A guest
// page that was never used costs a fault in the hypervisor at first touch, which makes the first gigabytes through the page cache
// two to seven times as expensive as all that follow.
func TouchMemory(ctx context.Context, dir string) (written int64, err error) {
	kib, err := strconv.ParseInt(strings.TrimSuffix(keyed("/proc/meminfo", ":", "MemFree"), " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("free memory: %w", err)
	}
	f, err := os.CreateTemp(dir, ".touch-")
	if err != nil {
		return 0, fmt.Errorf("touch memory: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := os.Remove(f.Name()); err != nil {
		return 0, fmt.Errorf("touch memory: %w", err)
	}
	chunk := make([]byte, 1<<20)
	for limit := kib<<10 - touchKept; written < limit; written += int64(len(chunk)) {
		if ctx.Err() != nil {
			return written, ctx.Err()
		}
		if _, err := f.Write(chunk); err != nil {
			return written, fmt.Errorf("touch memory: %w", err)
		}
	}
	return written, nil
}
