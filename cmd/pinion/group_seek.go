package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type seekFlags struct {
	to, export, from string
	topics           []string
	partitions       []int32
	yes, dryRun      bool
}

// soughtPartition is one row of `group seek`. An old offset of -1 stands for none.
type soughtPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Old       int64  `json:"old"`
	New       int64  `json:"new"` // as it stands, or would
	Status    string `json:"status"`
	Error     string `json:"error,omitempty"`
}

func newGroupSeek(con *console) *cobra.Command {
	var flags seekFlags
	cmd := &cobra.Command{
		Use:   "seek GROUP (--to OFFSET | --from PLAN)",
		Short: "Move the offsets of a group that has no members",
		Long: `Move a group's committed offsets: to start, end, n, +n behind the start, -n before the end, or @time (2026-11-22, 1700000000000, -1h), within
what each partition holds. Without --topics all that the group has offsets for are moved. --export writes the plan as topic,partition,offset lines, --from reads
such a plan. A group with members is refused: they would overwrite it. Asks first on a terminal; elsewhere --yes is needed.`,
		Example: `  pinion group seek billing --to @-2h --dry-run
  pinion group seek billing --topics orders --to start --yes
  pinion group seek billing --to end --export plan.csv --dry-run
  pinion group seek billing --from plan.csv --yes`,
		Args: exactly(1, "the group's name"),
		RunE: func(cmd *cobra.Command, names []string) error {
			if (flags.to == "") == (flags.from == "") {
				return usagef("want one of --to and --from")
			}
			var wanted offsetRange
			if flags.to != "" {
				var err error
				if wanted, err = parseOffsets(flags.to, time.Now()); err != nil {
					return err
				}
				if wanted.stop.given || strings.HasSuffix(flags.to, ":") {
					return usagef("--to %s: want one offset, not a range", flags.to)
				}
			}
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				return seekGroup(ctx, cmd, con, client, names[0], wanted, flags)
			})
		},
	}
	cmd.Flags().StringVar(&flags.to, "to", "", "where to")
	cmd.Flags().StringVar(&flags.from, "from", "", "a plan to follow, - for standard input")
	cmd.Flags().StringVar(&flags.export, "export", "", "write the plan to this file, - for standard output")
	cmd.Flags().StringSliceVarP(&flags.topics, "topics", "t", nil, "these topics only")
	cmd.Flags().Int32SliceVarP(&flags.partitions, "partitions", "p", nil, "these partitions only")
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show what would be moved")
	return cmd
}

func seekGroup(ctx context.Context, cmd *cobra.Command, con *console, client *kadm.Client, group string, wanted offsetRange, flags seekFlags) error {
	if err := refuseMembers(ctx, client, group); err != nil {
		return err
	}
	old, err := client.FetchOffsets(ctx, group)
	if err != nil {
		return fmt.Errorf("offsets of group %s: %w", group, reason(err))
	}
	list, err := seekPlan(ctx, con, client, group, old, wanted, flags)
	if err != nil {
		return err
	}
	if flags.export != "" {
		if err := exportPlan(cmd, flags.export, list); err != nil || flags.export == "-" {
			return err
		}
	}
	failed := 0
	if !flags.dryRun && len(list) > 0 {
		if !flags.yes {
			if err := confirm(con, fmt.Sprintf("move %d offsets of group %s", len(list), group)); err != nil {
				return err
			}
			var cancel context.CancelFunc // thinking must not use up the time the broker has
			ctx, cancel = context.WithTimeout(cmd.Context(), adminTimeout)
			defer cancel()
		}
		if failed, err = seekAll(ctx, client, group, list); err != nil {
			return err
		}
	}
	err = writeList(cmd, []string{"TOPIC", "PARTITION", "OLD", "NEW", "DELTA", "STATUS"}, list, func(p soughtPartition) []string {
		status, delta := p.Status, ""
		if p.Error != "" {
			status = p.Error
		}
		if p.Old >= 0 {
			delta = fmt.Sprintf("%+d", p.New-p.Old)
		}
		return []string{p.Topic, strconv.Itoa(int(p.Partition)), count(p.Old), count(p.New), delta, status}
	})
	if err != nil {
		return err
	}
	return outcome(failed, len(list))
}

// refuseMembers names who reads in the group: what was moved would be overwritten by their next commit.
func refuseMembers(ctx context.Context, client *kadm.Client, group string) error {
	described, err := client.DescribeGroups(ctx, group)
	if err != nil {
		return fmt.Errorf("describe group %s: %w", group, reason(err))
	}
	var members []string
	for _, m := range described[group].Members {
		members = append(members, fmt.Sprintf("%s (client %s at %s)", m.MemberID, m.ClientID, m.ClientHost))
	}
	if len(members) > 0 {
		return fmt.Errorf("group %s has %d members; stop them first\n  %s", group, len(members), strings.Join(members, "\n  "))
	}
	return nil
}

