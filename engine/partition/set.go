package partition

import (
	"log/slog"
	"slices"
	"time"

	"pinion/disk/device"
	"pinion/disk/journal"
	"pinion/disk/log"
	"pinion/engine/commit"
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
	// Recovery is the recovery points stored at the last stop or checkpoint.
	Recovery map[model.Partition]model.Offset
	Folders  *Folders
	// Journal makes small appends durable; nil: their segments are synced one by one.
	Journal *commit.Journal
	// Tail is what the journal held of a partition when the node started, or nil.
	Tail  func(p model.Partition) *journal.Tail
	Fence *Fence
	Files int // open segment files allowed per shard
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
	all       []*Partition // those of byName, in an order that chance has no part in
	dirty     []*Partition // staged bytes this turn
	delayed   []*Partition // appends wait for some work to come home
	parked    []*Partition // acknowledgements wait, or did when the timer last looked
	unsynced  []*Partition // a sync that acknowledgements wait for does
	scribe    scribe
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
	Refilled                  uint64 // batches that recovery found in the journal alone
}

// NewSet makes the empty set of the shard that runs the turn.
func NewSet(t *shard.Turn, options Options) *Set {
	s := &Set{own: shard.Own(t), options: options, id: t.Shard(), byName: make(map[model.Partition]*Partition)}
	s.files = log.NewFiles(options.Files)
	if s.options.Fence == nil {
		s.options.Fence = &Fence{}
	}
	s.options.Fence.sets.Store(s.id, s)
	s.scribe = scribe{set: s, journal: options.Journal, told: commit.Nothing}
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

func (s *Set) keepPartition(p *Partition) {
	s.byName[p.name] = p
	p.place = int32(len(s.all))
	s.all = append(s.all, p)
}

func (s *Set) forgetPartition(p *Partition) {
	delete(s.byName, p.name)
	last := len(s.all) - 1
	s.all[p.place] = s.all[last]
	s.all[p.place].place = p.place
	s.all[last] = nil
	s.all = s.all[:last]
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
	if s.closing {
		return nil, NotLeader
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
func (s *Set) Changed(t *shard.Turn, image *placement.Image, topics []model.TopicID) {
	s.own.Check(t)
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
			p.follow(t, topic, topic.Partition(i))
		}
	}
}

// Reconfigured applies a change of the broker's own configuration, which topics take their defaults from.
func (s *Set) Reconfigured(t *shard.Turn, image *placement.Image) {
	s.own.Check(t)
	for _, p := range s.all {
		if topic := image.TopicByID(p.name.Topic); topic != nil {
			p.configure(t, topic)
		}
	}
}

func (s *Set) dropTopic(t *shard.Turn, id model.TopicID) {
	for _, p := range slices.Backward(s.all) { // whoever goes is replaced by the last
		if p.name.Topic == id {
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
		s.scribe.send(t)
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
		for _, p := range s.all {
			p.care(t)
		}
		t.Arm(&s.careTimer, s.options.Broker.Now().RetentionCheck, s)
	}
}

// ackCheckInterval bounds how late a timed out acknowledgement is told.
const ackCheckInterval = 100 * time.Millisecond

func (s *Set) expireAcks(t *shard.Turn) {
	s.parked = slices.DeleteFunc(s.parked, func(p *Partition) bool {
		p.acks.expire(t)
		p.parked = p.acks.count > 0
		return !p.parked
	})
	if len(s.parked) > 0 {
		s.scribe.nudge()
		t.Arm(&s.ackTimer, ackCheckInterval, s)
	}
}

// Serves reports whether a partition is open for business here.
func (s *Set) Serves(t *shard.Turn, name model.Partition) bool {
	s.own.Check(t)
	p := s.byName[name]
	return p != nil && p.Serves(t)
}

// Each calls f with every partition of the set.
func (s *Set) Each(t *shard.Turn, f func(p *Partition)) {
	s.own.Check(t)
	for _, p := range s.all {
		f(p)
	}
}
