package log

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/clock"
	"pinion/engine/model"
)

// OpenFrom is what the caller knows from its checkpoints.
type OpenFrom struct {
	RecoveryPoint model.Offset   // all below was durable: trusted, not read
	VisitFrom     model.Offset   // visit gets every batch that ends behind it; may lie below the recovery point
	Start         model.Offset   // log start offset, where the caller knows one; StoreStart's own file counts as well
	Entries       []device.Entry // of the folder, where the caller has listed it

	// Tail is what a journal holds of the log, ascending: what the segments lack of it is written behind what they have.
	Tail []TailBatch
	// Durable is an offset that the segments and Tail must reach together: ending before is damage.
	Durable model.Offset
}

// TailBatch is a batch that was durable outside the segments, and where it belongs.
type TailBatch struct {
	Base, End model.Offset // [Base, End)
	Segment   model.Offset // base of its segment
	Pos       int64
	Bytes     []byte
}

// Recovery is what Open found and did.
type Recovery struct {
	Scanned   int64        // bytes whose CRC was checked
	Truncated int64        // bytes behind the last good batch that were cut off; index files do not count
	Short     model.Offset // how many offsets the log ends below the recovery point: lost, or truncated without lowering it
	Rebuilt   int          // segments whose index files were stale or missing
	Refilled  int          // batches that only Tail had
	Hole      bool         // Tail has more behind a hole: nothing may be appended as long as another Open may be given it
	Reason    string       // why something was cut or rebuilt; empty if nothing was
}

// Open reads a partition's folder, or notes that there is none (it is made with the first append). It trusts what lies below the recovery
// point and reads the rest: length bounds, magic, CRC, ascending offsets and epochs. What follows the last good batch is cut off when it lies above the
// recovery point (nobody has been sent a byte yet, so the file may be cut), and is a *Damage when it lies below. Stale and missing
// index files are rebuilt. visit may be nil. Open blocks: run it on a helper; Attach the Log before use.
func Open(dir device.Dir, name string, id model.TopicID, cfg Config, from OpenFrom, visit func(batch.Header)) (*Log, Recovery, error) {
	l := &Log{dir: dir, name: name, id: id, cfg: &cfg, point: notCleaned, tail: tail{firstTime: -1, timedTime: -1}}
	r := &recovery{l: l, from: from, visit: visit}
	if r.visit == nil {
		r.visit = func(batch.Header) {}
	}
	if err := r.run(); err != nil {
		return nil, r.report, fmt.Errorf("open log %s: %w", name, err)
	}
	l.check()
	return l, r.report, nil
}

// recovery is one run of Open.
type recovery struct {
	l       *Log
	from    OpenFrom
	visit   func(batch.Header)
	report  Recovery
	noEpoch bool         // the epoch history must be collected from the batches
	seen    epochs       // what the batches said that were walked last, without a hole
	walked  walked       // up to where
	end     model.Offset // behind the last batch known good
	scanned bool         // a segment was scanned: end is exact, and everything behind must follow it
}

// walked is where a walk over batches has ended.
type walked struct {
	base model.Offset // of the segment
	pos  int64
}

// walk begins a walk over batches at a byte of a segment. Where something lies between the last one and this, what was seen until then does not
// tell the history from there to the end, and must not take the place of the checkpoint's.
func (r *recovery) walk(e *extent, pos int64) {
	joined := r.walked == walked{e.base, pos}
	if i := r.l.extentAt(e.base); i > 0 && pos == 0 {
		before := &r.l.extents[i-1]
		joined = joined || r.walked == walked{before.base, before.size}
	}
	if !joined {
		r.seen.entries = nil
	}
}

