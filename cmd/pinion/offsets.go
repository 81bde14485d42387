package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// The offset language, as people know it from rpk:
//
//	start  end  :end          from the start; from the end; from the start to the current end
//	7  +7  -7                 offset 7; 7 after the start; 7 before the end
//	3:9  3:  :9  +1:-1        half-open ranges of these
//	@1700000000000  @t1:t2    timestamps: milliseconds (13 digits), seconds, 2026-11-22, RFC 3339
//	@-48h:-24h  @-1h:end      ago; end is the current end

// bound is one side of a range.
type bound struct {
	kind  boundKind
	n     int64     // offset, or distance from start or end
	at    time.Time // of boundTime
	given bool
}

type boundKind uint8

const (
	boundStart boundKind = iota
	boundEnd
	boundExact
	boundAfterStart
	boundBeforeEnd
	boundTime
)

// offsetRange is where to begin and, if stop.given, where to end: [from, stop).
type offsetRange struct{ from, stop bound }

// parseOffsets reads the language; now is what ago counts from.
func parseOffsets(text string, now time.Time) (offsetRange, error) {
	if rest, ok := strings.CutPrefix(text, "@"); ok {
		return parseTimes(rest, now)
	}
	left, right, ranged := strings.Cut(text, ":")
	from, err := parseBound(left, ranged)
	if err != nil {
		return offsetRange{}, err
	}
	r := offsetRange{from: from}
	if !ranged || right == "" {
		return r, nil
	}
	if r.stop, err = parseBound(right, false); err != nil {
		return offsetRange{}, err
	}
	r.stop.given = true
	return r, nil
}

func parseBound(text string, mayBeEmpty bool) (bound, error) {
	switch text {
	case "start":
		return bound{kind: boundStart}, nil
	case "end":
		return bound{kind: boundEnd}, nil
	case "":
		if mayBeEmpty {
			return bound{kind: boundStart}, nil
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return bound{}, usagef("offset %q: want start, end, n, +n, -n, a range n:m, or @time (see pinion topic consume --help)", text)
	}
	switch {
	case text[0] == '+':
		return bound{kind: boundAfterStart, n: n}, nil
	case text[0] == '-':
		return bound{kind: boundBeforeEnd, n: -n}, nil
	}
	return bound{kind: boundExact, n: n}, nil
}

// parseTimes reads what follows the @. Times contain colons themselves, so every colon is tried as the one between two times, and
// the whole as one time first.
func parseTimes(text string, now time.Time) (offsetRange, error) {
	if from, ok := parseTime(text, now); ok {
		return offsetRange{from: from}, nil
	}
	for i := range len(text) {
		if text[i] != ':' {
			continue
		}
		from, fromOK := parseTime(text[:i], now)
		if i == 0 {
			from, fromOK = bound{kind: boundStart}, true
		}
		stop, stopOK := parseTime(text[i+1:], now)
		if i == len(text)-1 && i > 0 && fromOK {
			return offsetRange{from: from}, nil
		}
		if fromOK && stopOK {
			stop.given = true
			return offsetRange{from: from, stop: stop}, nil
		}
	}
	return offsetRange{}, usagef("offset @%s: want a time (1700000000000, 1700000000, 2026-11-22, 2026-11-22T10:00:00Z, -1h) or a range of two", text)
}

func parseTime(text string, now time.Time) (bound, bool) {
	at := func(t time.Time) (bound, bool) { return bound{kind: boundTime, at: t}, true }
	switch text {
	case "end":
		return bound{kind: boundEnd}, true
	case "start":
		return bound{kind: boundStart}, true
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 && text[0] != '+' {
		if len(text) == 13 {
			return at(time.UnixMilli(n))
		}
		return at(time.Unix(n, 0))
	}
	if ago, ok := strings.CutPrefix(text, "-"); ok {
		if days, ok := strings.CutSuffix(ago, "d"); ok {
			if n, err := strconv.ParseUint(days, 10, 20); err == nil {
				return at(now.Add(-time.Duration(n) * 24 * time.Hour))
			}
		}
		d, err := time.ParseDuration(ago)
		if err != nil || d < 0 {
			return bound{}, false
		}
		return at(now.Add(-d))
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return at(t)
		}
	}
	return bound{}, false
}

// span is what to read of one partition: [from, stop), or everything from `from` when stop is -1.
type span struct{ from, stop int64 }

// resolver turns bounds into offsets of partitions, asking the brokers only for what is needed.
type resolver struct {
	starts, ends kadm.ListedOffsets
}

// resolve gives the span of every partition of the topics; -1 as stop means no end. With exitAtEnd, what has no end gets the
// current one.
func resolve(ctx context.Context, client *kadm.Client, r offsetRange, exitAtEnd bool, topics []string) (map[string]map[int32]span, error) {
	starts, err := client.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list start offsets: %w", reason(err))
	}
	ends, err := client.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", reason(err))
	}
	if exitAtEnd && !r.stop.given {
		r.stop = bound{kind: boundEnd, given: true}
	}
	res := resolver{starts: starts, ends: ends}
	from, err := res.offsets(ctx, client, r.from, topics)
	if err != nil {
		return nil, err
	}
	var stop map[string]map[int32]int64
	if r.stop.given {
		if stop, err = res.offsets(ctx, client, r.stop, topics); err != nil {
			return nil, err
		}
	}
	spans := map[string]map[int32]span{}
	for topic, partitions := range from {
		spans[topic] = map[int32]span{}
		for partition, offset := range partitions {
			s := span{from: offset, stop: -1}
			if r.stop.given {
				end, _ := ends.Lookup(topic, partition)
				s.stop = min(stop[topic][partition], end.Offset) // a range ends with what there is, it does not wait for more
			}
			spans[topic][partition] = s
		}
	}
	return spans, nil
}

// offsets resolves one bound for every partition, within what the partition holds, except that an exact offset beyond the end is
// kept: the records may still come.
func (r resolver) offsets(ctx context.Context, client *kadm.Client, b bound, topics []string) (map[string]map[int32]int64, error) {
	var times kadm.ListedOffsets
	if b.kind == boundTime {
		var err error
		times, err = client.ListOffsetsAfterMilli(ctx, b.at.UnixMilli(), topics...)
		if err == nil {
			err = times.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("list offsets at %s: %w", b.at.UTC().Format(time.RFC3339), reason(err))
		}
	}
	offsets := map[string]map[int32]int64{}
	r.starts.Each(func(start kadm.ListedOffset) {
		end, _ := r.ends.Lookup(start.Topic, start.Partition)
		var n int64
		switch b.kind {
		case boundStart:
			n = start.Offset
		case boundEnd:
			n = end.Offset
		case boundExact:
			n = b.n
		case boundAfterStart:
			n = start.Offset + b.n
		case boundBeforeEnd:
			n = end.Offset - b.n
		case boundTime:
			n = end.Offset // nothing that late yet
			if at, ok := times.Lookup(start.Topic, start.Partition); ok && at.Offset >= 0 {
				n = at.Offset
			}
		}
		if offsets[start.Topic] == nil {
			offsets[start.Topic] = map[int32]int64{}
		}
		offsets[start.Topic][start.Partition] = max(n, start.Offset)
	})
	return offsets, nil
}
