package main

import (
	"os"

	"github.com/spf13/cobra"

	"pinion/bench/limit"
)

func newBench(con *console) *cobra.Command {
	bench := &cobra.Command{
		Use: "bench", Short: "Measure a Kafka-protocol broker, and what this machine could do at best",
		Long: `Measure any broker that speaks Kafka's protocol, and what this machine could do at best.

run takes OpenMessaging Benchmark's workload files and ordinary clients; produce, consume and e2e use a raw generator whose own cost
is small; limit runs the system calls of a broker without the broker. Results go to a folder: result.json in OpenMessaging
Benchmark's field names, HdrHistogram logs, report.html that needs no network. compare holds two of them against each other.`,
	}
	bench.AddCommand(newBenchRun(con), newBenchProduce(con), newBenchConsume(con), newBenchEndToEnd(con), newBenchLimit(con),
		newBenchCompare(), newBenchReport(), newBenchLimitChild(con))
	asGroup(bench)
	return bench
}

// newBenchLimitChild is the process that `bench limit` starts for each loop.
func newBenchLimitChild(con *console) *cobra.Command {
	return &cobra.Command{
		Use: "limit-child", Hidden: true, Short: "One loop of bench limit, described on stdin", Args: exactly(0, ""),
		RunE: func(*cobra.Command, []string) error { return limit.Child(con.in, os.Stdout) },
	}
}
