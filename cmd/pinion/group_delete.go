package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newGroupDelete(con *console) *cobra.Command {
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "delete GROUP...",
		Short: "Delete groups without members, and their offsets",
		Long:  "Delete groups without members, and their offsets. Asks first on a terminal; elsewhere --yes is needed.",
		Args:  atLeast(1, "the group's name"),
		RunE: func(cmd *cobra.Command, names []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				names, err := knownGroups(ctx, client, names)
				if err != nil {
					return err
				}
				return deleteGroups(ctx, cmd, con, client, names, yes, dryRun)
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be deleted")
	return cmd
}

func deleteGroups(ctx context.Context, cmd *cobra.Command, con *console, client *kadm.Client, names []string, yes, dryRun bool) error {
	header := []string{"GROUP", "STATUS"}
	row := func(t deletedTopic) []string {
		if t.Error != "" {
			return []string{t.Name, t.Error}
		}
		return []string{t.Name, t.Status}
	}
	var list []deletedTopic
	if dryRun {
		for _, name := range names {
			list = append(list, deletedTopic{Name: name, Status: "would be deleted"})
		}
		return writeList(cmd, header, list, row)
	}
	if !yes {
		if err := confirm(con, "delete "+strings.Join(names, ", ")+" and all offsets"); err != nil {
			return err
		}
		var cancel context.CancelFunc // thinking must not use up the time the broker has
		ctx, cancel = context.WithTimeout(cmd.Context(), adminTimeout)
		defer cancel()
	}
	responses, err := client.DeleteGroups(ctx, names...)
	if err != nil {
		return fmt.Errorf("delete groups: %w", reason(err))
	}
	failed := 0
	for _, r := range responses.Sorted() {
		t := deletedTopic{Name: r.Group, Status: "OK"}
		if r.Err != nil {
			t.Status, t.Error = "FAILED", describeError(r.Err, "")
			failed++
		}
		list = append(list, t)
	}
	if err := writeList(cmd, header, list, row); err != nil {
		return err
	}
	return outcome(failed, len(list))
}
