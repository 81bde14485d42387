package partition

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/journal"
	"pinion/engine/clock"
	"pinion/engine/commit"
	"pinion/engine/config"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// patience bounds every wait of these tests; none comes near it unless something is broken.
const patience = 20 * time.Second

const (
	owner model.ShardID = 0 // of every partition
	home  model.ShardID = 1 // of the callers, unless a test says otherwise
)

var topicID = model.TopicID{1}

// rig is two shards: one owns a set of partitions on a real disk that can be held up and made to fail, the other asks.
type rig struct {
	t         *testing.T
	shards    *shard.Set
	set       *Set
	dir       *faultDir
	folders   *Folders
	journal   *commit.Journal
	directory *logdir.Directory
	image     atomic.Pointer[placement.Image]
	options   Options
	clock     *clock.Stepped
}

func newRig(t *testing.T) *rig { return newRigFiles(t, 64) }

// newRigFiles is a rig whose shards keep at most so many segment files open.
func newRigFiles(t *testing.T, files int) *rig { return newRigWith(t, files, nil) }

// memory is the configuration of a topic that acknowledges in the turn of the write: for tests of what happens within a turn, or with marks
// that they move themselves.
var memory = map[string]string{"pinion.durability": "memory"}

// newRigWith is a rig whose topic "orders" has a configuration.
func newRigWith(t *testing.T, files int, configs map[string]string) *rig {
	t.Helper()
	real, err := device.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return newRigOn(t, real, files, configs)
}

// newRigOn is a rig in a log directory.
func newRigOn(t *testing.T, dir device.Dir, files int, configs map[string]string) *rig {
	t.Helper()
	var err error
	r := &rig{t: t, dir: &faultDir{Dir: dir}, folders: &Folders{}, clock: &clock.Stepped{}}
	t.Cleanup(r.dir.open) // before the shards are stopped: helpers must come home
	if r.shards, err = shard.NewSet(2, r.clock); err != nil {
		t.Fatal(err)
	}
	cpus, err := shard.CPUs()
	if err != nil {
		t.Fatal(err)
	}
	r.shards.Start(cpus)
	t.Cleanup(func() {
		r.dir.open()
		for end := time.Now().Add(patience); r.directory.Fenced() != nil && !r.dir.said.Load(); time.Sleep(time.Millisecond) { // between two looks
			if time.Now().After(end) {
				t.Error("a fenced directory leaves no word")
				break
			}
		}
		r.shards.Stop()
		if err := r.shards.Close(); err != nil {
			t.Error(err)
		}
	})
	r.image.Store(placement.Empty("rig"))
	r.directory = logdir.New(r.dir)
	r.directory.Begin(journal.DefaultOptions(), r.shards)
	r.journal = r.directory.Journal
	r.options = Options{
		Node: 1, Directories: logdir.Single(r.directory), Broker: config.NewLive(config.Default()), Image: r.image.Load, Log: slog.New(slog.DiscardHandler), Folders: r.folders, Files: files,
	}
	if err := r.journal.Settle(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.dir.open()
		if err := r.journal.Stop(); err != nil && r.directory.Fenced() == nil {
			t.Error(err)
		}
	})
	r.on(owner, func(t *shard.Turn) {
		r.set = NewSet(t, r.options)
		r.shards.Shard(owner).AtEnd(r.set)
	})
	r.createWith("orders", topicID, 4, configs)
	return r
}

// on runs f on a shard and waits until it has.
func (r *rig) on(id model.ShardID, f func(t *shard.Turn)) {
	r.t.Helper()
	ended := make(chan struct{})
	r.shards.Shard(id).Visit(func(t *shard.Turn) {
		defer close(ended) // also when the test fails in there, which ends the shard's goroutine
		f(t)
	})
	r.await(ended, "the shard")
}

func (r *rig) await(c <-chan struct{}, what string) {
	r.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		r.t.Fatalf("%s did not get there in time", what)
	}
}

// until waits for a condition that is looked at on the owner.
func (r *rig) until(what string, ok func(t *shard.Turn) bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		good := false
		r.on(owner, func(t *shard.Turn) { good = ok(t) })
		if good {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("never: %s", what)
		}
	}
}

