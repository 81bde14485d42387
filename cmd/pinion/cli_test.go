package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

// result is what one command line did.
type result struct {
	code     int
	out, err string
}

// pinion runs one command line against the broker, as a pipe would.
func pinion(t *testing.T, b *fakeBroker, stdin string, args ...string) result {
	t.Helper()
	var out, problems bytes.Buffer
	con := &console{in: strings.NewReader(stdin), out: &out, err: &problems}
	if b != nil {
		con.env = []string{"PINION_BROKERS=" + b.address()}
	}
	code := run(t.Context(), con, args)
	return result{code, out.String(), problems.String()}
}

func (r result) want(t *testing.T, code int, out string) result {
	t.Helper()
	if r.code != code || out != "*" && r.out != out {
		t.Fatalf("code %d, want %d\nout:\n%s\nwant:\n%s\nerr:\n%s", r.code, code, r.out, out, r.err)
	}
	return r
}

func TestJourney(t *testing.T) {
	b := newFakeBroker(t)
	pinion(t, b, "", "topic", "create", "orders", "-p", "3", "-c", "retention.ms=7d").want(t, 0, "TOPIC   PARTITIONS  REPLICAS  STATUS\norders  3           1         OK\n")
	pinion(t, b, "", "topic", "list").want(t, 0, "NAME    PARTITIONS  REPLICAS\norders  3           1\n")
	r := pinion(t, b, "one\ntwo", "topic", "produce", "orders", "-k", "alice", "-p", "1", "-H", "h=x").want(t, 0, "*")
	if lines := strings.Split(r.out, "\n"); len(lines) != 4 || strings.Join(strings.Fields(lines[0]), " ") != "TOPIC PARTITION OFFSET BYTES ACK" ||
		!strings.HasPrefix(strings.Join(strings.Fields(lines[2]), " "), "orders 1 1 8 ") {
		t.Fatalf("got %q", r.out)
	}
	pinion(t, b, "", "topic", "consume", "orders", "-e", "-f", "%p %o %k %v %h{%k=%v }\n").want(t, 0, "1 0 alice one h=x \n1 1 alice two h=x \n")
	pinion(t, b, "", "topic", "consume", "orders", "-o", "-1", "-e", "-f", "%v\n").want(t, 0, "two\n")
	pinion(t, b, "", "topic", "consume", "orders", "-n", "1", "-f", "%v\n").want(t, 0, "one\n")
	pinion(t, b, "", "topic", "consume", "orders", "-o", "0:1", "-f", "%v\n").want(t, 0, "one\n")
	pinion(t, b, "", "topic", "consume", "orders", "-o", "@-1h:end", "-p", "0,2").want(t, 0, "")
	pinion(t, b, "", "topic", "create", "copy", "-p", "2").want(t, 0, "*")
	lines := pinion(t, b, "", "topic", "consume", "orders", "-o", ":end").want(t, 0, "*").out
	pinion(t, b, lines, "topic", "produce", "copy", "--input", "jsonl", "-p", "1").want(t, 0, "*")
	pinion(t, b, "", "topic", "consume", "copy", "-e", "-f", "%k %v %h{%k=%v }\n").want(t, 0, "alice one h=x \nalice two h=x \n")
	r = pinion(t, b, "", "topic", "describe", "orders").want(t, 0, "*")
	if !strings.Contains(r.out, "PARTITION  LEADER  EPOCH  REPLICAS  ISR  LOG-START-OFFSET  HIGH-WATERMARK\n") || !strings.Contains(r.out, "1          1               [1]") &&
		!strings.Contains(strings.Join(strings.Fields(r.out), " "), "1 1 - [1] [1] 0 2") {
		t.Fatalf("got\n%s", r.out)
	}
	pinion(t, b, "", "topic", "delete", "-r", "cop.*", "--dry-run").want(t, 0, "TOPIC  STATUS\ncopy   would be deleted\n")
	pinion(t, b, "", "topic", "delete", "copy").want(t, 2, "")
	pinion(t, b, "", "topic", "delete", "copy", "-y").want(t, 0, "TOPIC  STATUS\ncopy   OK\n")
	pinion(t, b, "", "topic", "ls", "-r", "c.*|.*s", "-o", "jsonl").want(t, 0, "{\"name\":\"orders\",\"id\":\"AAAAAAAAAAAAAAAAAAAAAQ\",\"partitions\":3,\"replicas\":1,\"internal\":false}\n")
}

