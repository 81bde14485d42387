package logdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"

	"pinion/disk/device"
	"pinion/disk/entries"
	"pinion/disk/identity"
	"pinion/disk/journal"
	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/placement"
)

// Want is what a node's configuration says of its log directories.
type Want struct {
	Node     model.NodeID
	Paths    []string // log.dirs
	Metadata string   // metadata.log.dir; empty: the first of Paths
	Folder   string   // where the metadata log lies in that
	Reserve  int64    // bytes of each file system that produced records leave free
	Random   io.Reader
}

// List is the log directories of a node.
type List struct {
	All      []*Directory // in the order of the configuration; behind them those that have partitions and are named no more
	Home     *Directory   // one of All: whatever the catalogue does not place lies there
	Metadata *Directory   // where the metadata log lies: Home, unless a directory that is none of All is set aside for it

	// Wishes are the partitions that were on their way to another directory when the last life ended. Immutable after Prepare.
	Wishes []Moved

	want     Want
	absolute []string // Want.Paths
	log      *slog.Logger
}

// Single is the list of a node with one directory.
func Single(d *Directory) *List { return Assemble(0, slog.New(slog.DiscardHandler), d) }

// Assemble is the list of directories that somebody else has opened: a simulator. The metadata log is elsewhere, or in the first.
func Assemble(node model.NodeID, logger *slog.Logger, directories ...*Directory) *List {
	l := &List{want: Want{Node: node}, log: logger, Home: directories[0], Metadata: directories[0]}
	for _, d := range directories {
		l.add(d)
	}
	return l
}

// Of is the directory of an id, which the catalogue has from this list; nil where it is none of it.
func (l *List) Of(id model.DirectoryID) *Directory {
	if id.IsZero() {
		return l.Home
	}
	for _, d := range l.All {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// Open takes the directory of the metadata log, without which no node starts. It refuses what would make a new node of one whose directory is
// elsewhere, or missing.
func Open(want Want, logger *slog.Logger) (*List, error) {
	l := &List{want: want, log: logger}
	for _, p := range want.Paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, fmt.Errorf("log directory: %w", err)
		}
		if slices.ContainsFunc(l.absolute, func(earlier string) bool { return earlier == abs || device.Same(earlier, abs) }) {
			return nil, &identity.Refusal{Path: abs, Text: "is named twice in log.dirs"}
		}
		l.absolute = append(l.absolute, abs)
	}
	metadata := l.absolute[0]
	if want.Metadata != "" {
		var err error
		if metadata, err = filepath.Abs(want.Metadata); err != nil {
			return nil, fmt.Errorf("metadata.log.dir: %w", err)
		}
		if i := slices.IndexFunc(l.absolute, func(path string) bool { return device.Same(path, metadata) }); i >= 0 {
			metadata = l.absolute[i]
		}
	}
	if err := l.lookAround(metadata); err != nil {
		return nil, err
	}
	dir, err := device.OpenDir(metadata)
	if err != nil {
		return nil, fmt.Errorf("log directory: %w", err)
	}
	d := New(dir)
	if i := slices.Index(l.absolute, metadata); i >= 0 {
		d.Name = want.Paths[i]
	}
	if err := l.claim(d, ""); err != nil {
		return nil, err
	}
	l.Metadata = d
	return l, nil
}

// lookAround refuses to begin a metadata log where another directory has it, or is of a node that has begun before.
func (l *List) lookAround(metadata string) error {
	fresh, without := true, false
	if dir, err := device.OpenExisting(metadata); err == nil {
		has, _ := holds(metadata, identity.File)
		fresh = !has
		has, _ = holds(metadata, l.want.Folder)
		if founded, err := entries.Founded(dir, l.want.Folder); err == nil && !founded && slices.ContainsFunc(l.absolute, hasWorked) {
			has = false // an emptied folder, which would get a new log
		}
		without = !fresh && !has && (len(l.absolute) > 1 || hasWorked(metadata)) && identity.Ours(dir)
	}
	for _, path := range l.absolute {
		if path == metadata {
			continue
		}
		if has, _ := holds(path, l.want.Folder); has {
			return &identity.Refusal{Path: path, Text: fmt.Sprintf("holds the metadata log (%s), which belongs into %s: name the directory that has it first in log.dirs, or set metadata.log.dir",
				l.want.Folder, metadata)}
		}
		if has, _ := holds(path, identity.File); has && fresh {
			return &identity.Refusal{Path: metadata, Text: fmt.Sprintf("is empty and would get a new metadata log, but %s is of a node that has started before: is the disk mounted? A new directory goes behind the others in log.dirs", path)}
		}
	}
	for _, path := range l.absolute {
		if without && hasPartitions(path) {
			return &identity.Refusal{Path: metadata, Text: fmt.Sprintf("holds no metadata log (%s), but %s has partitions: name the directory that has it first in log.dirs, or set metadata.log.dir", l.want.Folder, path)}
		}
	}
	return nil
}

