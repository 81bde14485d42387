package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"pinion/bench/load"
	"pinion/bench/machine"
	"pinion/bench/measure"
	"pinion/bench/page"
	"pinion/bench/results"
)

// benchFlags are those of every verb that measures a broker.
type benchFlags struct {
	out        string
	warmup     time.Duration
	duration   time.Duration
	interval   time.Duration
	rounds     int
	pids       []int
	noProgress bool
}

func (f *benchFlags) add(cmd *cobra.Command, warmup, duration time.Duration) {
	cmd.Flags().StringVar(&f.out, "out", "", "folder for the result that holds no other; with --rounds one below it for each. Nothing is kept without")
	cmd.Flags().DurationVar(&f.warmup, "warmup", warmup, "time of the same load before the measured time")
	cmd.Flags().DurationVar(&f.duration, "duration", duration, "measured time")
	cmd.Flags().DurationVar(&f.interval, "interval", 0, "length of the intervals of series and progress; 0: a second, 10s from two minutes on")
	cmd.Flags().IntVar(&f.rounds, "rounds", 1, "how often to measure; compare needs five to tell a difference from noise. With several -o json is an array")
	cmd.Flags().IntSliceVar(&f.pids, "broker-pid", nil, "the broker's processes; found by their listening socket if they are on this machine")
	cmd.Flags().BoolVar(&f.noProgress, "no-progress", false, "no lines while it runs")
}

func (f *benchFlags) check(cmd *cobra.Command) error {
	if _, err := outputFormat(cmd); err != nil {
		return err
	}
	switch {
	case f.rounds < 1:
		return usagef("--rounds %d: want at least 1", f.rounds)
	case f.warmup < 0 && cmd.Flags().Changed("warmup"), f.duration <= 0 && cmd.Flags().Changed("duration"):
		return usagef("--warmup and --duration want a time above zero")
	case f.interval != 0 && f.interval < intervalMin:
		return usagef("--interval %v: want %v at least", f.interval, intervalMin)
	}
	return nil
}

// intervalMin is the shortest interval: giving one away is work, and has to stay little beside the load.
const intervalMin = 10 * time.Millisecond

// checkRate checks a rate of records a second; 0 means something to most verbs.
func checkRate(rate float64) error {
	if !(rate >= 0 && rate <= load.RateMax) { // also NaN
		return usagef("--rate %v: want records a second, %.0f at most", rate, float64(load.RateMax))
	}
	return nil
}

// claim makes the folder of the results, so that one that cannot be made is found before the measurement. One that has results is
// refused: compare and the report would take them for rounds of the new one.
func (f *benchFlags) claim() error {
	if f.out == "" {
		return nil
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	held, err := results.Files(f.out)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if len(held) > 0 {
		return usagef("--out %s has a result already (%s), and both would count as one; name another folder", f.out, held[0])
	}
	return nil
}

// every is the length of an interval.
func (f *benchFlags) every(duration time.Duration) time.Duration {
	switch {
	case f.interval > 0:
		return f.interval
	case duration >= 2*time.Minute:
		return 10 * time.Second
	}
	return min(time.Second, max(duration, intervalMin))
}

// bench is one command that measures a broker.
type bench struct {
	cmd     *cobra.Command
	con     *console
	flags   *benchFlags
	verb    string
	brokers []string
	client  *kgo.Client
	pids    []int
	base    results.Result    // what every round's result begins with
	live    *os.File          // the terminal progress goes to; nil without one
	printed []*results.Result // several rounds are one array of JSON, written at the end
}

// newBenchRunner connects and looks at the broker and the machine.
func newBenchRunner(cmd *cobra.Command, con *console, flags *benchFlags, verb string) (*bench, error) {
	if err := flags.check(cmd); err != nil {
		return nil, err
	}
	client, err := newClient(cmd)
	if err != nil {
		return nil, err
	}
	b := &bench{cmd: cmd, con: con, flags: flags, verb: verb, client: client, pids: flags.pids}
	if b.brokers, err = seedBrokers(cmd); err != nil {
		return nil, errors.Join(err, b.close())
	}
	if err := b.look(); err != nil {
		return nil, errors.Join(err, b.close())
	}
	if err := flags.claim(); err != nil {
		return nil, errors.Join(err, b.close())
	}
	if f, ok := con.err.(*os.File); ok && isTerminal(f) {
		b.live = f
	}
	return b, nil
}

func (b *bench) close() error {
	b.client.Close()
	return nil
}

// look fills what results say about the broker and the machine.
func (b *bench) look() error {
	environment := machine.Look("")
	environment.Remember("the generator's sockets use %s", load.Congestion)
	ctx, cancel := context.WithTimeout(b.cmd.Context(), adminTimeout)
	defer cancel()
	admin := kadm.NewClient(b.client)
	if len(b.pids) == 0 {
		var err error
		if b.pids, err = measure.Processes(ctx, admin); err != nil {
			environment.Remember("the brokers' processes are not known: %v", err)
		}
	}
	sort.Ints(b.pids)
	b.pids = slices.Compact(b.pids)
	if _, err := machine.Of(b.pids...); err != nil {
		return fmt.Errorf("--broker-pid: %w", err)
	}
	b.base.Driver = "pinion bench"
	b.base.Pinion = results.Extra{Verb: b.verb, Version: version, Brokers: strings.Join(b.brokers, ","), Environment: environment, Settings: map[string]string{}}
	configs, err := measure.Configs(ctx, admin)
	if err != nil {
		b.base.Pinion.Environment.Remember("the broker does not tell its configuration: %v", err) // no reason not to measure it
	}
	b.base.Pinion.Configs, b.base.Pinion.Synced = configs, measure.Synced(configs, nil)
	b.cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "out" && f.Name != "output" && f.Name != "brokers" && f.Name != "help" {
			b.base.Pinion.Settings[f.Name] = f.Value.String()
		}
	})
	return nil
}

