package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinion/bench/harness"
	"pinion/bench/results"
)

// bench runs one command line of bench against a real broker.
func runBench(t *testing.T, ctx context.Context, address string, args ...string) result {
	t.Helper()
	var out, problems strings.Builder
	con := &console{in: strings.NewReader(""), out: &out, err: &problems, env: []string{"PINION_BROKERS=" + address}}
	code := run(ctx, con, append([]string{"bench"}, args...))
	return result{code, out.String(), problems.String()}
}

const smallWorkload = `
name: small
topics: 2
partitionsPerTopic: 3
messageSize: 100
useRandomizedPayloads: true
randomBytesRatio: 0.5
randomizedPayloadPoolSize: 10
keyDistributor: KEY_ROUND_ROBIN
subscriptionsPerTopic: 2
consumerPerSubscription: 2
producersPerTopic: 2
producerRate: 400
consumerBacklogSizeGB: 0
testDurationMinutes: 60
`

// TestBenchVerbs runs every verb once, briefly: what is measured is not judged, only that it is measured, kept and read again.
func TestBenchVerbs(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 2})
	dir := t.TempDir()
	workload := filepath.Join(dir, "small.yaml")
	if err := os.WriteFile(workload, []byte(smallWorkload), 0o644); err != nil {
		t.Fatal(err)
	}
	short := []string{"--warmup", "50ms", "--duration", "300ms", "--interval", "100ms"}
	for _, c := range []struct {
		name string
		args []string
		also func(t *testing.T, r *results.Result)
	}{
		{"produce", []string{"produce", "--records", "10"}, func(t *testing.T, r *results.Result) {
			if r.Pinion.OpenLoop || r.Pinion.Figures["broker_cores"] == 0 || r.Pinion.Figures["requests_per_broker_cpu_s"] == 0 {
				t.Errorf("figures %v", r.Pinion.Figures)
			}
		}},
		{"idempotent-zstd", []string{"produce", "-z", "zstd", "--idempotent", "--acks", "all", "--threads", "2"}, nil},
		{"rate", []string{"produce", "--records", "1", "--record-bytes", "100", "--rate", "500"}, func(t *testing.T, r *results.Result) {
			if rate := r.Pinion.Figures["produce_records_per_s"]; !r.Pinion.OpenLoop || rate < 400 || rate > 600 {
				t.Errorf("an open loop of 500 a second gave %v", rate)
			}
		}},
		{"consume", []string{"consume", "--fill-bytes", "2000000"}, nil},
		{"e2e", []string{"e2e", "--rate", "500"}, func(t *testing.T, r *results.Result) {
			if r.AggregatedEndToEndLatencyMax == 0 || r.AggregatedEndToEndLatency50pct < r.AggregatedPublishLatency50pct/10 {
				t.Errorf("end to end %v, publish %v", r.AggregatedEndToEndLatency50pct, r.AggregatedPublishLatency50pct)
			}
		}},
		{"run", []string{"run", workload}, func(t *testing.T, r *results.Result) {
			// 400 a second for 0.3 s to two subscriptions: everything that was sent arrived twice.
			sent, read := 0.0, 0.0
			for i := range r.PublishRate {
				sent, read = sent+r.PublishRate[i], read+r.ConsumeRate[i]
			}
			if r.Workload != "small" || sent == 0 || read < sent {
				t.Errorf("%s: published %v, consumed %v", r.Workload, r.PublishRate, r.ConsumeRate)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(dir, c.name)
			got := runBench(t, t.Context(), b.Addr, append(append(c.args, short...), "--out", out, "-o", "json")...)
			if got.code != exitOK {
				t.Fatalf("code %d\n%s\n%s", got.code, got.out, got.err)
			}
			var r results.Result
			if err := json.Unmarshal([]byte(got.out), &r); err != nil {
				t.Fatalf("%v\n%s", err, got.out)
			}
			kept, err := results.Read(out)
			if err != nil || len(kept) != 1 {
				t.Fatalf("%d kept: %v", len(kept), err)
			}
			if r.Pinion.Partial || r.Pinion.Environment.Kernel == "" || len(r.Pinion.Configs) < 20 || !strings.Contains(r.Pinion.Synced, "fdatasync") {
				t.Errorf("partial %v, kernel %q, %d settings, synced %q", r.Pinion.Partial, r.Pinion.Environment.Kernel, len(r.Pinion.Configs), r.Pinion.Synced)
			}
			if len(r.PublishRate) < 2 && len(r.ConsumeRate) < 2 {
				t.Errorf("intervals %v %v", r.PublishRate, r.ConsumeRate)
			}
			if logs, _ := filepath.Glob(filepath.Join(out, "*.hlog")); len(logs) == 0 {
				t.Error("no latencies kept")
			}
			if text, err := os.ReadFile(filepath.Join(out, "report.html")); err != nil || !strings.Contains(string(text), "uPlot") {
				t.Errorf("no report: %v", err)
			}
			if c.also != nil {
				c.also(t, &r)
			}
		})
	}
	topics := runTopicList(t, b.Addr)
	if strings.Contains(topics, "bench-") {
		t.Errorf("topics were left behind:\n%s", topics)
	}
	page := filepath.Join(dir, "all.html")
	if got := runBench(t, t.Context(), "", "report", filepath.Join(dir, "produce"), filepath.Join(dir, "e2e"), "--page", page); got.code != exitOK || got.out != page+"\n" {
		t.Errorf("report: %+v", got)
	}
	if got := runBench(t, t.Context(), "", "compare", filepath.Join(dir, "produce"), filepath.Join(dir, "produce")); got.code != exitOK || !strings.Contains(got.out, "unknown") {
		t.Errorf("one round each is no comparison: %+v", got)
	}
	for _, args := range [][]string{{"compare", filepath.Join(dir, "produce"), filepath.Join(dir, "produce")}, {"report", filepath.Join(dir, "produce"), "--page", page}} {
		if got := runBench(t, t.Context(), "", append(args, "-o", "json")...); got.code != exitOK || !json.Valid([]byte(got.out)) {
			t.Errorf("%v as JSON: %+v", args, got)
		}
	}
}