// create adds a topic to the image.
func (r *rig) create(name string, id model.TopicID, partitions int) {
	r.createWith(name, id, partitions, nil)
}

// createWith adds a topic with a configuration.
func (r *rig) createWith(name string, id model.TopicID, partitions int, configs map[string]string) {
	d := r.image.Load().Edit()
	var parts []*placement.Partition
	for range partitions {
		parts = append(parts, &placement.Partition{
			Leader: 1, Replicas: []placement.Replica{{Node: 1, Shard: owner}}, ISR: []model.NodeID{1},
		})
	}
	d.AddTopic(name, id, false, configs, parts)
	r.image.Store(d.Freeze(r.image.Load().Revision() + 1))
}

// remove takes a topic out of the image and tells the set.
func (r *rig) remove(id model.TopicID) {
	d := r.image.Load().Edit()
	d.RemoveTopic(d.View().TopicByID(id))
	image := d.Freeze(r.image.Load().Revision() + 1)
	r.image.Store(image)
	r.on(owner, func(t *shard.Turn) { r.set.Changed(t, image, []model.TopicID{id}) })
}

// move gives a partition to another shard in the image, and tells the set.
func (r *rig) move(index int32, to model.ShardID) {
	d := r.image.Load().Edit()
	topic := d.View().TopicByID(topicID)
	next := *topic.Partition(index)
	next.Replicas = []placement.Replica{{Node: 1, Shard: to}}
	d.SetPartition(topic, index, &next)
	image := d.Freeze(r.image.Load().Revision() + 1)
	r.image.Store(image)
	r.on(owner, func(t *shard.Turn) { r.set.Changed(t, image, []model.TopicID{topicID}) })
}

// configure gives the topic "orders" another configuration in the image, and tells the set.
func (r *rig) configure(configs map[string]string) {
	d := r.image.Load().Edit()
	d.SetConfigs(d.View().TopicByID(topicID), configs)
	image := d.Freeze(r.image.Load().Revision() + 1)
	r.image.Store(image)
	r.on(owner, func(t *shard.Turn) { r.set.Changed(t, image, []model.TopicID{topicID}) })
}

func at(index int32) model.Partition { return model.Partition{Topic: topicID, Index: index} }

// opened returns a partition once it is open.
func (r *rig) opened(index int32) *Partition {
	r.t.Helper()
	var p *Partition
	r.until("partition open", func(t *shard.Turn) bool {
		p, _ = r.set.find(t, at(index))
		return p != nil && p.state == open
	})
	return p
}

// batchOf is one batch of records, of a producer unless pid is negative.
func batchOf(records int, pid int64, sequence int32) []byte {
	b := batch.NewBuilder()
	if pid >= 0 {
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = pid, 0, sequence
	}
	for i := range records {
		b.Add(time.Now().UnixMilli(), nil, []byte(fmt.Sprintf("record %d of %d", i, records)))
	}
	return b.Bytes()
}

// appendCall is one append and what became of it. Its fields are safe to read after done.
type appendCall struct {
	ask    AppendAsk
	rig    *rig
	trace  *trace
	name   string
	stored int
	done   chan struct{}
}

// trace collects events in the order they happen on the home shard.
type trace struct {
	mu     sync.Mutex
	events []string
}

func (tr *trace) add(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.events = append(tr.events, fmt.Sprintf(format, args...))
}

func (tr *trace) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return strings.Join(tr.events, ", ")
}

func (c *appendCall) Stored(_ *shard.Turn, ask *AppendAsk) {
	c.stored++
	if ask != &c.ask {
		c.rig.t.Error("stored told of another ask")
	}
	c.trace.add("%s stored", c.name)
}

func (c *appendCall) Appended(t *shard.Turn, ask *AppendAsk) {
	if ask != &c.ask || t.Shard() != c.ask.Home {
		c.rig.t.Error("appended told of another ask, or on another shard")
	}
	c.trace.add("%s %d@%d", c.name, ask.Code, ask.Base)
	close(c.done)
}

