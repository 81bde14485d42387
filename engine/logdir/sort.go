package logdir

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"pinion/disk/device"
	"pinion/disk/identity"
	"pinion/disk/journal"
	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/placement"
)

// Moved is a partition that was found in another directory than the catalogue has it in: somebody has moved its folder.
type Moved struct {
	Partition model.Partition
	To        *Directory
}

// Prepare makes all directories ready for their partitions to be opened. What goes wrong in one ends the start only where the metadata log is there too.
func (l *List) Prepare(image *placement.Image, options journal.Options) ([]Moved, error) {
	for _, d := range l.All {
		if d.Missing() {
			continue
		}
		err := d.ReadJournal(options, l.log)
		if err == nil {
			err = d.Prepare(image, l.log)
		}
		switch {
		case err == nil:
		case d == l.Metadata:
			return nil, err
		default:
			d.Lose(err)
		}
	}
	var moved []Moved
	if l.Several(image) {
		if err := l.finishCrossings(image); err != nil {
			return nil, err
		}
		for _, d := range l.All {
			if d.Missing() {
				continue
			}
			found, err := l.sort(d, image)
			if err := l.without(d, err); err != nil {
				return nil, err
			}
			moved = append(moved, found...)
		}
		l.Wishes = slices.DeleteFunc(l.Wishes, func(w Moved) bool { return w.To.Missing() })
	}
	return moved, l.usable(image)
}

// without goes on without a directory that an error was met in, unless it is the one no node starts without, or somebody has to decide.
func (l *List) without(d *Directory, err error) error {
	var refusal *identity.Refusal
	if err == nil || d == l.Metadata || errors.As(err, &refusal) {
		return err
	}
	d.Lose(err)
	return nil
}

// usable says which directories are out of service, and refuses to start with none.
func (l *List) usable(image *placement.Image) error {
	held := l.held(image)
	left := 0
	for _, d := range l.All {
		if !d.Missing() {
			left++
			continue
		}
		l.log.Error("log directory out of service: the partitions in it are offline", "directory", d.Name, "partitions", held[d.ID], "err", d.Fenced())
	}
	if left == 0 {
		return &identity.Refusal{Path: l.All[0].Name, Text: "no log directory can be used; the first: " + l.All[0].Fenced().Error()}
	}
	return nil
}

// sort looks for folders that the catalogue has in other directories.
func (l *List) sort(d *Directory, image *placement.Image) (moved []Moved, err error) {
	entries, err := d.Dir.List(".")
	if err != nil {
		return nil, fmt.Errorf("list the log directory: %w", err)
	}
	for _, e := range entries {
		name, index, ok := log.ParseFolder(e.Name)
		topic := image.TopicCalled(name)
		if !e.IsDir || !ok || topic == nil || index >= topic.Partitions() || topic.Partition(index).ShardOn(l.want.Node) == model.NoShard {
			continue
		}
		right := l.Of(topic.Partition(index).DirectoryOn(l.want.Node))
		if right == d {
			continue
		}
		id, err := log.Whose(d.Dir, e.Name)
		if err != nil {
			return nil, err
		}
		if id != topic.ID {
			to, err := log.SetAside(d.Dir, e.Name)
			if err != nil {
				return nil, err
			}
			l.log.Warn("folder set aside: its records are not this topic's", "directory", d.Name, "folder", e.Name, "now", to)
			continue
		}
		p := model.Partition{Topic: topic.ID, Index: index}
		found, err := l.astray(d, right, e.Name, p)
		if err != nil {
			return nil, err
		}
		if found {
			moved = append(moved, Moved{p, d})
		}
	}
	return moved, nil
}

// astray decides on a folder of a partition that belongs into another directory. It counts where that one is here and has none.
func (l *List) astray(d, right *Directory, folder string, p model.Partition) (counts bool, err error) {
	switch {
	case right == nil || right.Missing():
		l.log.Error("folder left alone: its partition lies in a directory that is missing", "directory", d.Name, "folder", folder, "missing", right.said())
		return false, nil
	case has(right.Dir, folder):
		return false, &identity.Refusal{Path: d.Dir.Path(), Text: fmt.Sprintf("holds %s, and so does %s, where it belongs: one of the two has to go", folder, right.Dir.Path())}
	case right.keeps(p):
		return false, &identity.Refusal{Path: d.Dir.Path(), Text: fmt.Sprintf("holds %s, which was moved by hand, but the journal in %s has records of it: move it back and stop the node cleanly first", folder, right.Dir.Path())}
	}
	l.log.Warn("partition found in another directory than it was in", "partition", folder, "was", right.Name, "now", d.Name)
	return true, nil
}

// keeps reports whether the journal has records of a partition that its segments may lack: behind the last recovery point.
func (d *Directory) keeps(p model.Partition) bool {
	tail := d.Found.Tail(p)
	if tail == nil {
		return false
	}
	synced := max(tail.Synced, d.Points[p])
	return slices.ContainsFunc(tail.Appends, func(e journal.Entry) bool { return e.End > synced })
}

// has reports whether a folder is there.
func has(dir device.Dir, folder string) bool {
	_, err := dir.List(folder)
	return !errors.Is(err, fs.ErrNotExist)
}
