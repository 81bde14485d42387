package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/measure"
	"pinion/bench/workload"
)

// shape is a workload of OpenMessaging Benchmark with what its driver file would say.
type shape struct {
	workload.Workload
	batchBytes int32
	linger     time.Duration
}

// Sizes of the two shapes that are cut for a small machine; -scale changes them.
const (
	manyProducers = 400 // of 4,000
	backlogGB     = 4
)

// shapeRows are the shapes that two cores can run: ordinary clients, so that the client is most of the cost and the broker's
// latency under a given rate is what to look at.
func shapeRows() (list []row) {
	plain := func(name string, topics, partitions, bytes, producers, consumers int, rate float64) workload.Workload {
		return workload.Workload{Name: name, Topics: topics, PartitionsPerTopic: partitions, MessageSize: bytes, SubscriptionsPerTopic: 1,
			ConsumerPerSubscription: consumers, ProducersPerTopic: producers, ProducerRate: rate, KeyDistributor: "NO_KEY", UseRandomizedPayloads: true,
			RandomBytesRatio: 0.5, RandomizedPayloadPoolSize: 100, BacklogDrainRatio: 1}
	}
	for _, rate := range []float64{10_000, 50_000, 0} {
		list = append(list, shapeRow("omb-1-1p-1kb-"+rateName(rate), shape{Workload: plain("1 topic, 1 partition", 1, 1, 1024, 1, 1, rate)}))
	}
	list = append(list, shapeRow("omb-1-16p-1kb-50k", shape{Workload: plain("1 topic, 16 partitions", 1, 16, 1024, 1, 1, 50_000), linger: time.Millisecond}))
	for _, rate := range []float64{50_000, 100_000, 200_000} {
		list = append(list, shapeRow("omb-1-100p-1kb-4p4c-"+rateName(rate), shape{Workload: plain("1 topic, 100 partitions, 4p/4c", 1, 100, 1024, 4, 4, rate), linger: time.Millisecond}))
	}
	list = append(list, shapeRow("omb-10-3p-100b-max", shape{Workload: plain("10 topics, 3 partitions", 10, 3, 100, 1, 1, 0), linger: time.Millisecond}))
	for _, bytes := range []int{100, 1 << 10, 64 << 10} {
		list = append(list, shapeRow(fmt.Sprintf("omb-10p10c-%db-max", bytes), shape{Workload: plain("10 partitions, 10p/10c", 1, 10, bytes, 10, 10, 0), linger: time.Millisecond, batchBytes: 1 << 20}))
	}
	// A batch holds one record: no client takes a smaller limit, and two do not fit into it.
	list = append(list, shapeRow("omb-tiny-batches-30k", shape{Workload: plain("small batches", 1, 100, 250, 10, 1, 30_000), batchBytes: 512}))
	list = append(list, shapeRow("omb-many-producers", shape{Workload: plain("many producers", 1, 100, 8<<10, manyProducers, 3, 5000), linger: time.Millisecond}))
	drain := plain("backlog", 1, 16, 1024, 1, 1, 50_000)
	drain.ConsumerBacklogSizeGB = backlogGB
	return append(list, shapeRow("omb-backlog", shape{Workload: drain, linger: time.Millisecond}))
}

func rateName(rate float64) string {
	if rate == 0 {
		return "max"
	}
	return fmt.Sprintf("%.0fk", rate/1000)
}

func shapeRow(name string, sh shape) row {
	what := fmt.Sprintf("%s, %d B, %s records/s", sh.Name, sh.MessageSize, rateName(sh.ProducerRate))
	r := row{name: name, what: what, figure: "e2e_p99_us", lower: true,
		also: []string{"e2e_p50_us", "e2e_p999_us", "produce_p99_us", "produce_records_per_s", "fetch_records_per_s", "broker_cores", "generator_cores", "backlog_drain_s"},
		steady: func(ctx context.Context, c *campaign, s *subject, _ row) (measure.Figures, error) {
			return c.shape(ctx, s, sh)
		}}
	if sh.ProducerRate == 0 { // a search: the rate it finds is the result
		r.figure, r.lower = "produce_records_per_s", false
		r.also[3], r.also[4] = "e2e_p99_us", "produce_mb_per_s"
	}
	return r
}

func (c *campaign) shape(ctx context.Context, s *subject, sh shape) (measure.Figures, error) {
	w := sh.Workload
	w.ConsumerBacklogSizeGB *= c.scale
	if w.ProducersPerTopic == manyProducers {
		w.ProducersPerTopic = c.scaled(manyProducers)
	}
	o := workload.Options{Warmup: c.warmup, Duration: c.seconds, Pids: s.pids()}
	o.Brokers, o.Acks, o.Idempotent, o.Linger, o.BatchBytes, o.FetchBytes = []string{s.broker.Address()}, -1, true, sh.linger, sh.batchBytes, 10<<20
	o.Codec = kgo.NoCompression()
	if o.BatchBytes == 0 {
		o.BatchBytes = 128 << 10
	}
	return shapeFigures(workload.Run(ctx, &w, o))
}

// shapeFigures gives what a run has, and an error if it cannot stand for the row.
func shapeFigures(done *workload.Outcome, err error) (measure.Figures, error) {
	figures := done.Figures()
	if done.BacklogDrain > 0 {
		figures["backlog_drain_s"] = done.BacklogDrain.Seconds()
	}
	if err == nil && done.Total.Errors > 0 {
		err = fmt.Errorf("%d records failed; the first: %w", done.Total.Errors, done.Failure)
	}
	if err == nil {
		err = done.Missing()
	}
	return figures, err
}
