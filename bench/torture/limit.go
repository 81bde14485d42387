package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// memoryLimit holds a broker to so many bytes of memory.
type memoryLimit struct {
	wrap []string // the command before the broker's
	how  string
	undo func() error
}

// limitMemory prefers a control group of its own (cgroup v2), in which the page cache counts as well. Without one the kernel refuses private
// memory beyond the limit (RLIMIT_DATA), and the runtime is told to stay below it.
func limitMemory(bytes int64) (memoryLimit, error) {
	const root = "/sys/fs/cgroup"
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.subtree_control"))
	if err == nil && strings.Contains(string(controllers), "memory") && os.Geteuid() == 0 {
		group := filepath.Join(root, fmt.Sprintf("pinion-soak-%d", os.Getpid()))
		if err := os.Mkdir(group, 0o755); err != nil {
			return memoryLimit{}, fmt.Errorf("control group: %w", err)
		}
		limit := memoryLimit{how: "memory.max of a control group", undo: func() error { return os.Remove(group) }}
		if err := os.WriteFile(filepath.Join(group, "memory.max"), fmt.Append(nil, bytes), 0o644); err != nil {
			return memoryLimit{}, fmt.Errorf("memory.max: %w", err)
		}
		limit.wrap = []string{"sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, group}
		return limit, nil
	}
	return memoryLimit{
		how:  "RLIMIT_DATA and GOMEMLIMIT, as there is no cgroup v2 with a memory controller here",
		wrap: []string{"env", fmt.Sprintf("GOMEMLIMIT=%d", bytes*9/10), "prlimit", fmt.Sprintf("--data=%d:%d", bytes, bytes), "--"},
		undo: func() error { return nil },
	}, nil
}
