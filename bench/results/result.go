// Package results is what a measurement leaves behind: one folder with result.json, whose fields have the names and units of
// OpenMessaging Benchmark so that people's tools read it, and ours under "pinion"; and HdrHistogram logs (format V2) of every
// latency. It writes and reads such folders and judges nothing.
//
// Two things differ from OpenMessaging Benchmark and are said in the file: with an open loop publish latencies count from the
// intended time, not from the actual send, and end to end latencies come from nanosecond stamps, so that none is lost or rounded.
package results

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"pinion/bench/load"
	"pinion/bench/machine"
	"pinion/bench/measure"
)

// FileName is the file of a result in its folder.
const FileName = "result.json"

// Result is one measurement. Rates are per second, latencies milliseconds, delays microseconds.
type Result struct {
	Workload          string `json:"workload"`
	Driver            string `json:"driver"`
	MessageSize       int64  `json:"messageSize"`
	Topics            int    `json:"topics"`
	Partitions        int    `json:"partitions"`
	ProducersPerTopic int    `json:"producersPerTopic"`
	ConsumersPerTopic int    `json:"consumersPerTopic"`

	PublishRate      []float64 `json:"publishRate"`
	PublishErrorRate []float64 `json:"publishErrorRate"`
	ConsumeRate      []float64 `json:"consumeRate"`
	Backlog          []int64   `json:"backlog"`

	PublishLatencyAvg     []float64 `json:"publishLatencyAvg"`
	PublishLatency50pct   []float64 `json:"publishLatency50pct"`
	PublishLatency75pct   []float64 `json:"publishLatency75pct"`
	PublishLatency95pct   []float64 `json:"publishLatency95pct"`
	PublishLatency99pct   []float64 `json:"publishLatency99pct"`
	PublishLatency999pct  []float64 `json:"publishLatency999pct"`
	PublishLatency9999pct []float64 `json:"publishLatency9999pct"`
	PublishLatencyMax     []float64 `json:"publishLatencyMax"`

	PublishDelayLatencyAvg     []float64 `json:"publishDelayLatencyAvg"`
	PublishDelayLatency50pct   []int64   `json:"publishDelayLatency50pct"`
	PublishDelayLatency75pct   []int64   `json:"publishDelayLatency75pct"`
	PublishDelayLatency95pct   []int64   `json:"publishDelayLatency95pct"`
	PublishDelayLatency99pct   []int64   `json:"publishDelayLatency99pct"`
	PublishDelayLatency999pct  []int64   `json:"publishDelayLatency999pct"`
	PublishDelayLatency9999pct []int64   `json:"publishDelayLatency9999pct"`
	PublishDelayLatencyMax     []int64   `json:"publishDelayLatencyMax"`

	AggregatedPublishLatencyAvg     float64 `json:"aggregatedPublishLatencyAvg"`
	AggregatedPublishLatency50pct   float64 `json:"aggregatedPublishLatency50pct"`
	AggregatedPublishLatency75pct   float64 `json:"aggregatedPublishLatency75pct"`
	AggregatedPublishLatency95pct   float64 `json:"aggregatedPublishLatency95pct"`
	AggregatedPublishLatency99pct   float64 `json:"aggregatedPublishLatency99pct"`
	AggregatedPublishLatency999pct  float64 `json:"aggregatedPublishLatency999pct"`
	AggregatedPublishLatency9999pct float64 `json:"aggregatedPublishLatency9999pct"`
	AggregatedPublishLatencyMax     float64 `json:"aggregatedPublishLatencyMax"`

	AggregatedPublishDelayLatencyAvg     float64 `json:"aggregatedPublishDelayLatencyAvg"`
	AggregatedPublishDelayLatency50pct   int64   `json:"aggregatedPublishDelayLatency50pct"`
	AggregatedPublishDelayLatency75pct   int64   `json:"aggregatedPublishDelayLatency75pct"`
	AggregatedPublishDelayLatency95pct   int64   `json:"aggregatedPublishDelayLatency95pct"`
	AggregatedPublishDelayLatency99pct   int64   `json:"aggregatedPublishDelayLatency99pct"`
	AggregatedPublishDelayLatency999pct  int64   `json:"aggregatedPublishDelayLatency999pct"`
	AggregatedPublishDelayLatency9999pct int64   `json:"aggregatedPublishDelayLatency9999pct"`
	AggregatedPublishDelayLatencyMax     int64   `json:"aggregatedPublishDelayLatencyMax"`

	AggregatedPublishLatencyQuantiles      map[string]float64 `json:"aggregatedPublishLatencyQuantiles"`
	AggregatedPublishDelayLatencyQuantiles map[string]int64   `json:"aggregatedPublishDelayLatencyQuantiles"`

	EndToEndLatencyAvg     []float64 `json:"endToEndLatencyAvg"`
	EndToEndLatency50pct   []float64 `json:"endToEndLatency50pct"`
	EndToEndLatency75pct   []float64 `json:"endToEndLatency75pct"`
	EndToEndLatency95pct   []float64 `json:"endToEndLatency95pct"`
	EndToEndLatency99pct   []float64 `json:"endToEndLatency99pct"`
	EndToEndLatency999pct  []float64 `json:"endToEndLatency999pct"`
	EndToEndLatency9999pct []float64 `json:"endToEndLatency9999pct"`
	EndToEndLatencyMax     []float64 `json:"endToEndLatencyMax"`

	AggregatedEndToEndLatencyQuantiles map[string]float64 `json:"aggregatedEndToEndLatencyQuantiles"`
	AggregatedEndToEndLatencyAvg       float64            `json:"aggregatedEndToEndLatencyAvg"`
	AggregatedEndToEndLatency50pct     float64            `json:"aggregatedEndToEndLatency50pct"`
	AggregatedEndToEndLatency75pct     float64            `json:"aggregatedEndToEndLatency75pct"`
	AggregatedEndToEndLatency95pct     float64            `json:"aggregatedEndToEndLatency95pct"`
	AggregatedEndToEndLatency99pct     float64            `json:"aggregatedEndToEndLatency99pct"`
	AggregatedEndToEndLatency999pct    float64            `json:"aggregatedEndToEndLatency999pct"`
	AggregatedEndToEndLatency9999pct   float64            `json:"aggregatedEndToEndLatency9999pct"`
	AggregatedEndToEndLatencyMax       float64            `json:"aggregatedEndToEndLatencyMax"`

	BeginTime string `json:"beginTime"`
	EndTime   string `json:"endTime"`

	Pinion Extra `json:"pinion"`
}

