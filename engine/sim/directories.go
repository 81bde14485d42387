package sim

import (
	"errors"
	"fmt"

	"pinion/disk/faulty"
	"pinion/engine/catalog"
	"pinion/engine/model"
	"pinion/engine/placement"
)

// drivesMax is how many log directories a node has at most; a seed begins with one to two, and may add one.
const drivesMax = 3

var errMissing = errors.New("is not mounted")

// register has the catalogue know which log directories there are and what they are good for. A node that has had one always says nothing.
func (w *World) register() {
	w.untold = false
	if !w.node.directories.Several(w.catalogue.Image()) {
		return
	}
	named := w.node.directories.Registered()
	if w.limit > 0 && w.full < len(named) && named[w.full].State == placement.DirectoryOpen {
		named[w.full].State = placement.DirectoryFull
	}
	if r := w.apply(catalog.RegisterDirectories(self, w.node.directories.Home.ID, named)); r.Err != nil {
		w.fail(fmt.Errorf("log directories: %w", r.Err))
	}
}

// nextDisks are the disks of the next life, each as something left it; now and then one more.
func (w *World) nextDisks(left func(d *faulty.Dir, seed uint64) *faulty.Dir) []*faulty.Dir {
	var next []*faulty.Dir
	for _, d := range w.node.disks {
		next = append(next, left(d, w.nextDisk()))
	}
	if !w.options.Calm && !w.healing && len(next) < drivesMax && oneIn(w.chance.faults, 8) {
		w.marks.hit("directory.added")
		next = append(next, w.newDisk())
	}
	return next
}

// unmount has a disk be missing in the next life, now and then.
func (w *World) unmount() {
	w.absent = -1
	if n := len(w.node.disks); !w.options.Calm && !w.healing && n > 1 && oneIn(w.chance.faults, 3) {
		w.absent = w.chance.faults.IntN(n)
	}
}

// diskOf is where a partition lies.
func (w *World) diskOf(name model.Partition) *faulty.Dir {
	place := w.catalogue.Image().Partition(name)
	return w.node.disks[w.node.directories.Of(place.DirectoryOn(self)).At]
}

// noteDirectories marks how one directory has ended and others have not.
func (w *World) noteDirectories() {
	ended, left := 0, 0
	for _, d := range w.node.directories.All {
		switch {
		case d.Missing():
		case d.Fenced() != nil:
			ended++
			w.marks.hit("directory.fenced")
		default:
			left++
		}
	}
	if ended > 0 && left > 0 {
		w.marks.hit("directory.fenced.alone")
	}
}

// lookWhere demands that new partitions lie in directories that are good, as long as the catalogue knows of one.
func (w *World) lookWhere(topic *placement.Topic) {
	b := w.catalogue.Image().Broker(self)
	good, bad := 0, 0
	for _, d := range b.Directories {
		if d.State == placement.DirectoryOpen {
			good++
		} else {
			bad++
		}
	}
	if good == 0 || bad == 0 {
		return
	}
	w.marks.hit("directory.avoided")
	for i := range topic.Partitions() {
		if d := b.Directory(topic.Partition(i).DirectoryOn(self)); d.State != placement.DirectoryOpen {
			w.fail(&violation{"directories", fmt.Sprintf("%s-%d was put in %s, which is no good, and another is", topic.Name, i, d.Path)})
		}
	}
}
