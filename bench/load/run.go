package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Plan is one run.
type Plan struct {
	Produce *Produce
	Fetch   *Fetch
	Tail    *Tail

	Warmup   time.Duration // of the same load, not counted
	Duration time.Duration // measured; 0: until the work is done, for loads that have an amount
	Every    time.Duration // length of an interval; 0 is a second
	Threads  int           // 0 is one
	Grace    time.Duration // how long to wait at the end for answers; 0 is ten seconds
}

// Produce sends batches. With Rate 0 it is a closed loop with InFlight requests on each connection, else an open one; latencies
// count from the send in the first case and from the intended time in the second.
type Produce struct {
	Target      Target
	Connections int
	InFlight    int
	Shape       Shape
	Acks        int16 // 1 or -1; without acknowledgements there would be nothing to measure
	Idempotent  bool
	Rate        float64 // requests a second over all connections
	Stamp       bool    // the first bytes of each record say when it was meant to be sent
	Requests    int64   // closed loop: how many, if Duration is 0
}

// Fetch reads partitions from Starts to Ends over and over, one request at a time on each connection.
type Fetch struct {
	Target       Target
	Connections  int
	BytesMax     int32
	Starts, Ends []int64 // as Ends gives them
	Once         bool    // each connection stops at the end of its partition; needs a connection for each
}

// Tail reads what arrives behind From on all partitions, and the stamps in it.
type Tail struct {
	Target      Target
	Connections int // partitions are dealt to them
	From        []int64
	RecordBytes int // of a stamped record; 0: no stamps
}

// Outcome is what a run counted. It is whole even when Run gives an error: then as far as it came.
type Outcome struct {
	Began      time.Time // of the measured time
	Intervals  []Interval
	Total      Interval
	Congestion string // of the generator's sockets
	Unanswered int64  // requests without an answer when the grace was over, those included that were due and never sent
	Unread     int64  // records that were acknowledged and not read back when the grace was over
}

// Hooks are called by Run from one goroutine.
type Hooks struct {
	Begin    func()         // when the measured time begins
	End      func()         // when it ends, before answers are waited for
	Progress func(Interval) // for each interval, merged over threads
}

const graceDefault = 10 * time.Second

// RateMax is a send in each nanosecond, the unit of all times here.
const RateMax = 1e9

// Run makes the load. client is for what is not measured: producer ids.
func Run(ctx context.Context, client *kgo.Client, plan Plan, hooks Hooks) (*Outcome, error) {
	r := &runner{plan: plan, hooks: hooks, outcome: &Outcome{}}
	r.plan.Threads = max(1, plan.Threads)
	if r.plan.Every == 0 {
		r.plan.Every = time.Second
	}
	if r.plan.Grace == 0 {
		r.plan.Grace = graceDefault
	}
	if err := plan.valid(); err != nil {
		return r.outcome, err
	}
	defer r.close()
	if err := r.connect(ctx, client); err != nil {
		return r.outcome, err
	}
	err := r.run(ctx)
	if err == nil {
		err = ctx.Err()
	}
	return r.outcome, err
}

func (p Plan) valid() error {
	if p.Produce == nil && p.Fetch == nil && p.Tail == nil {
		return errors.New("a plan without a load")
	}
	if w := p.Produce; w != nil {
		if err := w.Shape.valid(); err != nil {
			return err
		}
		switch {
		case w.Acks != 1 && w.Acks != -1:
			return fmt.Errorf("acks %d: this generator measures acknowledgements; 1 or -1", w.Acks)
		case w.Rate == 0 && w.InFlight < 1, w.Connections < 1:
			return fmt.Errorf("%d connections with %d requests in flight", w.Connections, w.InFlight)
		case w.Rate > 0 && p.Duration == 0:
			return errors.New("an open loop without a duration")
		case !(w.Rate >= 0 && w.Rate <= RateMax): // nor a rate that is no number
			return fmt.Errorf("a rate of %v", w.Rate)
		}
	}
	return nil
}

