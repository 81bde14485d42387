package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pinion/engine/broker"
	"pinion/engine/config"
	"pinion/net/front"
)

// live is a whole node inside the test, for verbs whose outcome a scripted broker could only echo.
type live struct {
	t       *testing.T
	address string
}

func startLive(t *testing.T) *live {
	t.Helper()
	cfg, _, err := config.Load(config.Input{Sets: []string{"log.dirs=" + t.TempDir(), "listeners=PLAINTEXT://127.0.0.1:0", "pinion.admin=", "pinion.shards=2"}})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	b, err := broker.Open(cfg, logger)
	if err != nil {
		t.Fatal(err)
	}
	doors, err := front.Listen(cfg, b.Shards.Len())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stopControl := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.RunControl(ctx) }()
	if err := b.Start(ctx, doors.Advertised); err != nil {
		t.Fatal(err)
	}
	if err := doors.Open(b, "", logger); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shutDown(b, doors, stopControl, ended, logger); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return &live{t: t, address: fmt.Sprintf("127.0.0.1:%d", doors.Listeners[0].Port())}
}

// run is one command line without a terminal.
func (l *live) run(stdin string, args ...string) result {
	l.t.Helper()
	var out, problems bytes.Buffer
	con := &console{in: strings.NewReader(stdin), out: &out, err: &problems, env: []string{"PINION_BROKERS=" + l.address}}
	ctx, cancel := context.WithTimeout(l.t.Context(), 60*time.Second)
	defer cancel()
	code := run(ctx, con, args)
	return result{code, out.String(), problems.String()}
}