func TestMistakes(t *testing.T) {
	b := newFakeBroker(t)
	b.add("orders", 1)
	for _, c := range []struct {
		args string
		code int
		err  string
	}{
		{"topic consume ordrs", 1, "error: topic \"ordrs\" does not exist\n  did you mean: orders\n"},
		{"topic produce zzz", 1, "error: topic \"zzz\" does not exist\n  create it with: pinion topic create zzz\n"},
		{"topic crate x", 2, "error: unknown command \"crate\" for \"pinion topic\"\n  did you mean: create\n"},
		{"tpic", 2, "error: unknown command \"tpic\" for \"pinion\"\n  did you mean: topic\n"},
		{"topic create", 2, "error: pinion topic create: the topic's name is missing (see pinion topic create --help)\n"},
		{"topic list --bogus", 2, "error: unknown flag: --bogus (see pinion topic list --help)\n"},
		{"topic list -o yaml", 2, "error: --output yaml: want text, json or jsonl\n"},
		{"topic consume orders -o soon", 2, "error: offset \"soon\": want start, end, n, +n, -n, a range n:m, or @time (see pinion topic consume --help)\n"},
		{"topic consume orders -p 4", 2, "error: topic \"orders\" has no partition 4; it has 1, counted from 0\n"},
		{"topic consume orders -f json --output jsonl", 2, "error: --format and --output are the same setting; give one\n"},
		{"topic produce orders --acks 2", 2, "error: --acks 2: want all, leader or none\n"},
		{"topic produce orders -z brotli", 2, "error: --compression brotli: want none, gzip, snappy, lz4 or zstd\n"},
		{"topic create x -c nonsense", 2, "error: -c nonsense: want KEY=VALUE\n"},
		{"topic delete orders", 2, "error: will not delete orders and all records without being asked to; add --yes\n"},
		{"topic list -r (", 2, "error: error parsing regexp: missing closing ): `(`\n"},
		{"version extra", 2, "error: pinion version: \"extra\" is one argument too many\n"},
	} {
		r := pinion(t, b, "", strings.Fields(c.args)...)
		if r.code != c.code || r.err != c.err || r.out != "" {
			t.Errorf("%s: code %d, want %d\nout %q\nerr %q\nwant %q", c.args, r.code, c.code, r.out, r.err, c.err)
		}
	}
}

func TestPartialFailure(t *testing.T) {
	b := newFakeBroker(t)
	b.add("old", 1)
	r := pinion(t, b, "", "topic", "create", "old", "new").want(t, exitPartial, "*")
	if !strings.Contains(r.out, "TOPIC_ALREADY_EXISTS: ") || !strings.Contains(r.out, "new    1           1         OK\n") {
		t.Fatalf("got\n%s", r.out)
	}
	pinion(t, b, "", "topic", "create", "old").want(t, exitFailed, "*")
	pinion(t, b, "", "topic", "create", "old", "newer", "--if-not-exists", "-o", "json").want(t, exitOK, "*")
	pinion(t, b, "", "topic", "create", "dry", "--dry-run").want(t, exitOK, "TOPIC  PARTITIONS  REPLICAS  STATUS\ndry    1           1         would be created\n")
	if b.topics["dry"] != nil {
		t.Fatal("a dry run created a topic")
	}
	r = pinion(t, b, "", "topic", "create", "bad", "-c", "bogus=1").want(t, exitFailed, "*")
	if !strings.Contains(r.out, "INVALID_CONFIG: Unknown topic config name: bogus") {
		t.Fatalf("got\n%s", r.out)
	}
}

func TestNoBroker(t *testing.T) {
	r := pinion(t, nil, "", "topic", "list", "--brokers", "127.0.0.1:1")
	if r.code != exitFailed || !strings.HasPrefix(r.err, "error: no broker answers at 127.0.0.1:1: ") {
		t.Fatalf("code %d, err %q", r.code, r.err)
	}
}

