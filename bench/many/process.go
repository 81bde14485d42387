package many

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// process looks at a running broker from outside.
type process int

// descriptors is how many files, sockets and the like it has open.
func (p process) descriptors() int {
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p))
	if err != nil {
		return 0 // it has ended
	}
	return len(names)
}

// mappings is how many regions its address space has.
func (p process) mappings() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p))
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}

// field reads one number of /proc/PID/status.
func (p process) field(name string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return n
		}
	}
	return 0
}

// anonymous is the memory of its own in bytes: heap, stacks, buffers, not what is mapped from files.
func (p process) anonymous() int64 { return p.field("RssAnon") << 10 }

// threads is how many it has; a helper that waits for a disk is one.
func (p process) threads() int { return int(p.field("Threads")) }

// peaks are the most that was seen of a process while it was watched.
type peaks struct{ descriptors, mappings, threads atomic.Int64 }

// watchEvery is how often a process is looked at. What is asserted of it does not depend on the moment: the kernel refuses descriptors and
// mappings beyond its limits whoever looks.
const watchEvery = 5 * time.Millisecond

// watch looks at the process until the returned function is called, which is at the test's end at the latest.
func (p process) watch(tb testing.TB) (*peaks, func()) {
	seen, end, gone := &peaks{}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			seen.descriptors.Store(max(seen.descriptors.Load(), int64(p.descriptors())))
			seen.mappings.Store(max(seen.mappings.Load(), int64(p.mappings())))
			seen.threads.Store(max(seen.threads.Load(), int64(p.threads())))
			select {
			case <-end:
				return
			case <-time.After(watchEvery):
			}
		}
	}()
	ended := false
	stop := func() {
		if !ended {
			ended = true
			close(end)
			<-gone
		}
	}
	tb.Cleanup(stop)
	return seen, stop
}
