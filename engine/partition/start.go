package partition

import (
	"slices"

	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// A start makes every partition known, and then the node serves: what is asked for is opened at once. Behind, what the journal holds something of is
// brought into the segments and made durable first; until that is over, and the journal declared unneeded, nothing is written to it, and small
// appends are synced in their segments as large ones always are. Then everything else is opened, some at a time (OpenRest).

// togetherMin is from how many logs on one sync of the file system takes the place of theirs, three to six for each. It waits for what others have
// dirty as well, so that it is no gain where that is more than a disk writes in the time their own syncs would take: foreignMax and foreignEach for each log.
const (
	togetherMin = 32
	foreignMax  = 128 << 20
	foreignEach = 512 << 10
)

// replaysMax is how many partitions a set has helpers bring together with the journal at a time; secureMax is how many wait for one sync of the file
// system at most.
const (
	replaysMax = 4
	secureMax  = 256
)

// behindMax is how many partitions that nobody has asked for a set has helpers open at a time. Those helpers also read what is cold for
// clients.
const behindMax = 2

// Open makes every partition of the image that is ours known, and starts to bring those together with the journal that it holds something of. It is
// called once, before the node serves, with one image for all sets of the node: each partition is one set's, which brings it together with the
// journal. CatchUp follows. When no set has any left (Stats.Replaying), the journal is settled and OpenRest follows.
func (s *Set) Open(t *shard.Turn, image *placement.Image) {
	s.own.Check(t)
	s.starting = true
	defer func() { s.starting = false }()
	for _, at := range s.sites {
		at.replayTogether = s.together(at.Found.Replays(), 0)
	}
	image.Topics(func(topic *placement.Topic) bool {
		for i := range topic.Partitions() {
			if place := topic.Partition(i); place.Leader == s.options.Node && place.ShardOn(s.options.Node) == s.id {
				s.open(t, model.Partition{Topic: topic.ID, Index: i}, topic, place).since = image.Moves()
			}
		}
		return true
	})
	s.replayNext(t)
}

// CatchUp applies what has changed since the image that all sets were opened by. It comes when each knows what was its own in that, so that
// what has moved meanwhile is handed over by a set that has brought it together with the journal.
func (s *Set) CatchUp(t *shard.Turn) {
	image := s.options.Image()
	var topics []model.TopicID
	for id := range s.topics {
		topics = append(topics, id)
	}
	slices.SortFunc(topics, model.TopicID.Compare)
	s.Changed(t, image, topics)
	image.Topics(func(topic *placement.Topic) bool {
		for i := range topic.Partitions() {
			name := model.Partition{Topic: topic.ID, Index: i}
			if place := topic.Partition(i); place.Leader == s.options.Node && place.ShardOn(s.options.Node) == s.id && s.known(name) == nil {
				s.find(t, name)
			}
		}
		return true
	})
}

// await has a partition that was found at the start recovered, now or behind. Its folder is taken already: a topic of the same name that
// comes meanwhile waits until this one is opened and dropped.
func (s *Set) await(t *shard.Turn, job *openJob) {
	p := job.p
	s.options.Folders.claim(p.dir, claimant{p.name.Topic, s.id})
	job.from, job.tail = p.site.Points[p.name], p.site.Found.Tail(p.name)
	p.found = job.from
	job.sync = p.config.Durability == config.DurabilityFsync || job.tail != nil
	if job.tail == nil {
		p.job = job
		s.waiting = append(s.waiting, p)
		return
	}
	job.together, job.replays = p.site.replayTogether, true
	p.job = job
	s.replaying++
	s.replays = append(s.replays, p)
}

// replayNext has helpers go on with what the journal holds something of.
func (s *Set) replayNext(t *shard.Turn) {
	for s.replaysAway < replaysMax && len(s.replays) > 0 {
		p := s.replays[0]
		s.replays[0] = nil
		s.replays = s.replays[1:]
		if job := p.job; job != nil {
			p.job, job.away = nil, true
			s.replaysAway++
			t.HelpBulk(job) // the others are for what is asked for
		}
	}
}

// secure makes those durable that are written, once they are enough or the last.
func (s *Set) secure(t *shard.Turn) {
	for _, at := range s.sites {
		if at.securing || len(at.unsettled) == 0 || len(at.unsettled) < secureMax && s.replaysAway > 0 {
			continue
		}
		jobs := at.unsettled
		at.unsettled, at.securing = nil, true
		t.HelpBulk(&syncAllJob{in: at.Directory, then: func(t *shard.Turn, err error) {
			at.securing = false
			for _, j := range jobs {
				j.unsynced.Synced(err)
				j.err = j.log.Finish(j.unsynced)
				j.arrive(t)
			}
			s.secure(t)
		}})
	}
}

// together reports whether so many logs, with about so many bytes unsynced, are better synced by one sync of the file system.
func (s *Set) together(logs int, bytes int64) bool {
	least := togetherMin
	if s.options.Together > 0 {
		least = s.options.Together
	}
	return logs >= least && (s.options.Dirty == nil || s.options.Dirty()-bytes <= foreignMax+int64(logs)*foreignEach)
}

// urge starts the recovery of a partition that waits for its turn.
func (p *Partition) urge(t *shard.Turn) {
	if job := p.job; job != nil {
		p.job, job.together = nil, false
		t.Help(job)
	}
}

// Replayed are the partitions that what the journal holds of them was brought to, durably. It is complete once Stats.Replaying is zero.
func (s *Set) Replayed(t *shard.Turn) []model.Partition {
	s.own.Check(t)
	return s.replayed
}

// OpenRest is told that the journal is settled, and opens all that nobody has asked for, in time.
func (s *Set) OpenRest(t *shard.Turn) {
	s.own.Check(t)
	for _, at := range s.sites {
		at.scribe.settled = at.scribe.journal != nil && at.scribe.journal.Settled()
	}
	s.replayed = nil
	s.resume(t)
	for range behindMax {
		s.openNext(t)
	}
}

// openNext opens one of them.
func (s *Set) openNext(t *shard.Turn) {
	for len(s.waiting) > 0 && s.behind < behindMax && !s.closing {
		p := s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		if job := p.job; job != nil {
			p.job, job.behind = nil, true
			s.behind++
			t.HelpBulk(job)
			return
		}
	}
}

// Progress is how many partitions are open, or were found damaged, of how many. Any thread may ask.
func (s *Set) Progress() (done, all int) {
	all = int(s.progress[1].Load())
	return all - int(s.progress[0].Load()), all
}

// tell shows how many are not open yet to other threads.
func (s *Set) tell() {
	s.progress[0].Store(int64(s.opening))
	s.progress[1].Store(int64(len(s.all)))
}

// leaveWaiting gives those up that nobody has opened, and says what they were found with.
func (s *Set) leaveWaiting(t *shard.Turn) (left []Closed) {
	for _, p := range append(s.waiting, s.replays...) {
		if p.job == nil {
			continue
		}
		left = append(left, p.asLeft())
		if p.job.replays {
			s.replaying--
		}
		p.job = nil
		s.opening--
		s.options.Folders.free(p.dir)
		s.leave(p)
	}
	s.waiting, s.replays = nil, nil
	return left
}
