package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"pinion/engine/config"
	"pinion/engine/model"
)

type createFlags struct {
	partitions  int32
	replicas    int16
	configs     []string
	dryRun      bool
	ifNotExists bool
}

// createdTopic is one row of `topic create`.
type createdTopic struct {
	Name       string `json:"name"`
	ID         string `json:"id,omitempty"`
	Partitions int32  `json:"partitions"`
	Replicas   int16  `json:"replicas"`
	Status     string `json:"status"`
	Error      string `json:"error,omitempty"`
}

func newTopicCreate() *cobra.Command {
	var flags createFlags
	cmd := &cobra.Command{
		Use:   "create NAME...",
		Short: "Create topics",
		Example: `  pinion topic create orders -p 12 -c retention.ms=7d
  pinion topic create a b c --if-not-exists`,
		Args: atLeast(1, "the topic's name"),
		RunE: func(cmd *cobra.Command, names []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				return createTopics(ctx, cmd, client, names, flags)
			})
		},
	}
	cmd.Flags().Int32VarP(&flags.partitions, "partitions", "p", -1, "partitions; -1: the broker's num.partitions")
	cmd.Flags().Int16VarP(&flags.replicas, "replicas", "r", -1, "replicas of each partition; -1: the broker's default.replication.factor")
	cmd.Flags().StringArrayVarP(&flags.configs, "config", "c", nil, "topic setting, KEY=VALUE; sizes and durations such as 1GiB and 7d are understood")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "let the broker check everything and create nothing")
	cmd.Flags().BoolVar(&flags.ifNotExists, "if-not-exists", false, "a topic that exists is fine")
	return cmd
}

func createTopics(ctx context.Context, cmd *cobra.Command, client *kadm.Client, names []string, flags createFlags) error {
	configs, err := topicConfigs(flags.configs)
	if err != nil {
		return err
	}
	create, done := client.CreateTopics, "OK"
	if flags.dryRun {
		create, done = client.ValidateCreateTopics, "would be created"
	}
	responses, err := create(ctx, flags.partitions, flags.replicas, configs, names...)
	if err != nil {
		return fmt.Errorf("create topics: %w", reason(err))
	}
	failed := 0
	var list []createdTopic
	for _, r := range responses.Sorted() {
		row := createdTopic{Name: r.Topic, Partitions: r.NumPartitions, Replicas: r.ReplicationFactor, Status: done}
		switch {
		case r.Err == nil && !flags.dryRun && r.ID != (kadm.TopicID{}):
			row.ID = model.TopicID(r.ID).String()
		case r.Err == nil:
		case flags.ifNotExists && errors.Is(r.Err, kerr.TopicAlreadyExists):
			row.Status = "exists"
		default:
			row.Status, row.Error = "FAILED", describeError(r.Err, r.ErrMessage)
			failed++
		}
		list = append(list, row)
	}
	err = writeList(cmd, []string{"TOPIC", "PARTITIONS", "REPLICAS", "STATUS"}, list, func(t createdTopic) []string {
		status := t.Status
		if t.Error != "" {
			status = t.Error
		}
		return []string{t.Name, count(int64(t.Partitions)), count(int64(t.Replicas)), status}
	})
	if err != nil {
		return err
	}
	return outcome(failed, len(list))
}

// topicConfigs reads -c flags. Keys are left to the broker to judge, which may know more of them than this client.
func topicConfigs(flags []string) (map[string]*string, error) {
	configs := map[string]*string{}
	for _, flag := range flags {
		key, value, ok := strings.Cut(flag, "=")
		if !ok || key == "" {
			return nil, usagef("-c %s: want KEY=VALUE", flag)
		}
		value = config.TopicLiteral(key, value)
		configs[key] = &value
	}
	return configs, nil
}

// count is a number as a table cell; what the broker did not tell is empty.
func count(n int64) string {
	if n < 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
