package sim

import (
	"fmt"
	"hash/crc32"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"pinion/disk/faulty"
	"pinion/engine/catalog"
	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
)

// witness tries, before every change of a node's disk, what a start would find if the node ended here: a process that was killed, and power
// cuts that leave nothing that was not synced, everything, and some of it. Each start must have what was promised by then, and the next
// one, after a kill, must find nothing to do.
type witness struct {
	every      int // changes from one look to the next
	torn       int // power cuts that leave some
	commands   [][]byte
	changes    int
	recoveries int
	err        error
}

// see is told a call of the disk before it happens.
func (i *witness) see(w *World, op faulty.Op) {
	switch op {
	case faulty.Open, faulty.Read, faulty.List:
		return
	}
	i.changes++
	if i.err != nil || i.changes%i.every != 0 {
		return
	}
	left := func(what string, cut bool, end ...func(d *faulty.Dir, seed uint64) *faulty.Dir) {
		var disks []*faulty.Dir
		for n, d := range w.node.disks {
			disks = append(disks, end[n%len(end)](d, uint64(i.changes*100+n)))
		}
		i.try(w, what, disks, cut)
	}
	lost, kept := (*faulty.Dir).Lost, (*faulty.Dir).Kept
	left("kill", false, (*faulty.Dir).Killed)
	left("nothing kept", true, lost)
	left("all kept", true, kept)
	if len(w.node.disks) > 1 {
		left("the first disk kept nothing, the second all", true, lost, kept)
		left("the first disk kept all, the second nothing", true, kept, lost)
	}
	for n := range i.torn {
		torn := func(d *faulty.Dir, seed uint64) *faulty.Dir { return d.AfterCut(seed + uint64(10*n)) }
		left(fmt.Sprintf("torn by seed %d", i.changes*100+10*n), true, torn)
	}
}

// try starts the node twice from what is left, and holds it against the books of this moment.
func (i *witness) try(from *World, what string, disks []*faulty.Dir, cut bool) {
	if i.err != nil {
		return
	}
	w := newWorld(from.seed+uint64(i.changes), Options{Calm: true})
	w.clock, w.shards, w.life, w.disks = from.clock, from.shards, from.life, from.disks
	for _, cmd := range i.commands {
		w.replay(cmd)
	}
	// Nothing but the start itself may change the logs here.
	w.settings = config.Default()
	for _, b := range from.books {
		twin := b.clone()
		w.books, w.byName[b.name] = append(w.books, twin), twin
	}
	w.node = w.boot(w.shards, disks...)
	i.recoveries += 2
	first := w.recover(cut)
	if w.err == nil {
		w.kill()
	}
	if second := w.recover(false); w.err == nil && first != second {
		w.fail(&violation{"second start", fmt.Sprintf("finds\n%s\nand the first left\n%s", second, first)})
	}
	for _, b := range w.living() {
		if w.err == nil {
			w.audit(b)
		}
	}
	if w.discard(); w.err != nil {
		i.err = fmt.Errorf("change %d of the disk, %s: %w%s", i.changes, what, w.err, from.trace.tail())
	}
}

// replay has a catalogue take a command that another has taken.
func (w *World) replay(cmd []byte) {
	old := w.catalogue.Image()
	w.index++
	_, delta := w.catalogue.Apply(w.index, cmd)
	delta.Settle(old, w.catalogue.Image())
}

// recover waits for the end of a start and says what it left of each log.
func (w *World) recover(cut bool) string {
	w.settle("recovery", w.recovered)
	w.settle("the way to other directories", w.arrived)
	if w.err == nil {
		w.lookLeft()
	}
	if w.err == nil && w.node.starting != nil {
		w.fail(w.node.starting)
	}
	w.watch()
	ends := map[model.Partition]model.Offset{}
	w.node.look(func(t *shard.Turn, p *partition.Partition) {
		if p.Serves(t) {
			ends[p.Name()] = p.Marks().End
		}
	})
	var state strings.Builder
	for _, b := range w.living() {
		end, open := ends[b.name]
		switch {
		case w.err != nil:
			return ""
		case !open:
			w.fail(b.broken("I19 offline", "not open after a start"))
		case cut:
			w.fail(b.cut(end))
		}
		fmt.Fprintf(&state, "%s-%d ends at %d:%s\n", b.topic, b.name.Index, end, w.segments(w.diskOf(b.name), fmt.Sprintf("%s-%d", b.topic, b.name.Index)))
	}
	return state.String()
}

// segments lists the segments of a folder, with sums of their bytes.
func (w *World) segments(disk *faulty.Dir, folder string) string {
	var list strings.Builder
	entries, err := disk.List(folder)
	if err != nil {
		return " none"
	}
	for _, e := range entries {
		if path.Ext(e.Name) != ".log" || e.Size == 0 {
			continue
		}
		b, err := disk.ReadFile(path.Join(folder, e.Name), e.Size)
		if err != nil {
			w.fail(err)
		}
		fmt.Fprintf(&list, " %s of %d bytes, %08x", e.Name, e.Size, crc32.ChecksumIEEE(b))
	}
	return list.String()
}

