package partition

import (
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// Sized is what one replica takes up.
type Sized struct {
	Partition model.Partition
	Bytes     int64 // of its segments; 0 while nothing was written or the log is being opened

	Future      *logdir.Directory // where it goes to, nil if it stays where it is
	FutureBytes int64             // that are there already
	FutureLag   int64             // offsets that are not
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
		part := &a.Parts[i]
		p := a.To.known(part.Partition)
		if p == nil {
			continue
		}
		if p.log != nil {
			part.Bytes = p.log.Size()
		}
		part.Future, part.FutureBytes, part.FutureLag = p.relocatingTo()
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
