package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// listedGroup is one row of `group list`.
type listedGroup struct {
	Name        string `json:"name"`
	State       string `json:"state"`
	Protocol    string `json:"protocol_type"`
	Coordinator int32  `json:"coordinator"`
}

func newGroupList() *cobra.Command {
	var states []string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List groups",
		Long:    "List all groups, or with --state those in it: Stable, Empty, PreparingRebalance, CompletingRebalance. A group without a protocol type keeps offsets for somebody who is no member.",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				listed, err := client.ListGroups(ctx, states...)
				if err != nil {
					return fmt.Errorf("list groups: %w", reason(err))
				}
				var list []listedGroup
				for _, g := range listed.Sorted() {
					list = append(list, listedGroup{Name: g.Group, State: g.State, Protocol: g.ProtocolType, Coordinator: g.Coordinator})
				}
				return writeList(cmd, []string{"GROUP", "STATE", "PROTOCOL-TYPE", "COORDINATOR"}, list, func(g listedGroup) []string {
					return []string{g.Name, g.State, g.Protocol, strconv.Itoa(int(g.Coordinator))}
				})
			})
		},
	}
	cmd.Flags().StringSliceVar(&states, "state", nil, "only groups in these states")
	return cmd
}
