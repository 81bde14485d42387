package broker

import (
	"errors"
	"log/slog"

	"pinion/disk/device"
	"pinion/disk/identity"
	"pinion/disk/journal"
	"pinion/engine/commit"
	"pinion/engine/model"
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

// settleJournal declares what the journal held unneeded, once it is in the segments and those are synced. What belongs to a partition that
// could not be opened is kept in a file of its own.
func (b *Broker) settleJournal() error {
	image := b.Control.Image()
	var all, unknown []model.Partition
	for p := range b.contents.Partitions {
		if topic := image.TopicByID(p.Topic); topic == nil || p.Index >= topic.Partitions() {
			unknown = append(unknown, p)
			continue
		}
		all = append(all, p)
	}
	if len(unknown) > 0 {
		b.log.Warn("the journal holds records of partitions that are deleted", "partitions", len(unknown), "first", unknown[0])
	}
	opened := make(map[model.Partition]bool)
	for i, set := range b.Sets {
		<-b.Shards.Shard(model.ShardID(i)).Visit(func(t *shard.Turn) {
			for _, p := range all {
				if set.Serves(t, p) {
					opened[p] = true
				}
			}
		})
	}
	for _, p := range all {
		if opened[p] {
			continue
		}
		b.log.Error("partition not opened: what the journal holds of it is kept", "partition", p)
		if err := b.contents.Keep(b.dir, p); err != nil {
			return err
		}
	}
	if err := b.journal.Settle(); err != nil {
		return err
	}
	for _, p := range all {
		if opened[p] {
			if err := b.contents.Release(b.dir, p); err != nil {
				return err
			}
		}
	}
	b.contents.Forget()
	return nil
}

// JournalStats copies the journal's counters.
func (b *Broker) JournalStats() commit.Stats { return b.journal.Stats() }

// Fenced is why the log directory is fenced, or nil.
func (b *Broker) Fenced() error { return b.fence.Err() }
