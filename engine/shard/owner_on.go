//go:build checks

package shard

import "pinion/engine/must"

// Owner marks what one shard owns. It is the first field of an owned struct.
type Owner struct{ shard *Shard }

// Own makes the mark for the shard that runs the turn.
func Own(t *Turn) Owner { return Owner{shard: t.shard} }

// Check stops the process when another shard's turn touches the value.
func (o Owner) Check(t *Turn) {
	if o.shard != t.shard {
		owner := "no shard"
		if o.shard != nil {
			owner = o.shard.name
		}
		must.Failf("owned by %s, touched by %s", owner, t.shard.name)
	}
}
