package main

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/load"
	"pinion/bench/measure"
	"pinion/bench/workload"
)

// runFlags are those of `bench run`.
type runFlags struct {
	benchFlags
	acks       string
	idempotent bool
	linger     time.Duration
	batchBytes int32
	fetchBytes int32
	codec      string
	rate       float64
	stall      time.Duration
	keep       bool
	configs    []string
}

func newBenchRun(con *console) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "run WORKLOAD.yaml", Short: "Run a workload of OpenMessaging Benchmark",
		Long: `Run a workload file of OpenMessaging Benchmark with ordinary clients (franz-go): one producer for each producersPerTopic, one consumer
for each consumerPerSubscription. Warm-up and duration are the file's unless the flags say otherwise.

Records are sent at times fixed beforehand, and publish latencies count from these; publish delay is what the sender itself was
late. Consumers of a subscription share its partitions by a fixed assignment and commit nothing. producerRate 0 searches the
largest rate that producers and consumers keep up with.`,
		Example: `  pinion bench run workloads/1-topic-16-partitions-1kb.yaml --warmup 10s --duration 1m --out r1`,
		Args:    exactly(1, "the workload's file"),
		RunE:    func(cmd *cobra.Command, args []string) error { return benchRun(cmd, con, args[0], &f) },
	}
	f.benchFlags.add(cmd, -1, -1)
	for _, name := range []string{"warmup", "duration"} {
		cmd.Flags().Lookup(name).DefValue = "the workload's"
	}
	cmd.Flags().StringVar(&f.acks, "acks", "all", "all (-1), leader (1) or none (0)")
	cmd.Flags().BoolVar(&f.idempotent, "idempotent", true, "idempotent producers; only with acks=all")
	cmd.Flags().DurationVar(&f.linger, "linger", time.Millisecond, "how long a producer waits for more records")
	cmd.Flags().Int32Var(&f.batchBytes, "batch-bytes", 128<<10, "most bytes of a producer's batch")
	cmd.Flags().Int32Var(&f.fetchBytes, "fetch-bytes", 10<<20, "most bytes a consumer takes of one partition at a time")
	cmd.Flags().StringVarP(&f.codec, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	cmd.Flags().Float64Var(&f.rate, "rate", -1, "records a second instead of the workload's producerRate")
	cmd.Flags().DurationVar(&f.stall, "stall", 30*time.Second, "without any acknowledgement for so long the run has failed")
	cmd.Flags().BoolVar(&f.keep, "keep-topics", false, "do not delete the topics at the end")
	cmd.Flags().StringArrayVarP(&f.configs, "config", "c", nil, "setting of the topics, KEY=VALUE; repeatable")
	return cmd
}

func benchRun(cmd *cobra.Command, con *console, path string, f *runFlags) error {
	if cmd.Flags().Changed("rate") {
		if err := checkRate(f.rate); err != nil {
			return err
		}
	}
	w, err := workload.Load(path, f.override)
	if err != nil {
		return usagef("%v", err)
	}
	options, err := f.options()
	if err != nil {
		return err
	}
	b, err := newBenchRunner(cmd, con, &f.benchFlags, "run")
	if err != nil {
		return err
	}
	defer b.close()
	settings, err := w.Settings()
	if err != nil {
		return err
	}
	maps.Copy(b.base.Pinion.Settings, settings)
	var topic []measure.Config
	for key, value := range options.TopicConfigs {
		topic = append(topic, measure.Config{Key: key, Value: *value})
	}
	b.base.Pinion.Synced = measure.Synced(b.base.Pinion.Configs, topic)
	options.Brokers, options.Pids, options.Say = b.brokers, b.pids, b.say
	duration := options.Duration
	if duration < 0 {
		duration = time.Duration(w.TestDurationMinutes * float64(time.Minute))
	}
	options.Every = f.every(duration)
	b.base.Workload, b.base.MessageSize, b.base.Topics, b.base.Partitions = w.Name, int64(w.MessageSize), w.Topics, w.PartitionsPerTopic
	b.base.ProducersPerTopic, b.base.ConsumersPerTopic = w.ProducersPerTopic, w.ConsumerPerSubscription
	b.base.Pinion.OpenLoop, b.base.Pinion.LatencyFrom = true, "intended time"
	b.base.Pinion.Environment.Remember("consumers share partitions by a fixed assignment and commit no offsets; client franz-go")
	return b.rounds(func(ctx context.Context, progress func(load.Interval)) (*measure.Run, error) {
		options.Progress = progress
		done, err := workload.Run(ctx, w, options)
		if done.Failure != nil {
			b.say("the first failure of a client: %v", describeError(done.Failure, ""))
		}
		if w.ProducerRate == 0 {
			b.say("the rate the search ended with: %.0f records/s", done.Rate)
		}
		if w.ConsumerBacklogSizeGB > 0 {
			b.say("backlog built in %v, drained in %v", done.BacklogBuilt.Round(time.Millisecond), done.BacklogDrain.Round(time.Millisecond))
		}
		return done.Run, err
	})
}

// override puts what the flags say in the place of what the file says.
func (f *runFlags) override(w *workload.Workload) {
	if f.rate >= 0 {
		w.ProducerRate = f.rate
	}
	if f.warmup >= 0 {
		w.WarmupDurationMinutes = f.warmup.Minutes()
	}
	if f.duration > 0 {
		w.TestDurationMinutes = f.duration.Minutes()
	}
}

// options turns the flags into those of the clients.
func (f *runFlags) options() (o workload.Options, err error) {
	produce := produceFlags{codec: f.codec, acks: f.acks}
	if _, err := produceOptions(produce); err != nil {
		return o, err // the words of `topic produce`
	}
	o.Acks = map[string]int{"all": -1, "-1": -1, "leader": 1, "1": 1, "none": 0, "0": 0}[f.acks]
	o.Codec = map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}[f.codec]
	o.Idempotent, o.Linger, o.BatchBytes, o.FetchBytes, o.Stall = f.idempotent, f.linger, f.batchBytes, f.fetchBytes, f.stall
	o.Warmup, o.Duration, o.KeepTopics = f.warmup, f.duration, f.keep
	if f.batchBytes < 1<<10 || f.fetchBytes < 1 || f.linger < 0 || f.stall <= 0 {
		return o, usagef("--batch-bytes wants 1024 at least, --fetch-bytes, --linger and --stall something above zero")
	}
	o.TopicConfigs = map[string]*string{}
	for _, c := range f.configs {
		key, value, ok := strings.Cut(c, "=")
		if !ok {
			return o, usagef("-c %s: want KEY=VALUE", c)
		}
		o.TopicConfigs[key] = &value
	}
	return o, nil
}