// holds reports whether a directory is there and has an entry of that name.
func holds(path, name string) (bool, error) {
	dir, err := device.OpenExisting(path)
	if err != nil {
		return false, err
	}
	entries, err := dir.List(".")
	return slices.ContainsFunc(entries, func(e device.Entry) bool { return e.Name == name }), err
}

// hasWorked reports whether a directory has what a node leaves there once partitions are open in it. One whose first start was interrupted may have taken
// over a Kafka broker's folders, and has none of that.
func hasWorked(path string) bool {
	synced, _ := holds(path, pointsFile)
	journaled, _ := holds(path, journal.Folder)
	return synced || journaled
}

// hasPartitions reports whether a partition's folder is in a directory.
func hasPartitions(path string) bool {
	dir, err := device.OpenExisting(path)
	if err != nil {
		return false
	}
	entries, _ := dir.List(".")
	return slices.ContainsFunc(entries, func(e device.Entry) bool {
		_, _, ok := log.ParseFolder(e.Name)
		return ok && e.IsDir
	})
}

// claim takes the lock of a directory and its identity.
func (l *List) claim(d *Directory, cluster string) (err error) {
	device.KeepFree(d.Dir, l.want.Reserve)
	if d.Claim, err = identity.Open(d.Dir, identity.Want{Node: l.want.Node, Cluster: cluster, Random: l.want.Random}); err != nil {
		return err
	}
	if was := d.Claim.Was; was > 0 && was < identity.Format {
		l.log.Info("log directory raised to the current format: older programs refuse it from now on", "dir", d.Dir.Path(), "was", was, "is", identity.Format)
	}
	d.ID, err = model.ParseDirectoryID(d.Claim.Directory)
	if err != nil && (len(l.absolute) > 1 || l.want.Metadata != "") {
		return errors.Join(&identity.Refusal{Path: d.Dir.Path(), Text: fmt.Sprintf("%s: %v", identity.File, err)}, d.Close())
	}
	l.execute(d)
	return nil
}

// OpenRest takes all other directories. One that is missing, or whose disk does not read, is out of service and the others go on; one that is
// another node's, or somebody's who works in it, is a Refusal.
func (l *List) OpenRest(image *placement.Image) error {
	held := l.held(image)
	for i, path := range l.absolute {
		if path == l.Metadata.Dir.Path() {
			l.add(l.Metadata)
			continue
		}
		d := &Directory{Name: l.want.Paths[i], path: path}
		if err := l.take(d, path, known(image.Broker(l.want.Node), path, held)); err != nil {
			return err
		}
		if other := l.Of(d.ID); !d.ID.IsZero() && other != nil {
			return errors.Join(&identity.Refusal{Path: path, Text: fmt.Sprintf("has the directory.id of %s: one is a copy of the other", other.Name)}, d.Close())
		}
		l.add(d)
	}
	if l.Home = l.Metadata; !slices.Contains(l.All, l.Metadata) {
		l.Home = l.All[0]
		if n := held[model.DirectoryID{}]; n > 0 { // of a node that has always had one directory, which this is: they would be made anew in another
			return &identity.Refusal{Path: l.Metadata.Dir.Path(), Text: fmt.Sprintf("has %d partitions and is not in log.dirs any more: name it there, also where it is metadata.log.dir", n)}
		}
	}
	if b := image.Broker(l.want.Node); b != nil {
		for _, k := range b.Directories {
			if l.Of(k.ID) == nil && held[k.ID] > 0 {
				d := &Directory{Name: k.Path, ID: k.ID, path: k.Path, unnamed: true}
				d.Lose(fmt.Errorf("has %d partitions and is not in log.dirs any more", held[k.ID]))
				l.add(d)
			}
		}
	}
	return nil
}

func (l *List) add(d *Directory) {
	d.At = len(l.All)
	l.All = append(l.All, d)
}

