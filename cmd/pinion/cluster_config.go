package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/config"
)

// brokerSetting is one row of `cluster config`: a setting as it stands.
type brokerSetting struct {
	Broker int32   `json:"broker"`
	Key    string  `json:"key"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
	Status string  `json:"status,omitempty"`
	Error  string  `json:"error,omitempty"`
}

func newClusterConfig(con *console) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Aliases: []string{"configs"}, Short: "Settings of brokers, and changing them while they run",
		Long: `Show what brokers are set to and where that comes from, and change what can be changed while they run: for the whole cluster, or with --broker for
one broker, whose own settings win. Topics that do not say otherwise follow at once.`,
	}
	cmd.AddCommand(newConfigGet(), newConfigSet(), newConfigExport(), newConfigDiff(con), newConfigImport(con), newConfigEdit(con))
	asGroup(cmd)
	return cmd
}

// noBroker is the value of --broker when it is not given.
const noBroker = -1

func newConfigGet() *cobra.Command {
	var all bool
	broker := int32(noBroker)
	cmd := &cobra.Command{
		Use: "get [KEY...]", Aliases: []string{"list", "ls"}, Short: "Show settings that are not defaults, or those that are named",
		Example: "  pinion cluster config get\n  pinion cluster config get log.retention.ms message.max.bytes --broker 1",
		RunE: func(cmd *cobra.Command, keys []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				id, entries, err := brokerConfigs(ctx, client, broker)
				if err != nil {
					return err
				}
				list, err := chosenSettings(id, entries, keys, all)
				if err != nil {
					return err
				}
				return writeSettings(cmd, list)
			})
		},
	}
	cmd.Flags().Int32Var(&broker, "broker", noBroker, "of this broker; without it the first of the cluster")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "defaults too")
	return cmd
}

// brokerConfigs reads the settings of a broker, the first one's for noBroker.
func brokerConfigs(ctx context.Context, client *kadm.Client, broker int32) (int32, []kadm.Config, error) {
	if broker == noBroker {
		brokers, err := client.ListBrokers(ctx)
		if err != nil {
			return 0, nil, fmt.Errorf("list brokers: %w", reason(err))
		}
		ids := brokers.NodeIDs()
		if len(ids) == 0 {
			return 0, nil, errors.New("the cluster names no broker")
		}
		broker = slices.Min(ids)
	}
	described, err := client.DescribeBrokerConfigs(ctx, broker)
	if err != nil {
		return 0, nil, fmt.Errorf("settings of broker %d: %w", broker, reason(err))
	}
	resource, err := described.On(strconv.Itoa(int(broker)), nil)
	if err == nil {
		err = resource.Err
	}
	if err != nil {
		return 0, nil, fmt.Errorf("settings of broker %d: %w", broker, reason(err))
	}
	return broker, resource.Configs, nil
}

// chosenSettings are the named settings, or all that somebody has set.
func chosenSettings(broker int32, entries []kadm.Config, keys []string, all bool) ([]brokerSetting, error) {
	var list []brokerSetting
	var names []string
	found := map[string]bool{}
	for _, e := range entries {
		names = append(names, e.Key)
		named := slices.Contains(keys, e.Key)
		if found[e.Key] = true; named || len(keys) == 0 && (all || e.Source != kmsg.ConfigSourceDefaultConfig) {
			list = append(list, brokerSetting{Broker: broker, Key: e.Key, Value: e.Value, Source: e.Source.String()})
		}
	}
	for _, key := range keys {
		if !found[key] {
			if near := config.Nearest(key, names); near != "" {
				return nil, fmt.Errorf("no setting %s\n  did you mean: %s", key, near)
			}
			return nil, fmt.Errorf("no setting %s; `pinion cluster config get --all` lists them", key)
		}
	}
	slices.SortFunc(list, func(a, b brokerSetting) int { return strings.Compare(a.Key, b.Key) })
	return list, nil
}

func writeSettings(cmd *cobra.Command, list []brokerSetting) error {
	return writeList(cmd, []string{"BROKER", "KEY", "VALUE", "SOURCE", "STATUS"}, list, func(s brokerSetting) []string {
		value, status := "", s.Status
		if s.Value != nil {
			value = *s.Value
		}
		if s.Error != "" {
			status = s.Error
		}
		return []string{strconv.Itoa(int(s.Broker)), s.Key, value, s.Source, status}
	})
}

func newConfigSet() *cobra.Command {
	var remove []string
	var dryRun bool
	broker := int32(noBroker)
	cmd := &cobra.Command{
		Use: "set [KEY=VALUE...] [-d KEY]", Short: "Change settings while brokers run, and show them as they stand afterwards",
		Long: `Change settings for the whole cluster, or with --broker for one broker, and show them as they stand afterwards. All are changed or none. What is
deleted goes back to what the broker was started with.`,
		Example: "  pinion cluster config set log.retention.ms=86400000\n  pinion cluster config set max.connections=5000 --broker 1\n  pinion cluster config set -d log.retention.ms",
		RunE: func(cmd *cobra.Command, args []string) error {
			changes, err := settingChanges(args, remove)
			if err != nil {
				return err
			}
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				return setSettings(ctx, cmd, client, changes, broker, dryRun)
			})
		},
	}
	cmd.Flags().StringArrayVarP(&remove, "delete", "d", nil, "KEY goes back to what the broker was started with")
	cmd.Flags().Int32Var(&broker, "broker", noBroker, "for this broker alone")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "let the broker check everything and change nothing")
	return cmd
}

func settingChanges(set, remove []string) ([]kadm.AlterConfig, error) {
	var changes []kadm.AlterConfig
	for _, text := range set {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, usagef("%s: want KEY=VALUE", text)
		}
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value})
	}
	changes, err := appendDeletions(changes, remove)
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		return nil, usagef("nothing to change; give KEY=VALUE or -d KEY")
	}
	return changes, nil
}

// only names a broker, and for noBroker none: that is the whole cluster.
func only(broker int32) []int32 {
	if broker == noBroker {
		return nil
	}
	return []int32{broker}
}

// alterSettings changes settings of a broker, for noBroker of the cluster, or has them checked. It returns what to say of each when there was no error.
func alterSettings(ctx context.Context, client *kadm.Client, changes []kadm.AlterConfig, broker int32, dryRun bool) (kadm.AlterConfigsResponse, string, error) {
	alter, status := client.AlterBrokerConfigs, "OK"
	if dryRun {
		alter, status = client.ValidateAlterBrokerConfigs, "would be changed"
	}
	done, err := alter(ctx, changes, only(broker)...)
	if err == nil && len(done) != 1 {
		err = errors.New("the broker did not answer for it")
	}
	if err != nil {
		return kadm.AlterConfigsResponse{}, "", fmt.Errorf("change settings: %w", reason(err))
	}
	return done[0], status, nil
}

func setSettings(ctx context.Context, cmd *cobra.Command, client *kadm.Client, changes []kadm.AlterConfig, broker int32, dryRun bool) error {
	done, status, err := alterSettings(ctx, client, changes, broker, dryRun)
	if err != nil {
		return err
	}
	id, entries, err := brokerConfigs(ctx, client, broker)
	if err != nil {
		return err
	}
	failed := 0
	var list []brokerSetting
	for _, change := range changes {
		row := brokerSetting{Broker: id, Key: change.Name, Status: status}
		if i := slices.IndexFunc(entries, func(e kadm.Config) bool { return e.Key == change.Name }); i >= 0 {
			row.Value, row.Source = entries[i].Value, entries[i].Source.String()
		}
		if done.Err != nil {
			row.Status, row.Error, failed = "FAILED", describeError(done.Err, done.ErrMessage), 1
		}
		list = append(list, row)
	}
	if err := writeSettings(cmd, list); err != nil {
		return err
	}
	return outcome(failed, 1)
}
