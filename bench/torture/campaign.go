package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"pinion/bench/harness"
)

// campaign is a broker that is ended in bad ways under load, again and again, and looked at after each.
type campaign struct {
	rounds     int
	seed       uint64
	durability string
	cuts       bool // power cuts; else kill -9
	out        io.Writer
	dir        string // for the image or the data
	set        []string

	directories int // log directories, in the data's; 0: the data's itself
	// beside is load of another kind, until ctx ends; nil: there is none.
	beside func(ctx context.Context, addr string, seed uint64) (wait func(), err error)

	image  *image
	starts map[string]map[int32]int64
	ledger *ledger
	sum    verdict
}

// roundsPerImage bounds how full an image gets.
const roundsPerImage = 30

// run makes all rounds. It ends at the first that finds something wrong in fsync; in memory it goes on, because that is what is looked for.
func (c *campaign) run(ctx context.Context) error {
	r := rand.New(rand.NewPCG(c.seed, 0))
	for n := 0; n < c.rounds; n++ {
		if n%roundsPerImage == 0 {
			if err := c.fresh(ctx); err != nil {
				return err
			}
		}
		if err := c.round(ctx, n, r); err != nil {
			return fmt.Errorf("round %d, seed %d: %w", n, c.seed, err)
		}
	}
	b, err := c.start()
	if err != nil {
		return err
	}
	if err := errors.Join(c.look(ctx, b), b.Kill()); err != nil {
		return fmt.Errorf("after the last round, seed %d: %w", c.seed, err)
	}
	return c.end()
}

// look reads what is new and compares it with what was acknowledged.
func (c *campaign) look(ctx context.Context, b *harness.Broker) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // clients ask again for ever for what is offline
	defer cancel()
	v, err := verify(ctx, b.Addr, c.ledger, c.starts)
	c.sum.add(v)
	if err == nil && c.sum.bad() && c.durability == "fsync" {
		err = errors.New(c.sum.first)
	}
	if err != nil {
		return fmt.Errorf("%w; broker: %s", err, b.Log())
	}
	return nil
}

func (c *campaign) data() string {
	if c.image != nil {
		return filepath.Join(c.image.at, "data")
	}
	return filepath.Join(c.dir, "data")
}

// fresh starts over with an empty disk.
func (c *campaign) fresh(ctx context.Context) error {
	if err := c.end(); err != nil {
		return err
	}
	if c.cuts {
		image, err := newImage(c.dir, imageBytes)
		if err != nil {
			return err
		}
		c.image = image
	}
	total := 0
	if c.ledger != nil {
		total = c.ledger.count()
	}
	c.starts, c.ledger = newStarts(), newLedger()
	c.ledger.total = total
	b, err := c.start()
	if err != nil {
		return err
	}
	if err := createTopics(ctx, b.Addr, c.durability); err != nil {
		return errors.Join(err, b.Kill())
	}
	return b.Kill() // the topics are in the catalogue, which is always durable
}

func (c *campaign) end() error {
	if c.image != nil {
		err := c.image.close()
		c.image = nil
		return errors.Join(err, os.Remove(filepath.Join(c.dir, "mnt")))
	}
	return errors.Join(os.RemoveAll(c.data()), os.RemoveAll(traceFile(c.dir)))
}

func (c *campaign) start() (*harness.Broker, error) {
	return harness.Start(harness.Config{Dir: c.directoryList(), Shards: 2, Set: c.set})
}

// round is a start, a look at what the last round left, some load, and the end.
func (c *campaign) round(ctx context.Context, n int, r *rand.Rand) error {
	b, err := c.start()
	if err != nil {
		return err
	}
	if err := c.look(ctx, b); err != nil {
		return errors.Join(err, b.Kill())
	}
	load, stop := context.WithCancel(ctx)
	wait, err := produce(load, b.Addr, c.ledger, r.Uint64())
	if err != nil {
		stop()
		return errors.Join(err, b.Kill())
	}
	if c.beside != nil {
		beside, err := c.beside(load, b.Addr, r.Uint64())
		if err != nil {
			stop()
			return errors.Join(err, b.Kill())
		}
		records := wait
		wait = func() { records(); beside() }
	}
	before := c.ledger.count()
	// The moment is the variable of the experiment; some load has to have been acknowledged, or the round shows nothing.
	time.Sleep(time.Duration(100+r.IntN(500)) * time.Millisecond)
	for end := time.Now().Add(20 * time.Second); c.ledger.count() == before && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond) // a poll: acknowledgements come by the hundred as soon as the broker answers
	}
	if c.cuts {
		how := cutAtOnce
		if r.IntN(3) == 0 {
			how = cutLogFlushed
		}
		if err := c.image.cut(how); err != nil {
			stop()
			return errors.Join(err, b.Kill())
		}
	}
	err = b.Kill()
	stop()
	wait()
	if err == nil && c.cuts {
		if err = c.image.unmount(); err == nil {
			err = c.image.mount()
		}
	}
	if n%10 == 9 {
		fmt.Fprintf(c.out, "  %d rounds, %d records acknowledged, %d lost\n", n+1, c.ledger.count(), c.sum.lost)
	}
	return err
}
