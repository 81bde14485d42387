package families

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/shelf"
)

const (
	// memberSession is how long the broker waits for a member that says nothing.
	memberSession = 3 * time.Second
	// memberMax bounds whatever members take for what is a matter of a session, or of less; machines that run tests are busy.
	memberMax = 60 * time.Second
	// memberPace is between two rounds of records; lookPause between two looks at what became of them, which nobody tells.
	memberPace = 50 * time.Millisecond
	lookPause  = 50 * time.Millisecond

	groupIDNotFound = 69
)

// Each client's members take over from one that was killed, come and go while records are written, and lose none: each record was handed to a member
// before it was committed, and what is committed never goes back. They pause, find new topics by a pattern, and administer their group. Families
// run beside each other, as they wait for sessions to end most of the time.
func TestFamiliesKeepGroups(t *testing.T) {
	for _, f := range roster {
		if f.longs && !long {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			_, err := agentOf(f) // which prepares its kit
			var missing *shelf.Missing
			if errors.As(err, &missing) {
				t.Skip(missing.Why)
			}
			if err != nil {
				t.Fatal(err)
			}
			b := newBand(t, f)
			t.Parallel()
			b.live(t)
		})
	}
}

// band is the members of a group, all of one family.
type band struct {
	f         *family
	topic     string
	dir       string
	args, env []string
	members   int // started so far
	admin     *kadm.Client
	sender    *kgo.Client

	mu      sync.Mutex // guards written; the writer writes, the test reads
	written [partitions]int64
}

func newBand(t *testing.T, f *family) *band {
	b := &band{f: f, topic: "kept-" + f.name, dir: t.TempDir()}
	kit := work.kits[f.kit]
	b.args, b.env = slices.Clone(kit.args), kit.env
	if f.client != "" {
		b.args = append(b.args, f.client)
	}
	b.args = append(b.args, broker.Addr)
	createTopic(t, b.topic, partitions, nil)
	b.sender = newClient(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	b.admin = kadm.NewClient(newClient(t))
	return b
}

// one is a member, and the file of what it was handed.
type one struct {
	*Agent
	file string
}

// start starts an agent, which has joined nothing.
func (b *band) start(t *testing.T) *one {
	t.Helper()
	a, err := Launch(b.args, b.env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	b.members++
	return &one{a, filepath.Join(b.dir, fmt.Sprintf("taken-%d", b.members))}
}

func (b *band) join(t *testing.T) *one {
	t.Helper()
	m := b.start(t)
	m.must(t, Command{Op: "join", Topic: b.topic, Group: b.topic, File: m.file, At: memberSession.Milliseconds()})
	return m
}

// must runs a command and wants it done.
func (m *one) must(t *testing.T, c Command) *Answer {
	t.Helper()
	answer, err := m.Do(c)
	if err != nil {
		t.Fatalf("%s: %v", c.Op, err)
	}
	return answer
}

// orSkip runs a command; a part of a test whose client has no call for it is skipped.
func (m *one) orSkip(t *testing.T, c Command) *Answer {
	t.Helper()
	answer, err := m.Do(c)
	var refused *Refused
	if errors.As(err, &refused) && refused.Kind == kindAbsent {
		t.Skipf("the client has no call for %s: %s", strings.TrimSpace(c.Op+" "+c.How), refused.Text)
	}
	if err != nil {
		t.Fatalf("%s: %v", c.Op, err)
	}
	return answer
}

// place is where a record is.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// taken is what members were handed.
func taken(t *testing.T, members ...*one) map[place]bool {
	t.Helper()
	all := map[place]bool{}
	for _, m := range members {
		f, err := os.Open(m.file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewReader(f); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				break // the end, or a line that is being written
			}
			var at place
			if _, err := fmt.Sscan(line, &at.topic, &at.partition, &at.offset); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			all[at] = true
		}
		f.Close()
	}
	return all
}

// until looks until something holds; what tells what is missing.
func until(t *testing.T, what string, holds func() (missing string)) time.Duration {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(lookPause) {
		missing := holds()
		if took := time.Since(begun); missing == "" {
			if took > slow {
				t.Logf("%s took %v", what, took.Round(time.Millisecond))
			}
			return took
		}
		if time.Since(begun) > memberMax {
			t.Fatalf("%s: after %v: %s", what, memberMax, missing)
		}
	}
}

// write writes a record to each partition.
func (b *band) write(ctx context.Context) error {
	var records []*kgo.Record
	for p := range int32(partitions) {
		records = append(records, &kgo.Record{Topic: b.topic, Partition: p, Value: fmt.Append(nil, p)})
	}
	if err := b.sender.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.written {
		b.written[p]++
	}
	return nil
}

// ends is how many records each partition has.
func (b *band) ends() [partitions]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.written
}

