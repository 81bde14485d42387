package main

import (
	"context"
	"fmt"

	"pinion/bench/load"
	"pinion/bench/measure"
	"pinion/disk/codec"
)

// row is one line of the table.
type row struct {
	name    string
	what    string
	figure  string // by which it is judged
	lower   bool   // less of it is better
	limit   string // loop that bounds it; empty: none
	limited string // figure of the loop
	also    []string
	quick   bool // part of the short run

	steady func(ctx context.Context, c *campaign, s *subject) (measure.Figures, error)
	whole  func(ctx context.Context, c *campaign, peer string) (measure.Figures, error)
}

// partitions of every topic of the steady rows.
const partitions = 4

var (
	large = load.Shape{Records: 64, RecordBytes: 1024, RandomRatio: 0.5}
	small = load.Shape{Records: 100, RecordBytes: 100, RandomRatio: 0.5}
	one   = load.Shape{Records: 1, RecordBytes: 100, RandomRatio: 1}
)

const (
	perGB  = "broker_cpu_s_per_gb"
	perCPU = "requests_per_broker_cpu_s"
)

// steadyRows are those that load a broker that runs.
func steadyRows() []row {
	list := []row{
		produceRow("produce-64x1KiB", load.Produce{Connections: 4, InFlight: 4, Shape: large, Acks: 1}, "append-64KiB", true),
		produceRow("produce-100x100B", load.Produce{Connections: 16, InFlight: 2, Shape: small, Acks: 1}, "append-11KiB", true),
	}
	for _, z := range []codec.Codec{codec.LZ4, codec.Zstd} {
		a, b := large, small
		a.Codec, b.Codec = z, z
		list = append(list,
			produceRow("produce-64x1KiB-"+z.String(), load.Produce{Connections: 4, InFlight: 4, Shape: a, Acks: 1}, "append-64KiB-"+z.String(), z == codec.LZ4),
			produceRow("produce-100x100B-"+z.String(), load.Produce{Connections: 16, InFlight: 2, Shape: b, Acks: 1}, "append-11KiB-"+z.String(), false))
	}
	list = append(list,
		produceRow("produce-64x1KiB-idempotent", load.Produce{Connections: 4, InFlight: 4, Shape: large, Acks: -1, Idempotent: true}, "append-64KiB", false),
		produceRow("produce-100x100B-idempotent", load.Produce{Connections: 16, InFlight: 2, Shape: small, Acks: -1, Idempotent: true}, "append-11KiB", false),
		produceRow("produce-64x1KiB-all", load.Produce{Connections: 4, InFlight: 4, Shape: large, Acks: -1}, "append-64KiB", false),
		produceRow("produce-100x100B-all", load.Produce{Connections: 16, InFlight: 2, Shape: small, Acks: -1}, "append-11KiB", false),
		row{name: "fetch-1MiB", what: "fetch 1 MiB, 4 connections, in memory", figure: perGB, lower: true,
			limit: "sendfile-1MiB", limited: "cpu_s_per_gb", also: []string{"fetch_mb_per_s", "fetch_p99_us"}, quick: true, steady: fetchRow},
		smallRow("small-64x1", 64, 1, true),
		smallRow("small-4x16", 4, 16, true),
		endToEndRow("e2e-2000", 2000, "relay-2000", true),
		endToEndRow("e2e-10000", 10_000, "relay-10000", true),
	)
	return list
}

func produceRow(name string, p load.Produce, limit string, quick bool) row {
	what := fmt.Sprintf("produce %s, %d connections x %d", p.Shape, p.Connections, p.InFlight)
	switch {
	case p.Idempotent:
		what += ", idempotent, acks=all"
	case p.Acks == -1:
		what += ", acks=all"
	}
	return row{name: name, what: what, figure: perGB, lower: true, limit: limit, limited: "cpu_s_per_gb", quick: quick,
		also: []string{"produce_mb_per_s", "produce_p99_us"},
		steady: func(ctx context.Context, c *campaign, s *subject) (measure.Figures, error) {
			return c.produce(ctx, s, p)
		}}
}

