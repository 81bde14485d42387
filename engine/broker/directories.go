package broker

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"

	"pinion/disk/device"
	"pinion/disk/journal"
	"pinion/engine/catalog"
	"pinion/engine/clock"
	"pinion/engine/commit"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
)

// openDirectories takes those that the metadata log is not in, and makes all ready.
func (b *Broker) openDirectories() error {
	image := b.Control.Image()
	if err := b.Directories.OpenRest(image); err != nil {
		return err
	}
	b.Directories.Cordon(b.Live.Now().Cordoned)
	var err error
	b.moved, err = b.Directories.Prepare(image, journal.DefaultOptions())
	return err
}

// registerDirectories tells the catalogue which log directories there are, and what was found in others than it said. A node that has always
// had one says nothing.
func (b *Broker) registerDirectories(ctx context.Context) error {
	if !b.Directories.Several(b.Control.Image()) {
		return nil
	}
	b.Directories.Measure()
	if err := b.Propose(ctx, b.directories()); err != nil {
		return err
	}
	for _, m := range b.moved {
		if err := b.Propose(ctx, catalog.AssignDirectory(m.Partition, b.Config.NodeID, m.To.ID)); err != nil {
			return err
		}
	}
	return nil
}

func (b *Broker) directories() catalog.Command {
	return catalog.RegisterDirectories(b.Config.NodeID, b.Directories.Home.ID, b.Directories.Registered())
}

// offerDirectories has the catalogue learn what has become of the directories, without waiting: new partitions go where they can be written.
// Where it cannot be agreed now, Survey comes by again.
func (b *Broker) offerDirectories() {
	if !b.Directories.Several(b.Control.Image()) {
		return
	}
	b.Control.Propose(b.directories(), func(r catalog.Result) {
		if r.Err != nil {
			b.log.Warn("the catalogue was not told of the log directories", "err", r.Err)
		}
	})
}

// assign has the catalogue say that a partition lies in another directory, and posts what becomes of it.
func (b *Broker) assign(a *partition.Assignment) {
	home := b.Shards.Shard(a.Home())
	asked := b.Control.Propose(catalog.AssignDirectory(a.Partition, b.Config.NodeID, a.To), func(r catalog.Result) {
		a.Refusal = r.Err
		home.Post(a)
	})
	if !asked {
		a.Refusal = &catalog.Error{Code: catalog.NotLeader, Message: "the controller is busy, or has ended"}
		home.Post(a)
	}
}

// Survey looks whether a directory has become full, or has room again, and tells the log and the catalogue. It may wait for disks.
func (b *Broker) Survey() {
	b.Directories.Cordon(b.Live.Now().Cordoned)
	b.Directories.Measure()
	image := b.Control.Image()
	broker := image.Broker(b.Config.NodeID)
	if broker == nil || !b.Directories.Several(image) {
		return
	}
	now := b.Directories.Registered()
	if len(broker.Directories) < len(now) || !slices.Equal(now, broker.Directories[:len(now)]) {
		b.offerDirectories()
	}
}

// seen is the latest time the last life left a trace of in any directory.
func (b *Broker) seen() (seen clock.Wall) {
	for _, d := range b.Directories.All {
		seen = max(seen, d.Seen)
	}
	return seen
}

// storePoints stores in each directory what the next start may go by; at a clean stop, what a Kafka broker would as well. Nothing that is written
// to a fenced directory while the node runs counts any more.
func (b *Broker) storePoints(all []partition.Closed, believed clock.Wall, clean bool) (err error) {
	for _, d := range b.Directories.All {
		if d.Missing() || !clean && d.Fenced() != nil {
			continue
		}
		points := maps.Collect(b.folders.Points(d))
		maps.Copy(points, partition.Points(all, d))
		stored := d.WriteRecoveryPoints(points, believed)
		err = errors.Join(err, stored)
		if !clean {
			if stored != nil {
				<-b.Shards.Shard(0).Visit(func(t *shard.Turn) { d.Doubt(t, stored, b.log) })
			}
			continue
		}
		folders, starts := make(map[string]model.Offset), make(map[string]model.Offset)
		for _, c := range all {
			if c.In != d {
				continue
			}
			folders[c.Dir] = c.Recovery
			if c.Start > 0 {
				starts[c.Dir] = c.Start
			}
		}
		err = errors.Join(err, d.LeaveToKafka(folders, starts))
	}
	return err
}

func (b *Broker) stopJournals() (err error) {
	for _, d := range b.Directories.All {
		if d.Journal != nil {
			err = errors.Join(err, d.Journal.Stop())
		}
	}
	return err
}

// Behind takes the next step of what a start leaves for when the node serves: it settles the journals once that is in the segments, and has
// the rest opened. It is true once every partition is open. An error is that of a failed start.
func (b *Broker) Behind() (bool, error) {
	if !b.settled {
		left := 0
		b.each(func(t *shard.Turn, set *partition.Set) { left += set.Stats(t).Replaying })
		if left > 0 {
			return false, nil
		}
		b.unsettled = slices.Clone(b.Directories.All)
		b.replayed = make(map[model.Partition]bool)
		b.each(func(t *shard.Turn, set *partition.Set) {
			for _, p := range set.Replayed(t) {
				b.replayed[p] = true
			}
		})
		if err := b.settleJournals(); err != nil {
			return false, err
		}
		b.settled = true
		b.each(func(t *shard.Turn, set *partition.Set) { set.OpenRest(t) })
	}
	done, all := b.Recovered()
	return done == all, nil
}

// settleJournals settles those that are left. Where there is no space for that the journal of that directory stays as it was found, nothing is written to it,
// and SettleLate comes by again. Any other failure ends that directory's service, and the node's where the metadata log is in it.
func (b *Broker) settleJournals() error {
	left, log := b.unsettled[:0], b.log
	if b.settled {
		log = slog.New(slog.DiscardHandler) // it was said
	}
	for _, d := range b.unsettled {
		if d.Fenced() != nil {
			continue
		}
		err := b.Directories.Settle(d, b.Control.Image(), func(p model.Partition) bool { return b.replayed[p] }, log)
		switch {
		case device.IsFull(err):
			left = append(left, d)
			if !b.settled {
				b.log.Warn("the disk has no space for the journal: until it has, every batch waits for a sync of its segment", "directory", d.Name, "err", err)
			}
		case err != nil && d == b.Directories.Metadata:
			return err
		case err != nil:
			<-b.Shards.Shard(0).Visit(func(t *shard.Turn) { d.Fence(t, err, b.log) })
		case b.settled:
			b.log.Info("the journal has space", "directory", d.Name)
		}
	}
	b.unsettled = left
	return nil
}

// SettleLate settles the journals that found no space at the start. An error ends the node. It may wait for disks.
func (b *Broker) SettleLate() error {
	before := len(b.unsettled)
	if before == 0 {
		return nil
	}
	if err := b.settleJournals(); err != nil {
		return err
	}
	if len(b.unsettled) < before {
		b.each(func(t *shard.Turn, set *partition.Set) { set.OpenRest(t) })
	}
	return nil
}

// JournalStats adds up the counters of all journals.
func (b *Broker) JournalStats() (sum commit.Stats) {
	for _, d := range b.Directories.All {
		if d.Journal != nil {
			sum.Add(d.Journal.Stats())
		}
	}
	return sum
}

// Fenced is why log directories are out of service, or nil; all says that none is left.
func (b *Broker) Fenced() (err error, all bool) {
	all = !slices.ContainsFunc(b.Directories.All, func(d *logdir.Directory) bool { return d.Fenced() == nil })
	return b.Directories.Fenced(), all
}
