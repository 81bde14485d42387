package sim

import (
	"fmt"
	"slices"
	"time"

	"pinion/engine/catalog"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
)

// change does something an administrator would.
func (w *World) change() {
	r := w.chance.changes
	switch draw := r.IntN(13); {
	case draw >= 10:
		w.relocate()
	case draw < 4:
		w.move()
	case draw < 6:
		w.trim()
	case draw < 7:
		w.deleteTopic()
	case draw < 9:
		w.createTopic()
	default:
		w.configure()
	}
}

// configs draws a topic's configuration. Segments roll by the age of their records, so that they do without many bytes.
func (w *World) configs() map[string]string {
	r := w.chance.changes
	configs := map[string]string{
		"segment.ms":   fmt.Sprint(between(r, 1, 60) * 1000),
		"retention.ms": "-1",
	}
	if oneIn(r, 2) {
		configs["retention.ms"] = fmt.Sprint(between(r, 3, 120) * 1000)
	}
	if oneIn(r, 3) {
		configs["retention.bytes"] = fmt.Sprint(between(r, 1, 60) * 1000)
	}
	return configs
}

// compacted adds to a configuration, one time in two, what makes it a compacted topic's, with so much haste that passes come within a run.
func (w *World) compacted(configs map[string]string, rules *rules) {
	r := w.chance.changes
	if oneIn(r, 2) {
		return
	}
	configs["cleanup.policy"] = pick(r, []string{"compact", "compact", "compact,delete"})
	rules.keys = uint64(pick(r, []int{2, 5, 30}))
	rules.tombstones = time.Duration(pick(r, []int{0, 1000, 10_000})) * time.Millisecond
	configs["delete.retention.ms"] = fmt.Sprint(rules.tombstones.Milliseconds())
	configs["min.cleanable.dirty.ratio"] = pick(r, []string{"0.01", "0.1", "0.5"})
	configs["min.compaction.lag.ms"] = fmt.Sprint(pick(r, []int{0, 0, 500, 3000}))
	if oneIn(r, 2) {
		configs["max.compaction.lag.ms"] = fmt.Sprint(between(r, 4, 20) * 1000)
	}
	configs["segment.ms"] = fmt.Sprint(between(r, 1, 10) * 1000)
}

// sized lets segments roll by their bytes, one time in two, and not by age.
func (w *World) sized(configs map[string]string, rules *rules) {
	r := w.chance.changes
	if oneIn(r, 2) {
		return
	}
	rules.segment = pick(r, []int{2, 4, 16}) << 10
	configs["internal.segment.bytes"] = fmt.Sprint(rules.segment)
	delete(configs, "segment.ms")
}

// createTopic makes a topic, under the name of a deleted one where it can, and clients for each partition.
func (w *World) createTopic() {
	r := w.chance.changes
	count := int32(between(r, 1, 3))
	if w.catalogue.Image().PartitionCount()+int(count) > partitionsMax {
		return
	}
	name := fmt.Sprintf("t%d", r.IntN(5))
	if slices.Contains(w.topics, name) {
		return
	}
	w.made++
	id := model.TopicID{0: 0x40, 14: byte(w.made >> 8), 15: byte(w.made)}
	w.trace.add("create", int64(w.made), int64(count))
	configs, rules := w.configs(), rules{durable: oneIn(r, 2)}
	configs["pinion.durability"] = "memory"
	if rules.durable {
		configs["pinion.durability"] = "fsync"
	}
	w.compacted(configs, &rules)
	w.sized(configs, &rules)
	w.makeTopic(id, name, count, configs, rules)
}

// makeTopic makes a topic, books of its partitions and clients for them.
func (w *World) makeTopic(id model.TopicID, name string, count int32, configs map[string]string, rules rules) {
	res := w.apply(catalog.CreateTopic(catalog.TopicSpec{Name: name, ID: id, Configs: configs, Partitions: count, ReplicationFactor: 1}))
	if res.Err != nil {
		w.fail(fmt.Errorf("create topic: %w", res.Err))
		return
	}
	w.topics = append(w.topics, name)
	w.lookWhere(res.Topic)
	for i := range count {
		b := newBook(model.Partition{Topic: id, Index: i}, name, rules)
		w.books = append(w.books, b)
		w.byName[b.name] = b
		w.addClients(b)
	}
}

func (w *World) addClients(b *book) {
	r := w.chance.load
	for _, idempotent := range []bool{true, oneIn(r, 2)} {
		w.numbers++
		p := &producer{world: w, number: w.numbers, home: r.IntN(3), book: b, idempotent: idempotent,
			acks: pick(r, []partition.Acks{partition.AcksAll, partition.AcksAll, partition.AcksLeader})}
		if idempotent {
			p.id = w.newProducerID()
		}
		w.producers = append(w.producers, p)
	}
	w.consumers = append(w.consumers, &consumer{world: w, home: r.IntN(3), book: b})
}

