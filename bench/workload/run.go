package workload

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/load"
	"pinion/bench/measure"
)

// Options are what the command line says beside the workload.
type Options struct {
	Clients
	Warmup, Duration time.Duration // instead of the workload's, if not negative
	Every            time.Duration // of an interval; 0 is a second
	Grace            time.Duration // how long to wait at the end for answers and arrivals; 0 is ten seconds
	Pids             []int         // of the broker
	TopicConfigs     map[string]*string
	KeepTopics       bool
	Progress         func(load.Interval)
	Say              func(format string, args ...any) // of phases; may be nil
}

// Outcome is a run with what only workloads have.
type Outcome struct {
	*measure.Run
	Rate         float64       // records a second that were asked for at the end
	BacklogBuilt time.Duration // how long it took, with consumerBacklogSizeGB
	BacklogDrain time.Duration
	Failure      error // of the first record or fetch that failed, if any did
}

// run is one call of Run.
type run struct {
	*Workload
	Options
	admin     *kgo.Client
	topics    []string
	senders   []*sender
	readers   []*reader
	sending   atomic.Int64 // senders that are not done; what they sent is in flying before
	window    window
	gate      *gate
	trouble   trouble
	out       *Outcome
	meter     measure.Meter
	sampler   measure.Sampler
	begun     bool
	ended     bool
	costErr   error
	rate      float64
	lastTotal int64
	lastMove  time.Time
}

const (
	graceDefault = 10 * time.Second
	stallDefault = 30 * time.Second
)

// topicsMade counts those of this process, so that no name comes twice.
var topicsMade atomic.Int64

// Run makes the load of a workload. The Outcome is never nil; with an error, also that of a context that ended, it holds what was
// measured until then.
func Run(ctx context.Context, w *Workload, o Options) (*Outcome, error) {
	r := &run{Workload: w, Options: o, gate: newGate(), out: &Outcome{Run: &measure.Run{Outcome: &load.Outcome{}, Clients: true}}}
	r.fill()
	defer r.close()
	if err := r.setUp(ctx); err != nil {
		return r.out, err
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var group sync.WaitGroup
	start := now()
	r.window.set(start+int64(r.Warmup), math.MaxInt64)
	for _, c := range r.readers {
		group.Add(1)
		go func() { defer group.Done(); c.read(work) }()
	}
	r.sending.Store(int64(len(r.senders)))
	for _, s := range r.senders {
		group.Add(1)
		go func() { defer group.Done(); defer r.sending.Add(-1); s.send(work) }()
	}
	err := r.watch(ctx, start)
	r.finish()
	if err == nil {
		r.settle(ctx)
	}
	stop()
	r.closeProducers() // a sender may wait in one that is full; what is not answered by now is counted as that
	group.Wait()
	r.last()
	return r.out, errors.Join(err, r.costErr)
}

func (r *run) fill() {
	minutes := func(d *time.Duration, m float64) {
		if *d < 0 {
			*d = time.Duration(m * float64(time.Minute))
		}
	}
	minutes(&r.Warmup, r.WarmupDurationMinutes)
	minutes(&r.Duration, r.TestDurationMinutes)
	if r.Every == 0 {
		r.Every = time.Second
	}
	if r.Grace == 0 {
		r.Grace = graceDefault
	}
	if r.Stall == 0 {
		r.Stall = stallDefault
	}
	if r.Say == nil {
		r.Say = func(string, ...any) {}
	}
	r.meter.Pids, r.sampler.Pids = r.Pids, r.Pids
	r.rate = r.ProducerRate
	if r.rate == 0 {
		r.rate = rampStart
	}
}

// setUp makes topics and clients.
func (r *run) setUp(ctx context.Context) (err error) {
	if r.admin, err = kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(r.Brokers...), kgo.ClientID("pinion-bench"),
		kgo.MetadataMinAge(100 * time.Millisecond)}, r.Configs...)...); err != nil {
		return err
	}
	for range r.Topics {
		name := fmt.Sprintf("bench-%d-%d", os.Getpid(), topicsMade.Add(1))
		if _, err := load.Create(ctx, r.admin, name, r.PartitionsPerTopic, r.TopicConfigs); err != nil {
			return err
		}
		r.topics = append(r.topics, name)
	}
	r.Say("created %d topics of %d partitions", r.Topics, r.PartitionsPerTopic)
	for range min(runtime.NumCPU(), r.Topics*r.ProducersPerTopic) {
		s := &sender{window: &r.window}
		if s.payloads, err = r.payloads(); err != nil {
			return err
		}
		if s.keys, err = r.keys(); err != nil {
			return err
		}
		r.senders = append(r.senders, s)
	}
	i := 0
	for _, topic := range r.topics {
		for range r.ProducersPerTopic {
			client, err := r.producer(&r.trouble)
			if err != nil {
				return err
			}
			s := r.senders[i%len(r.senders)]
			s.clients, s.topics = append(s.clients, client), append(s.topics, topic)
			i++
		}
		for range r.SubscriptionsPerTopic {
			if err := r.subscribe(topic); err != nil {
				return err
			}
		}
	}
	r.setRate(r.rate)
	return nil
}

