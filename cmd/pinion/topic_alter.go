package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"pinion/engine/config"
)

type alterFlags struct {
	set, remove, add, subtract []string
	match, dryRun              bool
}

// alteredConfig is one row of `topic alter-config`: a setting as it stands afterwards.
type alteredConfig struct {
	Topic  string  `json:"topic"`
	Key    string  `json:"key"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
	Status string  `json:"status"`
	Error  string  `json:"error,omitempty"`
}

func newTopicAlter() *cobra.Command {
	var flags alterFlags
	cmd := &cobra.Command{
		Use:     "alter-config NAME... [-s KEY=VALUE] [-d KEY]",
		Aliases: []string{"alter"},
		Short:   "Change settings of topics",
		Long: `Change settings of topics, and show them as they stand afterwards. A topic's changes are made together or not at all. A setting
that is deleted goes back to the broker's default.`,
		Example: `  pinion topic alter-config orders -s retention.ms=7d -s segment.bytes=256MiB
  pinion topic alter-config -r 'logs-.*' -d retention.ms --dry-run`,
		Args: atLeast(1, "the topic's name"),
		RunE: func(cmd *cobra.Command, names []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				return alterTopics(ctx, cmd, client, names, flags)
			})
		},
	}
	cmd.Flags().StringArrayVarP(&flags.set, "set", "s", nil, "set KEY=VALUE; sizes and durations such as 1GiB and 7d are understood")
	cmd.Flags().StringArrayVarP(&flags.remove, "delete", "d", nil, "KEY goes back to its default")
	cmd.Flags().StringArrayVar(&flags.add, "append", nil, "add to a list, KEY=ITEM")
	cmd.Flags().StringArrayVar(&flags.subtract, "subtract", nil, "take from a list, KEY=ITEM")
	cmd.Flags().BoolVarP(&flags.match, "regex", "r", false, "names are regular expressions, matched as a whole")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "let the broker check everything and change nothing")
	return cmd
}

// alterations reads the flags.
func (f *alterFlags) alterations() ([]kadm.AlterConfig, error) {
	var list []kadm.AlterConfig
	for _, group := range []struct {
		flag  string
		texts []string
		op    kadm.IncrementalOp
	}{{"-s", f.set, kadm.SetConfig}, {"--append", f.add, kadm.AppendConfig}, {"--subtract", f.subtract, kadm.SubtractConfig}} {
		for _, text := range group.texts {
			key, value, ok := strings.Cut(text, "=")
			if !ok || key == "" {
				return nil, usagef("%s %s: want KEY=VALUE", group.flag, text)
			}
			value = config.TopicLiteral(key, value)
			list = append(list, kadm.AlterConfig{Op: group.op, Name: key, Value: &value})
		}
	}
	list, err := appendDeletions(list, f.remove)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, usagef("nothing to change; give -s KEY=VALUE or -d KEY")
	}
	return list, nil
}

// appendDeletions adds what -d asks for: keys that go back to their default.
func appendDeletions(list []kadm.AlterConfig, remove []string) ([]kadm.AlterConfig, error) {
	for _, key := range remove {
		if key == "" || strings.Contains(key, "=") {
			return nil, usagef("-d %s: want KEY", key)
		}
		list = append(list, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
	}
	return list, nil
}

func alterTopics(ctx context.Context, cmd *cobra.Command, client *kadm.Client, names []string, flags alterFlags) error {
	changes, err := flags.alterations()
	if err != nil {
		return err
	}
	details, err := selectTopics(ctx, client, names, flags.match)
	if err != nil {
		return err
	}
	topics := make([]string, len(details))
	for i, d := range details {
		topics[i] = d.Topic
	}
	var list []alteredConfig
	failed := 0
	if len(topics) > 0 {
		alter, done := client.AlterTopicConfigs, "OK"
		if flags.dryRun {
			alter, done = client.ValidateAlterTopicConfigs, "would be changed"
		}
		responses, err := alter(ctx, changes, topics...)
		if err != nil {
			return fmt.Errorf("alter topics: %w", reason(err))
		}
		now, err := client.DescribeTopicConfigs(ctx, topics...)
		if err != nil {
			return fmt.Errorf("describe topics: %w", reason(err))
		}
		for _, topic := range topics {
			rows, ok := alteredRows(topic, changes, responses, now, done)
			if !ok {
				failed++
			}
			list = append(list, rows...)
		}
	}
	err = writeList(cmd, []string{"TOPIC", "KEY", "VALUE", "SOURCE", "STATUS"}, list, func(c alteredConfig) []string {
		value, status := "", c.Status
		if c.Value != nil {
			value = *c.Value
		}
		if c.Error != "" {
			status = c.Error
		}
		return []string{c.Topic, c.Key, value, c.Source, status}
	})
	if err != nil {
		return err
	}
	return outcome(failed, len(topics))
}

// alteredRows shows the changed settings of one topic as they stand now; one row with the error where nothing was changed.
func alteredRows(topic string, changes []kadm.AlterConfig, responses kadm.AlterConfigsResponses, now kadm.ResourceConfigs, done string) ([]alteredConfig, bool) {
	response, err := responses.On(topic, nil)
	if err == nil {
		err = response.Err
	}
	if err != nil {
		return []alteredConfig{{Topic: topic, Status: "FAILED", Error: describeError(err, response.ErrMessage)}}, false
	}
	stands := map[string]kadm.Config{}
	if resource, err := now.On(topic, nil); err == nil && resource.Err == nil {
		for _, entry := range resource.Configs {
			stands[entry.Key] = entry
		}
	}
	rows := make([]alteredConfig, len(changes))
	for i, change := range changes {
		rows[i] = alteredConfig{Topic: topic, Key: change.Name, Status: done}
		if entry, ok := stands[change.Name]; ok {
			rows[i].Value, rows[i].Source = entry.Value, entry.Source.String()
		}
	}
	return rows, true
}
