package partition

import (
	"sync"
	"sync/atomic"

	"pinion/engine/model"
	"pinion/engine/shard"
)

// Fence ends a log directory: after a write or a sync of accepted bytes has failed, nothing in it is acknowledged any more, by no shard.
// The kernel may have marked the lost pages clean, so that trying again would succeed and mean nothing. All sets of a node share it; the
// zero value is ready.
type Fence struct {
	err  atomic.Pointer[error] // orders nothing: an acknowledgement that is under way was due before
	sets sync.Map              // model.ShardID -> *Set
}

// Err is why the directory is fenced, or nil. Any thread may ask.
func (f *Fence) Err() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// trip fences the directory and takes every partition of every shard offline.
func (f *Fence) trip(t *shard.Turn, err error) {
	if !f.err.CompareAndSwap(nil, &err) {
		return
	}
	f.sets.Range(func(id, set any) bool {
		s := set.(*Set)
		if s.options.Log != nil && id.(model.ShardID) == t.Shard() {
			s.options.Log.Error("log directory fenced: nothing in it is acknowledged any more; repair the disk and start again", "err", err)
		}
		t.Ask(id.(model.ShardID), &tripped{set: s, err: err})
		return true
	})
}

// tripped is mail to a set whose directory was fenced.
type tripped struct {
	shard.Letter
	set *Set
	err error
}

// Deliver takes its partitions offline.
func (m *tripped) Deliver(t *shard.Turn) {
	for _, p := range m.set.all {
		if p.state == open {
			p.fail(t, m.err)
		}
	}
}
