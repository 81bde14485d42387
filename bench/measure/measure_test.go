package measure

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"pinion/bench/load"
)

// A run that produces and fetches has one cost a byte, in its series as in its figures.
func TestCostsHaveOneDenominator(t *testing.T) {
	sent := load.Count{Requests: 1, Records: 1, Bytes: 1e6}
	fetched := load.Count{Requests: 1, Records: 9, Bytes: 9e6}
	s := Sampler{Pids: []int{os.Getpid()}}
	s.Next(load.Interval{})
	for _, c := range []struct {
		i    load.Interval
		done float64 // gigabytes that count
	}{
		{load.Interval{Received: fetched}, 9e-3}, // so far it only reads
		{load.Interval{Sent: sent, Received: fetched}, 1e-3},
		{load.Interval{Received: fetched}, 0}, // producers that stall do not make a byte cheaper
	} {
		before := s.cpu
		for { // until the kernel has counted some time of this process
			probe := s
			if _, ok := probe.Next(load.Interval{}); ok && probe.cpu > before {
				break
			}
		}
		got, ok := s.Next(c.i)
		if !ok {
			t.Fatal("no sample")
		}
		want := 0.0
		if c.done > 0 {
			want = (s.cpu - before).Seconds() / c.done
		}
		if got.CPUPerGB != want {
			t.Errorf("%+v: %v CPU s/GB, want %v", c.i, got.CPUPerGB, want)
		}
	}
	r := Run{Outcome: &load.Outcome{Total: load.Interval{End: time.Second, Sent: sent, Received: fetched}}, Cost: Cost{Known: true, Took: time.Second, Broker: time.Second}}
	if got := r.Figures()["broker_cpu_s_per_gb"]; got != 1000 {
		t.Errorf("a second for a megabyte is %v CPU s/GB", got)
	}
}

// Ordinary clients do not say how many requests they made, so there are no figures of requests.
func TestRecordsOfClientsAreNoRequests(t *testing.T) {
	count := load.Count{Requests: 10, Records: 10, Bytes: 1000}
	r := Run{Outcome: &load.Outcome{Total: load.Interval{End: time.Second, Sent: count, Received: count}}, Cost: Cost{Known: true, Took: time.Second, Broker: time.Second}}
	requests := []string{"produce_requests_per_s", "fetch_requests_per_s", "requests_per_broker_cpu_s"}
	for _, clients := range []bool{false, true} {
		r.Clients = clients
		f := r.Figures()
		for _, name := range requests {
			if _, ok := f[name]; ok == clients {
				t.Errorf("clients %v: %s in the figures: %v", clients, name, ok)
			}
		}
		if f["produce_records_per_s"] != 10 || f["fetch_records_per_s"] != 10 {
			t.Errorf("clients %v: %v", clients, f)
		}
	}
}

// A broker that died has used no negative time.
func TestCostOfABrokerThatDied(t *testing.T) {
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := Meter{Broker: Broker{Pids: []int{cmd.Process.Pid}}}
	for m.Begin(); m.broker == 0 && m.err == nil; m.Begin() { // until it has used some
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if c, err := m.End(); err == nil || c.Known || c.Broker != 0 || c.After.Resident != 0 || c.Took <= 0 {
		t.Errorf("%+v, %v", c, err)
	}
}
