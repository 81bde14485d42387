package coordinator

import (
	"log/slog"
	"slices"
	"time"

	"pinion/disk/batch"
	"pinion/engine/clock"
	"pinion/engine/config"
	"pinion/engine/group"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// Options are what every set of a node shares.
type Options struct {
	Node   model.NodeID
	Image  func() *placement.Image // the latest published image, from any thread
	Broker *config.Live
	Log    *slog.Logger
	Random func() [16]byte // no two alike
	Seen   clock.Wall      // the latest time the last life of this node left a trace of, 0 if nobody knows
}

// Set is the seats of one shard.
type Set struct {
	own shard.Owner

	// Immutable after NewSet.
	options    Options
	id         model.ShardID
	partitions *partition.Set // of the same shard

	// Owned by the shard.
	seats  []*seat                   // by partition of the topic; nil: not ours
	owing  map[model.Partition]*seat // left while records of theirs were on their way into the log
	config *config.Broker
	// batchBytesMax is max.message.bytes of the topic.
	batchBytesMax int
	builder       *batch.Builder
	guard         clock.Guard // the time to forget offsets by
	expiry        shard.Timer
	expiring      int // seats that are still to be looked at in this round
	broom         broom
	closing       bool
}

// NewSet makes the set of the shard that runs the turn.
func NewSet(t *shard.Turn, options Options, partitions *partition.Set) *Set {
	s := &Set{own: shard.Own(t), options: options, id: t.Shard(), partitions: partitions, builder: batch.NewBuilder(),
		owing: map[model.Partition]*seat{}}
	s.config = options.Broker.Now()
	s.broom.set = s
	s.guard.Resume(options.Seen, t.Now())
	t.Arm(&s.expiry, s.config.Groups.RetentionCheck, s)
	return s
}

// configuration is what the broker's configuration says to machines.
func (s *Set) configuration() group.Config {
	g := &s.config.Groups
	return group.Config{SessionMin: g.SessionMin, SessionMax: g.SessionMax, InitialDelay: g.InitialDelay, SizeMax: int(g.SizeMax),
		MetadataMax: int(g.MetadataMax), OffsetsRetention: g.Retention}
}

// Changed follows the newest image: seats are made for partitions that came, and given up for those that went.
func (s *Set) Changed(t *shard.Turn) {
	s.own.Check(t)
	if s.closing {
		return
	}
	if now := s.options.Broker.Now(); now != s.config {
		s.config = now
		for _, seat := range s.seats {
			if seat != nil {
				seat.machine.Configure(s.configuration())
			}
		}
	}
	topic := s.options.Image().TopicCalled(Topic)
	for i, seat := range s.seats {
		if seat != nil && (!s.ours(topic, seat.name) || seat.outlived(t)) {
			s.seats[i] = nil
			seat.leave(t)
		}
	}
	if topic == nil {
		return
	}
	s.limit(topic)
	for i := range topic.Partitions() {
		if name := (model.Partition{Topic: topic.ID, Index: i}); s.ours(topic, name) {
			s.seat(t, name)
		}
	}
}

// limit follows the topic's configuration.
func (s *Set) limit(topic *placement.Topic) {
	c := s.config.Stored(topic.Configs)
	s.batchBytesMax = int(c.MaxMessageBytes)
}

// ours reports whether this shard owns a partition of the topic.
func (s *Set) ours(topic *placement.Topic, name model.Partition) bool {
	if topic == nil || topic.ID != name.Topic {
		return false
	}
	place := topic.Partition(name.Index)
	return place != nil && place.Leader == s.options.Node && place.ShardOn(s.options.Node) == s.id
}

// seat finds the seat of a partition that is ours, or makes it and begins to read its records.
func (s *Set) seat(t *shard.Turn, name model.Partition) *seat {
	if int(name.Index) >= len(s.seats) {
		s.seats = slices.Grow(s.seats, int(name.Index)+1-len(s.seats))[:name.Index+1]
	}
	if s.seats[name.Index] == nil {
		if topic := s.options.Image().TopicByID(name.Topic); topic != nil {
			s.limit(topic)
		}
		s.seats[name.Index] = newSeat(t, s, name)
	}
	return s.seats[name.Index]
}

// take runs an ask.
func (s *Set) take(t *shard.Turn, ask *Ask) {
	s.own.Check(t)
	name := ask.Partition
	if s.closing || !s.ours(s.options.Image().TopicByID(name.Topic), name) {
		ask.reply(t, group.NotCoordinator)
		return
	}
	if int(name.Index) < len(s.seats) && s.seats[name.Index] != nil {
		if seat := s.seats[name.Index]; seat.name != name || seat.outlived(t) {
			s.Changed(t) // a topic of the same name took the place of another, or the partition is back
		}
	}
	s.seat(t, name).take(t, ask)
}

// Drain answers everybody who waits for other clients: the node is about to stop. What is being stored is answered when it is.
func (s *Set) Drain(t *shard.Turn) {
	s.own.Check(t)
	s.closing = true
	t.Disarm(&s.expiry)
	t.Disarm(&s.broom.next)
	for _, seat := range s.seats {
		if seat != nil {
			seat.drain(t)
		}
	}
}

// expirePace is between two seats, so that no turn looks at all groups.
const expirePace = time.Millisecond

// Fire forgets old offsets, of one seat after the other.
func (s *Set) Fire(t *shard.Turn, _ *shard.Timer) {
	if s.expiring == 0 {
		s.expiring = len(s.seats)
	}
	s.expiring = min(s.expiring, len(s.seats))
	for s.expiring > 0 {
		s.expiring--
		if seat := s.seats[s.expiring]; seat != nil && seat.state == serving {
			wall, _ := s.guard.Judge(t.Now())
			seat.machine.Expire(t.Now(), wall)
			seat.forget(t) // what could not be stored the first time
			seat.carry(t, nil)
			break
		}
	}
	if s.expiring > 0 {
		t.Arm(&s.expiry, expirePace, s)
		return
	}
	t.Arm(&s.expiry, s.config.Groups.RetentionCheck, s)
}

// Stats are counters of one set.
type Stats struct {
	Seats, Loading int
	Groups         group.Stats
}

// Stats sums the counters.
func (s *Set) Stats(t *shard.Turn) Stats {
	s.own.Check(t)
	var st Stats
	for _, seat := range s.seats {
		if seat == nil {
			continue
		}
		st.Seats++
		if seat.state != serving {
			st.Loading++
			continue
		}
		st.Groups.Add(seat.machine.Stats())
	}
	return st
}

// Each calls f with every group of one partition that is ours and serves.
func (s *Set) Each(t *shard.Turn, index int32, f func(v group.View)) {
	s.own.Check(t)
	if int(index) < len(s.seats) && s.seats[index] != nil && s.seats[index].state == serving {
		s.seats[index].machine.Each(f)
	}
}
