// Package audit reads the whole data of a node that does not run, in one log directory or several, and says what is wrong with it: whose it is, the metadata log, the
// journal, every batch and record of every partition, indexes, checkpoints and producer snapshots. It changes nothing but the lock it holds meanwhile, and
// refuses to mend: a start mends what can be mended without loss, and the rest is for a person to decide. It blocks; programs call it.
package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/entries"
	"pinion/disk/identity"
	"pinion/disk/journal"
	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/config"
	"pinion/engine/control"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/producer"
)

// Report is what Check found.
type Report struct {
	Directory  string    `json:"directory"`
	Cluster    string    `json:"cluster"`
	Node       int32     `json:"node"`
	Topics     int       `json:"topics"`
	Partitions int       `json:"partitions"`
	Segments   int       `json:"segments"`
	Batches    int64     `json:"batches"`
	Records    int64     `json:"records"`
	Bytes      int64     `json:"bytes"`
	Journal    Journal   `json:"journal"`
	Findings   []Finding `json:"findings"`
}

// Journal is what the journal holds.
type Journal struct {
	Records int   `json:"records"`
	Bytes   int64 `json:"bytes"`
	Batches int   `json:"batches_segments_lack"`
}

// Finding is one thing that is not as it should be.
type Finding = log.Finding

// Sound reports whether nothing that was found is damage.
func (r *Report) Sound() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Damage() })
}

func (r *Report) find(file string, mended bool, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{File: file, Reason: fmt.Sprintf(format, args...), Mended: mended})
}

// note is find for what is harmless.
func (r *Report) note(file, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{File: file, Reason: fmt.Sprintf(format, args...), Harmless: true})
}

// Check reads the log directories of a node, one report each. The error says why that was not possible: one is not a broker's
// (identity.Refusal), a broker works in it (device.ErrLocked), or the disk does not read.
func Check(paths ...string) ([]*Report, error) {
	var c check
	defer c.close()
	for _, path := range paths {
		if err := c.open(path); err != nil {
			return nil, err
		}
	}
	if err := c.metadata(); err != nil {
		return nil, err
	}
	for _, d := range c.directories {
		if err := c.read(d); err != nil {
			return nil, err
		}
	}
	c.others()
	var reports []*Report
	for _, d := range c.directories {
		reports = append(reports, d.report)
	}
	return reports, nil
}

// check is one look at a node.
type check struct {
	directories []*directory
	image       *placement.Image // nil: no metadata log was given, or it is damaged
}

// directory is one of its log directories.
type directory struct {
	path   string
	dir    device.Dir
	claim  *identity.Claim
	id     model.DirectoryID
	report *Report
}

func (c *check) close() {
	for _, d := range c.directories {
		d.claim.Close()
	}
}

func (c *check) open(path string) error {
	dir, err := device.OpenToRead(path)
	if err != nil {
		return err
	}
	claim, err := identity.Inspect(dir)
	if err != nil {
		return err
	}
	d := &directory{path: path, dir: dir, claim: claim, report: &Report{Directory: path, Cluster: claim.Cluster, Node: int32(claim.Node), Findings: []Finding{}}}
	d.id, _ = model.ParseDirectoryID(claim.Directory) // a node that has one directory needs none that can be read
	if len(c.directories) > 0 {
		if first := c.directories[0].claim; first.Cluster != claim.Cluster || first.Node != claim.Node {
			d.report.find(identity.File, false, "belongs to node %d of cluster %s, and %s does not", claim.Node, claim.Cluster, c.directories[0].path)
		}
	}
	if said := logdir.Testament(dir); said != "" {
		d.report.find(".", true, "the directory was fenced, %s", said)
	}
	c.directories = append(c.directories, d)
	return nil
}

