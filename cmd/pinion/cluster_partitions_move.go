package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	httpadmin "pinion/net/admin"
)

type moveFlags struct {
	shard  int32
	dir    string
	dryRun bool
}

// movedPartition is one row of `cluster partitions move`. Shards that are not known are -1.
type movedPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int32  `json:"from_shard"`
	To        int32  `json:"to_shard"`
	Status    string `json:"status"`
	Error     string `json:"error,omitempty"`
}

func newPartitionsMove() *cobra.Command {
	var flags moveFlags
	cmd := &cobra.Command{
		Use:   "move TOPIC/PARTITION... --to-shard N | --to-log-dir PATH",
		Short: "Move partitions to another shard or log directory of their node",
		Long: `Move partitions to another shard of their node, while producers and consumers go on. Requests under way are finished or sent on in their
order; where cores are brokers (pinion.advertise=core) the partition gets a new leader and clients find it by themselves.

With --to-log-dir they go to another log directory of their node, named as cluster logdirs shows it. They are on their way when the command ends; cluster
logdirs shows how many have not arrived. Naming the directory a partition lies in ends its way to another.`,
		Example: `  pinion cluster partitions move orders/0 orders/3 --to-shard 1
  pinion cluster partitions move orders/0 --to-shard 1 --dry-run
  pinion cluster partitions move orders/0 --to-log-dir /mnt/disk2/pinion`,
		Args: atLeast(1, "TOPIC/PARTITION"),
		RunE: func(cmd *cobra.Command, args []string) error { return movePartitions(cmd, args, flags) },
	}
	cmd.Flags().Int32Var(&flags.shard, "to-shard", -1, "the shard to move to, counted from 0")
	cmd.Flags().StringVar(&flags.dir, "to-log-dir", "", "the log directory to move to")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show what would be moved")
	return cmd
}

func movePartitions(cmd *cobra.Command, args []string, flags moveFlags) error {
	if _, err := outputFormat(cmd); err != nil {
		return err
	}
	switch {
	case flags.dir != "" && cmd.Flags().Changed("to-shard"):
		return usagef("--to-shard and --to-log-dir: one at a time")
	case flags.dir != "":
		return sendPartitions(cmd, args, flags)
	case !cmd.Flags().Changed("to-shard"):
		return usagef("--to-shard or --to-log-dir is missing: the shard to move to, counted from 0, or the log directory")
	}
	list := make([]movedPartition, len(args))
	for i, arg := range args {
		topic, partition, err := parsePartition(arg)
		if err != nil {
			return err
		}
		list[i] = movedPartition{Topic: topic, Partition: partition, From: -1, To: flags.shard}
	}
	client, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), adminTimeout)
	defer cancel()
	if err := planMoves(ctx, client, list, flags.shard); err != nil {
		return err
	}
	failed := 0
	for i := range list {
		if p := &list[i]; p.Error == "" && p.From != p.To && !flags.dryRun {
			moved, err := client.move(ctx, p.Topic, p.Partition, flags.shard)
			if err == nil {
				p.From, p.Status = moved.From, "moved"
			} else {
				p.Error = firstLineOf(err.Error())
			}
		}
		if list[i].Error != "" {
			list[i].Status = "failed"
			failed++
		}
	}
	err = writeList(cmd, []string{"TOPIC", "PARTITION", "FROM-SHARD", "TO-SHARD", "STATUS"}, list, func(p movedPartition) []string {
		status := p.Status
		if p.Error != "" {
			status = p.Error
		}
		return []string{p.Topic, strconv.Itoa(int(p.Partition)), count(int64(p.From)), count(int64(p.To)), status}
	})
	if err != nil {
		return err
	}
	return outcome(failed, len(list))
}

// planMoves fills in where each partition is, and what is wrong with it. A shard that the node does not have is wrong for all.
func planMoves(ctx context.Context, client *adminClient, list []movedPartition, shard int32) error {
	var topics []string
	for _, p := range list {
		topics = append(topics, p.Topic)
	}
	node, err := client.partitions(ctx, asked(topics, false))
	if err != nil {
		return err
	}
	if shard < 0 || int(shard) >= node.Shards {
		return usagef("--to-shard %d: node %d has %d shards, counted from 0", shard, node.Node.Node, node.Shards)
	}
	if err := node.lacks(ctx, client, topics); err != nil {
		return err
	}
	type key struct {
		topic     string
		partition int32
	}
	places := map[key]httpadmin.Placed{}
	counts := map[string]int{}
	for _, p := range node.Partitions {
		places[key{p.Topic, p.Partition}] = p
		counts[p.Topic]++
	}
	for i := range list {
		p := &list[i]
		place, ok := places[key{p.Topic, p.Partition}]
		switch {
		case !ok:
			p.Error = "there are partitions 0 to " + strconv.Itoa(counts[p.Topic]-1)
		case place.Shard == shard:
			p.From, p.Status = place.Shard, "is there already"
		default:
			p.From, p.Status = place.Shard, "would be moved"
		}
	}
	return nil
}

// parsePartition reads TOPIC/PARTITION; a slash is no part of a topic's name.
func parsePartition(text string) (string, int32, error) {
	topic, number, _ := strings.Cut(text, "/")
	partition, err := strconv.ParseInt(number, 10, 32)
	if err != nil || topic == "" || partition < 0 {
		return "", 0, usagef("%q: want TOPIC/PARTITION, as in orders/0", text)
	}
	return topic, int32(partition), nil
}

func firstLineOf(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