// clone is the book as it is now.
func (b *book) clone() *book {
	twin := *b
	twin.sent, twin.values, twin.offsets, twin.firm = maps.Clone(b.sent), maps.Clone(b.values), maps.Clone(b.offsets), maps.Clone(b.firm)
	twin.sight = sight{trimmed: true}
	return &twin
}

// script is a life with everything in it that changes the disk: appends by way of the journal and of the segments, rolls, retention,
// compaction, deletions of records, hand-overs, topics that are deleted and made anew, checkpoints, a clean stop and a start.
func (w *World) script() {
	w.shards = 2
	w.settings = config.Default()
	w.settings.RetentionCheck = 3 * time.Second
	w.settings.Cleaner.Backoff = 2 * time.Second
	w.node = w.boot(w.shards, w.newDisk())
	w.settle("start", func() bool { return w.recovered() && w.node.ready })
	topic := func(n byte, name string, r rules, configs map[string]string) {
		r.segment = 2 << 10
		configs["internal.segment.bytes"] = fmt.Sprint(r.segment)
		w.makeTopic(model.TopicID{15: n}, name, 1, configs, r)
	}
	topic(1, "kept", rules{durable: true}, map[string]string{"pinion.durability": "fsync"})
	topic(2, "loose", rules{}, map[string]string{"pinion.durability": "memory", "retention.bytes": "100"})
	topic(3, "keyed", rules{durable: true, keys: 3, tombstones: 0}, map[string]string{"pinion.durability": "fsync", "cleanup.policy": "compact",
		"min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"})
	w.produce(8)
	w.node.checkpoint()
	w.spend(5)
	w.apply(catalog.MoveReplica(w.books[0].name, self, 1, true))
	w.apply(catalog.MoveReplica(w.books[2].name, self, 0, true))
	w.produce(6)
	w.spend(8) // retention
	w.ask(w.books[1], partition.TrimToHigh)
	w.ask(w.books[0], w.books[0].acked/2)
	w.spend(8)
	w.end("loose")
	topic(4, "loose", rules{durable: true}, map[string]string{"pinion.durability": "fsync"})
	w.produce(5)
	w.spend(5)
	w.restart()
	w.settle("start", func() bool { return w.recovered() && w.node.ready })
	w.produce(3)
	w.spend(5)
}

// scriptOfWays is a life in which partitions go to another log directory and back: with much and with nothing to copy, while they are written, after
// retention and a deletion of records, one whose topic is deleted on the way, and one that is to stay after all.
func (w *World) scriptOfWays() {
	w.shards = 2
	w.settings = config.Default()
	w.settings.RetentionCheck = 3 * time.Second
	w.settings.Cleaner.Backoff = 2 * time.Second
	w.node = w.boot(w.shards, w.newDisk(), w.newDisk())
	w.settle("start", func() bool { return w.recovered() && w.node.ready })
	topic := func(n byte, name string, r rules, configs map[string]string) *book {
		r.segment = 2 << 10
		configs["internal.segment.bytes"] = fmt.Sprint(r.segment)
		w.makeTopic(model.TopicID{15: n}, name, 1, configs, r)
		return w.books[len(w.books)-1]
	}
	kept := topic(1, "kept", rules{durable: true}, map[string]string{"pinion.durability": "fsync"})
	loose := topic(2, "loose", rules{}, map[string]string{"pinion.durability": "memory", "retention.bytes": "100"})
	keyed := topic(3, "keyed", rules{durable: true, keys: 3, tombstones: 0}, map[string]string{"pinion.durability": "fsync", "cleanup.policy": "compact",
		"min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"})
	all := w.node.directories.All
	w.wish(kept, all[1])
	w.settle("the way of what holds nothing", w.arrived)
	w.produce(6)
	w.wish(kept, all[0])
	w.produce(2)
	w.wish(keyed, all[1])
	w.spend(5)
	w.ask(kept, kept.acked/2)
	w.wish(loose, all[0])
	w.wish(kept, all[1])
	w.wish(loose, all[1])
	w.produce(3)
	w.spend(3)
	w.wish(loose, all[0])
	w.end("loose")
	w.produce(2)
	w.spend(4)
	w.restart()
	w.settle("start", func() bool { return w.recovered() && w.node.ready })
	w.wish(kept, all[0])
	w.produce(2)
	w.spend(4)
}

// produce has every producer send so many batches, and waits for the answers.
func (w *World) produce(batches int) {
	for range batches {
		for _, p := range slices.Clone(w.producers) {
			p.act(w.node)
			w.watch()
		}
		w.settle("appends", func() bool {
			return !slices.ContainsFunc(w.producers, func(p *producer) bool { return len(p.flying) > 0 })
		})
	}
}

// spend lets so many seconds pass, and everything happen that is due.
func (w *World) spend(seconds int) {
	for range seconds {
		until := w.clock.Now().Mono.Add(time.Second)
		w.settle("upkeep", func() bool { return w.clock.Now().Mono >= until && w.node.idle() })
		w.watch()
	}
}
