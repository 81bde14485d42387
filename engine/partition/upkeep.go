package partition

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"pinion/disk/device"
	"pinion/disk/log"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// workKind says who waits for a log.Work.
type workKind uint8

const (
	workPrepare workKind = iota // held appends
	workAhead                   // nobody yet: space reserved before it is needed
	workCare                    // retention, truncation, sync
	workSync                    // acknowledgements
	workClean                   // a step of compaction, which judges its errors itself
	workPush                    // nobody, and nothing comes of it
)

// logWork carries a log's blocking work to a helper and its result home.
type logWork struct {
	shard.Letter
	work *log.Work
	p    *Partition
	kind workKind
	then func(t *shard.Turn, err error) // for care and clean; nil if nobody asks
}

// Run does the blocking part.
func (w *logWork) Run() { w.work.Do() }

// Deliver installs the result on the owner.
func (w *logWork) Deliver(t *shard.Turn) {
	p := w.p
	p.own.Check(t)
	p.caring--
	err := p.log.Finish(w.work)
	switch w.kind {
	case workPrepare:
		p.preparing = false
		p.prepared(t, err)
	case workAhead:
		p.ahead = false
		p.checkFailure(t, err)
	case workSync:
		p.durable.syncing = false
		p.site.scribe.syncing--
		p.checkFailure(t, err)
	case workClean:
		if p.log.Err() != nil {
			p.fail(t, err)
		}
		w.then(t, err)
	case workCare:
		p.set.caring--
		p.checkFailure(t, err)
		if w.then != nil {
			w.then(t, err)
		}
	}
	p.persist(t)
	p.drain(t)
	p.set.resume(t)
	p.buried(t)
}

// checkFailure takes the partition offline if an error was final for its log, or says that bytes of it are not what was written; what was
// refused for want of space was not.
func (p *Partition) checkFailure(t *shard.Turn, err error) {
	switch {
	case err == nil:
	case p.log.Err() != nil:
		p.failDirectory(t, err)
	case log.IsDamage(err):
		p.fail(t, err)
	case !errors.Is(err, device.ErrNoSpace):
		p.set.options.Log.Warn("upkeep", "partition", p.dir, "err", err)
	}
}

// resume drains the partitions whose appends waited for any work to come home.
func (s *Set) resume(t *shard.Turn) {
	delayed := s.delayed
	s.delayed = nil
	for _, p := range delayed {
		p.drain(t)
	}
	unsynced := s.unsynced
	s.unsynced = nil
	for _, p := range unsynced {
		p.persist(t)
	}
	for _, at := range s.sites {
		at.scribe.resume(t)
	}
}

// sweepWork closes segment files beyond the set's bound.
type sweepWork struct {
	shard.Letter
	set  *Set
	work *log.Work
}

// Run does the blocking part.
func (w *sweepWork) Run() { w.work.Do() }

// Deliver installs the result on the owner.
func (w *sweepWork) Deliver(t *shard.Turn) {
	s := w.set
	s.sweeping = false
	if err := s.files.Finish(w.work); err != nil {
		s.options.Log.Error("close segment files", "err", err)
	}
	s.resume(t)
}

func (s *Set) sweep(t *shard.Turn) {
	if work := s.files.Sweep(); work != nil {
		s.sweeping = true
		t.Help(&sweepWork{set: s, work: work})
	}
}

func (p *Partition) help(t *shard.Turn, work *log.Work, kind workKind) {
	p.caring++
	t.Help(&logWork{work: work, p: p, kind: kind})
}

func (p *Partition) helpBulk(t *shard.Turn, work *log.Work, then func(t *shard.Turn, err error)) {
	p.caring++
	p.set.caring++
	t.HelpBulk(&logWork{work: work, p: p, kind: workCare, then: then})
}

// care is the periodic look at one partition: retention and forgotten producers.
func (p *Partition) care(t *shard.Turn) {
	if p.state != open || p.closing || p.frozen {
		return
	}
	p.producers.Expire(p.set.wall(t), p.set.options.Broker.Now().ProducerIDExpiration)
	if p.log.SealedDirty() {
		if work := p.log.SyncSealed(); work != nil {
			p.helpBulk(t, work, nil)
		}
	}
	p.expire(t)
}

// expire removes leading segments that retention no longer keeps. The batches in them may be all that tells of their producers: that is stored
// before. Where it cannot be, for want of space, they go all the same; after any other error they stay until it can.
func (p *Partition) expire(t *shard.Turn) {
	below := p.expiring(t)
	if below <= p.remembered() || p.producers.Len() == 0 {
		p.expel(t)
		return
	}
	p.unstored = false // tried again here, and nowhere else: a stop does not wait for a disk to recover
	job := p.newSnapshot()
	if job == nil {
		return
	}
	job.then = func(t *shard.Turn) {
		if device.IsFull(job.err) || below <= p.remembered() { // else once it is durable what they were stored behind
			p.expel(t)
		}
	}
	t.HelpBulk(job)
}

