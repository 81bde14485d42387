package coordinator

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pinion/disk/batch"
	"pinion/disk/faulty"
	"pinion/disk/journal"
	"pinion/engine/clock"
	"pinion/engine/config"
	"pinion/engine/group"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// patience bounds every wait of these tests; none comes near it unless something is broken.
const patience = 20 * time.Second

const only model.ShardID = 0

var name = model.Partition{Topic: model.TopicID{7}}

// rig is a shard with the one partition of __consumer_offsets on a disk that can fail, and whoever coordinates its groups.
type rig struct {
	t      *testing.T
	disk   *faulty.Dir
	shards *shard.Set
	parts  *partition.Set
	set    *Set // of the life under way
	image  atomic.Pointer[placement.Image]
	said   words
	live   *config.Live
	home   *logdir.Directory
	clock  *clock.Stepped
}

// words is what the coordinator logs.
type words struct {
	mu   sync.Mutex // guards text; helpers write as well
	text bytes.Buffer
}

func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, disk: faulty.New(1), live: config.NewLive(config.Default()), clock: &clock.Stepped{}}
	var err error
	if r.shards, err = shard.NewSet(1, r.clock); err != nil {
		t.Fatal(err)
	}
	cpus, err := shard.CPUs()
	if err != nil {
		t.Fatal(err)
	}
	r.shards.Start(cpus)
	t.Cleanup(func() {
		r.shards.Stop()
		if err := errors.Join(r.shards.Close(), r.disk.Discard()); err != nil {
			t.Error(err)
		}
	})
	edit := placement.Empty("rig").Edit()
	edit.AddTopic(Topic, name.Topic, true, nil, []*placement.Partition{
		{Leader: 1, Replicas: []placement.Replica{{Node: 1, Shard: only}}, ISR: []model.NodeID{1}},
	})
	r.image.Store(edit.Freeze(1))
	r.home = logdir.New(r.disk)
	r.home.Begin(journal.DefaultOptions(), r.shards)
	if err := r.home.Journal.Settle(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.home.Journal.Stop(); err != nil && r.home.Fenced() == nil {
			t.Error(err)
		}
	})
	r.on(func(t *shard.Turn) {
		r.parts = partition.NewSet(t, partition.Options{Node: 1, Directories: logdir.Single(r.home), Broker: r.live, Image: r.image.Load,
			Log: slog.New(slog.DiscardHandler), Folders: &partition.Folders{}, Files: 64})
		r.shards.Shard(only).AtEnd(r.parts)
	})
	return r
}

// on runs f on the shard and waits until it has.
func (r *rig) on(f func(t *shard.Turn)) {
	r.t.Helper()
	select {
	case <-r.shards.Shard(only).Visit(f):
	case <-time.After(patience):
		r.t.Fatal("the shard did not get there in time")
	}
}

// load gives the partition another coordinator, which knows what is in the log alone, as a restart or a hand-over does.
func (r *rig) load() {
	r.t.Helper()
	r.on(func(t *shard.Turn) {
		if r.set != nil {
			r.set.Drain(t)
		}
		r.set = NewSet(t, Options{Node: 1, Image: r.image.Load, Broker: r.live, Log: slog.New(slog.NewTextHandler(&r.said, nil)),
			Random: func() [16]byte { return [16]byte{1} }}, r.parts)
		r.set.Changed(t)
	})
}

// question is one ask and its answer.
type question struct {
	ask  Ask
	done chan struct{}
}

// Answered ends the wait.
func (q *question) Answered(*shard.Turn, *Ask) { close(q.done) }

// ask sends a request to the coordinator and returns what became of it, once that has read its records.
func (r *rig) ask(req func() group.Request) (group.Request, group.Code) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // between two attempts
		q := &question{done: make(chan struct{})}
		q.ask = Ask{Home: only, To: r.set, Caller: q, Partition: name, Request: req()}
		r.on(func(t *shard.Turn) { t.Ask(only, &q.ask) })
		select {
		case <-q.done:
		case <-time.After(patience):
			r.t.Fatal("no answer")
		}
		code := q.ask.Code
		if code == group.OK {
			code = group.CodeOf(q.ask.Request)
		}
		if code != group.Loading {
			return q.ask.Request, code
		}
		if time.Now().After(end) {
			r.t.Fatalf("the records are still being read; it said:\n%s", r.said.String())
		}
	}
}

