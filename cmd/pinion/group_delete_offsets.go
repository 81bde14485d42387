package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// forgottenOffset is one row of `group delete-offsets`.
type forgottenOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"`
	Status    string `json:"status"`
	Error     string `json:"error,omitempty"`
}

func newGroupDeleteOffsets(con *console) *cobra.Command {
	var topics []string
	var partitions []int32
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "delete-offsets GROUP --topics TOPIC",
		Short: "Forget what a group has committed of topics it does not read",
		Long: `Forget the offsets a group has committed of topics. What its members are subscribed to is refused by the broker: they would commit it again, or begin
anew where auto.offset.reset says. Asks first on a terminal; elsewhere --yes is needed.`,
		Example: "  pinion group delete-offsets billing --topics orders --dry-run\n  pinion group delete-offsets billing --topics orders -p 0 --yes",
		Args:    exactly(1, "the group's name"),
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(topics) == 0 {
				return usagef("want --topics; `pinion group delete` forgets a whole group")
			}
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				names, err := knownGroups(ctx, client, names)
				if err != nil {
					return err
				}
				list, err := offsetsOf(ctx, client, names[0], topics, partitions)
				if err != nil {
					return err
				}
				return forgetOffsets(ctx, cmd, con, client, names[0], list, yes, dryRun)
			})
		},
	}
	cmd.Flags().StringSliceVarP(&topics, "topics", "t", nil, "the topics")
	cmd.Flags().Int32SliceVarP(&partitions, "partitions", "p", nil, "these partitions only")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be forgotten")
	return cmd
}

// offsetsOf lists what the group has committed of the topics. A topic of which there is nothing is named: somebody may have mistyped it.
func offsetsOf(ctx context.Context, client *kadm.Client, group string, topics []string, partitions []int32) ([]forgottenOffset, error) {
	committed, err := client.FetchOffsets(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", group, reason(err))
	}
	var list []forgottenOffset
	for _, topic := range topics {
		before := len(list)
		for _, o := range committed.Sorted() {
			if o.Topic == topic && chosen(partitions, o.Partition) {
				list = append(list, forgottenOffset{Topic: topic, Partition: o.Partition, Committed: o.At, Status: "would be forgotten"})
			}
		}
		if len(list) == before {
			return nil, fmt.Errorf("group %s has no offsets of %s", group, topic)
		}
	}
	return list, nil
}

func forgetOffsets(ctx context.Context, cmd *cobra.Command, con *console, client *kadm.Client, group string, list []forgottenOffset, yes, dryRun bool) error {
	failed := 0
	if !dryRun {
		if !yes {
			if err := confirm(con, fmt.Sprintf("forget %d offsets of group %s", len(list), group)); err != nil {
				return err
			}
			var cancel context.CancelFunc // thinking must not use up the time the broker has
			ctx, cancel = context.WithTimeout(cmd.Context(), adminTimeout)
			defer cancel()
		}
		var err error
		if failed, err = forgetAll(ctx, client, group, list); err != nil {
			return err
		}
	}
	err := writeList(cmd, []string{"TOPIC", "PARTITION", "COMMITTED", "STATUS"}, list, func(o forgottenOffset) []string {
		status := o.Status
		if o.Error != "" {
			status = o.Error
		}
		return []string{o.Topic, strconv.Itoa(int(o.Partition)), count(o.Committed), strings.TrimSpace(status)}
	})
	if err != nil {
		return err
	}
	return outcome(failed, len(list))
}

// forgetAll deletes the offsets, and reads what is left to say what became of them.
func forgetAll(ctx context.Context, client *kadm.Client, group string, list []forgottenOffset) (failed int, err error) {
	var set kadm.TopicsSet
	for i := range list {
		set.Add(list[i].Topic, list[i].Partition)
	}
	responses, err := client.DeleteOffsets(ctx, group, set)
	if err != nil {
		return 0, fmt.Errorf("delete offsets of group %s: %w", group, reason(err))
	}
	left, err := client.FetchOffsets(ctx, group)
	if err != nil {
		return 0, fmt.Errorf("read the offsets of group %s again: %w", group, reason(err))
	}
	for i := range list {
		o := &list[i]
		refused, answered := responses.Lookup(o.Topic, o.Partition)
		_, there := left.Lookup(o.Topic, o.Partition)
		switch {
		case !answered:
			o.Status, o.Error = "FAILED", "the broker did not answer for it"
		case refused != nil:
			o.Status, o.Error = "FAILED", describeError(refused, "")
		case there:
			o.Status, o.Error = "FAILED", "somebody committed it again meanwhile"
		default:
			o.Status = "OK"
			continue
		}
		failed++
	}
	return failed, nil
}
