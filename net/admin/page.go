package admin

import (
	"io"
	"strconv"
)

// page writes one page in Prometheus text format, family by family. The library writes its metadata before every sample of a family
// that has labels, which promtool refuses, and calls one callback per sample, where a scrape should copy each shard's counters once.
type page struct {
	buf    []byte
	family string
}

// kind is a family's TYPE line.
type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
	summary   kind = "summary" // quantiles only; the counts are in the histograms
)

// open begins a family. Every family is opened once a page and its samples follow it.
func (p *page) open(name string, k kind, help string) {
	p.family = name
	p.buf = append(p.buf, "# HELP "...)
	p.buf = append(append(p.buf, name...), ' ')
	p.buf = append(append(p.buf, help...), "\n# TYPE "...)
	p.buf = append(append(p.buf, name...), ' ')
	p.buf = append(append(p.buf, k...), '\n')
}

// sample writes one value of the open family; labels come in pairs, name and value.
func (p *page) sample(value float64, labels ...string) { p.line("", value, labels...) }

// count is sample for counters; above 2^53 a float would lose the last digits and rates would jump.
func (p *page) count(value uint64, labels ...string) {
	p.head("", labels...)
	p.buf = append(strconv.AppendUint(p.buf, value, 10), '\n')
}

func (p *page) line(suffix string, value float64, labels ...string) {
	p.head(suffix, labels...)
	p.buf = append(strconv.AppendFloat(p.buf, value, 'g', -1, 64), '\n')
}

func (p *page) head(suffix string, labels ...string) {
	p.buf = append(append(p.buf, p.family...), suffix...)
	for i := 0; i+1 < len(labels); i += 2 {
		p.buf = append(p.buf, "{,"[min(i, 1)])
		p.buf = append(append(p.buf, labels[i]...), '=', '"')
		p.buf = append(appendEscaped(p.buf, labels[i+1]), '"')
	}
	if len(labels) > 1 {
		p.buf = append(p.buf, '}')
	}
	p.buf = append(p.buf, ' ')
}

// appendEscaped writes a label's value: backslash, quote and newline are the three that need it.
func appendEscaped(dst []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case '\\', '"':
			dst = append(dst, '\\', s[i])
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

// buckets writes a histogram of the open family in seconds. The first bucket bounds are dropped: nothing worth a series takes under
// a microsecond (2^10 ns), and what does is in the first one that is written.
func (p *page) buckets(b *Buckets, labels ...string) {
	const first = 10
	with := append(append([]string(nil), labels...), "le", "")
	below := uint64(0)
	for i, n := range b.Count {
		below += n
		if i < first || i == bucketCount-1 {
			continue
		}
		_, upper := bounds(i)
		with[len(with)-1] = strconv.FormatFloat(upper.Seconds(), 'g', -1, 64)
		p.line("_bucket", float64(below), with...)
	}
	with[len(with)-1] = "+Inf"
	p.line("_bucket", float64(below), with...)
	p.line("_sum", float64(b.Nanos)/1e9, labels...)
	p.line("_count", float64(below), labels...)
}

// flush sends the page. A scraper that went away is no error of ours.
func (p *page) flush(w io.Writer) { _, _ = w.Write(p.buf) }
