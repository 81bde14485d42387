package logdir

import (
	"fmt"

	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/placement"
)

// crossing is a folder that was found under one of the names of a partition on its way to another directory.
type crossing struct {
	in        *Directory
	found     string
	folder    string // its name when it has arrived
	partition model.Partition
	is        log.Crossing
	right     *Directory // where the catalogue has the partition; nil: nowhere on this node
}

// finishCrossings ends what the last life left under way: of two copies the one that lies where the catalogue says gets its name, and then
// the other goes. Copies that are not finished are wishes to begin anew, the first of a partition even while the directory that counts is missing, so
// that it goes with the topic. Nothing else is touched then.
func (l *List) finishCrossings(image *placement.Image) error {
	all, err := l.crossings(image)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.right == c.in && c.is != log.Future && !c.in.Missing() {
			if err := l.without(c.in, l.name(c)); err != nil {
				return err
			}
		}
	}
	wished := map[model.Partition]bool{}
	for _, c := range all {
		if c.in.Missing() {
			continue
		}
		if err := l.without(c.in, l.finish(c, wished)); err != nil {
			return err
		}
	}
	return nil
}

// finish decides on one of the copies, once those that count have their names.
func (l *List) finish(c crossing, wished map[model.Partition]bool) error {
	switch {
	case c.is == log.Future && c.right != nil && c.right != c.in && !wished[c.partition]:
		wished[c.partition] = true
		l.Wishes = append(l.Wishes, Moved{c.partition, c.in})
	case c.is != log.Future && c.right != nil && c.right.Missing():
		l.log.Error("folder left alone: its partition lies in a directory that is missing", "directory", c.in.Name, "folder", c.found, "missing", c.right.said())
	case c.is != log.Future && c.right != nil && !has(c.right.Dir, c.folder):
		l.log.Error("folder left alone: its partition is not where it belongs", "directory", c.in.Name, "folder", c.found, "belongs into", c.right.Name)
	case c.is != log.Future && c.right == nil:
		to, err := log.SetAside(c.in.Dir, c.found) // it may be the catalogue that is wrong
		if err != nil {
			return err
		}
		l.log.Warn("partition of an unknown topic set aside; remove the folder if the topic was deleted", "directory", c.in.Name, "folder", c.found, "now", to)
	default:
		if err := c.in.Dir.RemoveAll(c.found); err != nil {
			return fmt.Errorf("remove what a partition has left behind: %w", err)
		}
		return c.in.Dir.SyncDir(".")
	}
	return nil
}

// name gives a folder that counts the partition's name. One that has it already is newer, and this one goes.
func (l *List) name(c crossing) error {
	if has(c.in.Dir, c.folder) {
		return nil
	}
	if err := c.in.Dir.Rename(c.found, c.folder); err != nil {
		return fmt.Errorf("name what has arrived: %w", err)
	}
	l.log.Info("partition found on its way between log directories", "partition", c.folder, "in", c.in.Name)
	return c.in.Dir.SyncDir(".")
}

func (l *List) crossings(image *placement.Image) (all []crossing, err error) {
	for _, d := range l.All {
		if d.Missing() {
			continue
		}
		entries, err := d.Dir.List(".")
		if err != nil {
			if err := l.without(d, fmt.Errorf("list the log directory: %w", err)); err != nil {
				return nil, err
			}
			continue
		}
		for _, e := range entries {
			p, is, ok := log.ParseCrossing(e.Name)
			if !e.IsDir || !ok {
				continue
			}
			c := crossing{in: d, found: e.Name, partition: p, is: is}
			if topic := image.TopicByID(p.Topic); topic != nil && p.Index < topic.Partitions() && topic.Partition(p.Index).ShardOn(l.want.Node) != model.NoShard {
				c.folder = log.FolderName(topic.Name, p.Index)
				c.right = l.Of(topic.Partition(p.Index).DirectoryOn(l.want.Node))
			}
			all = append(all, c)
		}
	}
	return all, nil
}
