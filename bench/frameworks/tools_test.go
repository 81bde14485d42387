package frameworks

import (
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
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
	"pinion/bench/peer"
	"pinion/bench/shelf"
	"pinion/bench/versus"
)

// long makes everything run; see the Makefile.
var long = os.Getenv("FRAMEWORKS_LONG") == "1"

// settleMax is how long a broker may take to show what it has acknowledged; Apache Kafka's brokers follow its controller.
const settleMax = 10 * time.Second

// Every tool of Apache Kafka that needs neither security nor transactions says of Pinion what it says of Kafka, and ends as it does there.
func TestToolsSayWhatTheySayOfKafka(t *testing.T) {
	if !long {
		t.Skip("it takes minutes; `make frameworks` runs it")
	}
	driver := startDriver(t)
	sides := startSides(t)
	scratch := t.TempDir()
	for _, s := range sides {
		prepare(t, s)
	}
	script := &script{driver: driver, sides: sides, scratch: scratch, met: make([]int, len(intended)), tools: map[string]int{}}
	script.play(t, topicSteps)
	script.play(t, configSteps)
	script.play(t, recordSteps)
	var leave []func()
	for _, s := range sides {
		leave = append(leave, join(t, s))
	}
	script.play(t, memberSteps)
	for i, s := range sides {
		leave[i]()
		if _, err := kadm.NewClient(newClient(t, s)).DeleteTopic(testContext(t), "gone"); err != nil {
			t.Fatal(err)
		}
	}
	script.play(t, offsetSteps)
	script.play(t, clusterSteps)
	script.play(t, featureSteps)
	for i, n := range script.met {
		if n == 0 && !t.Failed() {
			t.Errorf("intended, and never met: %s: %s: %s", intended[i].of, intended[i].text, intended[i].why)
		}
	}
	t.Logf("tools: %d commands of %d tools say the same on both, %d with intended differences, %d left out", script.same, len(script.tools), script.intended, script.out)
}

func startDriver(t *testing.T) Driver {
	t.Helper()
	jars := wantJars(t)
	classpath, err := Compile(t.Context(), jars, t.TempDir(), "Driver.java")
	skipMissing(t, err)
	p, err := Java(classpath, []string{quiet}, "Driver")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	return Driver{p, classpath}
}

// wantJars is the folder of the jars; the test is skipped where they cannot be had.
func wantJars(t *testing.T) string {
	t.Helper()
	jars, err := Jars(t.Context())
	skipMissing(t, err)
	return jars
}