// subscribe makes the consumers of one subscription; partitions are dealt to them.
func (r *run) subscribe(topic string) error {
	for c := range min(r.ConsumerPerSubscription, r.PartitionsPerTopic) {
		var own []int32
		for p := c; p < r.PartitionsPerTopic; p += r.ConsumerPerSubscription {
			own = append(own, int32(p))
		}
		client, err := r.consumer(topic, own, &r.trouble)
		if err != nil {
			return err
		}
		r.readers = append(r.readers, &reader{client: client, window: &r.window, gate: r.gate})
	}
	return nil
}

func (r *run) setRate(rate float64) {
	r.rate, r.out.Rate = rate, rate
	share := int64(rate * 1000 / float64(len(r.senders)))
	for _, s := range r.senders {
		s.rate.Store(max(1, share))
	}
}

// totals are records since the start: acknowledged, and read.
func (r *run) totals() (sent, read int64) {
	for _, s := range r.senders {
		n, _, failure := s.tally.totals()
		sent += n
		if r.out.Failure == nil {
			r.out.Failure = failure
		}
	}
	for _, c := range r.readers {
		_, n, failure := c.tally.totals()
		read += n
		if r.out.Failure == nil {
			r.out.Failure = failure
		}
	}
	return sent, read
}

// backlog is how many records consumers are behind, all subscriptions together.
func (r *run) backlog() int64 {
	sent, read := r.totals()
	if len(r.readers) == 0 {
		return 0
	}
	return sent*int64(r.SubscriptionsPerTopic) - read
}

// watch goes through the phases until the time is over.
func (r *run) watch(ctx context.Context, start int64) error {
	begin := start + int64(r.Warmup)
	end := begin + int64(r.Duration)
	ramping, rampAt := newRamp(), start+int64(rampEvery)
	backlog := newPhases(r)
	if backlog != nil {
		end = math.MaxInt64
	}
	r.window.set(begin, end)
	r.lastMove = time.Now()
	next := begin
	ticker := time.NewTicker(10 * time.Millisecond) // phases change at a tick
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		at := now()
		if err := errors.Join(r.stalled(), backlog.overdue(at)); err != nil {
			return err
		}
		if r.ProducerRate == 0 && at >= rampAt {
			sent, read := r.totals()
			if len(r.readers) == 0 {
				read = sent
			}
			r.setRate(ramping.next(r.rate, time.Duration(at-rampAt)+rampEvery, sent, read/max(1, int64(r.SubscriptionsPerTopic))))
			rampAt = at + int64(rampEvery)
		}
		if at >= begin && !r.begun {
			r.begin(begin)
			backlog.begin(at)
			next = begin + int64(r.Every)
		}
		if r.begun && at >= next && at < end {
			r.roll(time.Duration(next - begin))
			next += int64(r.Every)
		}
		if until, known := backlog.turn(at); known && end == math.MaxInt64 {
			end = until
			r.window.set(begin, end)
		}
		if at >= end {
			return nil
		}
	}
}

// begin begins the measured time.
func (r *run) begin(at int64) {
	r.begun = true
	r.drop()
	r.out.Began = base.Add(time.Duration(at))
	r.meter.Begin()
	r.sampler.Next(load.Interval{})
	r.Say("measuring")
}