// rounds measures as often as was asked for, and writes and prints each result. What was measured until an error or Ctrl-C is kept.
func (b *bench) rounds(measureOnce func(ctx context.Context, progress func(load.Interval)) (*measure.Run, error)) (err error) {
	if f, _ := outputFormat(b.cmd); f == formatJSON && b.flags.rounds > 1 {
		b.printed = []*results.Result{} // without any it is [], never null
		defer func() { err = errors.Join(err, writeJSON(b.cmd.OutOrStdout(), b.printed)) }()
	}
	for round := 1; round <= b.flags.rounds; round++ {
		if b.flags.rounds > 1 {
			b.say("round %d of %d", round, b.flags.rounds)
		}
		r := b.base
		run, err := measureOnce(b.cmd.Context(), b.progress)
		b.clear()
		if run == nil {
			return err
		}
		if err == nil {
			err = run.Missing()
		}
		if err != nil && len(run.Intervals) == 0 {
			return err // nothing was measured
		}
		r.Set(run)
		if err != nil {
			r.Pinion.Partial, r.Pinion.Error = true, err.Error()
		}
		// Where it cannot be kept, what is printed is all there is.
		if err := errors.Join(err, b.keep(&r, run, round), b.print(&r, run)); err != nil {
			return err
		}
		if run.Total.Errors > 0 {
			return &failure{exitPartial, fmt.Errorf("%d requests failed; they are in the result", run.Total.Errors)}
		}
	}
	return nil
}

// keep writes the result's folder.
func (b *bench) keep(r *results.Result, run *measure.Run, round int) error {
	if b.flags.out == "" {
		return nil
	}
	dir := b.flags.out
	if b.flags.rounds > 1 {
		dir = filepath.Join(dir, fmt.Sprintf("round-%02d", round))
	}
	if err := r.Write(dir, run); err != nil {
		return err
	}
	page := filepath.Join(b.flags.out, "report.html")
	if err := writeReport(page, []string{b.flags.out}); err != nil {
		return err
	}
	what := "wrote"
	if r.Pinion.Partial {
		what = "partial result kept:"
	}
	b.say("%s %s and latencies (*.hlog) in %s, %s", what, results.FileName, dir, page)
	return nil
}

