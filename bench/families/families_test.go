package families

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
	"pinion/bench/shelf"
)

// long makes the tests send more, and read with every client instead of with two.
var long = os.Getenv("CLIENTS_LONG") == "1"

// cores makes the broker show its shards as brokers. A short test of that is always part of the others, see TestFamiliesMeetCores.
var cores = os.Getenv("CLIENTS_ADVERTISE") == "core"

// family is one client library.
type family struct {
	name   string
	kit    *Kit
	client string // which client of its agent; empty where the agent has one
	codecs []string
	ways   []way
	reads  bool
	longs  bool // runs in the long form only

	// What the library cannot carry; records for it are made without.
	headersGrouped bool // headers of one name stand together
	noNullHeader   bool
	noEmptiness    bool // a record needs a key or a value
	// zeroBatch, if not 0, is how many records sent with acks=0 keep their order: kafka-go may send each batch of them by a connection of
	// its own, as it takes a written request for answered before its connection is free again.
	zeroBatch int
	// What it shows differently from what is in the record.
	emptyNull bool // what is empty reads as null

	// missesTopics is a client that does not always see a topic that its pattern matches: kafka-python 3.0.12 missed one in ten runs.
	missesTopics bool
	groupsOnly   bool // the tests of everything else use it themselves
	ownAssignor  bool // its members assign partitions in a way no other client knows
	// cannotLead is what it says when it is made the leader of members whose subscriptions it cannot read, which happens to it on any broker;
	// empty: it can.
	cannotLead string

	lateEnd         bool // finds the end, instead of nothing, where no record is late enough
	neverDry        bool // waits for the topic it only wanted to have validated
	describeCreates bool // asks for metadata with leave to create the topic
	// Administration it has no call for.
	onlySets, onlyReplaces, neverTrims bool
	// Part of its error where the broker does not know a request, if it sends the request all the same.
	unaskedText string
}

// way is a way to send.
type way struct {
	name, acks string
	idempotent bool
}

var (
	allCodecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}
	plainWays = []way{{"acks=all", "all", false}, {"acks=1", "1", false}, {"acks=0", "0", false}}
	allWays   = append([]way{{"idempotent", "all", true}}, plainWays...)
)

var roster = []*family{
	{name: "confluent-kafka", kit: Python, client: "confluent", codecs: allCodecs, ways: allWays, reads: true},
	{name: "aiokafka", kit: Python, client: "aiokafka", codecs: allCodecs, ways: allWays, reads: true, noEmptiness: true,
		onlyReplaces: true, describeCreates: true},
	{name: "kafka-python", kit: Python, client: "kafka-python", codecs: allCodecs, ways: allWays, reads: true, noEmptiness: true, noNullHeader: true,
		onlySets: true, missesTopics: true},
	{name: "kafkajs", kit: Node, codecs: []string{"none", "gzip", "snappy"}, ways: allWays, headersGrouped: true, noNullHeader: true,
		lateEnd: true, onlyReplaces: true, ownAssignor: true},
	{name: "sarama", kit: Golang, client: "sarama", codecs: allCodecs, ways: allWays, reads: true},
	{name: "sarama-2.1", kit: Golang, client: "sarama-2.1", codecs: allCodecs, ways: allWays, reads: true, longs: true,
		onlyReplaces: true},
	{name: "kafka-go", kit: Golang, client: "kafka-go", codecs: allCodecs, ways: plainWays, reads: true, emptyNull: true, neverTrims: true, neverDry: true, zeroBatch: 30,
		unaskedText: "connection closed", cannotLead: "unable to read metadata for member"},
	{name: "franz-go", kit: Golang, client: "franz-go", groupsOnly: true},
	{name: "java", kit: Java, codecs: allCodecs, ways: allWays, reads: true, onlySets: true},
}

// broker is shared by all tests of this package: what clients do to each other's broker is part of the test.
var broker *harness.Broker

// brokerShards is how many shards the broker has, and how many brokers where those are brokers.
const brokerShards = 2

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	scratch, err := os.MkdirTemp("", "pinion-families-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	work.scratch = scratch
	broker, err = harness.Start(harness.Config{Dir: filepath.Join(scratch, "log"), Shards: brokerShards, Cores: cores,
		Set: []string{"group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=1000"}}) // a group begins with its first member, and soon misses one
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	dismiss()
	exit, err := broker.Stop()
	if err != nil || exit != 0 {
		fmt.Fprintf(os.Stderr, "the broker ended with %d, %v\n%s\n", exit, err, broker.Log())
		code = 1
	} else if code != 0 {
		log := broker.Log()
		fmt.Fprintf(os.Stderr, "the broker said last:\n%s\n", log[max(0, len(log)-8<<10):])
	}
	fmt.Printf("families: %d records sent, %d read back by another client, %d places to start at, %d taken in groups, %d members killed, %d steps of administration, %d refusals understood\n",
		tally.sent.Load(), tally.read.Load(), tally.places.Load(), tally.taken.Load(), tally.kills.Load(), tally.steps.Load(), tally.refusals.Load())
	return code
}