func (r *recovery) run() error {
	l := r.l
	entries, err := r.from.Entries, error(nil)
	if entries == nil {
		entries, err = l.dir.List(l.name)
	}
	if isNotExist(err) && len(r.from.Tail) > 0 {
		err = l.dir.Mkdir(l.name)
	}
	if isNotExist(err) {
		l.start = max(r.from.Start, 0)
		l.written, l.end, l.recovery, l.durable = l.start, l.start, l.start, l.start
		r.report.Short = max(r.from.RecoveryPoint-l.end, 0)
		return nil
	}
	if err != nil {
		return err
	}
	l.hasFolder = true
	changed, err := resumeSwaps(l.dir, l.name, entries)
	if err == nil && changed {
		r.note("an interrupted compaction was completed or undone")
		entries, err = l.dir.List(l.name)
	}
	if err != nil {
		return err
	}
	if err := r.metadata(); err != nil {
		return err
	}
	if l.stored, err = readStart(l.dir, l.name); err != nil {
		return err
	}
	r.from.Start = max(r.from.Start, l.stored)
	if err := r.inventory(entries); err != nil {
		return err
	}
	if r.nobodys() {
		return ErrNobodys
	}
	if err := r.point(); err != nil {
		return err
	}
	r.epochs()
	if len(l.extents) == 0 {
		r.end = max(r.from.Start, 0)
	}
	for i := 0; i < len(l.extents); i++ {
		last := i == len(l.extents)-1
		// One that ends at the recovery point may have been the active one when it was stored, without the last entry of a sealed time index.
		if !last && l.extents[i+1].base < r.from.RecoveryPoint {
			err = r.trust(i)
		} else {
			err = r.scan(i)
		}
		if err != nil {
			return unreadable(err, fileName(l.name, l.extents[i].base, logSuffix), max(r.end, l.extents[i].base))
		}
	}
	if err := r.refill(); err != nil {
		return err
	}
	r.settle()
	return nil
}

// settle sets the marks once all segments are known.
func (r *recovery) settle() {
	l := r.l
	if len(l.extents) == 0 {
		r.end = max(r.from.Start, 0)
	}
	l.written, l.end = r.end, r.end
	l.start = r.end
	if len(l.extents) > 0 {
		l.start = min(max(r.from.Start, l.extents[0].base), r.end)
	}
	l.recovery = min(r.from.RecoveryPoint, r.end)
	if l.recovery == 0 && len(l.extents) > 0 {
		l.namesDirty = true // as far as anybody knows nothing of it was ever synced
	}
	l.durable = l.recovery
	if e := l.last(); e != nil && l.recovery < l.written {
		l.amend(func(p *past) { p.heritage = heritage{end: l.written, size: e.size} })
	}
	l.point = l.point.cutTo(r.end)
	r.report.Short = max(r.from.RecoveryPoint-r.end, 0)
	if r.noEpoch {
		l.epochs = epochs{entries: r.seen.entries, dirty: len(r.seen.entries) > 0, stored: l.epochs.stored}
	} else {
		l.epochs.follow(r.seen.entries)
	}
	l.epochs.truncateEnd(r.end) // as Kafka does, also of an epoch that began here and wrote nothing
	l.epochs.truncateStart(l.start)
}

// note is for Reason, the first one wins.
func (r *recovery) note(format string, args ...any) {
	if r.report.Reason == "" {
		r.report.Reason = fmt.Sprintf(format, args...)
	}
}

func (r *recovery) metadata() error {
	l := r.l
	text, err := l.dir.ReadFile(path.Join(l.name, metadataFile), metadataBytesMax)
	if isNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if tornMetadata(text) {
		return nil // its name was durable before its bytes were
	}
	id, ok, err := parseMetadata(text)
	if err != nil || !ok {
		return err
	}
	if !l.id.IsZero() && id != l.id {
		return fmt.Errorf("%w: %s, want %s", ErrWrongTopic, id, l.id)
	}
	l.id, l.hasMetadata = id, true
	return nil
}

// nobodys reports whether there are records and nothing says whose. Whatever made any of them durable made partition.metadata durable before, so
// nobody was promised these, and they may be those of an earlier topic of the same name.
func (r *recovery) nobodys() bool {
	l := r.l
	if l.hasMetadata || l.id.IsZero() || r.from.RecoveryPoint > 0 || r.from.Durable > 0 {
		return false
	}
	return len(l.extents) > 1 || len(l.extents) == 1 && l.extents[0].size > 0
}

