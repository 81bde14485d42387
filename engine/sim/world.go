package sim

import (
	"errors"
	"fmt"
	"io"
	"time"

	"pinion/disk/faulty"
	"pinion/disk/journal"
	"pinion/engine/catalog"
	"pinion/engine/clock"
	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/partition"
)

// Options shape a run.
type Options struct {
	Steps   int       // of the part in which things fail; a few thousand
	Console io.Writer // the node's log; nil: nowhere
	Calm    bool      // nothing fails
}

// World is one run.
type World struct {
	options Options
	seed    uint64
	chance  streams
	clock   clock.Hand
	trace   trace
	marks   Marks

	catalogue *catalog.Machine
	index     uint64 // of the catalogue's last command
	life      int
	shards    int
	disks     uint64 // made so far
	node      *node
	soon      bool // something fails shortly: what follows a crash, or a deletion of records, is where starts go wrong
	absent    int  // the disk that is missing in this life, -1: none
	untold    bool // the catalogue does not know what has become of the directories
	healing   bool // nothing fails any more
	settings  *config.Broker

	broken     faulty.Op  // the next call of this kind fails: a write, a sync, or a sync of names; "" for none
	forgetful  bool       // the file systems lose names whose sync has failed
	forgot     bool       // one has, and ends with that: what is left is found when it is mounted anew
	unreadable bool       // the next read of a segment does
	full       int        // which disk is full
	limit      int64      // bytes it has, while it is; else 0
	reserved   bool       // of those, reserve is kept free
	emptied    clock.Mono // when it is full no more
	relieved   bool       // it was full, and nothing has been appended since
	stepped    bool       // the wall clock was set
	setBack    int        // how often back
	setBackIn  int        // and how often when every directory was last told what time a life believed it was
	believed   bool       // a start may have believed a time that was wrong

	books     []*book
	byName    map[model.Partition]*book
	trims     []*trimming
	producers []*producer
	consumers []*consumer
	topics    []string // those that exist
	made      int      // topics so far
	numbers   int      // producers so far
	ids       int64    // producer ids so far

	witness *witness // looks at every change of the disk; nil: nobody does

	acknowledged, polled int
	err                  error
}

// journalOptions make a journal so small that its files are used again and again.
var journalOptions = journal.Options{FileBytes: 10 << 10, FilesMax: 3, BufferBytes: 4 << 10, BatchMax: 4 << 10, SyncMin: 1 << 10, LendMin: 200}

const (
	retentionCheck = 4 * time.Second
	helpers        = 4 // jobs under way at once, as for two shards
	partitionsMax  = 12
	began          = 1_800_000_000_000 // wall clock, milliseconds
)

var errBroken = errors.New("input/output error")

var codeNames = map[partition.Code]string{
	partition.OK: "ok", partition.UnknownPartition: "unknown-partition", partition.NotLeader: "not-leader", partition.Moved: "moved",
	partition.OutOfRange: "out-of-range", partition.StorageFailed: "storage-failed", partition.NoSpace: "no-space",
	partition.OutOfOrderSequence: "out-of-order", partition.StaleProducer: "stale-producer", partition.TimedOut: "timed-out",
	partition.DuplicateUnknown: "duplicate-unknown", partition.TooLarge: "too-large", partition.Undeletable: "undeletable",
}

// Result is what a run came to.
type Result struct {
	Seed         uint64
	Trace        uint64 // digest of every step
	Steps        int
	Lives        int
	Acknowledged int // batches
	Polled       int // records
	Lost         int // records of memory topics that power cuts took
	Marks        Marks
}

// Run takes the steps of one seed. The error names the seed, the promise that was broken and the last steps.
func Run(seed uint64, options Options) (Result, error) {
	w := newWorld(seed, options)
	w.shards = between(w.chance.faults, 1, 3)
	w.settings = w.configuration()
	w.forgetful = !options.Calm && oneIn(w.chance.faults, 2)
	disks := []*faulty.Dir{w.newDisk()}
	if !oneIn(w.chance.faults, 3) {
		disks = append(disks, w.newDisk())
	}
	w.node = w.boot(w.shards, disks...)
	for range 2 {
		w.createTopic()
	}
	for w.trace.steps < options.Steps && w.err == nil {
		w.step()
	}
	if w.err == nil {
		w.heal()
	}
	r := Result{Seed: seed, Trace: w.trace.sum.Sum64(), Steps: w.trace.steps, Lives: w.life, Acknowledged: w.acknowledged, Polled: w.polled, Marks: w.marks}
	for _, b := range w.books {
		r.Lost += b.lost
		w.marks.count("compaction.outrun", b.outrun)
		w.marks.count("compaction.tombstone", b.expired)
	}
	w.noteCompaction()
	w.discard()
	if w.err != nil {
		return r, fmt.Errorf("seed %d, step %d, life %d: %w%s", seed, w.trace.steps, w.life, w.err, w.trace.tail())
	}
	return r, nil
}

