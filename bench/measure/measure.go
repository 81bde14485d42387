// Package measure runs a load and reads, at the two ends of the measured time, what the broker's processes, the generator and the
// whole machine used. It owns nothing between calls and judges nothing: it turns a run into named figures.
package measure

import (
	"context"
	"errors"
	"os"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/load"
	"pinion/bench/machine"
)

// Cost is what a run used between the ends of its measured time.
type Cost struct {
	Took      time.Duration
	Broker    time.Duration  // user and system time of the broker's processes
	Generator time.Duration  // of this process
	Machine   machine.Time   // of everything on this machine
	Known     bool           // whether the broker's processes are known and lived at both ends; Broker and After are zero otherwise
	After     machine.Usage  // of the broker, at the end
	Device    machine.Writes // to the device the broker's data lies on, by anybody; nothing where that is not known
}

// Broker is what this machine knows of the broker a load goes to.
type Broker struct {
	Pids []int  // its processes; none if it is elsewhere
	Dir  string // its data; empty if it does not matter
}

// Meter reads a Cost.
type Meter struct {
	Broker

	at                time.Time
	broker, generator time.Duration
	processors        machine.Time
	device            machine.Writes
	known             bool
	err               error
}

func (m *Meter) read() (usage machine.Usage) {
	var errs [4]error
	m.at = time.Now()
	usage, errs[0] = machine.Of(m.Pids...)
	own, err := machine.Of(os.Getpid())
	errs[1] = err
	m.processors, errs[2] = machine.Processors()
	if m.Dir != "" {
		m.device, errs[3] = machine.WritesBelow(m.Dir)
	}
	m.known = len(m.Pids) > 0 && errs[0] == nil
	m.broker, m.generator = usage.CPU(), own.CPU()
	m.err = errors.Join(append(errs[:], m.err)...)
	return usage
}

// Begin begins the measured time.
func (m *Meter) Begin() { m.read() }

// End ends it.
func (m *Meter) End() (Cost, error) {
	before := *m
	after := m.read()
	c := Cost{
		Took: m.at.Sub(before.at), Generator: m.generator - before.generator,
		Machine: m.processors.Sub(before.processors), Device: m.device.Sub(before.device),
	}
	if before.known && m.known {
		c.Known, c.Broker, c.After = true, m.broker-before.broker, after
	}
	return c, m.err
}

// Run is one measured load.
type Run struct {
	*load.Outcome
	Cost    Cost
	Samples []Sample // of the broker, one an interval; none where its processes are not known
	Clients bool     // ordinary clients made the load and tell no requests: what Count calls so are records and polls
}

// Sample is what the broker used in one interval. It is read when the interval is shown, a little after its end.
type Sample struct {
	Cores    float64
	CPUPerGB float64 // of what the figure of the whole run is divided by; 0 in an interval without any
	Resident int64
}

// Sampler takes samples.
type Sampler struct {
	Pids     []int
	at       time.Time
	cpu      time.Duration
	produces bool // so far
}

// Next gives the sample of an interval, since the last call; ok is false at the first one, and where nothing is known.
func (s *Sampler) Next(i load.Interval) (sample Sample, ok bool) {
	if len(s.Pids) == 0 {
		return sample, false
	}
	u, err := machine.Of(s.Pids...)
	if err != nil {
		return sample, false // the broker is gone; the load finds out by itself
	}
	now, cpu := time.Now(), u.CPU()
	took, used, first := now.Sub(s.at), cpu-s.cpu, s.at.IsZero()
	s.at, s.cpu = now, cpu
	if first || took <= 0 {
		return sample, false
	}
	sample = Sample{Cores: used.Seconds() / took.Seconds(), Resident: u.Resident}
	s.produces = s.produces || i.Sent.Bytes > 0
	if bytes := work(&i, s.produces).Bytes; bytes > 0 {
		sample.CPUPerGB = used.Seconds() / (float64(bytes) / 1e9)
	}
	return sample, true
}

// work is what costs are divided by: what was produced, or fetched by a load that does not produce.
func work(i *load.Interval, produces bool) load.Count {
	if produces {
		return i.Sent
	}
	return i.Received
}

