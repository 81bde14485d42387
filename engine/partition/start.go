package partition

import (
	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// A start opens first what the journal holds something of, because the journal can only go on when that is in the segments, and durable
// (Settled). Then the node serves. What is asked for is opened at once, and everything else behind, some at a time.

// togetherMin is from how many logs on one sync of the file system takes the place of theirs, three to six for each. It waits for what others have
// dirty as well, so that it is no gain where that is more than a disk writes in the time their own syncs would take: foreignMax and foreignEach for each log.
const (
	togetherMin = 32
	foreignMax  = 128 << 20
	foreignEach = 512 << 10
)

// behindMax is how many partitions that nobody has asked for a set has helpers open at a time. Those helpers also read what is cold for
// clients.
const behindMax = 2

// Open makes every partition of the image that is ours known, and starts the recovery of those that the journal holds something of. It is
// called once, before the node serves: Stats.Replaying counts what is under way; when no set has any left, Settled follows, and then OpenRest.
func (s *Set) Open(t *shard.Turn) {
	s.starting = true
	defer func() { s.starting = false }()
	s.replayTogether = s.together(s.options.Replays, 0)
	s.options.Image().Topics(func(topic *placement.Topic) bool {
		for i := range topic.Partitions() {
			if place := topic.Partition(i); place.Leader == s.options.Node && place.ShardOn(s.options.Node) == s.id {
				s.find(t, model.Partition{Topic: topic.ID, Index: i})
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
	job.from = s.options.Recovery[p.name]
	if s.options.Tail != nil {
		job.tail = s.options.Tail(p.name)
	}
	p.found = job.from
	job.sync = p.config.Durability == config.DurabilityFsync || job.tail != nil
	if job.tail == nil {
		p.job = job
		s.waiting = append(s.waiting, p)
		return
	}
	job.together = s.replayTogether
	job.replays = true
	s.replaying++
	t.Help(job)
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
		p.job = nil
		t.Help(job)
	}
}

// OpenRest opens all that nobody has asked for, in time.
func (s *Set) OpenRest(t *shard.Turn) {
	s.own.Check(t)
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

// Unsettled is how many logs wait for Settled.
func (s *Set) Unsettled(t *shard.Turn) int {
	s.own.Check(t)
	return len(s.unsettled)
}

// Settled is told that everything written in the log directory so far is durable (device.Dir.SyncAll), or why it is not: the logs that wait
// for that open.
func (s *Set) Settled(t *shard.Turn, err error) {
	s.own.Check(t)
	jobs := s.unsettled
	s.unsettled = nil
	for _, j := range jobs {
		j.unsynced.Synced(err)
		j.err = j.log.Finish(j.unsynced)
		j.arrive(t)
	}
}

// leaveWaiting gives those up that nobody has opened, and says what they were found with.
func (s *Set) leaveWaiting(t *shard.Turn) (left []Closed) {
	for _, p := range s.waiting {
		if p.job == nil {
			continue
		}
		left = append(left, p.asLeft())
		p.job = nil
		s.opening--
		s.options.Folders.free(p.dir)
		s.leave(p)
	}
	s.waiting = nil
	return left
}