func runTopicList(t *testing.T, address string) string {
	var out, problems strings.Builder
	con := &console{in: strings.NewReader(""), out: &out, err: &problems, env: []string{"PINION_BROKERS=" + address}}
	if code := run(t.Context(), con, []string{"topic", "list"}); code != exitOK {
		t.Fatal(problems.String())
	}
	return out.String()
}

func TestBenchLimit(t *testing.T) {
	path, err := harness.Binary() // the loop is a process that runs our own program, and this one is a test
	if err != nil {
		t.Fatal(err)
	}
	got := runProgram(t, path, "bench", "limit", "--duration", "100ms", "--warmup", "20ms", "--only", "append-11KiB,null-64x1,journal-4KiB", "--dir", t.TempDir(), "-o", "json")
	var rows []limitRow
	if err := json.Unmarshal([]byte(got.out), &rows); err != nil || got.code != exitOK || len(rows) != 3 {
		t.Fatalf("%v: %+v", err, got)
	}
	if rows[0].CPUPerGB <= 0 || rows[1].PerS <= 0 || rows[2].P50Us <= 0 {
		t.Errorf("%+v", rows)
	}
	if got := runProgram(t, path, "bench", "limit", "--only", "warp"); got.code != exitUsage || !strings.Contains(got.err, "append-64KiB") {
		t.Errorf("no such loop: %+v", got)
	}
}

