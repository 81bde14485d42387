package partition

import (
	"log/slog"
	"sync/atomic"
	"time"

	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/config"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// Options are what every set of a node shares.
type Options struct {
	Node        model.NodeID
	Directories *logdir.List
	Broker      *config.Live
	Image       func() *placement.Image // the latest published image, from any thread
	Log         *slog.Logger
	Folders     *Folders
	Together    int // from how many logs on one sync of the file system takes the place of theirs; 0: as many as measured best
	// Dirty is how many bytes such a sync would have to write, whosever they are; nil: it does not matter.
	Dirty    func() int64
	Cleaners *Cleaners
	// Assign has the catalogue say that a partition lies in another directory. It must not wait; what becomes of it is posted to the assignment's home.
	Assign func(*Assignment)
	// RelocatePiece is how many bytes of a log go to another directory at a time; 0: as many as the constant says.
	RelocatePiece int64
	// Seen is the latest time the last life of this node left a trace of, 0 if nobody knows.
	Seen  clock.Wall
	Files int // open segment files allowed per shard
}

// Set is the partitions one shard owns.
type Set struct {
	own shard.Owner

	// Immutable after NewSet.
	options Options
	id      model.ShardID

	// Owned by the shard.
	files       *log.Files
	topics      map[model.TopicID]*topicHere // the topics that have partitions here, with these by index
	all         []*Partition                 // the same, each at its place, so that they can be looked at some at a time, in an order that chance has no part in
	dirty       []*Partition                 // staged bytes this turn
	delayed     []*Partition                 // appends wait for some work to come home
	unsynced    []*Partition                 // a sync that acknowledgements wait for does
	sites       []*site                      // one for each log directory
	crowd       crowd
	parked      []*Partition // have acknowledgements parked, or had some lately
	sweeping    bool
	ackTimer    shard.Timer       // deadlines of parked acknowledgements
	careTimer   shard.Timer       // retention, expiry
	careNext    int               // of all: those before it are still to be looked after, 0 between two rounds
	caring      int               // works of care under way
	starting    bool              // the partitions found at the start are being made known
	opening     int               // known and not open yet
	waiting     []*Partition      // of those, found at the start and asked for by nobody when they were entered, in the order of their turn
	behind      int               // taken from there, with helpers
	replaying   int               // of those, the ones the journal holds something of
	replays     []*Partition      // of these, the ones that nobody has begun
	replayed    []model.Partition // those that were brought together with it and are durable
	replaysAway int               // and that helpers are at
	progress    [2]atomic.Int64   // opening, and all there are, for any thread; orders nothing
	failures    int
	closing     bool
	whenIdle    func(t *shard.Turn)
	stats       Stats
	guard       clock.Guard  // the time to delete by
	doubted     bool         // the wall clock is ahead of it, and somebody was told
	compacted   []*Partition // open, with cleanup.policy=compact
	cleaning    *cleaning    // the pass under way, nil: none
	cleanTimer  shard.Timer  // the next pass, or its next step
	cleaned     CleanStats

	relocating    []*relocation // to other log directories: the first is under way
	relocateTimer shard.Timer   // its next piece
}

// Stats are counters of one set.
type Stats struct {
	Batches, Records, BytesIn uint64
	Partitions, Failed        int
	Opening                   int    // known and not open yet
	Replaying                 int    // of these, the ones the journal holds something of
	Refilled                  uint64 // batches that recovery found in the journal alone
	Clean                     CleanStats
}

// NewSet makes the empty set of the shard that runs the turn.
func NewSet(t *shard.Turn, options Options) *Set {
	s := &Set{own: shard.Own(t), options: options, id: t.Shard(), topics: make(map[model.TopicID]*topicHere)}
	s.files = log.NewFiles(options.Files)
	for _, d := range options.Directories.All {
		s.sites = append(s.sites, newSite(t, s, d))
	}
	if s.options.Cleaners == nil {
		s.options.Cleaners = &Cleaners{}
	}
	s.guard.Resume(options.Seen, t.Now())
	t.Arm(&s.careTimer, options.Broker.Now().RetentionCheck, s)
	return s
}

// Stats copies the counters.
func (s *Set) Stats(t *shard.Turn) Stats {
	s.own.Check(t)
	st := s.stats
	st.Partitions, st.Failed, st.Opening, st.Clean = len(s.all), s.failures, s.opening, s.cleaned
	st.Replaying = s.replaying
	return st
}

// known is the partition of that name, or nil.
func (s *Set) known(name model.Partition) *Partition {
	here := s.topics[name.Topic]
	if here == nil || int(name.Index) >= len(here.parts) || name.Index < 0 {
		return nil
	}
	return here.parts[name.Index]
}

// find returns the partition, opening it if the image says that it is ours, or why it is not to be had.
func (s *Set) find(t *shard.Turn, name model.Partition) (*Partition, Code) {
	s.own.Check(t)
	if p := s.known(name); p != nil {
		p.urge(t)
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
			p := s.known(model.Partition{Topic: id, Index: i})
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
	for _, p := range s.all {
		if topic := image.TopicByID(p.name.Topic); topic != nil {
			p.configure(t, topic)
		}
	}
}

// dropTopic ends what there is of a deleted topic. Every set is told of it, at the latest when it has given away what it had.
func (s *Set) dropTopic(t *shard.Turn, id model.TopicID) {
	for _, folder := range s.options.Folders.orphans(claimant{id, s.id}) {
		t.HelpBulk(&burial{set: s, site: s.sites[folder.at], folder: folder.name, topic: id, wished: folder.wished})
	}
	here := s.topics[id]
	if here == nil {
		return
	}
	for _, p := range here.parts {
		if p != nil {
			p.drop(t)
		}
	}
}

// EndTurn writes what was staged, one gathering write per log, and sends what waited for it.
func (s *Set) EndTurn(t *shard.Turn) bool {
	if s.files.Over() && !s.sweeping {
		s.sweep(t)
	}
	if !s.crowd.empty() {
		s.letIn(t)
	}
	if len(s.dirty) == 0 {
		for _, site := range s.sites {
			site.scribe.send(t)
		}
		return false
	}
	// The guard hears of every time at which records are written: a clock that is set back while it does not look and then jumps ahead would
	// else make them look as old as both steps together.
	s.wall(t)
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
	case &s.cleanTimer:
		s.clean(t)
	case &s.ackTimer:
		s.expireAcks(t)
	case &s.relocateTimer:
		if len(s.relocating) > 0 {
			s.relocating[0].step(t)
		}
	case &s.crowd.timer:
		s.giveUpReads(t)
	case &s.careTimer:
		s.careSome(t)
	}
}

// careStep is how many partitions are looked after in one turn, about 100 us; careAway is how many works that may have begun, so that
// appends find helpers and open files.
const (
	careStep = 256
	careAway = 64
	carePace = time.Millisecond
)

// careSome looks after some partitions and comes back for the others, from the last to the first: what is forgotten meanwhile gives its
// place to one that was looked at already.
func (s *Set) careSome(t *shard.Turn) {
	if s.careNext == 0 {
		s.careNext = len(s.all)
	}
	s.careNext = min(s.careNext, len(s.all))
	for steps := careStep; steps > 0 && s.careNext > 0 && s.caring < careAway && s.files.Room(); steps-- {
		s.careNext--
		s.all[s.careNext].care(t)
	}
	if s.careNext > 0 {
		t.Arm(&s.careTimer, carePace, s)
		return
	}
	t.Arm(&s.careTimer, s.options.Broker.Now().RetentionCheck, s)
}

// enter makes a partition known to the set.
func (s *Set) enter(p *Partition) {
	p.at = int32(len(s.all))
	s.all = append(s.all, p)
	s.opening++
	s.tell()
	here := s.topics[p.name.Topic]
	if here == nil {
		here = &topicHere{}
		s.topics[p.name.Topic] = here
	}
	here.count++
	if missing := int(p.name.Index) + 1 - len(here.parts); missing > 0 {
		here.parts = append(here.parts, make([]*Partition, missing)...)
	}
	here.parts[p.name.Index] = p
}

// leave forgets it, unless it is forgotten already.
func (s *Set) leave(p *Partition) {
	if s.known(p.name) != p {
		return
	}
	last := s.all[len(s.all)-1]
	s.all[p.at], last.at = last, p.at
	s.all[len(s.all)-1] = nil
	s.all = s.all[:len(s.all)-1]
	s.tell()
	here := s.topics[p.name.Topic]
	here.parts[p.name.Index] = nil
	if here.count--; here.count == 0 {
		delete(s.topics, p.name.Topic)
	}
}

// topicHere is a topic's partitions on this shard, and what they share.
type topicHere struct {
	parts []*Partition // by index; nil where one is elsewhere
	count int32        // of those that are not

	// What the configuration came to, when it was read last.
	topic  *placement.Topic
	broker *config.Broker
	config *resolved
}

// resolved is what a topic's configuration comes to, for the topic and for its logs.
type resolved struct {
	config.Topic
	log log.Config
}

// configOf is what a topic's configuration comes to.
func (s *Set) configOf(topic *placement.Topic) *resolved {
	broker := s.options.Broker.Now()
	here := s.topics[topic.ID]
	if here != nil && here.topic == topic && here.broker == broker {
		return here.config
	}
	c := broker.Stored(topic.Configs)
	if topic.Internal {
		c.Durability = config.DurabilityFsync // the broker's own state survives a power cut, whatever anybody sets
	}
	r := &resolved{Topic: c, log: logConfig(&c)}
	r.log.Spare = topic.Internal // and goes on where the disk is full but for its reserve
	if here != nil {
		here.topic, here.broker, here.config = topic, broker, r
	}
	return r
}

// Believed is what time it is as far as the clock is believed: what the next life of this node has to know.
func (s *Set) Believed(t *shard.Turn) clock.Wall {
	s.own.Check(t)
	return s.wall(t)
}

// wall is the time to delete by. It says so when that is not the wall clock's.
func (s *Set) wall(t *shard.Turn) clock.Wall {
	at, ahead := s.guard.Judge(t.Now())
	if doubted := ahead > 0; doubted != s.doubted {
		s.doubted = doubted
		if doubted {
			s.options.Log.Warn("the clock is ahead of what it was: nothing is deleted by it until it has stood for as long, a day at most", "ahead", ahead)
		} else {
			s.options.Log.Info("the clock is believed again")
		}
	}
	return at
}

// ackCheckInterval bounds how late a timed out acknowledgement is told.
const ackCheckInterval = 100 * time.Millisecond

func (s *Set) expireAcks(t *shard.Turn) {
	left := s.parked[:0]
	for _, p := range s.parked {
		p.acks.expire(t)
		if p.parking = !p.acks.empty(); p.parking {
			left = append(left, p)
		}
	}
	clear(s.parked[len(left):])
	s.parked = left
	away := 0
	for _, site := range s.sites {
		site.scribe.nudge()
		away += site.scribe.away
	}
	if len(left)+away > 0 {
		t.Arm(&s.ackTimer, ackCheckInterval, s)
	}
}

// Serves reports whether a partition is open for business here.
func (s *Set) Serves(t *shard.Turn, name model.Partition) bool {
	s.own.Check(t)
	p := s.known(name)
	return p != nil && p.Serves(t)
}

// Since tells the times apart for which a partition is here: while it was elsewhere in between, others may have appended. False: it is not here.
func (s *Set) Since(t *shard.Turn, name model.Partition) (moves uint64, ok bool) {
	s.own.Check(t)
	p := s.known(name)
	if p == nil {
		return 0, false
	}
	return p.since, true
}

// Each calls f with every partition of the set.
func (s *Set) Each(t *shard.Turn, f func(p *Partition)) {
	s.own.Check(t)
	for _, p := range s.all {
		f(p)
	}
}

// Highs lists the partitions that are open, and where what consumers see of each ends.
func (s *Set) Highs(t *shard.Turn) (names []model.Partition, highs []model.Offset) {
	s.own.Check(t)
	for _, p := range s.all {
		if p.state == open && !p.leaving {
			names, highs = append(names, p.name), append(highs, p.marks.High)
		}
	}
	return names, highs
}