// metadata reads the metadata log, in whichever directory it is. The error says that nobody could tell what is in it.
func (c *check) metadata() error {
	at := slices.IndexFunc(c.directories, func(d *directory) bool {
		founded, err := entries.Founded(d.dir, control.Folder) // an empty folder is none
		return founded || err != nil
	})
	if at < 0 {
		first := c.directories[0]
		if len(c.directories) == 1 && !first.begun() {
			first.report.find(control.Folder, true, "not there yet: the first start was interrupted, or another log directory has it")
			return nil
		}
		first.report.find(control.Folder, false, "no directory that was named holds the metadata log: name the one that has it as well")
		return nil
	}
	d := c.directories[at]
	image, err := metadata(d.path, d.claim)
	switch {
	case errors.Is(err, errNotCopied):
		return err
	case err != nil:
		d.report.find(control.Folder, false, "%v", err)
		return nil
	}
	c.image = image
	for _, d := range c.directories {
		d.report.Topics = image.TopicCount()
	}
	return nil
}

// begun reports whether a directory has partitions or a journal: a first start makes the metadata log before them.
func (d *directory) begun() bool {
	entries, err := d.dir.List(".")
	return err != nil || slices.ContainsFunc(entries, func(e device.Entry) bool {
		_, _, partition := log.ParseFolder(e.Name)
		return partition && e.IsDir || e.Name == journal.Folder
	})
}

func (c *check) read(d *directory) error {
	var points map[model.Partition]model.Offset
	if c.image != nil {
		var err error
		points, err = logdir.RecoveryPoints(d.dir, c.image)
		switch {
		case device.IsUnreadable(err): // a start refuses the directory
			d.report.find(".", false, "%v", err)
		case err != nil:
			return err
		}
	}
	contents, err := d.report.journal(d.dir)
	if err != nil {
		return err
	}
	return c.partitions(d, points, contents)
}

// others notes what lies in directories that were not given: nobody has looked at that.
func (c *check) others() {
	if c.image == nil {
		return
	}
	first := c.directories[0]
	counts, names := map[model.DirectoryID]int{}, map[model.DirectoryID]string{}
	if b := c.image.Broker(first.claim.Node); b != nil {
		for _, k := range b.Directories {
			if !slices.ContainsFunc(c.directories, func(d *directory) bool { return d.id == k.ID }) {
				names[k.ID] = k.Path
			}
		}
	}
	for topic := range c.image.Topics {
		for i := range topic.Partitions() {
			counts[topic.Partition(i).DirectoryOn(first.claim.Node)]++
		}
	}
	for id, path := range names {
		if counts[id] > 0 {
			first.report.note(path, "has %d partitions and was not looked at: name it as well (directory.id %s)", counts[id], id)
		}
	}
}

// partitions reads every partition there is a folder of, or that only the journal or the recovery points know.
func (c *check) partitions(d *directory, points map[model.Partition]model.Offset, contents *journal.Contents) error {
	r, dir, image := d.report, d.dir, c.image
	entries, err := dir.List(".")
	if err != nil {
		return err
	}
	seen := map[model.Partition]bool{}
	for _, e := range entries {
		if p, is, ok := log.ParseCrossing(e.Name); e.IsDir && ok {
			here, err := r.crossing(d, e.Name, p, is, image, openFrom(points[p], contents.Tail(p)))
			if err != nil {
				return err
			}
			seen[p] = seen[p] || here
		}
		name, index, ok := log.ParseFolder(e.Name)
		if !e.IsDir || !ok {
			continue
		}
		var topic *placement.Topic
		p := model.Partition{}
		if image != nil {
			if topic = image.TopicCalled(name); topic != nil {
				p = model.Partition{Topic: topic.ID, Index: index}
				if !d.has(topic, index) {
					r.find(e.Name, true, "the catalogue has this partition in another log directory")
				}
			} else {
				r.find(e.Name, true, "the catalogue has no topic of this name: a start sets the folder aside")
			}
		}
		seen[p] = true
		if err := r.partition(dir, e.Name, openFrom(points[p], contents.Tail(p)), topic); err != nil {
			return err
		}
	}
	if image == nil {
		return nil
	}
	known := map[model.Partition]bool{} // whether the journal knows it
	for p := range points {
		known[p] = false
	}
	for p := range contents.Partitions {
		known[p] = true
	}
	for _, p := range slices.SortedFunc(maps.Keys(known), model.Partition.Compare) {
		topic, journaled := image.TopicByID(p.Topic), known[p]
		switch {
		case seen[p]:
		case topic == nil || p.Index >= topic.Partitions():
			if journaled {
				r.find(journal.Folder, true, "holds records of partition %s, which is deleted", p)
			}
		case !d.has(topic, p.Index): // it has moved to another directory since
		case !journaled && c.elsewhere(d, log.FolderName(topic.Name, p.Index)): // somebody has moved it, and a start finds it there
		default:
			if err := r.partition(dir, log.FolderName(topic.Name, p.Index), openFrom(points[p], contents.Tail(p)), topic); err != nil {
				return err
			}
		}
	}
	return nil
}