// inventory lists the segments and removes what an interrupted operation left.
func (r *recovery) inventory(entries []device.Entry) error {
	l := r.l
	logs := map[model.Offset]bool{}
	var leftover []model.Offset
	for _, e := range entries {
		if base, suffix, ok := parseName(e.Name); ok && suffix == logSuffix && !e.IsDir {
			if e.Size > segmentBytesMax {
				return &Damage{Segment: path.Join(l.name, e.Name), Offset: base, Reason: "larger than a segment can be"}
			}
			logs[base] = true
			l.extents = append(l.extents, extent{base: base, size: e.Size, maxTime: -1, slot: noSlot, touched: clock.Wall(e.Modified), span: spanUnknown, indexSynced: true})
		}
	}
	var oldest, newest model.Offset
	if e := l.last(); e != nil {
		oldest, newest = l.extents[0].base, e.base
	}
	l.extents = slices.DeleteFunc(l.extents, func(e extent) bool {
		left := refusedRoll(e.base, e.size, oldest, newest, r.from.RecoveryPoint)
		if left {
			delete(logs, e.base)
			leftover = append(leftover, e.base)
		}
		return left
	})
	for _, base := range leftover {
		if err := removeSegment(l.dir, l.name, base); err != nil {
			return err
		}
	}
	for _, e := range entries {
		base, suffix, ok := parseName(e.Name)
		switch {
		case e.IsDir:
			continue
		case strings.HasSuffix(e.Name, keptSuffix), strings.HasSuffix(e.Name, ".deleted"), strings.HasSuffix(e.Name, ".tmp"):
		case ok && !logs[base] && (suffix == indexSuffix || suffix == timeSuffix):
		default:
			continue
		}
		if err := l.dir.Remove(path.Join(l.name, e.Name)); err != nil && !isNotExist(err) {
			return err
		}
	}
	return nil
}

// refusedRoll reports whether a segment was made for a roll that was refused, before the log went on in the one before it. The oldest has none; it may have
// lost its bytes, and with it goes all that followed.
func refusedRoll(base model.Offset, size int64, oldest, newest, recovery model.Offset) bool {
	return size == 0 && base > oldest && (base < newest || base < recovery)
}

// point reads how far compaction has come. Where the file is damaged the whole log is compacted again.
func (r *recovery) point() error {
	l := r.l
	point, there, ok, err := readPoint(l.dir, l.name, segmentEndMax)
	if err != nil {
		return err
	}
	if !ok {
		r.note("%s was damaged", pointFile)
	}
	l.point, l.pointed = point, there
	return nil
}

// segmentEndMax is behind every offset.
const segmentEndMax = model.Offset(1<<63 - 1)

// gap reports whether offsets may be missing before offset, inside a segment: bytes that follow each other were written so.
func (r *recovery) gap(offset model.Offset) bool { return r.l.cfg.Compact || offset <= r.l.point.gaps }

// gapBetween reports whether a segment may begin behind where the one before it ends. The end of a segment that a power cut has taken looks
// the same, and what comes behind it must not pass for the rest of the log. Our own compaction says up to where it has been before it
// leaves a gap; of a log without such a word, which a Kafka broker may have compacted, the journal tells.
func (r *recovery) gapBetween(base model.Offset) bool {
	if base <= r.l.point.gaps {
		return true
	}
	if base > r.l.gaps() {
		return false
	}
	for i := range r.from.Tail {
		if b := &r.from.Tail[i]; b.End > r.end && b.Base < base {
			return false
		}
	}
	return true
}

// epochs reads the checkpoint. Where it cannot be trusted the batches tell.
func (r *recovery) epochs() {
	l := r.l
	text, err := l.dir.ReadFile(path.Join(l.name, epochFile), epochFileMax)
	l.epochs.stored = !isNotExist(err)
	if err == nil {
		l.epochs.entries, err = parseEpochs(text)
	}
	if err != nil {
		l.epochs.entries = nil
		r.noEpoch = true
		if !isNotExist(err) {
			r.note("%v", err)
			l.epochs.dirty = true
		}
	}
}

// drop removes extent i and all behind it, whose files hold nothing that follows what is good; durably, as a cut is.
func (r *recovery) drop(i int) error {
	l := r.l
	for n := len(l.extents) - 1; n >= i; n-- {
		r.report.Truncated += l.extents[n].size
		if err := removeSegment(l.dir, l.name, l.extents[n].base); err != nil {
			return err
		}
	}
	l.extents = l.extents[:i]
	return l.dir.SyncDir(l.name)
}

// rewriteIndex makes an index file hold exactly data, whose first keep bytes it holds already.
func rewriteIndex(dir device.Dir, name string, data []byte, keep int) error {
	f, err := openOrCreate(dir, name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err == nil && size > int64(keep) {
		err = f.Cut(int64(keep))
	}
	if err == nil && len(data) > keep {
		_, err = f.Pwritev([][]byte{data[keep:]}, int64(keep))
	}
	return errors.Join(err, f.Close())
}
