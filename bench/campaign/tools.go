package main

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"pinion/bench/load"
	"pinion/bench/measure"
	"pinion/bench/peer"
)

// Sizes of what Kafka's own tools send; -scale shrinks them.
const (
	toolRecords     = 2_000_000 // of 1,000 bytes
	toolRecordBytes = 1000
	toolTinyRecords = 5_000_000 // of 100 bytes
	toolTinyBytes   = 100
)

// toolHeap is how Kafka's start scripts run its tools.
var toolHeap = []string{"-Xmx512M", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"}

// toolRows run Kafka's own performance tools against both brokers: other people's clients and other people's arithmetic.
func toolRows() []row {
	return []row{
		toolRow("perf-producer-1000B", "kafka-producer-perf-test, 1,000 B records, acks=1", toolRecords, toolRecordBytes, "acks=1", "enable.idempotence=false"),
		toolRow("perf-producer-1000B-all", "kafka-producer-perf-test, 1,000 B records, acks=all, idempotent", toolRecords, toolRecordBytes, "acks=all"),
		toolRow("perf-producer-100B", "kafka-producer-perf-test, 100 B records, acks=1", toolTinyRecords, toolTinyBytes, "acks=1", "enable.idempotence=false"),
		{name: "perf-consumer-1000B", what: "kafka-consumer-perf-test, 1,000 B records", figure: "tool_mb_per_s", also: []string{perGB}, steady: consumerTool},
	}
}

func toolRow(name, what string, records, bytes int, properties ...string) row {
	return row{name: name, what: what, figure: "tool_records_per_s", also: []string{"tool_mb_per_s", "tool_p99_ms", perGB},
		steady: func(ctx context.Context, c *campaign, s *subject, _ row) (figures measure.Figures, err error) {
			err = s.withTopic(ctx, partitions, nil, func(target load.Target) error {
				count := c.scaled(records)
				args := append([]string{"org.apache.kafka.tools.ProducerPerformance", "--topic", target.Topic, "--num-records", strconv.Itoa(count),
					"--record-size", strconv.Itoa(bytes), "--throughput", "-1", "--producer-props", "bootstrap.servers=" + s.broker.Address()}, properties...)
				said, cost, err := tool(ctx, s, args)
				if err != nil {
					return err
				}
				figures, err = producerFigures(said)
				cost.AddTo(figures, int64(count)*int64(bytes), 0)
				return err
			})
			return figures, err
		}}
}

// tool runs one of Kafka's tools and what it cost the broker; the virtual machine's start is within the time, and takes next to
// nothing of the broker's.
func tool(ctx context.Context, s *subject, args []string) (said string, cost measure.Cost, err error) {
	jars, err := peer.Jars(ctx)
	if err != nil {
		return "", cost, err
	}
	meter := &measure.Meter{Broker: measure.Broker{Pids: s.pids()}}
	var out, problems bytes.Buffer
	cmd := peer.Command(ctx, jars, toolHeap, args)
	cmd.Stdout, cmd.Stderr = &out, &problems
	meter.Begin()
	runErr := cmd.Run()
	cost, err = meter.End()
	if runErr != nil {
		text := strings.TrimSpace(problems.String() + out.String())
		return "", cost, fmt.Errorf("%s: %w: %s", args[0], runErr, text[max(0, len(text)-600):])
	}
	return out.String(), cost, err
}

var producerSaid = regexp.MustCompile(`(\d+) records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency, ([\d.]+) ms max latency, (\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th, (\d+) ms 99.9th`)

// producerFigures reads the last line of kafka-producer-perf-test.
func producerFigures(said string) (measure.Figures, error) {
	all := producerSaid.FindAllStringSubmatch(said, -1)
	if len(all) == 0 {
		return nil, fmt.Errorf("kafka-producer-perf-test said nothing that could be read: %q", said[max(0, len(said)-300):])
	}
	m := all[len(all)-1]
	figures := measure.Figures{}
	for i, name := range []string{"", "tool_records_per_s", "tool_mib_per_s", "tool_avg_ms", "tool_max_ms", "tool_p50_ms", "tool_p95_ms", "tool_p99_ms", "tool_p999_ms"} {
		if name == "" {
			continue
		}
		v, err := strconv.ParseFloat(m[i+1], 64)
		if err != nil {
			return nil, err
		}
		figures[name] = v
	}
	figures["tool_mb_per_s"] = figures["tool_mib_per_s"] * 1.048576
	return figures, nil
}

// consumerTool reads what a raw generator wrote. The tool subscribes with a group: a broker without groups fails this row.
func consumerTool(ctx context.Context, c *campaign, s *subject, _ row) (figures measure.Figures, err error) {
	err = s.withTopic(ctx, partitions, nil, func(target load.Target) error {
		shape := load.Shape{Records: 64, RecordBytes: toolRecordBytes, RandomRatio: 0.5}
		records := c.scaled(toolRecords) / shape.Records * shape.Records
		if err := fill(ctx, s, target, shape, int64(records)*toolRecordBytes); err != nil {
			return err
		}
		said, cost, err := tool(ctx, s, []string{"org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", s.broker.Address(), "--topic", target.Topic,
			"--messages", strconv.Itoa(records), "--timeout", "20000", "--hide-header"})
		if err != nil {
			return err
		}
		figures, err = consumerFigures(said, records)
		if err == nil {
			cost.AddTo(figures, int64(records)*toolRecordBytes, 0)
		}
		return err
	})
	return figures, err
}

// consumerFigures reads the line of kafka-consumer-perf-test: start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, fetch
// MB/s, fetch records/s.
func consumerFigures(said string, want int) (measure.Figures, error) {
	for line := range strings.Lines(said) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if len(fields) < 10 {
			continue
		}
		var values []float64
		for _, f := range fields[2:] {
			v, err := strconv.ParseFloat(strings.TrimSpace(f), 64)
			if err != nil {
				break
			}
			values = append(values, v)
		}
		if len(values) < 8 {
			continue
		}
		if int(values[2]) < want {
			return nil, fmt.Errorf("kafka-consumer-perf-test read %d records of %d", int(values[2]), want)
		}
		return measure.Figures{"tool_mb_per_s": values[1] * 1.048576, "tool_records_per_s": values[3], "tool_fetch_mb_per_s": values[6] * 1.048576}, nil
	}
	return nil, fmt.Errorf("kafka-consumer-perf-test said nothing that could be read: %q", said[max(0, len(said)-300):])
}
