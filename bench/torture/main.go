// Command torture ends a real broker in bad ways under load and looks at what is left: kill -9, power cuts of a file system of its own, kills at
// system calls in every part of its life, kills and cuts with partitions on their way between log directories, writes, syncs and reads that fail, and disks that fill up. Every acknowledged record must be there,
// unchanged, in order, and of an idempotent producer once; nothing may be there that was not sent. The same power cuts must lose something of
// a topic with pinion.durability=memory, or they cut nothing.
//
//	go run ./bench/torture -kills 300 -cuts 300 -syscalls 320 -eio 72 -reads 24 -moves 100 -move-cuts 50 -full 50
//	go run ./bench/torture -soak 1h
//
// Power cuts and full disks need root and a loop device, system calls strace; where they are missing it says so. It refuses to touch any file
// system or process but those it made.
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

// rounds is how many of each kind are wanted.
type rounds struct {
	kills, cuts, memory, syscalls, eio, reads, full int
	moves, moveCuts                                 int
	serving                                         time.Duration // at most, until a start after a kill at a system call serves
}

func main() {
	var n rounds
	flag.IntVar(&n.cuts, "cuts", 300, "power cuts of fsync topics")
	flag.IntVar(&n.kills, "kills", 300, "kill -9 under load")
	flag.IntVar(&n.memory, "memory", 20, "power cuts of memory topics, which must lose something")
	flag.IntVar(&n.syscalls, "syscalls", 320, "kills at system calls: during starts, recoveries, load and stops")
	flag.IntVar(&n.eio, "eio", 72, "writes and syncs that fail")
	flag.IntVar(&n.reads, "reads", 24, "reads that fail")
	flag.IntVar(&n.full, "full", 50, "times that the disk fills up under clients that are left running")
	flag.IntVar(&n.moves, "moves", 100, "kill -9 with three log directories and partitions on their way between them")
	flag.IntVar(&n.moveCuts, "move-cuts", 50, "power cuts with them")
	flag.DurationVar(&n.serving, "serving", servingMax, "how long a start after a kill at a system call may take")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the moments and the load")
	lasts := flag.Duration("soak", 0, "in place of all that: a broker under load, with little memory, for so long")
	dir := flag.String("dir", "", "where images and data go; default a temporary folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := torture(ctx, n, *lasts, *seed, *dir)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

// trial is one kind of harm, so many times.
type trial struct {
	what string
	*campaign
	run  func(ctx context.Context) error
	tell func() // what came of it, beside the verdict; nil: nothing
}

func torture(ctx context.Context, n rounds, lasts time.Duration, seed uint64, dir string) (err error) {
	if dir == "" {
		made, err := os.MkdirTemp("", "pinion-torture-")
		if err != nil {
			return err
		}
		dir = made
		defer func() { // of a failure everything is left for a look, but for file systems that are mounted
			if err == nil {
				err = os.RemoveAll(made)
			} else {
				fmt.Fprintln(os.Stderr, "torture: see", made)
			}
		}()
	}
	if lasts > 0 {
		k := newSoak(lasts, os.Stdout, dir, seed)
		return errors.Join(k.run(ctx), k.end())
	}
	for _, t := range trials(n) {
		if t.rounds == 0 {
			continue
		}
		t.seed, t.out, t.dir = seed, os.Stdout, dir
		if err := t.report(ctx); err != nil {
			return err
		}
	}
	return nil
}

func trials(n rounds) []trial {
	kills := &campaign{rounds: n.kills, durability: "fsync"}
	cuts := &campaign{rounds: n.cuts, durability: "fsync", cuts: true}
	memory := &campaign{rounds: n.memory, durability: "memory", cuts: true}
	calls := newSiteKills(&campaign{rounds: n.syscalls, durability: "fsync"})
	calls.bound = n.serving
	eio := newBreaks(&campaign{rounds: n.eio, durability: "fsync"})
	reads := newMisreads(&campaign{rounds: n.reads, durability: "fsync"})
	moves := newWandering(&campaign{rounds: n.moves, durability: "fsync"})
	moveCuts := newWandering(&campaign{rounds: n.moveCuts, durability: "fsync", cuts: true})
	full := &fills{stream: stream{campaign: &campaign{rounds: n.full, durability: "fsync"}}, others: true}
	return []trial{
		{"kill -9", kills, kills.run, nil},
		{"power cuts", cuts, cuts.run, nil},
		{"power cuts", memory, memory.run, nil},
		{"kills at system calls", calls.campaign, calls.run, calls.tell},
		{"failed writes and syncs", eio.campaign, eio.run, eio.tell},
		{"failed reads", reads.campaign, reads.run, reads.tell},
		{"kill -9 with moves between log directories", moves.campaign, moves.run, moves.tell},
		{"power cuts with moves between log directories", moveCuts.campaign, moveCuts.run, moveCuts.tell},
		{"full disks", full.campaign, full.run, full.tell},
	}
}

// report runs a trial and says what came of it.
func (t trial) report(ctx context.Context) error {
	fmt.Fprintf(t.out, "%d %s, pinion.durability=%s, seed %d\n", t.rounds, t.what, t.durability, t.seed)
	began := time.Now()
	err := t.run(ctx)
	var noImage *errNoImage
	var noStrace *errNoStrace
	if errors.As(err, &noImage) || errors.As(err, &noStrace) {
		fmt.Fprintln(t.out, "  skipped:", err)
		return t.end()
	}
	if err != nil && t.image != nil {
		return errors.Join(err, t.end())
	}
	if err != nil {
		return err
	}
	if t.tell != nil {
		t.tell()
	}
	fmt.Fprintf(t.out, "  %s, in %v\n", &t.sum, time.Since(began).Round(time.Second))
	if t.durability == "memory" && t.sum.lost == 0 {
		return errors.New("the power cuts lost nothing of memory topics: they cut nothing")
	}
	return nil
}
