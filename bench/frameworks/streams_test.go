package frameworks

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	streamsMax        = 2 * time.Minute // for what takes seconds alone on two cores
	streamsPartitions = 3
	textsWritten      = 400 // in a phase
	ordersWritten     = 60  // in a phase
)

var vocabulary = strings.Fields("shard turn mail lease span park journal catalogue owner thread mark wake")

// A Streams application counts words by way of a repartition topic and a store, and joins two topics in windows. It is stopped, its folder is
// removed, and it goes on with what its changelog topics hold; then it is killed, and loses nothing.
func TestStreamsCountsAndJoins(t *testing.T) {
	if !long {
		t.Skip("it takes a minute; `make frameworks` runs it")
	}
	jars := wantJars(t)
	classpath, err := Compile(t.Context(), jars, t.TempDir(), "Words.java")
	skipMissing(t, err)
	s := &streams{t: t, where: startPinion(t), classpath: classpath, state: filepath.Join(t.TempDir(), "state"), counts: map[string]int{}, joined: map[string]bool{}}
	s.admin = kadm.NewClient(newClient(t, s.where))
	for _, topic := range []string{"texts", "orders", "payments", "counted", "joined"} {
		if _, err := s.admin.CreateTopic(testContext(t), streamsPartitions, 1, map[string]*string{"retention.ms": kadm.StringPtr("-1")}, topic); err != nil {
			t.Fatal(err)
		}
	}
	s.write()
	app := s.start()
	s.want("at first", true)
	s.purged()
	s.internal()
	s.end(app)
	if err := os.RemoveAll(s.state); err != nil {
		t.Fatal(err)
	}
	s.write() // half of its payments are for orders of before
	app = s.start()
	s.want("with its folder removed", true)
	if err := app.Stop(os.Kill); err != nil {
		t.Fatal(err)
	}
	s.write()
	app = s.start()
	s.want("after a kill", false)
	s.end(app)
	s.reset()
	t.Logf("streams: %d texts of %d words counted and %d orders joined, through a restart without its folder and a kill", s.phases*textsWritten, len(s.counts), len(s.joined))
}

// streams is a test of a Streams application: what it was given, and what has to come of it.
type streams struct {
	t                *testing.T
	where            side
	admin            *kadm.Client
	classpath, state string
	phases           int
	counts           map[string]int
	joined           map[string]bool
}

// write gives the application another phase of texts, orders and payments. Every third payment comes too late for its order; the orders of the second
// half of a phase are paid in the next.
func (s *streams) write() {
	s.t.Helper()
	var records []*kgo.Record
	add := func(topic, key, value string, at int) {
		records = append(records, &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value), Timestamp: time.UnixMilli(orderTime + int64(at)*1000)})
	}
	for i := range textsWritten {
		at := s.phases*textsWritten + i
		words := []string{vocabulary[at%len(vocabulary)], vocabulary[at/3%len(vocabulary)], vocabulary[at*at%len(vocabulary)]}
		for _, w := range words {
			s.counts[w]++
		}
		add("texts", strconv.Itoa(at), strings.Join(words, " "), at)
	}
	pay := func(order int) {
		late := 5
		if order%3 == 0 {
			late = 15
		} else {
			s.joined[fmt.Sprintf("order %d+payment %d", order, order)] = true
		}
		add("payments", strconv.Itoa(order), fmt.Sprintf("payment %d", order), order+late)
	}
	first := s.phases * ordersWritten
	for i := range ordersWritten {
		add("orders", strconv.Itoa(first+i), fmt.Sprintf("order %d", first+i), first+i)
		switch {
		case i < ordersWritten/2:
			pay(first + i)
		case s.phases > 0:
			pay(first + i - ordersWritten)
		}
	}
	s.phases++
	if err := newClient(s.t, s.where).ProduceSync(testContext(s.t), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// start starts the application and waits until it runs.
func (s *streams) start() *Process {
	s.t.Helper()
	p, err := Java(s.classpath, []string{warnings}, "Words", s.where.addr, s.state)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { stop(s.t, p) })
	limit := time.After(streamsMax)
	for {
		select {
		case said, open := <-p.lines:
			if said == "RUNNING" {
				return p
			}
			if !open || said == "ERROR" {
				s.t.Fatalf("the application ended:\n%s", p.Said())
			}
		case <-limit:
			s.t.Fatalf("the application does not run after %v:\n%s", streamsMax, p.Said())
		}
	}
}

// end has the application end in order.
func (s *streams) end(p *Process) {
	s.t.Helper()
	if err := p.in.Close(); err != nil {
		s.t.Fatal(err)
	}
	for limit := time.After(streamsMax); ; {
		select {
		case _, open := <-p.lines:
			if !open {
				<-p.ended
				return
			}
		case <-limit:
			s.t.Fatalf("the application did not end in %v", streamsMax)
		}
	}
}