// seekPlan lists what is to be moved, in order of name and index.
func seekPlan(ctx context.Context, con *console, client *kadm.Client, group string, old kadm.OffsetResponses, wanted offsetRange, flags seekFlags) ([]soughtPartition, error) {
	if flags.from != "" {
		return readPlan(con, flags.from, old)
	}
	topics := flags.topics
	if len(topics) == 0 {
		for topic := range old {
			topics = append(topics, topic)
		}
	}
	slices.Sort(topics)
	topics = slices.Compact(topics)
	if len(topics) == 0 {
		return nil, fmt.Errorf("group %s has no offsets; name the topics it is to have some for with --topics", group)
	}
	if _, err := selectTopics(ctx, client, topics, false); err != nil {
		return nil, err
	}
	spans, err := resolve(ctx, client, wanted, true, topics)
	if err != nil {
		return nil, err
	}
	var list []soughtPartition
	for _, topic := range topics {
		for p, span := range spans[topic] {
			if chosen(flags.partitions, p) {
				// Behind the end there is nothing to go on at: the next member would begin where auto.offset.reset says.
				list = append(list, sought(old, topic, p, min(span.from, span.stop)))
			}
		}
	}
	sortPlan(list)
	return list, nil
}

func sortPlan(list []soughtPartition) {
	slices.SortFunc(list, func(a, b soughtPartition) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition) - int(b.Partition)
	})
}

func sought(old kadm.OffsetResponses, topic string, partition int32, to int64) soughtPartition {
	p := soughtPartition{Topic: topic, Partition: partition, Old: -1, New: to, Status: "would be moved"}
	if o, ok := old.Lookup(topic, partition); ok {
		p.Old = o.At
	}
	return p
}

// readPlan reads topic,partition,offset lines.
func readPlan(con *console, name string, old kadm.OffsetResponses) ([]soughtPartition, error) {
	in := con.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	var list []soughtPartition
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, ",")
		if len(parts) != 3 {
			return nil, fmt.Errorf("%s:%d: want topic,partition,offset", name, n)
		}
		partition, err := strconv.ParseInt(strings.TrimSpace(parts[1]), 10, 32)
		offset, err2 := strconv.ParseInt(strings.TrimSpace(parts[2]), 10, 64)
		if err != nil || err2 != nil || partition < 0 || offset < 0 {
			return nil, fmt.Errorf("%s:%d: want topic,partition,offset, with numbers of 0 or more", name, n)
		}
		list = append(list, sought(old, strings.TrimSpace(parts[0]), int32(partition), offset))
	}
	sortPlan(list)
	return list, lines.Err()
}

// exportPlan writes what readPlan reads.
func exportPlan(cmd *cobra.Command, name string, list []soughtPartition) error {
	var out io.Writer = cmd.OutOrStdout()
	if name != "-" {
		file, err := os.Create(name)
		if err != nil {
			return err
		}
		defer file.Close()
		out = file
	}
	for _, p := range list {
		if _, err := fmt.Fprintf(out, "%s,%d,%d\n", p.Topic, p.Partition, p.New); err != nil {
			return err
		}
	}
	return nil
}

// seekAll commits the offsets, and reads them again to say what they are.
func seekAll(ctx context.Context, client *kadm.Client, group string, list []soughtPartition) (failed int, err error) {
	var offsets kadm.Offsets
	for _, p := range list {
		offsets.AddOffset(p.Topic, p.Partition, p.New, -1)
	}
	responses, err := client.CommitOffsets(ctx, group, offsets)
	if err != nil {
		return 0, fmt.Errorf("commit offsets of group %s: %w", group, reason(err))
	}
	now, err := client.FetchOffsets(ctx, group)
	if err != nil {
		return 0, fmt.Errorf("read the offsets of group %s again: %w", group, reason(err))
	}
	for i := range list {
		p := &list[i]
		r, ok := responses.Lookup(p.Topic, p.Partition)
		at, there := now.Lookup(p.Topic, p.Partition)
		switch {
		case !ok:
			p.Status, p.Error = "FAILED", "the broker did not answer for it"
		case r.Err != nil:
			p.Status, p.Error = "FAILED", describeError(r.Err, "")
		case !there || at.At != p.New:
			p.Status, p.Error = "FAILED", "somebody else committed meanwhile"
		default:
			p.Status = "OK"
			continue
		}
		if p.New = p.Old; there {
			p.New = at.At
		}
		failed++
	}
	return failed, nil
}
