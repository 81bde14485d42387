package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"pinion/bench/load"
	"pinion/bench/measure"
	"pinion/disk/codec"
)

// rawFlags are those of the verbs that use the raw generator.
type rawFlags struct {
	benchFlags
	topic       string
	partitions  int
	connections int
	threads     int
	acks        string

	shape      load.Shape
	codec      string
	idempotent bool
	inFlight   int
	rate       float64

	fetchBytes int32
	fill       int64
}

func (f *rawFlags) addTopic(cmd *cobra.Command, connections int) {
	cmd.Flags().StringVarP(&f.topic, "topic", "t", "", "topic to use; one is made and deleted again without")
	cmd.Flags().IntVarP(&f.partitions, "partitions", "p", 4, "partitions of the topic that is made")
	cmd.Flags().IntVar(&f.connections, "connections", connections, "connections; at least one for each leader")
	cmd.Flags().IntVar(&f.threads, "threads", 1, "threads of the generator")
}

func (f *rawFlags) addBatch(cmd *cobra.Command, records, bytes int) {
	cmd.Flags().IntVar(&f.shape.Records, "records", records, "records of a batch")
	cmd.Flags().IntVar(&f.shape.RecordBytes, "record-bytes", bytes, "bytes of a record's value")
	cmd.Flags().Float64Var(&f.shape.RandomRatio, "random", 0.5, "part of a value that is random; the rest is zeros")
	cmd.Flags().StringVarP(&f.codec, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
}

func (f *rawFlags) addAcks(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.acks, "acks", "leader", "leader (1) or all (-1)")
}

// read checks what has words.
func (f *rawFlags) read() (acks int16, err error) {
	if f.codec != "" {
		var ok bool
		if f.shape.Codec, ok = codec.Parse(f.codec); !ok {
			return 0, usagef("--compression %s: want none, gzip, snappy, lz4 or zstd", f.codec)
		}
	}
	if f.partitions < 1 || f.connections < 1 || f.threads < 1 {
		return 0, usagef("--partitions, --connections and --threads want at least 1")
	}
	switch f.acks {
	case "leader", "1", "":
		return 1, nil
	case "all", "-1":
		return -1, nil
	}
	return 0, usagef("--acks %s: want leader or all", f.acks)
}

// withTopic finds the topic, or makes one for the time of the work.
func (b *bench) withTopic(f *rawFlags, work func(load.Target) error) (err error) {
	ctx := b.cmd.Context()
	if f.topic != "" {
		target, err := load.Find(ctx, b.client, f.topic)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return mustExist(b.cmd, b.client, f.topic) // with a suggestion
		}
		if err != nil {
			return err
		}
		b.lookAtTopic(ctx, f.topic)
		return work(target)
	}
	name := fmt.Sprintf("bench-%d-%d", os.Getpid(), time.Now().UnixNano())
	target, err := load.Create(ctx, b.client, name, f.partitions, nil)
	if err != nil {
		return err
	}
	defer func() {
		// Also after Ctrl-C; a broker that died keeps it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
		defer cancel()
		if _, deleteErr := kadm.NewClient(b.client).DeleteTopic(ctx, name); deleteErr != nil {
			b.say("topic %s was not deleted: %v", name, reason(deleteErr))
		}
	}()
	b.lookAtTopic(ctx, name)
	return work(target)
}

// lookAtTopic corrects what the broker's configuration says by that of the topic.
func (b *bench) lookAtTopic(ctx context.Context, topic string) {
	configs, err := measure.TopicConfigs(ctx, kadm.NewClient(b.client), topic)
	if err != nil {
		b.base.Pinion.Environment.Remember("the topic does not tell its configuration: %v", err) // no reason not to measure it
	}
	b.base.Pinion.Synced = measure.Synced(b.base.Pinion.Configs, configs)
}