// runner is one call of Run.
type runner struct {
	plan    Plan
	hooks   Hooks
	outcome *Outcome
	loops   []*loop
	tails   []*tailing   // all of the first loop, which waits at the end for what they have not read
	given   []int        // of each interval, by how many loops
	others  atomic.Int32 // loops that are running apart from the first; it may read what they counted once there are none
}

func (r *runner) close() {
	for _, l := range r.loops {
		l.close()
	}
}

// connect makes the loops and their connections, and encodes all there is to encode.
func (r *runner) connect(ctx context.Context, client *kgo.Client) error {
	for range r.plan.Threads {
		l, err := newLoop()
		if err != nil {
			return err
		}
		r.loops = append(r.loops, l)
	}
	if w := r.plan.Produce; w != nil {
		if err := r.connectProduce(ctx, client, w); err != nil {
			return err
		}
	}
	if f := r.plan.Fetch; f != nil {
		if err := r.connectFetch(f); err != nil {
			return err
		}
	}
	if t := r.plan.Tail; t != nil {
		if err := r.connectTail(t); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) connectProduce(ctx context.Context, client *kgo.Client, w *Produce) error {
	for i, seat := range w.Target.seats(w.Connections) {
		l := r.loops[i%len(r.loops)]
		var who producer
		if w.Idempotent {
			var err error
			if who, err = newProducer(ctx, client); err != nil {
				return err
			}
		}
		records, err := w.Shape.build(uint64(i), who, time.Now())
		if err != nil {
			return fmt.Errorf("encode the batch: %w", err)
		}
		frame, err := newProduceFrame(w.Target.Topic, w.Acks, w.Shape, records, w.Idempotent, w.Stamp)
		if err != nil {
			return err
		}
		p := &producing{l: l, frame: frame, partitions: seat.partitions, sequences: make([]int32, len(seat.partitions)), payload: int64(w.Shape.Payload())}
		c, congestion, err := l.add(seat.address, p)
		if err != nil {
			return err
		}
		l.opened = append(l.opened, c)
		l.open = w.Rate > 0
		r.outcome.Congestion = congestion
	}
	return nil
}

func (r *runner) connectFetch(f *Fetch) error {
	for i, seat := range f.Target.seats(f.Connections) {
		l := r.loops[i%len(r.loops)]
		at := seat.partitions[0]
		flow := &fetching{l: l, topic: f.Target.Topic, partition: at, start: f.Starts[at], offset: f.Starts[at], end: f.Ends[at],
			bytesMax: f.BytesMax, waitMs: tailWaitMs, once: f.Once}
		if flow.start >= flow.end {
			return fmt.Errorf("partition %d of topic %s is empty", at, f.Target.Topic)
		}
		c, congestion, err := l.add(seat.address, flow)
		if err != nil {
			return err
		}
		if r.plan.Produce == nil {
			l.opened = append(l.opened, c)
		}
		r.outcome.Congestion = congestion
		c.owed.push(flight{intended: l.now()})
		l.budget = math.MaxInt64
	}
	return nil
}

func (r *runner) connectTail(t *Tail) error {
	l := r.loops[0]
	for _, seat := range t.Target.seats(t.Connections) {
		flow := &tailing{l: l, topic: t.Target.Topic, value: t.RecordBytes}
		for _, p := range seat.partitions {
			flow.wants = append(flow.wants, want{p, t.From[p]})
		}
		c, congestion, err := l.add(seat.address, flow)
		if err != nil {
			return err
		}
		r.outcome.Congestion = congestion
		c.owed.push(flight{intended: l.now()})
		r.tails = append(r.tails, flow)
	}
	return nil
}

// arm fixes the times of all loops and what closed ones begin with.
func (r *runner) arm() (begin, end time.Time) {
	const lead = 5 * time.Millisecond // threads start before the first send is due
	start := int64(time.Since(base) + lead)
	from := start + int64(r.plan.Warmup)
	until := int64(math.MaxInt64)
	if r.plan.Duration > 0 {
		until = from + int64(r.plan.Duration)
	}
	for i, l := range r.loops {
		l.begin, l.end, l.every = from, until, int64(r.plan.Every)
		l.grace = until
		if until < math.MaxInt64 {
			l.grace += int64(r.plan.Grace)
		}
		w := r.plan.Produce
		switch {
		case w == nil:
		case w.Rate > 0:
			l.schedule = NewSchedule(start+int64(float64(i)*1e9/w.Rate), until, w.Rate/float64(len(r.loops)))
			l.dealt = i
		default:
			r.prime(i, l, w)
		}
	}
	if r.tails != nil {
		r.loops[0].settled = func() bool { return r.others.Load() == 0 && r.unread() <= 0 }
	}
	return base.Add(time.Duration(from)), base.Add(time.Duration(min(until, math.MaxInt64/2)))
}

// prime begins a closed loop.
func (r *runner) prime(i int, l *loop, w *Produce) {
	l.budget = math.MaxInt64
	if w.Requests > 0 {
		l.budget = w.Requests / int64(len(r.loops))
		if i < int(w.Requests%int64(len(r.loops))) {
			l.budget++
		}
	}
	now := l.now()
	for range w.InFlight {
		for _, c := range l.opened {
			l.again(c, now)
		}
	}
}

// unread is how many records were acknowledged and not read. It is for the first loop once it runs alone, and for whoever waited for all.
func (r *runner) unread() (n int64) {
	for _, l := range r.loops {
		for _, c := range l.opened {
			if p, ok := c.flow.(*producing); ok {
				n += int64(c.answered) * int64(p.frame.records)
			}
		}
	}
	for _, t := range r.tails {
		n -= t.received
	}
	return n
}

func (r *runner) run(ctx context.Context) error {
	begin, end := r.arm()
	r.outcome.Began = begin
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan Interval, 16*len(r.loops))
	errs := make([]error, len(r.loops))
	var group sync.WaitGroup
	r.others.Store(int32(len(r.loops) - 1))
	for i, l := range r.loops {
		l.done = done
		group.Add(1)
		go func() {
			defer group.Done()
			if errs[i] = l.run(ctx); errs[i] != nil {
				cancel()
			}
			l.finish()
			if i > 0 {
				r.others.Add(-1)
			}
		}()
	}
	go func() { group.Wait(); close(done) }()
	r.collect(ctx, done, begin, end)
	for _, l := range r.loops {
		r.outcome.Unanswered += l.late
	}
	if r.tails != nil {
		r.outcome.Unread = max(0, r.unread())
	}
	return errors.Join(errs...)
}

