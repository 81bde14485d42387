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

func (m Marks) count(name string, n int) {
	if n > 0 {
		m[name] += n
	}
}

// Add counts what another run hit.
func (m Marks) Add(other Marks) {
	for name, n := range other {
		m[name] += n
	}
}

// Missing lists the marks that were never hit and should have been, by a run of so many seeds.
func (m Marks) Missing(seeds int) []string {
	var missing []string
	for _, name := range Expected {
		if m[name] == 0 && (seeds >= campaign || !slices.Contains(rare, name)) {
			missing = append(missing, name)
		}
	}
	return missing
}

// campaign is from how many seeds on a run has to hit every mark.
const campaign = 500

func (m Marks) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%10d %s\n", m[name], name)
	}
	return b.String()
}

// Expected are the marks a full campaign has to hit.
var Expected = []string{
	"append.ok", "append.moved", "append.storage-failed", "append.unknown-partition", "append.out-of-order", "append.no-space", "probe.ok",
	"fetch.ok", "fetch.moved", "fetch.out-of-range", "fetch.waiting", "fetch.along", "fetch.woken", "fetch.crossed", "fetch.storage-failed", "fetch.broken-off",
	"life.killed", "life.cut", "life.stopped", "clock.stepped",
	"disk.error.write", "disk.error.sync", "disk.error.syncdir", "disk.error.read", "disk.error.open", "disk.full", "disk.full.reserve",
	"full.fetch.ok", "full.trim.ok", "full.topic.deleted", "full.retention", "full.over.append.ok",
	"journal.written", "journal.reused", "journal.refilled", "journal.unsettled", "journal.finished",
	"start.together", "start.acknowledged", "stop.together",
	"durability.fsync", "durability.memory", "partition.moved", "directory.fenced", "directory.fenced.alone", "directory.missing", "directory.added", "directory.avoided",
	"relocate.ok", "relocate.done", "relocate.refused", "relocate.resumed", "relocate.crossing", "relocate.full", "relocate.storage-failed", "topic.deleted", "trim.ok", "trim.undeletable",
	"segment.rolled.age", "segment.rolled.bytes", "retention.time", "retention.size", "retention.trimmed",
	"compaction.passed", "compaction.removed", "compaction.outrun", "compaction.tombstone", "compaction.read", "compaction.given-up",
	"compaction.crashed", "compaction.crashed.swap",
}

// rare are those of them that a run of a few seeds may miss.
var rare = []string{
	"compaction.given-up", "compaction.crashed.swap", "compaction.tombstone", "retention.time", "retention.size",
	"full.trim.ok", "full.topic.deleted", "full.retention", "full.over.append.ok", "disk.full", "disk.error.open", "relocate.crossing",
}
