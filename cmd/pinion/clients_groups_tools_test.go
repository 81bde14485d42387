package main_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pinion/bench/harness"
	"pinion/engine/coordinator"
)

// Kafka's own tools look after groups: kafka-consumer-groups lists, describes, resets and deletes; DumpLogSegments reads what the broker keeps of
// groups, as it reads what Kafka keeps.
func TestClientsKafkasToolsReadGroups(t *testing.T) {
	const records, partitions, group = 100, 2, "readers"
	classpath := kafkaTools(t)
	dir := t.TempDir()
	b := harness.Run(t, harness.Config{Dir: dir, Shards: 2, Set: []string{soon}})
	run := func(class string, args ...string) string {
		t.Helper()
		cmd := exec.Command("java", append([]string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath, class}, args...)...)
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", class, args, err, text)
		}
		return string(text)
	}
	tool := func(args ...string) string {
		t.Helper()
		return run("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", append([]string{"--bootstrap-server", b.Addr}, args...)...)
	}
	says := func(said string, words ...string) {
		t.Helper()
		text := strings.Join(strings.Fields(said), " ")
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%q is missing in:\n%s", w, said)
			}
		}
	}
	ctx := testContext(t)
	createTopic(t, b, "numbers", partitions, nil)
	produceTest(t, b, "numbers", 0, records, partitions)
	cl := groupConsumer(t, b, group, "numbers")
	if err := cl.CommitRecords(ctx, pollRecords(t, ctx, cl, records)...); err != nil {
		t.Fatal(err)
	}
	says(tool("--list", "--state"), group+" Stable")
	says(tool("--describe", "--group", group), fmt.Sprintf("%s numbers 0 %d %d 0", group, records/partitions, records/partitions))
	cl.Close()
	says(tool("--reset-offsets", "--group", group, "--topic", "numbers", "--to-offset", "7", "--execute"), group+" numbers 0 7", group+" numbers 1 7")
	says(tool("--describe", "--group", group, "--state"), "Empty 0")
	says(tool("--delete-offsets", "--group", group, "--topic", "numbers:1"), "numbers 1 Successful")
	kept := filepath.Join(dir, fmt.Sprintf("%s-%d", coordinator.Topic, coordinator.Place(group, 50)), "00000000000000000000.log")
	dump := run("org.apache.kafka.tools.DumpLogSegments", "--offsets-decoder", "--files", kept)
	says(dump, `"group":"readers","topic":"numbers","partition":0`, `"offset":7`, `"protocolType":"consumer"`, `"memberId":"`)
	if strings.Contains(dump, "Could not decode") || strings.Contains(dump, "unknown") {
		t.Errorf("not everything is understood:\n%s", dump)
	}
	says(tool("--delete", "--group", group), "Deletion of requested consumer groups ('readers') was successful.")
}