// Extra is what OpenMessaging Benchmark has no field for.
type Extra struct {
	Schema      int                 `json:"schema"`
	Verb        string              `json:"verb"` // run, produce, consume, e2e
	Version     string              `json:"version"`
	Partial     bool                `json:"partial"` // it did not come to its end; Error says why
	Error       string              `json:"error,omitempty"`
	OpenLoop    bool                `json:"open_loop"`
	LatencyFrom string              `json:"latency_from"`
	Brokers     string              `json:"brokers"`
	Settings    map[string]string   `json:"settings"`
	Synced      string              `json:"synced"` // what is on the disk when a record is acknowledged
	Figures     measure.Figures     `json:"figures"`
	IntervalS   float64             `json:"interval_s"` // of the series above and below
	Cores       []float64           `json:"broker_cores"`
	CPUPerGB    []float64           `json:"broker_cpu_s_per_gb"`
	Resident    []int64             `json:"broker_rss_bytes"`
	FetchP50    []float64           `json:"fetch_p50_ms"`
	FetchP99    []float64           `json:"fetch_p99_ms"`
	FetchQ      map[string]float64  `json:"fetch_quantiles_ms"`
	Environment machine.Environment `json:"environment"`
	Configs     []measure.Config    `json:"broker_configs"`
}

// schema counts changes of Extra that readers have to know.
const schema = 1

// Set fills everything that comes from the run itself.
func (r *Result) Set(run *measure.Run) {
	r.Pinion.Schema = schema
	r.Pinion.Figures = run.Figures()
	r.BeginTime = run.Began.UTC().Format(time.RFC3339Nano)
	r.EndTime = run.Began.Add(run.Total.End).UTC().Format(time.RFC3339Nano)
	var sent, read int64
	for i := range run.Intervals {
		one := &run.Intervals[i]
		seconds := (one.End - one.Start).Seconds()
		if seconds <= 0 {
			continue
		}
		if r.Pinion.IntervalS == 0 {
			r.Pinion.IntervalS = seconds
		}
		sent, read = sent+one.Sent.Records*int64(max(1, one.Copies)), read+one.Received.Records
		r.PublishRate = append(r.PublishRate, float64(one.Sent.Records)/seconds)
		r.PublishErrorRate = append(r.PublishErrorRate, float64(one.Errors)/seconds)
		r.ConsumeRate = append(r.ConsumeRate, float64(one.Received.Records)/seconds)
		r.Backlog = append(r.Backlog, max(0, sent-read))
		r.publish(one.Latency)
		r.delay(one.Delay)
		r.endToEnd(one.EndToEnd)
		r.Pinion.FetchP50 = append(r.Pinion.FetchP50, millis(one.Fetch, 50))
		r.Pinion.FetchP99 = append(r.Pinion.FetchP99, millis(one.Fetch, 99))
	}
	for _, s := range run.Samples {
		r.Pinion.Cores = append(r.Pinion.Cores, s.Cores)
		r.Pinion.CPUPerGB = append(r.Pinion.CPUPerGB, s.CPUPerGB)
		r.Pinion.Resident = append(r.Pinion.Resident, s.Resident)
	}
	r.Pinion.FetchQ = quantiles(run.Total.Fetch)
	r.aggregate(&run.Total)
}

