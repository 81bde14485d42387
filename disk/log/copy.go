package log

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"pinion/disk/device"
	"pinion/engine/clock"
	"pinion/engine/model"
)

// Copy is a copy of a log in another directory, under way while the log is appended to: piece by piece, each of whole batches, checked and synced, until little
// is left; the owner then closes the log, and Settle brings the copy to the same bytes, file by file. It has the log's owner, but for a Piece that
// is with a helper.
//
// What was copied stays right, because a byte below the log end never changes, as long as nothing is cut off and no segment takes the place of
// another: Stale tells. Segments that retention removes are missed by nobody: Settle removes them from the copy.
type Copy struct {
	from, to   device.Dir
	folder     string
	future     string
	id         model.TopicID
	generation uint32
	segments   map[model.Offset]copied
}

// copied is how much of a segment the copy has.
type copied struct {
	bytes int64
	end   model.Offset // behind the last offset in them
	whole bool         // the index files too, as they will stay
}

// A TargetError is of the directory a copy is made in. With Final its disk has failed; otherwise the copy was refused, and nothing is lost by it.
type TargetError struct {
	Final bool
	Err   error
}

func (e *TargetError) Error() string { return e.Err.Error() }
func (e *TargetError) Unwrap() error { return e.Err }

// target makes a TargetError of what a write or a sync met.
func target(err error) error {
	if err == nil {
		return nil
	}
	return &TargetError{Final: !device.IsFull(err), Err: err}
}

// NewCopy begins a copy in a directory that Wish has made the folder in. No compaction may be under way, nor begin.
func (l *Log) NewCopy(to device.Dir) *Copy {
	return &Copy{from: l.dir, to: to, folder: l.name, future: Future.Name(l.name, l.id), id: l.id, generation: l.generation, segments: map[model.Offset]copied{}}
}

// Stale reports whether the log has been cut since: the copy must begin anew.
func (c *Copy) Stale(l *Log) bool { return c.generation != l.generation }

// Left is how many bytes of records the copy lacks.
func (c *Copy) Left(l *Log) (bytes int64) {
	for i := range l.extents {
		e := &l.extents[i]
		bytes += max(e.size-c.segments[e.base].bytes, 0)
	}
	return bytes
}

// Bytes is how many the copy has of what the log has.
func (c *Copy) Bytes(l *Log) int64 { return l.Size() - c.Left(l) }

// End is the offset up to which the copy is complete.
func (c *Copy) End(l *Log) model.Offset {
	for i := range l.extents {
		e := &l.extents[i]
		if done := c.segments[e.base]; done.bytes < e.size {
			return max(done.end, e.base)
		}
	}
	return l.written
}

// Next is the next piece of about so many bytes, nil where the copy has all there is. One is away at a time.
func (c *Copy) Next(l *Log, bytesMax int64) *Piece {
	for i := range l.extents {
		e := &l.extents[i]
		done := c.segments[e.base]
		sealed := i+1 < len(l.extents) && !e.dirty()
		if done.bytes < e.size || sealed && !done.whole {
			return &Piece{copy: c, base: e.base, was: done, limit: e.size, touched: e.touched, bytesMax: bytesMax, sealed: sealed}
		}
	}
	return nil
}

// Piece is a part of one segment on its way into the copy.
type Piece struct {
	copy     *Copy
	base     model.Offset
	was      copied
	limit    int64 // of the segment
	touched  clock.Wall
	bytesMax int64
	sealed   bool // the index files will not change any more

	now copied
	err error
}

// Do copies it. It blocks.
func (p *Piece) Do() {
	p.now, p.err = p.copy.piece(p.base, p.was, p.limit, p.touched, p.bytesMax, p.sealed)
}

// Finish takes the outcome back: how many bytes were copied. An error is a *TargetError, or of the log's own disk.
func (c *Copy) Finish(p *Piece) (bytes int64, err error) {
	if p.err != nil {
		return 0, p.err
	}
	c.segments[p.base] = p.now
	return p.now.bytes - p.was.bytes, nil
}

func (c *Copy) piece(base model.Offset, done copied, limit int64, touched clock.Wall, bytesMax int64, sealed bool) (copied, error) {
	name := fileName(c.folder, base, logSuffix)
	f, err := c.from.Open(name)
	if isNotExist(err) {
		return copied{bytes: limit, whole: true}, nil // retention was faster
	}
	if err != nil {
		return done, unreadable(err, name, done.end)
	}
	next, err := c.records(f, base, done, limit, touched, bytesMax)
	if err = errors.Join(err, f.Close()); err != nil {
		return done, err
	}
	if sealed && next.bytes == limit {
		for _, suffix := range []string{indexSuffix, timeSuffix} {
			if err := c.small(fileName("", base, suffix)); err != nil {
				return done, err
			}
		}
		next.whole = true
	}
	return next, nil
}

