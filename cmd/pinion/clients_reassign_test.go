package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// kafkaTools is the class path of Kafka's own tools, which disk/log has Maven fetch; or the test is skipped.
func kafkaTools(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts JVMs; not in short mode")
	}
	for _, tool := range []string{"mvn", "java"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	out := filepath.Join(t.TempDir(), "classpath")
	cmd := exec.Command("mvn", "-q", "-B", "-f", "../../disk/log/testdata/kafka-tools/pom.xml", "dependency:build-classpath", "-Dmdep.outputFile="+out)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("Kafka's tools cannot be had: mvn: %v\n%s", err, text)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// kafka-reassign-partitions moves partitions between cores, as an administrator would: execute, list, verify; what is written before and after
// stands in its order. Moves under load have tests of their own.
func TestClientsReassignPartitions(t *testing.T) {
	classpath := kafkaTools(t)
	b := harness.Run(t, harness.Config{Shards: 3, Cores: true})
	tool := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath,
			"org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--bootstrap-server", b.Addr)
		cmd.Args = append(cmd.Args, args...)
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("kafka-reassign-partitions %v: %v\n%s", args, err, text)
		}
		return string(text)
	}
	const topic, partitions, perRound, rounds = "moving", 4, 400, 1
	createTopic(t, b, topic, partitions, nil)
	produceTest(t, b, topic, 0, perRound, partitions)
	admin := kadm.NewClient(newClient(t, b))
	for round := range rounds { // a JVM takes its time; three are enough
		var parts []string
		want := map[int32]int32{}
		for p := range int32(partitions) {
			want[p] = 1000 + (p+int32(round)+1)%3
			parts = append(parts, fmt.Sprintf(`{"topic": %q, "partition": %d, "replicas": [%d]}`, topic, p, want[p]))
		}
		plan := filepath.Join(t.TempDir(), "plan.json")
		if err := os.WriteFile(plan, fmt.Appendf(nil, `{"version": 1, "partitions": [%s]}`, strings.Join(parts, ", ")), 0o600); err != nil {
			t.Fatal(err)
		}
		if said := tool("--execute", "--reassignment-json-file", plan); !strings.Contains(said, "Successfully started partition reassignments for moving-0,moving-1,moving-2,moving-3") {
			t.Fatalf("execute said:\n%s", said)
		}
		topics, err := admin.ListTopics(testContext(t), topic)
		if err != nil {
			t.Fatal(err)
		}
		for p, leader := range want {
			if got := topics[topic].Partitions[p]; got.Leader != leader || len(got.Replicas) != 1 || got.Replicas[0] != leader {
				t.Errorf("partition %d: %+v, want core %d", p, got, leader)
			}
		}
		if said := tool("--list"); !strings.Contains(said, "No partition reassignments found.") {
			t.Errorf("list said:\n%s", said)
		}
		said := tool("--verify", "--reassignment-json-file", plan)
		for p := range partitions {
			if !strings.Contains(said, fmt.Sprintf("Reassignment of partition moving-%d is completed.", p)) {
				t.Errorf("verify said:\n%s", said)
			}
		}
		produceTest(t, b, topic, (round+1)*perRound, (round+2)*perRound, partitions)
	}
	cl := newClient(t, b, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	checkTest(t, read(t, cl, evenly((1+rounds)*perRound, partitions)), topic, partitions, nil)
}