// skipMissing skips a test that lacks a tool or packages; any other error is one.
func skipMissing(t *testing.T, err error) {
	t.Helper()
	var missing *shelf.Missing
	if errors.As(err, &missing) {
		t.Skip(missing.Why)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startSides starts Apache Kafka and Pinion, with the same settings.
func startSides(t *testing.T) []side {
	t.Helper()
	kafka := startKafka(t)
	pinion := startPinion(t)
	list := []side{kafka, pinion}
	for i := range list {
		resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(testContext(t), newClient(t, list[i]))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range resp.ApiKeys {
			list[i].keys = append(list[i].keys, kmsg.Key(k.ApiKey))
		}
	}
	return list
}

func startKafka(t *testing.T) side { return startKafkaWith(t) }

// startKafkaWith is startKafka with settings that come before the usual ones.
func startKafkaWith(t *testing.T, set ...string) side {
	t.Helper()
	kafka, err := peer.Start(t.Context(), peer.Config{Dir: t.TempDir(), JVM: peer.Small, Set: append(set, versus.Settings...)})
	skipMissing(t, err)
	t.Cleanup(func() {
		if err := kafka.Kill(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), kafkaReadyMax)
	defer cancel()
	if err := kafka.Listening(ctx); err != nil {
		t.Fatal(err)
	}
	return side{name: "Kafka", addr: kafka.Address(), dir: kafka.LogDir()}
}

// kafkaReadyMax bounds a start of Kafka, which takes about three seconds alone on two cores.
const kafkaReadyMax = 2 * time.Minute

func startPinion(t *testing.T) side {
	t.Helper()
	dir := t.TempDir()
	b := harness.Run(t, harness.Config{Dir: dir, Shards: 2, Set: append([]string{"node.id=1"}, versus.Settings...)})
	return side{name: "Pinion", addr: b.Addr, dir: dir}
}

func stop(t *testing.T, p *Process) {
	t.Helper()
	if err := p.Stop(os.Kill); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("it said last:\n%s", p.Said())
	}
}

// script plays steps on both sides and compares.
type script struct {
	driver              Driver
	sides               []side
	scratch             string
	folders             int
	same, intended, out int
	met                 []int          // how often each of intended occurred
	tools               map[string]int // commands of each
}

func (s *script) play(t *testing.T, steps []step) {
	for _, step := range steps {
		t.Run(step.says, func(t *testing.T) { s.one(t, step) })
	}
}

// one plays a step. What a step is said to answer is asked again for a while where the two differ; nothing that changes is done twice.
func (s *script) one(t *testing.T, step step) {
	for _, key := range step.needs {
		if !slices.Contains(s.sides[1].keys, key) {
			s.out++
			t.Skipf("the broker does not advertise %s yet", key.Name())
		}
	}
	s.tools[strings.Fields(step.says)[0]]++
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) { // a broker that follows needs some time, and nobody tells when it is there
		kafka, pinion := s.run(t, step, s.sides[0]), s.run(t, step, s.sides[1])
		if failed := kafka.Exit != 0; failed != step.fails {
			t.Fatalf("on Kafka the exit code is %d:\n%s%s", kafka.Exit, kafka.Out, kafka.Err)
		}
		rest, meant := s.compare(step, kafka, pinion)
		if len(rest) == 0 && (kafka.Exit == pinion.Exit) != step.here {
			if meant > 0 {
				s.intended++
			} else {
				s.same++
			}
			return
		}
		if !step.settles || time.Since(begun) > settleMax {
			t.Fatalf("exit codes %d on Kafka, %d on Pinion; differences:\n%s\nPinion, whole:\n%s%s", kafka.Exit, pinion.Exit, strings.Join(rest, "\n"), pinion.Out, pinion.Err)
		}
	}
}

func (s *script) run(t *testing.T, step step, where side) Outcome {
	t.Helper()
	s.folders++
	files := filepath.Join(s.scratch, fmt.Sprintf("files-%d", s.folders))
	if err := os.Mkdir(files, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range step.with {
		text = strings.ReplaceAll(text, "{dir}", where.dir)
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	class, args, err := step.args(where.addr, files)
	if err != nil {
		t.Fatal(err)
	}
	do := s.driver.Run
	if step.alone {
		do = s.driver.RunAlone
	}
	o, err := do(class, args, step.input)
	if err != nil {
		t.Fatal(err)
	}
	o.Out = strings.ReplaceAll(o.Out, files, "FILES")
	o.Err = strings.ReplaceAll(o.Err, files, "FILES")
	return o
}

// compare is what differs for no reason that is known, and how many differences were intended.
func (s *script) compare(step step, kafka, pinion Outcome) (rest []string, meant int) {
	before := slices.Clone(s.met)
	keys := s.sides[1].keys
	rest = differing(step.lines(kafka.Out+kafka.Err, s.sides[0], keys, s.met), step.lines(pinion.Out+pinion.Err, s.sides[1], keys, s.met))
	for i, n := range s.met {
		meant += n - before[i]
	}
	return rest, meant
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newClient(t *testing.T, s side, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// orderTime is the timestamp of the first record of orders, of which there is one a minute: 2025-06-15T15:06:40Z.
const orderTime = 1_750_000_000_000

// prepare makes the topics of the script and what the groups without members have committed.
func prepare(t *testing.T, s side) {
	t.Helper()
	ctx := testContext(t)
	cl := newClient(t, s, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	admin := kadm.NewClient(cl)
	for name, partitions := range map[string]int32{"orders": 3, "trim": 1, "small": 1, "typed": 1, "verified": 1, "perf": 1, "gone": 1} {
		if _, err := admin.CreateTopic(ctx, partitions, 1, map[string]*string{"retention.ms": kadm.StringPtr("-1")}, name); err != nil {
			t.Fatalf("%s: create %s: %v", s.name, name, err)
		}
	}
	var records []*kgo.Record
	add := func(topic string, count int, partitions int32) {
		for i := range count {
			records = append(records, &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Value: fmt.Appendf(nil, "%s %d", topic, i),
				Timestamp: time.UnixMilli(orderTime + int64(i)*60_000)})
		}
	}
	add("orders", 30, 3)
	add("trim", 10, 1)
	add("small", 20, 1)
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	var orders, gone kadm.Offsets
	for p := range int32(3) {
		orders.AddOffset("orders", p, int64(p)+4, -1)
	}
	gone.AddOffset("gone", 0, 0, -1)
	for group, offsets := range map[string]kadm.Offsets{"resting": orders, "live": orders, "lost": gone} {
		if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
			t.Fatalf("%s: commit: %v", s.name, err)
		}
	}
}

// join makes two members of the group live, one of them static, who share the partitions; leave ends them.
func join(t *testing.T, s side) (leave func()) {
	t.Helper()
	ctx := testContext(t)
	shared := make(chan struct{}, 64) // assignments are few
	var members []*kgo.Client
	var polls sync.WaitGroup
	for _, opts := range [][]kgo.Opt{{kgo.ClientID("first")}, {kgo.ClientID("second"), kgo.InstanceID("fixed")}} {
		cl := newClient(t, s, append(opts, kgo.ConsumerGroup("live"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(), kgo.Balancers(kgo.RangeBalancer()),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
				if n := len(parts["orders"]); n > 0 && n < 3 {
					shared <- struct{}{}
				}
			}))...)
		members = append(members, cl)
		polls.Go(func() {
			for !cl.PollFetches(context.Background()).IsClientClosed() {
			}
		})
	}
	for range 2 {
		select {
		case <-shared:
		case <-ctx.Done():
			t.Fatalf("%s: two members do not share the partitions", s.name)
		}
	}
	return func() {
		for _, cl := range members {
			if err := cl.LeaveGroupContext(ctx); err != nil {
				t.Errorf("%s: leave: %v", s.name, err)
			}
			cl.Close()
		}
		polls.Wait()
	}
}
