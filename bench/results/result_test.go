package results

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"pinion/bench/load"
	"pinion/bench/measure"
)

// upstream are the public fields of OpenMessaging Benchmark's TestResult, which its chart tools read.
const upstream = `workload driver messageSize topics partitions producersPerTopic consumersPerTopic publishRate publishErrorRate consumeRate backlog
publishLatencyAvg publishLatency50pct publishLatency75pct publishLatency95pct publishLatency99pct publishLatency999pct publishLatency9999pct
publishLatencyMax publishDelayLatencyAvg publishDelayLatency50pct publishDelayLatency75pct publishDelayLatency95pct publishDelayLatency99pct
publishDelayLatency999pct publishDelayLatency9999pct publishDelayLatencyMax aggregatedPublishLatencyAvg aggregatedPublishLatency50pct
aggregatedPublishLatency75pct aggregatedPublishLatency95pct aggregatedPublishLatency99pct aggregatedPublishLatency999pct
aggregatedPublishLatency9999pct aggregatedPublishLatencyMax aggregatedPublishDelayLatencyAvg aggregatedPublishDelayLatency50pct
aggregatedPublishDelayLatency75pct aggregatedPublishDelayLatency95pct aggregatedPublishDelayLatency99pct aggregatedPublishDelayLatency999pct
aggregatedPublishDelayLatency9999pct aggregatedPublishDelayLatencyMax aggregatedPublishLatencyQuantiles aggregatedPublishDelayLatencyQuantiles
endToEndLatencyAvg endToEndLatency50pct endToEndLatency75pct endToEndLatency95pct endToEndLatency99pct endToEndLatency999pct
endToEndLatency9999pct endToEndLatencyMax aggregatedEndToEndLatencyQuantiles aggregatedEndToEndLatencyAvg aggregatedEndToEndLatency50pct
aggregatedEndToEndLatency75pct aggregatedEndToEndLatency95pct aggregatedEndToEndLatency99pct aggregatedEndToEndLatency999pct
aggregatedEndToEndLatency9999pct aggregatedEndToEndLatencyMax`

// made is a run of two seconds whose latencies are 1 to 1000 microseconds.
func made() *measure.Run {
	run := &measure.Run{Outcome: &load.Outcome{Began: time.Unix(1_700_000_000, 0)}}
	for second := range 2 {
		i := load.Interval{Start: time.Duration(second) * time.Second, End: time.Duration(second+1) * time.Second,
			Sent: load.Count{Requests: 1000, Records: 1000, Bytes: 100_000}, Received: load.Count{Requests: 10, Records: 900, Bytes: 90_000}}
		for us := range int64(1000) {
			load.Record(&i.Latency, (us+1)*1000)
			load.Record(&i.EndToEnd, (us+1)*2000)
			load.Record(&i.Delay, us*10)
		}
		run.Intervals = append(run.Intervals, i)
		run.Total.Merge(&i)
	}
	return run
}

func TestResultHasTheFieldsPeopleRead(t *testing.T) {
	dir := t.TempDir()
	r := &Result{Workload: "w", Driver: "pinion bench"}
	run := made()
	r.Set(run)
	if err := r.Write(dir, run); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(upstream) {
		if v, ok := fields[name]; !ok || v == nil {
			t.Errorf("%s is missing or null", name)
		}
	}
	list, err := Read(dir)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v %v", list, err)
	}
	got := list[0]
	if got.PublishRate[0] != 1000 || got.Backlog[1] != 200 {
		t.Errorf("rates %v, backlog %v", got.PublishRate, got.Backlog)
	}
	if v := got.AggregatedPublishLatency50pct; v < 0.49 || v > 0.51 {
		t.Errorf("median of 1 to 1000 us is %v ms", v)
	}
	if v := got.AggregatedEndToEndLatencyMax; v < 1.99 || v > 2.01 {
		t.Errorf("largest of 2 to 2000 us is %v ms", v)
	}
	if v := got.AggregatedPublishLatencyQuantiles["99"]; v < 0.98 || v > 1 {
		t.Errorf("99th of 1 to 1000 us is %v ms", v)
	}
}

func TestLatenciesAreAHistogramLog(t *testing.T) {
	dir := t.TempDir()
	r, run := &Result{}, made()
	r.Set(run)
	if err := r.Write(dir, run); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "publish.hlog"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first, err := bufio.NewReader(f).ReadString('\n')
	if err != nil || !strings.Contains(first, "1.3") {
		t.Fatalf("first line %q %v", first, err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	reader := hdr.NewHistogramLogReader(f)
	count := 0
	for {
		h, err := reader.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			break
		}
		count++
		if h.TotalCount() != 1000 || h.Max() < 999_000 || h.Max() > 1_001_000 {
			t.Fatalf("%d values, largest %d", h.TotalCount(), h.Max())
		}
	}
	if count != 2 {
		t.Fatalf("%d intervals", count)
	}
	if _, err := os.Stat(filepath.Join(dir, "fetch.hlog")); err == nil {
		t.Error("a log of nothing was written")
	}
}

// A disk that is full leaves the result that was there, or none, and nothing beside it.
func TestAFullDiskLeavesNoHalfOfAResult(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, FileName+".new")); err != nil {
		t.Fatal(err)
	}
	if err := WriteJSON(filepath.Join(dir, FileName), &Result{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk took it: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestReadRefusesWhatIsNoResult(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir); err == nil {
		t.Error("an empty folder has results")
	}
	for _, text := range []string{"{", "{}", `{"publishRate": "many"}`} {
		name := filepath.Join(dir, "x.json")
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(name); err == nil {
			t.Errorf("%s is a result", text)
		}
	}
}