// Load runs a plan. The Run is never nil: with an error it holds what came before.
func Load(ctx context.Context, client *kgo.Client, plan load.Plan, broker Broker, progress func(load.Interval)) (*Run, error) {
	meter := &Meter{Broker: broker}
	r := &Run{}
	var costErr error
	sampler := &Sampler{Pids: broker.Pids}
	outcome, err := load.Run(ctx, client, plan, load.Hooks{
		Begin: func() { meter.Begin(); sampler.Next(load.Interval{}) },
		End:   func() { r.Cost, costErr = meter.End() },
		Progress: func(i load.Interval) {
			if sample, ok := sampler.Next(i); ok {
				r.Samples = append(r.Samples, sample)
			}
			if progress != nil {
				progress(i)
			}
		},
	})
	r.Outcome = outcome
	if err == nil {
		err = costErr
	}
	return r, err
}

// Figures are named numbers; the unit is the end of the name.
type Figures map[string]float64

// Figures gives all figures a run has.
func (r *Run) Figures() Figures {
	f := Figures{}
	if r.Total.End <= 0 {
		return f
	}
	done := work(&r.Total, r.Total.Sent.Bytes > 0)
	if r.Clients {
		done.Requests = 0
	}
	r.Cost.AddTo(f, done.Bytes, done.Requests)
	r.rates(f, "produce", r.Total.Sent)
	r.rates(f, "fetch", r.Total.Received)
	Latencies(f, "produce", r.Total.Latency)
	Latencies(f, "fetch", r.Total.Fetch)
	Latencies(f, "e2e", r.Total.EndToEnd)
	if r.Total.Delay != nil {
		f["generator_delay_p99_us"] = float64(r.Total.Delay.ValueAtPercentile(99)) / 1e3
	}
	if r.Unanswered > 0 {
		f["unanswered"] = float64(r.Unanswered)
	}
	if r.Unread > 0 {
		f["unread"] = float64(r.Unread)
	}
	return f
}

// AddTo names what a load of so many bytes and requests cost; 0 are requests that nobody knows.
func (c Cost) AddTo(f Figures, bytes, requests int64) {
	seconds := c.Took.Seconds()
	if seconds <= 0 {
		return
	}
	f["generator_cores"] = c.Generator.Seconds() / seconds
	f["machine_cores"] = c.Machine.Busy.Seconds() / seconds
	f["machine_stolen_cores"] = c.Machine.Stolen.Seconds() / seconds
	if !c.Known {
		return
	}
	f["broker_cores"] = c.Broker.Seconds() / seconds
	f["rss_mb"] = float64(c.After.Resident) / 1e6
	f["rss_anon_mb"] = float64(c.After.Anonymous) / 1e6
	if bytes > 0 {
		f["broker_cpu_s_per_gb"] = c.Broker.Seconds() / (float64(bytes) / 1e9)
	}
	if c.Device.Count > 0 && bytes > 0 && requests > 0 {
		f["device_writes_per_gb"] = float64(c.Device.Count) / (float64(bytes) / 1e9)
		f["device_writes_per_request"] = float64(c.Device.Count) / float64(requests)
		f["device_flushes_per_request"] = float64(c.Device.Flushes) / float64(requests)
		f["device_bytes_per_byte"] = float64(c.Device.Bytes) / float64(bytes)
	}
	if c.Broker > 0 && requests > 0 {
		f["requests_per_broker_cpu_s"] = float64(requests) / c.Broker.Seconds()
	}
}

func (r *Run) rates(f Figures, what string, c load.Count) {
	if c.Requests == 0 {
		return
	}
	seconds := r.Total.End.Seconds()
	f[what+"_mb_per_s"] = float64(c.Bytes) / 1e6 / seconds
	f[what+"_records_per_s"] = float64(c.Records) / seconds
	if !r.Clients {
		f[what+"_requests_per_s"] = float64(c.Requests) / seconds
	}
}

// Percentiles are those that are named.
var Percentiles = []struct {
	Name string
	At   float64
}{{"p50", 50}, {"p75", 75}, {"p95", 95}, {"p99", 99}, {"p999", 99.9}, {"p9999", 99.99}}

// Latencies names the percentiles of a histogram of nanoseconds; nothing for an empty one.
func Latencies(f Figures, what string, h *hdr.Histogram) {
	if h == nil || h.TotalCount() == 0 {
		return
	}
	for _, p := range Percentiles {
		f[what+"_"+p.Name+"_us"] = float64(h.ValueAtPercentile(p.At)) / 1e3
	}
	f[what+"_max_us"] = float64(h.Max()) / 1e3
	f[what+"_avg_us"] = h.Mean() / 1e3
}