// flow writes until it is stopped.
func (b *band) flow(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		var err error
		for ctx.Err() == nil && err == nil {
			err = b.write(context.WithoutCancel(ctx))
			time.Sleep(memberPace) // the load; more of it proves nothing more
		}
		ended <- err
	}()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// watch looks at what is committed again and again; the function that it returns ends it, and tells where it went back.
func (b *band) watch() (end func() []string) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan []string, 1)
	go func() {
		var back []string
		seen := map[int32]int64{}
		for ctx.Err() == nil {
			found, err := b.admin.FetchOffsets(ctx, b.topic)
			if err == nil { // there may be no group yet
				for p, o := range found[b.topic] {
					if o.At < seen[p] {
						back = append(back, fmt.Sprintf("partition %d from %d to %d", p, seen[p], o.At))
					}
					seen[p] = o.At
				}
			}
			time.Sleep(lookPause)
		}
		ended <- back
	}()
	return sync.OnceValue(func() []string {
		cancel()
		return <-ended
	})
}

// tookAll waits until a member alone was handed records of each partition that were written from now on.
func (b *band) tookAll(t *testing.T, what string, m *one) time.Duration {
	t.Helper()
	from := b.ends()
	return until(t, what, func() string {
		var has [partitions]bool
		for at := range taken(t, m) {
			has[at.partition] = has[at.partition] || at.offset >= from[at.partition]
		}
		for p, ok := range has {
			if !ok {
				return fmt.Sprintf("it has nothing of partition %d from %d on", p, from[p])
			}
		}
		return ""
	})
}

// took waits until a member was handed something.
func (b *band) took(t *testing.T, what string, m *one) {
	t.Helper()
	until(t, what, func() string {
		if len(taken(t, m)) > 0 {
			return ""
		}
		return "it has nothing"
	})
}

// cycles is how often members join and leave under load.
func cycles() int {
	if long {
		return 4
	}
	return 1
}

func (b *band) live(t *testing.T) {
	stop, regressions := b.flow(t), b.watch()
	defer stop()
	defer regressions()
	first := b.join(t)
	b.took(t, "the first member", first)
	second := b.join(t)
	b.took(t, "the second member", second)
	all := []*one{first, second}
	if err := second.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	t.Logf("a member's partitions were taken over %v after it was killed, with a session of %v", b.tookAll(t, "after a member was killed", first).Round(time.Millisecond), memberSession)
	tally.kills.Add(1)
	last := first
	for range cycles() {
		next := b.join(t)
		all = append(all, next)
		b.took(t, "a member that joined", next)
		last.must(t, Command{Op: "leave"})
		last.Close()
		b.tookAll(t, "after a member left", next)
		last = next
	}
	stop()
	b.drained(t, all)
	if back := regressions(); len(back) > 0 {
		t.Errorf("what was committed went back: %v", back)
	}
	t.Run("pause", func(t *testing.T) { b.testPause(t, last, all) })
	t.Run("describe", func(t *testing.T) { b.wantState(t, last, "Stable", 1) })
	last.must(t, Command{Op: "leave"})
	t.Run("pattern", func(t *testing.T) { b.testPattern(t, last) })
	b.testAdmin(t, last)
}

// drained waits until every record was handed to somebody and committed.
func (b *band) drained(t *testing.T, all []*one) {
	t.Helper()
	ends := b.ends()
	until(t, "every record is taken", func() string {
		got := taken(t, all...)
		for p, end := range ends {
			for o := range end {
				if !got[place{b.topic, int32(p), o}] {
					return fmt.Sprintf("of partition %d offset %d of %d", p, o, end)
				}
			}
		}
		return ""
	})
	until(t, "every record is committed", func() string {
		found, err := b.admin.FetchOffsets(testContext(t), b.topic)
		if err != nil {
			return err.Error()
		}
		for p, end := range ends {
			if o, _ := found.Lookup(b.topic, int32(p)); o.At != end {
				return fmt.Sprintf("partition %d is at %d of %d", p, o.At, end)
			}
		}
		return ""
	})
	for _, end := range ends {
		tally.taken.Add(end)
	}
}