// table is a text table with single spaces.
func (r result) table() string {
	var lines []string
	for line := range strings.Lines(r.out) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func (l *live) want(code int, table string, args ...string) {
	l.t.Helper()
	if r := l.run("", args...); r.code != code || r.table() != table {
		l.t.Fatalf("%q: code %d, want %d\nout:\n%s\nwant:\n%s\nerr: %s", args, r.code, code, r.table(), table, r.err)
	}
}

func TestAlterConfig(t *testing.T) {
	l := startLive(t)
	l.run("", "topic", "create", "orders", "bills")
	l.want(exitOK, "TOPIC KEY VALUE SOURCE STATUS\n"+
		"bills retention.ms 604800000 DEFAULT_CONFIG would be changed\n"+
		"orders retention.ms 604800000 DEFAULT_CONFIG would be changed", "topic", "alter-config", "-r", ".*", "-s", "retention.ms=7d", "--dry-run")
	l.want(exitOK, "TOPIC KEY VALUE SOURCE STATUS\n"+
		"orders segment.bytes 67108864 DYNAMIC_TOPIC_CONFIG OK\n"+
		"orders cleanup.policy delete,compact DYNAMIC_TOPIC_CONFIG OK\n"+
		"orders retention.ms 604800000 DEFAULT_CONFIG OK",
		"topic", "alter-config", "orders", "-s", "segment.bytes=64MiB", "--append", "cleanup.policy=compact", "-d", "retention.ms")
	l.want(exitOK, "TOPIC KEY VALUE SOURCE STATUS\norders cleanup.policy compact DYNAMIC_TOPIC_CONFIG OK", "topic", "alter-config", "orders", "--subtract", "cleanup.policy=delete")
	l.want(exitFailed, "TOPIC KEY VALUE SOURCE STATUS\norders - - - INVALID_CONFIG: Unknown topic config name: bogus", "topic", "alter-config", "orders", "-s", "bogus=1")
	if r := l.run("", "topic", "describe", "orders", "-c"); !strings.Contains(r.table(), "\nsegment.bytes 67108864 DYNAMIC_TOPIC_CONFIG\n") {
		t.Fatalf("got\n%s", r.out)
	}
	for args, want := range map[string]string{"": "nothing to change", "-s x": "-s x: want KEY=VALUE", "-d a=b": "-d a=b: want KEY"} {
		if r := l.run("", append([]string{"topic", "alter-config", "orders"}, strings.Fields(args)...)...); r.code != exitUsage || !strings.Contains(r.err, want) {
			t.Errorf("%q: code %d, %s", args, r.code, r.err)
		}
	}
}

func TestAddPartitions(t *testing.T) {
	l := startLive(t)
	l.run("", "topic", "create", "orders", "-p", "2")
	l.run("", "topic", "create", "bills", "-p", "5")
	l.want(exitOK, "TOPIC BEFORE AFTER STATUS\norders 2 5 would be added", "topic", "add-partitions", "orders", "-n", "3", "--dry-run")
	l.want(exitOK, "TOPIC BEFORE AFTER STATUS\norders 2 4 OK", "topic", "add-partitions", "orders", "-n", "2")
	l.want(exitPartial, "TOPIC BEFORE AFTER STATUS\nbills 5 5 INVALID_PARTITIONS: Topic already has 5 partition(s).\norders 4 5 OK", "topic", "add-partitions", "-r", ".*", "--to", "5")
	if r := l.run("", "topic", "add-partitions", "orders"); r.code != exitUsage {
		t.Errorf("code %d, %s", r.code, r.err)
	}
}

func TestTrim(t *testing.T) {
	l := startLive(t)
	l.run("", "topic", "create", "orders", "-p", "2")
	for _, p := range []string{"0", "1"} {
		if r := l.run("a\nb\nc\nd\ne\n", "topic", "produce", "orders", "-p", p); r.code != exitOK {
			t.Fatal(r.err)
		}
	}
	l.want(exitOK, "TOPIC PARTITION OLD-START START STATUS\norders 0 0 3 would be trimmed\norders 1 0 3 would be trimmed", "topic", "trim", "orders", "--before", "-2", "--dry-run")
	if r := l.run("", "topic", "trim", "orders", "--before", "end"); r.code != exitUsage || !strings.Contains(r.err, "will not delete 10 records of 2 partitions without being asked to; add --yes") {
		t.Fatalf("code %d, %s", r.code, r.err)
	}
	l.want(exitOK, "TOPIC PARTITION OLD-START START STATUS\norders 1 0 3 OK", "topic", "trim", "orders", "-p", "1", "--before", "3", "-y")
	l.want(exitOK, "TOPIC PARTITION OLD-START START STATUS\norders 0 0 1 OK\norders 1 3 4 OK", "topic", "trim", "orders", "--before", "+1", "-y")
}

func TestDescribeShowsOffsetsAndSizes(t *testing.T) {
	l := startLive(t)
	l.run("", "topic", "create", "orders", "-p", "2", "-c", "retention.ms=1h")
	l.run("a\nb\nc\n", "topic", "produce", "orders", "-p", "1")
	l.run("", "topic", "trim", "orders", "-p", "1", "--before", "2", "-y")
	r := l.run("", "topic", "describe", "orders", "-p")
	if !strings.HasPrefix(r.table(), "PARTITION LEADER EPOCH REPLICAS ISR LOG-START-OFFSET HIGH-WATERMARK SIZE\n0 ") || !strings.Contains(r.table(), " [1] [1] 2 3 ") {
		t.Fatalf("code %d, got\n%s%s", r.code, r.out, r.err)
	}
	var list []describedTopic
	if err := json.Unmarshal([]byte(l.run("", "topic", "describe", "orders", "-o", "json").out), &list); err != nil || len(list) != 1 {
		t.Fatal(err)
	}
	if p := list[0].Partitions; len(p) != 2 || p[0].Size != 0 || p[1].Size < 60 || p[1].Start != 2 || p[1].End != 3 {
		t.Errorf("%+v", p)
	}
	found := false
	for _, c := range list[0].Configs {
		found = found || c.Key == "retention.ms" && *c.Value == "3600000" && c.Source == "DYNAMIC_TOPIC_CONFIG"
	}
	if !found {
		t.Errorf("%+v", list[0].Configs)
	}
}

func TestHumanBytes(t *testing.T) {
	for n, want := range map[int64]string{-1: "", 0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 5 << 40: "5.0 TiB", 1 << 62: "4096.0 PiB"} {
		if got := humanBytes(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}
