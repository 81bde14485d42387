package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pinion/bench/limit"
	"pinion/bench/load"
	"pinion/bench/machine"
	"pinion/bench/measure"
	"pinion/bench/workload"
)

// full is a ledger of five rounds in which Pinion needs half of Kafka's processor time.
func full(t *testing.T, dir string) *ledger {
	t.Helper()
	l, err := openLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	for round := 1; round <= 5; round++ {
		noise := 1 + float64(round)/100
		for peer, cost := range map[string]float64{"pinion": 0.6, "kafka": 1.2} {
			if err := l.add(entry{Row: "produce-64x1KiB", Peer: peer, Round: round, Figures: measure.Figures{perGB: cost * noise, "produce_mb_per_s": 1000}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.add(entry{Row: "produce-64x1KiB", Peer: limitLoop, Round: round, Figures: measure.Figures{"cpu_s_per_gb": 0.5}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.add(entry{Row: "fetch-1MiB", Peer: "kafka", Round: 1, Error: "it went away\nand more"}); err != nil {
		t.Fatal(err)
	}
	if err := l.addSession(session{Commit: "abc", Environment: machine.Look(dir), Settings: map[string]string{"rounds": "5"}}); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestACampaignGoesOnWhereItWas(t *testing.T) {
	dir := t.TempDir()
	full(t, dir)
	again, err := openLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !again.has("produce-64x1KiB", "pinion", 5) || again.has("produce-64x1KiB", "pinion", 6) {
		t.Error("rounds that were measured are measured again, or others are not")
	}
	if again.has("fetch-1MiB", "kafka", 1) {
		t.Error("a round that failed is not tried again")
	}
	if err := again.add(entry{Row: "fetch-1MiB", Peer: "kafka", Round: 1, Figures: measure.Figures{perGB: 1}}); err != nil {
		t.Fatal(err)
	}
	if last, err := openLedger(dir); err != nil || len(last.rounds("fetch-1MiB", "kafka", perGB)) != 1 || last.failure("fetch-1MiB", "kafka") != "" {
		t.Errorf("a second try does not take the place of the first: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "round-x-pinion-01.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openLedger(dir); err == nil {
		t.Error("half a file is read as a figure")
	}
}

func TestResultsComeFromTheFiguresAlone(t *testing.T) {
	dir := t.TempDir()
	l := full(t, dir)
	name := filepath.Join(dir, "RESULTS.md")
	if err := writeResults(l, name); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| produce 64 x 1024 B, 4 connections x 4 | broker CPU s/GB | 0.500 [0.500, 0.500] | 0.618 [", // median, and the limit beside it
		"| 0.50 [", "| better |", "| failed |", "it went away", "commit abc", "Linux " + machine.Look(dir).Kernel,
	} {
		if !strings.Contains(string(first), want) {
			t.Errorf("%q is not in\n%s", want, first)
		}
	}
	if strings.Contains(string(first), "and more") {
		t.Error("an error of several lines breaks the list")
	}
	again, err := openLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeResults(again, name); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(name); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same figures give another page: %v\n%s\n%s", err, first, second)
	}
}

func TestEveryRowHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	all := rows(options{sets: setNames, only: regexp.MustCompile("")})
	specs := limit.Specs(1, t.TempDir())
	for _, r := range all {
		for _, loop := range r.loops() {
			if !slices.ContainsFunc(specs, func(s limit.Spec) bool { return s.Name == loop }) {
				t.Errorf("row %s: no loop is called %s", r.name, loop)
			}
		}
		if seen[r.name] || r.figure == "" || (r.steady == nil) == (r.whole == nil) || strings.ContainsAny(r.name, "/ ") {
			t.Errorf("row %q", r.name)
		}
		seen[r.name] = true
	}
	if quick := rows(options{sets: setNames, only: regexp.MustCompile(""), quick: true}); len(quick) < 6 || len(quick) > 12 {
		t.Errorf("%d quick rows of %d", len(quick), len(all))
	}
}

func TestToolsAreUnderstood(t *testing.T) {
	f, err := producerFigures(`103746 records sent, 20749.2 records/sec (19.79 MB/sec), 1103.1 ms avg latency, 1529.0 ms max latency.
200000 records sent, 28547.02 records/sec (27.22 MB/sec), 902.20 ms avg latency, 1529.00 ms max latency, 889 ms 50th, 1423 ms 95th, 1500 ms 99th, 1519 ms 99.9th.
`)
	if err != nil || f["tool_records_per_s"] != 28547.02 || f["tool_p99_ms"] != 1500 || f["tool_p999_ms"] != 1519 {
		t.Errorf("%v %v", f, err)
	}
	if _, err := producerFigures("org.apache.kafka.common.errors.TimeoutException"); err == nil {
		t.Error("an exception is a figure")
	}
	f, err = consumerFigures("2026-11-26 09:00:00:000, 2026-11-26 09:00:02:000, 190.7349, 95.3674, 200000, 100000.0000, 300, 1700, 112.1970, 117647.0588\n", 200_000)
	if err != nil || f["tool_records_per_s"] != 100_000 || f["tool_fetch_mb_per_s"] < 117 || f["tool_fetch_mb_per_s"] > 118 {
		t.Errorf("%v %v", f, err)
	}
	if _, err := consumerFigures("2026-11-26 09:00:00:000, 2026-11-26 09:00:02:000, 190.7349, 95.3674, 100, 100000.0000, 300, 1700, 112.1970, 117647.0588\n", 200_000); err == nil {
		t.Error("a consumer that read too little is a figure")
	}
}

// A row of ordinary clients whose percentiles lack records failed.
func TestAShapeThatLacksRecordsFailed(t *testing.T) {
	for _, lacks := range []load.Outcome{{Unanswered: 1}, {Unread: 1}} {
		if _, err := shapeFigures(&workload.Outcome{Run: &measure.Run{Outcome: &lacks}}, nil); err == nil {
			t.Errorf("%d without an answer, %d not read: a figure", lacks.Unanswered, lacks.Unread)
		}
	}
}

// TestRowsAgainstPinion runs rows of every kind for a moment: that they run and have the figures they are judged by. The others
// differ from these in numbers, or wait for a broker to come to rest.
func TestRowsAgainstPinion(t *testing.T) {
	if testing.Short() {
		t.Skip("starts brokers and loads them")
	}
	o := options{peers: []string{"pinion"}, sets: []string{"main", "omb", "life"}, rounds: 1, seconds: 150 * time.Millisecond, warmup: 30 * time.Millisecond,
		out: t.TempDir(), data: t.TempDir(), shards: 2, scale: 0.01,
		only: regexp.MustCompile("^(produce-64x1KiB-idempotent|fetch-1MiB|e2e-2000|create-1000|restart-killed|cold-reader|omb-1-16p-1kb-50k|omb-tiny-batches-30k)$")}
	l, err := openLedger(o.out)
	if err != nil {
		t.Fatal(err)
	}
	o.limits = true
	c := &campaign{options: o, ledger: l, began: time.Now()}
	if err := c.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows(o) {
		if why := l.failure(r.name, "pinion"); why != "" {
			t.Errorf("%s failed: %s", r.name, why)
		} else if got := l.rounds(r.name, "pinion", r.figure); len(got) != 1 || got[0] <= 0 {
			t.Errorf("%s has %s %v", r.name, r.figure, got)
		}
		for side, loop := range r.loops() {
			if got := l.rounds(r.name, side, loopFigure(r.figure)); len(got) != 1 || got[0] <= 0 {
				t.Errorf("%s beside %s: %s %v", r.name, loop, r.figure, got)
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(o.data, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if s := l.sessions[0]; len(s.Configs["pinion"]) == 0 || s.Environment.Kernel == "" {
		t.Errorf("conditions: %+v", s)
	}
}