// held counts the partitions of this node by directory.
func (l *List) held(image *placement.Image) map[model.DirectoryID]int {
	held := map[model.DirectoryID]int{}
	for topic := range image.Topics {
		for i := range topic.Partitions() {
			if p := topic.Partition(i); p.ShardOn(l.want.Node) != model.NoShard {
				held[p.DirectoryOn(l.want.Node)]++
			}
		}
	}
	return held
}

// known is the directory that was seen at a path and has partitions, or nil.
func known(b *placement.Broker, path string, held map[model.DirectoryID]int) *placement.Directory {
	if b == nil {
		return nil
	}
	for i := range b.Directories {
		if d := &b.Directories[i]; d.Path == path && held[d.ID] > 0 {
			return d
		}
	}
	return nil
}

// take opens one directory. Where one with partitions was at its path, an empty one is not taken for it: that is what the place of a disk looks
// like that is not mounted.
func (l *List) take(d *Directory, path string, was *placement.Directory) error {
	dir, err := device.OpenExisting(path)
	if errors.Is(err, fs.ErrNotExist) && was == nil {
		dir, err = device.OpenDir(path)
	}
	d.Dir = dir
	has := false
	if err == nil {
		has, err = holds(path, identity.File)
	}
	if was != nil && (err != nil || !has) {
		d.ID = was.ID
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.Lose(errors.New("does not exist, but partitions lie in it: is its disk mounted?"))
	case err != nil:
		d.Lose(err)
	case !has && was != nil:
		d.Lose(fmt.Errorf("holds no %s, but partitions lie in the directory that was here: is its disk mounted? To go on with another disk, name it under another path", identity.File))
	default:
		var refusal *identity.Refusal
		err := l.claim(d, l.Metadata.Claim.Cluster)
		if errors.As(err, &refusal) || errors.Is(err, device.ErrLocked) {
			return err
		}
		if err != nil {
			d.Lose(err)
		}
		return nil
	}
	return nil
}

// Several reports whether the catalogue has to know which directory a replica is in.
func (l *List) Several(image *placement.Image) bool {
	b := image.Broker(l.want.Node)
	return len(l.All) > 1 || l.Metadata != l.Home || b != nil && b.Directories != nil || slices.ContainsFunc(l.All, (*Directory).Cordoned)
}

// Cordon says which directories take no new partitions, as the configuration names them. It reports whether that has changed.
func (l *List) Cordon(paths []string) (changed bool) {
	for _, d := range l.All {
		want := slices.Contains(paths, d.Name)
		changed = d.cordoned.Swap(want) != want || changed
	}
	return changed
}

// Measure looks how much room there is in each directory. It may wait for disks.
func (l *List) Measure() {
	for _, d := range l.All {
		if d.Fenced() == nil {
			scarce, err := device.Scarce(d.Dir.Path(), l.want.Reserve)
			l.measured(d, err == nil && scarce)
		}
	}
}

// measured notes what became of the room in a directory, and says so where that has changed.
func (l *List) measured(d *Directory, full bool) {
	switch was := d.full.Swap(full); {
	case full && !was:
		l.log.Warn("log directory is nearly full: records are refused when what is left is what pinion.disk.reserve keeps free", "dir", d.Name)
	case was && !full:
		l.log.Info("log directory has room again", "dir", d.Name)
	}
}

// Registered is what the catalogue is to know of the directories that the configuration names. Any thread may ask.
func (l *List) Registered() []placement.Directory {
	var all []placement.Directory
	for _, d := range l.All {
		if d.ID.IsZero() || d.unnamed {
			continue // never seen, so nothing is in it; or the catalogue's own word
		}
		r := placement.Directory{ID: d.ID, Path: d.path}
		switch {
		case d.Fenced() != nil:
			r.State = placement.DirectoryOffline
		case d.Cordoned():
			r.State = placement.DirectoryCordoned
		case d.full.Load():
			r.State = placement.DirectoryFull
		}
		all = append(all, r)
	}
	return all
}

// Fenced is why directories are out of service, or nil.
func (l *List) Fenced() error {
	var all error
	for _, d := range l.All {
		all = errors.Join(all, d.failure())
	}
	return all
}

// Failed is why directories were taken out of service in this life, or nil: those that were missing from the start had their word then.
func (l *List) Failed() error {
	var all error
	for _, d := range l.All {
		if !d.Missing() {
			all = errors.Join(all, d.failure())
		}
	}
	return all
}

// Close gives all directories up.
func (l *List) Close() error {
	all := l.Metadata.Close()
	for _, d := range l.All {
		if d != l.Metadata {
			all = errors.Join(all, d.Close())
		}
	}
	return all
}