func (r *Result) publish(h *hdr.Histogram) {
	r.PublishLatencyAvg = append(r.PublishLatencyAvg, mean(h)/1e6)
	for at, list := range map[float64]*[]float64{50: &r.PublishLatency50pct, 75: &r.PublishLatency75pct, 95: &r.PublishLatency95pct,
		99: &r.PublishLatency99pct, 99.9: &r.PublishLatency999pct, 99.99: &r.PublishLatency9999pct, 100: &r.PublishLatencyMax} {
		*list = append(*list, millis(h, at))
	}
}

func (r *Result) endToEnd(h *hdr.Histogram) {
	r.EndToEndLatencyAvg = append(r.EndToEndLatencyAvg, mean(h)/1e6)
	for at, list := range map[float64]*[]float64{50: &r.EndToEndLatency50pct, 75: &r.EndToEndLatency75pct, 95: &r.EndToEndLatency95pct,
		99: &r.EndToEndLatency99pct, 99.9: &r.EndToEndLatency999pct, 99.99: &r.EndToEndLatency9999pct, 100: &r.EndToEndLatencyMax} {
		*list = append(*list, millis(h, at))
	}
}

func (r *Result) delay(h *hdr.Histogram) {
	r.PublishDelayLatencyAvg = append(r.PublishDelayLatencyAvg, mean(h)/1e3)
	for at, list := range map[float64]*[]int64{50: &r.PublishDelayLatency50pct, 75: &r.PublishDelayLatency75pct, 95: &r.PublishDelayLatency95pct,
		99: &r.PublishDelayLatency99pct, 99.9: &r.PublishDelayLatency999pct, 99.99: &r.PublishDelayLatency9999pct, 100: &r.PublishDelayLatencyMax} {
		*list = append(*list, micros(h, at))
	}
}

func (r *Result) aggregate(t *load.Interval) {
	r.AggregatedPublishLatencyAvg, r.AggregatedEndToEndLatencyAvg = mean(t.Latency)/1e6, mean(t.EndToEnd)/1e6
	r.AggregatedPublishDelayLatencyAvg = mean(t.Delay) / 1e3
	for at, into := range map[float64]*float64{50: &r.AggregatedPublishLatency50pct, 75: &r.AggregatedPublishLatency75pct, 95: &r.AggregatedPublishLatency95pct,
		99: &r.AggregatedPublishLatency99pct, 99.9: &r.AggregatedPublishLatency999pct, 99.99: &r.AggregatedPublishLatency9999pct, 100: &r.AggregatedPublishLatencyMax} {
		*into = millis(t.Latency, at)
	}
	for at, into := range map[float64]*float64{50: &r.AggregatedEndToEndLatency50pct, 75: &r.AggregatedEndToEndLatency75pct, 95: &r.AggregatedEndToEndLatency95pct,
		99: &r.AggregatedEndToEndLatency99pct, 99.9: &r.AggregatedEndToEndLatency999pct, 99.99: &r.AggregatedEndToEndLatency9999pct, 100: &r.AggregatedEndToEndLatencyMax} {
		*into = millis(t.EndToEnd, at)
	}
	for at, into := range map[float64]*int64{50: &r.AggregatedPublishDelayLatency50pct, 75: &r.AggregatedPublishDelayLatency75pct, 95: &r.AggregatedPublishDelayLatency95pct,
		99: &r.AggregatedPublishDelayLatency99pct, 99.9: &r.AggregatedPublishDelayLatency999pct, 99.99: &r.AggregatedPublishDelayLatency9999pct, 100: &r.AggregatedPublishDelayLatencyMax} {
		*into = micros(t.Delay, at)
	}
	r.AggregatedPublishLatencyQuantiles, r.AggregatedEndToEndLatencyQuantiles = quantiles(t.Latency), quantiles(t.EndToEnd)
	r.AggregatedPublishDelayLatencyQuantiles = map[string]int64{}
	for q, v := range quantiles(t.Delay) {
		r.AggregatedPublishDelayLatencyQuantiles[q] = int64(v * 1e3)
	}
}

