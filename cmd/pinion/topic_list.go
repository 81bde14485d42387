package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"pinion/engine/model"
)

// listedTopic is one row of `topic list`.
type listedTopic struct {
	Name       string `json:"name"`
	ID         string `json:"id"`
	Partitions int    `json:"partitions"`
	Replicas   int    `json:"replicas"`
	Internal   bool   `json:"internal"`
}

func newTopicList() *cobra.Command {
	var match, internal bool
	cmd := &cobra.Command{
		Use:     "list [NAME...]",
		Aliases: []string{"ls"},
		Short:   "List topics",
		Long:    "List all topics, the named ones, or with -r those whose whole name matches. The list is what `topic delete` would delete with the same arguments.",
		RunE: func(cmd *cobra.Command, names []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				if len(names) == 0 {
					names, match = []string{".*"}, true
				} else {
					internal = true // asked for by name
				}
				return listTopics(ctx, cmd, client, names, match, internal)
			})
		},
	}
	cmd.Flags().BoolVarP(&match, "regex", "r", false, "names are regular expressions, matched as a whole")
	cmd.Flags().BoolVarP(&internal, "internal", "i", false, "show internal topics too")
	return cmd
}

func listTopics(ctx context.Context, cmd *cobra.Command, client *kadm.Client, names []string, match, internal bool) error {
	details, err := selectTopics(ctx, client, names, match)
	if err != nil {
		return err
	}
	var list []listedTopic
	for _, d := range details {
		if !d.IsInternal || internal {
			list = append(list, summarize(d))
		}
	}
	return writeList(cmd, []string{"NAME", "PARTITIONS", "REPLICAS"}, list, func(t listedTopic) []string {
		return []string{t.Name, strconv.Itoa(t.Partitions), strconv.Itoa(t.Replicas)}
	})
}

func summarize(d kadm.TopicDetail) listedTopic {
	return listedTopic{Name: d.Topic, ID: model.TopicID(d.ID).String(), Partitions: len(d.Partitions), Replicas: d.Partitions.NumReplicas(), Internal: d.IsInternal}
}
