package partition

import (
	"log/slog"
	"time"

	"pinion/disk/device"
	"pinion/disk/log"
	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// Options are what every set of a node shares.
type Options struct {
	Node   model.NodeID
	Dir    device.Dir
	Broker *config.Live
	Image  func() *placement.Image // the latest published image, from any thread
	Log    *slog.Logger
	// Recovery is the recovery points stored at the last stop or checkpoint, by directory name.
	Recovery map[string]model.Offset
	Folders  *Folders
	Files    int // open segment files allowed per shard
}

// Set is the partitions one shard owns.
type Set struct {
	own shard.Owner

	// Immutable after NewSet.
	options Options
	id      model.ShardID

	// Owned by the shard.
	files     *log.Files
	byName    map[model.Partition]*Partition
	dirty     []*Partition // staged bytes this turn
	delayed   []*Partition // appends wait for some work to come home
	sweeping  bool
	ackTimer  shard.Timer // deadlines of parked acknowledgements
	careTimer shard.Timer // retention, expiry
	starting  bool        // the partitions found at the start are being opened
	opening   int
	failures  int
	closing   bool
	whenIdle  func(t *shard.Turn)
	stats     Stats
}

// Stats are counters of one set.
type Stats struct {
	Batches, Records, BytesIn uint64
	Partitions, Failed        int
	Opening                   int
}

// NewSet makes the empty set of the shard that runs the turn.
func NewSet(t *shard.Turn, options Options) *Set {
	s := &Set{own: shard.Own(t), options: options, id: t.Shard(), byName: make(map[model.Partition]*Partition)}
	s.files = log.NewFiles(options.Files)
	t.Arm(&s.careTimer, options.Broker.Now().RetentionCheck, s)
	return s
}

// Stats copies the counters.
func (s *Set) Stats(t *shard.Turn) Stats {
	s.own.Check(t)
	st := s.stats
	st.Partitions, st.Failed, st.Opening = len(s.byName), s.failures, s.opening
	return st
}

// find returns the partition, opening it if the image says that it is ours, or why it is not to be had.
func (s *Set) find(t *shard.Turn, name model.Partition) (*Partition, Code) {
	s.own.Check(t)
	if p := s.byName[name]; p != nil {
		return p, OK
	}
	topic := s.options.Image().TopicByID(name.Topic)
	if topic == nil {
		return nil, UnknownPartition
	}
	place := topic.Partition(name.Index)
	if place == nil {
		return nil, UnknownPartition
	}
	if place.Leader != s.options.Node {
		return nil, NotLeader
	}
	if place.ShardOn(s.options.Node) != s.id {
		return nil, Moved
	}
	return s.open(t, name, topic, place), OK
}

// Open starts the recovery of every partition of the image that is ours. It is called once, before the node serves; Opening
// counts what is under way.
func (s *Set) Open(t *shard.Turn) {
	s.starting = true
	defer func() { s.starting = false }()
	s.options.Image().Topics(func(topic *placement.Topic) bool {
		for i := range topic.Partitions() {
			if place := topic.Partition(i); place.Leader == s.options.Node && place.ShardOn(s.options.Node) == s.id {
				s.find(t, model.Partition{Topic: topic.ID, Index: i})
			}
		}
		return true
	})
}

// Changed applies what an image changed for partitions this shard has open: deleted topics go, epochs and configurations follow.
// The newest image decides, which may be a later one: a partition that is back by then never leaves.
func (s *Set) Changed(t *shard.Turn, _ *placement.Image, topics []model.TopicID) {
	s.own.Check(t)
	image := s.options.Image()
	for _, id := range topics {
		topic := image.TopicByID(id)
		if topic == nil {
			s.dropTopic(t, id)
			continue
		}
		for i := range topic.Partitions() {
			p := s.byName[model.Partition{Topic: id, Index: i}]
			if p == nil {
				continue
			}
			p.follow(t, topic, topic.Partition(i), image.Moves())
		}
	}
}

// Reconfigured applies a change of the broker's own configuration, which topics take their defaults from.
func (s *Set) Reconfigured(t *shard.Turn, image *placement.Image) {
	s.own.Check(t)
	for name, p := range s.byName {
		if topic := image.TopicByID(name.Topic); topic != nil {
			p.configure(topic)
		}
	}
}

func (s *Set) dropTopic(t *shard.Turn, id model.TopicID) {
	for name, p := range s.byName {
		if name.Topic == id {
			p.drop(t)
		}
	}
}

// EndTurn writes what was staged, one gathering write per log, and sends what waited for it.
func (s *Set) EndTurn(t *shard.Turn) bool {
	if s.files.Over() && !s.sweeping {
		s.sweep(t)
	}
	if len(s.dirty) == 0 {
		return false
	}
	for i := 0; i < len(s.dirty); i++ {
		s.dirty[i].flush(t)
		s.dirty[i] = nil
	}
	s.dirty = s.dirty[:0]
	return true
}

// Fire runs the set's timers.
func (s *Set) Fire(t *shard.Turn, timer *shard.Timer) {
	switch timer {
	case &s.ackTimer:
		s.expireAcks(t)
	case &s.careTimer:
		for _, p := range s.byName {
			p.care(t)
		}
		t.Arm(&s.careTimer, s.options.Broker.Now().RetentionCheck, s)
	}
}

// ackCheckInterval bounds how late a timed out acknowledgement is told.
const ackCheckInterval = 100 * time.Millisecond

func (s *Set) expireAcks(t *shard.Turn) {
	waiting := false
	for _, p := range s.byName {
		p.acks.expire(t)
		waiting = waiting || p.acks.count > 0
	}
	if waiting {
		t.Arm(&s.ackTimer, ackCheckInterval, s)
	}
}

// Each calls f with every partition of the set.
func (s *Set) Each(t *shard.Turn, f func(p *Partition)) {
	s.own.Check(t)
	for _, p := range s.byName {
		f(p)
	}
}