// elsewhere reports whether another of the directories has a folder of this name.
func (c *check) elsewhere(d *directory, folder string) bool {
	return slices.ContainsFunc(c.directories, func(other *directory) bool {
		_, err := other.dir.List(folder)
		return other != d && err == nil
	})
}

// crossing judges a folder of a partition that was on its way between two log directories. It is the partition where the catalogue has that in this one.
func (r *Report) crossing(d *directory, folder string, p model.Partition, is log.Crossing, image *placement.Image, from log.OpenFrom) (here bool, err error) {
	if is == log.Future {
		r.find(folder, true, "a copy that was not finished: a start begins it anew, or removes it")
		return false, nil
	}
	var topic *placement.Topic
	if image != nil {
		topic = image.TopicByID(p.Topic)
	}
	if topic == nil || p.Index >= topic.Partitions() || !d.has(topic, p.Index) {
		r.find(folder, true, "on its way between log directories when the node ended: it counts in the other one, and a start removes it here")
		return false, nil
	}
	r.find(folder, true, "on its way between log directories when the node ended: a start gives it its name back")
	return true, r.partition(d.dir, folder, from, topic)
}

// has reports whether the catalogue has a partition in this directory; where it has never named one, in any.
func (d *directory) has(topic *placement.Topic, index int32) bool {
	place := topic.Partition(index)
	if place == nil {
		return true // the topic has fewer: not for this to say
	}
	in := place.DirectoryOn(d.claim.Node)
	return in.IsZero() || in == d.id
}

// journal reads the journal. Where it is damaged nothing of it can be held against the logs; a start refuses the directory then.
func (r *Report) journal(dir device.Dir) (*journal.Contents, error) {
	contents, err := journal.Read(dir, journal.DefaultOptions())
	var damage *journal.Damage
	switch {
	case errors.As(err, &damage):
		r.Findings = append(r.Findings, Finding{File: damage.File, Pos: damage.Pos, Reason: damage.Reason})
		return &journal.Contents{}, nil
	case device.IsUnreadable(err):
		r.find(journal.Folder, false, "%v", err)
		return &journal.Contents{}, nil
	case err != nil:
		return nil, err
	}
	if contents.Torn != "" {
		r.find(journal.Folder, true, "ends with a write that was never finished: %s", contents.Torn)
	}
	r.Journal.Records, r.Journal.Bytes = contents.Records, contents.Bytes
	return contents, nil
}

// openFrom is what a start knows of a partition from the checkpoint and the journal.
func openFrom(recovery model.Offset, tail *journal.Tail) log.OpenFrom {
	from := log.OpenFrom{RecoveryPoint: recovery}
	if tail == nil {
		return from
	}
	from.Durable = tail.Synced
	for i := range tail.Appends {
		e := &tail.Appends[i]
		from.Tail = append(from.Tail, log.TailBatch{Base: e.Base, End: e.End, Segment: e.Segment, Pos: e.Pos, Bytes: e.Bytes})
	}
	return from
}

// errNotCopied says that there is no place for a copy of the metadata log, which tells nothing of the log.
var errNotCopied = errors.New("the metadata log is read from a copy, which TMPDIR has no place for")

