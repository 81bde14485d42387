package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pinion/bench/load"
	"pinion/bench/measure"
	"pinion/bench/results"
	"pinion/bench/verdict"
)

// madeRun is a second with 1000 records that all took so many nanoseconds.
func madeRun(latency int64) *measure.Run {
	run := &measure.Run{Outcome: &load.Outcome{Began: time.Unix(1_700_000_000, 0)}}
	i := load.Interval{End: time.Second, Sent: load.Count{Requests: 1000, Records: 1000, Bytes: 100_000}}
	for range 1000 {
		load.Record(&i.Latency, latency)
	}
	run.Intervals = append(run.Intervals, i)
	run.Total.Merge(&i)
	return run
}

// writeRounds keeps rounds whose p99 is so many microseconds, give or take one in a hundred.
func writeRounds(t *testing.T, dir string, rounds int, p99 int64) {
	t.Helper()
	for round := range rounds {
		run := madeRun(p99 * 1000 * (100 + int64(round%3)) / 100)
		r := &results.Result{Workload: "made"}
		r.Set(run)
		if err := r.Write(filepath.Join(dir, fmt.Sprintf("round-%02d", round+1)), run); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCompareCallsDifferencesAndNotNoise(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	writeRounds(t, at("before"), 6, 1000)
	writeRounds(t, at("again"), 6, 1000)
	writeRounds(t, at("slower"), 6, 1300)
	writeRounds(t, at("few"), 3, 5000)
	for _, c := range []struct {
		name string
		args []string
		code int
		out  string
		says string
	}{
		{"the same", []string{at("before"), at("again"), "--fail-if", "p99>+5%"}, exitOK, "same", ""},
		{"slower", []string{at("before"), at("slower")}, exitOK, "worse", ""},
		{"slower is refused", []string{at("before"), at("slower"), "--fail-if", "p99>+5%"}, exitFailed, "worse", "changed by +30"},
		{"slower is allowed", []string{at("before"), at("slower"), "--fail-if", "p99>+50%"}, exitOK, "worse", ""},
		{"faster", []string{at("slower"), at("before")}, exitOK, "better", ""},
		{"few rounds", []string{at("before"), at("few")}, exitOK, "unknown", ""},
		{"few rounds are refused", []string{at("before"), at("few"), "--fail-if", "produce_p99_us>+5%"}, exitFailed, "unknown", "too few rounds"},
		{"no such figure", []string{at("before"), at("again"), "--fail-if", "p98>+5%"}, exitFailed, "same", "no such figure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := runBench(t, t.Context(), "", append([]string{"compare"}, c.args...)...)
			line := ""
			for l := range strings.Lines(got.out) {
				if strings.HasPrefix(l, "produce_p99_us ") {
					line = l
				}
			}
			if got.code != c.code || !strings.HasSuffix(strings.TrimSpace(line), c.out) || !strings.Contains(got.err, c.says) {
				t.Errorf("code %d, want %d; want %q at the end of %q and %q in %q", got.code, c.code, c.out, line, c.says, got.err)
			}
		})
	}
}

// Partial rounds are no measurement, and a side that has no others says so.
func TestComparePassesOverPartialRounds(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"partial", "mixed"} {
		run := madeRun(9_000_000)
		r := &results.Result{Workload: "made"}
		r.Set(run)
		r.Pinion.Partial = true
		if err := r.Write(filepath.Join(dir, name, "partial"), run); err != nil {
			t.Fatal(err)
		}
	}
	writeRounds(t, filepath.Join(dir, "mixed"), 2, 1000)
	mixed := filepath.Join(dir, "mixed")
	if got := runBench(t, t.Context(), "", "compare", mixed, filepath.Join(dir, "partial")); got.code != exitFailed || !strings.Contains(got.err, "partial is partial") {
		t.Errorf("nothing to compare: %+v", got)
	}
	got := runBench(t, t.Context(), "", "compare", mixed, mixed, "-o", "json")
	var rows []comparedFigure
	if err := json.Unmarshal([]byte(got.out), &rows); err != nil || len(rows) == 0 || rows[0].RoundsA != 2 {
		t.Errorf("%v: %+v", err, got)
	}
}

// Rounds that were measured under other conditions are told of, whichever they are.
func TestCompareLooksAtAllRounds(t *testing.T) {
	round := func(kernel, threads string) results.Named {
		r := &results.Result{}
		r.Pinion.Environment.Kernel = kernel
		r.Pinion.Settings = map[string]string{"threads": threads, "rounds": kernel}
		return results.Named{Result: r}
	}
	a := []results.Named{round("6.1", "1"), round("6.1", "1"), round("6.2", "1")}
	b := []results.Named{round("6.1", "1"), round("6.1", "2")}
	want := []string{"kernel is 6.1, 6.2 in A and 6.1 in B", "threads is 1 in A and 1, 2 in B"}
	if got := differences(a, b); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := differences(a[:2], b[:1]); len(got) > 0 {
		t.Errorf("the same: %q", got)
	}
}

// Two workloads of one name are not the same for that.
func TestCompareLooksAtTheWorkload(t *testing.T) {
	made := func(size int64, topics, partitions, producers, consumers int, rate string) []results.Named {
		r := &results.Result{MessageSize: size, Topics: topics, Partitions: partitions, ProducersPerTopic: producers, ConsumersPerTopic: consumers}
		r.Pinion.Settings = map[string]string{"producerRate": rate}
		return []results.Named{{Result: r}}
	}
	want := []string{"consumers per topic is 5 in A and 50 in B", "message size is 1 in A and 10 in B", "partitions is 3 in A and 30 in B",
		"producerRate is 2000 in A and 20000 in B", "producers per topic is 4 in A and 40 in B", "topics is 2 in A and 20 in B"}
	if got := differences(made(1, 2, 3, 4, 5, "2000"), made(10, 20, 30, 40, 50, "20000")); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// A figure that is zero has no ratio, and the JSON says so.
func TestComparedWithZero(t *testing.T) {
	for _, a := range []float64{0, 2} {
		text, err := json.Marshal(compared("x", verdict.Compare([]float64{a}, []float64{1}, true)))
		if err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(string(text), `"ratio":null`); has != (a == 0) {
			t.Errorf("%s", text)
		}
	}
}
