// Command torture ends a real broker in bad ways under load and looks at what is left: kill -9, and power cuts of a file system of its own.
// Every acknowledged record must be there, unchanged, and of an idempotent producer once; nothing may be there that was not sent. The same
// power cuts must lose something of a topic with pinion.durability=memory, or they cut nothing.
//
//	go run ./bench/torture -cuts 300 -kills 300
//
// Power cuts need root and a loop device. It refuses to touch any file system or process but those it made.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	cuts := flag.Int("cuts", 300, "power cuts of fsync topics")
	kills := flag.Int("kills", 300, "kill -9 under load")
	memory := flag.Int("memory", 20, "power cuts of memory topics, which must lose something")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the moments and the load")
	dir := flag.String("dir", "", "where images and data go; default a temporary folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := torture(ctx, *cuts, *kills, *memory, *seed, *dir)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func torture(ctx context.Context, cuts, kills, memory int, seed uint64, dir string) error {
	if dir == "" {
		made, err := os.MkdirTemp("", "pinion-torture-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(made)
		dir = made
	}
	for _, c := range []*campaign{
		{rounds: kills, durability: "fsync"},
		{rounds: cuts, durability: "fsync", cuts: true},
		{rounds: memory, durability: "memory", cuts: true},
	} {
		c.seed, c.out, c.dir = seed, os.Stdout, dir
		if c.rounds == 0 {
			continue
		}
		if err := c.report(ctx); err != nil {
			return err
		}
	}
	return nil
}

// report runs a campaign and says what came of it.
func (c *campaign) report(ctx context.Context) error {
	what := "kill -9"
	if c.cuts {
		what = "power cuts"
	}
	fmt.Fprintf(c.out, "%d %s, pinion.durability=%s, seed %d\n", c.rounds, what, c.durability, c.seed)
	began := time.Now()
	err := c.run(ctx)
	var impossible *errNoImage
	if errors.As(err, &impossible) {
		fmt.Fprintln(c.out, "  skipped:", err)
		return nil
	}
	if err != nil {
		return errors.Join(err, c.end())
	}
	fmt.Fprintf(c.out, "  %d records read in %v: %d lost, %d changed, %d invented, %d doubled\n",
		c.sum.read, time.Since(began).Round(time.Second), c.sum.lost, c.sum.changed, c.sum.invented, c.sum.doubled)
	if c.durability == "memory" && c.sum.lost == 0 {
		return errors.New("the power cuts lost nothing of memory topics: they cut nothing")
	}
	return nil
}
