package main

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// probe is an honest client beside an attack. It produces a record and fetches it, to and from partitions of both shards over
// connections to both, and measures each round.
type probe struct {
	v     *victim
	topic string
	stop  chan struct{}
	done  sync.WaitGroup

	mu     sync.Mutex
	rounds []time.Duration
	err    error
}

const (
	probePeers      = 2
	probePartitions = 2
	// latencyMax is the p99 an honest client is promised while others attack.
	latencyMax = 100 * time.Millisecond
	// roundsMin is how many measurements a p99 needs to mean something.
	roundsMin = 500
)

func startProbe(v *victim, topic string) *probe {
	p := &probe{v: v, topic: topic, stop: make(chan struct{})}
	for i := range probePeers {
		conn := v.dial()
		p.done.Add(1)
		go func() {
			defer p.done.Done()
			defer conn.Close()
			if err := p.run(conn, i); err != nil {
				p.mu.Lock()
				p.err = err
				p.mu.Unlock()
			}
		}()
	}
	return p
}

func (p *probe) run(conn *peer, i int) error {
	records := aBatch(1, 100)
	for n := i; ; n++ {
		select {
		case <-p.stop:
			return nil
		default:
		}
		partition := int32(n % probePartitions)
		began := time.Now()
		resp, err := conn.try(produceRequest(p.topic, partition, records))
		if err != nil {
			return err
		}
		produced := time.Since(began)
		part := &resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if part.ErrorCode != 0 {
			return refusal(part.ErrorCode)
		}
		began = time.Now()
		got, err := p.fetch(conn, partition, part.BaseOffset)
		if err != nil {
			return err
		}
		fetched := time.Since(began)
		if got.ErrorCode != 0 {
			return refusal(got.ErrorCode)
		}
		if len(got.RecordBatches) < len(records) {
			return errNotThere
		}
		p.mu.Lock()
		p.rounds = append(p.rounds, produced, fetched)
		p.mu.Unlock()
	}
}

// fetch asks until there is an answer: a shard whose memory for polls is spent says so (78), and clients ask again.
func (p *probe) fetch(conn *peer, partition int32, from int64) (*kmsg.FetchResponseTopicPartition, error) {
	const offsetNotAvailable = 78
	for {
		resp, err := conn.try(fetchRequest(p.topic, partition, from, 1<<10))
		if err != nil {
			return nil, err
		}
		got := &resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if got.ErrorCode != offsetNotAvailable {
			return got, nil
		}
	}
}

type probeError string

func (e probeError) Error() string { return string(e) }

const errNotThere = probeError("a record that was acknowledged is not there")

type refusal int16

func (k refusal) Error() string { return fmt.Sprintf("Kafka error %d", int16(k)) }

// end stops the probe and returns the p99, the largest and the number of measurements.
func (p *probe) end() (p99, worst time.Duration, n int) {
	p.v.t.Helper()
	close(p.stop)
	p.done.Wait()
	if p.err != nil {
		p.v.alive()
		p.v.t.Errorf("honest client beside the attack: %v", p.err)
	}
	n = len(p.rounds)
	if n == 0 {
		return answerMax, answerMax, 0
	}
	slices.Sort(p.rounds)
	return p.rounds[n*99/100], p.rounds[n-1], n
}

// under measures an honest client while an attack runs. The machine is noisy: the best of three attempts counts. The attack
// returns once it has gone on for long enough; what it opened stays open until the measurement is over.
func (v *victim) under(t *testing.T, name string, attack func()) {
	t.Helper()
	var best time.Duration
	for attempt := range 3 {
		p := startProbe(v, "probe")
		attack()
		p.waitRounds(roundsMin)
		p99, worst, n := p.end()
		t.Logf("%s: p99 %s, worst %s of %d rounds", name, p99, worst, n)
		v.alive()
		if attempt == 0 || p99 < best {
			best = p99
		}
		if best < latencyMax || t.Failed() || slowdown > 1 {
			return
		}
	}
	t.Errorf("%s: an honest client's p99 is %s, at most %s is promised", name, best, latencyMax)
}

// waitRounds waits until the p99 rests on enough measurements.
func (p *probe) waitRounds(n int) {
	deadline := time.Now().Add(answerMax)
	for time.Now().Before(deadline) {
		p.mu.Lock()
		enough := len(p.rounds) >= n || p.err != nil
		p.mu.Unlock()
		if enough {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
