package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

const (
	loadTopic    = "torture-load"
	loadParts    = 3           // of it, one for each client
	fullPatience = time.Minute // for every step; none comes near it unless something is broken
)

// stream is clients that are left running, each with a partition of its own, and a consumer behind them: what was acknowledged must come by.
type stream struct {
	*campaign
	b       *harness.Broker
	admin   *kadm.Client
	pourers []pourer
	seen    *tailed
	acked   [loadParts]map[int64]uint64 // by pourer: numbers that were acknowledged and not looked for yet, by offset
	total   [loadParts]int              // by pourer: acknowledged
}

// tailed is what a consumer has read of the load so far.
type tailed struct {
	mu    sync.Mutex         // guards what follows
	at    []map[int64]uint64 // by partition: number at each offset, until it was looked for
	next  []int64
	last  []uint64 // number
	read  int
	wrong error
}

// tail begins to read the load.
func (k *stream) tail(ctx context.Context) error {
	places := map[int32]int64{0: 0, 1: 0, 2: 0}
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.b.Addr), kgo.ConsumePartitions(at(map[string]map[int32]int64{loadTopic: places})), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	k.seen = &tailed{at: make([]map[int64]uint64, loadParts), next: make([]int64, loadParts), last: make([]uint64, loadParts)}
	for i := range k.seen.at {
		k.seen.at[i], k.acked[i] = map[int64]uint64{}, map[int64]uint64{}
	}
	ctx, stop := context.WithCancel(ctx)
	go func() { // until the broker is gone
		defer stop()
		defer cl.Close()
		for ctx.Err() == nil {
			select {
			case <-k.b.Ended():
				return
			default:
			}
			poll, cancel := context.WithTimeout(ctx, time.Second)
			k.seen.take(cl.PollFetches(poll))
			cancel()
		}
	}()
	return nil
}

// take notes what was read; every offset must follow the one before.
func (s *tailed) take(fetches kgo.Fetches) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fetches.EachRecord(func(r *kgo.Record) {
		id, err := checkValue(r.Value)
		if err == nil && r.Offset != s.next[r.Partition] {
			err = fmt.Errorf("partition %d goes on at %d, expected %d", r.Partition, r.Offset, s.next[r.Partition])
		}
		if err == nil && id <= s.last[r.Partition] {
			err = fmt.Errorf("partition %d: value %d at %d lies behind %d", r.Partition, id, r.Offset, s.last[r.Partition])
		}
		if err != nil && s.wrong == nil {
			s.wrong = err
		}
		s.last[r.Partition] = id
		s.at[r.Partition][r.Offset], s.next[r.Partition] = id, r.Offset+1
		s.read++
	})
}

func (k *stream) note(i int, numbers []uint64, offsets []int64) {
	k.total[i] += len(numbers)
	for j, offset := range offsets {
		k.acked[i][offset] = numbers[j]
	}
}

// progress asks every client what was acknowledged, and gives how many records each has had since the last time.
func (k *stream) progress() ([]int, error) {
	news := make([]int, len(k.pourers))
	for i, p := range k.pourers {
		numbers, offsets, err := p.poured(false)
		if err != nil {
			return nil, fmt.Errorf("the client gave up: %w", err)
		}
		k.note(i, numbers, offsets)
		news[i] = len(numbers)
	}
	return news, nil
}

// caughtUp waits until the reader is at the end, and looks for everything that was acknowledged.
func (k *stream) caughtUp(ctx context.Context) error {
	if _, err := k.progress(); err != nil {
		return err
	}
	ends, err := k.admin.ListEndOffsets(ctx, loadTopic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	behind := func() (p int32, yes bool) {
		k.seen.mu.Lock()
		defer k.seen.mu.Unlock()
		for i, next := range k.seen.next {
			if end, _ := ends.Lookup(loadTopic, int32(i)); next < end.Offset {
				return int32(i), true
			}
		}
		return 0, false
	}
	for end := time.Now().Add(fullPatience); ; time.Sleep(20 * time.Millisecond) {
		p, yes := behind()
		if !yes {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("partition %d is not read to its end", p)
		}
	}
	k.seen.mu.Lock()
	defer k.seen.mu.Unlock()
	if k.seen.wrong != nil {
		return k.seen.wrong
	}
	for i, offsets := range k.acked {
		for offset, id := range offsets {
			if found := k.seen.at[i][offset]; found != id {
				k.sum.note(&k.sum.lost, "value %d was acknowledged at %d of partition %d, where %d is", id, offset, i, found)
			}
			delete(k.seen.at[i], offset)
		}
		clear(offsets)
	}
	k.sum.read, k.seen.read = k.sum.read+k.seen.read, 0
	if k.sum.bad() {
		return errors.New(k.sum.first)
	}
	return nil
}

// trimRead deletes everything that was read.
func (k *stream) trimRead(ctx context.Context) error {
	offsets := kadm.Offsets{}
	k.seen.mu.Lock()
	for p, next := range k.seen.next {
		offsets.Add(kadm.Offset{Topic: loadTopic, Partition: int32(p), At: next})
	}
	k.seen.mu.Unlock()
	answer, err := k.admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = answer.Error()
	}
	return err
}

// finish has every client send no more, and wants everything that it has sent to arrive. With trim they may have filled the disk again, and
// what was read is deleted.
func (k *stream) finish(ctx context.Context, trim bool) error {
	type rest struct {
		i       int
		numbers []uint64
		offsets []int64
		err     error
	}
	rests := make(chan rest, len(k.pourers))
	for i, p := range k.pourers {
		go func() {
			numbers, offsets, err := p.poured(true)
			rests <- rest{i, numbers, offsets, err}
		}()
	}
	for left := len(k.pourers); left > 0; {
		select {
		case r := <-rests:
			if r.err != nil {
				return r.err
			}
			k.note(r.i, r.numbers, r.offsets)
			left--
		case <-time.After(200 * time.Millisecond):
			if !trim {
				continue
			}
			if err := k.trimRead(ctx); err != nil {
				return err
			}
		}
	}
	k.pourers = nil
	return k.caughtUp(ctx)
}