func (w *World) deleteTopic() {
	if len(w.topics) < 2 {
		return
	}
	w.end(pick(w.chance.changes, w.topics))
}

// end deletes a topic.
func (w *World) end(name string) {
	i := slices.Index(w.topics, name)
	w.topics = slices.Delete(w.topics, i, i+1)
	w.trace.add("delete", int64(i), 0)
	w.marks.hit("topic.deleted")
	if w.limit > 0 {
		w.marks.hit("full.topic.deleted")
	}
	id := w.apply(catalog.DeleteTopic(name, model.TopicID{})).Topic.ID
	for _, b := range w.books {
		if b.name.Topic == id {
			b.ended = true
		}
	}
	w.producers = slices.DeleteFunc(w.producers, func(p *producer) bool { return p.book.ended && len(p.flying) == 0 })
}

// living are the books of topics that exist.
func (w *World) living() []*book {
	return slices.DeleteFunc(slices.Clone(w.books), func(b *book) bool { return b.ended })
}

// move gives a partition to another shard.
func (w *World) move() {
	r := w.chance.changes
	b := pick(r, w.living())
	to := model.ShardID(r.IntN(w.shards))
	w.trace.add("move", int64(b.name.Index), int64(to))
	if _, from, ok := w.node.owner(w.catalogue.Image(), b.name); ok && from != to {
		w.marks.hit("partition.moved")
	}
	w.apply(catalog.MoveReplica(b.name, self, to, oneIn(r, 2)))
}

func (w *World) configure() {
	b := pick(w.chance.changes, w.living())
	w.trace.add("configure", int64(b.name.Index), 0)
	var changes []catalog.ConfigChange
	configs := w.configs()
	if b.segment > 0 {
		delete(configs, "segment.ms")
	}
	for _, key := range []string{"retention.ms", "retention.bytes", "segment.ms"} {
		value, set := configs[key]
		changes = append(changes, catalog.ConfigChange{Key: key, Value: value, Delete: !set})
	}
	if oneIn(w.chance.changes, 2) {
		changes = append(changes, w.redurable(b))
	}
	w.apply(catalog.SetTopicConfigs(b.topic, changes, false))
}

// redurable gives the topic of a partition the durability that it has not.
func (w *World) redurable(b *book) catalog.ConfigChange {
	durable := !b.durable && !b.rule.becoming
	for _, other := range w.living() {
		if other.name.Topic == b.name.Topic {
			other.ask(durable)
		}
	}
	if durable {
		return catalog.ConfigChange{Key: "pinion.durability", Value: "fsync"}
	}
	w.marks.hit("durability.memory")
	return catalog.ConfigChange{Key: "pinion.durability", Value: "memory"}
}

// trimming is a deletion of records under way.
type trimming struct {
	world *World
	book  *book
	ask   partition.QueryAsk
}

// trim deletes the records below some offset.
func (w *World) trim() {
	r := w.chance.changes
	b := pick(r, w.living())
	before := partition.TrimToHigh
	if oneIn(r, 2) && b.acked > 0 {
		before = model.Offset(r.Int64N(int64(b.acked) + 1))
	}
	w.ask(b, before)
}

// ask has the node delete the records of a partition below an offset.
func (w *World) ask(b *book, before model.Offset) {
	w.trace.add("trim", int64(b.name.Index), int64(before))
	q := &trimming{world: w, book: b}
	w.trims = append(w.trims, q)
	b.sight.trims++
	home := model.ShardID(w.chance.changes.IntN(w.shards))
	q.ask = partition.QueryAsk{Home: home, Caller: q, Partition: b.name, Query: partition.QueryTrim, Epoch: model.NoEpoch, Before: before}
	w.node.on(home, func(t *shard.Turn) {
		if set, owner, ok := w.node.owner(w.catalogue.Image(), b.name); ok {
			q.ask.To = set
			t.Ask(owner, &q.ask)
			return
		}
		q.over(partition.UnknownPartition)
	})
}

// over ends the deletion, or the life of the node that it was asked of.
func (q *trimming) over(code partition.Code) {
	w, s := q.world, &q.book.sight
	w.trims = slices.DeleteFunc(w.trims, func(other *trimming) bool { return other == q })
	s.trims--
	switch code {
	case partition.OK, partition.OutOfRange, partition.Undeletable, partition.UnknownPartition:
	default:
		s.trimmed = true
	}
}

// Answered says that the deletion is durable, or why it is not done.
func (q *trimming) Answered(_ *shard.Turn, ask *partition.QueryAsk) {
	q.world.marks.hit("trim." + codeNames[ask.Code])
	q.over(ask.Code)
	if ask.Code == partition.OK {
		q.book.start = max(q.book.start, ask.Offset)
		q.world.soon = q.world.soon || oneIn(q.world.chance.changes, 3)
		if q.world.limit > 0 {
			q.world.marks.hit("full.trim.ok")
		}
	}
}
