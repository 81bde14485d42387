package log

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/model"
	"pinion/engine/must"
)

// A swap in steps, each durable before the next (Kafka's replaceSegments, with the syncs a power cut asks for):
//
//	x.log.cleaned, x.index.cleaned, x.timeindex.cleaned are whole and synced
//	the point says that offsets may be missing
//	x.*.cleaned -> x.*.swap, the .log last          from here on Open completes it; before, Open undoes it
//	the old segments behind x are removed
//	x.*.swap -> x.*, the .log last                  from here on it is over
//
// The new segment ends with a batch that ends where the last old one did, so the .swap file alone tells what it stands for.

// swap returns the Work that puts the new segment in the place of its group, or nil while other Work is in the way.
func (c *Compaction) swap() *Work {
	l := c.log
	if l.busy&busyExpire != 0 {
		return nil
	}
	group := c.groups[0]
	if !l.holds(group) {
		c.phase = phaseSift // retention was faster
		return c.Step()
	}
	t := &swapTask{c: c, dir: l.dir, folder: l.name, group: group}
	if point := (cleanPoint{l.point.clean, max(l.point.gaps, c.sieve.reach, c.foreign), l.point.purge}); point != l.point {
		t.point, t.pointed = point, true
	}
	// Whoever looks for the segments by name meanwhile may find either form: it asks again.
	l.generation++
	c.generation = l.generation
	l.odd.swapFrom, l.odd.swapTo = group[0].base, group[len(group)-1].end
	return l.begin(busySwap, t)
}

type swapTask struct {
	c       *Compaction
	dir     device.Dir
	folder  string
	group   []compactPart
	point   cleanPoint
	pointed bool // point is to be stored
	refused bool // it was not, for want of space: the log is what it was
}

var swapped = []string{indexSuffix, timeSuffix, logSuffix} // the records last

func (t *swapTask) do() error {
	if t.pointed {
		if err := writePoint(t.dir, t.folder, t.point); err != nil {
			t.refused = errors.Is(err, device.ErrNoSpace)
			return errors.Join(err, t.c.sieve.discard())
		}
	}
	for _, suffix := range swapped {
		name := fileName(t.folder, t.group[0].base, suffix)
		if err := t.dir.Rename(name+cleanedSuffix, name+swapSuffix); err != nil {
			return err
		}
	}
	if err := t.dir.SyncDir(t.folder); err != nil {
		return err
	}
	old := make([]model.Offset, 0, len(t.group))
	for _, p := range t.group[1:] {
		old = append(old, p.base)
	}
	return completeSwap(t.dir, t.folder, t.group[0].base, old)
}

