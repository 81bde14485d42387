// Package broker puts the rooms of a node together: the log directory and its identity, the controller, the shards and the
// partitions they own. It owns the order in which they come up and go down, and refuses to know any protocol: net/front opens
// the doors. Its methods are called by the program's main goroutine and block; the shards themselves never call it.
package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"

	"pinion/disk/device"
	"pinion/disk/identity"
	"pinion/disk/journal"
	"pinion/engine/catalog"
	"pinion/engine/clock"
	"pinion/engine/commit"
	"pinion/engine/config"
	"pinion/engine/control"
	"pinion/engine/coordinator"
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
	Claim   *identity.Claim
	CPUs    []int // one for each shard

	dir      device.Dir
	log      *slog.Logger
	found    Found
	folders  *partition.Folders
	contents *journal.Contents // what the journal held at the start; empty once it is in the segments
	journal  *commit.Journal   // nil until Start
	fence    partition.Fence

	settled bool        // what the journal held is in the segments
	ran     atomic.Bool // the controller's loop was started
	known   atomic.Bool // Sets is there, and knows every partition; stored after it
	watch   atomic.Pointer[func(*config.Broker)]
}

// Open takes the log directory and replays the controller's log. Nothing runs yet. A Refusal means that starting again cannot
// help.
func Open(cfg *config.Broker, logger *slog.Logger) (*Broker, error) {
	b := &Broker{Config: cfg, Live: config.NewLive(cfg), folders: &partition.Folders{}, log: logger}
	dir, err := device.OpenDir(cfg.LogDirs[0])
	if err != nil {
		return nil, fmt.Errorf("log directory: %w", err)
	}
	b.dir = dir
	device.KeepFree(dir, cfg.Pinion.DiskReserve)
	if b.Claim, err = identity.Open(dir, identity.Want{Node: cfg.NodeID, Random: rand.Reader}); err != nil {
		return nil, err
	}
	if was := b.Claim.Was; was > 0 && was < identity.Format {
		b.log.Info("log directory raised to the current format: older programs refuse it from now on", "dir", dir.Path(), "was", was, "is", identity.Format)
	}
	if err := b.open(); err != nil {
		return nil, errors.Join(err, b.Claim.Close())
	}
	return b, nil
}

func (b *Broker) open() error {
	contents, err := ReadJournal(b.dir, b.log)
	if err != nil {
		return err
	}
	b.contents = contents
	b.Control, err = control.Open(control.Options{
		Node: b.Config.NodeID, Dir: b.dir, Clock: clock.Real{}, Cluster: b.Claim.Cluster, OnImage: b.published, Log: b.log,
	})
	if err != nil {
		return err
	}
	b.reconfigure(b.Control.Image())
	if b.found, err = Prepare(b.dir, b.Control.Image(), b.log); err != nil {
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
	b.journal = commit.New(b.dir, journal.DefaultOptions(), b.contents, b.Shards)
	options := partition.Options{
		Node: b.Config.NodeID, Dir: b.dir, Broker: b.Live, Image: b.Control.Image, Log: b.log, Recovery: b.found.Points,
		Files: b.filesPerShard(), Folders: b.folders,
		Journal: b.journal, Tail: b.contents.Tail, Replays: b.contents.Replays(), Dirty: device.Dirty, Fence: &b.fence,
		Cleaners: &partition.Cleaners{}, Seen: b.found.Seen,
	}
	keep := coordinator.Options{Node: b.Config.NodeID, Image: b.Control.Image, Broker: b.Live, Log: b.log, Random: random, Seen: b.found.Seen}
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
	b.Sets, b.Groups = sets, groups
	for i := range sets {
		<-b.Shards.Shard(model.ShardID(i)).Visit(sets[i].Open)
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

// Abandon gives the directory up of a node whose start failed. The controller's loop, if it was started, has ended.
func (b *Broker) Abandon() error {
	var err error
	if !b.ran.Load() {
		err = b.stopControl()
	}
	if b.journal != nil {
		err = errors.Join(err, b.journal.Stop())
	}
	if b.Sets != nil {
		b.Shards.Stop()
	}
	return errors.Join(err, b.Shards.Close(), b.Claim.Close())
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
	if b.Sets == nil {
		return
	}
	topics, moved := d.Topics(), d.Moved(old, image, b.Config.NodeID)
	if len(topics) == 0 && !reconfigured {
		return
	}
	for i, set := range b.Sets {
		b.Shards.Shard(model.ShardID(i)).Post(&partition.Update{Set: set, Image: image, Topics: topics, Moved: moved, Reconfigured: reconfigured})
		b.Shards.Shard(model.ShardID(i)).Post(&coordinator.Update{Set: b.Groups[i], Deleted: len(d.Deleted) > 0})
	}
}

// Stop closes every log, stores the recovery points, stops the shards and gives the directory up. Nobody may ask anything of
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
	points := b.handedOver()
	maps.Copy(points, partition.Points(all))
	err := errors.Join(WriteRecoveryPoints(b.dir, points, believed), leaveToKafka(b.dir, all))
	if b.journal != nil {
		err = errors.Join(err, b.journal.Stop(), b.fence.Err())
	}
	if b.Sets != nil {
		b.Shards.Stop()
	}
	return errors.Join(err, b.Shards.Close(), b.Claim.Close())
}

// handedOver is the recovery points of logs between two owners.
func (b *Broker) handedOver() map[model.Partition]model.Offset {
	points := make(map[model.Partition]model.Offset)
	for name, synced := range b.folders.Points {
		points[name] = synced
	}
	return points
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
	points := b.handedOver()
	maps.Copy(points, partition.Points(all))
	return WriteRecoveryPoints(b.dir, points, believed)
}
