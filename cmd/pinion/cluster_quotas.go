package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listedQuota is one key of one entity.
type listedQuota struct {
	User   *string  `json:"user"` // null: whatever the user; "<default>": who has none by name
	Client *string  `json:"client_id"`
	Key    string   `json:"key"`
	Value  *float64 `json:"value"`
	Status string   `json:"status,omitempty"`
	Error  string   `json:"error,omitempty"`
}

// defaultName stands for the default of users or client ids, as in Kafka's tools.
const defaultName = "<default>"

// whoFlags name an entity.
type whoFlags struct{ user, client string }

func (f *whoFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.user, "user", "", "the user, or "+defaultName+"; ANONYMOUS is everyone without authentication")
	cmd.Flags().StringVar(&f.client, "client-id", "", "the client id, or "+defaultName)
}

func (f *whoFlags) entity() (kadm.ClientQuotaEntity, error) {
	var entity kadm.ClientQuotaEntity
	for _, part := range []struct{ kind, name string }{{"user", f.user}, {"client-id", f.client}} {
		switch name := part.name; name {
		case "":
		case defaultName:
			entity = append(entity, kadm.ClientQuotaEntityComponent{Type: part.kind})
		default:
			entity = append(entity, kadm.ClientQuotaEntityComponent{Type: part.kind, Name: &name})
		}
	}
	if len(entity) == 0 {
		return nil, usagef("whose quota? give --user, --client-id or both")
	}
	return entity, nil
}

func newClusterQuotas() *cobra.Command {
	quotas := &cobra.Command{
		Use: "quotas", Aliases: []string{"quota"}, Short: "What clients may use",
		Long: `Quotas of users, client ids and both: producer_byte_rate and consumer_byte_rate in bytes a second, request_percentage of one shard's time,
controller_mutation_rate in partitions created and deleted a second. The most specific that sets a key counts. They hold for the
whole node, at once.`,
	}
	quotas.AddCommand(newQuotasList(), newQuotasSet())
	asGroup(quotas)
	return quotas
}

func newQuotasList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls", "describe"}, Short: "List all quotas", Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				var list []listedQuota
				for _, kind := range []string{"user", "client-id"} {
					found, err := client.DescribeClientQuotas(ctx, false, []kadm.DescribeClientQuotaComponent{{Type: kind, MatchType: kmsg.QuotasMatchTypeAny}})
					if err != nil {
						return fmt.Errorf("list quotas: %w", reason(err))
					}
					for _, q := range found {
						row := quotaRow(q.Entity)
						if kind == "client-id" && row.User != nil {
							continue // listed with its user
						}
						for _, v := range q.Values {
							row.Key, row.Value = v.Key, &v.Value
							list = append(list, row)
						}
					}
				}
				return writeQuotas(cmd, list)
			})
		},
	}
}

func quotaRow(entity kadm.ClientQuotaEntity) (row listedQuota) {
	for _, part := range entity {
		name := defaultName
		if part.Name != nil {
			name = *part.Name
		}
		switch part.Type {
		case "user":
			row.User = &name
		case "client-id":
			row.Client = &name
		}
	}
	return row
}

func writeQuotas(cmd *cobra.Command, list []listedQuota) error {
	return writeList(cmd, []string{"USER", "CLIENT-ID", "KEY", "VALUE", "STATUS"}, list, func(q listedQuota) []string {
		cells := []string{"", "", q.Key, "", q.Status}
		for i, name := range []*string{q.User, q.Client} {
			if name != nil {
				cells[i] = *name
			}
		}
		if q.Value != nil {
			cells[3] = strconv.FormatFloat(*q.Value, 'f', -1, 64)
		}
		if q.Error != "" {
			cells[4] = q.Error
		}
		return cells
	})
}

func newQuotasSet() *cobra.Command {
	var who whoFlags
	var remove []string
	var dryRun bool
	cmd := &cobra.Command{
		Use: "set [KEY=VALUE...] [-d KEY] --user NAME --client-id NAME", Short: "Set and remove keys of a quota",
		Example: `  pinion cluster quotas set producer_byte_rate=10485760 --client-id loader
  pinion cluster quotas set request_percentage=50 --user '<default>'
  pinion cluster quotas set -d producer_byte_rate --client-id loader`,
		RunE: func(cmd *cobra.Command, args []string) error {
			entity, err := who.entity()
			if err != nil {
				return err
			}
			ops, err := quotaOps(args, remove)
			if err != nil {
				return err
			}
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				return setQuotas(ctx, cmd, client, kadm.AlterClientQuotaEntry{Entity: entity, Ops: ops}, dryRun)
			})
		},
	}
	who.add(cmd)
	cmd.Flags().StringArrayVarP(&remove, "delete", "d", nil, "KEY is no longer limited")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "let the broker check everything and change nothing")
	return cmd
}

func quotaOps(set, remove []string) ([]kadm.AlterClientQuotaOp, error) {
	var ops []kadm.AlterClientQuotaOp
	for _, text := range set {
		key, value, ok := strings.Cut(text, "=")
		n, err := strconv.ParseFloat(value, 64)
		if !ok || key == "" || err != nil {
			return nil, usagef("%s: want KEY=NUMBER", text)
		}
		ops = append(ops, kadm.AlterClientQuotaOp{Key: key, Value: n})
	}
	for _, key := range remove {
		ops = append(ops, kadm.AlterClientQuotaOp{Key: key, Remove: true})
	}
	if len(ops) == 0 {
		return nil, usagef("nothing to change; give KEY=NUMBER or -d KEY")
	}
	return ops, nil
}

func setQuotas(ctx context.Context, cmd *cobra.Command, client *kadm.Client, entry kadm.AlterClientQuotaEntry, dryRun bool) error {
	alter, status := client.AlterClientQuotas, "OK"
	if dryRun {
		alter, status = client.ValidateAlterClientQuotas, "would be changed"
	}
	done, err := alter(ctx, []kadm.AlterClientQuotaEntry{entry})
	if err == nil && len(done) != 1 {
		err = errors.New("the broker did not answer for it")
	}
	if err != nil {
		return fmt.Errorf("set quota: %w", reason(err))
	}
	failed := 0
	var list []listedQuota
	for _, op := range entry.Ops {
		row := quotaRow(entry.Entity)
		row.Key, row.Status = op.Key, status
		if !op.Remove {
			row.Value = &op.Value
		}
		if done[0].Err != nil {
			row.Status, row.Error, failed = "FAILED", describeError(done[0].Err, done[0].ErrMessage), 1
		}
		list = append(list, row)
	}
	if err := writeQuotas(cmd, list); err != nil {
		return err
	}
	return outcome(failed, 1)
}
