package broker

import (
	"errors"
	"log/slog"

	"pinion/disk/device"
	"pinion/disk/identity"
	"pinion/disk/journal"
	"pinion/engine/commit"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// ReadJournal reads what the segments may lack. A damaged journal refuses the start: going on would take acknowledged records for ones
// that never were.
func ReadJournal(dir device.Dir, log *slog.Logger) (*journal.Contents, error) {
	contents, err := journal.Read(dir, journal.DefaultOptions())
	var damage *journal.Damage
	if errors.As(err, &damage) {
		return nil, &identity.Refusal{Path: dir.Path(), Text: damage.Error()}
	}
	if err != nil {
		return nil, err
	}
	if contents.Records > 0 {
		log.Info("journal read", "records", contents.Records, "bytes", contents.Bytes, "ends", contents.Torn)
	}
	return contents, nil
}

// Behind takes the next step of what a start leaves for when the node serves: it settles the journal once that is in the segments, and has
// the rest opened. It is true once every partition is open. An error is that of a failed start.
func (b *Broker) Behind() (bool, error) {
	if !b.settled {
		left := 0
		b.each(func(t *shard.Turn, set *partition.Set) { left += set.Stats(t).Replaying })
		if left > 0 {
			return false, nil
		}
		if err := b.settleJournal(); err != nil {
			return false, err
		}
		b.settled = true
		b.each(func(t *shard.Turn, set *partition.Set) { set.OpenRest(t) })
	}
	done, all := b.Recovered()
	return done == all, nil
}

func (b *Broker) settleJournal() error {
	opened := make(map[model.Partition]bool)
	b.each(func(t *shard.Turn, set *partition.Set) {
		for _, p := range set.Replayed(t) {
			opened[p] = true
		}
	})
	return SettleJournal(b.dir, b.Control.Image(), b.contents, b.journal, func(p model.Partition) bool { return opened[p] }, b.log)
}

// SettleJournal declares what the journal held unneeded, once it is in the segments and those are synced. What belongs to a partition that
// could not be opened is kept in a file of its own.
func SettleJournal(dir device.Dir, image *placement.Image, contents *journal.Contents, j *commit.Journal, opened func(model.Partition) bool, log *slog.Logger) error {
	var good []model.Partition
	for p := range contents.Partitions {
		topic := image.TopicByID(p.Topic)
		switch {
		case topic == nil || p.Index >= topic.Partitions():
			log.Warn("the journal holds records of a partition that is deleted", "partition", p)
		case opened(p):
			good = append(good, p)
		default:
			log.Error("partition not opened: what the journal holds of it is kept", "partition", p)
			if err := contents.Keep(dir, p); err != nil {
				return err
			}
		}
	}
	if err := j.Settle(); err != nil {
		return err
	}
	for _, p := range good {
		if err := contents.Release(dir, p); err != nil {
			return err
		}
	}
	contents.Forget()
	return nil
}

// JournalStats copies the journal's counters.
func (b *Broker) JournalStats() commit.Stats {
	if b.journal == nil {
		return commit.Stats{}
	}
	return b.journal.Stats()
}

// Fenced is why the log directory is fenced, or nil.
func (b *Broker) Fenced() error { return b.fence.Err() }
