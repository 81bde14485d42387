package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
	"pinion/bench/load"
	"pinion/bench/peer"
)

// broker is a process under test; the harness and the peer both start such.
type broker interface {
	Address() string
	Process() int
	End() error  // in order
	Kill() error // as kill -9 does
	Log() string
}

// pinionBroker is a broker of ours.
type pinionBroker struct{ *harness.Broker }

func (p pinionBroker) Address() string { return p.Addr }
func (p pinionBroker) Process() int    { return p.Pid }
func (p pinionBroker) End() error {
	code, err := p.Stop()
	if err == nil && code != 0 {
		err = fmt.Errorf("pinion ended with exit code %d\n%s", code, p.Log())
	}
	return err
}

// The peers.
const (
	pinion      = "pinion"
	pinionCores = "pinion-cores" // with pinion.advertise=core: clients send each request to the core that owns the partition
	kafka       = "kafka"
)

// The loops of the machine that take their turns beside them, as the ledger calls them.
const (
	limitLoop  = "limit"
	answerLoop = "answers"
)

// subject is one peer of a campaign with a broker that runs.
type subject struct {
	name   string
	dir    string
	broker broker
	client *kgo.Client
	ready  time.Duration // from the start of the process to the first answer
}

// kafkaSettings are what Kafka does not have at its default: it keeps the files of a deleted topic for a minute otherwise, into the
// next row's time; and its internal topics want three nodes.
var kafkaSettings = []string{"log.segment.delete.delay.ms=1000", "offsets.topic.replication.factor=1",
	"transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1"}

// pinionSettings are what Pinion does not have at its default: what Apache Kafka promises, an acknowledged record is in the page cache. Rows that
// ask for more say so.
var pinionSettings = []string{"pinion.durability=memory"}

// start starts a peer on a folder; one that has data comes up with it.
func (c *campaign) start(ctx context.Context, name, dir string, settings ...string) (*subject, error) {
	s := &subject{name: name, dir: dir}
	began := time.Now()
	switch name {
	case pinion, pinionCores:
		if name == pinionCores {
			settings = append(settings, "pinion.advertise=core")
		}
		b, err := harness.Start(harness.Config{Dir: dir, Shards: c.shards, Binary: c.binary, Set: append(settings, pinionSettings...)})
		if err != nil {
			return nil, err
		}
		s.broker = pinionBroker{b}
	default:
		b, err := peer.Start(ctx, peer.Config{Dir: dir, Set: append(settings, kafkaSettings...)})
		if err != nil {
			return nil, err
		}
		s.broker = b
	}
	var err error
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(s.broker.Address()), kgo.ClientID("pinion-campaign"), kgo.MetadataMinAge(10*time.Millisecond)); err != nil {
		return nil, errors.Join(err, s.broker.Kill())
	}
	if err := s.answers(ctx); err != nil {
		return nil, errors.Join(err, s.kill())
	}
	s.ready = time.Since(began)
	return s, nil
}

// answerMax bounds the wait for a broker's first answer, recovery included.
const answerMax = 10 * time.Minute

func (s *subject) answers(ctx context.Context) error {
	if err := insist(ctx, s.client.Ping, func(error) bool { return true }); err != nil {
		return fmt.Errorf("%s does not answer: %w\n%s", s.name, err, s.broker.Log())
	}
	return nil
}

// insist tries until it succeeds, fails for what does not pass, or has taken answerMax.
func insist(ctx context.Context, try func(context.Context) error, passes func(error) bool) error {
	ctx, cancel := context.WithTimeout(ctx, answerMax)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil || !passes(err) || sleep(ctx, 5*time.Millisecond) != nil { // the start is measured in milliseconds
			return err
		}
	}
}

func (s *subject) pids() []int { return []int{s.broker.Process()} }

func (s *subject) end() error {
	s.client.Close()
	return s.broker.End()
}

func (s *subject) kill() error {
	s.client.Close()
	return s.broker.Kill()
}

// topics counts those made, so that no name is used twice.
var topics atomic.Int64

// withTopic makes a topic, and deletes it when the work is done.
func (s *subject) withTopic(ctx context.Context, partitions int, configs map[string]*string, work func(load.Target) error) error {
	name := fmt.Sprintf("bench-%d-%d", os.Getpid(), topics.Add(1))
	target, err := load.Create(ctx, s.client, name, partitions, configs)
	if err != nil {
		return err
	}
	err = work(target)
	// Also after Ctrl-C: what a row wrote must not weigh on the next.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 45*time.Second)
	defer cancel()
	reply, deleteErr := kadm.NewClient(s.client).DeleteTopic(ctx, name)
	if deleteErr == nil {
		deleteErr = reply.Err
	}
	if deleteErr != nil && err == nil {
		return fmt.Errorf("delete topic %s: %w", name, deleteErr)
	}
	if err == nil {
		s.awaitSpace(ctx)
	}
	return err
}

// awaitSpace waits until the files of deleted topics are gone: both brokers remove them later, and in the next row's time. A broker
// that keeps them is no reason to drop what was measured.
func (s *subject) awaitSpace(ctx context.Context) {
	const kept = 64 << 20 // the broker's own files
	for {
		size, err := sizeOf(s.dir)
		if err == nil && size < kept {
			return
		}
		select {
		case <-ctx.Done():
			fmt.Printf("%s still holds %d bytes after its topics were deleted (%v)\n", s.name, size, err)
			return
		case <-time.After(100 * time.Millisecond): // between two looks at the folder
		}
	}
}

// sizeOf is what the log files in a folder hold. Files come and go while it looks.
func sizeOf(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil
		case err != nil:
			return err
		case entry.IsDir() || filepath.Ext(path) != ".log":
			return nil
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return nil
	})
	return size, err
}
