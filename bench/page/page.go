// Package page writes one HTML page from results: plots of latency by percentile, of throughput, backlog, latency and processor
// time over time, and all figures as a table. The page holds its data, its style and its one library (uPlot, MIT licence, in the
// folder uplot), so that it can be read on a bench host without a network, and mailed. It reads no files and measures nothing.
package page

import (
	_ "embed" // of the page's parts
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"

	"pinion/bench/results"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.js
	pageScript string
	//go:embed uplot/uPlot.iife.min.js
	plotScript string
	//go:embed uplot/uPlot.min.css
	plotStyle string
)

// series is one result as the page's script wants it.
type series struct {
	Name      string      `json:"name"`
	IntervalS float64     `json:"interval"`
	Publish   []float64   `json:"publish"`
	Consume   []float64   `json:"consume"`
	Backlog   []int64     `json:"backlog"`
	P50       []float64   `json:"p50"` // of what the run measures: end to end, publish or fetch; milliseconds
	P99       []float64   `json:"p99"`
	Max       []float64   `json:"max"`
	Cores     []float64   `json:"cores"`
	CPUPerGB  []float64   `json:"cpu"`
	Quantiles []quantiles `json:"quantiles"`
}

// quantiles are the points of one curve of latency by percentile.
type quantiles struct {
	Name    string    `json:"name"`
	Percent []float64 `json:"percent"`
	Millis  []float64 `json:"ms"`
}

// Write writes the page. It is put together by hand: html/template would add 0.2 MB to the binary.
func Write(out io.Writer, list []results.Named) error {
	if len(list) == 0 {
		return errors.New("a report of no results")
	}
	var all []series
	var names, rows strings.Builder
	for _, r := range list {
		s := seriesOf(r)
		all = append(all, s)
		fmt.Fprintf(&names, `<th class="number">%s</th>`, html.EscapeString(s.Name))
		writeRow(&rows, r)
	}
	data, err := json.Marshal(all) // which escapes <, > and &: it cannot end the script
	if err != nil {
		return fmt.Errorf("data of the report: %w", err)
	}
	// Each part once and in order, so that nothing in one part is taken for the place of another.
	rest := pageText
	for _, part := range []struct{ place, text string }{
		{"title", html.EscapeString(list[0].Workload)}, {"style", plotStyle}, {"title", html.EscapeString(list[0].Workload)},
		{"results", rows.String()}, {"names", names.String()}, {"figures", figureRows(list)},
		{"plot", plotScript}, {"data", string(data)}, {"script", pageScript},
	} {
		before, after, ok := strings.Cut(rest, "{{"+part.place+"}}")
		if !ok {
			return fmt.Errorf("the page has no place for its %s", part.place)
		}
		if _, err := io.WriteString(out, before+part.text); err != nil {
			return err
		}
		rest = after
	}
	_, err = io.WriteString(out, rest)
	return err
}

// figureRows is the table of all figures, one column a result.
func figureRows(list []results.Named) string {
	names := map[string]bool{}
	for _, r := range list {
		for name := range r.Pinion.Figures {
			names[name] = true
		}
	}
	var rows strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(&rows, "<tr><td>%s</td>", html.EscapeString(name))
		for _, r := range list {
			text := ""
			if value, ok := r.Pinion.Figures[name]; ok {
				text = strconv.FormatFloat(value, 'f', decimals(value), 64)
			}
			fmt.Fprintf(&rows, `<td class="number">%s</td>`, text)
		}
		rows.WriteString("</tr>\n")
	}
	return rows.String()
}

// decimals gives three for small numbers and none for large ones.
func decimals(v float64) int {
	switch {
	case v >= 1000:
		return 0
	case v >= 10:
		return 1
	}
	return 3
}

// writeRow is one result's line in the table of what was measured.
func writeRow(rows *strings.Builder, r results.Named) {
	loop := "closed loop, from the send"
	if r.Pinion.OpenLoop {
		loop = "open loop, from the intended time"
	}
	name := html.EscapeString(r.Path)
	if r.Pinion.Partial {
		name += ` <span class="partial">partial: ` + html.EscapeString(r.Pinion.Error) + "</span>"
	}
	e := r.Pinion.Environment
	fmt.Fprintf(rows, "<tr><td>%s</td>", name)
	for _, cell := range []string{r.Workload, loop, r.Pinion.Synced, e.Kernel, fmt.Sprintf("%s, %d processors", e.CPU, e.CPUs), strings.Join(e.Conditions, "; ")} {
		fmt.Fprintf(rows, "<td>%s</td>", html.EscapeString(cell))
	}
	rows.WriteString("</tr>\n")
}

func seriesOf(r results.Named) series {
	s := series{Name: r.Path, IntervalS: r.Pinion.IntervalS, Publish: r.PublishRate, Consume: r.ConsumeRate, Backlog: r.Backlog,
		Cores: r.Pinion.Cores, CPUPerGB: r.Pinion.CPUPerGB, P50: r.PublishLatency50pct, P99: r.PublishLatency99pct, Max: r.PublishLatencyMax}
	if s.IntervalS == 0 {
		s.IntervalS = 10 // of upstream
	}
	for _, c := range []struct {
		name   string
		points map[string]float64
	}{{"publish", r.AggregatedPublishLatencyQuantiles}, {"end to end", r.AggregatedEndToEndLatencyQuantiles}, {"fetch", r.Pinion.FetchQ}} {
		if len(c.points) > 0 {
			s.Quantiles = append(s.Quantiles, curve(c.name, c.points))
		}
	}
	switch {
	case len(r.AggregatedEndToEndLatencyQuantiles) > 0:
		s.P50, s.P99, s.Max = r.EndToEndLatency50pct, r.EndToEndLatency99pct, r.EndToEndLatencyMax
	case len(r.AggregatedPublishLatencyQuantiles) == 0:
		s.P50, s.P99, s.Max = r.Pinion.FetchP50, r.Pinion.FetchP99, nil
	}
	return s
}

// curve sorts the points. Upstream's files name the percentiles in the same way.
func curve(name string, points map[string]float64) quantiles {
	q := quantiles{Name: name}
	at := map[float64]float64{}
	for text, ms := range points {
		if percent, err := strconv.ParseFloat(text, 64); err == nil && percent < 100 {
			at[percent] = ms
			q.Percent = append(q.Percent, percent)
		}
	}
	sort.Float64s(q.Percent)
	for _, percent := range q.Percent {
		q.Millis = append(q.Millis, at[percent])
	}
	return q
}
