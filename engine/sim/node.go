package sim

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/catalog"
	"pinion/engine/clock"
	"pinion/engine/config"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

const self model.NodeID = 1

// node is one life of the process: it ends with a clean stop, a kill or a power cut, and the next one starts from what the disk
// holds.
type node struct {
	world       *World
	disks       []*faulty.Dir // one for each log directory
	shards      *shard.Manual
	sets        []*partition.Set
	folders     partition.Folders
	live        *config.Live
	running     []*running
	current     *running
	ways        []shard.Way // scratch
	storing     bool        // recovery points are being written
	harmed      []bool      // the disk has failed in this life, or is missing
	noSpace     bool        // it has refused an append for want of space
	cleaners    partition.Cleaners
	directories *logdir.List
	starting    error                    // what the start failed of
	ready       bool                     // the start is over: clients and administrators may come
	begun       int                      // sets that have begun to recover their partitions
	settling    bool                     // the journal's contents are in the segments, or about to be declared so
	unsettled   []*logdir.Directory      // where that found no space
	replayed    map[model.Partition]bool // what the journals held of these is in the segments
	closed      int                      // shards that have closed their logs in a clean stop
	points      []partition.Closed
	agreeing    []*agreement // on where partitions lie
}

// boot starts a life with so many shards. Recovery is under way when it returns.
func (w *World) boot(shards int, disks ...*faulty.Dir) *node {
	n := &node{world: w, disks: disks, harmed: make([]bool, len(disks))}
	w.node = n
	logger := slog.New(slog.NewTextHandler(w.console(), nil))
	all := n.mount()
	n.directories = logdir.Assemble(self, logger, all...)
	moved, err := n.directories.Prepare(w.catalogue.Image(), journalOptions)
	w.fail(err)
	if len(moved) > 0 {
		w.fail(&violation{"directories", fmt.Sprintf("found elsewhere than they were made: %v", moved)})
	}
	w.lookOnce()
	if len(n.directories.Wishes) > 0 {
		w.marks.hit("relocate.resumed")
	}
	seen := clock.Wall(0)
	for _, d := range all {
		seen = max(seen, d.Seen)
	}
	// It takes the clock for right where nobody has told it an earlier time. A life that wrote records by a clock set back, and died before the directories
	// knew, has told nobody.
	if seen == 0 && w.stepped || w.setBackIn < w.setBack {
		w.mislead()
	}
	n.live = config.NewLive(w.settings)
	w.life++
	incarnation := [16]byte{15: byte(w.life), 14: byte(w.life >> 8)}
	w.apply(catalog.RegisterBroker(catalog.Registration{Node: self, Incarnation: incarnation, Shards: int32(shards),
		Listeners: []placement.Listener{{Name: "PLAINTEXT", Host: "sim", Port: 9092}}}))
	w.register()
	n.shards = shard.NewManual(shards, &w.clock)
	for _, d := range all {
		d.Begin(journalOptions, n.shards.Shards())
		d.Tell(func(*logdir.Directory) { w.untold = true })
	}
	n.folders.Resume(n.directories.Wishes)
	options := partition.Options{
		Node: self, Directories: n.directories, Broker: n.live, Image: w.catalogue.Image, Log: logger,
		Folders: &n.folders, Files: 8, Cleaners: &n.cleaners, Seen: seen,
		Together: pick(w.chance.faults, []int{1, 3, 100}), Assign: n.assign, RelocatePiece: int64(pick(w.chance.faults, []int{1, 2 << 10, 16 << 10})),
	}
	for i := range shards {
		n.shards.Look(model.ShardID(i), func(t *shard.Turn) {
			n.sets = append(n.sets, partition.NewSet(t, options))
		})
	}
	image := w.catalogue.Image()
	for i, set := range n.sets {
		s := n.shards.Shards().Shard(model.ShardID(i))
		s.AtEnd(set)
		s.Visit(func(t *shard.Turn) {
			set.Open(t, image)
			if n.begun++; n.begun == len(n.sets) {
				n.visit(func(t *shard.Turn, set *partition.Set) { set.CatchUp(t) })
			}
		})
	}
	return n
}

// mount is the log directories on a node's disks. One may be missing.
func (n *node) mount() (all []*logdir.Directory) {
	w := n.world
	for i, disk := range n.disks {
		disk.Fail(func(op faulty.Op, path string) error { return n.fault(i, op, path) })
		disk.Clock(func() int64 { return int64(w.clock.Now().Wall) })
		if w.forgetful {
			disk.LoseNames()
		}
		w.limitDisk(i)
		d := logdir.New(disk)
		d.Name, d.ID = fmt.Sprint("disk-", i), model.DirectoryID{0xd, byte(i + 1)}
		if i == w.absent {
			n.harmed[i] = true
			d.Lose(errMissing)
			w.marks.hit("directory.missing")
		}
		all = append(all, d)
	}
	return all
}

