// Package broker puts the rooms of a node together: the log directories and their identity, the controller, the shards and the
// partitions they own. It owns the order in which they come up and go down, and refuses to know any protocol: net/front opens
// the doors. Its methods are called by the program's main goroutine and block; the shards themselves never call it.
package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"pinion/disk/device"
	"pinion/disk/journal"
	"pinion/engine/catalog"
	"pinion/engine/clock"
	"pinion/engine/config"
	"pinion/engine/control"
	"pinion/engine/coordinator"
	"pinion/engine/logdir"
	"pinion/engine/loggers"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// Broker is one node. Immutable after Start but for what the rooms own.
type Broker struct {
	Config  *config.Broker // as the node was started
	Live    *config.Live   // with the dynamic settings of the catalogue
	Control *control.Control
	Shards  *shard.Set
	Sets    []*partition.Set
	Groups  []*coordinator.Set // by shard
	CPUs    []int              // one for each shard
	// Directories are the log directories.
	Directories *logdir.List

	log     *slog.Logger
	moved   []logdir.Moved
	folders *partition.Folders

	settled   bool                     // what the journals held is in the segments
	unsettled []*logdir.Directory      // of them, those that hold it still: their disk had no space
	replayed  map[model.Partition]bool // what the journals held of these is in the segments

	ran   atomic.Bool // the controller's loop was started
	told  atomic.Bool // Sets is there, and hears what is published from now on; stored after it
	known atomic.Bool // Sets is there, and knows every partition; stored after it
	watch atomic.Pointer[func(*config.Broker)]
}

// Open takes the log directories and replays the controller's log. Nothing runs yet. A Refusal means that starting again cannot
// help.
func Open(cfg *config.Broker, logger *slog.Logger) (*Broker, error) {
	b := &Broker{Config: cfg, Live: config.NewLive(cfg), folders: &partition.Folders{}, log: loggers.Part(logger, loggers.Broker)}
	want := logdir.Want{
		Node: cfg.NodeID, Paths: cfg.LogDirs, Metadata: cfg.MetadataDir, Folder: control.Folder, Reserve: cfg.Pinion.DiskReserve, Random: rand.Reader,
	}
	var err error
	if b.Directories, err = logdir.Open(want, logger); err != nil {
		return nil, err
	}
	if err := b.open(); err != nil {
		return nil, errors.Join(err, b.Directories.Close())
	}
	return b, nil
}

func (b *Broker) open() error {
	var err error
	b.Control, err = control.Open(control.Options{
		Node: b.Config.NodeID, Dir: b.Directories.Metadata.Dir, Clock: clock.Real{}, Cluster: b.Cluster(), OnImage: b.published, Log: loggers.Part(b.log, loggers.Control),
	})
	if err != nil {
		return err
	}
	b.reconfigure(b.Control.Image())
	if err := b.openDirectories(); err != nil {
		return errors.Join(err, b.stopControl())
	}
	usable, err := shard.CPUs()
	if err != nil {
		return errors.Join(err, b.stopControl())
	}
	n := b.Config.Pinion.Shards
	if n == 0 {
		n = len(usable)
	}
	for i := range n {
		b.CPUs = append(b.CPUs, usable[i%len(usable)])
	}
	if b.Shards, err = shard.NewSet(n, clock.Real{}); err != nil {
		return errors.Join(err, b.stopControl())
	}
	return nil
}

// Cluster is the id of the cluster this node belongs to.
func (b *Broker) Cluster() string { return b.Directories.Metadata.Claim.Cluster }

// stopControl ends a controller whose loop was never started.
func (b *Broker) stopControl() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return b.Control.Run(ctx)
}

// RunControl is the controller's loop, until ctx ends or its disk fails. The program gives it a goroutine.
func (b *Broker) RunControl(ctx context.Context) error {
	b.ran.Store(true)
	return b.Control.Run(ctx)
}

// Start registers the node, starts the shards and makes their partitions known. When it returns, whatever is asked for is opened at once, and
// everything else by Behind. The controller's loop must be running.
func (b *Broker) Start(ctx context.Context, listeners []placement.Listener) error {
	reg := catalog.Registration{Node: b.Config.NodeID, Shards: int32(b.Shards.Len()), Listeners: listeners, Rack: b.Config.Rack}
	if _, err := rand.Read(reg.Incarnation[:]); err != nil {
		return fmt.Errorf("random incarnation: %w", err)
	}
	if err := b.Propose(ctx, catalog.RegisterBroker(reg)); err != nil {
		return fmt.Errorf("register broker: %w", err)
	}
	if err := b.registerDirectories(ctx); err != nil {
		return err
	}
	for _, d := range b.Directories.All {
		d.Begin(journal.DefaultOptions(), b.Shards)
		d.Tell(func(*logdir.Directory) { b.offerDirectories() })
	}
	b.folders.Resume(b.Directories.Wishes)
	seen := b.seen()
	options := partition.Options{
		Node: b.Config.NodeID, Directories: b.Directories, Broker: b.Live, Image: b.Control.Image, Log: loggers.Part(b.log, loggers.Partitions),
		Files: b.filesPerShard(), Folders: b.folders, Dirty: device.Dirty, Cleaners: &partition.Cleaners{}, Seen: seen, Assign: b.assign,
	}
	keep := coordinator.Options{Node: b.Config.NodeID, Image: b.Control.Image, Broker: b.Live, Log: loggers.Part(b.log, loggers.Groups), Random: random, Seen: seen}
	sets, groups := make([]*partition.Set, b.Shards.Len()), make([]*coordinator.Set, b.Shards.Len())
	b.Shards.Start(b.CPUs)
	for i := range sets {
		s := b.Shards.Shard(model.ShardID(i))
		<-s.Visit(func(t *shard.Turn) {
			sets[i] = partition.NewSet(t, options)
			s.AtEnd(sets[i])
			groups[i] = coordinator.NewSet(t, keep, sets[i])
		})
	}
	image := b.Control.Image()
	for i := range sets {
		<-b.Shards.Shard(model.ShardID(i)).Visit(func(t *shard.Turn) { sets[i].Open(t, image) })
	}
	// Only now are the sets told what is published: one must not open what another is about to bring together with the journal.
	b.Sets, b.Groups = sets, groups
	b.told.Store(true)
	for i := range sets {
		<-b.Shards.Shard(model.ShardID(i)).Visit(sets[i].CatchUp)
	}
	b.known.Store(true)
	for i := range groups {
		<-b.Shards.Shard(model.ShardID(i)).Visit(groups[i].Changed)
	}
	_, err := b.Behind() // all there is to do where the journal holds nothing
	return err
}

