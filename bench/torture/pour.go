package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/families"
	"pinion/bench/harness"
)

// pourer is a client that is left running: it goes on sending to a partition of its own whatever it is answered.
type pourer interface {
	name() string
	// poured gives the numbers that were acknowledged since it was asked last, and the offsets. With end it sends no more, and waits until all it
	// has sent is acknowledged. An error says that the client gave up.
	poured(end bool) (numbers []uint64, offsets []int64, err error)
}

// pourPatience is how long a record may wait for its acknowledgement.
const pourPatience = 10 * time.Minute

// pourPace is between two records of one client: others are to get a part of a disk that has room.
const pourPace = 40 * time.Millisecond

// franz pours with franz-go, in this process.
type franz struct {
	cl      *kgo.Client
	stop    context.CancelFunc
	stopped chan struct{}

	mu      sync.Mutex // guards what follows
	numbers []uint64
	offsets []int64
	failure error
}

// pourFranz begins to send values of so many bytes, numbered from first on in steps of producersMax.
func pourFranz(addr, topic string, partition int32, bytes int, first uint64) (*franz, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(pourPatience), kgo.ProducerLinger(0),
		kgo.RecordRetries(1<<30), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &franz{cl: cl, stop: stop, stopped: make(chan struct{})}
	go func() {
		defer close(f.stopped)
		slots := make(chan struct{}, 8)
		for id := first; ; id += producersMax {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			cl.Produce(context.Background(), &kgo.Record{Topic: topic, Partition: partition, Value: makeValue(id, bytes)}, func(r *kgo.Record, err error) {
				f.note(id, r.Offset, err)
				<-slots
			})
			time.Sleep(pourPace)
		}
	}()
	return f, nil
}

func (f *franz) name() string { return "franz-go" }

func (f *franz) note(id uint64, offset int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.failure = errors.Join(f.failure, err)
		return
	}
	f.numbers, f.offsets = append(f.numbers, id), append(f.offsets, offset)
}

func (f *franz) poured(end bool) ([]uint64, []int64, error) {
	if end {
		f.stop()
		<-f.stopped
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := f.cl.Flush(ctx); err != nil {
			return nil, nil, fmt.Errorf("franz-go does not get rid of its records: %w", err)
		}
		f.cl.Close()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	numbers, offsets := f.numbers, f.offsets
	f.numbers, f.offsets = nil, nil
	return numbers, offsets, f.failure
}

// agent pours with a client of bench/families.
type agent struct {
	kind string
	*families.Agent
}

func (a *agent) name() string { return a.kind }

func (a *agent) poured(end bool) ([]uint64, []int64, error) {
	answer, err := a.Do(families.Command{Op: "poured", Dry: end})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", a.kind, err)
	}
	numbers := make([]uint64, len(answer.Numbers))
	for i, n := range answer.Numbers {
		numbers[i] = uint64(n)
	}
	return numbers, answer.Offsets, nil
}

// pourAgent starts an agent and has it pour. The error is a *shelf.Missing where the client is not installed.
func pourAgent(kit *families.Kit, client, scratch, addr, topic string, partition int32, bytes int, first uint64) (*agent, error) {
	root, err := harness.ModuleRoot()
	if err != nil {
		return nil, err
	}
	kit = kit.In(filepath.Join(root, "bench/families"))
	out := filepath.Join(scratch, kit.Name)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	args, env, err := kit.Prepare(out)
	if err != nil {
		return nil, err
	}
	if client != "" {
		args = append(args, client)
	}
	started, err := families.LaunchIn(kit.From, append(args, addr), env)
	if err != nil {
		return nil, err
	}
	a := &agent{kind: kit.Name, Agent: started}
	hello, err := a.Do(families.Command{Op: "hello"})
	if err == nil {
		a.kind = hello.Client
		_, err = a.Do(families.Command{Op: "pour", Topic: topic, Partition: partition, Count: bytes, At: int64(first)})
	}
	if err != nil {
		a.Close()
		return nil, fmt.Errorf("%s: %w", a.kind, err)
	}
	return a, nil
}
