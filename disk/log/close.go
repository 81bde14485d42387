package log

import (
	"errors"
	"path"

	"pinion/disk/device"
	"pinion/engine/model"
	"pinion/engine/must"
)

// Close returns the Work of a clean close: everything durable, indexes complete, reserved space given back; a Kafka broker could go on
// from there. It requires that what was staged is written, and returns nil while other Work is under way. After Finish the recovery
// point is the end, and the Log only takes leases back.
func (l *Log) Close() *Work {
	if l.Busy() || l.closed {
		return nil
	}
	if len(l.staged) > 0 {
		must.Failf("log %s: close with %d bytes staged", l.name, l.stagedBytes)
	}
	if l.err != nil || len(l.extents) == 0 {
		// A failed log is left as it is for recovery; one without files may still have epochs, which nobody has acted on.
		return l.begin(busyWhole, &closeTask{})
	}
	return l.begin(busyWhole, &closeTask{flush: l.prepareFlush(flushClose)})
}

// Trivial reports whether Do has nothing to do: a Close of a log whose files are what they should be.
func (w *Work) Trivial() bool {
	t, ok := w.task.(*closeTask)
	return ok && t.flush == nil
}

// untidy reports whether the active segment, though durable, is not like a sealed one: it has space reserved, or index entries that are
// not in their files.
func (l *Log) untidy(e *extent) bool {
	s := l.open(e)
	return s != nil && (s.reserved > e.size || s.hasUnwritten() || e.maxTime > l.tail.timedTime)
}

// closeTask is a flush after which nothing is open.
type closeTask struct{ flush *flushTask }

func (t *closeTask) do() error {
	if t.flush == nil {
		return nil
	}
	return t.flush.do()
}

func (t *closeTask) write() error {
	if t.flush == nil {
		return nil
	}
	return t.flush.write()
}

func (t *closeTask) finish(l *Log, err error) error {
	if t.flush != nil {
		err = t.flush.finish(l, err)
	}
	l.shut()
	return err
}

// shut takes the log's segments out of Files.
func (l *Log) shut() {
	for i := range l.extents {
		if s := l.open(&l.extents[i]); s != nil {
			l.files.remove(s)
			l.extents[i].slot = noSlot
		}
	}
	l.closed = true
}

// Drop returns the Work that deletes the partition: its folder is renamed to "<name>.<topic id>-delete" and emptied. Readers with leases go
// on undisturbed. It returns nil while other Work is under way. After Finish the Log only takes leases back.
func (l *Log) Drop() *Work {
	if l.Busy() || l.closed {
		return nil
	}
	clear(l.staged)
	l.staged, l.stagedBytes = l.staged[:0], 0
	l.end = l.written
	l.dropped = true
	l.shut()
	return l.begin(busyWhole, &dropTask{dir: l.dir, folder: l.name, to: droppedName(l.name, l.id)})
}

// dropTask renames first: from then on a start finds no partition, only a folder to remove.
type dropTask struct {
	dir    device.Dir
	folder string
	to     string
}

func (t *dropTask) do() error {
	err := t.dir.Rename(t.folder, t.to)
	if isNotExist(err) {
		return nil // nothing was ever written
	}
	if err == nil {
		err = t.dir.SyncDir(".")
	}
	if err == nil {
		err = t.dir.RemoveAll(t.to) // not synced: a start removes what a power cut brings back
	}
	return err
}

func (t *dropTask) finish(l *Log, err error) error {
	if err != nil {
		return l.fail(err)
	}
	return nil
}

// Remove is Drop for a partition whose log could not be opened, or is closed. It blocks.
func Remove(dir device.Dir, name string, id model.TopicID) error {
	task := dropTask{dir: dir, folder: name, to: droppedName(name, id)}
	return task.do()
}

// RemoveDropped deletes what Drop left when it was cut short, of the entries of a log directory, and returns the folders. It blocks; call it
// before any Open.
func RemoveDropped(dir device.Dir, entries []device.Entry) ([]string, error) {
	var removed []string
	var all error
	for _, e := range entries {
		if !e.IsDir || !IsDropped(e.Name) {
			continue
		}
		if err := dir.RemoveAll(path.Clean(e.Name)); err != nil {
			all = errors.Join(all, err)
			continue
		}
		removed = append(removed, e.Name)
	}
	return removed, all
}
