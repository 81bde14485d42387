package partition

import (
	"pinion/disk/log"
	"pinion/engine/config"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/producer"
	"pinion/engine/shard"
)

type state uint8

const (
	opening state = iota // a helper recovers it; asks wait
	open
	failed  // an I/O error after acceptance is final
	dropped // its topic is deleted; waits for helpers to come home
)

// Partition is one replica, owned by one shard; a hand-over gives its state, by value, to a new Partition on another. A node has many that are idle:
// what few of them need at a time is made when they do (lobby, durability, producers), and the small fields stand together.
type Partition struct {
	own shard.Owner

	// Immutable after open.
	set  *Set
	site *site  // of the log directory it lies in
	dir  string // <topic>-<index>, Kafka's directory name
	name model.Partition

	// Owned by the shard.
	epoch      model.Epoch // leader epoch of this leadership; stamped into every batch
	log        *log.Log
	producers  *producer.Table // nil until one has written
	marks      Marks
	fresh      fresh
	since      uint64    // moves of the image it was opened by: asks from before belong to an earlier owner's time
	leftAt     uint64    // while leaving: moves of the image that said so
	config     *resolved // shared by the topic's partitions; immutable
	failure    error
	found      model.Offset   // recovery point it was opened with
	job        *openJob       // its recovery, while nobody has begun it
	durable    *durability    // nil while the topic has never been fsync
	relocation *relocation    // to another log directory; nil: it stays
	snapshots  []model.Offset // of the producers, that are stored
	tried      model.Offset   // what the last attempt to store them was as of

	held    asks   // appends that wait for the log to be ready, in arrival order
	staged  asks   // appends in this turn's write
	acks    ackLot // appends that are written but not acknowledged
	waiters waiters
	lobby   *lobby // who waits for the partition to open, or for its folder; nil while nobody does

	caring       int32 // works away, of any kind
	at           int32 // place in the set's list of all
	state        state
	trimming     bool // a log start is being stored
	preparing    bool // appends wait for a log.Work or for the log to be free
	forbidden    bool // the journal knows what a truncation is about to take
	ahead        bool // a log.Work nobody waits for yet is away
	parking      bool // in the set's list of those with parked acknowledgements
	crowded      bool // appends wait for the set to have room for one more open segment
	dirty        bool
	snapshotting bool // producers are being stored
	unstored     bool // the last attempt failed
	closing      bool
	leaving      bool // another shard becomes the owner
	gone         bool // dropped, and the files are being removed
	frozen       bool // asks wait, because it is about to cross over to another log directory
	halting      bool // something waits for the end of a pass of compaction
	uncleanable  bool // compaction met an error in this log
	holed        bool // the journal goes on behind a hole: appends wait until it is settled, or the next start would join the two
	cramped      bool // its last pass found no space: those that were not tried since come first
}

// Name is the partition's identity.
func (p *Partition) Name() model.Partition { return p.name }

// Marks copies the marks.
func (p *Partition) Marks() Marks { return p.marks }

// Dir is the partition's directory, relative to the log directory.
func (p *Partition) Dir() string { return p.dir }

// Directory is the log directory it lies in.
func (p *Partition) Directory() *logdir.Directory { return p.site.Directory }

// Serves reports whether the partition is open for business on this shard: recovered, not failed, not given away.
func (p *Partition) Serves(t *shard.Turn) bool {
	p.own.Check(t)
	return p.state == open && !p.leaving
}

// Failure is why the partition is offline, or nil.
func (p *Partition) Failure() error { return p.failure }

// Config is what the topic's configuration comes to.
func (p *Partition) Config() config.Topic { return p.config.Topic }

// Log is the partition's log, nil until it is open.
func (p *Partition) Log() *log.Log { return p.log }

// logConfig is what a topic's configuration means to its log.
func logConfig(c *config.Topic) log.Config {
	return log.Config{
		SegmentBytes:       c.SegmentBytes,
		SegmentMs:          c.SegmentMs,
		SegmentJitterMs:    c.SegmentJitterMs,
		IndexIntervalBytes: int(c.IndexIntervalBytes),
		IndexBytesMax:      int(c.SegmentIndexBytes),
		RetentionMs:        c.RetentionMs,
		RetentionBytes:     c.RetentionBytes,
		Delete:             c.CleanupDelete,
		Compact:            c.CleanupCompact,
		DeleteRetentionMs:  c.DeleteRetentionMs,
		MinCompactionLagMs: c.MinCompactionLagMs,
		MaxCompactionLagMs: c.MaxCompactionLagMs,
	}
}

// follow takes over what a new image says of this partition.
func (p *Partition) follow(t *shard.Turn, topic *placement.Topic, place *placement.Partition, moves uint64) {
	p.own.Check(t)
	if p.moved(place) {
		p.handOver(t, moves)
		return
	}
	p.epoch = max(p.epoch, place.LeaderEpoch)
	p.configure(t, topic)
}

// configure takes over what the topic's configuration has come to.
func (p *Partition) configure(t *shard.Turn, topic *placement.Topic) {
	c := p.set.configOf(topic)
	p.config = c
	if p.state == open {
		p.log.ShareConfig(&c.log)
		p.setDurability(t, c.Durability)
	}
	p.watchCompaction(t)
}

// failDirectory fences the whole log directory: bytes that were accepted could not be written or synced.
func (p *Partition) failDirectory(t *shard.Turn, err error) {
	if p.state == failed {
		// Another log was first. This one had work under way, and readers are given less of it from now on.
		p.set.options.Log.Error("partition offline", "partition", p.dir, "err", err)
	}
	p.fail(t, err)
	p.site.fence(t, err)
}

// fail fences the partition: nothing that was accepted may be answered as stored any more.
func (p *Partition) fail(t *shard.Turn, err error) {
	if p.state == failed || p.state == dropped {
		return
	}
	p.state, p.failure = failed, err
	p.set.failures++
	if !p.site.Missing() { // else the start has said it of all
		p.set.options.Log.Error("partition offline", "partition", p.dir, "err", err)
	}
	p.watchCompaction(t)
	p.endCleaning(t)
	p.refuse(t, StorageFailed)
	if p.relocation != nil {
		p.relocation.step(t)
	}
}

// refuse answers everyone who waits with the code.
func (p *Partition) refuse(t *shard.Turn, code Code) {
	returning := p.takeReturning()
	for _, q := range []*asks{&p.held, &p.staged, &returning} {
		for a := q.pop(); a != nil; a = q.pop() {
			a.reply(t, code)
		}
	}
	p.acks.refuse(t, code)
	p.resumeFetches(t)
	p.wake(t, 1<<62)
	for _, a := range p.takeAsked() {
		a.reply(t, code)
	}
	p.refuseTrims(t, code)
}

// verdict is the code for asks to a partition that cannot serve, or OK.
func (p *Partition) verdict() Code {
	if p.leaving {
		return Moved
	}
	switch p.state {
	case failed:
		return StorageFailed
	case dropped:
		return UnknownPartition
	}
	if p.closing {
		return NotLeader
	}
	return OK
}

// epochCode compares the leader epoch a client knows with ours (KIP-320).
func (p *Partition) epochCode(known model.Epoch) Code {
	switch {
	case known == model.NoEpoch || known == p.epoch:
		return OK
	case known < p.epoch:
		return FencedEpoch
	}
	return UnknownEpoch
}
