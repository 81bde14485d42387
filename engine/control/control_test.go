package control_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/catalog"
	"pinion/engine/control"
	"pinion/engine/model"
	"pinion/engine/placement"
)

func open(dir device.Dir, change func(*control.Options)) (*control.Control, error) {
	o := control.Options{Node: 3, Dir: dir, Cluster: "test-cluster", SnapshotEntries: 7, SnapshotBytes: 1 << 20}
	if change != nil {
		change(&o)
	}
	return control.Open(o)
}

// session runs a control loop and stops it.
type session struct {
	*control.Control
	stop  context.CancelFunc
	ended chan error
}

func start(t *testing.T, dir device.Dir, change func(*control.Options)) *session {
	t.Helper()
	c, err := open(dir, change)
	if err != nil {
		t.Fatal(err)
	}
	return serve(c)
}

func serve(c *control.Control) *session {
	ctx, stop := context.WithCancel(context.Background())
	s := &session{Control: c, stop: stop, ended: make(chan error, 1)}
	go func() { s.ended <- c.Run(ctx) }()
	return s
}

func (s *session) close() error {
	s.stop()
	return <-s.ended
}

// do proposes and waits.
func (s *session) do(cmd catalog.Command) catalog.Result {
	done := make(chan catalog.Result, 1)
	if !s.Propose(cmd, func(r catalog.Result) { done <- r }) {
		return catalog.Result{Err: &catalog.Error{Code: catalog.Stopped, Message: "not taken"}}
	}
	return <-done
}

func register(shards int32) catalog.Command {
	return catalog.RegisterBroker(catalog.Registration{Node: 3, Incarnation: [16]byte{1}, Shards: shards,
		Listeners: []placement.Listener{{Name: "PLAINTEXT", Host: "localhost", Port: 9092}}})
}

func create(i int) catalog.Command {
	return catalog.CreateTopic(catalog.TopicSpec{Name: fmt.Sprintf("topic-%d", i), ID: model.TopicID{1, byte(i >> 8), byte(i)}, Partitions: 3, ReplicationFactor: 1})
}

func dump(im *placement.Image) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", im.Cluster())
	for br := range im.Brokers {
		fmt.Fprintf(&b, "%+v\n", *br)
	}
	for tp := range im.Topics {
		fmt.Fprintf(&b, "%s %s %v\n", tp.Name, tp.ID, tp.Configs)
		for i := range tp.Partitions() {
			fmt.Fprintf(&b, "  %+v\n", *tp.Partition(i))
		}
	}
	return b.String()
}