func smallRow(name string, connections, flying int, quick bool) row {
	p := load.Produce{Connections: connections, InFlight: flying, Shape: one, Acks: 1}
	return row{name: name, what: fmt.Sprintf("produce %s, %d connections x %d", one, connections, flying), figure: perCPU, quick: quick,
		limit: "null-64x1", limited: "requests_per_cpu_s", also: []string{"produce_requests_per_s", "produce_p99_us"},
		steady: func(ctx context.Context, c *campaign, s *subject) (measure.Figures, error) {
			return c.produce(ctx, s, p)
		}}
}

// produce measures a closed loop of producers.
func (c *campaign) produce(ctx context.Context, s *subject, p load.Produce) (figures measure.Figures, err error) {
	err = s.withTopic(ctx, partitions, func(target load.Target) error {
		p.Target = target
		r, err := measure.Load(ctx, s.client, load.Plan{Produce: &p, Warmup: c.warmup, Duration: c.seconds}, s.pids(), nil)
		figures = r.Figures()
		return err
	})
	return figures, err
}

// fetchBytes is how much lies in the topic that is read over and over: little enough to stay in memory.
const fetchBytes = 1 << 30

func fetchRow(ctx context.Context, c *campaign, s *subject) (figures measure.Figures, err error) {
	err = s.withTopic(ctx, partitions, func(target load.Target) error {
		if err := fill(ctx, s, target, large, int64(fetchBytes*c.scale)); err != nil {
			return err
		}
		starts, ends, err := load.Ends(ctx, s.client, target)
		if err != nil {
			return err
		}
		f := &load.Fetch{Target: target, Connections: partitions, BytesMax: 1 << 20, Starts: starts, Ends: ends}
		r, err := measure.Load(ctx, s.client, load.Plan{Fetch: f, Warmup: c.warmup, Duration: c.seconds}, s.pids(), nil)
		figures = r.Figures()
		return err
	})
	return figures, err
}

// fill writes so many bytes into a topic, whoever counts.
func fill(ctx context.Context, s *subject, target load.Target, shape load.Shape, bytes int64) error {
	p := &load.Produce{Target: target, Connections: partitions, InFlight: 4, Shape: shape, Acks: 1, Requests: bytes/int64(shape.Payload()) + 1}
	_, err := load.Run(ctx, s.client, load.Plan{Produce: p}, load.Hooks{})
	return err
}

func endToEndRow(name string, rate float64, limit string, quick bool) row {
	return row{name: name, what: fmt.Sprintf("end to end, open loop, %.0f records of 100 B a second", rate), figure: "e2e_p99_us", lower: true,
		limit: limit, limited: "e2e_p99_us", also: []string{"e2e_p50_us", "e2e_p999_us", "broker_cores", "generator_delay_p99_us"}, quick: quick,
		steady: func(ctx context.Context, c *campaign, s *subject) (figures measure.Figures, err error) {
			err = s.withTopic(ctx, partitions, func(target load.Target) error {
				plan := load.Plan{Warmup: c.warmup, Duration: c.seconds,
					Produce: &load.Produce{Target: target, Connections: partitions, Rate: rate, Shape: one, Acks: 1, Stamp: true},
					Tail:    &load.Tail{Target: target, Connections: 1, From: make([]int64, partitions), RecordBytes: one.RecordBytes}}
				r, err := measure.Load(ctx, s.client, plan, s.pids(), nil)
				figures = r.Figures()
				if err == nil && (r.Unread > 0 || r.Unanswered > 0) {
					err = fmt.Errorf("%d requests without an answer, %d records not read back", r.Unanswered, r.Unread)
				}
				return err
			})
			return figures, err
		}}
}
