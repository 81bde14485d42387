package partition

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/journal"
	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/config"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/producer"
	"pinion/engine/shard"
)

// open makes the partition and sends its recovery to a helper. A partition that never got a record has no directory and opens
// without touching the disk.
func (s *Set) open(t *shard.Turn, name model.Partition, topic *placement.Topic, place *placement.Partition) *Partition {
	p := &Partition{own: shard.Own(t), set: s, site: s.siteOf(place.DirectoryOn(s.options.Node)), name: name, dir: log.FolderName(topic.Name, name.Index), epoch: place.LeaderEpoch,
		since: s.options.Image().Moves()}
	s.enter(p)
	c := s.configOf(topic)
	p.config = c
	if p.site.Missing() {
		s.opening--
		s.tell()
		p.fail(t, p.site.Fenced())
		return p
	}
	job := &openJob{p: p, dir: p.site.Dir, folders: s.options.Folders, name: p.dir, topic: name.Topic, config: c.log, now: t.Now().Wall}
	if s.starting {
		s.await(t, job)
		return p
	}
	job.sync = c.Durability == config.DurabilityFsync
	t.Help(job)
	return p
}

// openJob recovers one partition: log, then producers from the newest snapshot and the batches behind it.
type openJob struct {
	shard.Letter
	p *Partition

	dir      device.Dir
	in       *logdir.Directory // where the last owner left it, which the image of then did not know; nil: there was none
	folders  *Folders
	name     string
	topic    model.TopicID
	config   log.Config
	now      clock.Wall
	from     model.Offset  // recovery point: everything below was synced
	tail     *journal.Tail // what the journal holds of it; nil: nothing
	sync     bool          // what was recovered must be durable before anybody sees it
	together bool          // with that of others: see secure
	replays  bool          // the set counts it among those the journal holds something of
	away     bool          // and among those that helpers are at
	behind   bool          // the set counts it among those that nobody has asked for

	log       *log.Log
	recovery  log.Recovery
	producers *producer.Table
	snapshots []model.Offset
	why       error     // aside was set aside
	aside     string    // folder of another topic's records, or nobody's, that was in the place
	unsynced  *log.Work // written, to be finished once all is durable
	taken     bool      // an earlier incarnation still works in the folder
	err       error
	wait      shard.Timer
}

// folderRetry is how long a new incarnation leaves a folder that the old one has not given up yet.
const folderRetry = 2 * time.Millisecond

// Fire tries again.
func (j *openJob) Fire(t *shard.Turn, _ *shard.Timer) { t.Help(j) }

// Run does the blocking part.
func (j *openJob) Run() {
	if j.taken = !j.folders.claim(j.name, claimant{j.topic, j.p.set.id}); j.taken {
		return
	}
	if j.err = j.folders.found(j.p.name); j.err != nil {
		return
	}
	if j.from, j.in = j.folders.point(j.p.name, j.from); j.in != nil {
		j.dir = j.in.Dir
	}
	j.err = j.open()
	if errors.Is(j.err, log.ErrWrongTopic) || errors.Is(j.err, log.ErrNobodys) {
		why := j.err
		if j.aside, j.err = log.SetAside(j.dir, j.name); j.err == nil {
			j.err = j.open()
			j.why = why
		}
	}
	if j.err != nil || !j.sync {
		return
	}
	// A kill leaves in the page cache what was never acknowledged, and a refill what only the journal has.
	if j.together {
		if j.unsynced = j.log.SyncWork(); j.unsynced != nil {
			j.unsynced.Write()
		}
		return
	}
	if work := j.log.SyncData(); work != nil { // somebody waits: the indexes have time
		work.Do()
		j.err = j.log.Finish(work)
	}
}

