package coordinator

import (
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// broom has the seats of a set forget the offsets of topics that were deleted, one seat after the other.
type broom struct {
	set  *Set
	next shard.Timer
	left int // seats that are still to be looked at in this round
}

// begin begins a round, or begins the one that is under way anew.
func (b *broom) begin(t *shard.Turn) {
	b.left = len(b.set.seats)
	t.Arm(&b.next, 0, b)
}

// Fire does the next seat.
func (b *broom) Fire(t *shard.Turn, _ *shard.Timer) {
	s := b.set
	b.left = min(b.left, len(s.seats))
	for b.left > 0 && !s.closing {
		b.left--
		if seat := s.seats[b.left]; seat != nil && seat.state == serving {
			seat.forget(t)
			t.Arm(&b.next, expirePace, b)
			return
		}
	}
}

// forget removes the offsets of topics that were there when the seat was last held against an image, and are not any more. A topic the
// catalogue has never known since the seat began is none of them: the catalogue may be what was lost.
func (s *seat) forget(t *shard.Turn) {
	before, now := s.held, s.set.options.Image()
	s.held = now
	s.machine.Forget(t.Now(), goneBetween(before, now), func() {
		if before.Revision() < s.held.Revision() { // else an earlier one could not be stored either
			s.held = before
		}
	})
	s.carry(t, nil)
}

// goneBetween says which topics one image has and a later one has not.
func goneBetween(before, now *placement.Image) func(topic string, id model.TopicID) bool {
	return func(topic string, id model.TopicID) bool {
		if id.IsZero() {
			was := before.TopicCalled(topic)
			return was != nil && now.TopicByID(was.ID) == nil
		}
		// One that another has taken the name of is gone for good, whoever saw it.
		return now.TopicByID(id) == nil && (before.TopicByID(id) != nil || now.TopicCalled(topic) != nil)
	}
}
