// Package control runs the cluster's metadata on this node: one goroutine, never a shard, that owns the Raft member, its log
// and the catalogue, agrees on commands and publishes an immutable image after each batch.
//
//	shards, admin ──Propose──> bounded queue ──> Run: one batch = one run of entries = one durable write
//	                                              └─> apply ─> freeze image ─> OnImage ─> done of each proposal
//
// It refuses to judge commands (engine/catalog does) and to know what is on the disk (disk/entries does). Everything here may
// wait for the disk; what other goroutines may call does not.
package control

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"pinion/disk/device"
	"pinion/disk/entries"
	"pinion/engine/catalog"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/raft"
)

// Folder is where the metadata log lives inside the log directory. It cannot be taken for a partition: those end in a number.
const Folder = "pinion-metadata"

// Bounds and pace.
const (
	queueMax        = 8192                   // proposals waiting; beyond, Propose says no
	batchMax        = 1024                   // proposals of one durable write
	batchBytesMax   = 8 << 20                // bytes of one durable write, above the largest command
	tickEvery       = 100 * time.Millisecond // Raft's unit of time; no ticks while the node is alone
	snapshotEntries = 50_000                 // entries replayed at a start, at most about this many
	snapshotBytes   = 4 << 20                // log that must have grown before a snapshot is worth its writing
	openSteps       = 10_000                 // rounds that replay may take before we call it a bug
)

// Options says what Open needs.
type Options struct {
	Node    model.NodeID
	Dir     device.Dir
	Clock   clock.Clock // not read yet: leases of other brokers will be
	Cluster string      // cluster id; fixed at the first start

	// OnImage runs on the control goroutine after a batch that changed something, before the proposals' done. The delta says
	// what differs. It is not called for what Open replays.
	OnImage func(old, new *placement.Image, delta catalog.Delta)
	Log     *slog.Logger

	// SnapshotEntries and SnapshotBytes let tests snapshot often; 0 means the constants above.
	SnapshotEntries uint64
	SnapshotBytes   int64
}

// Control is one node's share of the metadata quorum.
type Control struct {
	// Immutable after Open.
	opts Options
	run  uint64 // random: tells this process's proposals from those of its former lives

	// Owned by whoever opens, then by Run.
	log       *entries.Log
	node      *raft.Node
	machine   *catalog.Machine
	waiting   map[uint64]func(catalog.Result) // by sequence number of the proposal
	sequence  uint64
	ids       producerIDs
	snapBytes int64 // size of the last snapshot, 0 when not known

	// Written by Run, read anywhere. The image's pointer orders everything the image contains.
	image atomic.Pointer[placement.Image]
	queue chan ask

	// ended is set before offering is read, and offering counted before ended is read: whoever saw ended unset is waited for
	// before the queue is emptied for the last time, so that no ask stays behind unanswered.
	ended    atomic.Bool
	offering atomic.Int32
}

// ask is one call from another goroutine; exactly one of the two callbacks is set.
type ask struct {
	command  catalog.Command
	done     func(catalog.Result)
	producer func(id int64, err error)
}

// Errors of Open and ProducerID.
var (
	ErrCluster = errors.New("directory belongs to another cluster")
	ErrStopped = errors.New("control loop has ended")
)

// Open replays the log and, being the only voter, elects itself. It waits for the disk. The image is current on return.
func Open(o Options) (*Control, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.SnapshotEntries == 0 {
		o.SnapshotEntries = snapshotEntries
	}
	if o.SnapshotBytes == 0 {
		o.SnapshotBytes = snapshotBytes
	}
	var run [8]byte
	rand.Read(run[:]) // never fails (crypto/rand)
	c := &Control{opts: o, run: binary.LittleEndian.Uint64(run[:]), waiting: map[uint64]func(catalog.Result){},
		queue: make(chan ask, queueMax)}
	if err := c.open(); err != nil {
		if c.log != nil {
			err = errors.Join(err, c.log.Close())
		}
		return nil, fmt.Errorf("open metadata: %w", err)
	}
	return c, nil
}

func (c *Control) open() error {
	founded, err := entries.Founded(c.opts.Dir, Folder)
	if err != nil {
		return err
	}
	if !founded {
		if err := c.found(); err != nil {
			return err
		}
	}
	if c.log, err = entries.Open(c.opts.Dir, Folder, entries.Config{}); err != nil {
		return err
	}
	data, err := c.log.SnapshotData()
	if err != nil {
		return err
	}
	if c.machine, err = catalog.Restore(data); err != nil {
		return err
	}
	if got := c.machine.Image().Cluster(); got != c.opts.Cluster {
		return fmt.Errorf("cluster id %q here, %q there: %w", c.opts.Cluster, got, ErrCluster)
	}
	c.snapBytes = int64(len(data))
	store, err := newStore(c.log)
	if err != nil {
		return err
	}
	if c.node, err = raft.Open(store, raft.Config{ID: raftID(c.opts.Node), Log: c.opts.Log}); err != nil {
		return err
	}
	return c.elect()
}

