package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	httpadmin "pinion/net/admin"
)

// listedPartition is one row of `cluster partitions list`. An offset that could not be read is -1, and Error says why.
type listedPartition struct {
	httpadmin.Placed
	Start int64  `json:"log_start_offset"`
	End   int64  `json:"high_watermark"`
	Error string `json:"error,omitempty"`
}

func newPartitionsList(con *console) *cobra.Command {
	var match bool
	cmd := &cobra.Command{
		Use:     "list [TOPIC...]",
		Aliases: []string{"ls"},
		Short:   "List partitions with leader, shard and offsets",
		Long: `List partitions with leader, shard and offsets. Where they live comes from the admin address; offsets come by Kafka's protocol, from --brokers
if that is given, else from the brokers the node names.`,
		Example: `  pinion cluster partitions list orders
  pinion cluster partitions list -r 'order.*' -o json`,
		RunE: func(cmd *cobra.Command, topics []string) error { return listPartitions(cmd, con, topics, match) },
	}
	cmd.Flags().BoolVarP(&match, "regex", "r", false, "names are regular expressions, matched as a whole")
	return cmd
}

func listPartitions(cmd *cobra.Command, con *console, topics []string, match bool) error {
	if _, err := outputFormat(cmd); err != nil {
		return err
	}
	client, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), adminTimeout)
	defer cancel()
	node, err := client.partitions(ctx, asked(topics, match))
	if err != nil {
		return err
	}
	if match {
		if err := node.filter(topics); err != nil {
			return err
		}
	} else if err := node.lacks(ctx, client, topics); err != nil {
		return err
	}
	list := make([]listedPartition, len(node.Partitions))
	for i, p := range node.Partitions {
		list[i] = listedPartition{Placed: p, Start: -1, End: -1}
	}
	if len(list) > 0 {
		if err := readOffsets(cmd, con, node, list); err != nil {
			return err
		}
	}
	return writePlaces(cmd, list)
}

// asked is what the server may narrow down itself.
func asked(topics []string, match bool) []string {
	if match {
		return nil
	}
	topics = slices.Clone(topics)
	slices.Sort(topics)
	return slices.Compact(topics)
}

func (n *placedNode) filter(patterns []string) error {
	for _, pattern := range patterns {
		if _, err := regexp.Compile(pattern); err != nil {
			return usagef("%v", err)
		}
	}
	expression := regexp.MustCompile("^(?:" + strings.Join(patterns, "|") + ")$")
	n.Partitions = slices.DeleteFunc(n.Partitions, func(p httpadmin.Placed) bool { return !expression.MatchString(p.Topic) })
	return nil
}

// lacks names a topic that does not exist.
func (n *placedNode) lacks(ctx context.Context, client *adminClient, topics []string) error {
	for _, topic := range topics {
		if slices.ContainsFunc(n.Partitions, func(p httpadmin.Placed) bool { return p.Topic == topic }) {
			continue
		}
		all, err := client.partitions(ctx, nil)
		if err != nil {
			return err
		}
		return unknownTopic(topic, all.topics())
	}
	return nil
}

func (n *placedNode) topics() []string {
	var names []string
	for _, p := range n.Partitions {
		if len(names) == 0 || names[len(names)-1] != p.Topic {
			names = append(names, p.Topic)
		}
	}
	return names
}

// readOffsets fills the offsets in. Without them the list is still worth showing, unless they would be those of another cluster.
func readOffsets(cmd *cobra.Command, con *console, node *placedNode, list []listedPartition) error {
	if !cmd.Flags().Changed("brokers") && environment(con, "PINION_BROKERS", "") == "" {
		if err := cmd.Flags().Set("brokers", strings.Join(node.Brokers, ",")); err != nil {
			return err
		}
	}
	brokers, err := newClient(cmd)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "offsets: %v\n", err)
		return nil
	}
	defer brokers.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), offsetsWait)
	defer cancel()
	client := kadm.NewClient(brokers)
	metadata, err := client.BrokerMetadata(ctx)
	if err == nil && metadata.Cluster != node.Cluster {
		return usagef("--admin is a node of cluster %s and --brokers are cluster %s; name the same cluster with both", node.Cluster, metadata.Cluster)
	}
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "offsets: %v\n", reason(err))
		return nil
	}
	names := node.topics()
	starts, startErr := client.ListStartOffsets(ctx, names...)
	ends, endErr := client.ListEndOffsets(ctx, names...)
	for _, err := range []error{startErr, endErr} {
		if err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "offsets: %v\n", reason(err))
		}
	}
	for i := range list {
		p := &list[i]
		d := describePartition(kadm.PartitionDetail{Topic: p.Topic, Partition: p.Partition}, starts, ends)
		p.Start, p.End, p.Error = d.Start, d.End, d.Error
	}
	return nil
}

// writePlaces has the column ERROR only where there is one to show.
func writePlaces(cmd *cobra.Command, list []listedPartition) error {
	header := []string{"TOPIC", "PARTITION", "LEADER", "EPOCH", "NODE", "SHARD", "LOG-START-OFFSET", "HIGH-WATERMARK"}
	failed := slices.ContainsFunc(list, func(p listedPartition) bool { return p.Error != "" })
	if failed {
		header = append(header, "ERROR")
	}
	return writeList(cmd, header, list, func(p listedPartition) []string {
		row := []string{p.Topic, strconv.Itoa(int(p.Partition)), count(int64(p.Leader)), count(int64(p.LeaderEpoch)), count(int64(p.Node)), count(int64(p.Shard)),
			count(p.Start), count(p.End)}
		if failed {
			row = append(row, p.Error)
		}
		return row
	})
}