// newAppend makes an append of a batch, to be sent by post.
func (r *rig) newAppend(tr *trace, name string, index int32, raw []byte) *appendCall {
	c := &appendCall{rig: r, trace: tr, name: name, done: make(chan struct{})}
	h, ok := batch.ReadHeader(raw)
	if !ok {
		r.t.Fatal("short batch")
	}
	c.ask = AppendAsk{
		Home: home, To: r.set, Caller: c, Partition: at(index), Batch: raw, Header: h, Acks: AcksAll, Timeout: patience, AppendTime: -1,
	}
	return c
}

// post sends appends from the home shard, in one turn.
func (r *rig) post(calls ...*appendCall) {
	r.t.Helper()
	r.on(home, func(t *shard.Turn) {
		for _, c := range calls {
			t.Ask(owner, &c.ask)
		}
	})
}

// fill appends batches of one record, one after the other.
func (r *rig) fill(index int32, batches int) {
	r.t.Helper()
	for range batches {
		c := r.newAppend(&trace{}, "fill", index, batchOf(1, -1, 0))
		r.post(c)
		r.await(c.done, "append")
		if c.ask.Code != OK {
			r.t.Fatalf("append: code %d", c.ask.Code)
		}
	}
}

// fetchCall is one fetch ask and everything its caller was told.
type fetchCall struct {
	ask   FetchAsk
	told  chan string
	trace *trace
}

func (c *fetchCall) Fetched(*shard.Turn, *FetchAsk)   { c.say("fetched") }
func (c *fetchCall) Waiting(*shard.Turn, *FetchAsk)   { c.say("waiting") }
func (c *fetchCall) Cancelled(*shard.Turn, *FetchAsk) { c.say("cancelled") }
func (c *fetchCall) Released(*shard.Turn, *FetchAsk)  { c.say("released") }

func (c *fetchCall) say(word string) {
	c.trace.add("%s", word)
	c.told <- word
}

// newFetch makes a fetch of partitions from an offset on.
func (r *rig) newFetch(from model.Offset, bytesMin int64, indexes ...int32) *fetchCall {
	c := &fetchCall{told: make(chan string, 64), trace: &trace{}}
	c.ask = FetchAsk{Home: home, Owner: owner, To: r.set, Caller: c, BytesMax: 1 << 20, BytesMin: bytesMin, Wait: bytesMin > 0}
	c.ask.Hurry.Store(true)
	for _, index := range indexes {
		c.ask.Parts = append(c.ask.Parts, FetchPart{FetchWant: FetchWant{
			Partition: at(index), From: from, BytesMax: 1 << 20, Epoch: model.NoEpoch, LastFetched: model.NoEpoch,
		}})
	}
	return c
}

func (r *rig) send(m shard.Mail) {
	r.t.Helper()
	r.on(home, func(t *shard.Turn) { t.Ask(owner, m) })
}

// expect waits for the next word the caller is told.
func (r *rig) expect(c *fetchCall, want string) {
	r.t.Helper()
	select {
	case got := <-c.told:
		if got != want {
			r.t.Fatalf("told %q, want %q (so far: %s)", got, want, c.trace)
		}
	case <-time.After(patience):
		r.t.Fatalf("never told %q (so far: %s)", want, c.trace)
	}
}

// quiet checks that nothing more is on its way to the caller.
func (r *rig) quiet(c *fetchCall) {
	r.t.Helper()
	r.on(owner, func(*shard.Turn) {})
	r.on(owner, func(*shard.Turn) {}) // a turn more: what the first one's end sends is sent
	r.on(home, func(*shard.Turn) {})
	if len(c.told) > 0 {
		r.t.Fatalf("told %s", c.trace)
	}
}

// faultDir is a real directory whose calls can be held at a gate and made to fail.
type faultDir struct {
	device.Dir
	mu    sync.Mutex
	gate  func(op, path string) bool // calls that wait
	freed chan struct{}
	held  atomic.Int32 // calls that wait now
	fault func(op, path string) error
	said  atomic.Bool // the word that a fenced directory leaves is written, or could not be
}