// expiring is the offset below which records are to go, 0 where none are, or appends are half done.
func (p *Partition) expiring(t *shard.Turn) model.Offset {
	if p.preparing || p.staged.first != nil || p.state != open || p.closing {
		return 0
	}
	now := t.Now()
	now.Wall = p.set.wall(t)
	return p.log.Expiring(now, p.marks.High)
}

func (p *Partition) expel(t *shard.Turn) {
	if p.expiring(t) == 0 {
		return
	}
	now := t.Now()
	now.Wall = p.set.wall(t)
	if work := p.log.Expire(now, p.marks.High); work != nil {
		p.helpBulk(t, work, func(t *shard.Turn, err error) {
			if err == nil {
				p.expire(t) // one work may leave more to do
			}
		})
	}
}

// Truncate cuts the log to an offset: what replication does after a change of leaders. done runs on the shard. What compaction has relied on is not
// cut off (log.ErrCompacted), and that is known before the journal is told to forget anything.
func (p *Partition) Truncate(t *shard.Turn, to model.Offset, done func(t *shard.Turn, err error)) {
	p.own.Check(t)
	switch {
	case p.state == failed:
		done(t, p.failure)
		return
	case p.state == dropped || p.closing || p.leaving:
		done(t, log.ErrClosed)
		return
	}
	if scribe := &p.site.scribe; scribe.journal != nil && !scribe.settled {
		// What the journal holds of the log from before the start would be brought back by the next one.
		p.set.later(t, func(t *shard.Turn) { p.Truncate(t, to, done) })
		return
	}
	p.halting = true
	p.endCleaning(t)
	if c := p.set.cleaning; p.state != open || c != nil && c.p == p {
		p.set.later(t, func(t *shard.Turn) { p.Truncate(t, to, done) })
		return
	}
	if limit := p.log.CutLimit(); to < min(limit, p.log.End()) && !p.forbidden {
		p.halting = false
		done(t, fmt.Errorf("cut %s at %d: %w %d", p.dir, to, log.ErrCompacted, limit))
		return
	}
	if p.durable != nil && p.durable.item.Needs() && !p.forbidden {
		if p.state == open && p.staged.first == nil && !p.preparing {
			p.preparing = true // no append may come between
			if p.forbid(t, to, func(t *shard.Turn) { p.forbidden = true; p.Truncate(t, to, done) }) {
				return
			}
			p.preparing = false
		}
		p.set.later(t, func(t *shard.Turn) { p.Truncate(t, to, done) })
		return
	}
	var work *log.Work
	if p.state == open && p.staged.first == nil { // else what this turn took in is written first
		work = p.log.Truncate(to)
	}
	if work == nil {
		p.set.later(t, func(t *shard.Turn) { p.Truncate(t, to, done) })
		return
	}
	p.preparing, p.forbidden = true, false
	p.helpBulk(t, work, func(t *shard.Turn, err error) {
		p.preparing, p.halting = false, false
		if err == nil {
			p.marks.Truncated(p.log.End())
			if p.durable != nil {
				p.durable.prefix.Truncated(p.log.End())
			}
			p.producers.TruncateTo(p.log.End())
			p.acks.refuseFrom(t, p.log.End(), NotLeader)
		}
		done(t, err)
		p.drain(t)
	})
}

// drop ends a partition whose topic is deleted. Readers keep what they have on loan; the files go when the last is home.
func (p *Partition) drop(t *shard.Turn) {
	if p.state == dropped {
		return
	}
	was := p.state
	p.urge(t)
	p.state = dropped
	p.closing = true
	p.watchCompaction(t)
	p.endCleaning(t)
	p.refuse(t, UnknownPartition)
	p.set.leave(p)
	p.site.scribe.forget(t, p)
	if was == failed {
		p.set.failures--
	}
	if p.relocation != nil {
		p.relocation.step(t)
	}
	if was != opening {
		p.buried(t)
	}
}

// buried removes a dropped partition's files once no helper works on them any more, and then gives its folder up.
func (p *Partition) buried(t *shard.Turn) {
	if p.state != dropped || p.caring > 0 || p.gone || p.relocation != nil {
		return
	}
	b := &burial{set: p.set, site: p.site, folder: p.dir, topic: p.name.Topic, log: p.log}
	if p.log != nil && !p.log.Closed() { // a hand-over that the deletion met may have closed it
		if b.work = p.log.Drop(); b.work == nil {
			p.set.later(t, p.buried) // its files are being swept
			return
		}
	}
	b.wished = p.set.options.Folders.unwish(p.name)
	p.gone = true
	t.HelpBulk(b)
}