// open reads what the folder holds.
func (j *openJob) open() error {
	from := log.OpenFrom{RecoveryPoint: j.from}
	if j.tail != nil {
		// Younger than the points that were stored, a minute apart: what was checkpointed since need not be read.
		from.RecoveryPoint = max(from.RecoveryPoint, j.tail.Synced)
		from.Durable = j.tail.Synced
		for i := range j.tail.Appends {
			e := &j.tail.Appends[i]
			from.Tail = append(from.Tail, log.TailBatch{Base: e.Base, End: e.End, Segment: e.Segment, Pos: e.Pos, Bytes: e.Bytes})
		}
	}
	j.producers, j.snapshots = nil, nil
	entries, err := j.dir.List(j.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("list %s: %w", j.name, err)
	default:
		from.Entries = entries
		j.snapshots = snapshotsIn(entries)
	}
	all := j.snapshots
	from.VisitFrom = j.load()
	visit := func(h batch.Header) { j.producers = Replay(j.producers, &h, j.now) }
	j.log, j.recovery, err = log.Open(j.dir, j.name, j.topic, j.config, from, visit)
	if err != nil || len(all) == 0 || all[len(all)-1] <= j.log.End() {
		return err
	}
	// A snapshot from beyond the end describes batches that are gone. Others will have their offsets: it must not be found then.
	end := j.log.End()
	if err := j.removeSnapshots(all, end); err != nil {
		return err
	}
	if from.VisitFrom <= end {
		return nil
	}
	j.snapshots = all[:max(0, slices.IndexFunc(all, func(at model.Offset) bool { return at > end }))]
	from.VisitFrom, from.Entries = j.load(), nil
	j.log, j.recovery, err = log.Open(j.dir, j.name, j.topic, j.config, from, visit)
	return err
}

// load takes the newest sound snapshot and says what it is of.
func (j *openJob) load() model.Offset {
	j.producers = nil
	for ; len(j.snapshots) > 0; j.snapshots = j.snapshots[:len(j.snapshots)-1] {
		at := j.snapshots[len(j.snapshots)-1]
		if table, err := LoadProducers(j.dir, j.name, at); err == nil {
			j.producers = table
			return at
		}
	}
	return 0
}

// removeSnapshots removes those from beyond an offset, durably.
func (j *openJob) removeSnapshots(all []model.Offset, beyond model.Offset) error {
	for _, at := range all {
		if at <= beyond {
			continue
		}
		if err := removeSnapshot(j.dir, j.name, at); err != nil {
			return err
		}
	}
	return j.dir.SyncDir(j.name)
}