// want waits until the topics of results hold what has to come of everything written. Where it has to be exact a count beyond that is an error;
// after a kill words may count twice and none may be missing.
func (s *streams) want(when string, exact bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), streamsMax)
	defer cancel()
	reader := newClient(s.t, s.where, kgo.ConsumeTopics("counted", "joined"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	counted, joined := map[string]int{}, map[string]int{}
	for !s.reached(counted, joined) {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			s.t.Fatalf("%s: %v; counted %v of %v, joined %d of %d", when, err, counted, s.counts, len(joined), len(s.joined))
		}
		for _, r := range fetches.Records() {
			if r.Topic == "joined" {
				joined[string(r.Value)]++
				continue
			}
			n, err := strconv.Atoi(string(r.Value))
			if err != nil {
				s.t.Fatalf("%s: count of %s: %v", when, r.Key, err)
			}
			counted[string(r.Key)] = n
		}
	}
	for pair, n := range joined {
		if !s.joined[pair] || exact && n != 1 {
			s.t.Errorf("%s: joined %s %d times", when, pair, n)
		}
	}
	if exact && !maps.Equal(counted, s.counts) {
		s.t.Errorf("%s: counted %v, want %v", when, counted, s.counts)
	}
	for word, n := range counted { // what counts twice now is no error of later phases
		s.counts[word] = n
	}
}

// reached reports whether nothing is missing.
func (s *streams) reached(counted, joined map[string]int) bool {
	for word, n := range s.counts {
		if counted[word] < n {
			return false
		}
	}
	for pair := range s.joined {
		if joined[pair] == 0 {
			return false
		}
	}
	return true
}

// purged waits until Streams has deleted the records of its repartition topic, which it does where it has read them.
func (s *streams) purged() {
	s.t.Helper()
	const topic = "words-by-word-repartition"
	for begun := time.Now(); ; time.Sleep(lookPause) {
		starts, err := s.admin.ListStartOffsets(testContext(s.t), topic)
		if err == nil {
			err = starts.Error()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		total := int64(0)
		starts.Each(func(o kadm.ListedOffset) { total += o.Offset })
		if total == 3*textsWritten {
			return
		}
		if time.Since(begun) > streamsMax {
			s.t.Fatalf("of %d records of %s %d are deleted", 3*textsWritten, topic, total)
		}
	}
}

// internal wants the topics Streams makes for itself, as it wants them.
func (s *streams) internal() {
	s.t.Helper()
	policies := map[string]string{
		"words-by-word-repartition":             "delete",
		"words-counts-changelog":                "compact",
		"words-paid-this-join-store-changelog":  "delete",
		"words-paid-other-join-store-changelog": "delete",
	}
	configs, err := s.admin.DescribeTopicConfigs(testContext(s.t), slices.Sorted(maps.Keys(policies))...)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range configs {
		if c.Err != nil {
			s.t.Fatalf("%s: %v", c.Name, c.Err)
		}
		for _, kv := range c.Configs {
			if kv.Key == "cleanup.policy" && !strings.HasPrefix(*kv.Value, policies[c.Name]) && !strings.HasSuffix(*kv.Value, policies[c.Name]) {
				s.t.Errorf("%s has cleanup.policy %s, want %s", c.Name, *kv.Value, policies[c.Name])
			}
		}
	}
}

// reset has Kafka's own tool undo the application: its offsets go back and its topics away.
func (s *streams) reset() {
	s.t.Helper()
	o, err := Driver{classpath: s.classpath}.RunAlone("org.apache.kafka.tools.StreamsResetter",
		[]string{"--bootstrap-server", s.where.addr, "--application-id", "words", "--input-topics", "texts,orders,payments", "--force"}, "")
	if err != nil || o.Exit != 0 {
		s.t.Fatalf("kafka-streams-application-reset: %v, exit code %d\n%s%s", err, o.Exit, o.Out, o.Err)
	}
	topics, err := s.admin.ListTopics(testContext(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, "words-") {
			s.t.Errorf("topic %s is left:\n%s", name, o.Out)
		}
	}
	offsets, err := s.admin.FetchOffsets(testContext(s.t), "words")
	if err != nil {
		s.t.Fatal(err)
	}
	offsets.Each(func(at kadm.OffsetResponse) {
		if at.At > 0 {
			s.t.Errorf("the group is at %d of %s-%d", at.At, at.Topic, at.Partition)
		}
	})
	if bytes.Contains([]byte(o.Out), []byte("ERROR")) {
		s.t.Errorf("it said:\n%s", o.Out)
	}
}
