// Package hostile attacks a running broker with requests that are almost right. It takes valid requests of every key and version,
// spoils lengths, counts, numbers, tagged fields, headers, record batches and plain bytes, and sends them in streams: many at once, cut
// at odd places, with lengths that move every border behind them, left in the middle, half-closed. Each frame must get a
// well-formed answer with its own correlation id, or its connection must be closed; an honest client beside it must notice nothing; and
// in the end nothing may be left in the broker's memory, budgets and descriptors.
//
// What is sent follows from a seed. A broken promise is a *Wrong, which holds every byte its connection had sent; testdata holds those
// that were found, and the tests send them again.
//
// The attackers own their connections, one goroutine each. The package starts no broker: whoever does hands it over.
package hostile

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
)

// Config says how much of an attack it is to be.
type Config struct {
	Seed     uint64
	Frames   int64         // that the broker is to meet
	For      time.Duration // the attack ends here at the latest; 0 = when the frames are through
	Progress io.Writer     // told of every minute; may be nil
}

const (
	attackers = 16
	witnesses = 2
	lookEvery = time.Second // at memory, and for topics to delete
)

// Report is what an attack came to.
type Report struct {
	Seed         uint64
	Frames       int64
	Connections  uint64
	Took         time.Duration
	CPU          time.Duration // the broker's
	Honest       int           // requests of the honest clients
	P50, P99     time.Duration
	Worst        time.Duration
	Deleted      int // topics that mutants created
	Before, Peak Use
	After        Use
	tally        tally
}

// Write prints a report.
func (r *Report) Write(out io.Writer) {
	r.tally.write(out)
	fmt.Fprintf(out, "seed %d: %d frames over %d connections in %s: %.0f a second, %.1f us of the broker each; %d topics created by mutants and deleted\n",
		r.Seed, r.Frames, r.Connections, r.Took.Round(time.Second/10), float64(r.Frames)/r.Took.Seconds(),
		float64(r.CPU.Microseconds())/float64(max(1, r.Frames)), r.Deleted)
	fmt.Fprintf(out, "honest clients: %d requests, p50 %s, p99 %s, worst %s\n", r.Honest, r.P50, r.P99, r.Worst)
	fmt.Fprintf(out, "broker before: %s\n       peak:   %s\n       after:  %s\n", &r.Before, &r.Peak, &r.After)
}

// attack is one run.
type attack struct {
	config    Config
	broker    *harness.Broker
	attackers []*attacker
	witnesses []*witness
	keeper    *peer
	met       atomic.Int64
	stop      chan struct{}
	report    Report
}

// Run attacks a broker that auto.create.topics.enable=false keeps from creating topics by itself, and makes its topics first. The
// report is filled in as far as the attack came, also beside an error.
func Run(b *harness.Broker, c Config) (*Report, error) {
	a := &attack{config: c, broker: b, stop: make(chan struct{}), report: Report{Seed: c.Seed}}
	keeper, err := dial(b.Addr)
	if err != nil {
		return &a.report, err
	}
	a.keeper = keeper
	defer keeper.conn.Close()
	ids, err := makeTopics(keeper)
	if err != nil {
		return &a.report, err
	}
	if a.report.Before, err = use(b); err != nil {
		return &a.report, err
	}
	list := templates()
	for i := range attackers {
		a.attackers = append(a.attackers, &attacker{
			seed: c.Seed, number: i, addr: b.Addr, ids: ids, met: &a.met, limit: c.Frames, stop: a.stop,
			mutator: mutator{templates: list}, dice: rand.New(rand.NewPCG(c.Seed, uint64(i))),
		})
	}
	for range witnesses {
		p, err := dial(b.Addr)
		if err != nil {
			return &a.report, err
		}
		defer p.conn.Close()
		a.witnesses = append(a.witnesses, &witness{peer: p, stop: make(chan struct{}), pause: witnessPause})
	}
	return &a.report, a.run()
}

