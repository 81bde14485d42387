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
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/producer"
	"pinion/engine/shard"
)

// open makes the partition and sends its recovery to a helper. A partition that never got a record has no directory and opens
// without touching the disk.
func (s *Set) open(t *shard.Turn, name model.Partition, topic *placement.Topic, place *placement.Partition) *Partition {
	p := &Partition{own: shard.Own(t), set: s, name: name, dir: log.FolderName(topic.Name, name.Index), epoch: place.LeaderEpoch,
		since: s.options.Image().Moves()}
	s.enter(p)
	s.opening++
	c := s.configOf(topic)
	if c == nil {
		defaults, _ := s.options.Broker.Now().Topic(nil)
		c = &resolved{Topic: defaults, log: logConfig(&defaults)}
	}
	p.config = c
	job := &openJob{p: p, dir: s.options.Dir, folders: s.options.Folders, name: p.dir, topic: name.Topic, config: c.log, now: t.Now().Wall}
	if s.starting {
		// Only now: what was true at the start need not be after a hand-over.
		job.from = s.options.Recovery[name]
		if s.options.Tail != nil {
			job.tail = s.options.Tail(name)
		}
	}
	p.found = job.from
	job.sync = c.Durability == config.DurabilityFsync || job.tail != nil
	t.Help(job)
	return p
}

// openJob recovers one partition: log, then producers from the newest snapshot and the batches behind it.
type openJob struct {
	shard.Letter
	p *Partition

	dir     device.Dir
	folders *Folders
	name    string
	topic   model.TopicID
	config  log.Config
	now     clock.Wall
	from    model.Offset  // recovery point: everything below was synced
	tail    *journal.Tail // what the journal holds of it; nil: nothing
	sync    bool          // what was recovered must be durable before anybody sees it

	log       *log.Log
	recovery  log.Recovery
	producers *producer.Table
	snapshots []model.Offset
	taken     bool // an earlier incarnation still works in the folder
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
	j.snapshots, j.err = Snapshots(j.dir, j.name)
	if j.err != nil {
		return
	}
	visitFrom := model.Offset(0)
	j.producers = producer.NewTable()
	for i := len(j.snapshots) - 1; i >= 0; i-- {
		table, err := LoadProducers(j.dir, j.name, j.snapshots[i])
		if err == nil {
			j.producers, visitFrom = table, j.snapshots[i]
			j.snapshots = j.snapshots[:i+1]
			break
		}
	}
	visit := func(h batch.Header) { Replay(j.producers, &h, j.now) }
	j.from = j.folders.point(j.p.name, j.from)
	from := log.OpenFrom{RecoveryPoint: j.from, VisitFrom: visitFrom}
	if j.tail != nil {
		from.Durable = j.tail.Synced
		for i := range j.tail.Appends {
			e := &j.tail.Appends[i]
			from.Tail = append(from.Tail, log.TailBatch{Base: e.Base, End: e.End, Segment: e.Segment, Pos: e.Pos, Bytes: e.Bytes})
		}
	}
	j.log, j.recovery, j.err = log.Open(j.dir, j.name, j.topic, j.config, from, visit)
	if j.err == nil && visitFrom > j.log.End() {
		// A snapshot from beyond the end describes batches that are gone: start over without it.
		j.producers = producer.NewTable()
		from.VisitFrom = 0
		j.log, j.recovery, j.err = log.Open(j.dir, j.name, j.topic, j.config, from, visit)
	}
	if j.err == nil && j.sync {
		// A kill leaves in the page cache what was never acknowledged, and a refill what only the journal has.
		if work := j.log.SyncWork(); work != nil {
			work.Do()
			j.err = j.log.Finish(work)
		}
	}
}

// Replay takes one stored batch into a producer window, as its append did.
func Replay(producers *producer.Table, h *batch.Header, now clock.Wall) {
	if !h.HasProducer() || h.IsControl() {
		return
	}
	producers.Add(producer.Batch{
		ProducerID: h.ProducerID, Epoch: h.ProducerEpoch, First: h.BaseSequence, Last: h.LastSequence(),
		Base: h.BaseOffset, LastOffset: h.LastOffset(), Timestamp: h.MaxTimestamp,
	}, now)
}

// Deliver opens the partition for business, back on its shard.
func (j *openJob) Deliver(t *shard.Turn) {
	p := j.p
	p.own.Check(t)
	s := p.set
	if j.taken && p.state == opening && !p.leaving {
		t.Arm(&j.wait, folderRetry, j)
		return
	}
	s.opening--
	p.found = j.from
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
	if err := s.options.Fence.Err(); err != nil && j.err == nil {
		j.err = err
	}
	if j.err != nil {
		p.fail(t, fmt.Errorf("open %s: %w", p.dir, j.err))
		if j.log != nil && j.log.Err() != nil {
			s.options.Fence.trip(t, j.err)
		}
		if p.leaving {
			p.leave(t)
		}
		return
	}
	if j.recovery.Refilled > 0 {
		s.stats.Refilled += uint64(j.recovery.Refilled)
		s.options.Log.Info("log refilled from the journal", "partition", p.dir, "batches", j.recovery.Refilled)
	}
	if j.recovery.Truncated > 0 {
		s.options.Log.Warn("log cut at its torn tail", "partition", p.dir, "bytes", j.recovery.Truncated, "why", j.recovery.Reason)
	}
	if j.recovery.Short > 0 {
		s.options.Log.Error("log ends before its recovery point", "partition", p.dir, "offsets lost", j.recovery.Short)
	}
	p.producers, p.snapshots, p.state = j.producers, j.snapshots, open
	p.log.ShareConfig(&p.config.log)
	p.marks.Written(p.log.End())
	p.setDurability(t, p.config.Durability)
	p.watchCompaction(t)
	p.resumeFetches(t)
	asked := p.asked
	p.asked = nil
	for _, a := range asked {
		p.answer(t, a)
	}
	p.drain(t)
	if p.leaving {
		p.leave(t)
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
	var offsets []model.Offset
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
	return offsets, nil
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