// records copies whole batches, and makes them durable. The copy is as old as the segment.
func (c *Copy) records(f device.File, base model.Offset, done copied, limit int64, touched clock.Wall, bytesMax int64) (copied, error) {
	name := fileName(c.folder, base, logSuffix)
	next := done
	in := newWindow(f, limit)
	defer in.free()
	for next.bytes < limit && next.bytes-done.bytes < bytesMax {
		h, reason, err := readHeader(in, next.bytes, limit)
		if err == nil && reason == "" {
			reason, err = checkSum(in, next.bytes, &h)
		}
		if err != nil {
			return done, unreadable(err, name, next.end)
		}
		if reason != "" {
			return done, &Damage{Segment: name, Pos: next.bytes, Offset: next.end, Reason: reason}
		}
		next.bytes += int64(h.Size())
		next.end = h.LastOffset() + 1
	}
	to, err := openOrCreate(c.to, fileName(c.future, base, logSuffix))
	if err != nil {
		return done, &TargetError{Err: err}
	}
	if next.bytes > done.bytes {
		err = c.write(to, f, name, done, next, touched)
	}
	return next, errors.Join(err, target(to.Close()))
}

// write writes [done, next) of a segment to the copy's. Space is reserved first, so that what others need on that disk stays free.
func (c *Copy) write(to, from device.File, name string, done, next copied, touched clock.Wall) error {
	if err := to.Reserve(done.bytes, next.bytes-done.bytes); err != nil {
		return target(err)
	}
	buf := walkBuffers.Get().(*[walkBytes]byte)
	defer walkBuffers.Put(buf)
	for pos := done.bytes; pos < next.bytes; {
		n, err := from.Pread(buf[:min(walkBytes, next.bytes-pos)], pos)
		if n == 0 {
			return unreadable(fmt.Errorf("read %s at %d: %w", name, pos, err), name, done.end)
		}
		if _, err := to.Pwritev([][]byte{buf[:n]}, pos); err != nil {
			return target(err)
		}
		pos += int64(n)
	}
	if touched > 0 {
		to.Date(int64(touched))
	}
	return target(to.Sync())
}

// small copies a file that is not a segment's records as a whole, durably.
func (c *Copy) small(name string) error {
	b, err := c.from.ReadFile(path.Join(c.folder, name), segmentBytesMax)
	if isNotExist(err) {
		return nil
	}
	if err != nil {
		return unreadable(err, path.Join(c.folder, name), 0)
	}
	return target(c.to.Replace(path.Join(c.future, name), b))
}

// Settle makes the copy the same as the folder of a log that is closed, or has never been written: nothing is there then, and empty is true. It blocks.
func (c *Copy) Settle() (empty bool, err error) {
	entries, err := c.from.List(c.folder)
	if isNotExist(err) {
		return true, Unwish(c.to, c.folder, c.id)
	}
	if err != nil {
		return false, err
	}
	there := map[string]bool{}
	for _, e := range entries {
		if e.IsDir || strings.HasSuffix(e.Name, keptSuffix) {
			continue
		}
		there[e.Name] = true
		base, suffix, segment := parseName(e.Name)
		done := c.segments[base]
		switch {
		case segment && suffix == logSuffix:
			for done.bytes < e.Size || e.Size == 0 {
				if done, err = c.piece(base, done, e.Size, clock.Wall(e.Modified), e.Size, false); err != nil {
					return false, err
				}
				if e.Size == 0 {
					break
				}
			}
		case segment && (suffix == indexSuffix || suffix == timeSuffix) && done.whole:
		default:
			if err := c.small(e.Name); err != nil {
				return false, err
			}
		}
	}
	return false, c.tidy(there)
}

// tidy removes from the copy what the log has no more, and makes all names in it durable.
func (c *Copy) tidy(there map[string]bool) error {
	entries, err := c.to.List(c.future)
	if err != nil {
		return &TargetError{Err: err}
	}
	for _, e := range entries {
		if !there[e.Name] {
			if err := c.to.Remove(path.Join(c.future, e.Name)); err != nil {
				return &TargetError{Err: err}
			}
		}
	}
	return target(c.to.SyncDir(c.future))
}