func newBenchProduce(con *console) *cobra.Command {
	var f rawFlags
	cmd := &cobra.Command{
		Use: "produce", Short: "Send batches from a raw generator",
		Long: `Send batches that were encoded beforehand, over raw sockets, at a cost that is small beside the broker's.

Without --rate it is a closed loop with --in-flight requests on each connection: it finds the ceiling and what it costs. With --rate
it is an open loop: records are sent at times fixed beforehand, and latencies count from these.`,
		Example: `  pinion bench produce --records 100 --record-bytes 100 --connections 16 --in-flight 2
  pinion bench produce --records 1 --record-bytes 100 --rate 10000 --rounds 5 --out before`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return benchProduce(cmd, con, &f) },
	}
	f.benchFlags.add(cmd, time.Second, 10*time.Second)
	f.addTopic(cmd, 4)
	f.addBatch(cmd, 64, 1024)
	f.addAcks(cmd)
	cmd.Flags().BoolVar(&f.idempotent, "idempotent", false, "a producer id and sequence numbers for each connection")
	cmd.Flags().IntVar(&f.inFlight, "in-flight", 4, "requests in flight on each connection of the closed loop")
	cmd.Flags().Float64Var(&f.rate, "rate", 0, "records a second; 0: as many as the broker takes")
	return cmd
}

func benchProduce(cmd *cobra.Command, con *console, f *rawFlags) error {
	acks, err := f.read()
	if err != nil {
		return err
	}
	if err := checkRate(f.rate); err != nil {
		return err
	}
	if f.inFlight < 1 || f.shape.Records < 1 || f.shape.RecordBytes < 1 {
		return usagef("--in-flight, --records and --record-bytes want something above zero")
	}
	b, err := newBenchRunner(cmd, con, &f.benchFlags, "produce")
	if err != nil {
		return err
	}
	defer b.close()
	return b.withTopic(f, func(target load.Target) error {
		b.describe(f, len(target.Leaders), f.rate > 0)
		b.base.ProducersPerTopic = f.connections
		return b.rounds(func(ctx context.Context, progress func(load.Interval)) (*measure.Run, error) {
			p := &load.Produce{Target: target, Connections: f.connections, InFlight: f.inFlight, Shape: f.shape, Acks: acks,
				Idempotent: f.idempotent, Rate: f.rate / float64(f.shape.Records)}
			return measure.Load(ctx, b.client, b.plan(f, load.Plan{Produce: p}), measure.Broker{Pids: b.pids}, progress)
		})
	})
}

// describe fills a result's first fields.
func (b *bench) describe(f *rawFlags, partitions int, open bool) {
	b.base.Workload = b.verb
	if f.shape.Records > 0 {
		b.base.Workload += " " + f.shape.String()
	}
	b.base.MessageSize, b.base.Topics, b.base.Partitions = int64(f.shape.RecordBytes), 1, partitions
	b.base.Pinion.OpenLoop, b.base.Pinion.LatencyFrom = open, "actual send"
	if open {
		b.base.Pinion.LatencyFrom = "intended time"
	}
}

func (b *bench) plan(f *rawFlags, p load.Plan) load.Plan {
	p.Warmup, p.Duration, p.Threads, p.Every = f.warmup, f.duration, f.threads, f.every(f.duration)
	return p
}

func newBenchConsume(con *console) *cobra.Command {
	var f rawFlags
	cmd := &cobra.Command{
		Use: "consume", Short: "Read partitions over and over with a raw generator",
		Long: `Read partitions from start to end, over and over, with one Fetch in flight on each connection.

Without --topic a topic is made and filled first, with little enough to stay in the broker's memory. Bytes are those of batches, as
they are stored.`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return benchConsume(cmd, con, &f) },
	}
	f.benchFlags.add(cmd, time.Second, 10*time.Second)
	f.addTopic(cmd, 4)
	f.addBatch(cmd, 64, 1024)
	cmd.Flags().Int32Var(&f.fetchBytes, "fetch-bytes", 1<<20, "most bytes of one answer")
	cmd.Flags().Int64Var(&f.fill, "fill-bytes", 1<<30, "bytes of values written to the topic that is made")
	return cmd
}

