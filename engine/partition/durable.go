package partition

import (
	"pinion/disk/journal"
	"pinion/engine/commit"
	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// durability is what a partition with pinion.durability=fsync has beside the others: its High follows what is durable, and what is
// durable follows the journal and syncs of its segments.
//
// From fsync to memory everything written is acknowledged and visible at once. From memory to fsync nothing that was visible hides
// again: High stays, the segments are synced, and no later append counts as durable before what was there.
type durability struct {
	on      bool // off: the topic is memory by now, but the journal may hold something of it still
	syncing bool // a sync of the segments is away for those who wait
	ticket  uint64
	prefix  commit.Prefix
	item    commit.Item[*Partition]
	unseen  int64 // bytes written but not visible yet
	loose   int64 // bytes synced without their indexes
}

// looseMax is how much a start after a crash may have to read of one log because only records were synced: then indexes are as well.
const looseMax = 64 << 20

// fsync reports whether acknowledgements wait for durability.
func (p *Partition) fsync() bool { return p.durable != nil && p.durable.on }

// setDurability puts the topic's durability in force.
func (p *Partition) setDurability(t *shard.Turn, want config.Durability) {
	fsync := want == config.DurabilityFsync
	if fsync == p.fsync() {
		return
	}
	if p.durable == nil {
		p.durable = &durability{}
		p.durable.item.Owner = p
	}
	d := p.durable
	d.on = fsync
	if !fsync {
		d.prefix.Restart(p.marks.End)
		p.marks.Written(p.marks.End)
		p.advanced(t, d.unseen)
		d.unseen = 0
		return
	}
	// What this turn has staged counts as there: it was taken in under the old rule.
	d.prefix.Restart(p.log.Durable())
	if end := p.log.End(); end > d.prefix.End() {
		d.prefix.Unjournaled(end)
	}
	p.marks.Durable = min(d.prefix.End(), p.marks.End)
	p.persist(t)
}

// journalRoom reports whether a batch may be staged now as far as the journal is concerned.
func (p *Partition) journalRoom(t *shard.Turn, bytes int) bool {
	s := &p.site.scribe
	if p.holed = p.holed && !s.settled; p.holed {
		return false
	}
	return !p.fsync() || !s.takes(bytes) || s.room(t)
}

// journalHomeless reports whether a batch would wait for a journal that the disk has no space for. What was handed in before that was known waits, and has
// the journal look again.
func (p *Partition) journalHomeless(bytes int) bool {
	s := &p.site.scribe
	return (p.holed || p.fsync() && s.takes(bytes)) && s.journal.Homeless()
}

// secure starts a staged batch on its way to being durable. The segment gets it at the end of the turn, before the journal is handed in.
func (p *Partition) secure(ask *AppendAsk) {
	if !p.fsync() {
		return
	}
	d, s := p.durable, &p.site.scribe
	if !s.takes(len(ask.Batch)) || s.spares(d, len(ask.Batch)) {
		d.prefix.Unjournaled(ask.target)
		return
	}
	segment, pos := p.log.Place()
	s.append(p, ask, &journal.Entry{
		Kind: journal.Append, Partition: p.name, Base: ask.Base, End: ask.target, Segment: segment, Pos: pos, Epoch: ask.Epoch, Bytes: ask.Batch,
	})
	d.prefix.Journaled(ask.target, d.ticket)
}

// wrote moves the marks after the log was written.
func (p *Partition) wrote(t *shard.Turn, grown int64) {
	if !p.fsync() {
		p.advanced(t, grown)
		return
	}
	p.durable.unseen += grown
	p.durable.loose += grown
	p.persist(t)
	p.push(t)
}

// pushBytes is how much of a log is stored at a time while it grows: a millisecond of an ordinary disk, which the journal's next write may have
// to wait for. Partitions grow alike, so that several push at once. Half of it makes the p99 of commits a third shorter and their median a third longer, or
// less; a quarter, the p99 half as long and the median by half longer. The mean is the disk's.
const pushBytes = 512 << 10

// push has stored what the journal made durable already, before a checkpoint has to: that would be all that has gathered, of many logs at once.
func (p *Partition) push(t *shard.Turn) {
	if p.durable.syncing {
		return // all of it is being stored
	}
	if work := p.log.Push(pushBytes); work != nil {
		p.caring++
		t.HelpBulk(&logWork{work: work, p: p, kind: workPush})
	}
}

// committed is told that the journal has everything of a ticket.
func (p *Partition) committed(t *shard.Turn, ticket uint64) {
	if p.durable == nil || p.state != open {
		return
	}
	p.durable.prefix.Committed(ticket)
	p.persist(t)
}

// persist lets everything move that waited for what is durable by now, and asks for a sync where one is missing.
func (p *Partition) persist(t *shard.Turn) {
	if !p.fsync() || p.state != open {
		return
	}
	d := p.durable
	d.prefix.Synced(p.log.Durable())
	if end := min(d.prefix.End(), p.marks.End); end > p.marks.Durable {
		p.marks.Persisted(end)
		bytes := d.unseen
		if end == p.marks.End {
			d.unseen = 0
		}
		p.advanced(t, bytes)
	}
	if d.prefix.WantsSync() && !d.syncing && p.staged.first == nil {
		p.syncSegments(t)
	}
}

// syncSegments makes what is written durable without the journal.
func (p *Partition) syncSegments(t *shard.Turn) {
	d := p.durable
	sync := p.log.SyncData
	if d.loose > looseMax {
		sync = p.log.SyncWork
	}
	work := sync()
	if work == nil {
		if p.log.Err() == nil {
			p.set.unsynced = append(p.set.unsynced, p) // some work of this log is under way
		}
		return
	}
	if d.loose > looseMax {
		d.loose = 0
	}
	d.syncing = true
	p.site.scribe.syncing++
	p.caring++
	t.Help(&logWork{work: work, p: p, kind: workSync})
}

// forbid writes into the journal that nothing from an offset on counts, before the log is cut there, and goes on when that is durable. It
// is false when there is no room now.
func (p *Partition) forbid(t *shard.Turn, from model.Offset, then func(t *shard.Turn)) bool {
	s := &p.site.scribe
	if p.durable == nil || s.journal == nil {
		then(t)
		return true
	}
	if !s.room(t) {
		return false
	}
	s.add(p, &journal.Entry{Kind: journal.Truncate, Partition: p.name, Base: from})
	s.filling.after = append(s.filling.after, then)
	return true
}