// metadata replays the metadata log, from a copy: opening it may cut its torn tail.
func metadata(path string, claim *identity.Claim) (*placement.Image, error) {
	copied, err := os.MkdirTemp("", "pinion-check-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotCopied, err)
	}
	defer os.RemoveAll(copied)
	err = os.CopyFS(filepath.Join(copied, control.Folder), os.DirFS(filepath.Join(path, control.Folder)))
	switch {
	case device.IsUnreadable(err):
		return nil, fmt.Errorf("copy the metadata log: %w", err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errNotCopied, err)
	}
	dir, err := device.OpenDir(copied)
	if err != nil {
		return nil, err
	}
	c, err := control.Open(control.Options{Node: claim.Node, Dir: dir, Clock: clock.Real{}, Cluster: claim.Cluster, Log: slog.New(slog.DiscardHandler)})
	switch {
	case device.IsFull(err): // it writes its last segment anew
		return nil, fmt.Errorf("%w: %w", errNotCopied, err)
	case err != nil:
		return nil, err
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	return c.Image(), c.Run(ended)
}

// compacts reports whether a topic is compacted, as far as its own configuration tells.
func compacts(topic *placement.Topic) bool {
	return topic != nil && config.Default().Stored(topic.Configs).CleanupCompact
}

func (r *Report) partition(dir device.Dir, name string, from log.OpenFrom, topic *placement.Topic) error {
	snapshots, err := partition.Snapshots(dir, name)
	if err != nil {
		return err
	}
	// What the log says of its producers up to the newest snapshot, to hold the snapshot against.
	var replayed *producer.Table
	at := model.Offset(-1)
	if len(snapshots) > 0 {
		at = snapshots[len(snapshots)-1]
	}
	in, err := log.Inspect(dir, name, compacts(topic), from, func(h batch.Header) {
		if h.LastOffset() < at {
			replayed = partition.Replay(replayed, &h, clock.Wall(h.MaxTimestamp))
		}
	})
	if err != nil {
		return err
	}
	earlier := topic != nil && !in.ID.IsZero() && in.ID != topic.ID
	if earlier && (len(from.Tail) > 0 || from.RecoveryPoint > 0) {
		return r.partition(dir, name, log.OpenFrom{}, topic) // what is known is known of the topic that has the name now
	}
	r.Partitions++
	r.Segments += in.Segments
	r.Batches += in.Batches
	r.Records += in.Records
	r.Bytes += in.Bytes
	r.Journal.Batches += in.Tail
	r.Findings = append(r.Findings, in.Findings...)
	if earlier {
		r.find(name, true, "belongs to an earlier topic of this name: a start sets the folder aside")
	}
	for _, s := range snapshots {
		table, err := partition.LoadProducers(dir, name, s)
		switch {
		case errors.Is(err, producer.ErrDamaged), errors.Is(err, device.ErrTooLarge), errors.Is(err, fs.ErrNotExist), device.IsUnreadable(err):
			r.note(fmt.Sprintf("%s/%020d.snapshot", name, s), "%v: the log tells what it said", err)
		case err != nil:
			return err
		case s > in.End:
			r.find(fmt.Sprintf("%s/%020d.snapshot", name, s), true, "from behind the end of the log, %d", in.End)
		case s == at:
			r.producers(fmt.Sprintf("%s/%020d.snapshot", name, s), table, replayed)
		}
	}
	return nil
}

// producers holds a snapshot against what the log says. A producer the log does not show any more is none of its faults, and one that the
// snapshot does not show had expired.
func (r *Report) producers(file string, stored, replayed *producer.Table) {
	told := map[int64]producer.Active{}
	for _, a := range replayed.Active() {
		told[a.ID] = a
	}
	for _, a := range stored.Active() {
		if b, ok := told[a.ID]; ok && a.LastSequence >= 0 && b.LastSequence >= 0 && (a.Epoch != b.Epoch || a.LastSequence != b.LastSequence) {
			r.find(file, false, "producer %d stands at sequence %d of epoch %d, the log says %d of epoch %d", a.ID, a.LastSequence, a.Epoch, b.LastSequence, b.Epoch)
			return
		}
	}
}