// completeSwap goes on where the .swap files are durable.
func completeSwap(dir device.Dir, folder string, base model.Offset, old []model.Offset) error {
	for _, gone := range slices.Backward(old) {
		for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix, txnSuffix} {
			if err := dir.Remove(fileName(folder, gone, suffix)); err != nil && !isNotExist(err) {
				return err
			}
		}
	}
	if err := dir.SyncDir(folder); err != nil {
		return err
	}
	for _, suffix := range swapped {
		name := fileName(folder, base, suffix)
		err := dir.Rename(name+swapSuffix, name)
		if isNotExist(err) && suffix != logSuffix {
			// Renamed before a crash, or lost by it: the segment tells what stands in it.
			if err = dir.Remove(name); isNotExist(err) {
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
	return dir.SyncDir(folder)
}

func (t *swapTask) finish(l *Log, err error) error {
	c := t.c
	if err != nil {
		c.end()
		if c.err = fmt.Errorf("compaction: %w", err); !t.refused {
			c.err = l.fail(c.err) // what the files hold is not what we think
		}
		return c.err
	}
	if t.pointed {
		l.point, l.pointed = t.point, true
	}
	i := l.extentAt(t.group[0].base)
	if !l.holds(t.group) {
		must.Failf("log %s: segment %d changed during its swap", l.name, t.group[0].base)
	}
	for n, p := range t.group {
		if s := l.open(&l.extents[i+n]); s != nil {
			l.files.remove(s)
		}
		// What was to be proved, or could not be read, lay in the old form; the pass has read all of it.
		delete(l.oddities().doubts, p.base)
		if l.past().unproven.base == p.base {
			l.amend(func(past *past) { past.unproven = unproven{} })
		}
	}
	l.extents[i] = c.sieve.out.extent()
	l.extents = slices.Delete(l.extents, i+1, i+len(t.group))
	c.sieve.out = nil
	c.sieve.stats.Segments += len(t.group) - 1
	c.stats = c.sieve.stats
	l.generation++
	c.generation = l.generation
	c.groups = c.groups[1:]
	c.phase = phaseSift
	return nil
}

// resumeSwaps completes or undoes what a crash, of a Kafka broker too, left of compactions. It reports whether names changed.
func resumeSwaps(dir device.Dir, folder string, entries []device.Entry) (bool, error) {
	var swaps, cleaned, logs []model.Offset
	leftover := false
	for _, e := range entries {
		base, suffix, ok := parseName(e.Name)
		if !ok || e.IsDir {
			continue
		}
		switch suffix {
		case logSuffix:
			logs = append(logs, base)
		case logSuffix + swapSuffix:
			swaps = append(swaps, base)
		case logSuffix + cleanedSuffix:
			cleaned = append(cleaned, base)
		}
		leftover = leftover || strings.HasSuffix(suffix, swapSuffix) || strings.HasSuffix(suffix, cleanedSuffix)
	}
	if !leftover {
		return false, nil
	}
	for _, base := range swaps {
		// KAFKA-6264: where a Kafka broker had split a segment, and not all parts were whole, none counts.
		if len(cleaned) > 0 && base >= slices.Min(cleaned) {
			if err := dir.Remove(fileName(folder, base, logSuffix) + swapSuffix); err != nil {
				return false, err
			}
			continue
		}
		end, err := swapEnd(dir, folder, base)
		if err != nil {
			return false, err
		}
		old := slices.DeleteFunc(slices.Clone(logs), func(l model.Offset) bool { return l <= base || l >= end })
		slices.Sort(old)
		if err := completeSwap(dir, folder, base, old); err != nil {
			return false, err
		}
	}
	return true, removeLeftovers(dir, folder)
}

// removeLeftovers removes the names that are still not final, and the index files whose new form is among them: they may be of either form.
func removeLeftovers(dir device.Dir, folder string) error {
	entries, err := dir.List(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		final, swap := strings.CutSuffix(e.Name, swapSuffix)
		if !swap && !strings.HasSuffix(e.Name, cleanedSuffix) {
			continue
		}
		if err := dir.Remove(path.Join(folder, e.Name)); err != nil && !isNotExist(err) {
			return err
		}
		if !swap || strings.HasSuffix(final, logSuffix) {
			continue
		}
		if err := dir.Remove(path.Join(folder, final)); err != nil && !isNotExist(err) {
			return err
		}
	}
	return dir.SyncDir(folder)
}

// swapEnd is the offset behind the last one a .swap segment stands for. All of it is read: what it replaces is good, and gone afterwards.
func swapEnd(dir device.Dir, folder string, base model.Offset) (model.Offset, error) {
	name := fileName(folder, base, logSuffix) + swapSuffix
	f, err := dir.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	end := base
	stop, err := walkHeaders(f, 0, size, func(pos int64, h *batch.Header) error {
		if _, ok := placeOf(h, base, pos, size); !ok || h.BaseOffset < end {
			return errStop
		}
		end = h.LastOffset() + 1
		return nil
	})
	if err == nil && stop == size {
		err = unproven{base: base, to: size}.prove(f, name)
	}
	if err != nil {
		return 0, unreadable(err, name, end)
	}
	if stop != size || size == 0 {
		// What it replaces may be gone already, in part: neither way is safe.
		return 0, &Damage{Segment: name, Pos: stop, Offset: end, Reason: "the new form of a segment, made by compaction, is not whole"}
	}
	return end, nil
}
