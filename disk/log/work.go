package log

import (
	"errors"

	"pinion/engine/model"
	"pinion/engine/must"
)

// busy is a set of kinds of Work under way.
type busy uint16

const (
	busyActive busy = 1 << iota // opening or making the active segment, or rolling
	busySpace
	busySync
	busyEvict // the active segment, or one with index entries to write, is being closed
	busyExpire
	busyWhole   // truncation, close, drop: nothing else that changes files may run
	busyStart   // the log start is being stored
	busyCompact // new forms of segments are being written, which nobody knows yet
	busySwap    // one takes the place of what it replaces
	busyPush    // the kernel is told to store what it would store anyway
)

// busyFiles are the kinds that write or delete files.
const busyFiles = busyActive | busySpace | busySync | busyEvict | busyExpire | busyWhole | busyStart | busyCompact | busySwap

// task is one kind of work. Do runs on a helper and touches nothing the owner may touch; finish runs on the owner.
type task interface {
	do() error
	finish(l *Log, err error) error
}

// Work is something that may wait for the disk. The owner gets it, one helper calls Do once, the owner calls Finish. A Work that
// will never be done may only be dropped together with its Log.
type Work struct {
	log  *Log
	task task
	kind busy // cleared by Finish
	done bool
	err  error
}

// Do does the work. It blocks.
func (w *Work) Do() {
	w.err = w.task.do()
	w.done = true
}

// Write is Do without its syncs, for those of many logs that are made durable together, by one device.Dir.SyncAll: Synced follows when that
// is over. For the Works of SyncWork and Close.
func (w *Work) Write() {
	t, ok := w.task.(interface{ write() error })
	if !ok {
		must.Failf("log %s: work of kind %b cannot go without its syncs", w.log.name, w.kind)
	}
	w.err = t.write()
}

// Synced is told what became of the sync after Write; Finish is next.
func (w *Work) Synced(err error) {
	w.err = errors.Join(w.err, err)
	w.done = true
}

// Err is what Do met, before Finish judges it.
func (w *Work) Err() error { return w.err }

// begin marks a kind of work as under way.
func (l *Log) begin(kind busy, t task) *Work {
	if l.busy&kind != 0 {
		must.Failf("log %s: work of kind %b is under way", l.name, kind)
	}
	l.busy |= kind
	return &Work{log: l, task: t, kind: kind}
}

// Finish installs what the Work did. The error is the Work's; it is final for the log where Err says so afterwards, and otherwise (no
// space, too many open files) the same Work may be prepared again later.
func (l *Log) Finish(w *Work) error {
	if w.log != l || !w.done {
		must.Failf("log %s: finish of work that is not done or not its own", l.name)
	}
	w.done = false // exactly once
	l.busy &^= w.kind
	err := w.task.finish(l, w.err)
	l.check()
	return err
}

// idle does nothing, for requests that are fulfilled already.
type idle struct{}

func (idle) do() error                    { return nil }
func (idle) finish(_ *Log, _ error) error { return nil }

// Busy reports whether any Work of this log that changes files is under way, or a Compaction is not over.
func (l *Log) Busy() bool { return l.busy&busyFiles != 0 || l.oddities().compacting }

// found carries the answer of a search by time.
type found struct {
	offset model.Offset
	time   int64
	epoch  model.Epoch
	ok     bool
}
