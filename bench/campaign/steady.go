package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
	also    []string
	quick   bool // part of the short run
	durable bool // Pinion's topic is made with pinion.durability=fsync

	steady func(ctx context.Context, c *campaign, s *subject, r row) (measure.Figures, error)
	whole  func(ctx context.Context, c *campaign, peer string) (measure.Figures, error)
}

// configs are those of the row's topic.
func (r row) configs(s *subject) map[string]*string {
	if !r.durable || s.name == kafka {
		return nil
	}
	fsync := "fsync"
	return map[string]*string{"pinion.durability": &fsync}
}

// loops are the loops that stand beside the row's peers: the limit, and where that answers nobody, one that does as much and answers, as a broker must.
func (r row) loops() map[string]string {
	loops := map[string]string{}
	if r.limit != "" {
		loops[limitLoop] = r.limit
	}
	if batches, ok := strings.CutPrefix(r.limit, "append-"); ok {
		loops[answerLoop] = "answer-" + batches
	}
	return loops
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
			limit: "serve-1MiB", also: []string{"fetch_mb_per_s", "fetch_p99_us"}, quick: true, steady: fetchRow},
		smallRow("small-64x1", load.Produce{Connections: 64, InFlight: 1, Shape: one, Acks: 1}, true),
		smallRow("small-4x16", load.Produce{Connections: 4, InFlight: 16, Shape: one, Acks: 1}, true),
		endToEndRow("e2e-2000", 2000, 1, "relay-2000", true),
		endToEndRow("e2e-10000", 10_000, 1, "relay-10000", true),
	)
	return list
}

// durableRows are the rows of producers and readers again, where Pinion acknowledges what would survive a power cut. Kafka has no such promise of
// one node: it acknowledges what is in the page cache there too.
func durableRows() (list []row) {
	for _, z := range []codec.Codec{codec.None, codec.LZ4, codec.Zstd} {
		a, b := large, small
		a.Codec, b.Codec = z, z
		tail := ""
		if z != codec.None {
			tail = "-" + z.String()
		}
		list = append(list,
			produceRow("produce-64x1KiB"+tail, load.Produce{Connections: 4, InFlight: 4, Shape: a, Acks: -1, Idempotent: true}, "durable-64KiB"+tail, false),
			produceRow("produce-100x100B"+tail, load.Produce{Connections: 16, InFlight: 2, Shape: b, Acks: -1, Idempotent: true}, "durable-11KiB"+tail, false))
	}
	for _, flying := range []struct{ connections, each int }{{64, 1}, {4, 16}} {
		r := smallRow(fmt.Sprintf("small-%dx%d", flying.connections, flying.each), load.Produce{Connections: flying.connections, InFlight: flying.each, Shape: one, Acks: -1, Idempotent: true}, false)
		r.limit = fmt.Sprintf("durable-%dx%d", flying.connections, flying.each)
		list = append(list, r)
	}
	list = append(list, endToEndRow("e2e-2000", 2000, -1, "relay-2000-durable", false), endToEndRow("e2e-10000", 10_000, -1, "relay-10000-durable", false))
	for i := range list {
		r := &list[i]
		r.name += "-fsync"
		r.what += ", durable"
		r.durable = true
		r.also = append(r.also, "produce_p50_us", "produce_p999_us", "produce_max_us", "device_writes_per_request", "device_flushes_per_request", "device_bytes_per_byte")
		if !slices.Contains(r.also, "machine_stolen_cores") {
			r.also = append(r.also, "machine_stolen_cores")
		}
	}
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
	return row{name: name, what: what, figure: perGB, lower: true, limit: limit, quick: quick,
		also: []string{"produce_mb_per_s", "produce_p99_us"},
		steady: func(ctx context.Context, c *campaign, s *subject, r row) (measure.Figures, error) {
			return c.produce(ctx, s, r, p)
		}}
}

func smallRow(name string, p load.Produce, quick bool) row {
	return row{name: name, what: fmt.Sprintf("produce %s, %d connections x %d", one, p.Connections, p.InFlight), figure: perCPU, quick: quick,
		limit: fmt.Sprintf("null-%dx%d", p.Connections, p.InFlight), also: []string{"produce_requests_per_s", "produce_p99_us"},
		steady: func(ctx context.Context, c *campaign, s *subject, r row) (measure.Figures, error) {
			return c.produce(ctx, s, r, p)
		}}
}

// produce measures a closed loop of producers.
func (c *campaign) produce(ctx context.Context, s *subject, r row, p load.Produce) (figures measure.Figures, err error) {
	err = s.withTopic(ctx, partitions, r.configs(s), func(target load.Target) error {
		p.Target = target
		run, err := measure.Load(ctx, s.client, load.Plan{Produce: &p, Warmup: c.warmup, Duration: c.seconds}, measure.Broker{Pids: s.pids(), Dir: s.dir}, nil)
		figures = run.Figures()
		return err
	})
	return figures, err
}

// fetchBytes is how much lies in the topic that is read over and over: little enough to stay in memory.
const fetchBytes = 1 << 30

func fetchRow(ctx context.Context, c *campaign, s *subject, _ row) (figures measure.Figures, err error) {
	err = s.withTopic(ctx, partitions, nil, func(target load.Target) error {
		if err := fill(ctx, s, target, large, int64(fetchBytes*c.scale)); err != nil {
			return err
		}
		starts, ends, err := load.Ends(ctx, s.client, target)
		if err != nil {
			return err
		}
		f := &load.Fetch{Target: target, Connections: partitions, BytesMax: 1 << 20, Starts: starts, Ends: ends}
		r, err := measure.Load(ctx, s.client, load.Plan{Fetch: f, Warmup: c.warmup, Duration: c.seconds}, measure.Broker{Pids: s.pids()}, nil)
		figures = r.Figures()
		return err
	})
	return figures, err
}

// fill writes so many bytes into a topic, whoever counts.
func fill(ctx context.Context, s *subject, target load.Target, shape load.Shape, bytes int64) error {
	p := &load.Produce{Target: target, Connections: partitions, InFlight: 4, Shape: shape, Acks: -1, Requests: bytes/int64(shape.Payload()) + 1}
	_, err := load.Run(ctx, s.client, load.Plan{Produce: p}, load.Hooks{})
	return err
}

func endToEndRow(name string, rate float64, acks int16, limit string, quick bool) row {
	return row{name: name, what: fmt.Sprintf("end to end, open loop, %.0f records of 100 B a second", rate), figure: "e2e_p99_us", lower: true,
		limit: limit, also: []string{"e2e_p50_us", "e2e_p999_us", "broker_cores", "generator_delay_p99_us", "machine_stolen_cores"}, quick: quick,
		steady: func(ctx context.Context, c *campaign, s *subject, r row) (figures measure.Figures, err error) {
			err = s.withTopic(ctx, partitions, r.configs(s), func(target load.Target) error {
				plan := load.Plan{Warmup: c.warmup, Duration: c.seconds,
					Produce: &load.Produce{Target: target, Connections: partitions, Rate: rate, Shape: one, Acks: acks, Idempotent: acks == -1, Stamp: true},
					Tail:    &load.Tail{Target: target, Connections: 1, From: make([]int64, partitions), RecordBytes: one.RecordBytes}}
				run, err := measure.Load(ctx, s.client, plan, measure.Broker{Pids: s.pids(), Dir: s.dir}, nil)
				figures = run.Figures()
				if err == nil {
					err = run.Missing()
				}
				return err
			})
			return figures, err
		}}
}
