package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// wandering is a campaign whose broker has several log directories, with partitions of the load on their way between them all the time.
type wandering struct {
	*campaign
	arrived atomic.Int64
}

// wanderDirs is how many directories: one more than a way needs, so that a way can be changed under way.
const wanderDirs = 3

func newWandering(c *campaign) *wandering {
	w := &wandering{campaign: c}
	c.directories = wanderDirs
	c.beside = w.wander
	return w
}

// tell says how many moves came to their end.
func (w *wandering) tell() { fmt.Fprintf(w.out, "  %d moves came to their end\n", w.arrived.Load()) }

// run is the campaign's; moves that never end would make it show nothing.
func (w *wandering) run(ctx context.Context) error {
	err := w.campaign.run(ctx)
	if err == nil && w.arrived.Load() == 0 && w.rounds > 0 {
		err = errors.New("no move came to its end")
	}
	return err
}

// wander asks for some partition to lie in some directory, again and again, and now and then does not wait for it to get there. Errors are what a dying
// broker answers.
func (w *wandering) wander(ctx context.Context, addr string, seed uint64) (wait func(), err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RetryTimeout(2*time.Second))
	if err != nil {
		return nil, err
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer cl.Close()
		admin := kadm.NewClient(cl)
		r := rand.New(rand.NewPCG(seed, 200))
		dirs := strings.Split(w.directoryList(), ",")
		for ctx.Err() == nil {
			topic, p := idempotentTopic, r.Int32N(partitions)
			if r.IntN(2) == 0 {
				topic = plainTopic
			}
			w.send(ctx, admin, dirs[r.IntN(len(dirs))], topic, p, r.IntN(4) > 0)
		}
	}()
	return func() { <-over }, nil
}

// send asks for one, and waits for its arrival.
func (w *wandering) send(ctx context.Context, admin *kadm.Client, to, topic string, p int32, wait bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	set := kadm.TopicsSet{}
	set.Add(topic, p)
	before, err := admin.DescribeAllLogDirs(ctx, set)
	if err != nil {
		return
	}
	was, _ := lies(before, topic, p)
	var req kadm.AlterReplicaLogDirsReq
	req.Add(to, set)
	if _, err := admin.AlterAllReplicaLogDirs(ctx, req); err != nil {
		return
	}
	for wait && ctx.Err() == nil {
		all, err := admin.DescribeAllLogDirs(ctx, set)
		if err != nil {
			return
		}
		if in, settled := lies(all, topic, p); settled {
			if in == to && was != to {
				w.arrived.Add(1)
			}
			return
		}
		time.Sleep(time.Millisecond) // nobody tells when a move is over
	}
}

// lies is where a partition is, and whether it stays.
func lies(all kadm.DescribedAllLogDirs, topic string, p int32) (in string, stays bool) {
	stays = true
	all.Each(func(d kadm.DescribedLogDir) {
		replica, there := d.Topics[topic][p]
		switch {
		case there && replica.IsFuture:
			stays = false
		case there:
			in = d.Dir
		}
	})
	return in, stays
}

// directoryList is log.dirs.
func (c *campaign) directoryList() string {
	if c.directories < 2 {
		return c.data()
	}
	var all []string
	for n := range c.directories {
		all = append(all, filepath.Join(c.data(), fmt.Sprintf("disk-%d", n)))
	}
	return strings.Join(all, ",")
}
