package partition

import (
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// A hand-over moves a replica to another shard of the node. The catalogue's record comes first; then the old owner freezes (later
// asks are answered Moved), lets the helpers' work come home, closes the log and gives the folder up; the new owner opens it like
// any partition, and asks wait meanwhile. What passes between the two is what the files hold: the log, its indexes and the producer
// window, so a hand-over needs no other protocol than a restart.
//
// A partition may move on, or back, before any of this is done. An owner that has not got the folder yet gives up; one that is still
// leaving keeps asks that a later image sent it until it has left and opens again. Whether an ask is early or late is told by the
// moves its image had counted: all asks of a connection that are under way go by one image (api/client.go), so they are taken, or
// turned away, in their order.

// moved reports whether the image gives the replica to another shard.
func (p *Partition) moved(place *placement.Partition) bool {
	return place == nil || place.Leader != p.set.options.Node || place.ShardOn(p.set.options.Node) != p.set.id
}

// handOver freezes the partition and starts its leaving; moves are those of the image that gave it away.
func (p *Partition) handOver(t *shard.Turn, moves uint64) {
	if p.leaving || p.closing || p.state == dropped {
		return
	}
	p.leaving, p.leftAt = true, moves
	p.urge(t)
	p.watchCompaction(t)
	p.endCleaning(t)
	for a := p.held.pop(); a != nil; a = p.held.pop() {
		a.reply(t, Moved)
	}
	p.wake(t, 1<<62) // polls ask again and learn where to
	if p.relocation != nil {
		p.relocation.step(t)
	}
	p.leave(t)
}

// leave closes the partition once nothing of it is away.
func (p *Partition) leave(t *shard.Turn) {
	switch {
	case p.state == dropped || p.set.known(p.name) != p:
		return
	case p.state == opening:
		return // the helper that opens it goes on from here
	case p.caring > 0 || p.staged.first != nil || !p.acks.empty():
		p.set.later(t, p.leave)
		return
	case p.state == failed:
		p.left(t, p.failure)
		return
	case p.holed && !p.site.scribe.settled && !p.set.closing:
		p.set.later(t, p.leave) // the next owner would not know, and append
		return
	}
	p.close(t, p.left)
}

// left gives the folder to the next owner.
func (p *Partition) left(t *shard.Turn, err error) {
	if p.state == dropped {
		return // its burial gives the folder up
	}
	if err != nil {
		p.set.options.Log.Error("partition handed over after an error", "partition", p.dir, "err", err)
	}
	if p.state == failed {
		// Offline until the next start, wherever it goes: damage must not be met without the recovery point, nor the log without what the journal holds.
		p.set.options.Folders.lose(p.name, p.failure)
	}
	if !p.site.Missing() {
		p.set.options.Folders.handOn(p.dir, p.name, p.site.Directory, p.asLeft().Recovery)
	}
	p.forgotten(t)
}

// forgotten ends the leaving: those who still wait are turned away, but for asks that came for its return, which open it again.
func (p *Partition) forgotten(t *shard.Turn) {
	p.resumeFetches(t)
	for _, a := range p.takeAsked() {
		a.reply(t, Moved)
	}
	p.set.leave(p)
	if p.state == failed {
		p.set.failures--
	}
	returning := p.takeReturning()
	for a := returning.pop(); a != nil; a = returning.pop() {
		p.set.append(t, a)
	}
}

// Arrived opens partitions that moved here, so that upkeep goes on and nobody has to ask first.
func (s *Set) Arrived(t *shard.Turn, moved []model.Partition) {
	s.own.Check(t)
	for _, name := range moved {
		if !s.closing {
			s.find(t, name)
		}
	}
}
