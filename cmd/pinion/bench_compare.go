package main

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pinion/bench/measure"
	"pinion/bench/results"
	"pinion/bench/verdict"
)

// comparedFigure is one line of `bench compare`.
type comparedFigure struct {
	Figure  string   `json:"figure"`
	A       float64  `json:"a_median"`
	B       float64  `json:"b_median"`
	Ratio   *float64 `json:"ratio"`     // null where A is zero, as the next two
	Low     *float64 `json:"ratio_low"` // of the interval that holds the ratio of 95 in 100 such pairs
	High    *float64 `json:"ratio_high"`
	RoundsA int      `json:"rounds_a"`
	RoundsB int      `json:"rounds_b"`
	Verdict string   `json:"verdict"`

	change, noise string
}

// compared is a comparison of a figure as it is shown.
func compared(name string, c verdict.Comparison) comparedFigure {
	f := comparedFigure{Figure: name, A: c.A.Median, B: c.B.Median, RoundsA: c.A.Rounds, RoundsB: c.B.Rounds, Verdict: string(c.Call), change: c.Change(), noise: c.Noise()}
	if !math.IsNaN(c.Ratio) {
		f.Ratio, f.Low, f.High = &c.Ratio, &c.Low, &c.High
	}
	return f
}

func newBenchCompare() *cobra.Command {
	var conditions []string
	cmd := &cobra.Command{
		Use: "compare A B", Short: "Hold two results against each other, and their noise",
		Long: fmt.Sprintf(`Hold the results in folder B against those in folder A. Several rounds on each side (--rounds 5) tell how much the same
measurement differs from itself: a difference smaller than that is called "same", and with fewer than %d rounds on a side nothing is
called at all.

--fail-if 'p99>+5%%' exits with 1 if a figure of that name is worse by more, and the difference is no noise.`, verdict.RoundsMin),
		Example: `  pinion bench compare before after --fail-if 'p99>+5%' --fail-if 'broker_cpu_s_per_gb>+3%'`,
		Args:    exactly(2, "two folders of results"),
		RunE:    func(cmd *cobra.Command, args []string) error { return benchCompare(cmd, args[0], args[1], conditions) },
	}
	cmd.Flags().StringArrayVar(&conditions, "fail-if", nil, "FIGURE>+N%: a figure, or a part of its name such as p99, that is larger in B; < for smaller. Repeatable")
	return cmd
}

func benchCompare(cmd *cobra.Command, a, b string, conditions []string) error {
	var checks []failIf
	for _, text := range conditions {
		check, err := parseFailIf(text)
		if err != nil {
			return err
		}
		checks = append(checks, check)
	}
	before, err := readWhole(a)
	if err != nil {
		return err
	}
	after, err := readWhole(b)
	if err != nil {
		return err
	}
	for _, difference := range differences(before, after) {
		fmt.Fprintln(cmd.ErrOrStderr(), "different: "+difference)
	}
	left, right := figuresOf(before), figuresOf(after)
	var rows []comparedFigure
	for _, name := range sortedFigures(measure.Figures(firsts(left))) {
		lower, judged := direction(name)
		if !judged || len(right[name]) == 0 {
			continue
		}
		rows = append(rows, compared(name, verdict.Compare(left[name], right[name], lower)))
	}
	if len(rows) == 0 {
		return fmt.Errorf("%s and %s have no figure in common", a, b)
	}
	if err := writeList(cmd, []string{"FIGURE", "A", "B", "CHANGE", "NOISE", "VERDICT"}, rows, func(r comparedFigure) []string {
		return []string{r.Figure, short(r.A), short(r.B), r.change, r.noise, r.Verdict}
	}); err != nil {
		return err
	}
	return judge(rows, checks)
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// readWhole reads the results that came to their end.
func readWhole(path string) ([]results.Named, error) {
	list, err := results.Read(path)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(r results.Named) bool { return r.Pinion.Partial })
	if len(list) == 0 {
		return nil, fmt.Errorf("every result in %s is partial: there is nothing to compare", path)
	}
	return list, nil
}

// figuresOf gives each figure of all rounds.
func figuresOf(list []results.Named) map[string][]float64 {
	all := map[string][]float64{}
	for _, r := range list {
		for name, v := range r.Pinion.Figures {
			all[name] = append(all[name], v)
		}
	}
	return all
}

func firsts(all map[string][]float64) map[string]float64 {
	one := map[string]float64{}
	for name, list := range all {
		one[name] = list[0]
	}
	return one
}