// tally counts what the tests did; parts that were left out are skipped subtests.
var tally struct{ sent, read, places, taken, kills, steps, refusals atomic.Int64 }

// work is what tests share.
var work = struct {
	scratch string
	files   int
	kits    map[*Kit]*prepared
	agents  map[*family]*started
}{kits: map[*Kit]*prepared{}, agents: map[*family]*started{}}

// dismiss ends all agents.
func dismiss() {
	for _, a := range work.agents {
		if a.agent != nil {
			a.agent.Close()
		}
	}
	work.agents = map[*family]*started{}
}

type prepared struct {
	args, env []string
	err       error
}

type started struct {
	agent *Agent
	err   error
}

// agentOf starts a family's agent at the first call. A family whose packages cannot be had gives a *shelf.Missing.
func agentOf(f *family) (*Agent, error) {
	if a := work.agents[f]; a != nil {
		return a.agent, a.err
	}
	kit := work.kits[f.kit]
	if kit == nil {
		kit = &prepared{}
		out := filepath.Join(work.scratch, f.kit.Name)
		if kit.err = os.Mkdir(out, 0o755); kit.err == nil {
			kit.args, kit.env, kit.err = f.kit.Prepare(out)
		}
		work.kits[f.kit] = kit
	}
	a := &started{err: kit.err}
	if a.err == nil {
		args := slices.Clone(kit.args)
		if f.client != "" {
			args = append(args, f.client)
		}
		a.agent, a.err = Launch(append(args, broker.Addr), kit.env)
	}
	work.agents[f] = a
	return a.agent, a.err
}

// eachFamily runs a test for every client, and skips one whose packages cannot be had.
func eachFamily(t *testing.T, test func(t *testing.T, f *family)) {
	for _, f := range roster {
		if f.longs && !long || f.groupsOnly {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			_, err := agentOf(f)
			var missing *shelf.Missing
			if errors.As(err, &missing) {
				t.Skip(missing.Why)
			}
			if err != nil {
				t.Fatal(err)
			}
			test(t, f)
		})
	}
}

// slow is what a command of these tests takes on a busy machine; longer ones are shown.
const slow = 2 * time.Second

// do runs a command and wants it done.
func (f *family) do(t *testing.T, c Command) *Answer {
	t.Helper()
	answer, err := f.try(t, c)
	if err != nil {
		t.Fatalf("%s: %s %s: %v", f.name, c.Op, c.Topic, err)
	}
	return answer
}

// try runs a command; the error is what the client said of it.
func (f *family) try(t *testing.T, c Command) (*Answer, *Refused) {
	t.Helper()
	a, err := agentOf(f)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	answer, err := a.Do(c)
	if took := time.Since(begun); took > slow {
		t.Logf("%s: %s %s %s%s took %v", f.name, c.Op, c.Topic, c.Acks, c.Start, took.Round(time.Millisecond))
	}
	var refused *Refused
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("%s: %s: %v", f.name, c.Op, err)
	}
	return answer, refused
}

// readers are the families that read partitions and whose packages are there, but for one.
func readers(except *family) []*family {
	var list []*family
	for _, f := range roster {
		if !f.reads || f == except || f.longs && !long {
			continue
		}
		if _, err := agentOf(f); err == nil {
			list = append(list, f)
		}
	}
	return list
}

// file names a file that no other command uses.
func file() string {
	work.files++
	return filepath.Join(work.scratch, "records-"+strconv.Itoa(work.files))
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newClient(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(broker.Addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(t *testing.T, name string, partitions int32, configs map[string]*string) {
	t.Helper()
	if _, err := kadm.NewClient(newClient(t)).CreateTopic(testContext(t), partitions, 1, configs, name); err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
}

// waitEnds waits until a topic holds so many records in all: acks=0 is over for the producer before the broker has everything.
func waitEnds(t *testing.T, topic string, want int64) {
	t.Helper()
	admin := kadm.NewClient(newClient(t))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		list, err := admin.ListEndOffsets(testContext(t), topic)
		if err == nil {
			err = list.Error()
		}
		if err != nil {
			t.Fatalf("end offsets of %s: %v", topic, err)
		}
		total := int64(0)
		list.Each(func(o kadm.ListedOffset) { total += o.Offset })
		switch {
		case total == want:
			return
		case total > want || time.Now().After(deadline):
			t.Fatalf("%s holds %d records, want %d", topic, total, want)
		}
	}
}

// knows reports whether the broker advertises a request.
func knows(key kmsg.Key) bool {
	keys, err := advertised()
	return err == nil && slices.Contains(keys, key)
}

var advertised = sync.OnceValues(func() ([]kmsg.Key, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	var keys []kmsg.Key
	for _, k := range resp.ApiKeys {
		keys = append(keys, kmsg.Key(k.ApiKey))
	}
	return keys, nil
})

func ptr(s string) *string { return &s }
