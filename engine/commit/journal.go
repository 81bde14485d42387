package commit

import (
	"errors"
	"sync/atomic"
	"time"

	"pinion/disk/device"
	"pinion/disk/journal"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// Commit is mail to the journal and back: the entries of one shard's turns. It belongs to the shard except while it is away.
type Commit struct {
	shard.Letter
	home   model.ShardID
	on     Committed
	Buffer *journal.Buffer
	Ticket uint64
	Err    error // final for the directory
}

// Committed is told, on its shard, that a commit is durable or that it failed.
type Committed interface {
	Committed(t *shard.Turn, c *Commit)
}

// NewCommit makes an empty one for the shard of this turn.
func NewCommit(t *shard.Turn, on Committed) *Commit {
	return &Commit{home: t.Shard(), on: on, Buffer: journal.NewBuffer()}
}

// Home is the shard it belongs to.
func (c *Commit) Home() model.ShardID { return c.home }

// Deliver tells the shard.
func (c *Commit) Deliver(t *shard.Turn) { c.on.Committed(t, c) }

// Journal writes the commits of all shards of a node.
type Journal struct {
	// Immutable after New.
	dir     device.Dir
	options journal.Options
	clerk   *shard.Clerk
	needed  []neededGauge // by shard

	// Written by the clerk, read anywhere.
	settled    atomic.Bool           // what was found is in the segments: commits may be written; orders with found
	generation atomic.Uint64         // of the file that is written to; orders nothing: an older one is only more cautious
	homeless   atomic.Bool           // there is no space for the first file; orders nothing: some more commits then wait for it
	ended      atomic.Pointer[error] // why nothing is written any more; orders nothing: a write that is under way was handed in before
	filesMax   atomic.Int64          // how many files there may be; orders nothing
	stats      stats

	// Owned by the clerk.
	found   *journal.Contents
	writer  *journal.Writer
	waiting []*Commit
	buffers []*journal.Buffer
	home    []shard.Paper
	carried int // entries of the last write, where more of them would have cost the same; 0: another follows at once
	err     error
}

// neededGauge is written by one shard. Its store comes before the commit it is about is handed in, so that the clerk, who loads it
// after it took that commit, sees it.
type neededGauge struct {
	atomic.Uint64
	_ [56]byte // a cache line each
}

// stats are counted by the clerk.
type stats struct {
	writes, commits, bytes, waits atomic.Uint64
	files, used                   atomic.Int64
}

// Stats are counters of a journal.
type Stats struct {
	Writes  uint64 // durable writes
	Commits uint64 // of shards' turns; more than writes where they were gathered
	Bytes   uint64
	Waits   uint64 // times that all files were needed and producers had to wait
	Files   int64
	Used    int64 // of them, needed
}

// Add counts another journal in.
func (s *Stats) Add(other Stats) {
	s.Writes += other.Writes
	s.Commits += other.Commits
	s.Bytes += other.Bytes
	s.Waits += other.Waits
	s.Files += other.Files
	s.Used += other.Used
}

// New makes the journal of a directory, of which Read found this. Nothing is written before Settle.
func New(dir device.Dir, options journal.Options, found *journal.Contents, shards *shard.Set) *Journal {
	j := &Journal{dir: dir, options: options, found: found, needed: make([]neededGauge, shards.Len())}
	j.generation.Store(found.Generation + 1)
	j.filesMax.Store(int64(options.FilesMax))
	for i := range j.needed {
		j.needed[i].Store(Nothing)
	}
	j.clerk = shards.NewClerk(j.together, j.rest)
	return j
}

// Settle declares everything the journal held unneeded: it is in the segments, and they are synced. Commits wait until then, because
// the first one takes the place of what was found. Where the disk has no space for the file that takes (device.IsFull) nothing has changed, and it can be
// asked for again.
func (j *Journal) Settle() error {
	if j.found.Records > 0 || j.found.Torn != "" {
		err := j.begin()
		j.homeless.Store(device.IsFull(err))
		if err != nil {
			return err
		}
	}
	j.settled.Store(true)
	j.clerk.Ring()
	return nil
}

// Settled reports whether Settle is over. Any thread may ask; until then commits wait.
func (j *Journal) Settled() bool { return j.settled.Load() }

// Homeless reports whether the disk has no space for the first file: what is handed in, or Settle, waits until it has. Any thread may ask.
func (j *Journal) Homeless() bool { return j.homeless.Load() }

// Options are the sizes.
func (j *Journal) Options() *journal.Options { return &j.options }

// begin opens the writer behind what was found.
func (j *Journal) begin() error {
	w, err := journal.Open(j.dir, j.options, j.found)
	if err != nil {
		return err
	}
	j.writer, j.found = w, nil
	j.generation.Store(w.Generation())
	return nil
}

// Generation is at most that of the file the next commit goes to.
func (j *Journal) Generation() uint64 { return j.generation.Load() }

// CheckpointAfter is how many generations may pass before a partition's segments are synced for the journal's sake: half of what it holds.
// There may be fewer files than it is to have, for want of space.
func (j *Journal) CheckpointAfter() uint64 { return uint64(max(1, j.filesMax.Load()/2)) }

// Need publishes the first generation this shard needs. It is called before the commit it is about is handed in.
func (j *Journal) Need(t *shard.Turn, oldest uint64) {
	gauge := &j.needed[t.Shard()]
	if was := gauge.Swap(oldest); was < oldest {
		j.clerk.Ring() // it may wait for a file
	}
}

// Hand gives a commit away until it comes home.
func (j *Journal) Hand(t *shard.Turn, c *Commit) { t.Hand(j.clerk, c) }

// Ring has the clerk look again at what waits. Any thread may call it.
func (j *Journal) Ring() { j.clerk.Ring() }

// End has everything come home with an error, what waits for a file as well: the directory is out of service, and who needs the files there are will not
// sync any more. Any thread may call it.
func (j *Journal) End(err error) {
	j.ended.Store(&err)
	j.clerk.Ring()
}

// Stats copies the counters. Any thread may call it.
func (j *Journal) Stats() Stats {
	s := &j.stats
	return Stats{
		Writes: s.writes.Load(), Commits: s.commits.Load(), Bytes: s.bytes.Load(), Waits: s.waits.Load(), Files: s.files.Load(), Used: s.used.Load(),
	}
}

// Stop ends the clerk. Where every log was closed with everything synced nothing is needed any more, and the next start is told so.
func (j *Journal) Stop() error {
	j.clerk.Stop()
	switch {
	case j.writer == nil:
		return nil
	case j.err == nil && j.oldest() == Nothing:
		return j.writer.Finish()
	}
	return j.writer.Close()
}

// oldest is the first generation that any shard needs.
func (j *Journal) oldest() uint64 {
	oldest := Nothing
	for i := range j.needed {
		oldest = min(oldest, j.needed[i].Load())
	}
	return oldest
}

// together runs on the clerk: what has gathered is one write.
func (j *Journal) together(papers []shard.Paper) []shard.Paper {
	for _, p := range papers {
		j.waiting = append(j.waiting, p.(*Commit))
	}
	j.home, j.carried = j.home[:0], 0
	if end := j.ended.Load(); end != nil && j.err == nil {
		j.err = *end
	}
	if j.err == nil && !j.settled.Load() {
		return nil
	}
	if j.err == nil && len(j.waiting) > 0 {
		j.err = j.write()
	}
	if j.err != nil {
		for _, c := range j.waiting {
			c.Err = j.err
			j.home = append(j.home, c)
		}
		j.waiting = j.waiting[:0]
	}
	return j.home
}

// A durable write costs the disk, and where that is emulated the processors, about the same with one small entry as with many. Where many come, the
// journal rests, and more of them come together.
const (
	restEntries = 5                      // carried by a write: the rest is as long as the write was, with fewer it is shorter, and none after one
	restBytes   = 16 << 10               // a longer write takes its time for its bytes
	paceMax     = 750 * time.Microsecond // from the beginning of a write to that of the next: a rest does not make it more
)

// rest is how long the clerk lets commits gather after a write that took so long.
func (j *Journal) rest(took time.Duration) time.Duration {
	share := took * time.Duration(min(j.carried, restEntries)-1) / (restEntries - 1)
	return min(share, paceMax-took)
}

// write makes as much durable as fits into the file. Without a free one it waits: who needs the oldest is syncing it, and rings.
func (j *Journal) write() error {
	if j.writer == nil {
		if err := j.begin(); device.IsFull(err) {
			j.stats.waits.Add(1) // nothing was accepted by it: whoever waits has us look again
			j.homeless.Store(true)
			return nil
		} else if err != nil {
			return err
		}
		j.homeless.Store(false)
	}
	j.buffers = j.buffers[:0]
	for _, c := range j.waiting {
		j.buffers = append(j.buffers, c.Buffer)
	}
	oldest := j.oldest()
	n, err := j.writer.Write(j.buffers, oldest)
	j.generation.Store(j.writer.Generation())
	switch {
	case errors.Is(err, journal.ErrFull):
		j.stats.waits.Add(1)
		return nil
	case err != nil:
		return err
	}
	bytes, entries := uint64(0), 0
	for _, c := range j.waiting[:n] {
		bytes += uint64(c.Buffer.Bytes())
		entries += c.Buffer.Count()
		j.home = append(j.home, c)
	}
	j.waiting = append(j.waiting[:0], j.waiting[n:]...)
	j.stats.writes.Add(1)
	j.stats.commits.Add(uint64(n))
	j.stats.bytes.Add(bytes)
	j.stats.files.Store(int64(j.writer.Files()))
	j.stats.used.Store(int64(j.writer.Used(oldest)))
	if len(j.waiting) > 0 {
		j.clerk.Ring()
		return nil
	}
	if bytes <= restBytes {
		j.carried = entries
	}
	_, err = j.writer.Prepare(oldest)
	j.filesMax.Store(int64(j.writer.FilesMax()))
	return err
}