func TestBenchRefusesBadInput(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 1})
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad := file("good.yaml", smallWorkload), file("bad.yaml", smallWorkload+"partitionPerTopic: 2\n")
	backlog := file("backlog.yaml", strings.Replace(smallWorkload, "consumerBacklogSizeGB: 0", "consumerBacklogSizeGB: 1", 1))
	used := t.TempDir()
	writeRounds(t, used, 1, 1000)
	nobody := closedAddress(t)
	for name, c := range map[string]struct {
		address string
		args    []string
		code    int
		says    string
	}{
		"unreachable":       {nobody, []string{"produce"}, exitFailed, "no broker answers at " + nobody},
		"unknown topic":     {b.Addr, []string{"produce", "-t", "no-such"}, exitFailed, `topic "no-such" does not exist`},
		"malformed":         {b.Addr, []string{"run", bad}, exitUsage, "partitionPerTopic"},
		"missing workload":  {b.Addr, []string{"run", filepath.Join(dir, "none.yaml")}, exitUsage, "none.yaml"},
		"no workload":       {b.Addr, []string{"run"}, exitUsage, "workload's file"},
		"codec":             {b.Addr, []string{"produce", "-z", "rar"}, exitUsage, "zstd"},
		"acks":              {b.Addr, []string{"e2e", "--acks", "none"}, exitUsage, "leader or all"},
		"rate":              {b.Addr, []string{"e2e", "--rate", "0"}, exitUsage, "--rate"},
		"no rate":           {b.Addr, []string{"e2e", "--rate", "NaN"}, exitUsage, "--rate NaN"},
		"endless rate":      {b.Addr, []string{"produce", "--rate", "Inf"}, exitUsage, "--rate +Inf"},
		"absurd rate":       {b.Addr, []string{"e2e", "--rate", "1e12"}, exitUsage, "1000000000 at most"},
		"negative rate":     {b.Addr, []string{"produce", "--rate", "-1"}, exitUsage, "--rate -1"},
		"run's rate":        {b.Addr, []string{"run", good, "--rate", "-5"}, exitUsage, "--rate -5"},
		"rate of a backlog": {b.Addr, []string{"run", backlog, "--rate", "0"}, exitUsage, "consumerBacklogSizeGB needs a producerRate"},
		"interval":          {b.Addr, []string{"produce", "--interval", "1ns"}, exitUsage, "10ms at least"},
		"rounds":            {b.Addr, []string{"e2e", "--rounds", "0"}, exitUsage, "--rounds"},
		"pid":               {b.Addr, []string{"produce", "--broker-pid", "4194305"}, exitFailed, "--broker-pid"},
		"out has a result":  {b.Addr, []string{"produce", "--out", used}, exitUsage, "name another folder"},
		"out is a file":     {b.Addr, []string{"produce", "--out", bad}, exitFailed, "--out: "},
		"unknown verb":      {b.Addr, []string{"prodce"}, exitUsage, "produce"},
		"nothing to report": {b.Addr, []string{"report", dir}, exitFailed, "result.json"},
		"compare one":       {b.Addr, []string{"compare", dir}, exitUsage, "two folders"},
		"condition":         {b.Addr, []string{"compare", dir, dir, "--fail-if", "p99"}, exitUsage, "FIGURE>+N%"},
	} {
		t.Run(name, func(t *testing.T) {
			got := runBench(t, t.Context(), c.address, c.args...)
			if got.code != c.code || !strings.Contains(got.err, c.says) {
				t.Errorf("code %d, want %d; want %q in:\n%s", got.code, c.code, c.says, got.err)
			}
		})
	}
}