// found writes the first snapshot: an empty catalogue whose only voter is this node. It is one atomic replacement, so a power
// cut leaves either nothing or a founded log.
func (c *Control) found() error {
	members, err := raft.AppendMembers(nil, raft.Members{Voters: []uint64{raftID(c.opts.Node)}})
	if err != nil {
		return err
	}
	machine := catalog.New(c.opts.Cluster)
	machine.Apply(foundIndex, nil)
	return entries.Found(c.opts.Dir, Folder, entries.Snapshot{Index: foundIndex, Term: foundTerm, Members: members,
		Data: machine.AppendSnapshot(nil)})
}

// The log begins behind a snapshot at index 1, so that the members are known before the first entry.
const foundIndex, foundTerm = 1, 1

// raftID maps node ids, which start at 0, to Raft's, where 0 means nobody.
func raftID(n model.NodeID) uint64 { return uint64(n) + 1 }

// elect makes a lone voter the leader of a new term and applies everything the log holds; the entry that opens the term
// commits all that came before it.
func (c *Control) elect() error {
	if c.node.Alone() {
		if err := c.node.Campaign(); err != nil {
			return err
		}
	}
	for range openSteps {
		if !c.node.HasWork() {
			break
		}
		if err := c.turn(); err != nil {
			return err
		}
	}
	if c.node.Alone() && (!c.node.Leads() || c.machine.Applied() != c.log.Last()) {
		return fmt.Errorf("lone voter did not reach the end of its log: applied %d of %d", c.machine.Applied(), c.log.Last())
	}
	c.image.Store(c.machine.Image())
	return nil
}

// Image is the newest published image. Callable anywhere.
func (c *Control) Image() *placement.Image { return c.image.Load() }

// Propose offers a command. It never blocks; false means that the queue is full or the loop has ended, and done will not be
// called. Otherwise done is called exactly once, on the control goroutine, after the image with the effect is published.
func (c *Control) Propose(cmd catalog.Command, done func(catalog.Result)) bool {
	return c.offer(ask{command: cmd, done: done})
}

// ProducerID asks for an id never handed out before. It never blocks; false as for Propose.
func (c *Control) ProducerID(done func(id int64, err error)) bool {
	return c.offer(ask{producer: done})
}

func (c *Control) offer(a ask) bool {
	c.offering.Add(1)
	defer c.offering.Add(-1)
	if c.ended.Load() {
		return false
	}
	select {
	case c.queue <- a:
		return true
	default:
		return false
	}
}

// NewTopicID draws a random id for CreateTopic. Callable anywhere. Kafka reserves ids that are nearly zero and dislikes those
// that look like a flag on a command line.
func NewTopicID() model.TopicID {
	for {
		var id model.TopicID
		rand.Read(id[:])
		id[6] = id[6]&0x0f | 0x40 // UUID version 4, as Kafka's
		id[8] = id[8]&0x3f | 0x80
		if id.String()[0] != '-' {
			return id
		}
	}
}

// Run is the control goroutine's body. It returns nil after ctx ends, or the first error of the disk or the log, which is
// final. Proposals under way are answered with Stopped. Call it once.
func (c *Control) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, c.finish()) }()
	var ticks <-chan time.Time
	if !c.node.Alone() {
		ticker := time.NewTicker(tickEvery)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
			c.node.Tick()
		case a := <-c.queue:
			if err := c.take(a); err != nil {
				return err
			}
		}
		for c.node.HasWork() {
			if err := c.turn(); err != nil {
				return err
			}
		}
	}
}

// finish answers everyone and closes the log.
func (c *Control) finish() error {
	c.ended.Store(true)
	for c.offering.Load() != 0 {
		runtime.Gosched() // a few instructions of another goroutine
	}
	stopped := catalog.Result{Err: &catalog.Error{Code: catalog.Stopped, Message: ErrStopped.Error()}}
	c.abandon(stopped)
	for {
		select {
		case a := <-c.queue:
			if a.producer != nil {
				a.producer(0, ErrStopped)
			} else {
				a.done(stopped)
			}
		default:
			return c.log.Close()
		}
	}
}
