package sim

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"pinion/disk/faulty"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
)

// harm lets something fail.
func (w *World) harm() {
	r := w.chance.faults
	switch draw := r.IntN(14); {
	case draw < 3:
		w.kill()
	case draw < 6:
		w.cutPower()
	case draw < 8:
		w.restart()
	case draw < 9:
		w.stepClock()
	case draw < 10:
		w.broken = pick(r, []faulty.Op{faulty.Write, faulty.Sync, faulty.SyncDir})
	case draw < 12:
		w.unreadable = true
	default:
		w.fill()
	}
}

// die ends this life: what was in memory is gone.
func (w *World) die() {
	n := w.node
	for _, d := range n.directories.All {
		if d.Journal == nil || d.Journal.Stats().Writes == 0 {
			continue
		}
		w.marks.hit("journal.written")
		if d.Journal.Generation() > uint64(2*journalOptions.FilesMax) {
			w.marks.hit("journal.reused")
		}
		if d.Journal.Stats().Waits > 0 {
			w.marks.hit("journal.full")
		}
	}
	w.noteCompaction()
	w.noteCrossings()
	w.discard()
	w.noteDirectories()
	for _, p := range w.producers {
		p.died()
	}
	for _, c := range w.consumers {
		c.died()
	}
	for len(w.trims) > 0 {
		w.trims[0].over(partition.StorageFailed)
	}
	w.broken, w.unreadable, w.relieved = "", false, false
	if !w.reserved {
		w.limit = 0 // somebody has made room before the next start
	}
	w.node = nil
	w.soon = oneIn(w.chance.faults, 3)
	if oneIn(w.chance.faults, 3) {
		w.shards = between(w.chance.faults, 1, 3)
	}
}

// discard ends what is left of a node: its jobs, and the memory its disk has mapped.
func (w *World) discard() {
	n := w.node
	for _, disk := range n.disks {
		disk.Fail(func(faulty.Op, string) error { return faulty.ErrCut })
	}
	n.abandon()
	for _, disk := range n.disks {
		w.fail(disk.Discard())
	}
}

// noteCompaction marks what this life compacted, and where a pass is that it does not finish.
func (w *World) noteCompaction() {
	n := w.node
	for i, set := range n.sets {
		n.shards.Look(model.ShardID(i), func(t *shard.Turn) {
			c := set.Stats(t).Clean
			w.marks.count("compaction.passed", int(c.Passes))
			w.marks.count("compaction.removed", int(c.Removed))
			w.marks.count("compaction.given-up", c.Uncleanable)
		})
	}
	for _, disk := range n.disks {
		w.noteLeft(disk)
	}
}

// noteLeft marks where on a disk a pass of compaction is that is not finished.
func (w *World) noteLeft(disk *faulty.Dir) {
	disk.Fail(nil)
	folders, err := disk.List(".")
	if err != nil {
		w.fail(err)
	}
	for _, f := range folders {
		if !f.IsDir {
			continue
		}
		files, err := disk.List(f.Name)
		if err != nil {
			w.fail(err)
		}
		for _, file := range files {
			switch path.Ext(file.Name) {
			case ".cleaned":
				w.marks.hit("compaction.crashed")
			case ".swap":
				w.marks.hit("compaction.crashed.swap")
			}
		}
	}
}

// kill is kill -9: everything that was written is there.
func (w *World) kill() {
	w.trace.add("kill", 0, 0)
	w.marks.hit("life.killed")
	w.again()
}

// again starts anew from what was written, or, behind a file system that has ended, from what that has stored.
func (w *World) again() {
	if w.forgot {
		w.cutPower()
		return
	}
	disks := w.nextDisks((*faulty.Dir).Killed)
	w.unmount()
	w.die()
	w.node = w.boot(w.shards, disks...)
}

// cutPower leaves what was synced, and of the rest whatever chance keeps.
func (w *World) cutPower() {
	w.trace.add("cut", 0, 0)
	w.marks.hit("life.cut")
	disks := w.nextDisks((*faulty.Dir).AfterCut)
	w.forgot, w.absent = false, -1 // what it has taken is counted at once
	w.die()
	w.node = w.boot(w.shards, disks...)
	w.settle("recovery after a power cut", w.recovered)
	if w.err != nil {
		return
	}
	ends := map[model.Partition]model.Offset{}
	w.node.look(func(_ *shard.Turn, p *partition.Partition) { ends[p.Name()] = p.Marks().End })
	for _, b := range w.living() {
		w.fail(b.cut(ends[b.name]))
	}
}

// restart is a clean stop and a start.
func (w *World) restart() {
	w.trace.add("restart", 0, 0)
	w.node.stop()
	w.settle("clean stop", func() bool { return w.node.stopped() && len(w.node.running) == 0 })
	if w.err != nil {
		return
	}
	w.marks.hit("life.stopped")
	if err := errors.Join(w.node.store(w.node.points, w.node.believed(), true), w.node.stopJournals()); err != nil && !errors.Is(err, errBroken) && !slices.Contains(w.node.harmed, true) {
		w.fail(err)
	}
	w.again()
	for _, d := range w.node.directories.All {
		if d.Found != nil && d.Found.Records == 1 { // the one that says that nothing is needed; a journal with no second file cannot say it
			w.marks.hit("journal.finished")
		}
	}
}