// console is where the node's log goes.
func (w *World) console() io.Writer {
	if w.options.Console != nil {
		return w.options.Console
	}
	return io.Discard
}

// owner is the set that an image says has a partition.
func (n *node) owner(image *placement.Image, p model.Partition) (*partition.Set, model.ShardID, bool) {
	place := image.Partition(p)
	if place == nil {
		return nil, 0, false
	}
	id := place.ShardOn(self)
	if id == model.NoShard || int(id) >= len(n.sets) {
		return nil, 0, false
	}
	return n.sets[id], id, true
}

// on has a shard run f in one of its turns, as mail from outside would.
func (n *node) on(id model.ShardID, f func(t *shard.Turn)) { n.shards.Shards().Shard(id).Visit(f) }

// carry brings the oldest mail of some way to its shard.
func (n *node) carry() bool {
	n.ways = n.shards.Ways(n.ways[:0])
	if len(n.ways) == 0 {
		return false
	}
	way := pick(n.world.chance.steps, n.ways)
	n.world.trace.add("carry", int64(way.From), int64(way.To))
	n.shards.Carry(way)
	return true
}

// turn runs a turn of some shard that has something to do.
func (n *node) turn() bool {
	var busy []model.ShardID
	for i := range n.sets {
		if n.shards.Busy(model.ShardID(i)) {
			busy = append(busy, model.ShardID(i))
		}
	}
	if len(busy) == 0 {
		return false
	}
	id := pick(n.world.chance.steps, busy)
	n.world.trace.add("turn", int64(id), 0)
	n.shards.Turn(id)
	return true
}

// work lets a helper take a job over, or go on with one. As many are under way as there are helpers.
func (n *node) work() bool {
	r := n.world.chance.steps
	n.start()
	if n.agree() {
		return true
	}
	if waiting := n.shards.Jobs(); waiting > 0 && len(n.running) < helpers && (len(n.running) == 0 || oneIn(r, 2)) {
		job, home := n.shards.Take(0)
		n.running = append(n.running, begin(job.Run, home))
	}
	if len(n.running) == 0 {
		return false
	}
	i := r.IntN(len(n.running))
	n.world.trace.add("job", int64(i), int64(len(n.running)))
	if n.advance(n.running[i]) {
		n.running = slices.Delete(n.running, i, i+1)
	}
	return true
}

// opening is how many partitions are not open yet, and sets that have not begun.
func (n *node) opening() (count int) {
	count = len(n.sets) - n.begun
	n.each(func(t *shard.Turn, set *partition.Set) { count += set.Stats(t).Opening })
	return count
}

func (n *node) each(f func(t *shard.Turn, set *partition.Set)) {
	for i, set := range n.sets {
		n.shards.Look(model.ShardID(i), func(t *shard.Turn) { f(t, set) })
	}
}

// start takes the next step of a start, once the last one is over, as broker.Behind does.
func (n *node) start() {
	left := len(n.sets) - n.begun
	if n.ready = n.ready || left == 0; !n.ready || n.settling {
		return
	}
	n.each(func(t *shard.Turn, set *partition.Set) { left += set.Stats(t).Replaying })
	if left == 0 {
		n.settling = true
		n.settle()
	}
}

// visit has every set run f in a turn of its shard.
func (n *node) visit(f func(t *shard.Turn, set *partition.Set)) {
	for i, set := range n.sets {
		n.on(model.ShardID(i), func(t *shard.Turn) { f(t, set) })
	}
}

// settle begins to declare unneeded what the journals held. At times there is no space for that.
func (n *node) settle() {
	n.replayed = map[model.Partition]bool{}
	for i, set := range n.sets {
		n.shards.Look(model.ShardID(i), func(t *shard.Turn) {
			if set.Stats(t).Refilled > 0 {
				n.world.marks.hit("journal.refilled")
			}
			for _, p := range set.Replayed(t) {
				n.replayed[p] = true
			}
		})
	}
	for _, d := range n.directories.All {
		if d.Found.Torn != "" {
			n.world.marks.hit("journal.torn")
		}
	}
	n.unsettled = slices.Clone(n.directories.All)
	if w := n.world; !w.options.Calm && !w.healing && oneIn(w.chance.late, 6) {
		w.marks.hit("journal.unsettled")
		n.visit(func(t *shard.Turn, set *partition.Set) { set.OpenRest(t) })
		return
	}
	n.settleLeft()
}

// settleLeft goes on with those that are left, as broker.settleJournals does. A failure of the disk ends the start, and with it this life.
func (n *node) settleLeft() {
	image, all := n.world.catalogue.Image(), n.unsettled
	n.unsettled = nil
	failed := map[*logdir.Directory]error{}
	n.running = append(n.running, begin(func() {
		for _, d := range all {
			if d.Fenced() != nil {
				continue
			}
			err := n.directories.Settle(d, image, func(p model.Partition) bool { return n.replayed[p] }, slog.New(slog.DiscardHandler))
			switch {
			case err == nil:
			case device.IsFull(err):
				n.unsettled = append(n.unsettled, d)
			case len(n.disks) == 1:
				n.starting = err
			default:
				failed[d] = err
			}
		}
	}, func() {
		for _, d := range n.directories.All {
			if err := failed[d]; err != nil {
				n.on(0, func(t *shard.Turn) { d.Fence(t, err, nil) })
			}
		}
		if n.starting == nil {
			n.visit(func(t *shard.Turn, set *partition.Set) { set.OpenRest(t) })
		}
	}))
}

