package partition

import (
	"strings"
	"testing"

	"pinion/engine/model"
	"pinion/engine/shard"
)

// offline fetches one partition of the durable topic and gives back what it holds on loan.
func (r *rig) offline(name model.Partition, from model.Offset, bytesMin int64) FetchPart {
	r.t.Helper()
	f := r.newFetch(from, bytesMin, 0)
	f.ask.Parts[0].Partition = name
	r.send(&f.ask)
	r.expect(f, "fetched") // and never registered: nothing will come
	part := f.ask.Parts[0]
	r.send((*Release)(&f.ask))
	r.expect(f, "released")
	return part
}

// After the journal has failed, readers still get what was durable before, from the partition whose append failed and from the others; what
// lies behind is a storage error. Memory topics give what is synced.
func TestOfflinePartitionsGiveWhatIsDurable(t *testing.T) {
	r := newFsyncRig(t, 2) // one record in each
	r.fill(0, 3)
	r.until("memory topic", func(*shard.Turn) bool { return r.set.known(at(0)).marks.High == 3 })
	r.dir.fail(func(op, path string) error {
		if op == "sync" && strings.HasPrefix(path, "journal/") {
			return errBroken
		}
		return nil
	})
	tr := &trace{}
	a := r.safeAppend(tr, "a", 0, 1)
	r.post(a)
	r.await(a.done, "append")
	r.until("everything is offline", func(*shard.Turn) bool {
		return r.set.known(at(0)).state == failed && r.set.known(durableAt(0)).state == failed && r.set.known(durableAt(1)).state == failed
	})
	for index := range int32(2) {
		if part := r.offline(durableAt(index), 0, 1<<20); part.Code != OK || !part.Leased || part.High != 1 || part.Span.Offset != 0 {
			t.Errorf("durable partition %d from 0: %+v", index, part)
		}
		// In partition 0 a record lies there that was never durable.
		if part := r.offline(durableAt(index), 1, 1); part.Code != StorageFailed || part.Leased {
			t.Errorf("durable partition %d from 1: %+v", index, part)
		}
	}
	if part := r.offline(at(0), 0, 1); part.Code != StorageFailed {
		t.Errorf("memory partition, of which nothing was synced: %+v", part)
	}
	for query, want := range map[Query]model.Offset{QueryEarliest: 0, QueryLatest: 1} {
		if code, got := r.ask(durableAt(0), query); code != OK || got != want {
			t.Errorf("query %d: code %d, offset %d, want %d", query, code, got, want)
		}
	}
	if code, _ := r.ask(at(0), QueryLatest); code != StorageFailed {
		t.Errorf("query of a partition that gives nothing: code %d", code)
	}
	// As a move to another directory leaves it that meets the failure once the log is closed.
	r.until("a log is closed", func(*shard.Turn) bool {
		l := r.set.known(durableAt(1)).log
		if work := l.Close(); work != nil {
			work.Do()
			_ = l.Finish(work) // it has failed, as it said before
		}
		return l.Closed()
	})
	if part := r.offline(durableAt(1), 0, 1<<20); part.Code != StorageFailed || part.Leased {
		t.Errorf("a partition whose log is closed: %+v", part)
	}
}

// A log whose own sync failed gives what its segments have for certain: the journal's word does not count for pages that may be gone.
func TestOfflineLogGivesWhatIsSynced(t *testing.T) {
	r := newFsyncRig(t, 1)
	p := r.set.known(durableAt(0))
	tr := &trace{}
	large := r.safeAppend(tr, "large", 0, 8000) // too large for the journal: its segment is synced
	r.post(large)
	r.await(large.done, "large")
	small := r.safeAppend(tr, "small", 0, 1) // durable by the journal
	r.post(small)
	r.await(small.done, "small")
	if large.ask.Code != OK || small.ask.Code != OK {
		t.Fatal(tr)
	}
	r.dir.fail(func(op, path string) error {
		if op == "sync" && strings.HasSuffix(path, ".log") {
			return errBroken
		}
		return nil
	})
	broken := r.safeAppend(tr, "broken", 0, 8000)
	r.post(broken)
	r.await(broken.done, "broken")
	r.until("offline", func(*shard.Turn) bool { return p.state == failed })
	if part := r.offline(durableAt(0), 0, 1); part.Code != OK || !part.Leased {
		t.Errorf("from 0: %+v", part)
	}
	if part := r.offline(durableAt(0), 8001, 1); part.Code != StorageFailed {
		t.Errorf("from the record that only the journal has for certain: %+v", part)
	}
}

// asked is one question and its answer.
type asked struct {
	ask  QueryAsk
	done chan struct{}
}

// Answered is told on the home shard.
func (a *asked) Answered(*shard.Turn, *QueryAsk) { close(a.done) }

// ask asks a question and waits for its answer.
func (r *rig) ask(name model.Partition, query Query) (Code, model.Offset) {
	r.t.Helper()
	a := &asked{done: make(chan struct{})}
	a.ask = QueryAsk{Home: home, To: r.set, Caller: a, Partition: name, Query: query, Epoch: model.NoEpoch}
	r.send(&a.ask)
	r.await(a.done, "answer")
	return a.ask.Code, a.ask.Offset
}
