package log

import (
	"errors"
	"fmt"

	"pinion/disk/device"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/must"
)

// Log is one partition's log. One owner at a time; see the package comment for what may be called where. A node has many that are idle: what few need at
// a time is made when they do (past, oddities).
type Log struct {
	// Immutable after Open.
	dir  device.Dir
	name string // of its folder, "orders-0"
	id   model.TopicID

	// Owned by whoever owns the log.
	cfg      *Config  // never changed; others may share it
	files    *Files   // open segments of all logs of the shard; nil until Attach
	extents  []extent // ascending; the last is active
	epochs   epochs
	start    model.Offset // first offset that can be read
	written  model.Offset // behind the last offset in the file; invariant: start <= written <= end
	end      model.Offset // behind the last offset staged
	recovery model.Offset // all below is durable, with its indexes; invariant: recovery <= durable
	durable  model.Offset // the records below are durable; invariant: durable <= written
	stored   model.Offset // what startFile says, 0 without one
	point    cleanPoint   // what pointFile says
	before   *past        // nil where there is none of it
	odd      *oddities    // nil where there are none

	staged      [][]byte // batches for the next Write, lent by the caller
	stagedBytes int64
	stagedAt    int64 // position of the batch staged last
	tail        tail

	coldLimit  model.Offset // what the Read that found too little in memory was limited to
	err        error        // final
	want       int32        // bytes the batch that Need looked at last will take
	generation uint32       // counts truncations and swaps: a file opened before one may be another inode

	busy        busy // kinds of Work under way
	pointed     bool // pointFile exists
	hasFolder   bool
	hasMetadata bool
	namesDirty  bool // names in the folder changed since it was synced
	closed      bool
	dropped     bool
}

// past is what another process has left, until it is ours.
type past struct {
	heritage heritage // what Open met behind the recovery point
	unproven unproven // what Open trusted without reading it, right below the recovery point
	damage   error    // found there
}

func (l *Log) past() past {
	if l.before == nil {
		return past{}
	}
	return *l.before
}

// amend changes the past; one of which nothing is left takes no memory.
func (l *Log) amend(f func(p *past)) {
	p := l.past()
	f(&p)
	if p == (past{}) {
		l.before = nil
		return
	}
	kept := p
	l.before = &kept
}

// heritage is what Open met behind the recovery point, up to where the log ended. Another process wrote it, and a sync of that one may have
// failed: the kernel then calls the pages clean, readers see them, and no sync stores them any more. Our first sync writes them again.
type heritage struct {
	end  model.Offset // behind the last of it; 0: nothing, or ours by now
	size int64        // bytes of it in the segment that was active
}

// oddities are what few logs have at a time. They are made with the first.
type oddities struct {
	unsealed   []model.Offset         // segments closed when they were sealed: their last time index entry is not in the file
	doubts     map[model.Offset]int64 // by base: the first byte of a segment that could not be read
	thinned    model.Offset           // offsets are missing before this segment, and what is left shows a compaction that the point does not tell of
	compacting bool                   // a Compaction is not over
	swapFrom   model.Offset           // while busySwap: the names of the segments in [swapFrom, swapTo) mean one form or the other
	swapTo     model.Offset
}

func (l *Log) oddly() *oddities {
	if l.odd == nil {
		l.odd = &oddities{}
	}
	return l.odd
}

// oddities is what there is of them, to look at.
func (l *Log) oddities() oddities {
	if l.odd == nil {
		return oddities{}
	}
	return *l.odd
}

// tail is what appending needs to know of the active segment.
type tail struct {
	firstTime  int64      // largest timestamp of the segment's first batch, or -1
	created    clock.Wall // when the segment was made, for segments without timestamps
	timedTime  int64      // timestamp of the last time index entry, or -1
	sinceIndex int        // bytes appended since the last index entry
}

var (
	// ErrClosed is returned for a log that was closed or dropped.
	ErrClosed = errors.New("log is closed")
	// ErrNobodys says that the folder holds records, and nothing that tells which topic's they are.
	ErrNobodys = errors.New("folder holds records of an unknown topic")
	// ErrWrongTopic says that the folder belongs to another incarnation of the topic.
	ErrWrongTopic = errors.New("folder belongs to another topic id")
)

// Damage says that bytes which were durable are not what was written, or that the disk does not give them back. It is never treated as
// the end of the log, and what was read is never guessed at: the log is offline until a person has seen to it.
type Damage struct {
	Segment string // path of the file
	Pos     int64  // byte position in it; -1 where nobody can say
	Offset  model.Offset
	Reason  string
	Err     error // of the disk, or nil
}