// random is sixteen bytes nobody else has.
func random() (id [16]byte) {
	_, _ = rand.Read(id[:]) // never fails (Go 1.24)
	return id
}

// Recovered is how many partitions are open, or were found damaged, of how many; of none before Start has made them known. Any goroutine may ask.
func (b *Broker) Recovered() (done, all int) {
	if !b.known.Load() {
		return 0, 0
	}
	for _, set := range b.Sets {
		d, n := set.Progress()
		done, all = done+d, all+n
	}
	return done, all
}

// each runs f on every shard, one after the other.
func (b *Broker) each(f func(t *shard.Turn, set *partition.Set)) {
	for i, set := range b.Sets {
		<-b.Shards.Shard(model.ShardID(i)).Visit(func(t *shard.Turn) { f(t, set) })
	}
}

// Abandon gives the directories up of a node whose start failed. The controller's loop, if it was started, has ended.
func (b *Broker) Abandon() error {
	var err error
	if !b.ran.Load() {
		err = b.stopControl()
	}
	err = errors.Join(err, b.stopJournals())
	if b.Sets != nil {
		b.Shards.Stop()
	}
	return errors.Join(err, b.Shards.Close(), b.Directories.Close())
}

// Propose has the controller agree on a command and waits for the outcome.
func (b *Broker) Propose(ctx context.Context, cmd catalog.Command) error {
	done := make(chan catalog.Result, 1)
	if !b.Control.Propose(cmd, func(res catalog.Result) { done <- res }) {
		return control.ErrStopped
	}
	select {
	case res := <-done:
		if res.Err != nil {
			return res.Err
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// published sends every shard what an image changed. It runs on the control goroutine.
func (b *Broker) published(old, image *placement.Image, d catalog.Delta) {
	reconfigured := false
	for _, node := range d.BrokerConfigs {
		reconfigured = reconfigured || node == clusterDefault || node == b.Config.NodeID
	}
	if reconfigured {
		b.reconfigure(image)
	}
	if !b.told.Load() {
		return // the sets will catch up
	}
	topics, moved := d.Topics(), d.Moved(old, image, b.Config.NodeID)
	groups := image.TopicCalled(coordinator.Topic)
	if len(topics) == 0 && !reconfigured && (groups == nil || !slices.Contains(d.Created, groups.ID)) {
		return
	}
	for i, set := range b.Sets {
		b.Shards.Shard(model.ShardID(i)).Post(&partition.Update{Set: set, Image: image, Topics: topics, Moved: moved, Reconfigured: reconfigured})
		b.Shards.Shard(model.ShardID(i)).Post(&coordinator.Update{Set: b.Groups[i], Deleted: len(d.Deleted) > 0})
	}
}

// Stop closes every log, stores the recovery points, stops the shards and gives the directories up. Nobody may ask anything of
// the shards any more; the controller's loop has ended or ends with its context.
func (b *Broker) Stop(ctx context.Context) error {
	var all []partition.Closed
	var believed clock.Wall
	for i, set := range b.Sets {
		closed := make(chan []partition.Closed, 1)
		b.Shards.Shard(model.ShardID(i)).Visit(func(t *shard.Turn) {
			believed = set.Believed(t)
			set.Close(t, func(_ *shard.Turn, list []partition.Closed) { closed <- list })
		})
		select {
		case list := <-closed:
			all = append(all, list...)
		case <-ctx.Done():
			return fmt.Errorf("shard %d did not close its logs in time: %w", i, ctx.Err())
		}
	}
	err := errors.Join(b.storePoints(all, believed, true), b.stopJournals(), b.Directories.Failed())
	if b.Sets != nil {
		b.Shards.Stop()
	}
	return errors.Join(err, b.Shards.Close(), b.Directories.Close())
}

// Checkpoint stores the recovery points of all open logs, so that a start after a crash reads less.
func (b *Broker) Checkpoint() error {
	var all []partition.Closed
	var believed clock.Wall
	for i, set := range b.Sets {
		<-b.Shards.Shard(model.ShardID(i)).Visit(func(t *shard.Turn) {
			all = append(all, set.RecoveryPoints(t)...)
			believed = set.Believed(t)
		})
	}
	return b.storePoints(all, believed, false)
}