// TestBenchKeepsWhatWasMeasured ends runs early, by Ctrl-C and by the broker's death: the result is kept and says that it is partial.
func TestBenchKeepsWhatWasMeasured(t *testing.T) {
	dir := t.TempDir()
	workload := filepath.Join(dir, "small.yaml")
	if err := os.WriteFile(workload, []byte(smallWorkload), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"produce": {"produce", "--duration", "1h"},
		"e2e":     {"e2e", "--duration", "1h"},
		"run":     {"run", workload, "--stall", "1s"},
	} {
		for _, how := range []string{"interrupted", "died"} {
			t.Run(name+" "+how, func(t *testing.T) {
				b := harness.Run(t, harness.Config{Shards: 1})
				out := filepath.Join(dir, name+how)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				lines := &firstLines{want: 3, reached: make(chan struct{})}
				ended := make(chan int)
				go func() {
					con := &console{in: strings.NewReader(""), out: lines, err: lines, env: []string{"PINION_BROKERS=" + b.Addr}}
					ended <- run(ctx, con, append(append([]string{"bench"}, args...), "--warmup", "10ms", "--interval", "50ms", "--out", out))
				}()
				select {
				case <-lines.reached:
				case code := <-ended:
					t.Fatalf("it ended with %d:\n%s", code, lines.String())
				case <-time.After(time.Minute):
					t.Fatalf("no progress in a minute:\n%s", lines.String())
				}
				if how == "died" {
					if err := b.Kill(); err != nil {
						t.Fatal(err)
					}
				} else {
					cancel()
				}
				var code int
				select {
				case code = <-ended:
				case <-time.After(2 * time.Minute):
					t.Fatalf("it did not end:\n%s", lines.String())
				}
				if code != exitFailed {
					t.Errorf("code %d\n%s", code, lines.String())
				}
				kept, err := results.Read(out)
				if err != nil {
					t.Fatalf("%v\n%s", err, lines.String())
				}
				if r := kept[0]; !r.Pinion.Partial || r.Pinion.Error == "" || len(r.PublishRate) < 2 {
					t.Errorf("partial %v: %q, rates %v", r.Pinion.Partial, r.Pinion.Error, r.PublishRate)
				}
				if says := lines.String(); !strings.Contains(says, "partial result kept") || !strings.Contains(says, out) {
					t.Errorf("it does not say where the result is:\n%s", says)
				}
			})
		}
	}
}

// A topic may be durable where the broker's default is not, and the other way round.
func TestBenchSaysWhatTheTopicSyncs(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 1}) // fsync
	var problems strings.Builder
	con := &console{in: strings.NewReader(""), out: &problems, err: &problems, env: []string{"PINION_BROKERS=" + b.Addr}}
	if code := run(t.Context(), con, []string{"topic", "create", "memory", "-c", "pinion.durability=memory"}); code != exitOK {
		t.Fatal(problems.String())
	}
	workload := filepath.Join(t.TempDir(), "small.yaml")
	if err := os.WriteFile(workload, []byte(smallWorkload), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"produce", "-t", "memory"}, {"run", workload, "-c", "pinion.durability=memory"}} {
		got := runBench(t, t.Context(), b.Addr, append(args, "--warmup", "10ms", "--duration", "100ms", "-o", "json")...)
		var r results.Result
		if err := json.Unmarshal([]byte(got.out), &r); err != nil {
			t.Fatalf("%v\n%s", err, got.err)
		}
		if !strings.Contains(r.Pinion.Synced, "pinion.durability=memory") {
			t.Errorf("%v: %s", args, r.Pinion.Synced)
		}
	}
}

// Whatever way other verbs take --brokers, bench does.
func TestBenchTakesBrokersAsOtherVerbsDo(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 1})
	_, port, err := net.SplitHostPort(b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, brokers := range []string{b.Addr + ", ", ":" + port} {
		got := runBench(t, t.Context(), brokers, "produce", "--warmup", "10ms", "--duration", "100ms", "-o", "json")
		var r results.Result
		if err := json.Unmarshal([]byte(got.out), &r); err != nil {
			t.Fatalf("%q: %v\n%s", brokers, err, got.err)
		}
		if _, cost := r.Pinion.Figures["broker_cores"]; got.code != exitOK || !cost {
			t.Errorf("%q: code %d, the broker's process known: %v\n%s", brokers, got.code, cost, got.err)
		}
	}
}
