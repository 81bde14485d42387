// Package logdir is the log directories of a node (log.dirs). Each has everything of its own that what lies in it depends on: an identity and
// a lock, a journal, a fence, recovery points, the reserve of its disk. What happens to one disk happens to one directory, and the others
// go on. Which partition lies in which is the catalogue's to say (placement.Replica), so that what a disk holds that is missing today is
// offline and not made anew elsewhere.
//
// The room opens directories, sorts what it finds in them and keeps their books at start and stop; whoever does that owns them then. The
// fence alone is for any thread. It refuses to open partitions: those belong to shards (engine/partition).
package logdir

import (
	"fmt"
	"sync/atomic"

	"pinion/disk/device"
	"pinion/disk/identity"
	"pinion/disk/journal"
	"pinion/engine/clock"
	"pinion/engine/commit"
	"pinion/engine/model"
)

// Directory is one log directory of a node.
type Directory struct {
	// Immutable once the node serves.
	Name    string            // its path, as the configuration has it, or as the catalogue remembers it
	ID      model.DirectoryID // zero where nobody knows
	Dir     device.Dir        // nil: it is missing, and fenced from the start
	Claim   *identity.Claim   // nil: missing
	At      int               // place in its List
	Points  map[model.Partition]model.Offset
	Seen    clock.Wall        // the latest time the last life left a trace of here, 0 if it left none
	Found   *journal.Contents // what the journal held at the start; empty once it is in the segments
	Journal *commit.Journal   // nil: small appends are synced in their segments as large ones are

	path    string // absolute
	unnamed bool   // the configuration does not have it any more

	syncing  atomic.Bool // somebody is in SyncAll, and owns unsynced
	unsynced error       // what SyncAll failed of once

	// Written by any thread.
	fence fence
	full  atomic.Bool // its disk has little room left; orders nothing

	cordoned atomic.Bool // takes no new partition; orders nothing
}

// New is a directory that nobody has claimed: the simulator's, a test's.
func New(dir device.Dir) *Directory {
	return &Directory{Name: dir.Path(), Dir: dir, Found: &journal.Contents{}, path: dir.Path()}
}

// Missing reports whether nothing of the directory can be reached. It is fenced then, and Fenced says why.
func (d *Directory) Missing() bool { return d.Dir == nil }

// Cordoned reports whether it takes no new partitions (cordoned.log.dirs). Any thread may ask.
func (d *Directory) Cordoned() bool { return d.cordoned.Load() }

// Full reports whether its disk had little room left when it was looked at last. Any thread may ask.
func (d *Directory) Full() bool { return d.full.Load() }

// Lose takes a directory out of service before anything is open in it: it is missing, or does not read.
func (d *Directory) Lose(err error) {
	err = fmt.Errorf("log directory %s: %w", d.said(), err)
	d.Dir, d.Found, d.Points = nil, &journal.Contents{}, nil
	d.fence.err.Store(&err)
}

// said is how a message names it.
func (d *Directory) said() string {
	if d.ID.IsZero() {
		return d.Name
	}
	return fmt.Sprintf("%s (directory.id %s)", d.Name, d.ID)
}

// Close gives the directory up.
func (d *Directory) Close() error {
	if d.Claim == nil {
		return nil
	}
	return d.Claim.Close()
}
