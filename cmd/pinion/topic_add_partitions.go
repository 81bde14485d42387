package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type addPartitionsFlags struct {
	more, to      int
	match, dryRun bool
}

// grownTopic is one row of `topic add-partitions`.
type grownTopic struct {
	Name   string `json:"name"`
	Before int    `json:"before"`
	After  int    `json:"after"` // as it stands, or would
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

func newTopicAddPartitions() *cobra.Command {
	var flags addPartitionsFlags
	cmd := &cobra.Command{
		Use:   "add-partitions NAME... -n N",
		Short: "Give topics more partitions",
		Long: `Give topics more partitions. There is no way back, and records with a key go to other partitions from then on than those with the
same key before.`,
		Args: atLeast(1, "the topic's name"),
		RunE: func(cmd *cobra.Command, names []string) error {
			if (flags.more > 0) == (flags.to > 0) {
				return usagef("give either -n, how many to add, or --to, how many there shall be")
			}
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				return addPartitions(ctx, cmd, client, names, flags)
			})
		},
	}
	cmd.Flags().IntVarP(&flags.more, "num", "n", 0, "how many to add")
	cmd.Flags().IntVar(&flags.to, "to", 0, "how many there shall be")
	cmd.Flags().BoolVarP(&flags.match, "regex", "r", false, "names are regular expressions, matched as a whole")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "let the broker check everything and add nothing")
	return cmd
}

func addPartitions(ctx context.Context, cmd *cobra.Command, client *kadm.Client, names []string, flags addPartitionsFlags) error {
	details, err := selectTopics(ctx, client, names, flags.match)
	if err != nil {
		return err
	}
	grow, done := client.UpdatePartitions, "OK"
	if flags.dryRun {
		grow, done = client.ValidateUpdatePartitions, "would be added"
	}
	list := make([]grownTopic, len(details))
	failed := 0
	for i, d := range details {
		row := &list[i]
		*row = grownTopic{Name: d.Topic, Before: len(d.Partitions), After: flags.to, Status: done}
		if flags.more > 0 {
			row.After = row.Before + flags.more
		}
		// One topic a call: their numbers differ.
		responses, err := grow(ctx, row.After, d.Topic)
		if err != nil {
			return fmt.Errorf("add partitions: %w", reason(err))
		}
		if r := responses[d.Topic]; r.Err != nil {
			row.After, row.Status, row.Error = row.Before, "FAILED", describeError(r.Err, r.ErrMessage)
			failed++
		}
	}
	err = writeList(cmd, []string{"TOPIC", "BEFORE", "AFTER", "STATUS"}, list, func(t grownTopic) []string {
		status := t.Status
		if t.Error != "" {
			status = t.Error
		}
		return []string{t.Name, strconv.Itoa(t.Before), strconv.Itoa(t.After), status}
	})
	if err != nil {
		return err
	}
	return outcome(failed, len(list))
}