func TestDeleteAsksOnATerminal(t *testing.T) {
	for _, c := range []struct {
		answer string
		code   int
	}{{"\n", exitFailed}, {"n\n", exitFailed}, {"", exitFailed}, {"y\n", exitOK}, {"YES\n", exitOK}} {
		b := newFakeBroker(t)
		b.add("orders", 1)
		var out, problems bytes.Buffer
		con := &console{in: strings.NewReader(c.answer), out: &out, err: &problems, inTTY: true, env: []string{"PINION_BROKERS=" + b.address()}}
		code := run(t.Context(), con, []string{"topic", "delete", "orders"})
		if code != c.code || (b.topics["orders"] == nil) != (code == exitOK) || !strings.HasPrefix(problems.String(), "delete orders and all records? [y/N] ") {
			t.Errorf("answer %q: code %d, err %q", c.answer, code, problems.String())
		}
	}
}

// jsonArguments is how every command is called by TestEveryCommandSpeaksJSON; a new command has to be added here.
var jsonArguments = map[string][]string{
	"pinion version":        {},
	"pinion start":          {"--check", "--set", "num.io.threads=3"},
	"pinion topic create":   {"fresh"},
	"pinion topic list":     {},
	"pinion topic describe": {"orders"},
	"pinion topic delete":   {"orders", "--yes"},
	"pinion topic produce":  {"orders"},
	"pinion topic consume":  {"orders", "-n", "1"},

	"pinion topic alter-config":   {"orders", "-s", "retention.ms=1h"},
	"pinion topic add-partitions": {"orders", "-n", "1"},
	"pinion topic trim":           {"orders", "--before", "end", "--yes"},
}

// jsonElsewhere are the commands that need more than a scripted broker, and the tests that hold what they say as JSON.
var jsonElsewhere = map[string]string{
	"pinion bench produce":           "TestBenchVerbs",
	"pinion bench consume":           "TestBenchVerbs",
	"pinion bench e2e":               "TestBenchVerbs",
	"pinion bench run":               "TestBenchVerbs",
	"pinion bench compare":           "TestBenchVerbs",
	"pinion bench report":            "TestBenchVerbs",
	"pinion bench limit":             "TestBenchLimit",
	"pinion cluster logdirs":         "TestDirectoriesOverRestarts",
	"pinion cluster partitions list": "TestClusterPartitions",
	"pinion cluster partitions move": "TestClusterPartitions",
	"pinion cluster quotas list":     "TestClusterQuotas",
	"pinion cluster quotas set":      "TestClusterQuotas",
	"pinion cluster config get":      "TestClusterConfig",
	"pinion cluster config set":      "TestClusterConfig",
	"pinion cluster config export":   "TestClusterConfigFiles",
	"pinion cluster config diff":     "TestClusterConfigFiles",
	"pinion cluster config import":   "TestClusterConfigFiles",
	"pinion cluster config edit":     "TestClusterConfigEdit",
	"pinion group list":              "TestGroupVerbs",
	"pinion group describe":          "TestGroupVerbs",
	"pinion group seek":              "TestGroupVerbs",
	"pinion group delete":            "TestGroupVerbs",
	"pinion group lag":               "TestGroupVerbs",
	"pinion group delete-offsets":    "TestGroupVerbs",
	"pinion check":                   "TestCorruptDirectories",
	"pinion debug segment":           "TestDebugSegment",
	"pinion backup":                  "TestBackupAndRestore",
	"pinion restore":                 "TestBackupAndRestore",
}

