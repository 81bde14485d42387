package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type trimFlags struct {
	before             string
	partitions         []int32
	match, yes, dryRun bool
}

// trimmedPartition is one row of `topic trim`.
type trimmedPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Before    int64  `json:"old_log_start_offset"`
	After     int64  `json:"log_start_offset"` // as it stands, or would
	Status    string `json:"status"`
	Error     string `json:"error,omitempty"`
}

func newTopicTrim(con *console) *cobra.Command {
	var flags trimFlags
	cmd := &cobra.Command{
		Use:   "trim NAME... --before OFFSET",
		Short: "Delete the oldest records of topics",
		Long: `Delete the records before an offset: end for all there are, n for offset n, -n to keep the last n of each partition, +n to delete the
first n, @time (2026-11-22, 1700000000000, -48h) to keep what is not older. Asks first on a terminal; elsewhere --yes is needed.`,
		Example: `  pinion topic trim orders --before @-48h --dry-run
  pinion topic trim orders -p 0,3 --before 1000 --yes`,
		Args: atLeast(1, "the topic's name"),
		RunE: func(cmd *cobra.Command, names []string) error {
			wanted, err := parseOffsets(flags.before, time.Now())
			switch {
			case flags.before == "":
				return usagef("--before is missing: an offset, end, -n or @time")
			case err != nil:
				return err
			case wanted.stop.given || strings.HasSuffix(flags.before, ":"):
				return usagef("--before %s: want one offset, not a range", flags.before)
			}
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				return trimTopics(ctx, cmd, con, client, names, wanted, flags)
			})
		},
	}
	cmd.Flags().StringVar(&flags.before, "before", "", "delete what lies before this offset")
	cmd.Flags().Int32SliceVarP(&flags.partitions, "partitions", "p", nil, "these partitions only")
	cmd.Flags().BoolVarP(&flags.match, "regex", "r", false, "names are regular expressions, matched as a whole")
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show what would be deleted")
	return cmd
}

func trimTopics(ctx context.Context, cmd *cobra.Command, con *console, client *kadm.Client, names []string, wanted offsetRange, flags trimFlags) error {
	details, err := selectTopics(ctx, client, names, flags.match)
	if err != nil {
		return err
	}
	list, err := trimPlan(ctx, client, details, wanted, flags.partitions)
	if err != nil {
		return err
	}
	failed := 0
	if !flags.dryRun && len(list) > 0 {
		if !flags.yes {
			if err := confirm(con, fmt.Sprintf("delete %d records of %d partitions", trimCount(list), len(list))); err != nil {
				return err
			}
			var cancel context.CancelFunc // thinking must not use up the time the broker has
			ctx, cancel = context.WithTimeout(cmd.Context(), adminTimeout)
			defer cancel()
		}
		if failed, err = trimAll(ctx, client, list); err != nil {
			return err
		}
	}
	err = writeList(cmd, []string{"TOPIC", "PARTITION", "OLD-START", "START", "STATUS"}, list, func(p trimmedPartition) []string {
		status := p.Status
		if p.Error != "" {
			status = p.Error
		}
		return []string{p.Topic, strconv.Itoa(int(p.Partition)), count(p.Before), count(p.After), status}
	})
	if err != nil {
		return err
	}
	return outcome(failed, len(list))
}

// trimPlan lists the partitions and where each would begin, in order of name and index.
func trimPlan(ctx context.Context, client *kadm.Client, details []kadm.TopicDetail, wanted offsetRange, partitions []int32) ([]trimmedPartition, error) {
	var topics []string
	for _, d := range details {
		for _, p := range partitions {
			if _, ok := d.Partitions[p]; !ok {
				return nil, usagef("topic %q has no partition %d; it has %d, counted from 0", d.Topic, p, len(d.Partitions))
			}
		}
		topics = append(topics, d.Topic)
	}
	if len(topics) == 0 {
		return nil, nil
	}
	spans, err := resolve(ctx, client, wanted, false, topics)
	if err != nil {
		return nil, err
	}
	starts, err := client.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list start offsets: %w", reason(err))
	}
	var list []trimmedPartition
	for _, topic := range topics {
		var indexes []int32
		for p := range spans[topic] {
			if chosen(partitions, p) {
				indexes = append(indexes, p)
			}
		}
		slices.Sort(indexes)
		for _, p := range indexes {
			start, _ := starts.Lookup(topic, p)
			list = append(list, trimmedPartition{Topic: topic, Partition: p, Before: start.Offset, After: spans[topic][p].from, Status: "would be trimmed"})
		}
	}
	return list, nil
}

func trimCount(list []trimmedPartition) (records int64) {
	for _, p := range list {
		records += p.After - p.Before
	}
	return records
}

// trimAll deletes and notes what came of it.
func trimAll(ctx context.Context, client *kadm.Client, list []trimmedPartition) (failed int, err error) {
	var offsets kadm.Offsets
	for _, p := range list {
		offsets.Add(kadm.Offset{Topic: p.Topic, Partition: p.Partition, At: p.After})
	}
	responses, err := client.DeleteRecords(ctx, offsets)
	if err != nil {
		return 0, fmt.Errorf("delete records: %w", reason(err))
	}
	for i := range list {
		p := &list[i]
		r, ok := responses.Lookup(p.Topic, p.Partition)
		switch {
		case !ok:
			p.Status, p.Error = "FAILED", "the broker did not answer for it"
		case r.Err != nil:
			p.Status, p.Error = "FAILED", describeError(r.Err, "")
		default:
			p.After, p.Status = r.LowWatermark, "OK"
			continue
		}
		p.After = p.Before
		failed++
	}
	return failed, nil
}
