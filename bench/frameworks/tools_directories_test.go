package frameworks

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
	"pinion/bench/versus"
)

// moveTo is a plan that places the partition of a topic in one of the two directories.
func moveTo(dir string) string {
	return `{"version": 1, "partitions": [{"topic": "moved", "partition": 0, "replicas": [1], "log_dirs": ["{dir}/` + dir + `"]}]}`
}

// Partitions are moved between log directories by Kafka's own tool, on both alike: begun, seen to have arrived, moved back, and refused where there is no such
// directory.
func TestToolsMoveBetweenLogDirectories(t *testing.T) {
	if !long {
		t.Skip("it takes minutes; `make frameworks` runs it")
	}
	driver := startDriver(t)
	sides := []side{kafkaOnTwo(t), pinionOnTwo(t)}
	s := &script{driver: driver, sides: sides, scratch: t.TempDir(), met: make([]int, len(intended)), tools: map[string]int{}}
	for _, side := range sides {
		cl := newClient(t, side)
		if _, err := kadm.NewClient(cl).CreateTopic(testContext(t), 1, 1, nil, "moved"); err != nil {
			t.Fatalf("%s: %v", side.name, err)
		}
		for range 20 {
			if err := cl.ProduceSync(testContext(t), &kgo.Record{Topic: "moved", Value: []byte("goes along")}).FirstErr(); err != nil {
				t.Fatalf("%s: %v", side.name, err)
			}
		}
	}
	for _, dir := range []string{"one", "two", "one"} {
		with := map[string]string{"plan.json": moveTo(dir)}
		s.play(t, []step{{says: "kafka-reassign-partitions --execute --reassignment-json-file {files}/plan.json", with: with, settles: lookedAt}})
		for _, side := range sides {
			awaitIn(t, side, filepath.Join(side.dir, dir))
		}
		s.play(t, []step{{says: "kafka-reassign-partitions --verify --reassignment-json-file {files}/plan.json", with: with, settles: lookedAt}})
	}
	s.play(t, []step{
		{says: "kafka-reassign-partitions --verify --reassignment-json-file {files}/plan.json", with: map[string]string{"plan.json": moveTo("two")}, settles: lookedAt},
		{says: "kafka-reassign-partitions --verify --reassignment-json-file {files}/plan.json", with: map[string]string{"plan.json": moveTo("three")}, settles: lookedAt},
	})
	if o := s.run(t, step{says: "kafka-log-dirs --describe --topic-list moved"}, sides[1]); o.Exit != 0 {
		t.Errorf("kafka-log-dirs ends with %d:\n%s%s", o.Exit, o.Out, o.Err)
	}
	t.Logf("tools: %d commands say the same on both, %d with intended differences", s.same, s.intended)
}

// awaitIn waits until the partition lies in a directory and is on its way nowhere.
func awaitIn(t *testing.T, s side, dir string) {
	t.Helper()
	admin := kadm.NewClient(newClient(t, s))
	for end := time.Now().Add(settleMax); ; time.Sleep(20 * time.Millisecond) { // nobody tells when a move is over
		all, err := admin.DescribeAllLogDirs(testContext(t), nil)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		in := 0
		all.Each(func(d kadm.DescribedLogDir) {
			if p, there := d.Topics["moved"][0]; there && (d.Dir != dir || p.IsFuture) {
				in = -9
			} else if there {
				in++
			}
		})
		if in == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: the partition is not in %s: %+v", s.name, dir, all)
		}
	}
}

func kafkaOnTwo(t *testing.T) side {
	t.Helper()
	dir := t.TempDir()
	kafka := startKafkaWith(t, "log.dirs="+twoIn(dir))
	kafka.dir = dir
	return kafka
}

func pinionOnTwo(t *testing.T) side {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b := harness.Run(t, harness.Config{Dir: twoIn(dir), Shards: 2, Set: append([]string{"node.id=1"}, versus.Settings...)})
	return side{name: "Pinion", addr: b.Addr, dir: dir}
}

func twoIn(dir string) string { return filepath.Join(dir, "one") + "," + filepath.Join(dir, "two") }
