// Package control runs the cluster's metadata on this node: one goroutine, never a shard, that drives this node's member of the
// quorum and publishes an immutable image after each batch.
//
//	shards, admin ──Propose──> bounded queue ──> Run: one batch = one run of entries = one durable write
//	                                              └─> apply ─> freeze image ─> OnImage ─> done of each proposal
//
// It refuses to decide anything: engine/quorum does, as a machine, and engine/catalog what a command may do. Everything here may
// wait for the disk; what other goroutines may call does not.
package control

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"pinion/disk/device"
	"pinion/engine/catalog"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/quorum"
)

// Folder is where the metadata log lives inside the log directory.
const Folder = quorum.Folder

// Bounds and pace.
const (
	queueMax      = 8192                   // proposals waiting; beyond, Propose says no
	batchMax      = 1024                   // proposals of one durable write
	batchBytesMax = 8 << 20                // bytes of one durable write, above the largest command
	tickEvery     = 100 * time.Millisecond // Raft's unit of time; no ticks while the node is alone
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

	// Owned by whoever opens, then by Run.
	member *quorum.Member
	ids    producerIDs

	// Written by Run, read anywhere. The image's pointer orders everything the image contains.
	image atomic.Pointer[placement.Image]
	queue chan ask

	// ended is set before offering is read, and offering counted before ended is read: whoever saw ended unset is waited for
	// before the queue is emptied for the last time, so that no ask stays behind unanswered.
	ended    atomic.Bool
	offering atomic.Int32
}

// ask is one call from another goroutine; exactly one of the callbacks is set.
type ask struct {
	command  catalog.Command
	done     func(catalog.Result)
	producer func(id int64, err error)
	standing func(Standing)
}

// Errors of Open and ProducerID.
var (
	ErrCluster = quorum.ErrCluster
	ErrStopped = errors.New("control loop has ended")
)

// Open replays the log and, being the only voter, elects itself. It waits for the disk. The image is current on return.
func Open(o Options) (*Control, error) {
	var run [8]byte
	rand.Read(run[:]) // never fails (crypto/rand)
	c := &Control{opts: o, queue: make(chan ask, queueMax)}
	var err error
	c.member, err = quorum.Open(quorum.Config{Node: o.Node, Dir: o.Dir, Cluster: o.Cluster, Run: binary.LittleEndian.Uint64(run[:]),
		OnImage: c.publish, Log: o.Log, SnapshotEntries: o.SnapshotEntries, SnapshotBytes: o.SnapshotBytes})
	if err != nil {
		return nil, err
	}
	c.image.Store(c.member.Image())
	return c, nil
}

func (c *Control) publish(old, new *placement.Image, delta catalog.Delta) {
	c.image.Store(new)
	if c.opts.OnImage != nil {
		c.opts.OnImage(old, new, delta)
	}
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

// Standing is where the quorum stands, as this node knows it.
type Standing struct {
	Leader        model.NodeID // -1: nobody is known to lead
	Term          uint64
	Applied, Last uint64 // index of the last entry applied here, and of the last in the log here
	Voters        []model.NodeID
	Learners      []model.NodeID
}

// Standing asks where the quorum stands; done is called on the control goroutine. It never blocks; false as for Propose.
func (c *Control) Standing(done func(Standing)) bool { return c.offer(ask{standing: done}) }

func (c *Control) standing() Standing {
	s := Standing{Leader: c.member.Leader(), Term: c.member.Term(), Applied: c.member.Applied(), Last: c.member.Log().Last()}
	s.Voters, s.Learners = c.member.Nodes()
	return s
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
	if !c.member.Alone() {
		ticker := time.NewTicker(tickEvery)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
			c.member.Tick()
		case a := <-c.queue:
			if err := c.take(a); err != nil {
				return err
			}
		}
		for c.member.HasWork() {
			if err := c.member.Turn(); err != nil {
				return err
			}
			if err := c.member.Compact(); err != nil {
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
	c.member.Abandon(stopped)
	c.ids.abandon()
	for {
		select {
		case a := <-c.queue:
			switch {
			case a.producer != nil:
				a.producer(0, ErrStopped)
			case a.standing != nil:
				a.standing(c.standing())
			default:
				a.done(stopped)
			}
		default:
			return c.member.Close()
		}
	}
}
