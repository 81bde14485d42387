// Command campaign measures Pinion, and Apache Kafka beside it, row by row: the same generator, the same machine, alternating rounds. Each
// figure it takes is one file in a folder, written as soon as it is known, so that a campaign that was stopped goes on where it
// was. From these files alone it writes a page of results: medians with intervals, the limit of the machine beside each row, and
// the conditions. It starts and ends its brokers itself, runs in a network of its own where it may, and deletes what it wrote.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"pinion/bench/load"
	"pinion/bench/machine"
	"pinion/bench/peer"
)

// options are the knobs of a campaign.
type options struct {
	peers        []string
	only         *regexp.Regexp
	rounds       int
	seconds      time.Duration // measured time of a steady row
	warmup       time.Duration
	budget       time.Duration // no row begins after it; 0: no limit
	touch        bool
	heat         int64 // bytes a JVM gets before it is measured
	restartBytes int64 // in the logs of a broker that is started again
	limits       bool
	out          string
	results      string
	data         string
	binary       string
	shards       int
	sets         []string
	quick        bool // the short form of the main rows
	scale        float64
	listRows     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse()
	if err == nil && !o.listRows {
		var code int
		var started bool
		if started, code, err = isolate(ctx, o); started {
			os.Exit(code)
		}
	}
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "campaign:", err)
		os.Exit(1)
	}
}

// isolate runs this command again in a network of its own, once what comes over the network is here.
func isolate(ctx context.Context, o options) (started bool, code int, err error) {
	if slices.Contains(o.peers, kafka) && !machine.InOwnNetwork() {
		if _, err := peer.Jars(ctx); err != nil {
			return false, 0, err
		}
	}
	return machine.OwnNetwork(load.Congestion)
}

func parse() (options, error) {
	var o options
	peers := flag.String("peers", "pinion", "what to measure: pinion, pinion-cores (each core a broker of its own, for the rows that load a broker that runs), kafka")
	only := flag.String("only", "", "rows whose name this expression describes; all if empty")
	flag.IntVar(&o.rounds, "rounds", 1, "rounds of every row, alternating between the peers")
	flag.DurationVar(&o.seconds, "duration", 5*time.Second, "measured time of a row")
	flag.DurationVar(&o.warmup, "warmup", time.Second, "time of the same load before it")
	flag.DurationVar(&o.budget, "budget", 0, "begin no row after this time; 0: no limit. The next run goes on")
	flag.BoolVar(&o.touch, "touch", false, "use all free memory once before measuring")
	flag.Int64Var(&o.restartBytes, "restart-bytes", 4<<30, "bytes in the logs of a broker that is started again")
	flag.Int64Var(&o.heat, "heat", 15_000_000_000, "bytes of load a JVM gets before it is measured")
	flag.BoolVar(&o.limits, "limits", true, "measure the loops of the machine as well")
	flag.StringVar(&o.out, "out", "bin/campaign", "folder of the figures; a folder with figures is gone on with")
	flag.StringVar(&o.results, "results", "", "write the page of results here")
	flag.StringVar(&o.data, "data", "", "folder for the brokers' data; a temporary one if empty")
	flag.StringVar(&o.binary, "pinion", "", "the binary; built if empty")
	flag.IntVar(&o.shards, "shards", runtime.NumCPU(), "shards of Pinion")
	sets := flag.String("sets", "main", "which rows: main, fsync (durable on our side), life (starts, restarts, many partitions), tools (Kafka's own), omb (OpenMessaging Benchmark's shapes)")
	flag.BoolVar(&o.quick, "quick", false, "the most telling rows only")
	flag.Float64Var(&o.scale, "scale", 1, "of the numbers of partitions, connections and bytes that rows have beside their time")
	flag.BoolVar(&o.listRows, "list", false, "list the rows and do nothing")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, err
	}
	o.sets = strings.Split(*sets, ",")
	for _, set := range o.sets {
		if _, ok := rowSets[set]; !ok {
			return o, fmt.Errorf("-sets %s: want main, fsync, life, tools or omb", set)
		}
	}
	o.peers = strings.Split(*peers, ",")
	for _, p := range o.peers {
		if p != pinion && p != pinionCores && p != kafka {
			return o, fmt.Errorf("-peers %s: want pinion, pinion-cores or kafka", p)
		}
	}
	if o.rounds < 1 || o.seconds <= 0 || o.shards < 1 || o.scale <= 0 {
		return o, errors.New("-rounds, -duration, -shards and -scale want something above zero")
	}
	return o, nil
}

func run(ctx context.Context, o options) (err error) {
	if o.listRows {
		for _, r := range rows(o) {
			fmt.Printf("%-24s %s\n", r.name, r.what)
		}
		return nil
	}
	if o.data == "" {
		if o.data, err = os.MkdirTemp("", "pinion-campaign-"); err != nil {
			return fmt.Errorf("folder for the data: %w", err)
		}
		defer os.RemoveAll(o.data)
	}
	if o.data, err = filepath.Abs(o.data); err != nil {
		return err
	}
	book, err := openLedger(o.out)
	if err != nil {
		return err
	}
	c := &campaign{options: o, ledger: book, began: time.Now()}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.measure(ctx); err != nil {
		return err
	}
	if o.results != "" {
		return writeResults(book, o.results)
	}
	return show(book, os.Stdout)
}
