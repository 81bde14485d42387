package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"

	"github.com/twmb/franz-go/pkg/kadm"

	"pinion/bench/measure"
	"pinion/bench/peer"
	"pinion/bench/results"
	"pinion/bench/verdict"
)

// describe is the figures that are named, as one line.
func describe(f measure.Figures, names []string) string {
	var parts []string
	for _, name := range names {
		if v, ok := f[name]; ok {
			parts = append(parts, name+" "+number(v))
		}
	}
	return strings.Join(parts, "  ")
}

// number has three digits, and no more zeros than needed.
func number(v float64) string {
	switch {
	case v >= 100:
		return group(fmt.Sprintf("%.0f", v))
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// group puts commas between thousands.
func group(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// unit is what a figure's name says about it, for people.
func unit(figure string) string {
	units := map[string]string{perGB: "broker CPU s/GB", "cpu_s_per_gb": "CPU s/GB", perCPU: "requests per broker CPU s", "requests_per_cpu_s": "requests per CPU s"}
	if u, ok := units[figure]; ok {
		return u
	}
	return strings.ReplaceAll(figure, "_", " ")
}

// known are the rows the ledger has something of, in the order of the table.
func (l *ledger) known() (list []row) {
	for _, set := range setNames {
		for _, r := range rowSets[set]() {
			if slices.ContainsFunc(l.entries, func(e entry) bool { return e.Row == r.name }) {
				list = append(list, r)
			}
		}
	}
	return list
}

// cell is a spread for people: median and interval, or why there is none.
func (l *ledger) cell(row, peer, figure string) string {
	rounds := l.rounds(row, peer, figure)
	if len(rounds) == 0 {
		if why := l.failure(row, peer); why != "" {
			return "failed"
		}
		return ""
	}
	return spread(rounds)
}

// spread is median and interval, or the one round there is; nothing of none.
func spread(rounds []float64) string {
	if len(rounds) == 0 {
		return ""
	}
	s := verdict.Of(rounds)
	if s.Rounds == 1 {
		return number(s.Median)
	}
	return fmt.Sprintf("%s [%s, %s]", number(s.Median), number(s.Low), number(s.High))
}

// ratio is one side's median over another's; nothing where there is none.
func ratio(a, b []float64) string {
	c := verdict.Compare(b, a, true)
	if math.IsNaN(c.Ratio) {
		return ""
	}
	if c.Call == verdict.Unknown {
		return fmt.Sprintf("%.2f", c.Ratio)
	}
	return fmt.Sprintf("%.2f [%.2f, %.2f]", c.Ratio, c.Low, c.High)
}

var header = []string{"ROW", "FIGURE", "LIMIT", "PINION", "PINION/LIMIT", "KAFKA", "PINION/KAFKA", "THAN KAFKA", "CORES", "CORES/LIMIT", "CORES/KAFKA"}

// ofLoop is what a loop calls a broker's figure, where the names differ.
var ofLoop = map[string]string{perGB: "cpu_s_per_gb", perCPU: "requests_per_cpu_s", "broker_cores": "cores",
	"produce_mb_per_s": "mb_per_s", "fetch_mb_per_s": "mb_per_s", "produce_requests_per_s": "requests_per_s"}

func loopFigure(name string) string { return cmp.Or(ofLoop[name], name) }

// table is the rows' main figures, one line each, and the further ones below.
func table(l *ledger) (lines [][]string) {
	for _, r := range l.known() {
		for i, figure := range append([]string{r.figure}, r.also...) {
			own, cores, other := l.rounds(r.name, pinion, figure), l.rounds(r.name, pinionCores, figure), l.rounds(r.name, kafka, figure)
			line := []string{r.what, unit(figure), "", l.cell(r.name, pinion, figure), "", l.cell(r.name, kafka, figure), ratio(own, other), "",
				l.cell(r.name, pinionCores, figure), "", ratio(cores, other)}
			if i == 0 && len(other) > 0 && len(own) > 0 {
				line[7] = string(verdict.Compare(other, own, r.lower).Call)
			}
			if i > 0 {
				line[0] = ""
			}
			beside := func(line []string, side string) {
				loop := l.rounds(r.name, side, loopFigure(figure))
				line[2], line[4], line[9] = l.cell(r.name, side, loopFigure(figure)), ratio(own, loop), ratio(cores, loop)
			}
			beside(line, limitLoop)
			if line[3] != "" || line[5] != "" || line[8] != "" {
				lines = append(lines, line)
			}
			if i == 0 && len(l.rounds(r.name, answerLoop, loopFigure(figure))) > 0 {
				line = []string{"beside a loop that also answers", unit(figure), "", line[3], "", "", "", "", line[8], "", ""}
				beside(line, answerLoop)
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// show writes the table for a terminal.
func show(l *ledger, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w)
	for _, line := range append([][]string{header}, table(l)...) {
		for i := range line {
			if line[i] == "" {
				line[i] = "-"
			}
		}
		if _, err := fmt.Fprintln(w, strings.Join(line, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// commit is the source that was measured. The page of results is not part of that.
func commit() string {
	head, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(head))
	changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)bench/RESULTS.md").Output()
	if err != nil || len(changed) > 0 {
		name += "-dirty"
	}
	return name
}

// note writes down what a broker is configured to: what is not a default, and what decides durability.
func (c *campaign) note(ctx context.Context, s *subject) error {
	session := &c.ledger.sessions[len(c.ledger.sessions)-1]
	configs, err := measure.Configs(ctx, kadm.NewClient(s.client))
	if err != nil {
		return err
	}
	session.Configs[s.name] = measure.Telling(configs)
	if s.name == kafka {
		session.Versions["kafka"] = peer.Version
		session.Settings["kafka virtual machine"] = strings.Join(peer.Flags(), " ")
	}
	return results.WriteJSON(c.ledger.dir+"/session-"+session.Time.Format("20060102T150405")+".json", session)
}

// writeResults writes the page of results from the ledger alone.
func writeResults(l *ledger, name string) error {
	var page strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&page, format+"\n", args...) }
	p("# Results\n\nWritten by `bench/campaign` from the figures of a run; not by hand. Medians of rounds, and in brackets the interval of the")
	p("median (95 in 100 by resampling; the range where there are fewer than %d rounds). Latencies of open loops count from the intended", verdict.RoundsMin)
	p("time. A ratio of processor times below 1 is good for Pinion, one of requests per processor second above 1. THAN KAFKA is")
	p("said only where the interval of the ratio leaves 1 out; \"same\" is a difference within the noise, \"unknown\" too few rounds. CORES is Pinion with")
	p("`pinion.advertise=core`, where clients know each core as a broker; everything else is its default in both. LIMIT is a loop that makes nothing but")
	p("the system calls. In a round the loops of a row and the brokers take turns, whoever begins changes with the round, and the file system is synced before each.\n")
	p("| %s |\n|%s", strings.Join(header, " | "), strings.Repeat("---|", len(header)))
	for _, line := range table(l) {
		p("| %s |", strings.Join(line, " | "))
	}
	writeLoops(l, p)
	writeFailures(l, p)
	writeSessions(l, p)
	return os.WriteFile(name, []byte(page.String()), 0o644)
}

// writeLoops lists the machine's limits and how a JVM warmed up.
func writeLoops(l *ledger, p func(string, ...any)) {
	p("\n## The machine's limits\n\n| loop | CPU s/GB | requests per CPU s | p50 us | p99 us |\n|---|---|---|---|---|")
	type place struct{ row, side string }
	places := map[string][]place{} // of each loop: where it stood
	for _, r := range l.known() {
		for side, loop := range r.loops() {
			places[loop] = append(places[loop], place{r.name, side})
		}
	}
	for _, loop := range slices.Sorted(maps.Keys(places)) {
		line := ""
		for _, figures := range [][]string{{"cpu_s_per_gb"}, {"requests_per_cpu_s"}, {"e2e_p50_us", "produce_p50_us", "sync_p50_us"}, {"e2e_p99_us", "produce_p99_us", "sync_p99_us"}} {
			text := ""
			for _, figure := range figures {
				var rounds []float64
				for _, at := range places[loop] {
					rounds = append(rounds, l.rounds(at.row, at.side, figure)...)
				}
				text = cmp.Or(text, spread(rounds))
			}
			line += " | " + text
		}
		if strings.Trim(line, " |") != "" { // it was measured
			p("| %s%s |", loop, line)
		}
	}
	if heat := l.rounds("warming-up", kafka, perGB); len(heat) > 0 {
		var parts []string
		for _, v := range heat {
			parts = append(parts, number(v))
		}
		p("\nKafka from cold to warm, 3 GB of %s a slice, broker CPU s/GB: %s.", large, strings.Join(parts, ", "))
	}
}

func writeFailures(l *ledger, p func(string, ...any)) {
	first := true
	for _, e := range l.entries {
		if e.Error == "" {
			continue
		}
		if first {
			p("\n## What failed\n")
			first = false
		}
		p("- %s, %s, round %d: %s", e.Row, e.Peer, e.Round, firstLine(e.Error))
	}
}

func writeSessions(l *ledger, p func(string, ...any)) {
	p("\n## Conditions\n")
	for _, s := range l.sessions {
		e := s.Environment
		p("%s, commit %s: %s, %d processors (%d usable%s), governor %q, %.1f GB of memory, Linux %s, %s; data on %s, %s, write cache %q.\n",
			s.Time.Format("2006-01-02 15:04 UTC"), s.Commit, e.CPU, e.CPUs, e.Usable, map[bool]string{true: ", a guest"}[e.Virtual],
			e.Governor, float64(e.MemoryBytes)/1e9, e.Kernel, e.System, e.FileSystem, e.Device, e.WriteCache)
		for _, c := range e.Conditions {
			p("- %s", c)
		}
		var settings []string
		for k, v := range s.Settings {
			settings = append(settings, k+" "+v)
		}
		for k, v := range s.Versions {
			settings = append(settings, k+" "+v)
		}
		for k, v := range e.Versions {
			settings = append(settings, k+" "+v)
		}
		sort.Strings(settings)
		p("- %s", strings.Join(settings, "; "))
		peers := make([]string, 0, len(s.Configs))
		for name := range s.Configs {
			peers = append(peers, name)
		}
		sort.Strings(peers)
		for _, name := range peers {
			p("- %s: %s", name, strings.Join(s.Configs[name], ", "))
		}
		p("")
	}
}
