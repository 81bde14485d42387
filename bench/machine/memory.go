package machine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// touchKept is how much memory is left free: for the processes that run.
	touchKept = 1 << 30
	touchStep = 256 << 20
)

// TouchMemory uses every free page of memory once and gives the number of bytes. A guest page that was never used costs a fault in
// the hypervisor at first touch, which makes the first gigabytes through the page cache three to seven times as expensive as all
// that follow. The memory is anonymous and not a file's: a file of that size would be written back, and its writer throttled.
func TouchMemory(ctx context.Context) (touched int64, err error) {
	var held [][]byte
	defer func() {
		for _, b := range held {
			err = errors.Join(err, unix.Munmap(b))
		}
	}()
	for ctx.Err() == nil {
		kib, err := strconv.ParseInt(strings.TrimSuffix(keyed("/proc/meminfo", ":", "MemFree"), " kB"), 10, 64)
		if err != nil {
			return touched, fmt.Errorf("free memory: %w", err)
		}
		if kib<<10 < touchKept+touchStep {
			return touched, nil
		}
		b, err := unix.Mmap(-1, 0, touchStep, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
		if err != nil {
			return touched, fmt.Errorf("touch memory: %w", err)
		}
		held, touched = append(held, b), touched+touchStep
	}
	return touched, ctx.Err()
}