func TestEveryCommandSpeaksJSON(t *testing.T) {
	walk(newRoot(&console{in: strings.NewReader(""), out: io.Discard, err: io.Discard}), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.HasSubCommands() || cmd.Hidden || cmd.Name() == "help" || strings.HasPrefix(path, "pinion completion") || jsonElsewhere[path] != "" {
			return
		}
		args, ok := jsonArguments[path]
		if !ok {
			t.Errorf("%s is not tried with --output json", path)
			return
		}
		for _, form := range []string{"json", "jsonl"} {
			b := newFakeBroker(t)
			b.add("orders", 1)
			pinion(t, b, "a\n", "topic", "produce", "orders").want(t, 0, "*")
			line := append(strings.Fields(path)[1:], append(args, "--output", form)...)
			r := pinion(t, b, "x\n", line...)
			if r.code != exitOK {
				t.Errorf("%v: code %d, err %s", line, r.code, r.err)
			}
			decoder := json.NewDecoder(strings.NewReader(r.out))
			values := 0
			for {
				var value any
				err := decoder.Decode(&value)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%v prints no JSON: %v\n%s", line, err, r.out)
				}
				values++
			}
			if values == 0 {
				t.Errorf("%v prints nothing", line)
			}
			if form == "jsonl" && strings.Count(r.out, "\n") != values {
				t.Errorf("%v prints %d values on %d lines", line, values, strings.Count(r.out, "\n"))
			}
		}
	})
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		walk(child, visit)
	}
}

// brokenPipe is stdout when the reader went away.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
}

// A broker that breaks the connection is no reader that went away.
func TestBrokenConnectionIsAnError(t *testing.T) {
	var problems bytes.Buffer
	if code := report(&console{err: &problems}, fmt.Errorf("produce: %w", syscall.EPIPE)); code == exitOK || problems.Len() == 0 {
		t.Errorf("code %d, %q", code, problems.String())
	}
}

func TestBrokenPipeIsQuiet(t *testing.T) {
	b := newFakeBroker(t)
	b.add("orders", 1)
	for _, line := range []string{"topic list", "topic list -o json", "topic produce orders", "topic describe orders", "topic consume orders -n 1", "version"} {
		var problems bytes.Buffer
		con := &console{in: strings.NewReader("x\n"), out: brokenPipe{}, err: &problems, env: []string{"PINION_BROKERS=" + b.address()}}
		if code := run(t.Context(), con, strings.Fields(line)); code != exitOK || problems.Len() > 0 {
			t.Errorf("%s: code %d, err %q", line, code, problems.String())
		}
	}
}

func TestInterruptedConsumerIsDone(t *testing.T) {
	b := newFakeBroker(t)
	b.add("orders", 1)
	ctx, cancel := context.WithCancel(t.Context())
	var out, problems bytes.Buffer
	con := &console{in: strings.NewReader(""), out: writerFunc(func(p []byte) (int, error) { cancel(); return out.Write(p) }), err: &problems, env: []string{"PINION_BROKERS=" + b.address()}}
	pinion(t, b, "x\n", "topic", "produce", "orders").want(t, 0, "*")
	if code := run(ctx, con, []string{"topic", "consume", "orders", "-f", "%v\n"}); code != exitOK || out.String() != "x\n" {
		t.Fatalf("code %d, out %q, err %q", code, out.String(), problems.String())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestStartCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(file, []byte("log.retension.hours=1\nmessage.max.bytes=10mb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"start", "--config", file}, {"start", "--check", "--config", file}} {
		r := pinion(t, nil, "", args...).want(t, exitConfig, "")
		want := file + ":1: unknown key \"log.retension.hours\" - did you mean \"log.retention.hours\"?\n" +
			file + ":2: message.max.bytes = \"10mb\": 10mb is not a size (use 10MiB or 10485760); want int in bytes, 0 or more; default 1048588\n2 errors; nothing was started.\n"
		if !strings.HasSuffix(r.err, want) {
			t.Fatalf("%v: got\n%s", args, r.err)
		}
	}
	r := pinion(t, nil, "", "start", "--check", "--config", file, "--set", "num.io.threads=2", "--set", "listeners=PLAINTEXT://:1", "-o", "json").want(t, exitConfig, "*")
	var list []finding
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list) != 3 || list[0].Severity != "error" || list[2].Key != "num.io.threads" {
		t.Fatalf("%v, %+v", err, list)
	}
	pinion(t, nil, "", "start", "--check").want(t, 0, "configuration ok: 0 keys set, 0 warnings\n")
	pinion(t, nil, "", "start", "--config", "/nonexistent").want(t, exitConfig, "")
	pinion(t, nil, "", "start", "--log-format", "xml").want(t, exitUsage, "")
}
