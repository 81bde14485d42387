package sim

import (
	"fmt"
	"slices"

	"pinion/disk/log"
	"pinion/engine/catalog"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
)

// relocation is a wish under way to have a partition in another directory.
type relocation struct {
	world *World
	ask   partition.QueryAsk
}

// relocate has the node bring a partition to some directory, which may be the one it lies in.
func (w *World) relocate() {
	r := w.chance.changes
	b := pick(r, w.living())
	var present []*logdir.Directory
	for _, d := range w.node.directories.All {
		if !d.Missing() {
			present = append(present, d)
		}
	}
	if len(present) > 0 {
		w.wish(b, pick(r, present))
	}
}

// wish asks for it.
func (w *World) wish(b *book, to *logdir.Directory) {
	w.trace.add("relocate", int64(b.name.Index), int64(to.At))
	q := &relocation{world: w}
	home := model.ShardID(w.chance.changes.IntN(w.shards))
	q.ask = partition.QueryAsk{Home: home, Caller: q, Partition: b.name, Query: partition.QueryRelocate, Epoch: model.NoEpoch, Place: to}
	w.node.on(home, func(t *shard.Turn) {
		if set, owner, ok := w.node.owner(w.catalogue.Image(), b.name); ok {
			q.ask.To = set
			t.Ask(owner, &q.ask)
		}
	})
}

// Answered says that the wish will be remembered, or why not.
func (q *relocation) Answered(_ *shard.Turn, ask *partition.QueryAsk) {
	q.world.marks.hit("relocate." + codeNames[ask.Code])
	if q.world.limit > 0 {
		q.world.marks.hit("relocate.full")
	}
}

// agreement is a question to the catalogue that it has not answered yet: first it says something, then whoever asked hears of it.
type agreement struct {
	assignment *partition.Assignment
	said       bool
}

// assign takes a question.
func (n *node) assign(a *partition.Assignment) {
	n.agreeing = append(n.agreeing, &agreement{assignment: a})
}

// agree goes on with some question, now and then.
func (n *node) agree() bool {
	w := n.world
	if len(n.agreeing) == 0 || oneIn(w.chance.steps, 2) {
		return false
	}
	i := w.chance.steps.IntN(len(n.agreeing))
	g := n.agreeing[i]
	a := g.assignment
	w.trace.add("agree", int64(i), int64(a.Partition.Index))
	switch {
	case g.said:
		n.agreeing = slices.Delete(n.agreeing, i, i+1)
		n.shards.Shards().Shard(a.Home()).Post(a)
	case !w.options.Calm && !w.healing && oneIn(w.chance.faults, 8):
		w.marks.hit("relocate.refused")
		g.said, a.Refusal = true, &catalog.Error{Code: catalog.NotLeader, Message: "not agreed"}
	default:
		g.said, a.Refusal = true, w.apply(catalog.AssignDirectory(a.Partition, self, a.To)).Err
		if a.Refusal == nil {
			w.marks.hit("relocate.done")
		}
	}
	return true
}

// arrived reports whether nothing is on its way to another directory.
func (w *World) arrived() bool {
	all := len(w.node.agreeing) == 0 && w.node.opening() == 0
	w.node.look(func(_ *shard.Turn, p *partition.Partition) { all = all && !p.Relocating() })
	return all
}

// lookOnce demands, after a start has looked at the directories, that every partition has at most one folder.
func (w *World) lookOnce() {
	where := map[string]string{}
	w.folders(func(d *logdir.Directory, name string) {
		p, is, crossing := log.ParseCrossing(name)
		topic := w.catalogue.Image().TopicByID(p.Topic)
		switch {
		case crossing && is == log.Future && topic != nil:
		case crossing && topic != nil && !w.node.directories.Of(topic.Partition(p.Index).DirectoryOn(self)).Missing():
			w.fail(&violation{"directories", fmt.Sprintf("%s is left in %s", name, d.Name)})
		case crossing:
			w.marks.hit("relocate.crossing.missing")
		}
		if _, _, ok := log.ParseFolder(name); ok && where[name] != "" {
			w.fail(&violation{"directories", fmt.Sprintf("%s is in %s and in %s", name, where[name], d.Name)})
		} else if ok {
			where[name] = d.Name
		}
	})
}

// lookLeft demands that nothing is left on the disks of ways to other directories, once all have come to their end. On one that has failed
// the next start sees to it.
func (w *World) lookLeft() {
	w.folders(func(d *logdir.Directory, name string) {
		if _, _, crossing := log.ParseCrossing(name); crossing && d.Fenced() == nil {
			w.fail(&violation{"directories", fmt.Sprintf("%s is left in %s", name, d.Name)})
		}
	})
	w.lookOnce()
}

// folders calls f with every folder of the directories that are there.
func (w *World) folders(f func(d *logdir.Directory, name string)) {
	for _, d := range w.node.directories.All {
		if d.Missing() {
			continue
		}
		entries, err := d.Dir.List(".")
		w.fail(err)
		for _, e := range entries {
			if e.IsDir {
				f(d, e.Name)
			}
		}
	}
}

// noteCrossings marks that a life has ended between the two names of a crossing and the last.
func (w *World) noteCrossings() {
	w.folders(func(_ *logdir.Directory, name string) {
		if _, is, ok := log.ParseCrossing(name); ok && is != log.Future {
			w.marks.hit("relocate.crossing")
		}
	})
}