func benchConsume(cmd *cobra.Command, con *console, f *rawFlags) error {
	if _, err := f.read(); err != nil {
		return err
	}
	if f.fetchBytes < 1 || f.fill < 1 || f.shape.Records < 1 || f.shape.RecordBytes < 1 {
		return usagef("--fetch-bytes, --fill-bytes, --records and --record-bytes want something above zero")
	}
	b, err := newBenchRunner(cmd, con, &f.benchFlags, "consume")
	if err != nil {
		return err
	}
	defer b.close()
	return b.withTopic(f, func(target load.Target) error {
		ctx := cmd.Context()
		if f.topic == "" {
			requests := max(int64(len(target.Leaders)), f.fill/int64(f.shape.Payload()))
			b.say("filling the topic with %d batches of %s", requests, f.shape)
			// All: what is read next has to be visible, which acks=1 does not promise.
			p := &load.Produce{Target: target, Connections: len(target.Leaders), InFlight: 4, Shape: f.shape, Acks: -1, Requests: requests}
			if _, err := load.Run(ctx, b.client, load.Plan{Produce: p}, load.Hooks{}); err != nil {
				return fmt.Errorf("fill the topic: %w", err)
			}
		}
		starts, ends, err := load.Ends(ctx, b.client, target)
		if err != nil {
			return err
		}
		b.describe(f, len(target.Leaders), false)
		b.base.ConsumersPerTopic = f.connections
		return b.rounds(func(ctx context.Context, progress func(load.Interval)) (*measure.Run, error) {
			fetch := &load.Fetch{Target: target, Connections: f.connections, BytesMax: f.fetchBytes, Starts: starts, Ends: ends}
			return measure.Load(ctx, b.client, b.plan(f, load.Plan{Fetch: fetch}), measure.Broker{Pids: b.pids}, progress)
		})
	})
}

func newBenchEndToEnd(con *console) *cobra.Command {
	var f rawFlags
	cmd := &cobra.Command{
		Use: "e2e", Short: "Send stamped records at fixed times and read them back",
		Long: `Send stamped records one by one at times fixed beforehand (an open loop) and read them back with long polls on one connection.

A record's latency runs from the time it was meant to be sent to its arrival, by nanosecond stamps in its value.`,
		Example: `  pinion bench e2e --rate 10000 --duration 30s`,
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return benchEndToEnd(cmd, con, &f) },
	}
	f.benchFlags.add(cmd, time.Second, 10*time.Second)
	f.addTopic(cmd, 4)
	f.addAcks(cmd)
	cmd.Flags().IntVar(&f.shape.RecordBytes, "record-bytes", 100, "bytes of a record's value; 8 at least, for the stamp")
	cmd.Flags().Float64Var(&f.rate, "rate", 2000, "records a second")
	cmd.Flags().BoolVar(&f.idempotent, "idempotent", false, "a producer id and sequence numbers for each connection")
	return cmd
}

func benchEndToEnd(cmd *cobra.Command, con *console, f *rawFlags) error {
	acks, err := f.read()
	if err != nil {
		return err
	}
	f.shape.Records, f.shape.RandomRatio = 1, 1
	if err := checkRate(f.rate); err != nil {
		return err
	}
	if f.rate == 0 || f.shape.RecordBytes < 8 {
		return usagef("--rate wants something above zero, --record-bytes 8 at least")
	}
	b, err := newBenchRunner(cmd, con, &f.benchFlags, "e2e")
	if err != nil {
		return err
	}
	defer b.close()
	return b.withTopic(f, func(target load.Target) error {
		b.describe(f, len(target.Leaders), true)
		b.base.ProducersPerTopic, b.base.ConsumersPerTopic = f.connections, 1
		return b.rounds(func(ctx context.Context, progress func(load.Interval)) (*measure.Run, error) {
			_, ends, err := load.Ends(ctx, b.client, target)
			if err != nil {
				return nil, err
			}
			return measure.Load(ctx, b.client, b.plan(f, load.Plan{
				Produce: &load.Produce{Target: target, Connections: f.connections, Shape: f.shape, Acks: acks, Idempotent: f.idempotent, Rate: f.rate, Stamp: true},
				Tail:    &load.Tail{Target: target, Connections: 1, From: ends, RecordBytes: f.shape.RecordBytes},
			}), measure.Broker{Pids: b.pids}, progress)
		})
	})
}