func mean(h *hdr.Histogram) float64 {
	if h == nil || h.TotalCount() == 0 {
		return 0
	}
	return h.Mean()
}

func millis(h *hdr.Histogram, at float64) float64 {
	if h == nil || h.TotalCount() == 0 {
		return 0
	}
	return float64(h.ValueAtPercentile(at)) / 1e6
}

func micros(h *hdr.Histogram, at float64) int64 {
	if h == nil || h.TotalCount() == 0 {
		return 0
	}
	return h.ValueAtPercentile(at) / 1e3
}

// quantiles are percentile and milliseconds: finer towards the end, as far as there are values.
func quantiles(h *hdr.Histogram) map[string]float64 {
	q := map[string]float64{}
	if h == nil || h.TotalCount() == 0 {
		return q
	}
	for i := range 100 {
		q[strconv.Itoa(i)] = millis(h, float64(i))
	}
	for gap := 1.0; gap*float64(h.TotalCount()) >= 100 && gap > 1e-6; gap /= 10 {
		for _, part := range []float64{0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1} {
			at := 100 - gap*part
			q[strconv.FormatFloat(at, 'f', -1, 64)] = millis(h, at)
		}
	}
	q["100"] = millis(h, 100)
	return q
}

// Write makes the folder of a result. What was measured of one that failed is written as well, marked partial.
func (r *Result) Write(dir string, run *measure.Run) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("folder of the result: %w", err)
	}
	for name, pick := range map[string]func(*load.Interval) *hdr.Histogram{
		"publish.hlog":       func(i *load.Interval) *hdr.Histogram { return i.Latency },
		"publish-delay.hlog": func(i *load.Interval) *hdr.Histogram { return i.Delay },
		"end-to-end.hlog":    func(i *load.Interval) *hdr.Histogram { return i.EndToEnd },
		"fetch.hlog":         func(i *load.Interval) *hdr.Histogram { return i.Fetch },
	} {
		if err := writeLog(filepath.Join(dir, name), run, pick); err != nil {
			return err
		}
	}
	return WriteJSON(filepath.Join(dir, FileName), r)
}

// WriteJSON replaces a file as a whole: who is killed, or meets a full disk, leaves no half of one.
func WriteJSON(name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	temporary := name + ".new"
	err = os.WriteFile(temporary, append(text, '\n'), 0o644)
	if err == nil {
		err = os.Rename(temporary, name)
	}
	if err != nil {
		_ = os.Remove(temporary) // it may not even have come into being
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// writeLog writes one histogram an interval, in nanoseconds; nothing if there are no values.
func writeLog(name string, run *measure.Run, pick func(*load.Interval) *hdr.Histogram) (err error) {
	if pick(&run.Total) == nil {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write the latencies: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := hdr.NewHistogramLogWriter(f)
	began := run.Began.UnixMilli()
	w.SetBaseTime(began)
	for _, step := range []error{w.OutputLogFormatVersion(), w.OutputComment("[latencies in nanoseconds]"), w.OutputStartTime(began), w.OutputBaseTime(began), w.OutputLegend()} {
		if step != nil {
			return fmt.Errorf("write %s: %w", name, step)
		}
	}
	for i := range run.Intervals {
		one := &run.Intervals[i]
		h := pick(one)
		if h == nil {
			continue
		}
		h.SetStartTimeMs(began + one.Start.Milliseconds())
		h.SetEndTimeMs(began + one.End.Milliseconds())
		if err := w.OutputIntervalHistogram(h); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// Named is a result and where it came from.
type Named struct {
	*Result
	Path string
}

// Files names the results of a file, or of a folder and all below it, in order of path.
func Files(path string) (names []string, err error) {
	err = filepath.WalkDir(path, func(name string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && (name == path || entry.Name() == FileName) {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

// Read gives the results that Files names.
func Read(path string) (list []Named, err error) {
	names, err := Files(path)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read results: %w", err)
		}
		r := &Result{}
		if err := json.Unmarshal(text, r); err != nil {
			return nil, fmt.Errorf("%s is not a result: %w", name, err)
		}
		if len(r.PublishRate) == 0 && len(r.ConsumeRate) == 0 && !r.Pinion.Partial {
			return nil, fmt.Errorf("%s is not a result: it has no rates", name)
		}
		list = append(list, Named{r, name})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no %s in %s", FileName, path)
	}
	return list, nil
}