// offset is what the coordinator has for partition 0 of a topic; -1 for nothing.
func (r *rig) offset(id, topic string) int64 {
	r.t.Helper()
	req, code := r.ask(func() group.Request {
		return &group.Fetch{Common: group.Common{Group: id}, Topics: []group.FetchTopic{{Topic: topic, Partitions: make([]group.FetchPartition, 1)}}}
	})
	if code != group.OK {
		r.t.Fatalf("offset of %s: code %d; it said:\n%s", id, code, r.said.String())
	}
	return req.(*group.Fetch).Topics[0].Partitions[0].Offset
}

// commit stores an offset of partition 0 of a topic.
func (r *rig) commit(id, topic string, offset int64) group.Code {
	r.t.Helper()
	_, code := r.ask(func() group.Request {
		return &group.Commit{Common: group.Common{Group: id}, Generation: -1, Retention: -1,
			Topics: []group.CommitTopic{{Topic: topic, Partitions: []group.CommitPartition{{Offset: offset, Epoch: -1}}}}}
	})
	return code
}

// appendCall is one batch on its way into the log.
type appendCall struct {
	ask  partition.AppendAsk
	done chan struct{}
}

// Stored says nothing that matters here.
func (*appendCall) Stored(*shard.Turn, *partition.AppendAsk) {}

// Appended ends the wait.
func (c *appendCall) Appended(*shard.Turn, *partition.AppendAsk) { close(c.done) }

// write puts a batch into the log, as another broker has written it.
func (r *rig) write(raw []byte) {
	r.t.Helper()
	header, ok := batch.ReadHeader(raw)
	if !ok {
		r.t.Fatal("short batch")
	}
	c := &appendCall{done: make(chan struct{})}
	c.ask = partition.AppendAsk{Home: only, To: r.parts, Caller: c, Partition: name, Moves: r.image.Load().Moves(), Batch: raw, Header: header,
		Acks: partition.AcksAll, Timeout: patience, AppendTime: -1}
	r.on(func(t *shard.Turn) { t.Ask(only, &c.ask) })
	select {
	case <-c.done:
	case <-time.After(patience):
		r.t.Fatal("a batch is not stored in time")
	}
	if c.ask.Code != partition.OK {
		r.t.Fatalf("append: code %d", c.ask.Code)
	}
}

// record is a key and a value for the log.
type record struct{ key, value []byte }

// offsetOf is the record of an offset of partition 0 of a topic, in the version old brokers write.
func offsetOf(id, topic string, offset int64) record {
	v := binary.BigEndian.AppendUint16(nil, 0)
	v = binary.BigEndian.AppendUint64(v, uint64(offset))
	v = binary.BigEndian.AppendUint16(v, 0) // no metadata
	v = binary.BigEndian.AppendUint64(v, 1) // when
	return record{keyOf(id, topic), v}
}

// tombstone says that an offset is gone.
func tombstone(id, topic string) record { return record{key: keyOf(id, topic)} }

func keyOf(id, topic string) []byte {
	k := binary.BigEndian.AppendUint16(nil, 1)
	for _, s := range []string{id, topic} {
		k = append(binary.BigEndian.AppendUint16(k, uint16(len(s))), s...)
	}
	return binary.BigEndian.AppendUint32(k, 0)
}

// plain is a batch of records outside of transactions.
func plain(records ...record) []byte { return built(batch.NewBuilder(), records...) }

func built(b *batch.Builder, records ...record) []byte {
	for _, r := range records {
		b.Add(time.Now().UnixMilli(), r.key, r.value)
	}
	return b.Bytes()
}

// holdJournal holds up the next write of the journal: held is closed when it is there, and it goes on when open is.
func (r *rig) holdJournal() (held, open chan struct{}) {
	held, open = make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	r.disk.Fail(func(op faulty.Op, path string) error {
		if op == faulty.Write && strings.HasPrefix(path, "journal/") && once.CompareAndSwap(false, true) {
			close(held)
			<-open
		}
		return nil
	})
	return held, open
}
