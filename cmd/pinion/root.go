package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

// run executes one command line and gives its exit code.
func run(ctx context.Context, con *console, args []string) int {
	root := newRoot(con)
	root.SetArgs(args)
	return report(con, root.ExecuteContext(ctx))
}

func newRoot(con *console) *cobra.Command {
	root := &cobra.Command{
		Use:           "pinion",
		Short:         "A Kafka-protocol broker, and its client",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(con.in)
	root.SetOut(outlet{con.out})
	root.SetErr(con.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v (see %s --help)", err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().String("brokers", environment(con, "PINION_BROKERS", "localhost:9092"),
		"brokers to ask first, host:port[,host:port...] (env PINION_BROKERS)")
	root.PersistentFlags().StringP("output", "o", "text", "text, json or jsonl")
	root.AddCommand(newStart(con), newVersion(con), newTopic(con), newGroup(con), newCluster(con), newBench(con), newCheck(), newBackup(), newRestore(), newDebug())
	asGroup(root)
	return root
}

// asGroup makes a command that only holds others refuse an unknown verb with a suggestion; cobra would show help and exit 0.
func asGroup(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		if cmd.SuggestionsMinimumDistance == 0 {
			cmd.SuggestionsMinimumDistance = 2
		}
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return usagef("unknown command %q for %q\n  did you mean: %s", args[0], cmd.CommandPath(), strings.Join(near, ", "))
		}
		return usagef("unknown command %q for %q (see %s --help)", args[0], cmd.CommandPath(), cmd.CommandPath())
	}
}

// atLeast and exactly are cobra's argument checks with our exit code and the command's own words.
func atLeast(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return usagef("%s: %s is missing (see %s --help)", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}

func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef("%s: %q is one argument too many", cmd.CommandPath(), args[n])
		}
		return atLeast(n, what)(cmd, args)
	}
}

func environment(con *console, name, otherwise string) string {
	for _, pair := range con.env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok && value != "" {
			return value
		}
	}
	return otherwise
}