// idle reports whether nothing is left to do until time passes.
func (n *node) idle() bool {
	if !n.settling || len(n.running) > 0 || len(n.agreeing) > 0 || n.shards.Jobs() > 0 || len(n.shards.Ways(n.ways[:0])) > 0 {
		return false
	}
	for i := range n.sets {
		if n.shards.Busy(model.ShardID(i)) {
			return false
		}
	}
	return true
}

// stop begins a clean stop.
func (n *node) stop() {
	for i, set := range n.sets {
		n.on(model.ShardID(i), func(t *shard.Turn) {
			set.Close(t, func(_ *shard.Turn, list []partition.Closed) {
				n.closed++
				n.points = append(n.points, list...)
			})
		})
	}
}

// stopJournals ends them, behind the logs and the recovery points. One that nothing is needed of says so.
func (n *node) stopJournals() (all error) {
	for _, d := range n.directories.All {
		if d.Journal == nil {
			continue
		}
		all = errors.Join(all, d.Journal.Stop())
	}
	return all
}

func (n *node) stopped() bool { return n.closed == len(n.sets) }

// checkpoint has somebody store the recovery points, as the program does now and then.
func (n *node) checkpoint() {
	var points []partition.Closed
	for i, set := range n.sets {
		n.shards.Look(model.ShardID(i), func(t *shard.Turn) { points = append(points, set.RecoveryPoints(t)...) })
	}
	if len(points) == 0 || n.storing {
		return
	}
	n.storing = true
	n.world.marks.hit("recovery-points.stored")
	believed := n.believed()
	n.running = append(n.running, begin(func() { _ = n.store(points, believed, false) }, func() { n.storing = false }))
}

// store writes recovery points where they belong, as broker.storePoints does.
func (n *node) store(points []partition.Closed, believed belief, clean bool) (all error) {
	told := true
	for _, d := range n.directories.All {
		if d.Missing() || !clean && d.Fenced() != nil {
			told = false
			continue
		}
		err := d.WriteRecoveryPoints(partition.Points(points, d), believed.at)
		if all = errors.Join(all, err); err != nil && !clean {
			n.on(0, func(t *shard.Turn) { d.Doubt(t, err, nil) })
		}
	}
	if told && all == nil {
		n.world.setBackIn = believed.setBack
	}
	return all
}

// belief is what time a node believes it is, and how often the clock had been set back by then.
type belief struct {
	at      clock.Wall
	setBack int
}

func (n *node) believed() (b belief) {
	for i, set := range n.sets {
		n.shards.Look(model.ShardID(i), func(t *shard.Turn) { b = belief{set.Believed(t), n.world.setBack} })
	}
	return b
}

// look calls f with every partition the node has in memory, in a fixed order.
func (n *node) look(f func(t *shard.Turn, p *partition.Partition)) {
	for i, set := range n.sets {
		n.shards.Look(model.ShardID(i), func(t *shard.Turn) {
			var all []*partition.Partition
			set.Each(t, func(p *partition.Partition) { all = append(all, p) })
			slices.SortFunc(all, func(a, b *partition.Partition) int { return a.Name().Compare(b.Name()) })
			for _, p := range all {
				f(t, p)
			}
		})
	}
}

// fault is asked by a disk before each call.
func (n *node) fault(disk int, op faulty.Op, path string) error {
	n.pause()
	w := n.world
	w.trace.add(string(op), int64(len(path)), int64(disk))
	if w.witness != nil {
		w.witness.see(w, op)
	}
	if op == faulty.SyncAll && n.settling {
		w.marks.hit("stop.together")
	} else if op == faulty.SyncAll {
		w.marks.hit("start.together")
	}
	if op == w.broken || w.broken != "" && w.broken != faulty.SyncDir && (op == faulty.Sync || op == faulty.SyncAll) {
		w.broken, n.harmed[disk] = "", true
		w.forgot = w.forgot || w.forgetful && op == faulty.SyncDir
		w.marks.hit("disk.error." + string(op))
		return fmt.Errorf("%s %s: %w", op, path, errBroken)
	}
	if w.unreadable && (op == faulty.Read || op == faulty.Open) && strings.HasSuffix(path, ".log") {
		w.unreadable, n.harmed[disk] = false, true
		w.marks.hit("disk.error." + string(op))
		return fmt.Errorf("%s %s: %w", op, path, errBroken)
	}
	return nil
}
