package partition

import (
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// A hand-over moves a replica to another shard of the node. The catalogue's record comes first; then the old owner freezes (later
// asks are answered Moved), lets the helpers' work come home, closes the log and gives the folder up; the new owner opens it like
// any partition, when the first ask arrives, and asks wait meanwhile. What passes between the two is what the files hold: the log,
// its indexes and the producer window, so a hand-over needs no other protocol than a restart.

// moved reports whether the image gives the replica to another shard.
func (p *Partition) moved(place *placement.Partition) bool {
	return place == nil || place.Leader != p.set.options.Node || place.ShardOn(p.set.options.Node) != p.set.id
}

// handOver freezes the partition and starts its leaving.
func (p *Partition) handOver(t *shard.Turn) {
	if p.leaving || p.closing || p.state == dropped {
		return
	}
	p.leaving = true
	p.watchCompaction(t)
	p.endCleaning(t)
	for a := p.held.pop(); a != nil; a = p.held.pop() {
		a.reply(t, Moved)
	}
	p.wake(t, 1<<62) // polls ask again and learn where to
	p.leave(t)
}

// leave closes the partition once nothing of it is away.
func (p *Partition) leave(t *shard.Turn) {
	switch {
	case p.state == dropped || p.set.byName[p.name] != p:
		return
	case p.state == opening || p.caring > 0 || p.staged.first != nil || p.acks.count > 0:
		p.set.later(t, p.leave)
		return
	case p.state == failed:
		p.left(t, p.failure)
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
	p.forsake(t)
	if err != nil || p.log == nil {
		p.set.options.Folders.free(p.dir)
		return
	}
	p.set.options.Folders.handOn(p.dir, p.log.RecoveryPoint())
}

// forsake sends everyone who still waits here to the new owner.
func (p *Partition) forsake(t *shard.Turn) {
	p.resumeFetches(t)
	for _, a := range p.asked {
		a.reply(t, Moved)
	}
	p.asked = nil
	p.set.forgetPartition(p)
}
