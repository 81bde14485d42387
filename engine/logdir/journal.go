package logdir

import (
	"errors"
	"log/slog"

	"pinion/disk/identity"
	"pinion/disk/journal"
	"pinion/engine/commit"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// ReadJournal reads what the segments may lack. A damaged journal is a Refusal: going on would take acknowledged records for ones
// that never were.
func (d *Directory) ReadJournal(options journal.Options, log *slog.Logger) error {
	contents, err := journal.Read(d.Dir, options)
	var damage *journal.Damage
	if errors.As(err, &damage) {
		return &identity.Refusal{Path: d.Dir.Path(), Text: damage.Error()}
	}
	if err != nil {
		return err
	}
	if contents.Records > 0 {
		log.Info("journal read", "directory", d.Name, "records", contents.Records, "bytes", contents.Bytes, "ends", contents.Torn)
	}
	d.Found = contents
	return nil
}

// Begin makes the journal. Nothing is written to it before Settle.
func (d *Directory) Begin(options journal.Options, shards *shard.Set) {
	if !d.Missing() {
		d.Journal = commit.New(d.Dir, options, d.Found, shards)
	}
}

// Settle declares what the journal held unneeded, once it is in the segments and those are synced. What belongs to a partition that
// could not be opened is kept in a file of its own.
//
// What belongs to one that lies in another directory by now is unneeded as well: it went there with all it had.
func (l *List) Settle(d *Directory, image *placement.Image, opened func(model.Partition) bool, log *slog.Logger) error {
	if d.Journal == nil {
		return nil
	}
	var good []model.Partition
	for p := range d.Found.Partitions {
		topic := image.TopicByID(p.Topic)
		switch {
		case topic == nil || p.Index >= topic.Partitions():
			log.Warn("the journal holds records of a partition that is deleted", "partition", p)
		case l.Of(topic.Partition(p.Index).DirectoryOn(l.want.Node)) != d, opened(p):
			good = append(good, p)
		default:
			log.Error("partition not opened: what the journal holds of it is kept", "partition", p)
			if err := d.Found.Keep(d.Dir, p); err != nil {
				return err
			}
		}
	}
	if err := d.Journal.Settle(); err != nil {
		return err
	}
	for _, p := range good {
		if err := d.Found.Release(d.Dir, p); err != nil {
			return err
		}
	}
	d.Found.Forget()
	return nil
}