// burial is a helper's errand: the files of a deleted partition.
type burial struct {
	shard.Letter
	set     *Set
	site    *site
	folder  string
	topic   model.TopicID
	wished  *logdir.Directory // where a copy of it may be; nil: nowhere
	log     *log.Log
	work    *log.Work // nil if the log never opened, or is closed
	err     error
	strayed error // of the copy
}

// Run removes the files; readers with leases keep what they have.
func (b *burial) Run() {
	if b.wished != nil && b.wished.Fenced() == nil {
		b.strayed = log.Unwish(b.wished.Dir, b.folder, b.topic)
	}
	if b.work != nil {
		b.work.Do()
		return
	}
	if !b.site.Missing() { // else a start sets aside what is found there one day
		b.err = log.Remove(b.site.Dir, b.folder, b.topic)
	}
}

// Deliver gives the folder up, back on the owner.
func (b *burial) Deliver(t *shard.Turn) {
	if b.work != nil {
		b.err = b.log.Finish(b.work)
	}
	if err := errors.Join(b.strayed, b.err); err != nil {
		b.set.options.Log.Error("deleted partition left files behind", "partition", b.folder, "err", err)
	}
	b.site.doubt(t, b.err)
	if b.wished != nil {
		b.set.sites[b.wished.At].doubt(t, b.strayed)
	}
	if !b.site.Missing() { // else nobody has claimed it
		b.set.options.Folders.free(b.folder)
	}
}

// snapshotJob stores the producer window as of an offset.
type snapshotJob struct {
	shard.Letter
	p                *Partition
	dir              device.Dir
	at               model.Offset
	snapshot, window []byte
	old              []model.Offset
	together         bool                // a sync of everything follows
	then             func(t *shard.Turn) // once it is stored, or cannot be
	err              error
}

// remembered is up to where a start finds what batches told of their producers, though the batches were gone. A snapshot from beyond what is
// durable may be too new for the log that a power cut leaves.
func (p *Partition) remembered() model.Offset {
	limit := p.log.End()
	if p.fsync() {
		limit = p.marks.Durable
	}
	for i := len(p.snapshots) - 1; i >= 0; i-- {
		if p.snapshots[i] <= limit {
			return p.snapshots[i]
		}
	}
	return 0
}

// snapshotProducers stores the producers as of the log end.
func (p *Partition) snapshotProducers(t *shard.Turn) {
	if job := p.newSnapshot(); job != nil {
		t.Help(job)
	}
}

func (p *Partition) newSnapshot() *snapshotJob {
	at := p.log.End()
	n := len(p.snapshots)
	if p.snapshotting || p.producers.Len() == 0 || n > 0 && p.snapshots[n-1] == at || p.unstored && p.tried == at {
		return nil
	}
	job := &snapshotJob{p: p, dir: p.site.Dir, at: at}
	job.snapshot = p.producers.AppendSnapshot(nil)
	job.window = p.producers.AppendWindow(nil)
	job.old = p.snapshots[:max(0, n+1-snapshotsKept)]
	p.snapshotting, p.tried = true, at
	p.caring++
	return job
}

// Run writes the window first: a snapshot is only looked at with its window beside it.
func (j *snapshotJob) Run() {
	name := j.p.dir
	if j.together {
		j.err = j.write()
		return
	}
	if j.err = j.dir.Replace(snapshotPath(name, j.at, windowSuffix), j.window); j.err != nil {
		return
	}
	if j.err = j.dir.Replace(snapshotPath(name, j.at, snapshotSuffix), j.snapshot); j.err != nil {
		return
	}
	for _, at := range j.old {
		if err := removeSnapshot(j.dir, name, at); err != nil {
			j.err = err
		}
	}
}

// write is Run without syncs. The files are new and checksummed, so that one that a power cut tears before the sync is passed over for an older
// one, all of which stay: the next snapshot removes them.
func (j *snapshotJob) write() error {
	for _, f := range []struct {
		suffix string
		data   []byte
	}{{windowSuffix, j.window}, {snapshotSuffix, j.snapshot}} {
		name := snapshotPath(j.p.dir, j.at, f.suffix)
		file, err := j.dir.Create(name)
		if errors.Is(err, fs.ErrExist) {
			if err = j.dir.Replace(name, f.data); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		_, err = file.Pwritev([][]byte{f.data}, 0)
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Deliver notes the outcome on the owner.
func (j *snapshotJob) Deliver(t *shard.Turn) {
	p := j.p
	p.caring--
	p.snapshotting, p.unstored = false, j.err != nil
	if j.err != nil {
		p.set.options.Log.Warn("producer snapshot not stored", "partition", p.dir, "err", fmt.Errorf("at %d: %w", j.at, j.err))
		if names := (*device.FolderError)(nil); errors.As(j.err, &names) {
			p.failDirectory(t, j.err) // segments have names in the folder too
		}
	} else {
		p.snapshots = append(slices.Clone(p.snapshots[len(j.old):]), j.at)
	}
	if j.then != nil {
		j.then(t)
	}
	p.buried(t)
}