func writeReport(name string, from []string) (err error) {
	var list []results.Named
	for _, path := range from {
		some, err := results.Read(path)
		if err != nil {
			return err
		}
		list = append(list, some...)
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return page.Write(f, list)
}

func (b *bench) say(format string, args ...any) {
	b.clear()
	fmt.Fprintf(b.con.err, format+"\n", args...)
}

// clear removes the live line.
func (b *bench) clear() {
	if b.live != nil {
		_, _ = io.WriteString(b.con.err, "\r\x1b[K")
	}
}

// progress shows an interval: over the last one on a terminal, else as a line.
func (b *bench) progress(i load.Interval) {
	if b.flags.noProgress {
		return
	}
	line := progressLine(i)
	if b.live != nil {
		// A line that wraps could not be written over.
		if size, err := unix.IoctlGetWinsize(int(b.live.Fd()), unix.TIOCGWINSZ); err == nil && int(size.Col) > 0 && len(line) >= int(size.Col) {
			line = line[:size.Col-1]
		}
		_, _ = io.WriteString(b.con.err, "\r\x1b[K"+line)
		return
	}
	fmt.Fprintln(b.con.err, line)
}

// progressLine is like OpenMessaging Benchmark's.
func progressLine(i load.Interval) string {
	seconds := (i.End - i.Start).Seconds()
	parts := []string{fmt.Sprintf("[%4.0fs]", i.End.Seconds())}
	rate := func(what string, c load.Count) {
		if c.Requests > 0 {
			parts = append(parts, fmt.Sprintf("%s rate %.0f msg/s / %.1f MB/s", what, float64(c.Records)/seconds, float64(c.Bytes)/seconds/1e6))
		}
	}
	rate("Pub", i.Sent)
	if i.Errors > 0 {
		parts = append(parts, fmt.Sprintf("Pub err %.0f err/s", float64(i.Errors)/seconds))
	}
	rate("Cons", i.Received)
	latency := func(what, unit string, scale float64, h *hdr.Histogram) {
		if h != nil && h.TotalCount() > 0 {
			at := func(p float64) float64 { return float64(h.ValueAtPercentile(p)) / scale }
			parts = append(parts, fmt.Sprintf("%s (%s) avg: %.2f - 50%%: %.2f - 99%%: %.2f - 99.9%%: %.2f - Max: %.2f", what, unit, h.Mean()/scale, at(50), at(99), at(99.9), float64(h.Max())/scale))
		}
	}
	latency("Pub Latency", "ms", 1e6, i.Latency)
	latency("Pub Delay Latency", "us", 1e3, i.Delay)
	latency("End to end", "ms", 1e6, i.EndToEnd)
	latency("Fetch", "ms", 1e6, i.Fetch)
	if len(parts) == 1 {
		parts = append(parts, "nothing was answered")
	}
	return parts[0] + " " + strings.Join(parts[1:], " | ")
}

// print writes the result to stdout: JSON as it is kept, or a table.
func (b *bench) print(r *results.Result, run *measure.Run) error {
	f, err := outputFormat(b.cmd)
	if err != nil {
		return err
	}
	out := b.cmd.OutOrStdout()
	switch f {
	case formatJSON:
		if b.printed != nil {
			b.printed = append(b.printed, r)
			return nil
		}
		return writeJSON(out, r)
	case formatJSONL:
		_, err := io.WriteString(out, compactJSON(r))
		return err
	}
	if h := run.Total.Latency; h != nil && h.TotalCount() > 0 { // as kafka-producer-perf-test says it
		seconds := run.Total.End.Seconds()
		at := func(p float64) float64 { return float64(h.ValueAtPercentile(p)) / 1e6 }
		fmt.Fprintf(out, "%d records sent, %f records/sec (%.2f MB/sec), %.2f ms avg latency, %.2f ms max latency, %.2f ms 50th, %.2f ms 95th, %.2f ms 99th, %.2f ms 99.9th.\n",
			run.Total.Sent.Records, float64(run.Total.Sent.Records)/seconds, float64(run.Total.Sent.Bytes)/seconds/(1<<20), h.Mean()/1e6, float64(h.Max())/1e6, at(50), at(95), at(99), at(99.9))
	}
	rows := [][]string{}
	for _, name := range sortedFigures(r.Pinion.Figures) {
		rows = append(rows, []string{name, strconv.FormatFloat(r.Pinion.Figures[name], 'f', 3, 64)})
	}
	loop := "closed loop: latencies count from the send and hide what a stalled broker kept waiting"
	if r.Pinion.OpenLoop {
		loop = "open loop: latencies count from the intended time; no coordinated omission"
	}
	rows = append(rows, []string{"loop", loop}, []string{"on disk when acknowledged", r.Pinion.Synced})
	return writeTable(out, []string{"FIGURE", "VALUE"}, rows)
}

func sortedFigures(f measure.Figures) []string {
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
