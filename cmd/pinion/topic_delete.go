package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type deleteFlags struct {
	match, yes, dryRun bool
}

// deletedTopic is one row of `topic delete`.
type deletedTopic struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

func newTopicDelete(con *console) *cobra.Command {
	var flags deleteFlags
	cmd := &cobra.Command{
		Use:   "delete NAME...",
		Short: "Delete topics and their records",
		Long:  "Delete topics and their records. Asks first on a terminal; elsewhere --yes is needed.",
		Args:  atLeast(1, "the topic's name"),
		RunE: func(cmd *cobra.Command, names []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				return deleteTopics(ctx, cmd, con, client, names, flags)
			})
		},
	}
	cmd.Flags().BoolVarP(&flags.match, "regex", "r", false, "names are regular expressions, matched as a whole")
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show what would be deleted")
	return cmd
}

func deleteTopics(ctx context.Context, cmd *cobra.Command, con *console, client *kadm.Client, names []string, flags deleteFlags) error {
	details, err := selectTopics(ctx, client, names, flags.match)
	if err != nil {
		return err
	}
	chosen := make([]string, len(details))
	for i, d := range details {
		chosen[i] = d.Topic
	}
	header := []string{"TOPIC", "STATUS"}
	row := func(t deletedTopic) []string {
		if t.Error != "" {
			return []string{t.Name, t.Error}
		}
		return []string{t.Name, t.Status}
	}
	var list []deletedTopic
	if flags.dryRun || len(chosen) == 0 {
		for _, name := range chosen {
			list = append(list, deletedTopic{Name: name, Status: "would be deleted"})
		}
		return writeList(cmd, header, list, row)
	}
	if !flags.yes {
		if err := confirm(con, "delete "+strings.Join(chosen, ", ")+" and all records"); err != nil {
			return err
		}
		var cancel context.CancelFunc // thinking must not use up the time the broker has
		ctx, cancel = context.WithTimeout(cmd.Context(), adminTimeout)
		defer cancel()
	}
	responses, err := client.DeleteTopics(ctx, chosen...)
	if err != nil {
		return fmt.Errorf("delete topics: %w", reason(err))
	}
	failed := 0
	for _, r := range responses.Sorted() {
		t := deletedTopic{Name: r.Topic, Status: "OK"}
		if r.Err != nil {
			t.Status, t.Error = "FAILED", describeError(r.Err, r.ErrMessage)
			failed++
		}
		list = append(list, t)
	}
	if err := writeList(cmd, header, list, row); err != nil {
		return err
	}
	return outcome(failed, len(list))
}

// confirm asks on a terminal, where no answer means no, and refuses elsewhere.
func confirm(con *console, what string) error {
	if !con.inTTY {
		return usagef("will not %s without being asked to; add --yes", what)
	}
	fmt.Fprintf(con.err, "%s? [y/N] ", what)
	answer, _ := bufio.NewReader(con.in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return fmt.Errorf("nothing was done")
}