// testPause pauses the one member there is, which stays one, and is handed nothing until it goes on.
func (b *band) testPause(t *testing.T, m *one, all []*one) {
	m.orSkip(t, Command{Op: "pause"})
	const underWay = 300 * time.Millisecond // a fetch that was sent before may wait for 100 ms, and takes what comes
	time.Sleep(underWay)
	before := len(taken(t, m))
	for range 10 {
		if err := b.write(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	quiet := underWay // nobody tells that nothing comes
	if long {
		quiet = memberSession + time.Second
	}
	time.Sleep(quiet)
	if n := len(taken(t, m)) - before; n != 0 {
		t.Errorf("%d records were handed to a member that pauses", n)
	}
	groups, err := b.admin.DescribeGroups(testContext(t), b.topic)
	if err != nil || groups[b.topic].State != "Stable" || len(groups[b.topic].Members) != 1 {
		t.Errorf("the group is %+v, %v", groups[b.topic], err)
	}
	m.must(t, Command{Op: "resume"})
	b.drained(t, all)
}

// testPattern joins by a pattern: a topic that is there is read, and one that comes later as well.
func (b *band) testPattern(t *testing.T, m *one) {
	prefix := "pattern-" + b.f.name + "-"
	createTopic(t, prefix+"1", 1, nil)
	m.file += "-pattern"
	m.orSkip(t, Command{Op: "join", Topic: prefix + ".*", Group: prefix, File: m.file, At: memberSession.Milliseconds(), How: "pattern"})
	for n := 1; n <= 2; n++ {
		topic := prefix + fmt.Sprint(n)
		if n > 1 {
			createTopic(t, topic, 1, nil)
		}
		if err := b.sender.ProduceSync(testContext(t), &kgo.Record{Topic: topic, Value: []byte("found")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		until(t, "the topic is found", func() string {
			if taken(t, m)[place{topic, 0, 0}] {
				return ""
			}
			if asked := b.subscribed(prefix); b.f.missesTopics && time.Since(begun) > memberMax/2 && !slices.Contains(asked, topic) {
				t.Skipf("the client has not joined with the topic that came, only with %v", asked)
			}
			return fmt.Sprintf("%s is not taken; subscribed to %v", topic, b.subscribed(prefix))
		})
	}
	m.must(t, Command{Op: "leave"})
	tally.steps.Add(1)
}

// subscribed is what the members of a group have joined with.
func (b *band) subscribed(group string) (topics []string) {
	ctx, cancel := context.WithTimeout(context.Background(), memberMax)
	defer cancel()
	groups, err := b.admin.DescribeGroups(ctx, group)
	if err != nil {
		return nil
	}
	for _, m := range groups[group].Members {
		if joined, ok := m.Join.AsConsumer(); ok {
			topics = append(topics, joined.Topics...)
		}
	}
	return topics
}

func (b *band) wantState(t *testing.T, m *one, state string, members int) {
	t.Helper()
	got := m.orSkip(t, Command{Op: "describe_group", Group: b.topic})
	if got.State != state || got.Members != members {
		t.Errorf("described as %s with %d members, want %s with %d", got.State, got.Members, state, members)
	}
	tally.steps.Add(1)
}

// testAdmin administers the group, which has no member any more.
func (b *band) testAdmin(t *testing.T, m *one) {
	c := Command{Group: b.topic, Topic: b.topic, Partitions: partitions}
	ends := b.ends()
	want := make([]int64, partitions) // how far the group is behind
	wantLag := func(t *testing.T) {
		t.Helper()
		ask := c
		ask.Op = "lag"
		if got := m.orSkip(t, ask).Lag; !slices.Equal(got, want) {
			t.Errorf("lag is %v, want %v", got, want)
		}
		tally.steps.Add(1)
	}
	t.Run("lag", func(t *testing.T) {
		wantLag(t)
		for range 7 {
			if err := b.write(testContext(t)); err != nil {
				t.Fatal(err)
			}
		}
		want = []int64{7, 7, 7}
		wantLag(t)
	})
	t.Run("list", func(t *testing.T) {
		if got := m.orSkip(t, Command{Op: "groups"}).Groups; !slices.Contains(got, b.topic) {
			t.Errorf("it is not among %v", got)
		}
		tally.steps.Add(1)
	})
	t.Run("describe empty", func(t *testing.T) { b.wantState(t, m, "Empty", 0) })
	t.Run("set offset", func(t *testing.T) {
		set := c
		set.Op, set.Partition, set.At = "set_offset", 1, 2
		m.orSkip(t, set)
		want = []int64{7, ends[1] + 7 - 2, 7}
		wantLag(t)
	})
	t.Run("delete offset", func(t *testing.T) {
		del := c
		del.Op, del.Partition = "delete_offset", 2
		m.orSkip(t, del)
		want[2] = -1
		wantLag(t)
	})
	t.Run("delete", func(t *testing.T) {
		del := Command{Op: "delete_group", Group: b.topic}
		m.orSkip(t, del)
		if got := m.must(t, Command{Op: "groups"}).Groups; slices.Contains(got, b.topic) {
			t.Errorf("it is still among %v", got)
		}
		_, err := m.Do(del)
		var refused *Refused
		if !errors.As(err, &refused) || refused.Code != groupIDNotFound {
			t.Errorf("a group that is gone is deleted: %v, want code %d", err, groupIDNotFound)
		}
		tally.steps.Add(1)
		tally.refusals.Add(1)
	})
}