// collect merges the intervals of all threads, and calls the hooks at their times, until every thread is done.
func (r *runner) collect(ctx context.Context, done <-chan Interval, begin, end time.Time) {
	starting, ending := time.NewTimer(time.Until(begin)), time.NewTimer(time.Until(end))
	defer starting.Stop()
	defer ending.Stop()
	begun, ended := false, false
	stop := ctx.Done()
	finish := func() {
		if begun && !ended && r.hooks.End != nil {
			r.hooks.End()
		}
		ended = true
	}
	shown := 0
	for {
		select {
		case <-starting.C:
			begun = true
			if r.hooks.Begin != nil {
				r.hooks.Begin()
			}
		case <-ending.C:
			finish()
		case <-stop:
			finish()
			stop = nil
		case i, more := <-done:
			if !more {
				finish()
				return
			}
			shown = r.keep(i, shown)
		}
	}
}

// keep merges an interval of one thread and shows those that all threads have given.
func (r *runner) keep(i Interval, shown int) int {
	at := int(i.Start / r.plan.Every)
	for len(r.outcome.Intervals) <= at {
		r.outcome.Intervals = append(r.outcome.Intervals, Interval{Start: time.Duration(len(r.outcome.Intervals)) * r.plan.Every})
	}
	r.outcome.Intervals[at].Merge(&i)
	r.outcome.Total.Merge(&i)
	if len(r.given) <= at {
		r.given = append(r.given, make([]int, at+1-len(r.given))...)
	}
	r.given[at]++
	for shown < len(r.given) && r.given[shown] == len(r.loops) {
		if r.hooks.Progress != nil {
			r.hooks.Progress(r.outcome.Intervals[shown])
		}
		shown++
	}
	return shown
}