func (a *attack) run() error {
	began := time.Now()
	errs := make(chan error, attackers+witnesses+1)
	var fighting, watching sync.WaitGroup
	var once sync.Once
	end := func() { once.Do(func() { close(a.stop) }) }
	guarded := func(f func() error) func() {
		return func() {
			if err := f(); err != nil {
				errs <- err
				end()
			}
		}
	}
	for _, x := range a.attackers {
		fighting.Go(guarded(x.run))
	}
	for _, w := range a.witnesses {
		watching.Go(guarded(w.run))
	}
	watched := make(chan struct{})
	watching.Go(guarded(func() error { return a.watch(watched, end) }))
	fighting.Wait()
	a.report.Took = time.Since(began)
	if now, err := a.broker.Usage(); err == nil { // else it ended, which is told below
		a.report.CPU = now.CPU()
	}
	close(watched)
	for _, w := range a.witnesses {
		close(w.stop)
	}
	watching.Wait()
	a.count()
	close(errs)
	var list []error
	for err := range errs {
		list = append(list, err)
	}
	select {
	case <-a.broker.Ended():
		// Whoever was connected may have sent what did it.
		list = append(list, errors.New("the broker ended"))
		for _, x := range a.attackers {
			list = append(list, x.wrong(errors.New("connected when the broker ended")))
		}
	default:
	}
	return errors.Join(list...)
}

// watch keeps house until the attackers are through, or ends them when it is time.
func (a *attack) watch(through chan struct{}, end func()) error {
	began, told := time.Now(), time.Now()
	for {
		select {
		case <-through:
			n, err := janitor(a.keeper)
			a.report.Deleted += n
			return err
		case <-a.broker.Ended():
			end()
			return nil
		case <-time.After(lookEvery):
		}
		n, err := janitor(a.keeper)
		a.report.Deleted += n
		if err != nil {
			return err
		}
		now, err := use(a.broker)
		if err != nil {
			return err
		}
		a.report.Peak.most(&now)
		if a.config.For > 0 && time.Since(began) > a.config.For {
			end()
		}
		if a.config.Progress != nil && time.Since(told) > time.Minute {
			told = time.Now()
			fmt.Fprintf(a.config.Progress, "%s: %d frames, %s\n", time.Since(began).Round(time.Second), a.met.Load(), &now)
		}
	}
}

func (a *attack) count() {
	for _, x := range a.attackers {
		a.report.tally.add(&x.tally)
		a.report.Connections += x.connections
	}
	sum := a.report.tally.total()
	a.report.Frames = sum.frames()
	var times []time.Duration
	for _, w := range a.witnesses {
		times = append(times, w.times...)
	}
	slices.Sort(times)
	if n := len(times); n > 0 {
		a.report.Honest, a.report.P50, a.report.P99, a.report.Worst = n, times[n/2], times[n*99/100], times[n-1]
	}
}

// makeTopics makes the topics of a campaign and puts a few records where mutants fetch. It returns what the stand-ins stand for.
func makeTopics(p *peer) (map[[16]byte][16]byte, error) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(7)
	for _, name := range []string{topicSource, topicSink, topicTrim, topicHonest} {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
		settings := map[string]string{"retention.ms": "-1"} // recordTime is long ago
		if name != topicSource {
			settings["retention.bytes"], settings["segment.bytes"] = "4194304", "1048576"
		}
		for key, value := range settings {
			topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: &value})
		}
		req.Topics = append(req.Topics, topic)
	}
	resp, err := p.ask(req)
	if err != nil {
		return nil, err
	}
	ids := map[[16]byte][16]byte{}
	for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
		if t.ErrorCode != 0 {
			return nil, fmt.Errorf("create topic %s: error %d", t.Topic, t.ErrorCode)
		}
		switch t.Topic {
		case topicSource:
			ids[sourceID] = t.TopicID
		case topicSink:
			ids[sinkID] = t.TopicID
		}
	}
	for range 30 {
		for _, name := range []string{topicSource, topicTrim} {
			produce := produces()[0].(*kmsg.ProduceRequest)
			produce.SetVersion(9)
			produce.Topics[0].Topic = name
			resp, err := p.ask(produce)
			if err != nil {
				return nil, err
			}
			if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
				return nil, fmt.Errorf("fill topic %s: error %d", name, code)
			}
		}
	}
	return ids, nil
}
