package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type describeFlags struct {
	match, all, summary, configs, partitions bool
}

// describedTopic is one topic of `topic describe`. In JSON every section is there, whatever the flags.
type describedTopic struct {
	listedTopic
	Configs    []describedConfig    `json:"configs"`
	Partitions []describedPartition `json:"partition_details"`
}

type describedConfig struct {
	Key    string  `json:"key"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
}

// describedPartition has -1 for an offset or a size that could not be read, and says why in Error.
type describedPartition struct {
	Partition   int32   `json:"partition"`
	Leader      int32   `json:"leader"`
	LeaderEpoch int32   `json:"leader_epoch"`
	Replicas    []int32 `json:"replicas"`
	ISR         []int32 `json:"isr"`
	Start       int64   `json:"log_start_offset"`
	End         int64   `json:"high_watermark"`
	Size        int64   `json:"size_bytes"`        // of the leader's segments
	LogDir      string  `json:"log_dir,omitempty"` // of the leader
	Error       string  `json:"error,omitempty"`
}

func newTopicDescribe() *cobra.Command {
	var flags describeFlags
	cmd := &cobra.Command{
		Use:     "describe NAME...",
		Aliases: []string{"info"},
		Short:   "Show settings, partitions, offsets and sizes of topics",
		Long:    "Show topics in sections: summary, configs, partitions. Without a flag, summary and partitions.",
		Args:    atLeast(1, "the topic's name"),
		RunE: func(cmd *cobra.Command, names []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				return describeTopics(ctx, cmd, client, names, flags)
			})
		},
	}
	cmd.Flags().BoolVarP(&flags.match, "regex", "r", false, "names are regular expressions, matched as a whole")
	cmd.Flags().BoolVarP(&flags.all, "all", "a", false, "all sections")
	cmd.Flags().BoolVarP(&flags.summary, "summary", "s", false, "the summary")
	cmd.Flags().BoolVarP(&flags.configs, "configs", "c", false, "the settings")
	cmd.Flags().BoolVarP(&flags.partitions, "partitions", "p", false, "the partitions with their offsets and sizes")
	return cmd
}

func describeTopics(ctx context.Context, cmd *cobra.Command, client *kadm.Client, names []string, flags describeFlags) error {
	details, err := selectTopics(ctx, client, names, flags.match)
	if err != nil {
		return err
	}
	f, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	switch {
	case flags.all || f != formatText:
		flags.summary, flags.configs, flags.partitions = true, true, true
	case !flags.summary && !flags.configs && !flags.partitions:
		flags.summary, flags.partitions = true, true
	}
	list := describe(ctx, cmd, client, details, flags)
	if f != formatText {
		return writeList(cmd, nil, list, nil)
	}
	for i, topic := range list {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		if err := writeTopic(cmd.OutOrStdout(), topic, flags); err != nil {
			return err
		}
	}
	return nil
}

// describe collects what the sections need. A section the broker cannot serve is left empty with a word on stderr: the rest is
// worth showing.
func describe(ctx context.Context, cmd *cobra.Command, client *kadm.Client, details []kadm.TopicDetail, flags describeFlags) []describedTopic {
	names := make([]string, len(details))
	list := make([]describedTopic, len(details))
	for i, d := range details {
		names[i] = d.Topic
		list[i] = describedTopic{listedTopic: summarize(d), Configs: []describedConfig{}, Partitions: []describedPartition{}}
	}
	if len(names) == 0 {
		return list
	}
	if flags.configs || flags.summary {
		describeConfigs(ctx, cmd, client, names, list)
	}
	if flags.partitions {
		starts, startErr := client.ListStartOffsets(ctx, names...)
		ends, endErr := client.ListEndOffsets(ctx, names...)
		if err := errors.Join(startErr, endErr); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "offsets: %v\n", reason(err))
		}
		sizes := describeSizes(ctx, cmd, client, details)
		for i, d := range details {
			for _, p := range d.Partitions.Sorted() {
				described := describePartition(p, starts, ends)
				if size, ok := sizes[p.Leader].LookupPartition(p.Topic, p.Partition); ok {
					described.Size, described.LogDir = size.Size, size.Dir
				}
				list[i].Partitions = append(list[i].Partitions, described)
			}
		}
	}
	return list
}

func describeConfigs(ctx context.Context, cmd *cobra.Command, client *kadm.Client, names []string, list []describedTopic) {
	resources, err := client.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "configs: %v\n", reason(err))
		return
	}
	for i := range list {
		resource, err := resources.On(list[i].Name, nil)
		if err == nil {
			err = resource.Err
		}
		if err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "configs of %s: %v\n", list[i].Name, reason(err))
			continue
		}
		for _, c := range resource.Configs {
			list[i].Configs = append(list[i].Configs, describedConfig{Key: c.Key, Value: c.Value, Source: c.Source.String()})
		}
	}
}

// describeSizes asks every broker how large the topics' replicas are.
func describeSizes(ctx context.Context, cmd *cobra.Command, client *kadm.Client, details []kadm.TopicDetail) kadm.DescribedAllLogDirs {
	var wanted kadm.TopicsSet
	for _, d := range details {
		for p := range d.Partitions {
			wanted.Add(d.Topic, p)
		}
	}
	dirs, err := client.DescribeAllLogDirs(ctx, wanted)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "sizes: %v\n", reason(err))
	}
	return dirs
}

func describePartition(p kadm.PartitionDetail, starts, ends kadm.ListedOffsets) describedPartition {
	d := describedPartition{Partition: p.Partition, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, Replicas: p.Replicas, ISR: p.ISR, Start: -1, End: -1, Size: -1}
	err := p.Err
	if start, ok := starts.Lookup(p.Topic, p.Partition); ok {
		d.Start, err = start.Offset, errors.Join(err, start.Err)
	}
	if end, ok := ends.Lookup(p.Topic, p.Partition); ok && err == nil {
		d.End, err = end.Offset, end.Err
	}
	if err != nil {
		d.Error = describeError(err, "")
	}
	return d
}

func writeTopic(out io.Writer, t describedTopic, flags describeFlags) error {
	sections := 0
	heading := func(on bool, title string) bool {
		if on && (flags.summary && flags.configs || flags.configs && flags.partitions || flags.summary && flags.partitions) {
			if sections > 0 {
				fmt.Fprintln(out)
			}
			fmt.Fprintf(out, "%s\n%s\n", title, strings.Repeat("=", len(title)))
		}
		sections++
		return on
	}
	if heading(flags.summary, "SUMMARY") {
		rows := [][]string{{"NAME", t.Name}, {"ID", t.ID}, {"PARTITIONS", strconv.Itoa(t.listedTopic.Partitions)}, {"REPLICAS", strconv.Itoa(t.Replicas)}}
		for _, c := range t.Configs {
			if c.Key == "pinion.durability" && c.Value != nil {
				rows = append(rows, []string{"DURABILITY", *c.Value})
			}
		}
		if t.Internal {
			rows = append(rows, []string{"INTERNAL", "true"})
		}
		if err := writeTable(out, nil, rows); err != nil {
			return err
		}
	}
	if heading(flags.configs, "CONFIGS") {
		rows := make([][]string, 0, len(t.Configs))
		for _, c := range t.Configs {
			value := ""
			if c.Value != nil {
				value = *c.Value
			}
			rows = append(rows, []string{c.Key, value, c.Source})
		}
		if err := writeTable(out, []string{"KEY", "VALUE", "SOURCE"}, rows); err != nil {
			return err
		}
	}
	if heading(flags.partitions, "PARTITIONS") {
		return writePartitions(out, t.Partitions)
	}
	return nil
}

// writePartitions has the columns SIZE and ERROR only where there is one to show, and LOG-DIR where they differ.
func writePartitions(out io.Writer, list []describedPartition) error {
	header := []string{"PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "LOG-START-OFFSET", "HIGH-WATERMARK"}
	failed, sized, spread := false, false, false
	for _, p := range list {
		spread = spread || p.LogDir != list[0].LogDir
		failed, sized = failed || p.Error != "", sized || p.Size >= 0
	}
	if sized {
		header = append(header, "SIZE")
	}
	if spread {
		header = append(header, "LOG-DIR")
	}
	if failed {
		header = append(header, "ERROR")
	}
	rows := make([][]string, len(list))
	for i, p := range list {
		rows[i] = []string{strconv.Itoa(int(p.Partition)), count(int64(p.Leader)), count(int64(p.LeaderEpoch)), fmt.Sprint(p.Replicas), fmt.Sprint(p.ISR),
			count(p.Start), count(p.End)}
		if sized {
			rows[i] = append(rows[i], humanBytes(p.Size))
		}
		if spread {
			rows[i] = append(rows[i], p.LogDir)
		}
		if failed {
			rows[i] = append(rows[i], p.Error)
		}
	}
	return writeTable(out, header, rows)
}

// humanBytes is a size for people, empty where it is not known.
func humanBytes(n int64) string {
	if n < 1024 {
		if n < 0 {
			return ""
		}
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/1024, 0
	for size >= 1024 && unit < len("KMGTP")-1 {
		size, unit = size/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, "KMGTP"[unit])
}
