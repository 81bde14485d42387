package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Marks count what happened in a run. What a campaign never hits, it has not tested.
type Marks map[string]int

func (m Marks) hit(name string) { m[name]++ }

// Add counts what another run hit.
func (m Marks) Add(other Marks) {
	for name, n := range other {
		m[name] += n
	}
}

// Missing lists the marks of Expected that were never hit.
func (m Marks) Missing() []string {
	var missing []string
	for _, name := range Expected {
		if m[name] == 0 {
			missing = append(missing, name)
		}
	}
	return missing
}

func (m Marks) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%10d %s\n", m[name], name)
	}
	return b.String()
}

// Expected are the marks a full campaign has to hit.
var Expected = []string{
	"append.ok", "append.moved", "append.storage-failed", "append.unknown-partition", "append.out-of-order",
	"fetch.ok", "fetch.moved", "fetch.out-of-range", "fetch.woken",
	"life.killed", "life.cut", "life.stopped", "clock.stepped", "disk.error.write", "disk.error.sync",
	"journal.written", "journal.reused", "journal.refilled",
	"start.together", "start.acknowledged", "stop.together",
	"partition.moved", "directory.fenced", "topic.deleted", "trim.ok",
}