func (w *World) nextDisk() uint64 {
	w.disks++
	return w.chance.disk + w.disks
}

// settle runs the node, and no client, until a condition holds.
func (w *World) settle(what string, ok func() bool) {
	for range 200_000 {
		if ok() || w.err != nil {
			return
		}
		w.proceed()
		w.watch()
	}
	w.fail(&violation{"liveness", what + " does not end"})
}

// proceed lets the node do something, or time pass: always a little, because some work is tried again until a timer fires.
func (w *World) proceed() {
	n := w.node
	if oneIn(w.chance.steps, 20) || !(oneIn(w.chance.steps, 2) && n.carry()) && !n.turn() && !n.work() && !n.carry() {
		w.pass()
	}
}

// recovered reports whether every partition of the catalogue is open.
func (w *World) recovered() bool {
	return w.node.opening() == 0 && w.node.idle()
}

// stepClock sets the wall clock, by an hour or a year.
func (w *World) stepClock() {
	r := w.chance.faults
	by := clock.Wall(pick(r, []time.Duration{time.Hour, -time.Hour, 24 * 365 * time.Hour, -24 * 365 * time.Hour}).Milliseconds())
	w.trace.add("clock", int64(by), 0)
	w.marks.hit("clock.stepped")
	w.stepped = true
	if by < 0 {
		w.setBack++
	}
	w.clock.SetWall(w.clock.Now().Wall + by)
}

// mislead has a start believe a time that may be wrong. It may take producers for long gone by that, and a retry for a batch of its own: what they have in
// flight they give up.
func (w *World) mislead() {
	w.believed = true
	for _, p := range w.producers {
		if p.idempotent && len(p.again) > 0 {
			p.startOver(p.again[0])
		}
	}
}

// heal ends all harm and demands that everything asked for is done, and that everything promised is there.
func (w *World) heal() {
	w.healing = true
	w.broken, w.unreadable = "", false
	w.empty()
	w.settleJournals()
	w.restartBroken()
	w.settleClients()
	w.settle("the way of what is written to readers", w.visible) // acks=1 is answered before that
	w.settle("the way to other directories", w.arrived)
	if w.err == nil {
		w.lookLeft()
	}
	for _, b := range w.living() {
		if w.err == nil {
			w.audit(b)
		}
	}
}

// visible reports whether readers see everything that is written.
func (w *World) visible() bool {
	all := true
	w.node.look(func(_ *shard.Turn, p *partition.Partition) { all = all && p.Marks().High == p.Marks().End })
	return all
}

// restartBroken starts anew where an error of the disk has taken partitions offline.
func (w *World) restartBroken() {
	w.settle("recovery", w.recovered)
	failed := w.node.starting != nil
	for _, d := range w.node.directories.All {
		failed = failed || !d.Missing() && d.Fenced() != nil // whose partitions may be on their way between shards
	}
	w.node.look(func(t *shard.Turn, p *partition.Partition) { failed = failed || !p.Serves(t) })
	if failed && w.err == nil {
		w.kill()
		w.settle("recovery", w.recovered)
	}
}

// settleJournals goes on until no journal holds what the start has found.
func (w *World) settleJournals() {
	n := w.node
	w.settle("what the journals held", func() bool {
		if n.starting != nil {
			return true
		}
		if !n.settling || len(n.running) > 0 {
			return false
		}
		if len(n.unsettled) > 0 {
			n.settleLeft()
		}
		return len(n.running) == 0
	})
}

// settleClients goes on until every producer has its answers and every consumer rests.
func (w *World) settleClients() {
	for range 400_000 {
		left := false
		for _, p := range w.producers {
			if p.waiting() {
				left = true
				if len(p.again) > 0 {
					p.act(w.node)
				}
			}
		}
		for _, c := range w.consumers {
			if c.state != resting {
				left = true
				if c.state != asking {
					c.act(w.node)
				}
			}
		}
		if !left || w.err != nil {
			return
		}
		w.proceed()
		w.watch()
	}
	w.fail(&violation{"liveness", "clients wait for answers for ever"})
}

// audit reads a partition from end to end, as a consumer that begins now would.
func (w *World) audit(b *book) {
	c := &consumer{world: w, home: 0, book: b, found: map[model.Offset]value{}, auditing: true}
	var high model.Offset
	for {
		c.poll(w.node, false, 1<<20)
		w.settle("a read", func() bool { return c.state == resting || c.state == holding })
		if w.err != nil {
			return
		}
		w.watch()
		if code := c.ask.Parts[0].Code; code != partition.OK && code != partition.OutOfRange {
			w.fail(b.broken("C1 lost", "nobody can read at offset %d any more: %s", c.at, codeNames[code]))
			return
		}
		high = c.high
		if c.state == holding {
			c.giveBack(w.node)
			w.settle("a loan", func() bool { return c.state == resting })
		}
		if c.at >= high && high >= 0 {
			break
		}
	}
	w.fail(b.compare(c.start, high, c.found, w.clock.Now().Mono))
	w.fail(sound(w.diskOf(b.name), fmt.Sprintf("%s-%d", b.topic, b.name.Index)))
}
