package partition

import (
	"pinion/engine/model"
	"pinion/engine/shard"
)

// Sized is what one replica takes up.
type Sized struct {
	Partition model.Partition
	Bytes     int64 // of its segments; 0 while nothing was written or the log is being opened
}

// SizesAsk is mail: how large some replicas of one owner are (DescribeLogDirs, API key 35). Cold.
type SizesAsk struct {
	shard.Letter

	// Set by the home shard.
	Home   model.ShardID
	To     *Set
	Caller SizesCaller
	Parts  []Sized // the owner fills in the bytes
}

// SizesCaller is told the answer on the home shard.
type SizesCaller interface {
	Measured(t *shard.Turn, ask *SizesAsk)
}

// Deliver measures on the owner and goes home.
func (a *SizesAsk) Deliver(t *shard.Turn) {
	a.To.own.Check(t)
	for i := range a.Parts {
		if p := a.To.byName[a.Parts[i].Partition]; p != nil && p.log != nil {
			a.Parts[i].Bytes = p.log.Size()
		}
	}
	t.Reply(a.Home, (*SizesReply)(a))
}

// SizesReply is the ask on its way home.
type SizesReply SizesAsk

// Deliver tells the caller.
func (r *SizesReply) Deliver(t *shard.Turn) {
	a := (*SizesAsk)(r)
	a.Caller.Measured(t, a)
}