// Unwrap is the disk's error.
func (d *Damage) Unwrap() error { return d.Err }

// unreadable makes a Damage of an error of the disk, met in a segment at or behind an offset; any other error stays what it is.
func unreadable(err error, segment string, offset model.Offset) error {
	var damage *Damage
	if errors.As(err, &damage) || !device.IsUnreadable(err) {
		return err
	}
	return &Damage{Segment: segment, Pos: -1, Offset: offset, Reason: err.Error(), Err: err}
}

// IsDamage reports whether an error is a *Damage.
func IsDamage(err error) bool {
	var damage *Damage
	return errors.As(err, &damage)
}

func (d *Damage) Error() string {
	if d.Pos < 0 {
		return fmt.Sprintf("%s cannot be read at offset %d: %s", d.Segment, d.Offset, d.Reason)
	}
	return fmt.Sprintf("%s is damaged at byte %d, offset %d: %s", d.Segment, d.Pos, d.Offset, d.Reason)
}

// Attach gives the log its place among the open files of its shard. It comes once, before anything but accessors.
func (l *Log) Attach(files *Files) {
	if l.files != nil {
		must.Failf("log %s is attached twice", l.name)
	}
	l.files = files
}

// Name is the folder, "orders-0".
func (l *Log) Name() string { return l.name }

// Start is the first offset that can be read.
func (l *Log) Start() model.Offset { return l.start }

// End is the next offset to assign: behind all that is staged.
func (l *Log) End() model.Offset { return l.end }

// Written is the offset behind all that Write has stored. Reads reach up to here.
func (l *Log) Written() model.Offset { return l.written }

// RecoveryPoint is the offset below which everything is durable. Persist it only after SyncWork's Finish; before Truncate and Reset persist
// the lower one.
func (l *Log) RecoveryPoint() model.Offset { return l.recovery }

// Durable is the offset below which the records themselves are durable in the segments. It runs ahead of the recovery point, because a
// lost index is made again.
func (l *Log) Durable() model.Offset { return l.durable }

// Place is where the batch that was staged last lies: the base of its segment and the byte position in it.
func (l *Log) Place() (segment model.Offset, pos int64) { return l.last().base, l.stagedAt }

// Err is the error that made the log refuse appends, or nil.
func (l *Log) Err() error { return l.err }

// Closed reports whether Close or Drop has begun: the log takes leases back and nothing else.
func (l *Log) Closed() bool { return l.closed }

// Size is how many bytes the segments hold; reserved space does not count.
func (l *Log) Size() int64 {
	var sum int64
	for i := range l.extents {
		sum += l.extents[i].size
	}
	return sum
}

// Segments is how many segments there are, the active one included.
func (l *Log) Segments() int { return len(l.extents) }

// Config is the configuration in force.
func (l *Log) Config() Config { return *l.cfg }

// SetConfig changes the configuration. Sizes hold from the next segment on.
func (l *Log) SetConfig(cfg Config) { l.ShareConfig(&cfg) }

// ShareConfig is SetConfig for one that many logs share: nobody changes it any more.
func (l *Log) ShareConfig(cfg *Config) { l.cfg = cfg }

// Fits reports whether a batch of n bytes can be stored at all; Kafka answers RECORD_LIST_TOO_LARGE where it cannot.
func (l *Log) Fits(n int) bool { return int64(n) <= l.segmentBytes() }

func (l *Log) segmentBytes() int64 { return min(l.cfg.SegmentBytes, segmentBytesMax) }

// fail makes err final.
func (l *Log) fail(err error) error {
	if l.err == nil && err != nil {
		l.err = fmt.Errorf("log %s: %w", l.name, err)
	}
	return l.err
}

// check verifies the invariants in checks builds.
func (l *Log) check() {
	if !must.Deep {
		return
	}
	if l.start > l.written || l.written > l.end || l.recovery > l.durable || l.durable > l.written {
		must.Failf("log %s: start %d, recovery %d, durable %d, written %d, end %d", l.name, l.start, l.recovery, l.durable, l.written, l.end)
	}
	for i := 1; i < len(l.extents); i++ {
		if l.extents[i].base <= l.extents[i-1].base && l.extents[i-1].size > 0 {
			must.Failf("log %s: segment %d follows %d", l.name, l.extents[i].base, l.extents[i-1].base)
		}
	}
	if len(l.extents) == 0 && l.start != l.written {
		must.Failf("log %s: offsets [%d, %d) without a segment", l.name, l.start, l.written)
	}
}