// direction says whether less of a figure is better, and whether it is one of the broker's at all.
func direction(name string) (lower, judged bool) {
	switch {
	case strings.HasPrefix(name, "generator_"), strings.HasPrefix(name, "machine_"):
		return false, false
	case strings.HasSuffix(name, "_per_s"), name == "requests_per_broker_cpu_s":
		return false, true
	}
	return true, true
}

// differences are settings and conditions that the results of both sides do not all share. One that a result does not tell is passed over.
func differences(a, b []results.Named) (list []string) {
	add := func(what string, of func(*results.Result) any) {
		x, y := distinct(a, of), distinct(b, of)
		if all := distinct(slices.Concat(a, b), of); len(all) > 1 {
			list = append(list, fmt.Sprintf("%s is %s in A and %s in B", what, strings.Join(x, ", "), strings.Join(y, ", ")))
		}
	}
	add("workload", func(r *results.Result) any { return r.Workload })
	add("message size", func(r *results.Result) any { return r.MessageSize })
	add("topics", func(r *results.Result) any { return r.Topics })
	add("partitions", func(r *results.Result) any { return r.Partitions })
	add("producers per topic", func(r *results.Result) any { return r.ProducersPerTopic })
	add("consumers per topic", func(r *results.Result) any { return r.ConsumersPerTopic })
	add("verb", func(r *results.Result) any { return r.Pinion.Verb })
	add("kernel", func(r *results.Result) any { return r.Pinion.Environment.Kernel })
	add("cpu", func(r *results.Result) any { return r.Pinion.Environment.CPU })
	add("cpus", func(r *results.Result) any { return r.Pinion.Environment.CPUs })
	add("congestion control", func(r *results.Result) any { return r.Pinion.Environment.Congestion })
	add("what is synced", func(r *results.Result) any { return r.Pinion.Synced })
	keys := map[string]bool{}
	for _, r := range slices.Concat(a, b) {
		for key := range r.Pinion.Settings {
			keys[key] = key != "rounds" && key != "broker-pid" && key != "no-progress"
		}
	}
	for key, counts := range keys {
		if counts {
			add(key, func(r *results.Result) any {
				if v, ok := r.Pinion.Settings[key]; ok {
					return v
				}
				return nil
			})
		}
	}
	slices.Sort(list)
	return list
}

// distinct are the values that results have, each once.
func distinct(list []results.Named, of func(*results.Result) any) (values []string) {
	for _, r := range list {
		if v := of(r.Result); v != nil && !slices.Contains(values, fmt.Sprint(v)) {
			values = append(values, fmt.Sprint(v))
		}
	}
	return values
}

// failIf is one condition.
type failIf struct {
	text, name string
	larger     bool
	by         float64
}

var failIfSyntax = regexp.MustCompile(`^([a-z0-9_]+)([<>])([+-]?[0-9.]+)%$`)

func parseFailIf(text string) (failIf, error) {
	m := failIfSyntax.FindStringSubmatch(strings.ReplaceAll(text, " ", ""))
	if m == nil {
		return failIf{}, usagef("--fail-if %q: want FIGURE>+N%% or FIGURE<-N%%", text)
	}
	by, err := strconv.ParseFloat(m[3], 64)
	if err != nil {
		return failIf{}, usagef("--fail-if %q: %v", text, err)
	}
	return failIf{text, m[1], m[2] == ">", by / 100}, nil
}

// matches reports whether a figure has the name, or has it as a part.
func (f failIf) matches(figure string) bool {
	return figure == f.name || slices.Contains(strings.Split(figure, "_"), f.name)
}

// judge fails where a condition holds. One that cannot be told, for want of rounds or of the figure, fails as well: a gate that lets
// through what it does not see is none.
func judge(rows []comparedFigure, checks []failIf) error {
	for _, check := range checks {
		seen := false
		for _, r := range rows {
			if !check.matches(r.Figure) {
				continue
			}
			seen = true
			if r.Verdict == string(verdict.Unknown) {
				return fmt.Errorf("--fail-if %q: %s has too few rounds to tell; want %d on each side", check.text, r.Figure, verdict.RoundsMin)
			}
			change := *r.Ratio - 1
			if r.Verdict != string(verdict.Same) && (check.larger && change > check.by || !check.larger && change < check.by) {
				return fmt.Errorf("--fail-if %q: %s changed by %s", check.text, r.Figure, r.change)
			}
		}
		if !seen {
			return fmt.Errorf("--fail-if %q: there is no such figure in both", check.text)
		}
	}
	return nil
}
