package sim

import (
	"fmt"
	"time"

	"pinion/engine/clock"
	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
)

// watch looks at what must hold after every step.
func (w *World) watch() {
	owners := owners{}
	w.node.look(func(t *shard.Turn, p *partition.Partition) {
		if err := p.Failure(); err != nil && !w.node.harmed[p.Directory().At] {
			w.fail(&violation{"I19 offline", fmt.Sprintf("%s, and nothing failed in this life: %v", p.Dir(), err)})
		}
		b := w.byName[p.Name()]
		if b != nil && p.Log() != nil && !p.Log().Closed() && p.Failure() == nil {
			w.glance(b, p) // one that is leaving has its retention and its compaction all the same
		}
		if !p.Serves(t) {
			return
		}
		if b != nil && b.rule.becoming && p.Config().Durability == config.DurabilityFsync {
			w.marks.hit("durability.fsync")
			b.became(p.Marks().End)
		}
		w.fail(inOrder(p.Dir(), p.Log().Start(), p.Marks()))
		w.fail(owners.claim(p.Name(), t.Shard()))
	})
}

// owners are the shards that serve partitions.
type owners map[model.Partition]model.ShardID

// claim notes that a shard serves a partition, which one does at a time.
func (o owners) claim(name model.Partition, id model.ShardID) error {
	if other, twice := o[name]; twice {
		return &violation{"I18 owner", fmt.Sprintf("%v is open on shards %d and %d", name, other, id)}
	}
	o[name] = id
	return nil
}

func inOrder(dir string, start model.Offset, m partition.Marks) error {
	if m.Stable > m.High || m.High > m.End || m.Durable > m.End || start > m.High {
		return &violation{"I10 marks", fmt.Sprintf("%s: start %d, %+v", dir, start, m)}
	}
	return nil
}

// sight is what was seen of a partition's log after the last step, and what may move its start.
type sight struct {
	start    model.Offset
	segments int
	life     int // it was seen in
	rule     removal
	trims    int  // deletions of records under way
	trimmed  bool // one ended, and nobody said whether it has moved the start, or will
}

// glance follows the start of a log and the number of its segments.
func (w *World) glance(b *book, p *partition.Partition) {
	log, s := p.Log(), &b.sight
	start, segments, c := log.Start(), log.Segments(), log.Config()
	rule := removal{bytes: log.Size(), delete: c.Delete, retentionBytes: c.RetentionBytes, retentionMs: c.RetentionMs}
	if segments > s.segments && s.segments > 0 && s.life == w.life {
		if b.segment > 0 {
			w.marks.hit("segment.rolled.bytes")
		} else {
			w.marks.hit("segment.rolled.age")
		}
	}
	if start > s.start {
		by, err := b.removed(s.start, start, rule, w.clock.Now().Mono)
		if err != nil { // the topic may have been given another rule in the same turn, after it had followed this one
			s.rule.bytes = rule.bytes
			if last, wrong := b.removed(s.start, start, s.rule, w.clock.Now().Mono); wrong == nil {
				w.marks.hit("retention.rule-changed")
				by, err = last, nil
			}
		}
		if !w.believed { // a start that knew no earlier time had to take the clock for right
			w.fail(err)
		}
		w.marks.hit("retention." + by)
		if w.limit > 0 {
			w.marks.hit("full.retention")
		}
	}
	if start > s.start || s.life != w.life {
		s.trimmed = false
	}
	s.start, s.segments, s.life, s.rule = start, segments, w.life, rule
}

// removal is what retention goes by.
type removal struct {
	bytes          int64 // that are left
	delete         bool
	retentionBytes int64
	retentionMs    int64
}

// removed takes that a log begins at to and no more at from, and says why; nothing that should have stayed may be gone.
func (b *book) removed(from, to model.Offset, r removal, now clock.Mono) (by string, err error) {
	if to <= b.start || b.sight.trims > 0 || b.sight.trimmed {
		return "trimmed", nil
	}
	if r.delete && r.retentionBytes >= 0 && r.bytes >= r.retentionBytes {
		return "size", nil
	}
	for at := to - 1; at >= from; at-- {
		v, known := b.values[at]
		if !known {
			continue // acknowledged to nobody, or compacted away
		}
		age := now.Sub(b.sent[v])
		if r.delete && r.retentionMs >= 0 && age >= time.Duration(r.retentionMs)*time.Millisecond {
			break
		}
		return "time", b.broken("retention", "the log starts at %d and no more at %d: %d bytes are left, the record at %d is %v old, and the rule is %+v",
			to, from, r.bytes, at, age, r)
	}
	return "time", nil
}
