package partition

import (
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// Update is mail to a set's shard from whoever publishes images: what a new one changed for these topics, and whether the broker's own
// configuration did.
type Update struct {
	shard.Letter
	Set          *Set
	Image        *placement.Image
	Topics       []model.TopicID
	Moved        []model.Partition // to another shard
	Reconfigured bool
}

// Deliver applies the change on the shard.
func (u *Update) Deliver(t *shard.Turn) {
	if u.Reconfigured {
		u.Set.Reconfigured(t, u.Image)
	}
	u.Set.Changed(t, u.Image, u.Topics)
	u.Set.Arrived(t, u.Moved)
}
