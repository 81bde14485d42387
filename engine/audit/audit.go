// Package audit reads a whole data directory that no broker works in and says what is wrong with it: whose it is, the metadata log, the
// journal, every batch and record of every partition, indexes, checkpoints and producer snapshots. It changes nothing but the lock it holds meanwhile, and
// refuses to mend: a start mends what can be mended without loss, and the rest is for a person to decide. It blocks; programs call it.
package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/identity"
	"pinion/disk/journal"
	"pinion/disk/log"
	"pinion/engine/broker"
	"pinion/engine/clock"
	"pinion/engine/control"
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

// Sound reports whether nothing is wrong that a start would not mend.
func (r *Report) Sound() bool {
	for i := range r.Findings {
		if !r.Findings[i].Mended {
			return false
		}
	}
	return true
}

func (r *Report) find(file string, mended bool, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{File: file, Reason: fmt.Sprintf(format, args...), Mended: mended})
}

// Check reads the directory at path. The error says why that was not possible: it is not a broker's (identity.Refusal), a broker works in
// it (device.ErrLocked), or the disk does not read.
func Check(path string) (*Report, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	dir, err := device.OpenDir(path)
	if err != nil {
		return nil, err
	}
	claim, err := identity.Inspect(dir)
	if err != nil {
		return nil, err
	}
	defer claim.Close()
	r := &Report{Directory: path, Cluster: claim.Cluster, Node: int32(claim.Node), Findings: []Finding{}}
	image, err := metadata(path, claim)
	if err != nil {
		r.find(control.Folder, false, "%v", err)
	} else {
		r.Topics = image.TopicCount()
	}
	var points map[model.Partition]model.Offset
	if image != nil {
		if points, err = broker.RecoveryPoints(dir, image); err != nil {
			return nil, err
		}
	}
	contents, err := r.journal(dir)
	if err != nil {
		return nil, err
	}
	return r, r.partitions(dir, points, contents, image)
}

// partitions reads every partition there is a folder of, or that only the journal knows.
func (r *Report) partitions(dir device.Dir, points map[model.Partition]model.Offset, contents *journal.Contents, image *placement.Image) error {
	entries, err := dir.List(".")
	if err != nil {
		return err
	}
	seen := map[model.Partition]bool{}
	for _, e := range entries {
		name, index, ok := log.ParseFolder(e.Name)
		if !e.IsDir || !ok {
			continue
		}
		var topic *placement.Topic
		p := model.Partition{}
		if image != nil {
			if topic = image.TopicCalled(name); topic != nil {
				p = model.Partition{Topic: topic.ID, Index: index}
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
	for p := range contents.Partitions {
		topic := image.TopicByID(p.Topic)
		switch {
		case seen[p]:
		case topic == nil || p.Index >= topic.Partitions():
			r.find(journal.Folder, true, "holds records of partition %s, which is deleted", p)
		default:
			if err := r.partition(dir, log.FolderName(topic.Name, p.Index), openFrom(points[p], contents.Tail(p)), topic); err != nil {
				return err
			}
		}
	}
	return nil
}

// journal reads the journal. Where it is damaged nothing of it can be held against the logs; a start refuses the directory then.
func (r *Report) journal(dir device.Dir) (*journal.Contents, error) {
	contents, err := journal.Read(dir, journal.DefaultOptions())
	var damage *journal.Damage
	switch {
	case errors.As(err, &damage):
		r.Findings = append(r.Findings, Finding{File: damage.File, Pos: damage.Pos, Reason: damage.Reason})
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

// metadata replays the metadata log, from a copy: opening it may cut its torn tail.
func metadata(path string, claim *identity.Claim) (*placement.Image, error) {
	copied, err := os.MkdirTemp("", "pinion-check-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(copied)
	if err := os.CopyFS(filepath.Join(copied, control.Folder), os.DirFS(filepath.Join(path, control.Folder))); err != nil {
		return nil, fmt.Errorf("copy the metadata log: %w", err)
	}
	dir, err := device.OpenDir(copied)
	if err != nil {
		return nil, err
	}
	c, err := control.Open(control.Options{Node: claim.Node, Dir: dir, Clock: clock.Real{}, Cluster: claim.Cluster, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	return c.Image(), c.Run(ended)
}

func (r *Report) partition(dir device.Dir, name string, from log.OpenFrom, topic *placement.Topic) error {
	snapshots, err := partition.Snapshots(dir, name)
	if err != nil {
		return err
	}
	// What the log says of its producers up to the newest snapshot, to hold the snapshot against.
	replayed, at := producer.NewTable(), model.Offset(-1)
	if len(snapshots) > 0 {
		at = snapshots[len(snapshots)-1]
	}
	in, err := log.Inspect(dir, name, from, func(h batch.Header) {
		if h.LastOffset() < at {
			partition.Replay(replayed, &h, clock.Wall(h.MaxTimestamp))
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
		case errors.Is(err, producer.ErrDamaged), errors.Is(err, device.ErrTooLarge), errors.Is(err, fs.ErrNotExist):
			r.find(fmt.Sprintf("%s/%020d.snapshot", name, s), true, "%v: the log tells what it said", err)
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