// TestRestartEquality: what was published before a stop is published after it, over several snapshots.
func TestRestartEquality(t *testing.T) {
	dir, err := device.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, nil)
	if r := s.do(register(2)); r.Err != nil {
		t.Fatal(r.Err)
	}
	for round := range 5 {
		for i := range 6 {
			if r := s.do(create(round*10 + i)); r.Err != nil || r.Topic == nil || r.Index > uint64(s.Image().Revision()) {
				t.Fatalf("create: %+v, image at %d", r, s.Image().Revision())
			}
		}
		if r := s.do(catalog.DeleteTopic(fmt.Sprintf("topic-%d", round*10), model.TopicID{})); r.Err != nil {
			t.Fatal(r.Err)
		}
		before := s.Image()
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		s = start(t, dir, nil)
		if got, want := dump(s.Image()), dump(before); got != want {
			t.Fatalf("round %d: after a restart\n%s\nbefore\n%s", round, got, want)
		}
		if s.Image().Revision() < before.Revision() {
			t.Fatalf("revision went back from %d to %d", before.Revision(), s.Image().Revision())
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

// workload proposes one command after the other until the power goes. It returns how many were acknowledged.
func workload(dir *faulty.Dir, n int) (acked int, err error) {
	c, err := open(dir, nil)
	if err != nil {
		return -1, err
	}
	s := serve(c)
	for i := range n {
		cmd := create(i)
		if i == 0 {
			cmd = register(2)
		}
		if r := s.do(cmd); r.Err != nil {
			break
		}
		acked = i + 1
	}
	return acked, s.close()
}

// TestPowerCutAtEveryChange: whatever was acknowledged is there after any cut; of what was not, at most the one command under
// way; the state is that of the commands in order, and the node goes on from it.
func TestPowerCutAtEveryChange(t *testing.T) {
	const commands = 18
	whole := faulty.New(0)
	if _, err := workload(whole, commands); err != nil {
		t.Fatal(err)
	}
	for at := 1; at <= whole.Steps(); at++ {
		for tear := range uint64(3) {
			dir := faulty.New(tear)
			dir.CutAt(at)
			acked, err := workload(dir, commands)
			if !errors.Is(err, faulty.ErrCut) {
				t.Fatalf("cut at %d: %v", at, err)
			}
			left := dir.AfterCut(tear + uint64(at)*7)
			if tear == 2 {
				left = dir.Killed(1)
			}
			s := start(t, left, nil)
			got := s.Image().TopicCount()
			if s.Image().BrokerCount() == 1 {
				got++
			}
			if got != acked && got != acked+1 && acked >= 0 {
				t.Fatalf("cut at %d tear %d: %d commands are there, %d were acknowledged", at, tear, got, acked)
			}
			for i := range got - 1 {
				if s.Image().TopicCalled(fmt.Sprintf("topic-%d", i+1)) == nil {
					t.Fatalf("cut at %d tear %d: command %d is missing among %d", at, tear, i+1, got)
				}
			}
			if got == 0 {
				if r := s.do(register(2)); r.Err != nil {
					t.Fatal(r.Err)
				}
			}
			if r := s.do(create(900)); r.Err != nil {
				t.Fatalf("cut at %d tear %d: going on: %v", at, tear, r.Err)
			}
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestGroupCommit: proposals that wait together cost one sync.
func TestGroupCommit(t *testing.T) {
	dir := faulty.New(0)
	c, err := open(dir, func(o *control.Options) { o.SnapshotEntries = 1 << 20 })
	if err != nil {
		t.Fatal(err)
	}
	syncs := 0
	dir.Fail(func(op faulty.Op, _ string) error {
		if op == faulty.Sync {
			syncs++
		}
		return nil
	})
	const n = 1 + 500
	order := make(chan int, n)
	for i := range n {
		cmd := register(2)
		if i > 0 {
			cmd = create(i)
		}
		if !c.Propose(cmd, func(r catalog.Result) {
			if r.Err != nil {
				t.Errorf("command %d: %v", i, r.Err)
			}
			order <- i
		}) {
			t.Fatal("not taken")
		}
	}
	s := serve(c)
	for i := range n {
		if got := <-order; got != i {
			t.Fatalf("answer %d came as number %d", got, i)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if syncs > 3 {
		t.Errorf("%d syncs for %d proposals", syncs, n)
	}
}

// TestImageBeforeDone: OnImage runs, and Image shows the effect, before the proposal's done; the delta names it.
func TestImageBeforeDone(t *testing.T) {
	var deltas []catalog.Delta
	s := start(t, faulty.New(0), func(o *control.Options) {
		o.OnImage = func(old, new *placement.Image, d catalog.Delta) {
			if new.Revision() <= old.Revision() {
				t.Errorf("revision %d after %d", new.Revision(), old.Revision())
			}
			deltas = append(deltas, d)
		}
	})
	s.do(register(2))
	r := s.do(create(1))
	if r.Err != nil || s.Image().TopicNamed([]byte("topic-1")) != r.Topic {
		t.Fatalf("%+v is not in the image", r)
	}
	if again := s.do(create(1)); again.Err == nil || again.Err.Code != catalog.TopicExists {
		t.Fatalf("second creation: %+v", again)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if len(deltas) != 2 || len(deltas[0].Brokers) != 1 || len(deltas[1].Created) != 1 || deltas[1].Created[0] != r.Topic.ID {
		t.Fatalf("deltas %+v", deltas)
	}
}

// TestProducerIDs: never the same twice, over restarts, and not one durable write each.
func TestProducerIDs(t *testing.T) {
	dir := faulty.New(0)
	seen := map[int64]bool{}
	for range 3 {
		s := start(t, dir, nil)
		before := dir.Steps()
		type answer struct {
			id  int64
			err error
		}
		answers := make(chan answer, 2500)
		for range 2500 {
			if !s.ProducerID(func(id int64, err error) { answers <- answer{id, err} }) {
				t.Fatal("not taken")
			}
		}
		for range 2500 {
			a := <-answers
			if a.err != nil || seen[a.id] {
				t.Fatalf("id %d, seen %v: %v", a.id, seen[a.id], a.err)
			}
			seen[a.id] = true
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if steps := dir.Steps() - before; steps > 60 {
			t.Errorf("%d changes on disk for 2500 ids", steps)
		}
		dir = dir.Killed(0)
	}
}

func TestStopAnswersEveryone(t *testing.T) {
	c, err := open(faulty.New(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan catalog.Result, 20_000)
	taken := 0
	for i := range 10_000 {
		if !c.Propose(create(i), func(r catalog.Result) { answered <- r }) {
			break
		}
		taken++
	}
	if taken == 10_000 {
		t.Error("the queue has no bound")
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(answered) != taken {
		t.Errorf("%d of %d were answered", len(answered), taken)
	}
	if c.Propose(create(1), nil) {
		t.Error("taken after the end")
	}
}

// TestDiskErrorIsFinal: after a failed sync nothing is acknowledged any more and Run says why.
func TestDiskErrorIsFinal(t *testing.T) {
	dir := faulty.New(0)
	s := start(t, dir, nil)
	s.do(register(1))
	broken := errors.New("input/output error")
	dir.Fail(func(op faulty.Op, _ string) error {
		if op == faulty.Sync {
			return broken
		}
		return nil
	})
	if r := s.do(create(1)); r.Err == nil || r.Err.Code != catalog.Stopped {
		t.Fatalf("acknowledged: %+v", r)
	}
	select {
	case err := <-s.ended:
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Run goes on")
	}
	if s.Image().TopicCount() != 0 {
		t.Error("an unsynced topic was published")
	}
}

// TestFullDisk: the log goes on without the snapshots that find no space, and so does a start.
func TestFullDisk(t *testing.T) {
	dir := faulty.New(0)
	for life := range 3 {
		s := start(t, dir, nil)
		s.do(register(1))
		for i := range 20 {
			if r := s.do(create(20*life + i)); r.Err != nil {
				t.Fatalf("life %d, topic %d: %v", life, i, r.Err)
			}
			dir.Limit(dir.Used() + 1)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, dir, nil)
	defer s.close()
	if got := s.Image().TopicCount(); got != 60 {
		t.Errorf("%d topics", got)
	}
	files := func() []string {
		entries, err := dir.List(control.Folder)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name)
		}
		return names
	}
	full := files()
	if len(full) != 2 {
		t.Errorf("on the full disk %q", full)
	}
	// With space again a snapshot follows the next command and the log starts anew behind it. That is done beside the
	// answers, so it is waited for; before the old files are gone there are up to four.
	dir.Limit(0)
	if r := s.do(create(60)); r.Err != nil || s.Image().TopicCount() != 61 {
		t.Fatalf("with space again: %v, %d topics", r.Err, s.Image().TopicCount())
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		now := files()
		if len(now) == 2 && !slices.Contains(now, full[0]) && !slices.Contains(now, full[1]) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("with space again %q, on the full disk %q", now, full)
		}
		time.Sleep(time.Millisecond) // nothing tells when the last old file is gone: it is asked for again until the deadline
	}
}

func TestWrongCluster(t *testing.T) {
	dir := faulty.New(0)
	if err := start(t, dir, nil).close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(dir, func(o *control.Options) { o.Cluster = "another" }); !errors.Is(err, control.ErrCluster) {
		t.Fatal(err)
	}
	if _, err := open(dir, func(o *control.Options) { o.Node = 4 }); err == nil {
		t.Fatal("another node opened this node's log")
	}
}

func TestNewTopicID(t *testing.T) {
	seen := map[model.TopicID]bool{}
	for range 5000 {
		id := control.NewTopicID()
		if seen[id] || id.IsZero() || id.String()[0] == '-' {
			t.Fatal(id)
		}
		seen[id] = true
	}
}

// TestProposeWhileStopping: whoever is told that a proposal was taken gets an answer, also in the moment of the end.
func TestProposeWhileStopping(t *testing.T) {
	for range 20 {
		s := start(t, faulty.New(0), nil)
		var taken, answered atomic.Int64
		var wait sync.WaitGroup
		for g := range 4 {
			wait.Go(func() {
				for i := 0; s.Propose(create(g*100+i), func(catalog.Result) { answered.Add(1) }); i = (i + 1) % 100 {
					taken.Add(1)
				}
			})
		}
		time.Sleep(time.Millisecond)
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		wait.Wait()
		if taken.Load() != answered.Load() {
			t.Fatalf("%d taken, %d answered", taken.Load(), answered.Load())
		}
	}
}