// drop forgets the errors of the warm-up. Nothing else counted then: what is there belongs to the measured time, which began before this tick.
func (r *run) drop() {
	for _, s := range r.senders {
		s.tally.forgive()
	}
	for _, c := range r.readers {
		c.tally.forgive()
	}
}

// roll ends an interval at a time since the beginning.
func (r *run) roll(at time.Duration) {
	one := r.collect(at)
	if sample, ok := r.sampler.Next(one); ok {
		r.out.Samples = append(r.out.Samples, sample)
	}
	r.out.Intervals = append(r.out.Intervals, one)
	r.out.Total.Merge(&one)
	if r.Progress != nil {
		r.Progress(one)
	}
}

func (r *run) collect(at time.Duration) load.Interval {
	one := load.Interval{Start: r.out.Total.End, End: at, Copies: r.SubscriptionsPerTopic}
	for _, s := range r.senders {
		part := s.tally.take()
		one.Merge(&part)
	}
	for _, c := range r.readers {
		part := c.tally.take()
		one.Merge(&part)
	}
	return one
}

// finish ends the measured time.
func (r *run) finish() {
	if !r.begun || r.ended {
		return
	}
	r.ended = true
	r.out.Cost, r.costErr = r.meter.End()
	end := min(now(), r.window.end)
	r.window.set(r.window.begin, end)
	if at := time.Duration(end - r.window.begin); at > r.out.Total.End {
		r.roll(at)
	}
}

// settle waits for what is under way: latencies are those of all that was meant to be sent in the measured time, however late the answer.
func (r *run) settle(ctx context.Context) {
	limit := time.NewTimer(r.Grace)
	defer limit.Stop()
	for {
		sending, flying, behind := r.sending.Load() > 0, r.flying(), r.backlog() // in this order: what is sent flies, what is answered is to be read
		r.out.Unread = max(0, behind)
		if !sending && flying == 0 && behind <= 0 {
			return
		}
		select {
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Millisecond): // between two looks
		}
	}
}

// last adds the latencies that came after the measured time to the last interval.
func (r *run) last() {
	r.totals()
	r.out.Unanswered = 0
	for _, s := range r.senders {
		r.out.Unanswered += s.flying.Load() + s.unsent
	}
	if !r.begun || len(r.out.Intervals) == 0 {
		return
	}
	late := r.collect(r.out.Total.End)
	late.Start = r.out.Total.End
	r.out.Intervals[len(r.out.Intervals)-1].Merge(&late)
	r.out.Total.Merge(&late)
}

// flying is how many records are sent and not answered.
func (r *run) flying() (n int64) {
	for _, s := range r.senders {
		n += s.flying.Load()
	}
	return n
}

// stalled is an error when nothing was acknowledged and nothing read for too long, though something was under way.
func (r *run) stalled() error {
	sent, read := r.totals()
	if total := sent + read; total != r.lastTotal || r.flying() == 0 && r.backlog() <= 0 {
		r.lastTotal, r.lastMove = total, time.Now()
		return nil
	}
	if quiet := time.Since(r.lastMove); quiet > r.Stall {
		return errors.Join(fmt.Errorf("the broker has acknowledged nothing for %v", r.Stall), r.trouble.error())
	}
	return nil
}

// deleteMax bounds the removal of topics at the end.
const deleteMax = 30 * time.Second

func (r *run) closeProducers() {
	for _, s := range r.senders {
		for _, c := range s.clients {
			c.Close()
		}
	}
}

func (r *run) close() {
	for _, c := range r.readers {
		c.client.Close()
	}
	r.closeProducers()
	if r.admin == nil {
		return
	}
	if len(r.topics) > 0 && !r.KeepTopics {
		ctx, cancel := context.WithTimeout(context.Background(), deleteMax)
		defer cancel()
		if r.admin.Ping(ctx) == nil { // a broker that is gone keeps them
			if _, err := kadm.NewClient(r.admin).DeleteTopics(ctx, r.topics...); err != nil {
				r.Say("topics were not deleted: %v", err)
			}
		}
	}
	r.admin.Close()
}
