package coordinator

import (
	"pinion/engine/group"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// Ask is mail: one request for the groups of one partition, sent by a client's home shard, run by the shard that owns the partition. It
// comes home with the request's outcome set, at once or when what it waits for has happened.
type Ask struct {
	shard.Letter

	// Set by the home shard.
	Home      model.ShardID
	To        *Set
	Caller    Caller
	Partition model.Partition // of Topic
	Request   group.Request

	// Set by the owner.
	Code group.Code // why the groups are not to be had; OK: the request has the outcome
}

// Caller is told, on the home shard, that its ask is answered.
type Caller interface {
	Answered(t *shard.Turn, ask *Ask)
}

// Deliver hands the ask to the owner.
func (a *Ask) Deliver(t *shard.Turn) { a.To.take(t, a) }

// reply is the ask on its way home.
type reply Ask

// Deliver tells the caller.
func (r *reply) Deliver(t *shard.Turn) {
	a := (*Ask)(r)
	a.Caller.Answered(t, a)
}

func (a *Ask) reply(t *shard.Turn, code group.Code) {
	a.Code = code
	t.Reply(a.Home, (*reply)(a))
}

// Update is mail to a set's shard from whoever publishes images: the topic may have come, gone or moved, or the configuration changed.
type Update struct {
	shard.Letter
	Set     *Set
	Deleted bool // topics were, of which offsets may be kept
}

// Deliver applies the newest image on the shard.
func (u *Update) Deliver(t *shard.Turn) {
	u.Set.Changed(t)
	if u.Deleted {
		u.Set.broom.begin(t)
	}
}