// hold makes calls wait until open.
func (d *faultDir) hold(gate func(op, path string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gate, d.freed = gate, make(chan struct{})
}

func (d *faultDir) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gate != nil {
		close(d.freed)
		d.gate = nil
	}
}

// pass lets those go that wait, and makes later calls wait.
func (d *faultDir) pass() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.freed)
	d.freed = make(chan struct{})
}

// fail makes calls fail; nil ends it.
func (d *faultDir) fail(fault func(op, path string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

func (d *faultDir) step(op, path string) error {
	d.mu.Lock()
	gate, freed, fault := d.gate, d.freed, d.fault
	d.mu.Unlock()
	if gate != nil && gate(op, path) {
		d.held.Add(1)
		<-freed
		d.held.Add(-1)
	}
	if fault != nil {
		return fault(op, path)
	}
	return nil
}

// awaitHeld waits until so many calls wait at the gate.
func (r *rig) awaitHeld(n int32) {
	r.t.Helper()
	for end := time.Now().Add(patience); r.dir.held.Load() < n; time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%d calls wait at the gate, want %d", r.dir.held.Load(), n)
		}
	}
}

func (d *faultDir) Create(path string) (device.File, error) {
	if err := d.step("create", path); err != nil {
		return nil, err
	}
	f, err := d.Dir.Create(path)
	return d.wrap(path, f), err
}

func (d *faultDir) Open(path string) (device.File, error) {
	if err := d.step("open", path); err != nil {
		return nil, err
	}
	f, err := d.Dir.Open(path)
	return d.wrap(path, f), err
}

func (d *faultDir) OpenDurable(path string) (device.File, error) {
	if err := d.step("open", path); err != nil {
		return nil, err
	}
	f, err := d.Dir.OpenDurable(path)
	if err != nil {
		return nil, err
	}
	return &faultFile{File: f, dir: d, path: path, durable: true}, nil
}

func (d *faultDir) List(path string) ([]device.Entry, error) {
	if err := d.step("list", path); err != nil {
		return nil, err
	}
	return d.Dir.List(path)
}

// Replace notes the word of a fenced directory, which nobody waits for but the end of a test, whose folder goes.
func (d *faultDir) Replace(path string, data []byte) error {
	err := d.Dir.Replace(path, data)
	if path == "pinion-fenced" {
		d.said.Store(true)
	}
	return err
}

func (d *faultDir) SyncAll() error {
	if err := d.step("syncall", "."); err != nil {
		return err
	}
	return d.Dir.SyncAll()
}

func (d *faultDir) wrap(path string, f device.File) device.File {
	if f == nil {
		return nil
	}
	return &faultFile{File: f, dir: d, path: path}
}

type faultFile struct {
	device.File
	dir     *faultDir
	path    string
	durable bool // a write is a sync as well
}

func (f *faultFile) Reserve(from, length int64) error {
	if err := f.dir.step("reserve", f.path); err != nil {
		return err
	}
	return f.File.Reserve(from, length)
}

func (f *faultFile) Pwritev(bufs [][]byte, pos int64) (int, error) {
	if err := f.dir.step("write", f.path); err != nil {
		return 0, err
	}
	if f.durable {
		if err := f.dir.step("sync", f.path); err != nil {
			return 0, err
		}
	}
	return f.File.Pwritev(bufs, pos)
}

func (f *faultFile) Sync() error {
	if err := f.dir.step("sync", f.path); err != nil {
		return err
	}
	return f.File.Sync()
}

// failing lets calls of one kind fail with an error.
func failing(op string, err error) func(op, path string) error {
	return func(o, path string) error {
		if o == op {
			return fmt.Errorf("%s %s: %w", op, path, err)
		}
		return nil
	}
}

// only holds calls of one kind on paths that contain a text.
func only(op, text string) func(op, path string) bool {
	return func(o, path string) bool { return o == op && strings.Contains(path, text) }
}

var errNoSpace = fmt.Errorf("%w: %w", device.ErrNoSpace, syscall.ENOSPC)

var errBroken = errors.New("input/output error")
