package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A group's offsets are moved, shown, moved back by a plan and deleted; who mistypes it is told.
func TestGroupVerbs(t *testing.T) {
	l := startLive(t)
	l.run("", "topic", "create", "orders", "-p", "2").want(t, 0, "*")
	l.run("", "group", "list").want(t, 0, "GROUP  STATE  PROTOCOL-TYPE  COORDINATOR\n")
	for range 3 {
		l.run("x\n", "topic", "produce", "orders", "-p", "0").want(t, 0, "*")
	}
	l.run("", "group", "seek", "billing", "--to", "end").want(t, 1, "")
	l.run("", "group", "seek", "billing", "--topics", "orders", "--to", "end").want(t, exitUsage, "") // nobody to ask
	l.run("", "group", "seek", "billing", "--topics", "orders", "--to", "end", "--yes").want(t, 0,
		"TOPIC   PARTITION  OLD  NEW  DELTA  STATUS\norders  0          -    3    -      OK\norders  1          -    0    -      OK\n")
	for _, to := range []string{"2", "+2"} { // no partition is sent behind its end
		l.run("", "group", "seek", "billing", "--to", to, "--dry-run").want(t, 0,
			"TOPIC   PARTITION  OLD  NEW  DELTA  STATUS\norders  0          3    2    -1     would be moved\norders  1          0    0    +0     would be moved\n")
	}
	plan := filepath.Join(t.TempDir(), "plan.csv")
	l.run("", "group", "seek", "billing", "--to", "start", "-p", "0", "--dry-run", "--export", plan).want(t, 0,
		"TOPIC   PARTITION  OLD  NEW  DELTA  STATUS\norders  0          3    0    -3     would be moved\n")
	if text, err := os.ReadFile(plan); err != nil || string(text) != "orders,0,0\n" {
		t.Fatalf("plan %q, %v", text, err)
	}
	l.run("", "group", "list").want(t, 0, "GROUP    STATE  PROTOCOL-TYPE  COORDINATOR\nbilling  Empty  -              1\n")
	l.run("", "group", "seek", "billing", "--from", plan, "--yes").want(t, 0, "*")
	out := l.run("", "group", "describe", "billing", "-o", "json").want(t, 0, "*").out
	var groups []describedGroup
	if err := json.Unmarshal([]byte(out), &groups); err != nil || len(groups) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	if g := groups[0]; g.State != "Empty" || g.Lag != 3 || len(g.Partitions) != 2 || g.Partitions[0] != (groupReading{Topic: "orders", Committed: 0, End: 3, Lag: 3}) {
		t.Errorf("described as %+v", g)
	}
	l.run("", "group", "describe", "billing", "-c").want(t, 0,
		"TOPIC   PARTITION  COMMITTED  END  LAG  MEMBER  ERROR\norders  0          0          3    3    -       -\norders  1          0          0    0    -       -\n")
	if r := l.run("", "group", "describe", "biling").want(t, 1, ""); !strings.Contains(r.err, "did you mean: billing") {
		t.Errorf("said %q", r.err)
	}
	l.run("", "group", "lag").want(t, 0,
		"GROUP    STATE  MEMBERS  TOPIC   PARTITIONS  LAG  MOST  ERROR\nbilling  Empty  0        orders  2           3    3     -\n")
	l.run("", "group", "lag", "billing", "--behind", "-o", "json").want(t, 0, "*")
	if r := l.run("", "group", "lag", "biling").want(t, 1, ""); !strings.Contains(r.err, "did you mean: billing") {
		t.Errorf("said %q", r.err)
	}
	l.run("", "group", "delete-offsets", "billing").want(t, exitUsage, "")
	l.run("", "group", "delete-offsets", "billing", "--topics", "odrers", "--yes").want(t, 1, "")
	l.run("", "group", "delete-offsets", "billing", "--topics", "orders").want(t, exitUsage, "") // nobody to ask
	l.run("", "group", "delete-offsets", "billing", "--topics", "orders", "-p", "1", "--dry-run").want(t, 0,
		"TOPIC   PARTITION  COMMITTED  STATUS\norders  1          0          would be forgotten\n")
	l.run("", "group", "delete-offsets", "billing", "--topics", "orders", "-p", "1", "--yes").want(t, 0,
		"TOPIC   PARTITION  COMMITTED  STATUS\norders  1          0          OK\n")
	l.run("", "group", "lag", "--behind").want(t, 0,
		"GROUP    STATE  MEMBERS  TOPIC   PARTITIONS  LAG  MOST  ERROR\nbilling  Empty  0        orders  2           3    3     -\n")
	l.run("", "group", "delete", "billing", "--dry-run").want(t, 0, "GROUP    STATUS\nbilling  would be deleted\n")
	l.run("", "group", "delete", "billing", "--yes").want(t, 0, "GROUP    STATUS\nbilling  OK\n")
	l.run("", "group", "list", "--state", "Empty", "-o", "json").want(t, 0, "[]\n")
}

// A group with members is not moved under their feet, nor deleted, and its members are named.
func TestGroupWithMembersIsLeftAlone(t *testing.T) {
	l := startLive(t)
	l.run("", "topic", "create", "orders").want(t, 0, "*")
	l.run("x\n", "topic", "produce", "orders").want(t, 0, "*")
	member, err := kgo.NewClient(kgo.SeedBrokers(l.address), kgo.ClientID("till"), kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	if fetches := member.PollFetches(t.Context()); fetches.Err() != nil || fetches.NumRecords() != 1 {
		t.Fatalf("%d records, %v", fetches.NumRecords(), fetches.Err())
	}
	if r := l.run("", "group", "seek", "billing", "--to", "start", "--yes").want(t, 1, ""); !strings.Contains(r.err, "client till at /127.0.0.1") {
		t.Errorf("said %q", r.err)
	}
	l.run("", "group", "delete", "billing", "--yes").want(t, 1, "*")
	if r := l.run("", "group", "lag", "billing").want(t, 0, "*"); !strings.Contains(r.out, "Stable") || !strings.Contains(r.out, "orders") {
		t.Errorf("the lag is %s", r.out)
	}
	if err := member.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := l.run("", "group", "delete-offsets", "billing", "-t", "orders", "--yes").want(t, 1, "*"); !strings.Contains(r.out, "subscribed") {
		t.Errorf("said %s", r.out)
	}
	if r := l.run("", "group", "describe", "billing", "-s").want(t, 0, "*"); !strings.Contains(r.out, "till") || !strings.Contains(r.out, "Stable") {
		t.Errorf("described as %s", r.out)
	}
}