// newWorld is a world before its first life.
func newWorld(seed uint64, options Options) *World {
	w := &World{options: options, seed: seed, chance: newStreams(seed), trace: newTrace(), marks: Marks{}, catalogue: catalog.New("sim"), absent: -1,
		byName: map[model.Partition]*book{}}
	w.clock.Advance(time.Hour)
	w.clock.SetWall(began)
	return w
}

// configuration is what the node is started with: compaction in a hurry, with little memory or little speed now and then.
func (w *World) configuration() *config.Broker {
	r := w.chance.faults
	c := config.Default()
	c.RetentionCheck = retentionCheck
	c.Pinion.DiskReserve = reserve
	c.Cleaner = config.Cleaner{
		Enabled: true, Threads: int32(between(r, 1, 2)), Load: 0.9, KeyBytes: int64(pick(r, []int{1 << 10, 4 << 10, 1 << 20})),
		IOBytes: int64(pick(r, []int{32 << 10, 1 << 20})), BytesPerSecond: pick(r, []float64{20_000, 1e9, 1e9}),
		Backoff: time.Duration(between(r, 300, 3000)) * time.Millisecond,
	}
	return c
}

func (w *World) newDisk() *faulty.Dir { return faulty.New(w.nextDisk()) }

// fail ends the run with the first promise that was broken.
func (w *World) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *World) newProducerID() int64 {
	w.ids++
	return w.ids
}

// step takes one step.
func (w *World) step() {
	n := w.node
	if n.starting != nil {
		w.marks.hit("life.failed-start")
		w.kill()
		return
	}
	switch draw := w.chance.steps.IntN(100); {
	case draw < 30:
		_ = n.carry() || n.turn()
	case draw < 60:
		_ = n.turn() || n.work()
	case draw < 80:
		_ = n.work() || n.carry()
	case draw < 97:
		w.act()
	default:
		w.pass()
	}
	if n.idle() {
		w.pass()
	}
	if w.limit > 0 && w.clock.Now().Mono >= w.emptied {
		w.empty()
	}
	if n.ready && !w.healing && oneIn(w.chance.changes, 150) {
		w.change()
	}
	if oneIn(w.chance.changes, 300) {
		n.checkpoint()
	}
	if len(n.unsettled) > 0 && oneIn(w.chance.late, 200) {
		n.settleLeft()
	}
	if w.untold && oneIn(w.chance.changes, 50) {
		w.register()
	}
	if !w.healing && !w.options.Calm && (oneIn(w.chance.faults, 400) || w.soon && oneIn(w.chance.faults, 40)) {
		w.soon = false
		w.harm()
	}
	w.watch()
}

// act lets some client take its next step.
func (w *World) act() {
	if !w.node.ready {
		return
	}
	r := w.chance.load
	if i := r.IntN(len(w.producers) + len(w.consumers)); i < len(w.producers) {
		w.trace.add("produce", int64(i), 0)
		w.producers[i].act(w.node)
	} else {
		i -= len(w.producers)
		w.trace.add("consume", int64(i), int64(w.consumers[i].state))
		w.consumers[i].act(w.node)
	}
}

// pass lets time go by, up to the next timer.
func (w *World) pass() {
	now := w.clock.Now().Mono
	step := time.Duration(between(w.chance.steps, 1, 300)) * time.Millisecond
	for i := range w.node.sets {
		if when, ok := w.node.shards.Next(model.ShardID(i)); ok && when > now {
			step = min(step, when.Sub(now))
		}
	}
	w.trace.add("pass", int64(step), 0)
	w.clock.Advance(step)
}

// apply has the catalogue take a command, which is durable at once, and tells the shards.
func (w *World) apply(cmd catalog.Command) catalog.Result {
	old := w.catalogue.Image()
	w.index++
	if w.witness != nil {
		w.witness.commands = append(w.witness.commands, cmd.Bytes())
	}
	result, delta := w.catalogue.Apply(w.index, cmd.Bytes())
	image := w.catalogue.Image()
	delta.Settle(old, image)
	if w.node != nil {
		moved := delta.Moved(old, image, self)
		if topics := delta.Topics(); len(topics) > 0 && w.node.begun == len(w.node.sets) { // they catch up, before that
			for i, set := range w.node.sets {
				w.node.shards.Shards().Shard(model.ShardID(i)).Post(&partition.Update{Set: set, Image: image, Topics: topics, Moved: moved})
			}
		}
	}
	return result
}