// removeSnapshot removes a snapshot's files; those that are not there are no error. No name is synced.
func removeSnapshot(dir device.Dir, name string, at model.Offset) (err error) {
	for _, suffix := range []string{snapshotSuffix, windowSuffix} {
		if e := dir.Remove(snapshotPath(name, at, suffix)); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Replay takes one stored batch into a producer window, as its append did, and makes the window if there is none.
func Replay(producers *producer.Table, h *batch.Header, now clock.Wall) *producer.Table {
	if !h.HasProducer() || h.IsControl() {
		return producers
	}
	if producers == nil {
		producers = producer.NewTable()
	}
	producers.Add(producer.Batch{
		ProducerID: h.ProducerID, Epoch: h.ProducerEpoch, First: h.BaseSequence, Last: h.LastSequence(),
		Base: h.BaseOffset, LastOffset: h.LastOffset(), Timestamp: h.MaxTimestamp,
	}, now)
	return producers
}

// Deliver comes back to the shard, where the partition opens for business, or waits until what was recovered is durable.
func (j *openJob) Deliver(t *shard.Turn) {
	p := j.p
	p.own.Check(t)
	s := p.set
	if j.behind {
		j.behind = false
		s.behind--
		s.openNext(t)
	}
	if j.taken && p.state == opening && !p.leaving {
		t.Arm(&j.wait, folderRetry, j)
		return
	}
	if j.away {
		j.away = false
		s.replaysAway--
		s.replayNext(t)
	}
	if j.unsynced != nil {
		p.site.unsettled = append(p.site.unsettled, j)
	} else {
		j.arrive(t)
	}
	s.secure(t)
}

// arrive opens the partition for business.
func (j *openJob) arrive(t *shard.Turn) {
	p, s := j.p, j.p.set
	if j.in != nil {
		p.site = s.sites[j.in.At]
	}
	s.opening--
	if j.replays {
		s.replaying--
		if j.err == nil && !j.taken && p.site.Fenced() == nil {
			s.replayed = append(s.replayed, p.name)
		}
	}
	s.tell()
	p.found = j.from
	if !j.taken && s.options.Folders.found(p.name) == nil {
		s.options.Folders.taken(p.name)
	}
	if j.taken && p.leaving && p.state == opening {
		p.forgotten(t) // the folder was never ours
		return
	}
	if p.log = j.log; p.log != nil {
		p.log.Attach(s.files)
	}
	if p.state == dropped {
		if !j.taken {
			p.buried(t)
		}
		return
	}
	if err := p.site.Fenced(); err != nil && j.err == nil {
		j.err = err
	}
	if j.err != nil {
		p.fail(t, fmt.Errorf("open %s: %w", p.dir, j.err))
		if j.log != nil && j.log.Err() != nil {
			p.site.fence(t, j.err)
		}
		if p.leaving {
			p.leave(t)
		}
		return
	}
	j.report(t)
	p.producers, p.snapshots, p.state = j.producers, j.snapshots, open
	p.holed = j.recovery.Hole
	p.log.ShareConfig(&p.config.log)
	p.marks.Written(p.log.End())
	p.setDurability(t, p.config.Durability)
	p.watchCompaction(t)
	p.resumeRelocation(t) // before somebody wishes anew
	p.resumeFetches(t)
	for _, a := range p.takeAsked() {
		p.answer(t, a)
	}
	p.drain(t)
	if p.leaving {
		p.leave(t)
	}
}

// report says what recovery met.
func (j *openJob) report(*shard.Turn) {
	s, dir := j.p.set, j.p.dir
	if j.aside != "" {
		s.options.Log.Warn("folder set aside: its records are not this topic's", "partition", dir, "now", j.aside, "why", j.why)
	}
	if j.recovery.Refilled > 0 {
		s.stats.Refilled += uint64(j.recovery.Refilled)
		s.options.Log.Info("log refilled from the journal", "partition", dir, "batches", j.recovery.Refilled)
	}
	if j.recovery.Truncated > 0 {
		s.options.Log.Warn("log cut at its torn tail", "partition", dir, "bytes", j.recovery.Truncated, "why", j.recovery.Reason)
	}
	if j.recovery.Short > 0 {
		s.options.Log.Error("log ends before its recovery point", "partition", dir, "offsets lost", j.recovery.Short)
	}
}

const (
	snapshotSuffix = ".snapshot" // Kafka's producer snapshot: one batch for each producer
	windowSuffix   = ".window"   // ours beside it: five batches for each producer
	snapshotsKept  = 2
	snapshotMax    = 64 << 20 // bytes of one file we are willing to read
)

func snapshotPath(dir string, at model.Offset, suffix string) string {
	return fmt.Sprintf("%s/%020d%s", dir, at, suffix)
}

// Snapshots returns the offsets of the producer snapshots of a partition, ascending.
func Snapshots(dir device.Dir, name string) ([]model.Offset, error) {
	entries, err := dir.List(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", name, err)
	}
	return snapshotsIn(entries), nil
}

// snapshotsIn is Snapshots of a folder that was listed.
func snapshotsIn(entries []device.Entry) (offsets []model.Offset) {
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name, snapshotSuffix)
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
			offsets = append(offsets, model.Offset(n))
		}
	}
	slices.Sort(offsets)
	return offsets
}

// LoadProducers reads the producer snapshot of an offset, and the window beside it.
func LoadProducers(dir device.Dir, name string, at model.Offset) (*producer.Table, error) {
	snapshot, err := dir.ReadFile(snapshotPath(name, at, snapshotSuffix), snapshotMax)
	if err != nil {
		return nil, fmt.Errorf("read producer snapshot: %w", err)
	}
	window, err := dir.ReadFile(snapshotPath(name, at, windowSuffix), snapshotMax)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read producer window: %w", err)
	}
	return producer.Load(snapshot, window)
}
