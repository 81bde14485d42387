package log

import (
	"fmt"

	"pinion/disk/device"
	"pinion/engine/clock"
	"pinion/engine/model"
)

// Expire returns the Work that removes whole leading segments: those that retention gives up, and those below Start. high is the high
// watermark; nothing at or above it goes. Start moves and reads miss at once; the Work deletes the files, which readers keep open.
// When even the active segment has expired the Work rolls it instead, and the next Expire removes it. nil when there is nothing to do, or
// other Work is in the way. One call may leave more to do: call again after Finish until nil.
func (l *Log) Expire(now clock.Now, high model.Offset) *Work {
	if l.err != nil || l.closed || len(l.extents) == 0 || l.busy&(busyActive|busySync|busyEvict|busyExpire|busyWhole|busySwap) != 0 {
		return nil
	}
	n, all := l.expired(now, min(high, l.written))
	if all && len(l.staged) == 0 && l.busy&busySpace == 0 {
		if !l.files.Room() {
			return nil
		}
		l.files.coming++
		t := l.prepareRoll()
		t.reserve = 0 // it is what is removed then that gives a full disk its space back
		return l.begin(busyActive, t)
	}
	if n == 0 {
		return nil
	}
	t := &expireTask{dir: l.dir, folder: l.name}
	for i := range n {
		e := &l.extents[i]
		t.remove = append(t.remove, e.base)
		if s := l.open(e); s != nil {
			l.files.remove(s)
		}
	}
	l.extents = append(l.extents[:0], l.extents[n:]...)
	l.start = max(l.start, l.extents[0].base)
	l.epochs.truncateStart(l.start)
	return l.begin(busyExpire, t)
}

// Expiring is the offset below which the next Expire would remove records, or the end where it would roll the active segment for that; 0 where
// nothing is to go.
func (l *Log) Expiring(now clock.Now, high model.Offset) model.Offset {
	if l.err != nil || l.closed || len(l.extents) == 0 {
		return 0
	}
	n, all := l.expired(now, min(high, l.written))
	switch {
	case all:
		return l.written
	case n == 0:
		return 0
	}
	return l.extents[n].base
}

// expired counts the leading segments to remove. all is true when the active one is among those that should go, which it cannot as it is.
func (l *Log) expired(now clock.Now, high model.Offset) (n int, all bool) {
	over := int64(0)
	if l.cfg.Delete && l.cfg.RetentionBytes >= 0 {
		over = l.Size() - l.cfg.RetentionBytes
	}
	for n < len(l.extents) {
		e := &l.extents[n]
		end := l.extentEnd(n)
		if end > high || (n == len(l.extents)-1 && e.size == 0) {
			return n, false
		}
		started := end <= l.start && n < len(l.extents)-1
		sized := over > 0 && over >= e.size
		if !started && !sized && !l.outdated(e, now) {
			return n, false
		}
		over -= e.size
		n++
	}
	return n - 1, true
}

// outdated is retention by time: Kafka compares the segment's largest timestamp, or the time of the file where there is none. What was older
// than that already when it came (back-filled, or from a clock that was wrong) would go minutes later in Kafka; here it is kept for
// as long as anything else, from when it was written.
func (l *Log) outdated(e *extent, now clock.Now) bool {
	if !l.cfg.Delete || l.cfg.RetentionMs < 0 {
		return false
	}
	if e.touched == 0 {
		e.touched = now.Wall // nobody knows: the time counts from now on
	}
	newest := e.maxTime
	if newest < 0 || int64(e.touched)-newest > l.cfg.RetentionMs {
		newest = int64(e.touched)
	}
	return int64(now.Wall)-newest > l.cfg.RetentionMs
}

// expireTask deletes segment files, oldest first, so that a crash leaves a log without holes.
type expireTask struct {
	dir    device.Dir
	folder string
	remove []model.Offset
}

func (t *expireTask) do() error {
	for _, base := range t.remove {
		if err := removeSegment(t.dir, t.folder, base); err != nil {
			return err
		}
	}
	return t.dir.SyncDir(t.folder)
}

func (t *expireTask) finish(l *Log, err error) error {
	if err != nil {
		return l.fail(fmt.Errorf("retention: %w", err))
	}
	// Only now: had a crash brought the files back, they would have been trusted without ever having been synced.
	l.recovery = max(l.recovery, min(l.extents[0].base, l.written))
	l.durable = max(l.durable, l.recovery)
	return nil
}
