package main

import (
	"os"

	"github.com/spf13/cobra"

	"pinion/bench/limit"
)

func newBench(con *console) *cobra.Command {
	bench := &cobra.Command{Use: "bench", Short: "Measure a Kafka-protocol broker, and what this machine could do at best"}
	bench.AddCommand(newBenchLimitChild(con))
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
